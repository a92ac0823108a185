"""Verifiers as evaluators of LlamaIndex."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.evaluation import BaseEvaluator, BatchEvalRunner
from llama_index.core.query_engine import RetryQueryEngine
from llama_index_thinktwice.query_engine import StrategyQueryEngine
from llama_index_thinktwice.sampler import LLMSampler
from llama_index_thinktwice.solver import blocking
from llama_index_thinktwice.verifiers import SourceGrounding, VerifierEvaluator
from pydantic import BaseModel

from thinktwice import BestOfN, UsageError, Verdict, collect
from thinktwice.stop import AtMost
from thinktwice.verifiers import Judge

pytestmark = pytest.mark.usefixtures("silent_remarks")


class Says:
    """A verifier that says what it is told to, and notes what it is asked."""

    name, exact = "says", False

    def __init__(self, verdict: Verdict | Exception) -> None:
        self.verdict = verdict
        self.asked: list[tuple[Any, Any, bool]] = []

    async def __call__(self, sample: Any, /, *, prompt: Any) -> Verdict:
        self.asked.append((sample.value, prompt, blocking.get()))
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


MEANINGS = [
    (Verdict(outcome="pass"), True, 1.0),
    (Verdict(outcome="pass", score=0.8), True, 0.8),
    (Verdict(outcome="fail", score=0.4), False, 0.4),
    (Verdict(outcome="scored", score=0.9), None, 0.9),
    (Verdict(outcome="not_applicable"), None, None),
    (Verdict(outcome="error", evidence=("broke",)), None, None),
]


@pytest.mark.parametrize(("verdict", "passing", "score"), MEANINGS)
async def test_what_a_verdict_means(verdict, passing, score, call, answer):
    """A check that breaks neither passes nor fails, and a mere score does not pass."""
    evaluator = VerifierEvaluator(Says(verdict))
    result = await call(evaluator, "evaluate_response", query="q", response=answer())
    assert (result.passing, result.score) == (passing, score)
    assert result.invalid_result is (verdict.outcome == "error")
    assert result.invalid_reason == ("broke" if result.invalid_result else None)
    assert result.query == "q"
    assert result.response == "An apple costs 3 dollars."
    assert result.contexts == ["An apple costs 3 dollars."]


@pytest.mark.parametrize(("score", "passing"), [(0.7, True), (0.69, False), (1.0, True)])
async def test_a_threshold(score, passing, call, answer):
    """Makes a pass of a score."""
    evaluator = VerifierEvaluator(Says(Verdict(outcome="scored", score=score)), threshold=0.7)
    assert (await call(evaluator, "evaluate_response", "q", answer())).passing is passing


async def test_texts_are_judged_as_a_response(call):
    """A check written for responses works on them."""
    says = Says(Verdict(outcome="pass"))
    await call(VerifierEvaluator(says), "evaluate", "q", "a", ["one", "two"])
    [(value, prompt, sync)] = says.asked
    assert isinstance(value, Response)
    assert (value.response, prompt, sync) == ("a", "q", not call.awaits)
    assert [each.get_content() for each in value.source_nodes] == ["one", "two"]


async def test_an_object_is_judged_as_it_is(call):
    """And is shown as its text."""

    class Bill(BaseModel):
        total: int

    says = Says(Verdict(outcome="pass"))
    response = PydanticResponse(Bill(total=3))
    result = await call(VerifierEvaluator(says), "evaluate_response", "q", response)
    assert says.asked[0][0] is response
    assert result.response == '{"total":3}'


async def test_a_plain_function_is_a_verifier(call, answer):
    """Of the response; what it returns that says nothing is an invalid result."""
    evaluator = VerifierEvaluator(lambda response: "dollars" in str(response))
    assert (await call(evaluator, "evaluate_response", "q", answer())).passing is True
    evaluator = VerifierEvaluator(lambda response: "dollars")  # type: ignore[arg-type,return-value]
    assert (await call(evaluator, "evaluate_response", "q", answer())).invalid_result


async def test_what_a_verifier_raises_arrives(call, answer):
    """As it is: LlamaIndex calls every RuntimeError a nested loop."""
    evaluator = VerifierEvaluator(Says(RuntimeError("mine")))
    with pytest.raises(RuntimeError, match=r"^mine$"):
        await call(evaluator, "evaluate_response", "q", answer())


async def test_inside_a_sync_request_it_stays_one(answer, request_by):
    """Whoever awaits it there has a loop of its own, that clients must not be bound to."""
    says = Says(Verdict(outcome="pass"))
    with request_by("sync"):
        await VerifierEvaluator(says).aevaluate_response("q", answer())
    assert says.asked[0][2] is True


def test_without_a_running_loop(answer):
    """It needs none."""
    evaluator = VerifierEvaluator(Says(Verdict(outcome="pass")))
    assert evaluator.evaluate_response("q", answer()).passing
    assert blocking.get() is False


@pytest.fixture
def unasked(scripted, monkeypatch):
    """LlamaIndex's retrying engine resolves an LLM, which it does not ask."""
    llm = scripted(AssertionError("asked"))
    monkeypatch.setattr(Settings, "_llm", llm)


class TestInLlamaIndex:
    async def test_an_engine_that_retries(self, call, index, scripted, unasked):
        """It asks again, with the feedback, until the answer is grounded."""
        llm = scripted("Paris was founded in 1900.", "The Eiffel tower stands in Paris.")
        engine = index.as_query_engine(llm=llm, similarity_top_k=3)
        grounded = VerifierEvaluator(SourceGrounding(), threshold=1.0)
        retrying = RetryQueryEngine(engine, grounded, max_retries=2)
        response = await call(retrying, "query", "Where is the tower?")
        assert str(response) == "The Eiffel tower stands in Paris."
        assert llm.calls == 2
        assert "Say what the passages say" in llm.log[1]["text"]

    @pytest.mark.filterwarnings("ignore:asyncio_module:DeprecationWarning")  # LlamaIndex's own
    async def test_a_batch(self, answer):
        """Of responses, and of texts."""
        evaluator = VerifierEvaluator(lambda response: "3" in str(response))
        runner = BatchEvalRunner({"three": evaluator}, workers=2)
        responses = [answer("3"), answer("4")]
        results = await runner.aevaluate_responses(queries=["a", "b"], responses=responses)
        assert [each.passing for each in results["three"]] == [True, False]
        results = await runner.aevaluate_response_strs(queries=["a"], response_strs=["3"])
        assert [each.passing for each in results["three"]] == [True]

    def test_it_has_no_prompts(self):
        """And lets those of an engine around it be updated."""
        evaluator = VerifierEvaluator(Says(Verdict(outcome="pass")))
        assert isinstance(evaluator, BaseEvaluator)
        assert evaluator.get_prompts() == {}
        evaluator.update_prompts({})


class TestInARun:
    async def test_its_model_calls_are_booked(self, call, index, scripted):
        """In the sample that they are made for, also from a loop of their own."""
        llm = scripted("Paris")
        judge = scripted('{"score": 10, "reason": "fine"}')
        evaluator = VerifierEvaluator(Judge(LLMSampler(judge), rubric="?"), threshold=0.5)
        engine = index.as_query_engine(llm=llm, similarity_top_k=1)
        strategy = BestOfN(2, verifier=lambda _: 1.0, stop=AtMost(2), hedge=False)
        retrying = RetryQueryEngine(engine, evaluator)
        wrapped = StrategyQueryEngine(query_engine=retrying, strategy=strategy)
        with collect() as results:
            async with asyncio.timeout(20):
                await call(wrapped, "query", "Where is the tower?")
        assert llm.calls == judge.calls == 2
        assert results[0].ledger.total.calls == 4
        assert {each["method"] for each in judge.log} == {"complete"}  # the engine is a sync one


@pytest.mark.parametrize(
    ("given", "remedy"),
    [(("x",), "pass a verifier"), ((Judge,), "make one of the class")],
)
def test_what_is_no_verifier(given, remedy):
    """The error says what is."""
    with pytest.raises(UsageError, match=remedy):
        VerifierEvaluator(*given)


async def test_a_text_is_no_list_of_contexts(call):
    """Its characters would be."""
    evaluator = VerifierEvaluator(lambda _: True)
    with pytest.raises(UsageError, match=r"contexts=a str: give a list of texts"):
        await call(evaluator, "evaluate", response="3", contexts="An apple costs 3 dollars.")


@pytest.mark.parametrize("threshold", [-0.1, 4, "x", True])
def test_what_is_no_threshold(threshold):
    """Scores are from 0 to 1."""
    with pytest.raises(UsageError, match=r"\[0, 1\]"):
        VerifierEvaluator(lambda _: True, threshold=threshold)
