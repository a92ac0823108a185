"""Part of the examples here and in `llama_index`: asking all questions, and the table."""

from __future__ import annotations

import asyncio
import time
import warnings
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table

from thinktwice import Price
from thinktwice.errors import ThinktwiceWarning

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from decimal import Decimal

    from thinktwice import Result

# Made up: USD per million tokens, in and out.
PRICES = {name: Price("0.10", "0.40") for name in ("arithmetic-lm", "arithmetic-lm-skilled")}
WIDTH = 118  # columns of the table


@dataclass(frozen=True)
class Outcome:
    """What came of one question; None where the way of asking does not say."""

    value: Any
    calls: int | None
    tokens: int | None
    cost: Decimal | None

    @classmethod
    def of(cls, result: Result[Any]) -> Outcome:
        """As a result has it."""
        total = result.ledger.total
        return cls(result.value, total.calls, total.usage.total_tokens, total.cost)


@dataclass(frozen=True)
class Run:
    """One way of asking, over all questions; a failed question has no outcome."""

    name: str
    outcomes: Sequence[Outcome | None]
    scores: Sequence[float]
    seconds: float


async def ask_all(
    name: str,
    way: Callable[[Any], Awaitable[Outcome]],
    questions: Sequence[Any],
    score: Callable[[int, Any], float],
    *,
    at_once: int = 1,
) -> Run:
    """Ask every question, several at once; what raises is a question without an answer."""
    slots = asyncio.Semaphore(at_once)

    async def ask(question: object) -> Outcome | None:
        async with slots:
            try:
                return await way(question)
            except ConnectionError:
                return None

    started = time.perf_counter()
    asked = [asyncio.ensure_future(ask(question)) for question in questions]
    outcomes = [
        await each for each in track(asked, name, console=CONSOLE, disable=not CONSOLE.is_terminal)
    ]
    seconds = time.perf_counter() - started
    scores = [0.0 if o is None else score(at, o.value) for at, o in enumerate(outcomes)]
    return Run(name, outcomes, scores, seconds)


def table_of(
    title: str,
    runs: Sequence[Run],
    more: Mapping[str, Callable[[Run], str]],
    *,
    of_right: Mapping[str, Callable[[Run], str]] | None = None,
) -> Table:
    """One row for each way of asking.

    `more` are further columns, by heading; `of_right` are those that stand beside "right".
    """
    beside = of_right or {}
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for heading in ("right", *beside, "vs first", *more, "calls", "tokens", "cost", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for run in runs:
        known = [outcome for outcome in run.outcomes if outcome is not None]
        table.add_row(
            run.name,
            f"{100 * fmean(run.scores):.0f} %",
            *(column(run) for column in beside.values()),
            "" if run is runs[0] else difference(run, runs[0]),
            *(column(run) for column in more.values()),
            total([outcome.calls for outcome in known]),
            total([outcome.tokens for outcome in known]),
            total([outcome.cost for outcome in known], "${:.4f}"),
            f"{run.seconds:.1f}",
        )
    return table


def total(values: Sequence[Any], shown: str = "{:,}") -> str:
    """The sum; nothing if a part of it is unknown."""
    return "" if None in values else shown.format(sum(values))


def difference(run: Run, first: Run) -> str:
    """Points over the first row, with the 95 % interval of the paired difference."""
    paired = [100 * (a - b) for a, b in zip(run.scores, first.scores, strict=True)]
    half = 1.96 * stdev(paired) / len(paired) ** 0.5
    return f"{fmean(paired):+.0f} ± {half:.0f}"


warnings.simplefilter("ignore", ThinktwiceWarning)  # the tables show what they warn of
CONSOLE = Console()
CONSOLE.width = max(CONSOLE.width, WIDTH)
