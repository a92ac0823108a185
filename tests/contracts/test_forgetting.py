"""Requests leave nothing behind that only the garbage collector could find."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING
from weakref import ref

import pytest
from opentelemetry import trace

from thinktwice import AtMost, BestOfN, Budget, Completion, Price, Usage, Vote, solve
from thinktwice.scope import current_scope
from thinktwice.stop import Lead
from thinktwice.testing import captured_spans, run_virtual

if TYPE_CHECKING:
    from collections.abc import Generator

    from thinktwice.strategy import Strategy

PRICES = {"m": Price("1", "2")}


@pytest.fixture(autouse=True)
def _uncollected() -> Generator[None]:
    """Nothing is collected meanwhile."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Prompt(str):
    """Of one request, and of its run."""

    __slots__ = ("__weakref__",)


class Remembered:
    """A sampler that remembers for whom it was called, as far as that is still there."""

    def __init__(self, *, slow: bool = False) -> None:
        self.slow = slow
        self.calls = 0
        self.seen: list[ref[object]] = []

    async def __call__(self, prompt: Prompt) -> Completion[str]:
        """Answer; every third call takes longer than the others."""
        self.calls += 1
        seen: tuple[object, ...] = (prompt, current_scope(), trace.get_current_span())
        self.seen += map(ref, seen)
        if self.slow:
            await asyncio.sleep(5 if self.calls % 3 == 0 else 1)
        usage = Usage(input_tokens=9, output_tokens=4, source="provider")
        return Completion(value="x", usage=usage, model="m")

    @property
    def left(self) -> list[object]:
        """What is still there."""
        return [there for each in self.seen if (there := each()) is not None]


async def judged(value: str) -> float:
    """A verifier."""
    return len(value) / 2


@pytest.mark.parametrize(
    ("strategy", "budget"),
    [
        pytest.param(Vote(6, stop=AtMost(6)), None, id="vote"),
        pytest.param(Vote(6), Budget(calls=3), id="cut short"),
        pytest.param(Vote(6), Budget(cost="0.01", tokens=10_000, seconds=9), id="caps"),
        pytest.param(BestOfN(3, verifier=judged), None, id="judged"),
        pytest.param(Vote(2, of=BestOfN(2, verifier=judged)), None, id="nested"),
    ],
)
def test_what_a_request_kept_goes_with_its_result(strategy: Strategy, budget: Budget | None):
    """Also while its loop goes on, which keeps the timers of stragglers that it never needed."""
    sampler = Remembered()

    async def main() -> None:
        for _ in range(4):  # after some calls it is known how long a call takes
            prompt = Prompt("x")
            result = await solve(
                prompt, sampler=sampler, strategy=strategy, budget=budget, prices=PRICES
            )
            sampler.seen += map(ref, result.ledger.entries)
            del prompt, result
        await asyncio.sleep(0)
        assert not sampler.left

    with captured_spans() as spans:
        run_virtual(main())
    assert spans
    assert sampler.seen


def test_what_was_recalled_goes_as_well():
    """The tracebacks of cancelled draws lead to nothing that leads back to them."""
    sampler = Remembered(slow=True)

    async def main() -> None:
        vote = Vote(8, stop=Lead(2), prefer="latency")
        result = await solve(Prompt("x"), sampler=sampler, strategy=vote, prices=PRICES)
        assert any(entry.status == "cancelled" for entry in result.ledger.entries)

    with captured_spans():
        run_virtual(main())
    assert sampler.seen
    assert not sampler.left
