"""Taking turns, and the sums."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from statistics import fmean, quantiles
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drive import Runner, Scenario

WARMUP = 2
ABREAST = 4
"""Arms at a time where they mostly wait."""
USD_PER_MILLION = (0.15, 0.60)
"""Of prompt and output tokens."""


@dataclass(frozen=True)
class Row:
    """One arm in one scenario; means are over the questions.

    Attributes:
        pool: The pool.
        scenario: What went wrong.
        peer: The library.
        arm: How it was used.
        questions: Questions asked.
        answered: Share that got an answer, in percent.
        right: Share that got a right one, in percent.
        requests: Mean requests.
        samples: Mean samples.
        tokens: Mean tokens, prompts included.
        usd: Dollars per 1,000 questions.
        seconds: Mean seconds to the answer.
        p95: 95th percentile of these.
        p99: 99th percentile of these.
        peak: Most requests in flight at once.
        disconnected: Mean requests that were broken off.
        note: Errors by type, or why there are no figures.
    """

    pool: str
    scenario: str
    peer: str
    arm: str
    questions: int
    answered: float = 0.0
    right: float = 0.0
    requests: float = 0.0
    samples: float = 0.0
    tokens: float = 0.0
    usd: float = 0.0
    seconds: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    peak: int = 0
    disconnected: float = 0.0
    note: str = ""


async def measured(scenario: Scenario, runners: Sequence[Runner]) -> tuple[list[Row], list[str]]:
    """A row of each arm, and what was odd.

    Where nothing goes wrong they take turns, question by question, so that a busy moment of the
    machine meets all alike. Where they mostly wait, some run side by side.
    """
    for each in runners:
        await each.begin(scenario)
    for number in range(WARMUP):
        await asyncio.gather(*(each.ask(number, keep=False) for each in runners))
    numbers = range(WARMUP, len(scenario.questions))
    if scenario.clean:
        for number in numbers:
            for each in runners:
                await each.ask(number)
    else:
        gate = asyncio.Semaphore(ABREAST)
        await asyncio.gather(*(_all(each, numbers, gate) for each in runners))
    odd = [line for each in runners if scenario.clean and (line := each.odd())]
    return [_row(scenario, each) for each in runners], odd


async def _all(runner: Runner, numbers: range, gate: asyncio.Semaphore) -> None:
    async with gate:
        for number in numbers:
            await runner.ask(number)


def _row(scenario: Scenario, runner: Runner) -> Row:
    trials, peer = runner.trials, runner.arm.peer.name
    who = (scenario.pool, scenario.name, peer, runner.arm.name, len(trials))
    if not trials:
        return Row(*who, note=runner.failed or "no question")
    counts = [trial.count for trial in trials]
    read = fmean(count.prompt_tokens for count in counts)
    written = fmean(count.output_tokens for count in counts)
    seconds = [trial.seconds for trial in trials]
    cuts = quantiles(seconds, n=100, method="inclusive") if len(seconds) > 1 else seconds * 99
    errors = Counter(trial.error or "no answer" for trial in trials if trial.right is None)
    notes = [f"{count} {name}" for name, count in errors.most_common()]
    return Row(
        *who,
        answered=100 * fmean(trial.right is not None for trial in trials),
        right=100 * fmean(bool(trial.right) for trial in trials),
        requests=fmean(count.requests for count in counts),
        samples=fmean(count.samples for count in counts),
        tokens=read + written,
        usd=(read * USD_PER_MILLION[0] + written * USD_PER_MILLION[1]) / 1000,
        seconds=fmean(seconds),
        p95=cuts[94],
        p99=cuts[98],
        peak=max(count.peak for count in counts),
        disconnected=fmean(count.disconnected for count in counts),
        note=", ".join(notes + [runner.failed] * bool(runner.failed)),
    )
