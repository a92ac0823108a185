"""A language model that compares two candidates."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice.budget import Limit
from thinktwice.errors import BudgetExceeded, UsageError
from thinktwice.sample import Completion, Sample
from thinktwice.testing import run_virtual
from thinktwice.verifiers import JudgePrompt
from thinktwice.verifiers.pairwise import PairwiseJudge, points_in

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD, BAD = Sample(index=0, value="good"), Sample(index=1, value="bad")


def says(better: object) -> str:
    return json.dumps({"reason": "r", "better": better})


def by_quality(prompt: str) -> str:
    """Prefers what is good, wherever it stands."""
    candidates = re.findall(r'^<candidate_(\w) \w+>\n"(\w+)"$', prompt, re.MULTILINE)
    return says(next((place for place, text in candidates if text == "good"), "tie"))


async def compared(judge: Callable[[str], object], **settings: object) -> float | None:
    verifier = PairwiseJudge(judge, rubric="the better one", **settings)  # type: ignore[arg-type]
    return await verifier.compare(GOOD, BAD, prompt="p")


async def test_the_better_one_gets_the_point_in_either_order():
    """1 for the first, 0 for the second."""
    judge = PairwiseJudge(by_quality, rubric="the better one")
    assert await judge.compare(GOOD, BAD, prompt="p") == 1
    assert await judge.compare(BAD, GOOD, prompt="p") == 0


@pytest.mark.parametrize("place", ["A", "B", "tie", " b "])
async def test_a_preference_for_a_place_is_half_a_point_each(place: str):
    """Where the orders disagree the judge has said nothing of the candidates."""
    assert await compared(lambda _: says(place)) == 0.5


async def test_one_order_that_ties_is_three_quarters():
    """Half of what the other one gave."""

    def judge(prompt: str) -> str:
        return says("A") if prompt.index('"good"') < prompt.index('"bad"') else says("tie")

    assert await compared(judge) == 0.75


async def test_a_comparison_counts_if_both_orders_could_be_read():
    """One alone may be a preference for its place."""
    assert (
        await compared(lambda p: says("A") if p.index('"good"') < p.index('"bad"') else "?") is None
    )
    assert await compared(lambda _: "A is better") is None


async def test_of_several_comparisons_the_mean_counts():
    """And only those that could be read."""
    replies = iter([says("A"), says("B"), says("A"), says("A"), "?", says("A")])
    assert await compared(lambda _: next(replies), repeats=3) == 0.75


@given(st.sampled_from(["A", "B", "tie", "?"]), st.sampled_from(["A", "B", "tie", "?"]))
def test_what_one_gets_the_other_does_not(forth: str, back: str):
    """Whatever a judge says, as long as it says the same of the same prompt."""

    def judge(prompt: str) -> str:
        return says(forth if prompt.index('"good"') < prompt.index('"bad"') else back)

    pairwise = PairwiseJudge(judge, rubric="r")
    one = run_virtual(pairwise.compare(GOOD, BAD, prompt="p"))
    other = run_virtual(pairwise.compare(BAD, GOOD, prompt="p"))
    assert (one is None) == (other is None) == ("?" in (forth, back))
    assert one is None or other is None or one + other == 1


async def test_a_judge_that_fails_says_nothing():
    """Its exceptions are no verdict on either candidate."""

    def judge(_: str) -> str:
        raise ConnectionError

    assert await compared(judge) is None


async def test_a_budget_and_a_mistake_of_the_caller_are_raised():
    """They are no matter of the candidates."""
    limit = Limit(kind="calls", allowed=1, spent=1)

    async def refused(*_: object, **__: object):
        raise BudgetExceeded(limit)

    judge = PairwiseJudge(len, rubric="r")
    with pytest.raises(BudgetExceeded):
        await judge.compare(GOOD, BAD, prompt="p", ask=refused)
    with pytest.raises(UsageError, match=r"^options="):
        await compared(by_quality, options={"temperature": 0})


async def test_it_is_blind_and_says_so_in_both_orders():
    """No name of a model, and each candidate in each place."""
    asked: list[str] = []
    one = Sample(index=0, value="one", model="model-x", sampler="large")
    judge = PairwiseJudge(
        lambda p: asked.append(p) or says("tie"), rubric="by style", reference="ref"
    )
    await judge.compare(one, BAD, prompt="task")
    assert not any("model-x" in prompt or "large" in prompt for prompt in asked)
    assert sorted(prompt.index('"one"') < prompt.index('"bad"') for prompt in asked) == [
        False,
        True,
    ]
    assert all('"task"' in prompt and '"ref"' in prompt for prompt in asked)
    assert all(prompt.count("by style") == 2 for prompt in asked)


async def test_chat_models_get_messages():
    """As for `Judge`."""
    asked: list[list[dict[str, str]]] = []
    await compared(lambda p: asked.append(p) or says("tie"), layout=JudgePrompt.messages)  # type: ignore[arg-type]
    assert [message["role"] for message in asked[0]] == ["system", "user"]


@pytest.mark.parametrize(
    ("reply", "points"),
    [
        (says("A"), 1),
        (says("b"), 0),
        (says("TIE"), 0.5),
        ({"better": "A"}, 1),
        (says("first"), None),
        (says(1), None),
        ('{"better": "A", "better": "B"}', None),
        ("A", None),
        (None, None),
    ],
    ids=repr,
)
def test_the_reply_is_read_strictly(reply: object, points: float | None):
    """One object with one of three words."""
    assert points_in(reply) == points


async def test_a_reply_that_was_cut_off_is_not_read():
    """Nobody knows how it would have ended."""
    cut = Completion(value=says("A"), finish_reason="length")
    assert await compared(lambda _: cut) is None


def test_calls_are_those_of_both_orders():
    """Which a budget has to afford."""
    assert PairwiseJudge(len, rubric="r").calls == 2
    assert PairwiseJudge(len, rubric="r", repeats=3).calls == 6


@pytest.mark.parametrize(
    ("parameter", "given"),
    [
        ("sampler", {"sampler": 1}),
        ("rubric", {"rubric": ""}),
        ("repeats", {"repeats": 0}),
        ("reference", {"reference": 3}),
    ],
)
def test_mistakes_are_found_at_construction(parameter: str, given: dict[str, object]):
    """By name."""
    with pytest.raises(UsageError, match=f"^{parameter}="):
        PairwiseJudge(**{"sampler": len, "rubric": "r", **given})  # type: ignore[arg-type]
