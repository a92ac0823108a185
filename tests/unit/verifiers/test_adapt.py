"""Plain callables as verifiers."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction

import pytest

from thinktwice.errors import UsageError
from thinktwice.protocols import Verifier
from thinktwice.sample import Sample, Verdict
from thinktwice.verifiers import ExactMatch, as_verifier

SAMPLE = Sample(index=3, value="x")


async def verdict(check: object) -> Verdict:
    return await as_verifier(check)(SAMPLE, prompt="p")  # type: ignore[arg-type]


def test_a_verifier_passes_through():
    """It is not wrapped again."""
    verifier = ExactMatch("x")
    assert as_verifier(verifier) is verifier
    wrapped = as_verifier(lambda _: True)
    assert as_verifier(wrapped) is wrapped
    assert isinstance(wrapped, Verifier)


def test_the_class_of_a_verifier_was_to_be_called():
    """Another class is a callable like any: `bool` says whether there is anything."""
    with pytest.raises(UsageError, match=r"make one of the class: ExactMatch\(\.\.\.\)"):
        as_verifier(ExactMatch)
    assert as_verifier(bool).name == "bool"


@pytest.mark.parametrize(
    ("said", "outcome", "score"),
    [
        (True, "pass", 1.0),
        (False, "fail", 0.0),
        (0.25, "scored", 0.25),
        (1.0, "scored", 1.0),
        (1, "scored", 1.0),
        (0, "scored", 0.0),
        (Fraction(1, 4), "scored", 0.25),
    ],
    ids=repr,
)
async def test_what_a_callable_returns(said: object, outcome: str, score: float):
    """A bool decides; a number scores, even one of 1, and even an int."""
    found = await verdict(lambda _: said)
    assert (found.outcome, found.score) == (outcome, score)
    assert (found.verifier, found.sample) == ("<lambda>", 3)


@pytest.mark.parametrize("item", [True, 0.5])
async def test_scalars_of_arrays_count_as_what_they_hold(item: object):
    """Their bool is no bool of Python."""

    class Scalar:
        dtype = "any"

        def item(self) -> object:
            return item

    found = await verdict(lambda _: Scalar())
    assert found.outcome == ("pass" if item is True else "scored")


async def test_a_verdict_stays_as_it_is():
    """Only what it leaves open is filled in."""
    said = Verdict(outcome="not_applicable", feedback="no code", verifier="mine")
    found = await verdict(lambda _: said)
    assert found == Verdict(outcome="not_applicable", feedback="no code", verifier="mine", sample=3)


@pytest.mark.parametrize("said", [1.5, -0.1, float("nan"), 2])
async def test_a_score_outside_its_range_is_refused(said: float):
    """With the value seen."""
    with pytest.raises(UsageError, match=r"verifier=.*scale the score to \[0, 1\]"):
        await verdict(lambda _: said)


@pytest.mark.parametrize("said", [None, "secret", [0.5]], ids=repr)
async def test_what_is_no_verdict_is_refused(said: object):
    """By its type alone: it may hold the caller's text."""
    with pytest.raises(UsageError, match="return a bool") as caught:
        await verdict(lambda _: said)
    assert "secret" not in str(caught.value)


async def test_a_callable_gets_the_value():
    """And neither the sample nor the prompt."""
    assert (await verdict(lambda value: value == "x")).outcome == "pass"


async def test_async_callables_are_awaited_on_the_loop():
    """Functions, objects, and functions that return awaitables."""
    seen: list[threading.Thread] = []

    async def check(value: object) -> bool:
        seen.append(threading.current_thread())
        return value == "x"

    class Check:
        async def __call__(self, value: object) -> bool:
            return await check(value)

    def passes_on(value: object) -> object:
        return check(value)

    for each in (check, Check(), passes_on):
        assert (await verdict(each)).outcome == "pass"
    assert set(seen) == {threading.current_thread()}


async def test_a_sync_callable_does_not_block_the_loop():
    """It runs on a thread, and sees the context of the caller."""
    request: ContextVar[str] = ContextVar("request", default="")
    request.set("here")
    seen: list[object] = []
    await verdict(lambda _: seen.extend([threading.current_thread(), request.get()]) or True)
    assert seen[0] is not threading.current_thread()
    assert seen[1] == "here"


async def test_what_a_callable_raises_leaves_unchanged():
    """A check that breaks says nothing of the sample; the run decides what to do."""

    def broken(_: object) -> bool:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await verdict(broken)


def test_exact_has_to_be_said():
    """And by `True`: anything else may be an accident."""

    def check(_: object) -> bool:
        return True

    assert as_verifier(check).exact is False
    check.exact = True  # type: ignore[attr-defined]
    assert as_verifier(check).exact is True
    check.exact = "no"  # type: ignore[attr-defined]
    assert as_verifier(check).exact is False


def test_calls_are_carried():
    """For the budget: model calls that one verdict takes."""

    def check(_: object) -> bool:
        return True

    assert as_verifier(check).calls == 0  # type: ignore[attr-defined]
    check.calls = 2  # type: ignore[attr-defined]
    assert as_verifier(check).calls == 2  # type: ignore[attr-defined]


async def test_a_callable_with_the_names_of_a_verifier_is_still_a_callable():
    """What counts is how it is called."""

    @dataclass
    class Named:
        name: str = "mine"
        exact: bool = True

        def __call__(self, value: object) -> bool:
            return value == "x"

    verifier = as_verifier(Named())  # type: ignore[arg-type]
    assert (verifier.name, verifier.exact) == ("mine", True)
    assert (await verifier(SAMPLE, prompt="p")).outcome == "pass"


def test_what_cannot_be_called_is_refused():
    """As early as at construction."""
    with pytest.raises(UsageError, match="callable of the value"):
        as_verifier("x")  # type: ignore[arg-type]
