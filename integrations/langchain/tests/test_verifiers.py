"""Runnables that judge: their calls are in the books as such, whoever makes them."""

from __future__ import annotations

import json
import pickle

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import (
    RunnableRetriever,
    RunnableSampler,
    RunnableVerifier,
    best_of_n,
    critique_repair,
    tool_check,
    with_strategy,
)

from thinktwice import BestOfN, Budget, Sample, UsageError, Verdict, Vote, solve
from thinktwice.verifiers import Judge

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


def scoring(model):
    """A chain that scores by its model."""
    return model | RunnableLambda(lambda message: float(message.text))


def roles(result):
    """Calls by role."""
    return {role: total.calls for role, total in result.ledger.by_role.items()}


@pytest.fixture
def drafts(scripted):
    return scripted("a", "b", "c") | StrOutputParser()


def by_letter(request):
    return {"a": "0.1", "b": "0.9", "c": "0.2"}[request["text"][-1]]


async def test_a_runnable_scores(scripted, drafts, call):
    """The best draft comes out; verdicts are booked as such and cost what they cost."""
    judge = scripted(by_letter)
    chain = best_of_n(drafts, n=3, verifier=scoring(judge), include_result=True)
    answer = await call(chain, "?")
    assert answer["value"] == "b"
    assert sorted(verdict.score for verdict in answer["result"].verdicts) == [0.1, 0.2, 0.9]
    assert roles(answer["result"]) == {"sample": 3, "verify": 3}
    assert answer["result"].ledger.by_role["verify"].usage.output_tokens == 15


async def test_under_invoke_a_runnable_is_invoked(scripted, drafts, call, runs):
    """Sync code calls sync code; its runs are traced below the wrapper."""
    judge = scripted(by_letter)
    chain = best_of_n(drafts, n=2, verifier=scoring(judge))
    await call(chain, "?", {"callbacks": [runs]})
    threads = {each["thread"] for each in judge.log}
    assert threads in ({"thinktwice"}, {"MainThread"})
    [first, *_] = [run for run in runs.named("model") if "sample" not in runs.path(run)]
    path = ["BestOfN[RunnableSequence]", "verify", "RunnableSequence", "model"]
    assert runs.path(first) == path


async def test_it_may_read_the_input(scripted, drafts, call):
    """With `inputs=`, beside the value."""
    judge = scripted(by_letter)
    prompt = ChatPromptTemplate.from_template("{question}: {answer}")
    verifier = RunnableVerifier(
        prompt | scoring(judge), inputs=lambda value, given: {"question": given, "answer": value}
    )
    chain = with_strategy(drafts, BestOfN(3, verifier=verifier))
    assert await call(chain, "who?") == "b"
    assert {each["text"][:4] for each in judge.log} == {"who?"}


async def test_an_exact_one_ends_at_the_first_pass(drafts, call):
    """A pass is proof then."""
    verifier = RunnableVerifier(RunnableLambda(lambda text: text == "a"), exact=True, name="tests")
    chain = best_of_n(drafts, n=3, verifier=verifier, prefer="cost", include_result=True)
    result = (await call(chain, "?"))["result"]
    assert result.launched == 1
    assert result.verdicts[0].verifier == "tests"


async def test_it_may_return_a_verdict(drafts, call):
    """Whole."""
    said = Verdict(outcome="fail", score=0.0, feedback="no")
    verifier = RunnableLambda(lambda _: said)
    chain = best_of_n(drafts, n=1, verifier=verifier, include_result=True)
    assert (await call(chain, "?"))["result"].verdicts[0].feedback == "no"


async def test_a_verifier_that_breaks_is_no_verdict(scripted, drafts, call):
    """Nor a failed sample."""
    chain = best_of_n(
        drafts, n=2, verifier=scoring(scripted(ValueError("no"))), include_result=True
    )
    result = (await call(chain, "?"))["result"]
    assert {verdict.outcome for verdict in result.verdicts} == {"error"}
    assert result.value is not None


async def test_a_callable_that_calls_a_model(scripted, drafts, call):
    """Is found through the context, also where it passes no config on."""
    judge = scripted(by_letter)

    def check(text: str) -> float:
        return float(judge.invoke(text).text)

    async def acheck(text: str) -> float:
        return float((await judge.ainvoke(text)).text)

    for verifier in (check, acheck):
        chain = best_of_n(drafts, n=3, verifier=verifier, include_result=True)
        answer = await call(chain, "?")
        assert answer["value"] == "b"
        assert roles(answer["result"]) == {"sample": 3, "verify": 3}


async def test_a_judge_over_a_model(scripted, drafts, call):
    """`RunnableSampler` makes a sampler of a model; its calls are booked once."""

    def grade(request) -> str:
        is_b = ">b<" in request["text"].replace("\n", "")
        return json.dumps({"reason": "", "score": 9 if is_b else 1})

    judge = Judge(RunnableSampler(scripted(grade)), rubric="10: right. 0: wrong.")
    chain = best_of_n(drafts, n=3, verifier=judge, include_result=True)
    answer = await call(chain, "?")
    assert roles(answer["result"]) == {"sample": 3, "verify": 3}
    assert {verdict.outcome for verdict in answer["result"].verdicts} == {"scored"}


async def test_a_callable_that_the_core_books_is_not_booked_again(scripted, drafts, call):
    """A judge over a plain callable is one call, whatever it does inside."""
    model = scripted('{"reason": "", "score": 5}')
    judge = Judge(lambda text: model.invoke(text).text, rubric="10: right. 0: wrong.")
    answer = await call(best_of_n(drafts, n=2, verifier=judge, include_result=True), "?")
    assert roles(answer["result"]) == {"sample": 2, "verify": 2}


async def test_verdicts_are_part_of_the_budget(scripted, drafts, call):
    """Refused at the model, like any other call."""
    judge = scripted(by_letter)
    chain = best_of_n(
        drafts, n=3, verifier=scoring(judge), include_result=True, budget=Budget(calls=4)
    )
    result = (await call(chain, "?"))["result"]
    assert result.ledger.total.calls <= 4
    assert result.value is not None


async def test_runnables_as_samplers_of_the_core(scripted):
    """Several by name, with options."""
    small, large = scripted("a"), scripted("b")
    samplers = {"small": RunnableSampler(small), "large": RunnableSampler(large)}
    result = await solve("?", sampler=samplers, strategy=Vote(2), options={"seed": 1})
    assert result.value.text == "a"
    assert small.log[0]["kwargs"] == {"seed": 1}
    assert result.ledger.total.usage.output_tokens == 5 * small.calls
    assert repr(samplers["small"]).startswith("RunnableSampler(")


async def test_outside_of_a_run_it_just_judges(scripted):
    """Nothing is booked."""
    verifier = RunnableVerifier(scoring(scripted("0.5")))
    verdict = await verifier(Sample(index=0, value="a"), prompt="?")
    assert verdict.score == 0.5


def test_what_it_says_of_itself(scripted):
    """Name and calls, and what is no Runnable."""
    verifier = RunnableVerifier(scoring(scripted("1")))
    assert (verifier.name, verifier.calls, verifier.exact) == ("RunnableSequence", 1, False)
    assert RunnableVerifier(RunnableLambda(len)).calls == 0
    pickled = pickle.loads(pickle.dumps(RunnableVerifier(StrOutputParser())))  # noqa: S301 - ours
    assert pickled.calls == 0
    with pytest.raises(UsageError, match="runnable"):
        RunnableVerifier(len)


def _of_both(value, given):
    return True


@pytest.mark.parametrize(
    "check",
    [_of_both, lambda: True, lambda value, *, given: True],
    ids=["of both", "of nothing", "of a keyword"],
)
def test_a_callable_that_does_not_take_the_output_alone_is_refused(scripted, check):
    """Each of its calls would fail, and the samples would count like votes."""
    for door in (
        lambda: best_of_n(scripted("a"), n=2, verifier=check),
        lambda: critique_repair(scripted("a"), check),
        lambda: tool_check(scripted("a"), check),
    ):
        with pytest.raises(UsageError, match="inputs="):
            door()


@pytest.mark.parametrize(
    "check",
    [str.isdigit, bool, lambda value, strict=True: True, max],
    ids=["a method", "a type", "a default", "a builtin"],
)
def test_callables_that_take_it_are_taken(scripted, check):
    """Built in or not, with further parameters that have a default."""
    assert best_of_n(scripted("a"), n=2, verifier=check).strategy.verifier is not None


def test_what_is_no_runnable_is_refused():
    """When it is made, by the name of the parameter and the value."""
    for kind in (RunnableSampler, RunnableVerifier):
        with pytest.raises(UsageError, match=r"^runnable=5: give a Runnable"):
            kind(5)
    with pytest.raises(UsageError, match=r"^retriever=5: give a retriever"):
        RunnableRetriever(5)


def test_a_tool_that_is_none_is_named_as_such(scripted):
    """Whether it cannot be called, or not with the output alone."""
    for tool in (5, lambda text, prompt: True):
        with pytest.raises(UsageError, match=r"^tools="):
            tool_check(scripted("a"), tool)
