"""Runs that end in every way: cut, cancelled, interrupted, refused, recalled, nested and shared."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.contracts.traced import MARK, PRICES, A, B, model, run, said
from thinktwice import (
    BestOfN,
    Budget,
    Completion,
    Limiter,
    Pool,
    UsageError,
    Verdict,
    Vote,
    budget_scope,
    solve,
)
from thinktwice.stop import AtMost, Lead, Quorum
from thinktwice.stop.algebra import Stop
from thinktwice.strategies.critique_repair import CritiqueRepair
from thinktwice.testing import ScriptedSampler
from thinktwice.vary import Vary

if TYPE_CHECKING:
    from thinktwice.result import Result
    from thinktwice.stop.tally import Tally
    from thinktwice.workflow import BudgetScope

QUICK: Final = [said(A), said(B, 11), said(A, 13)]


class ControlFlow(Exception):  # noqa: N818 - it is none
    """Of a framework's own."""


class Framework(ScriptedSampler[object]):
    """What it raises leaves a run as it is."""

    passthrough = ControlFlow


@dataclass(frozen=True)
class Unless(Stop):
    """A rule of the user's own, which holds content."""

    answer: str

    def fired(self, tally: Tally) -> Stop | None:
        return self if tally.finished else None


@dataclass
class Bare:
    """A model that is counted by nobody and has no name; `fails` as often as it can."""

    seconds: float = 1.0

    async def __call__(self, prompt: object, /) -> object:
        await asyncio.sleep(self.seconds)
        return A


class Refused(Exception):  # noqa: N818 - it is none of ours
    """By a gateway, or by nobody at all."""

    def __init__(self, status: int | None = None) -> None:
        super().__init__(MARK)
        self.status = status


def replicas(*errors: Exception | None) -> Pool[object, object]:
    """Of one model, some of which always fail."""
    return Pool([model([said(A)] if error is None else [error], 1) for error in errors])


def raising(error: BaseException, after: int = 2) -> object:
    """The third of three calls raises."""
    script = [said(A), said(B)][:after]
    numbers = iter(range(99))

    async def sampler(prompt: object, /) -> object:
        number = next(numbers)
        await asyncio.sleep(1 + number)
        if number == after:
            raise error
        return script[number % len(script)]

    return sampler


def refusing(_: object) -> object:
    """A key that breaks."""
    raise UsageError("key", MARK, MARK)


async def cancelled() -> Result[object]:
    """By its caller, while one has answered and others are under way."""
    task = asyncio.ensure_future(run(BestOfN(3, verifier=Slow()), model(QUICK, [1, 5, 9]))())
    await asyncio.sleep(3)
    task.cancel()
    return await task


class Slow:
    """A verifier that takes its time."""

    name, exact = "slow", False

    async def __call__(self, sample: object, /, *, prompt: object) -> object:
        await asyncio.sleep(50)
        raise AssertionError


async def steps() -> BudgetScope:
    """Two strategy calls of one workflow."""
    with budget_scope(Budget(calls=4, cost=1), steps={"first": 1, "second": 1}) as scope:
        for name in ("first", "second"):
            with scope.step(name):
                await run(Vote(3, stop=AtMost(3)), model(QUICK, 1))()
    return scope


async def _vote_inside(prompt: object, /) -> object:
    inner = await solve(prompt, sampler=model(QUICK, 1), strategy=Vote(2), prices=PRICES)
    return inner.value


class Panel:
    """A verifier that holds a vote of its own."""

    name, exact, calls = "panel", False, 2

    async def __call__(self, sample: object, /, *, prompt: object) -> object:
        await _vote_inside(prompt)
        return Verdict(outcome="scored", score=0.5, feedback=MARK)


async def queued() -> Result[object]:
    """Most of it waits for a limiter, and is recalled there."""
    limiter = Limiter(requests_per_minute=2)
    return await run(
        Vote(5, stop=Lead(2), prefer="latency"), model([said(A)], 1), limiter=limiter
    )()


ENDINGS: Final = {
    "cancelled by its caller": cancelled,
    "interrupted": run(Vote(3, stop=AtMost(3)), raising(KeyboardInterrupt(MARK))),
    "left by control flow": run(
        Vote(3, stop=AtMost(3), prefer="latency"),
        Framework([said(A), ControlFlow(MARK)], seconds=1),
    ),
    "a key that breaks": run(Vote(3, stop=AtMost(3), key=refusing), model(QUICK, 1)),
    "failures of several kinds": run(Vote(2), model([KeyError(MARK), ValueError(MARK)], 1)),
    "out of time before the first": run(Vote(2), model(QUICK, 9), budget=Budget(seconds=1)),
    "out of budget, and raising": run(
        Vote(5, stop=AtMost(5)), model(QUICK, 1), budget=Budget(calls=2), on_exhausted="raise"
    ),
    "a strict budget": run(Vote(2), Bare(), budget=Budget(tokens=1000, strict=True)),
    "a rule of one's own": run(Vote(3, stop=Unless(MARK) | Quorum(3)), model(QUICK, 1)),
    "rules of one's own together": run(
        Vote(3, stop=(Unless(MARK) & Unless(f"{MARK}.")) | Quorum(3)), model(QUICK, 1)
    ),
    "recalled in a queue": queued,
    "a vote inside a plain function": run(Vote(2, stop=AtMost(2)), _vote_inside),
    "a vote inside a verifier": run(BestOfN(2, verifier=Panel()), model(QUICK, 1)),
    "repairs of votes of votes": run(
        CritiqueRepair(
            lambda _: False, rounds=1, of=Vote(2, of=Vote(2, stop=AtMost(2)), stop=AtMost(2))
        ),
        model(QUICK, 1),
    ),
    "refused by a gateway": run(
        Vote(4, stop=AtMost(4)), replicas(Refused(503), None), options={"temperature": 0.7}
    ),
    "all replicas out": run(
        Vote(6, stop=AtMost(6)),
        replicas(ConnectionRefusedError(MARK), ConnectionRefusedError(MARK)),
    ),
    "all from a cache": run(Vote(2, stop=AtMost(2)), model([said(A, cached=True)], 1)),
    "nobody counts": run(Vote(2, stop=AtMost(2)), Bare()),
    "guesses under a cap": run(Vote(2, stop=AtMost(2)), Bare(), budget=Budget(tokens=9999)),
    "varied": run(
        Vote(
            4,
            stop=AtMost(4),
            vary=Vary(prompts={"brief": f"be brief {MARK}"}, temperatures=[0.2, 0.9], seed=1),
        ),
        model(QUICK, 1),
        options={},
    ),
    "weighted": run(Vote(3, stop=AtMost(3), weight=lambda _: 0.25), model(QUICK, 1)),
    "steps of a workflow": steps,
    "ends in many ways": run(
        Vote(4, stop=AtMost(4)),
        model(
            [
                Completion(value=A, model="m", finish_reason="content_filter", response_id="r-1"),
                said(A, finish_reason="stop", response_id="r-2"),
            ],
            1,
        ),
    ),
}
SEVERAL: Final = {"steps of a workflow"}
"""Of several runs, none around the others."""
