"""Evaluators over one cached client, in sync and async requests in turns."""

from __future__ import annotations

import pytest
from arithmetic_lm.server import ArithmeticServer
from llama_index.core.evaluation import FaithfulnessEvaluator, GuidelineEvaluator
from llama_index_thinktwice.query_engine import StrategyQueryEngine
from llama_index_thinktwice.verifiers import EvaluatorVerifier, VerifierEvaluator

from thinktwice import BestOfN, collect

openai = pytest.importorskip("llama_index.llms.openai")
pytestmark = pytest.mark.usefixtures("silent_remarks")

NAME = "gpt-4o-mini"  # the client takes no names that it does not know
PASSING = '{"passing": true, "feedback": "fine"}'


@pytest.fixture
def server():
    """It answers each question with the same words, which say yes."""
    with ArithmeticServer.in_thread(reply=lambda prompt, number: PASSING, names=[NAME]) as running:
        yield running


@pytest.fixture
def client(server):
    """Cached, as it is by default; it does not retry, so that nothing is hidden."""
    return openai.OpenAI(
        model=NAME, api_base=server.url, api_key="none", max_retries=0, temperature=0.8
    )


@pytest.mark.parametrize("turns", [5, pytest.param(100, marks=pytest.mark.slow)])
async def test_requests_in_turns(turns, server, client, index):
    """No call fails, and the server has seen each of those that were booked."""
    verifier = EvaluatorVerifier(GuidelineEvaluator(llm=client))
    engine = StrategyQueryEngine(
        query_engine=index.as_query_engine(llm=client, similarity_top_k=1),
        strategy=BestOfN(1, verifier=verifier, hedge=False),
    )
    with collect() as results:
        for _ in range(turns):
            engine.query("Where is the tower?")
            await engine.aquery("Where is the tower?")
    verdicts = [verdict for result in results for verdict in result.verdicts]
    assert [verdict.outcome for verdict in verdicts] == ["pass"] * 2 * turns
    entries = [entry for result in results for entry in result.ledger.entries]
    assert {entry.status for entry in entries} == {"ok"}
    assert len(entries) == len(server.log) == 4 * turns


async def test_evaluators_that_make_an_engine_of_their_own(server, client, index):
    """Faithfulness asks by a query engine over a list of the contexts."""
    verifier = EvaluatorVerifier(FaithfulnessEvaluator(llm=client), read=lambda _: True)
    engine = StrategyQueryEngine(
        query_engine=index.as_query_engine(llm=client, similarity_top_k=1),
        strategy=BestOfN(1, verifier=verifier, hedge=False),
    )
    with collect() as results:
        for _ in range(3):
            engine.query("Where is the tower?")
            await engine.aquery("Where is the tower?")
    assert {verdict.outcome for result in results for verdict in result.verdicts} == {"pass"}
    assert len(server.log) == 12


async def test_a_verifier_as_an_evaluator(client, answer):
    """Its sync door never binds the client to a loop that is gone, either."""
    evaluator = VerifierEvaluator(EvaluatorVerifier(GuidelineEvaluator(llm=client)))
    for _ in range(5):
        assert evaluator.evaluate_response("q", answer()).passing
        assert (await evaluator.aevaluate_response("q", answer())).passing
