"""Evaluators of LlamaIndex as verifiers."""

from __future__ import annotations

import asyncio
import copy
import math
from importlib.metadata import version
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.callbacks import CallbackManager
from llama_index.core.evaluation import (
    AnswerRelevancyEvaluator,
    BaseEvaluator,
    ContextRelevancyEvaluator,
    CorrectnessEvaluator,
    EvaluationResult,
    FaithfulnessEvaluator,
    GuidelineEvaluator,
    PairwiseComparisonEvaluator,
    RelevancyEvaluator,
    SemanticSimilarityEvaluator,
)
from llama_index.core.evaluation import guideline as guideline_module
from llama_index.core.evaluation.multi_modal import MultiModalFaithfulnessEvaluator
from llama_index.core.output_parsers import PydanticOutputParser
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import QueryBundle
from llama_index_thinktwice.llm import StrategyLLM
from llama_index_thinktwice.solver import AsyncDrawing, BlockingDrawing, Solver
from llama_index_thinktwice.verifiers import EvaluatorVerifier
from llama_index_thinktwice.verifiers.routing import failures
from pydantic import BaseModel

from thinktwice import BestOfN, Budget, CritiqueRepair, Price, UsageError, Verdict, collect
from thinktwice.history import History
from thinktwice.protocols import Verifier
from thinktwice.stop import AtMost
from thinktwice.testing import run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")

BAD = '{"passing": false, "feedback": "vague"}'
CASES: list[tuple[type[BaseEvaluator], str, str, float | None]] = [
    (FaithfulnessEvaluator, "YES", "pass", 1.0),
    (FaithfulnessEvaluator, "NO. Yesterday's info differs", "fail", 0.0),
    (FaithfulnessEvaluator, "NO, but yes partly", "error", None),
    (FaithfulnessEvaluator, "The eyes have it", "error", None),
    (FaithfulnessEvaluator, "", "error", None),
    (RelevancyEvaluator, "yes, it is", "pass", 1.0),
    (RelevancyEvaluator, "NO: a yes-man wrote it", "fail", 0.0),
    (RelevancyEvaluator, "not at all, yesterday", "error", None),
    (GuidelineEvaluator, '{"passing": true, "feedback": "ok"}', "pass", 1.0),
    (GuidelineEvaluator, f"Sure! {BAD}", "fail", 0.0),
    (CorrectnessEvaluator, "4.0\nfine", "pass", 0.75),
    (CorrectnessEvaluator, "3\n\nmeh", "fail", 0.5),
    (CorrectnessEvaluator, "Score: 4\nfine", "error", None),
    (CorrectnessEvaluator, "10\nwonderful", "error", None),
    (CorrectnessEvaluator, "nan\nhm", "error", None),
    (CorrectnessEvaluator, "", "error", None),
    (AnswerRelevancyEvaluator, "good [RESULT] 2", "scored", 1.0),
    (AnswerRelevancyEvaluator, "so so [RESULT] 1", "scored", 0.5),
    (AnswerRelevancyEvaluator, "bad [RESULT] 0", "scored", 0.0),
    (AnswerRelevancyEvaluator, "good [RESULT] 15", "error", None),
    (AnswerRelevancyEvaluator, "it says [RESULT] 2, but [RESULT] 0", "error", None),
    (AnswerRelevancyEvaluator, "good: 2 of 2", "error", None),
    (ContextRelevancyEvaluator, "good [RESULT] 4", "scored", 1.0),
    (ContextRelevancyEvaluator, "meh [RESULT] 1.5", "scored", 0.375),
    (ContextRelevancyEvaluator, "wow [RESULT] 5", "error", None),
    (ContextRelevancyEvaluator, "hm", "error", None),
    (MultiModalFaithfulnessEvaluator, "No. Yesterday", "fail", 0.0),
]
RAISING = [
    (GuidelineEvaluator, "passing: yes"),
    (GuidelineEvaluator, '{"passing": true'),
    (GuidelineEvaluator, '{"passing": true, "feedback": "a"} {"passing": false, "feedback": "b"}'),
    (CorrectnessEvaluator, "4.5"),
    (ContextRelevancyEvaluator, "hm [RESULT] ..."),
]

swallowing = pytest.mark.skipif(
    version("llama-index-core") == "0.14.0",
    reason="synthesizers of this release let a ValueError out",
)


class Own(BaseEvaluator):
    """An evaluator of the user's, which says what it is told to."""

    def __init__(self, **said: Any) -> None:
        self.said = said
        self.given: list[dict[str, Any]] = []

    def _get_prompts(self) -> dict[str, Any]:
        return {}

    def _update_prompts(self, prompts: Any) -> None:
        return None

    async def aevaluate(self, query=None, response=None, contexts=None, **more):
        self.given.append({"query": query, "response": response, "contexts": contexts, **more})
        return EvaluationResult(**self.said)


def judging(kind: type[BaseEvaluator], llm: Any, **settings: Any) -> Any:
    name = "multi_modal_llm" if "MultiModal" in kind.__name__ else "llm"
    return kind(**{name: llm}, **settings)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].__name__}: {case[1]}")
async def test_what_a_reply_means(case, scripted, judge):
    """Read strictly, on a scale from 0 to 1; what cannot be read is an error and never a pass."""
    kind, reply, outcome, score = case
    verdict = await judge(EvaluatorVerifier(judging(kind, scripted(reply))))
    assert (verdict.outcome, verdict.score) == (outcome, score)
    assert (verdict.verifier, verdict.sample) == (kind.__name__, 4)
    assert (verdict.evidence != ()) == (outcome == "error")


@pytest.mark.parametrize(("kind", "reply"), RAISING)
async def test_what_an_evaluator_trips_over_is_an_error_in_a_run(kind, reply, scripted, answer):
    """Not a fail, and not a failed sample: it says nothing of the answer."""
    verifier = EvaluatorVerifier(judging(kind, scripted(reply)))

    async def draw(prompt):
        return answer()

    solver = Solver(BestOfN(1, verifier=verifier))
    result = await solver.solve(QueryBundle("q"), AsyncDrawing(draw, History()))
    assert [verdict.outcome for verdict in result.verdicts] == ["error"]
    assert result.verdicts[0].evidence[0] in {"ValueError", "ValidationError"}
    assert str(result.value) == str(answer())


async def test_similarity_is_no_less_than_nothing(judge, embedding):
    """A cosine may be below 0."""

    def opposite(one, other):
        return -0.5

    low = SemanticSimilarityEvaluator(embed_model=embedding, similarity_fn=opposite)
    verdict = await judge(EvaluatorVerifier(low, reference="anything"))
    assert (verdict.outcome, verdict.score) == ("fail", 0.0)
    same = SemanticSimilarityEvaluator(embed_model=embedding)
    verdict = await judge(EvaluatorVerifier(same, reference="An apple costs 3 dollars."))
    assert verdict.outcome == "pass"
    assert math.isclose(verdict.score, 1.0)


class TestTheScale:
    @given(
        low=st.floats(-100, 100),
        size=st.floats(0.1, 100),
        share=st.floats(0, 1),
        threshold=st.floats(0, 1),
    )
    def test_is_from_0_to_1(self, low, size, share, threshold):
        """Of any range, and the threshold is on it."""
        own = Own(score=low + share * size)
        verifier = EvaluatorVerifier(own, score_range=(low, low + size), threshold=threshold)
        verdict = run_virtual(ask(verifier))
        assert 0 <= verdict.score <= 1
        assert math.isclose(verdict.score, share, abs_tol=1e-6)
        assert verdict.outcome == ("pass" if verdict.score >= threshold else "fail")

    @given(st.floats(0, 1), st.floats(0, 1))
    def test_a_higher_score_stays_higher(self, one, other):
        """Nothing of the order is lost."""
        scores = [
            run_virtual(ask(EvaluatorVerifier(Own(score=each)))).score for each in (one, other)
        ]
        assert (scores[0] < scores[1]) == (one < other)

    @pytest.mark.parametrize("score", [-0.1, 1.1, math.nan, math.inf, 4.0])
    async def test_what_is_off_it_is_an_error_that_says_so(self, score, judge):
        """And no best score."""
        verdict = await judge(EvaluatorVerifier(Own(score=score, passing=True)))
        assert verdict.outcome == "error"
        assert "score_range" in verdict.evidence[0]

    async def test_is_that_of_the_threshold_of_the_evaluator(self, scripted, judge):
        """Which divides its points by it."""
        own = AnswerRelevancyEvaluator(llm=scripted("good [RESULT] 2"), score_threshold=1.0)
        assert (await judge(EvaluatorVerifier(own))).score == 1.0


class TestOtherResults:
    @pytest.mark.parametrize(
        ("said", "outcome"),
        [
            ({"passing": True}, "pass"),
            ({"passing": False}, "fail"),
            ({"score": 0.4}, "scored"),
            ({"score": 1.0}, "scored"),
            ({}, "error"),
            ({"passing": True, "score": 1.0, "invalid_result": True}, "error"),
        ],
    )
    async def test_what_they_mean(self, said, outcome, judge):
        """A mere score never passes, and an invalid result says nothing."""
        assert (await judge(EvaluatorVerifier(Own(**said)))).outcome == outcome

    async def test_an_invalid_result_says_why(self, judge):
        """In the evaluator's words."""
        own = Own(invalid_result=True, invalid_reason="no luck")
        assert (await judge(EvaluatorVerifier(own))).evidence == ("no luck",)

    async def test_a_reader_of_the_users(self, judge):
        """It has the last word."""
        own = Own(passing=True, feedback="meh")
        for said, outcome in (
            (False, "fail"),
            (0.5, "scored"),
            (Verdict(outcome="error"), "error"),
        ):
            verifier = EvaluatorVerifier(own, read=lambda result, said=said: said)
            assert (await judge(verifier)).outcome == outcome

    async def test_a_parser_of_the_users(self, scripted, judge):
        """Replies are read as it reads them."""
        own = AnswerRelevancyEvaluator(llm=scripted("five"), parser_function=lambda _: (1.0, "ok"))
        assert (await judge(EvaluatorVerifier(own))).score == 0.5

    async def test_a_kind_of_the_users(self, scripted, judge):
        """One that evaluates in its own way is read in its own way."""

        class Lenient(FaithfulnessEvaluator):
            async def aevaluate(self, query=None, response=None, contexts=None, **more):
                return EvaluationResult(passing=True, score=0.8, feedback="fine")

        verdict = await judge(EvaluatorVerifier(Lenient(llm=scripted("x"))), Response("an answer"))
        assert (verdict.outcome, verdict.score, verdict.feedback) == ("pass", 0.8, "fine")


class TestWhatItIsGiven:
    async def test_question_answer_and_sources(self, judge, answer):
        """In the texts that evaluators take."""
        own = Own(passing=True)
        await judge(EvaluatorVerifier(own), answer("a", "one", "two"))
        assert own.given == [
            {"query": "What does an apple cost?", "response": "a", "contexts": ["one", "two"]}
        ]

    @pytest.mark.parametrize(
        ("prompt", "query"),
        [
            ("q", "q"),
            (QueryBundle("q", custom_embedding_strs=["other"]), "q"),
            ([ChatMessage("be nice", role="system"), ChatMessage("q", role="user")], "q"),
            ([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "q"),
        ],
    )
    async def test_the_question(self, prompt, query, judge):
        """Of a conversation, what the user said last."""
        own = Own(passing=True)
        await judge(EvaluatorVerifier(own), prompt=prompt)
        assert own.given[0]["query"] == query

    async def test_an_object_is_given_as_its_text(self, judge, answer):
        """Evaluators take no other."""

        class Bill(BaseModel):
            total: int

        own = Own(passing=True)
        value = PydanticResponse(Bill(total=3), source_nodes=answer().source_nodes)
        await judge(EvaluatorVerifier(own), value)
        assert own.given[0]["response"] == '{"total":3}'
        assert own.given[0]["contexts"] == ["An apple costs 3 dollars."]

    async def test_a_value_without_a_text_is_given_as_json(self, judge):
        """A dict, say, of a sampler of the user's."""
        own = Own(passing=True)
        await judge(EvaluatorVerifier(own), {"total": 3})
        assert own.given[0]["response"] == '{"total":3}'
        assert own.given[0]["contexts"] == []

    @pytest.mark.parametrize("contexts", [["one"], lambda prompt, value: [f"{prompt} {value}"]])
    async def test_contexts_in_place_of_sources(self, contexts, judge):
        """For what is no response of a query engine."""
        own = Own(passing=True)
        await judge(EvaluatorVerifier(own, contexts=contexts), "a", prompt="q")
        assert own.given[0]["contexts"] == (["one"] if isinstance(contexts, list) else ["q a"])

    @pytest.mark.parametrize(
        "kind", [FaithfulnessEvaluator, RelevancyEvaluator, ContextRelevancyEvaluator]
    )
    @pytest.mark.parametrize("value", [Response("x"), "x"])
    async def test_without_sources_nobody_is_asked(self, kind, value, scripted, judge):
        """It is an error: LlamaIndex would fail the answer without asking either."""
        llm = scripted("YES")
        verdict = await judge(EvaluatorVerifier(kind(llm=llm)), value)
        assert (verdict.outcome, llm.calls) == ("error", 0)
        assert "contexts=" in verdict.evidence[0]

    async def test_without_a_text_nobody_is_asked(self, scripted, judge, answer):
        """There is nothing to evaluate."""
        llm = scripted("YES")
        verdict = await judge(EvaluatorVerifier(FaithfulnessEvaluator(llm=llm)), answer(None))
        assert (verdict.outcome, llm.calls) == ("error", 0)

    async def test_a_reference(self, scripted, judge):
        """A text, or of the prompt; where none is known there is nothing to compare with."""
        llm = scripted("5\nright")
        known = {"q": "three dollars"}.get
        verifier = EvaluatorVerifier(CorrectnessEvaluator(llm=llm), reference=known)
        assert (await judge(verifier, prompt="q")).outcome == "pass"
        assert "three dollars" in llm.log[0]["text"]
        assert (await judge(verifier, prompt="other")).outcome == "not_applicable"
        assert llm.calls == 1


class TestNothingOfTheUsersChanges:
    async def test_the_llm_keeps_its_callback_manager(self, scripted, judge):
        """LlamaIndex gives the LLM of a query engine another one."""
        manager = CallbackManager()
        llm = scripted("YES", callback_manager=None)
        llm.callback_manager = manager
        evaluator = FaithfulnessEvaluator(llm=llm)
        before = copy.copy(vars(evaluator))
        await judge(EvaluatorVerifier(evaluator))
        assert llm.callback_manager is manager
        assert vars(evaluator) == before
        assert evaluator._llm is llm

    async def test_one_told_to_raise_fails_the_answer(self, scripted, judge):
        """Its error would say that the check broke."""
        evaluator = FaithfulnessEvaluator(llm=scripted("NO"), raise_error=True)
        assert (await judge(EvaluatorVerifier(evaluator))).outcome == "fail"
        assert evaluator._raise_error is True

    async def test_each_guideline_evaluator_asks_for_its_own_format(self, scripted, judge):
        """The template is one for all, and the last one made has put its format in."""

        class Other(BaseModel):
            verdict_of_mine: str

        llm = scripted('{"passing": true, "feedback": "ok"}')
        first = GuidelineEvaluator(llm=llm)
        GuidelineEvaluator(llm=llm, output_parser=PydanticOutputParser(output_cls=Other))
        shared = guideline_module.DEFAULT_EVAL_TEMPLATE
        before = shared.output_parser
        assert (await judge(EvaluatorVerifier(first))).outcome == "pass"
        assert "passing" in llm.log[0]["text"]
        assert "verdict_of_mine" not in llm.log[0]["text"]
        assert shared.output_parser is before

    async def test_prompts_that_the_user_updates_later_count(self, scripted, judge):
        """The copy is made for each verdict."""
        llm = scripted("YES")
        evaluator = RelevancyEvaluator(llm=llm)
        verifier = EvaluatorVerifier(evaluator)
        mine = PromptTemplate("Mine: {query_str} {context_str}")
        evaluator.update_prompts({"eval_template": mine})
        await judge(verifier)
        assert "Mine: " in llm.log[0]["text"]


class TestWhatTheFeedbackIs:
    async def test_of_a_bare_no(self, scripted, judge):
        """It would tell nobody what to mend."""
        verdict = await judge(EvaluatorVerifier(FaithfulnessEvaluator(llm=scripted("NO"))))
        assert "sources do not support" in verdict.feedback

    async def test_of_the_others(self, scripted, judge):
        """The judge's words."""
        verdict = await judge(EvaluatorVerifier(GuidelineEvaluator(llm=scripted(BAD))))
        assert verdict.feedback == "vague"


class TestInARun:
    async def test_it_chooses(self, call, scripted, answer):
        """With the calls of its LLM booked as what they are for, sync and async."""
        llm = scripted(lambda request: "YES" if "right" in request["text"] else "NO")
        made = iter(["wrong", "right", "wrong too"])
        verifier = EvaluatorVerifier(FaithfulnessEvaluator(llm=llm))
        solver = Solver(
            BestOfN(3, verifier=verifier, hedge=False),
            prices={"fake-1": Price(input="1", output="1")},
        )
        result = await solved(call, solver, lambda: answer(next(made)))
        assert str(result.value) == "right"
        judged = result.ledger.by_role["verify"]
        assert judged.calls == llm.calls == 3
        assert judged.usage.output_tokens == 15
        assert judged.cost is not None
        assert "tool" not in result.ledger.by_role

    async def test_it_calls_as_the_request_came_in(self, call, scripted, answer):
        """Sync methods on threads, or async ones on the loop: evaluators know only these."""
        llm = scripted("YES")
        verifier = EvaluatorVerifier(RelevancyEvaluator(llm=llm))
        await solved(call, Solver(BestOfN(2, verifier=verifier, hedge=False)), answer)
        method, thread = ("achat", "MainThread") if call.awaits else ("chat", "thinktwice")
        assert {(each["method"], each["thread"]) for each in llm.log} == {(method, thread)}

    async def test_repair_gets_its_words(self, call, scripted, answer):
        """And ends when it passes, which an inexact check must confirm."""
        llm = scripted(BAD, BAD, *['{"passing": true, "feedback": "ok"}'] * 2)
        asked = []

        class Noted:
            def revise(self, prompt, draft, feedback):
                asked.append(str(feedback))
                return prompt

        made = iter(["bad", "good"])
        solver = Solver(CritiqueRepair(EvaluatorVerifier(GuidelineEvaluator(llm=llm))))
        result = await solved(call, solver, lambda: answer(next(made)), prompting=Noted())
        assert str(result.value) == "good"
        assert asked[-1] == "vague"

    async def test_a_budget_keeps_calls_back_for_it(self, scripted, answer):
        """A sample that could not be judged is not drawn."""
        llm, drawn = scripted("YES"), []
        verifier = EvaluatorVerifier(FaithfulnessEvaluator(llm=llm))
        strategy = BestOfN(8, verifier=verifier, stop=AtMost(8), hedge=False)

        async def draw(prompt):
            drawn.append(prompt)
            return answer()

        solver = Solver(strategy, budget=Budget(calls=4))
        result = await solver.solve(QueryBundle("q"), AsyncDrawing(draw, History()))
        assert (len(drawn), llm.calls) == (2, 2)
        assert result.cut.kind == "calls"

    async def test_at_the_door_of_an_llm_a_strict_budget_holds(self, call, scripted):
        """Its calls are booked before they are sent, and refused where they do not fit."""
        llm, judge = scripted("a", "b", max_tokens=5), scripted("good [RESULT] 1", max_tokens=5)
        verifier = EvaluatorVerifier(AnswerRelevancyEvaluator(llm=judge))
        voting = StrategyLLM(
            llm=llm,
            strategy=BestOfN(4, verifier=verifier, hedge=False),
            budget=Budget(calls=4, cost="0.01", strict=True),
            prices={"fake-1": Price(input="1", output="1")},
        )
        with collect() as results:
            await call(voting, "chat", [ChatMessage("q")])
        assert (llm.calls, judge.calls) == (2, 2)
        assert results[0].ledger.enforcement["cost"] == "reserved"
        assert results[0].ledger.enforcement["calls"] == "exact"

    async def test_one_at_a_time(self, call, scripted, answer):
        """A judge waits for no place that its own verdict holds."""
        verifier = EvaluatorVerifier(FaithfulnessEvaluator(llm=scripted("YES")))
        solver = Solver(BestOfN(3, verifier=verifier, hedge=False), max_concurrency=1)
        result = await solved(call, solver, answer)
        assert [verdict.outcome for verdict in result.verdicts] == ["pass"] * 3

    async def test_an_llm_that_is_down_fails_nobody(self, call, scripted, answer):
        """The verdict is an error, and the call is booked as one."""
        verifier = EvaluatorVerifier(FaithfulnessEvaluator(llm=scripted(ConnectionError("down"))))
        result = await solved(call, Solver(BestOfN(1, verifier=verifier)), answer)
        assert result.verdicts[0].outcome == "error"
        assert result.verdicts[0].evidence == ("ConnectionError",)
        assert [entry.status for entry in result.ledger.entries if entry.role == "verify"] == [
            "error"
        ]

    @swallowing
    async def test_a_failure_that_llamaindex_swallows_is_told(self, call, scripted, answer):
        """Synthesizers make an empty response of a ValueError: its type is the evidence."""
        verifier = EvaluatorVerifier(FaithfulnessEvaluator(llm=scripted(ValueError("secret"))))
        result = await solved(call, Solver(BestOfN(1, verifier=verifier)), answer)
        assert result.verdicts[0].outcome == "error"
        assert result.verdicts[0].evidence == ("a call of the evaluator failed: ValueError",)
        assert failures.get() is None

    @swallowing
    async def test_a_reply_that_cannot_be_read_is_no_failure(self, call, scripted, answer):
        """Nor is one after another verdict's call has failed."""
        replies = [ValueError("secret"), "Who knows?"]
        verifier = EvaluatorVerifier(FaithfulnessEvaluator(llm=scripted(*replies)))
        strategy = BestOfN(2, verifier=verifier, hedge=False, stop=AtMost(2))
        result = await solved(call, Solver(strategy, max_concurrency=1), answer)
        said = sorted(verdict.evidence[0][:18] for verdict in result.verdicts)
        assert said == ["a call of the eval", "the judge's reply "]

    async def test_a_cancelled_request_leaves_nothing_behind(self, scripted, answer):
        """The call of the judge is in flight then."""
        llm = scripted("YES", seconds=30.0)
        solver = Solver(BestOfN(2, verifier=EvaluatorVerifier(FaithfulnessEvaluator(llm=llm))))

        async def draw(prompt):
            return answer()

        before = asyncio.all_tasks()
        task = asyncio.create_task(solver.solve(QueryBundle("q"), AsyncDrawing(draw, History())))
        while not llm.calls:  # noqa: ASYNC110 - it is told by nobody
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == before
        assert not llm._in_flight


class TestMaking:
    def test_it_is_a_verifier(self, scripted):
        """Of a name, with the calls it takes."""
        verifier = EvaluatorVerifier(FaithfulnessEvaluator(llm=scripted("YES")))
        assert isinstance(verifier, Verifier)
        assert (verifier.name, verifier.exact, verifier.calls) == (
            "FaithfulnessEvaluator",
            False,
            1,
        )
        assert (verifier.role, verifier.sampler.model) == ("verify", "fake-1")

    def test_one_without_an_llm_is_a_tool(self, embedding):
        """It takes no calls."""
        evaluator = SemanticSimilarityEvaluator(embed_model=embedding)
        verifier = EvaluatorVerifier(evaluator, reference="x", name="like")
        assert (verifier.calls, verifier.role, verifier.sampler) == (0, "tool", None)
        assert verifier.name == "like"

    @pytest.mark.parametrize(
        ("given", "remedy"),
        [
            ({"score_range": (5, 1)}, "worst score"),
            ({"threshold": 4.0}, r"\[0, 1\]"),
            ({"threshold": True}, r"\[0, 1\]"),
            ({"reference": " "}, "right answer"),
            ({"read": "x"}, "function of an EvaluationResult"),
            ({"score_range": 3}, "score_range=3"),
            ({"contexts": 3}, "contexts=an int: give a list of texts"),
            ({"contexts": "text"}, "contexts=a str: give a list of texts"),
            ({"contexts": [3]}, "contexts=a list: give a list of texts"),
            ({"exact": "x"}, "exact='x': give True or False"),
        ],
    )
    def test_bad_parameters(self, given, remedy):
        """Each is refused with what to give."""
        with pytest.raises(UsageError, match=remedy):
            EvaluatorVerifier(Own(), **given)

    @pytest.mark.parametrize("given", [None, "faithfulness", FaithfulnessEvaluator])
    def test_what_is_no_evaluator(self, given):
        """A class is none, either."""
        with pytest.raises(UsageError, match="FaithfulnessEvaluator"):
            EvaluatorVerifier(given)

    def test_one_that_compares(self, scripted):
        """It judges two answers."""
        with pytest.raises(UsageError, match=r"evaluator=a PairwiseComp.*: .*Knockout"):
            EvaluatorVerifier(PairwiseComparisonEvaluator(llm=scripted("[[A]]")))

    def test_one_that_needs_a_reference(self, embedding):
        """It could say nothing."""
        with pytest.raises(UsageError, match="SemanticSimilarityEvaluator compares"):
            EvaluatorVerifier(SemanticSimilarityEvaluator(embed_model=embedding))

    def test_a_template_without_a_place_for_the_answer(self, scripted):
        """LlamaIndex ships one: the judge would be asked about a pair of braces."""
        evaluator = FaithfulnessEvaluator(llm=scripted("YES", model_name="llama3:8b"))
        with pytest.raises(UsageError, match=r"\{context_str\} and \{query_str\}"):
            EvaluatorVerifier(evaluator)
        mapped = PromptTemplate(
            "{claim} {text}", template_var_mappings={"query_str": "claim", "context_str": "text"}
        )
        EvaluatorVerifier(FaithfulnessEvaluator(llm=scripted("YES"), eval_template=mapped))

    def test_beside_a_strategy_the_evaluator_itself_is_refused(self, scripted):
        """The error says what makes a verifier of it."""
        with pytest.raises(UsageError, match="an adapter makes one of an evaluator"):
            BestOfN(2, verifier=FaithfulnessEvaluator(llm=scripted("YES")))


async def ask(verifier: Any) -> Any:
    from thinktwice.sample import Sample

    return await verifier(Sample(index=0, value="x"), prompt="q")


async def solved(call: Any, solver: Solver, make: Any, **more: Any) -> Any:
    """Run it by a sync, or by an async door."""
    question = QueryBundle("q")

    async def draw(prompt):
        return make()

    if call.awaits:
        return await solver.solve(question, AsyncDrawing(draw, History()), **more)
    return solver.solve_sync(question, BlockingDrawing(lambda _: make(), History()), **more)
