"""The bench of repairs: its checks see what they say and no more, and draws are shared."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from thinktwice.sample import Sample

pytest.importorskip("arithmetic_lm")
sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))  # scripts, no package

import repair
import repair_arms

LIST = "fig 12 pear 34 plum 56:3 pear+2 plum"
RIGHT = "pear 34*3=102\nplum 56*2=112\n102+112=214\nA:214"


@pytest.fixture(scope="module")
def draws() -> repair_arms.Draws:
    """Of the small model."""
    return repair_arms.Draws("small")


async def verdict(check: object, text: str, question: str = LIST):
    """On a text."""
    return await check(Sample(index=0, value=text), prompt=question)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RIGHT, None),
        (RIGHT.replace("34*3=102", "34*3=112"), None),
        (RIGHT.replace("34*3", "56*3"), "Line 1, `pear 56*3=102`: the list says pear 34"),
        (RIGHT.replace("34*3", "34*2"), "asked for are 3"),
        (RIGHT.replace("pear", "fig"), "asked for are 0"),
        ("plum 56*2=112\nA:112", "Line 2: before it, pear is left out"),
        ("pear 34*3=102\npear 34*3=102\nA:204", "asked for are 0"),
    ],
)
async def test_the_list_check_reads_and_does_not_calculate(text, said):
    """A slip passes it; a wrong row, number or item does not."""
    found = await verdict(repair_arms.ListCheck(), text)
    assert found.outcome == ("pass" if said is None else "fail")
    assert said is None or said in found.feedback


async def test_the_exact_check_knows_all_of_it():
    """It names the line."""
    assert (await verdict(repair_arms.Exact(), RIGHT)).outcome == "pass"
    slip = RIGHT.replace("34*3=102", "34*3=112")
    assert (await verdict(repair_arms.Exact(), slip)).outcome == "pass"  # the answer is right
    wrong = await verdict(repair_arms.Exact(), slip.replace("A:214", "A:224"))
    assert wrong.feedback.startswith("Line 1: `pear 34*3=112`")
    assert (await verdict(repair_arms.Exact(), "6*25=150\nA:150", "6 25->150")).outcome == "pass"
    assert (await verdict(repair_arms.Exact(), "6+25=31\nA:31", "6 25->150")).outcome == "fail"


async def test_the_own_critic_is_sampled_anew_each_time():
    """The same check of the same draft is another draw, and the same for all runs."""
    draws = repair_arms.Draws("skilled")
    first, other = (repair_arms.own_critic(repair_arms.Asker(draws)) for _ in range(2))
    slip = RIGHT.replace("A:214", "A:215")
    said = [await verdict(first, slip) for _ in range(3)]
    assert {each.outcome for each in said} <= {"pass", "fail"}
    assert len({prompt for prompt, *_ in draws.said}) == 1
    assert len(draws.said) == 3
    assert [(await verdict(other, slip)).score for _ in range(3)] == [each.score for each in said]


async def test_all_runs_get_the_same_draws():
    """The n-th reply to a prompt; another temperature is another draw."""
    draws = repair_arms.Draws("small")  # a new one: it counts
    one, other = repair_arms.Asker(draws), repair_arms.Asker(draws)
    first = [(await one("37*8+56", options={})).value for _ in range(3)]
    assert [(await other("37*8+56", options={})).value for _ in range(3)] == first
    assert len(draws.said) == 3
    await one("37*8+56", options={"temperature": 1.0})
    assert len(draws.said) == 4


def test_a_vote_is_asked_of_a_family_at_least_as_dear(draws, monkeypatch):
    """Equal calls."""
    table = repair.Table("sums", 2, draws)
    dear = [repair_arms.Trial(right=True, calls=3, tokens=0)] * 2
    assert table.same_calls(dear).startswith("+")
    assert repair.calls(table.votes[-1]) >= 3
    assert all(repair.calls(each) < 3 for each in table.votes[:-1])
    beyond = [repair_arms.Trial(right=True, calls=99, tokens=0)] * 2
    monkeypatch.setattr(repair, "MOST_VOTES", 4)
    assert table.same_calls(beyond) == "dearer than any"


def test_the_chain_counts_what_was_mended_and_broken():
    """Of the wrong drafts, and of the right ones."""
    rounds = [
        (False, True),
        (False, False),
        (True, True),
        (True, True),
        (True, False),
        (True, True),
    ]
    said = repair.chain([repair_arms.Round(*each) for each in rounds])
    assert "a0 = 0.667" in said
    assert "f = 0.500 (1 of 2" in said
    assert "b = 0.250 (1 of 4" in said
    assert "f / (f + b) = 0.667; after one round 0.667" in said


def test_what_votes_are_counted_by():
    """A right countdown is one of many, so its operations are the answer."""
    assert repair_arms.key_of("price")(RIGHT) == "214"
    assert repair_arms.key_of("countdown")("6*25=150\nA:150\n") == "6*25=150\nA:150"
    for group in repair_arms.GROUPS:
        assert repair_arms.key_of(group)("6*25=150") is None
        assert repair_arms.key_of(group)(None) is None


@pytest.mark.parametrize("group", repair_arms.GROUPS)
def test_every_group_has_its_arms(group, draws):
    """The draft first; each makes a strategy."""
    made = repair_arms.arms(group)
    assert next(iter(made)) == repair_arms.DRAFT
    asker = repair_arms.Asker(draws)
    assert all(arm(asker).draws for arm in made.values())
    assert asyncio.iscoroutinefunction(asker.__call__)
