"""Running a strategy behind a share of the traffic, while users get the single sample at once."""

from __future__ import annotations

import asyncio
import math
import random
import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from opentelemetry import trace

from thinktwice import telemetry
from thinktwice.account import now
from thinktwice.budget import Budget, Limit
from thinktwice.errors import BudgetExceeded, UsageError, is_number, status_of
from thinktwice.ledger import Ledger
from thinktwice.limiter import Limiter
from thinktwice.shadow.background import Background, in_background
from thinktwice.shadow.behind import booked
from thinktwice.shadow.comparison import Comparison, Spend
from thinktwice.shadow.record import Record
from thinktwice.verifiers import as_verifier
from thinktwice.workflow import spend_from

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.trace import SpanContext

    from thinktwice.protocols import Verifier
    from thinktwice.result import Result
    from thinktwice.sample import Sample
    from thinktwice.shadow.behind import Behind
    from thinktwice.shadow.report import ShadowReport
    from thinktwice.verifiers import Check

T = TypeVar("T")
X = TypeVar("X")


class Shadow:
    """Runs a strategy behind a random share of the requests; users get the single sample.

    Pass it as `shadow=` where the strategy is given, and read `report` after a while: which share
    of the answers the strategy would change, at what cost, and whether a verifier finds the changed
    ones better. One object for one comparison: what it sees is added up. Thread-safe; usable from
    any event loop.

    A user's request never waits for it, pays for it or fails by it: what goes wrong behind it is
    counted by type. Nothing is run behind a request that failed or was cancelled.
    """

    def __init__(
        self,
        share: float = 0.05,
        *,
        budget: Budget | None = None,
        verifier: Verifier[object] | Check | None = None,
        seed: int | None = None,
        max_concurrency: int = 1,
        max_pending: int = 32,
    ) -> None:
        """Make a shadow.

        Args:
            share: Of the requests to follow, in [0, 1]; each is drawn on its own.
            budget: Hard caps on all that the shadow spends, judging included; with `seconds`, no
                run begins later than that after now. Used up, it ends the shadow. Each run has its
                own budget besides, as without a shadow.
            verifier: Judges the single sample of each compared request, and the strategy's answer
                where that is another one.
            seed: Of the random choice of requests.
            max_concurrency: Requests that are run again at the same time.
            max_pending: Requests that wait for it or are under way, at most: more are dropped.

        Raises:
            UsageError: A parameter makes no sense; names it.
        """
        _check(share, budget, max_pending)
        self.share = share
        self.budget = budget
        self.verifier = None if verifier is None else as_verifier(verifier)
        self._random = random.Random(seed)
        self._places = Limiter(max_concurrency)
        self._background = Background(max_pending)
        self._record = Record()
        caps, self._seconds = budget or Budget(), math.inf
        if caps.seconds is not None:
            caps, self._seconds = replace(caps, seconds=None), caps.seconds
        self._ledger = Ledger(caps) if caps != Budget() else None
        self._started = now()
        self._halves: WeakKeyDictionary[Limiter, Limiter] = WeakKeyDictionary()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def report(self) -> ShadowReport:
        """What it has seen so far."""
        lost, pending = self._background.lost, self._background.pending
        return self._record.report(share=self.share, pending=pending, cancelled=lost)

    @property
    def last_error(self) -> BaseException | None:
        """What was raised last behind a request; unlike the report, it may hold content."""
        return self._record.last_error

    async def drain(self) -> None:
        """Wait until what is under way now has ended."""
        await self._background.drain()

    def join(self, timeout: float | None = None) -> bool:
        """`drain`, for code that is not async.

        Args:
            timeout: Seconds to wait at the most.

        Returns:
            Whether all has ended.

        Raises:
            UsageError: An event loop runs here, and would have to go on for this to end.
        """
        return self._background.join(timeout)

    def close(self) -> None:
        """Follow no further request, and cancel what is under way. The report stays."""
        self._closed = True
        self._background.cancel()

    def __repr__(self) -> str:
        """As its constructor."""
        judging = "" if self.verifier is None else f", verifier={self.verifier!r}"
        return f"Shadow({self.share!r}, budget={self.budget!r}{judging})"

    # ---- for `solve` and adapters ---------------------------------------------------------------

    def chosen(self, keep: Callable[[], X]) -> X | None:
        """Count a request, before it is answered; if it is chosen, keep what it will take.

        What runs behind a request is not followed itself.

        Args:
            keep: Copies the input, which the caller may change later. What cannot be copied is not
                followed, and counted as an error.
        """
        if in_background.get():
            return None
        self._record.count("requests")
        with self._lock:
            drawn = self._random.random() < self.share
        if not drawn or self._over():
            return None
        self._record.count("chosen")
        try:
            return keep()
        except Exception as error:  # noqa: BLE001 - nothing of a shadow reaches the user
            self._fail(error)
            return None

    def follow(self, make: Callable[[], Behind[T]]) -> None:
        """Start what runs behind a request, once that has been answered. Raises nothing.

        It runs on the running event loop, where there is one that will go on; else on a daemon
        thread.

        Args:
            make: Tells what the user got, and how to run a strategy on the request.
        """
        try:
            behind = make()
            behind = replace(behind, run=booked(behind.run, self._record.spend))
            work = partial(self._work, behind, trace.get_current_span().get_span_context())
            if self._over() or not self._background.start(work):
                self._record.count("dropped")
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)

    def beside(self, limiters: Sequence[Limiter]) -> Sequence[Limiter]:
        """The limiters of a run behind a request: half of each, rates too, is left to users."""
        with self._lock:
            halves = [self._halves.setdefault(each, _half(each)) for each in limiters]
        return (*limiters, *halves)

    # ---- behind a request -----------------------------------------------------------------------

    async def _work(self, behind: Behind[T], link: SpanContext) -> None:
        if self._ledger is not None:
            spend_from(self._ledger)
        await asyncio.sleep(0)  # some event loops begin a task at once, before the user's answer
        await self._places.acquire()
        try:
            if self._over():
                self._record.count("dropped")
            else:
                self._record.compared(await self._compared(behind, link))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
            self._fail(error)
        finally:
            self._places.release()
            if self._ledger is not None:
                self._ledger.forget()

    async def _compared(self, behind: Behind[T], link: SpanContext) -> Comparison:
        attributes = {telemetry.SHADOW: True, telemetry.STRATEGY: behind.strategy.name}
        recorder = telemetry.Recorder()
        with recorder.span("thinktwice.shadow", "CHAIN", attributes, link=link) as on:
            result = await behind.run(behind.strategy)
            if result.cut is not None and self._is_ours(result.cut):
                raise BudgetExceeded(result.cut)
            single, spend = behind.single()
            changed = await behind.changed(single, result)
            took = Spend.of(result.ledger.total, result.ledger.seconds)
            scores = None
            if changed is not None:
                on.set_attribute(telemetry.CHANGED, changed)
                scores = await self._scores(behind, single, result, changed=changed)
            return Comparison(changed=changed, single=spend, strategy=took, scores=scores)

    async def _scores(
        self, behind: Behind[T], single: Sample[T], result: Result[T], *, changed: bool
    ) -> tuple[float, float] | None:
        if self.verifier is None:
            return None
        try:
            said = await behind.scores(self.verifier, single, result, changed=changed)
        except Exception as error:  # noqa: BLE001 - the comparison stands without it
            said = self._reason(error)
        if not isinstance(said, str):
            return said
        self._record.unjudged(said)
        return None

    def _over(self) -> bool:
        """Whether it has ended."""
        passed = now() - self._started
        if passed >= self._seconds:
            spent = round(passed, 3)
            self._stop(Limit(kind="seconds", allowed=self._seconds, spent=spent))
        return self._closed or self._record.stopped_by is not None

    def _stop(self, limit: Limit) -> None:
        self._record.stopped_by = self._record.stopped_by or limit

    def _is_ours(self, limit: Limit) -> bool:
        return self._ledger is not None and self._ledger.bound_by(limit)

    def _reason(self, error: BaseException) -> str:
        """What to count an error as; one by the own budget ends the shadow."""
        if isinstance(error, BudgetExceeded) and self._is_ours(error.limit):
            self._stop(error.limit)
            return "cut"
        self._record.last_error = error
        return status_of(error)

    def _fail(self, error: BaseException) -> None:
        reason = self._reason(error)
        if reason == "cut":
            self._record.count(reason)
        else:
            self._record.error(reason)


def as_shadow(shadow: Shadow | float | None) -> Shadow | None:
    """The shadow itself; a number makes one that follows such a share of the requests.

    Raises:
        UsageError: It is neither, nor None; or no share from 0 to 1.
    """
    if shadow is None or isinstance(shadow, Shadow):
        return shadow
    if not is_number(shadow) or not 0 <= shadow <= 1:
        raise UsageError("shadow", shadow, "give a share of the requests, from 0 to 1, or a Shadow")
    return Shadow(shadow)


def _half(limiter: Limiter) -> Limiter:
    requests, tokens = limiter.requests_per_minute, limiter.tokens_per_minute
    return Limiter(
        max(1, limiter.max_concurrency // 2),
        requests_per_minute=None if requests is None else requests / 2,
        tokens_per_minute=None if tokens is None else tokens / 2,
    )


def _check(share: float, budget: Budget | None, max_pending: int) -> None:
    if not is_number(share) or not 0 <= share <= 1:
        raise UsageError("share", share, "give a share of the requests, from 0 to 1")
    if not isinstance(budget, Budget | None):
        raise UsageError("budget", budget, "give Budget(calls=, tokens=, cost=, seconds=)")
    if isinstance(max_pending, bool) or not isinstance(max_pending, int) or max_pending < 1:
        raise UsageError("max_pending", max_pending, "give a whole number, at least 1")
