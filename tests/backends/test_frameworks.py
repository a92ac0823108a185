"""What the adapters send, alone and together with instrumentations, read back."""

from __future__ import annotations

import asyncio

import pytest
from arithmetic_lm import final_answer
from arithmetic_lm.llama_index import ArithmeticLLM
from arithmetic_lm.server import ArithmeticServer
from httpx import AsyncClient
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from langchain_thinktwice import vote
from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index_thinktwice import StrategyQueryEngine
from opentelemetry import trace

from integrations.langchain.tests.tracing.columns import column as under_langchain
from integrations.llama_index.tests.tracing.columns import column as under_llama_index
from thinktwice import AtMost, Vote
from thinktwice.workflow import collect

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning"),
    pytest.mark.filterwarnings("ignore:Calling .text"),  # OpenInference does
]


@pytest.fixture
async def model():
    """A client of a provider, which is on loopback."""
    with ArithmeticServer.in_thread() as server:
        async with AsyncClient(verify=False) as client:  # noqa: S501 - it is no https, and saves time
            yield ChatOpenAI(
                base_url=server.url,
                model="arithmetic-lm",
                api_key="none",
                temperature=0.8,
                http_async_client=client,
            )


async def ask_chain(model, price_file):
    """A vote on an ordinary chain."""
    prompt = ChatPromptTemplate.from_template("What is {question}?")
    chain = prompt | model | StrOutputParser()
    voting = vote(chain, n=4, stop=AtMost(4), key=final_answer, prices=price_file)
    with collect() as results:
        await voting.ainvoke({"question": "37*8+56"})
    return results


@pytest.fixture
def index():
    """Documents, read before anybody traces."""
    documents = [Document(text="37*8+56 is asked for.")]
    return VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(embed_dim=8))


async def ask_engine(index, price_file):
    """A vote on an ordinary query engine."""
    inner = index.as_query_engine(llm=ArithmeticLLM(temperature=0.8))
    strategy = Vote(4, key=lambda reply: final_answer(str(reply)), stop=AtMost(4))
    with collect() as results:
        await StrategyQueryEngine(inner, strategy, prices=price_file).aquery("What is 37*8+56?")
    return results


class TestAlone:
    """We emit the leaves."""

    async def test_langchain(self, project, model, price_file):
        """Tokens and cost are the ledger's."""
        with under_langchain("none"), project.sent(trace.get_tracer_provider()):
            project.results += await ask_chain(model, price_file)
        project.agrees()

    async def test_llama_index(self, project, index, price_file):
        """Tokens and cost are the ledger's."""
        with under_llama_index("none"), project.sent(trace.get_tracer_provider()):
            project.results += await ask_engine(index, price_file)
        project.agrees()


class TestTogether:
    """Others emit the leaves: tokens are the ledger's, and the cost is the backend's own."""

    @pytest.mark.parametrize("party", ["openinference", "openllmetry"])
    async def test_langchain(self, project, model, price_file, party):
        """Phoenix counts with our prices; MLflow knows no price, and cannot be told one."""
        with under_langchain(party), project.sent(trace.get_tracer_provider()):
            project.results += await ask_chain(model, price_file)
        check(project)

    # What OpenInference does with a pydantic model warns, and LlamaIndex drops what it raises.
    @pytest.mark.filterwarnings("ignore")
    async def test_llama_index(self, project, index, price_file):
        """The same."""
        with (
            under_llama_index("openinference") as party,
            project.sent(trace.get_tracer_provider()),
        ):
            project.results += await ask_engine(index, price_file)
            await all_ended(party.exporter, 4)
        check(project)

    async def test_two_parties_count_double(self, project, model, price_file):
        """Each writes a span with tokens for every call, as without us."""
        with under_langchain("both"), project.sent(trace.get_tracer_provider()):
            project.results += await ask_chain(model, price_file)
        twice = 2 * project.tokens
        cost = 2 * project.cost if project.backend.name == "phoenix" else None
        bill = project.bill(cost=cost, tokens=twice)
        assert bill.tokens == twice


async def all_ended(exporter, calls):
    """OpenInference ends its spans of LlamaIndex a moment after the request."""
    for _ in range(200):
        spans = exporter.get_finished_spans()
        if sum("llm.token_count.total" in span.attributes for span in spans) == calls:
            return
        await asyncio.sleep(0.05)
    pytest.fail("spans of model calls have not ended")


def check(project):
    """That it has the tokens of the ledger, and the cost where it can have it."""
    assert len(project.results[0].ledger.entries) == 4
    if project.backend.name == "phoenix":
        project.agrees()
        return
    bill = project.bill(cost=None)
    assert (bill.tokens, bill.cost, bill.traces) == (project.tokens, None, 1)
