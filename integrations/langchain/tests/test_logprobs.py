"""Log-probabilities reach samples, whatever shape a provider's messages have."""

from __future__ import annotations

import math

import pytest
from arithmetic_lm.langchain import ArithmeticChatModel
from arithmetic_lm.server import ArithmeticServer
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from langchain_thinktwice import best_of_n, vote, with_strategy
from langchain_thinktwice.accounting.logprobs import NO_LOGPROBS, Logprobs, logprobs
from langchain_thinktwice.messages import read_message
from langchain_thinktwice.verifiers import RunnableSampler

from thinktwice.stop import AtMost
from thinktwice.strategies.perplexity_consistency import PerplexityConsistency
from thinktwice.verifiers import Likelihood, PTrue, TokenConfidence

RECORDS = [
    {
        "token": "a",
        "logprob": -0.5,
        "top_logprobs": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1}],
    },
    {"token": "b", "logprob": -1, "top_logprobs": []},
]
READ = Logprobs((-0.5, -1.0), ((-0.5, -1.0), ()))


@pytest.mark.parametrize(
    "metadata",
    [
        {"logprobs": {"content": RECORDS}},
        {"logprobs": RECORDS},
        {"logprobs_result": RECORDS},
        {
            "logprobs": {
                "tokens": ["a", "b"],
                "token_logprobs": [-0.5, -1],
                "top_logprobs": [{"a": -0.5, "b": -1}, None],
            }
        },
    ],
    ids=["OpenAI", "Ollama", "Vertex AI", "completions"],
)
def test_the_shapes_of_providers(metadata):
    """All give the same."""
    assert logprobs(metadata) == READ
    assert read_message(AIMessage("ab", response_metadata=metadata)).logprobs == READ


@pytest.mark.parametrize(
    "found",
    [
        None,
        {},
        {"content": None},
        {"content": []},
        {"content": "text"},
        [1.0],
        [{"logprob": -1}, 3],
        {"token_logprobs": []},
    ],
    ids=str,
)
def test_other_shapes_say_nothing(found):
    """And break nothing."""
    assert logprobs({"logprobs": found}) == NO_LOGPROBS


def test_a_gap_makes_the_sampled_ones_unknown():
    """Sums over part of a text would mislead; what is known of alternatives is kept."""
    found = logprobs({"logprobs": [{"logprob": None, "top_logprobs": [{"logprob": -1}]}]})
    assert found == Logprobs(None, ((-1.0,),))


def test_without_alternatives():
    """There are none, rather than empty ones."""
    assert logprobs({"logprobs": [{"logprob": -1}]}) == Logprobs((-1.0,), None)
    legacy = {"token_logprobs": [-1, -2], "top_logprobs": None}
    assert logprobs({"logprobs": legacy}) == Logprobs((-1.0, -2.0), None)


async def test_of_the_chat_model(call):
    """Bound to the model, they reach weights and verifiers."""
    chain = ArithmeticChatModel().bind(top_logprobs=20)
    voted = vote(chain, n=3, stop=AtMost(3), weight=TokenConfidence(), include_result=True)
    samples = (await call(voted, "37*8+56"))["result"].samples
    for sample in samples:
        assert sample.logprobs is not None
        assert sample.top_logprobs is not None
        assert len(sample.top_logprobs) == len(sample.logprobs)
        assert {len(top) for top in sample.top_logprobs} == {20}
        assert math.fsum(map(math.exp, sample.top_logprobs[0])) == pytest.approx(1, abs=1e-4)
    judged = best_of_n(chain, n=2, verifier=Likelihood(), include_result=True)
    verdicts = (await call(judged, "37*8+56"))["result"].verdicts
    assert all(verdict.outcome == "scored" for verdict in verdicts)


@pytest.mark.parametrize("streaming", [False, True])
async def test_over_http(streaming):
    """As a hosted model reports them, in one piece or as a stream."""
    async with ArithmeticServer() as server:
        model = ChatOpenAI(
            model="arithmetic-lm",
            base_url=server.url,
            api_key="none",
            logprobs=True,
            top_logprobs=5,
            streaming=streaming,
            stream_usage=True,
        )
        chain = with_strategy(model, PerplexityConsistency(4), include_result=True)
        result = (await chain.ainvoke("37*8+56"))["result"]
    for sample in result.samples:
        assert len(sample.logprobs) == len(sample.text)
        assert {len(top) for top in sample.top_logprobs} == {5}


async def test_p_true_of_a_chat_model(scripted):
    """A Runnable is asked through the adapter's sampler, and its calls are booked as verdicts."""
    token = [{"token": "No", "logprob": math.log(0.75)}]
    said = AIMessage("No", response_metadata={"logprobs": {"content": token}})
    asked = PTrue(RunnableSampler(scripted(said)))
    chain = best_of_n(scripted("5", "5"), n=2, verifier=asked, include_result=True)
    result = (await chain.ainvoke("2+3"))["result"]
    assert [verdict.score for verdict in result.verdicts] == pytest.approx([0.25, 0.25])
    assert result.ledger.by_role["verify"].calls == 2
