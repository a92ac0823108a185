"""What a run says of itself while it works: samples done, votes so far, verdicts, the decision."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from thinktwice.nursery import Nursery

if TYPE_CHECKING:
    from decimal import Decimal

    from thinktwice.result import Result
    from thinktwice.sample import Sample, Verdict

Kind: TypeAlias = Literal["sample", "verdict", "decided"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One thing that happened in a run, without content.

    Attributes:
        kind: "sample" (a draw finished), "verdict" (a verifier judged one) or "decided".
        run: Random name of the run, as in its spans.
        strategy: Name of the strategy.
        launched: Draws started so far.
        finished: Draws finished so far, failed ones included.
        tally: Votes so far, by answer in order of first appearance; failed draws and those that
            abstain have none.
        sample: Index of the sample that finished or was judged; of the winner once decided.
        status: How the sample ended: "ok", "error" or "abstained".
        group: Which answer of the tally it has; -1 if none.
        verifier: Who judged.
        outcome: Of the verdict.
        score: Of the verdict, in [0, 1].
        agreement: Weighted share of the votes that the answer got.
        stopped_by: The rule or the budget that ended the run, as it is written.
        tokens: Of the sample, or of the whole run once decided; None while unknown.
        cost: USD, likewise.
        seconds: Since the run began.
    """

    kind: Kind
    run: str
    strategy: str
    launched: int
    finished: int
    tally: tuple[int, ...]
    sample: int | None = None
    status: Literal["ok", "error", "abstained"] | None = None
    group: int | None = None
    verifier: str | None = None
    outcome: str | None = None
    score: float | None = None
    agreement: float | None = None
    stopped_by: str | None = None
    tokens: int | None = None
    cost: float | None = None
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """What is known, fit for JSON."""
        known = {name: each for name, each in asdict(self).items() if each is not None}
        return {**known, "tally": list(self.tally)}


Watcher: TypeAlias = Callable[[Progress], Awaitable[object] | object]
"""Told of each; what it returns is awaited if it can be. The run goes on when it has returned."""


class Watched(Protocol):
    """What is told of a run each time."""

    id: str
    launched: int
    samples: list[Any]
    tally: list[int]

    @property
    def seconds(self) -> float:
        """Since it began."""
        ...

    def warn(self, message: str, *, aloud: bool = False) -> None:
        """Tell the caller."""
        ...


class Report:
    """Tells a watcher what happens; what that raises changes nothing."""

    def __init__(self, watcher: Watcher | None, strategy: str) -> None:
        """Tell nobody without a watcher, at no cost."""
        self._watcher = watcher
        self._strategy = strategy

    async def of_sample(self, state: Watched, sample: Sample[object], group: int) -> bool:
        """A draw finished.

        Returns:
            Whether to go on with it: not if it was recalled meanwhile.
        """
        if self._watcher is None:
            return True
        return await self._tell(
            self._watcher,
            state,
            "sample",
            sample=sample.index,
            status=_status(sample),
            group=group,
            tokens=sample.usage.total_tokens,
            cost=_dollars(sample.cost),
        )

    async def of_verdict(self, state: Watched, verdict: Verdict) -> None:
        """A verifier has judged."""
        if self._watcher is not None:
            await self._tell(
                self._watcher,
                state,
                "verdict",
                sample=verdict.sample,
                verifier=verdict.verifier,
                outcome=verdict.outcome,
                score=verdict.score,
            )

    async def of_decision(self, state: Watched, result: Result[object], group: int | None) -> None:
        """The run is over."""
        if self._watcher is not None:
            total, winner, by = result.ledger.total, result.winner, result.stopped_by
            await self._tell(
                self._watcher,
                state,
                "decided",
                sample=None if winner is None else winner.index,
                group=group,
                agreement=result.agreement,
                stopped_by=None if by is None else repr(by),
                tokens=total.usage.total_tokens,
                cost=_dollars(total.cost),
            )

    async def _tell(self, watcher: Watcher, state: Watched, kind: Kind, **facts: Any) -> bool:
        progress = Progress(
            kind=kind,
            run=state.id,
            strategy=self._strategy,
            launched=state.launched,
            finished=len(state.samples),
            tally=tuple(state.tally),
            seconds=state.seconds,
            **facts,
        )
        try:
            told = watcher(progress)
            if inspect.isawaitable(told):
                await told
        except asyncio.CancelledError:
            if not Nursery.recalls(asyncio.current_task()):
                raise
            return False  # what it was told of is paid for, and counts
        except Exception as error:  # noqa: BLE001 - nothing that was paid for is lost by it
            lost = f"progress= raised {type(error).__name__}: what it was told is lost"
            state.warn(lost, aloud=True)
        return True


def _status(sample: Sample[object]) -> Literal["ok", "error", "abstained"]:
    if sample.error is not None:
        return "error"
    return "abstained" if sample.answer is None else "ok"


def _dollars(cost: Decimal | None) -> float | None:
    """At the boundary, where money leaves as a float."""
    return None if cost is None else float(cost)
