"""Budgets of workflows: one for all strategy calls of a block, divided among its steps.

What running code spends from, what it works for and the list that gathers its results are context
variables, so that tasks and threads with a copy of the context find them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from fractions import Fraction
from typing import TYPE_CHECKING, Final, cast

from thinktwice.account import now
from thinktwice.bill import bill
from thinktwice.budget import Budget, Share
from thinktwice.errors import UsageError, is_number
from thinktwice.ledger import Ledger
from thinktwice.remarks import tell_safely

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from typing import TypeGuard

    from thinktwice.lease import Lease, Shared
    from thinktwice.result import Result
    from thinktwice.scope import Scope

_ledger: ContextVar[Ledger | None] = ContextVar("thinktwice_ledger", default=None)
_results: ContextVar[list[Result[object]] | None] = ContextVar("thinktwice_results", default=None)
_scope: ContextVar[Scope | None] = ContextVar("thinktwice_scope", default=None)

_ELSEWHERE: Final = (
    "left in another context than it was opened in, so that calls in between may not have counted: "
    "open it where they are made (in a web service, in the endpoint or an async dependency)"
)


class BudgetScope(Ledger):
    """What all calls of a block spend from; made by `budget_scope`, and by `step` for a step.

    Attributes:
        name: Of a step; None of a block.
        shared: Counts what others spend from a quota; None if it is none.
        gone: It was left where it could not be taken out of the context that it was opened in: what
            runs there spends from what is around it.
    """

    def __init__(
        self,
        budget: Budget | None,
        *,
        parent: Ledger | None,
        weights: Mapping[str, float] | None = None,
        name: str | None = None,
        shared: Shared | None = None,
    ) -> None:
        """Made by `budget_scope`, and by `Quota.scope`."""
        super().__init__(budget or Budget(), parent=parent, shared=shared)
        self.name = name
        self.shared = shared
        self.gone = False
        self._weights = weights or {}
        self._begun: dict[str, BudgetScope] = {}
        self._entered = 0
        self._allotted = self.budget

    @property
    def steps(self) -> Mapping[str, BudgetScope]:
        """The steps that have begun, by name: each a ledger of its own."""
        return dict(self._begun)

    @contextmanager
    def step(self, name: str) -> Generator[BudgetScope]:
        """Let a block spend this step's share of what is left when it begins.

        The share is its weight over its own and those of the steps that have not begun yet. It is
        set apart: calls outside the step cannot take it. What the step leaves unspent is there for
        the steps that begin later. Calls are rounded, with one at least for each step as long as
        there are so many; seconds are a share of the time that is left.

        A step may be entered again, at the same time or later: it goes on with what it has left of
        its share, as far as others have not spent it meanwhile; its clock stands still in between.

        Args:
            name: One of `steps`.

        Yields:
            The step's own ledger.

        Raises:
            UsageError: The workflow has no such step, or this is not the place to begin one.
        """
        if name not in self._weights:
            known = ", ".join(self._weights) or "none: declare them by budget_scope(..., steps=)"
            raise UsageError("name", name, f"the steps of this workflow are {known}")
        self._check_place(name)
        with self._enter(name)._spent_from() as step:
            yield step

    @contextmanager
    def opened(self, share: float | None = None) -> Generator[BudgetScope]:
        """Let a block spend from it, or from a share of what is left; `budget_scope` calls it."""
        given_up = () if share is None else _given_up()
        with self._account.lock:
            self._entered += 1
            if share is not None:
                self._take(Fraction(share), given_up)
        with self._spent_from():
            yield self

    @contextmanager
    def _spent_from(self) -> Generator[BudgetScope]:
        token = _ledger.set(self)
        self.gone = False
        try:
            yield self
        except GeneratorExit:  # of one that nobody reads on: it ends in any context
            self._leave()
            self._set_back(token, below=True)
            raise
        except BaseException:
            self._leave()
            if not self._set_back(token):
                tell_safely(f"a budget scope was {_ELSEWHERE}")
            raise
        self._leave()
        if not self._set_back(token):
            raise UsageError("scope", self, f"it is {_ELSEWHERE}")

    def _set_back(self, token: Token[Ledger | None], *, below: bool = False) -> bool:
        """Take it out of the context; False where that is not the one that it was opened in.

        Args:
            token: Of its opening.
            below: A scope that was opened later, and is still open, stays.
        """
        inside = ledger_around()
        try:
            _ledger.reset(token)
        except ValueError:
            self.gone = True
            return False
        if isinstance(inside, BudgetScope) and inside is not self:
            self.gone = True  # the other one sets the context back to it
            if below:
                _ledger.set(inside)
        return True

    def _check_place(self, name: str) -> None:
        """A call has one line of ledgers around it; a step can only be next below its workflow."""
        around = ledger_around()
        if around is None or around is self._begun.get(name):
            return
        each: Ledger | None = self
        while each is not None and each is not around:
            each = each.parent
        if each is None:
            remedy = (
                "it begins inside another step, scope or run: begin it directly in the block of "
                "its workflow, or divide what is left there by budget_scope(steps=) or (share=)"
            )
            raise UsageError("name", name, remedy)

    def _enter(self, name: str) -> BudgetScope:
        given_up = _given_up()
        with self._account.lock:
            step = self._begun.get(name)
            if step is None:
                step = self._begun[name] = BudgetScope(Share(), parent=self, name=name)
                later = [w for each, w in self._weights.items() if each not in self._begun]
                weight = Fraction(self._weights[name])
                part = weight / (weight + sum(map(Fraction, later)))
                step._take(part, given_up, later=len(later))
            elif not step._entered:
                step._take_again(given_up)
            step._entered += 1
        return step

    def _take(self, part: Fraction, given_up: Sequence[Lease], *, later: int = 0) -> None:
        """Set a part of what is left around here apart; the lock is held."""
        around = self._account.chain[1:]
        left = around[0].left(now(), given_up) if around else {}
        self._allotted = self.budget = Share.of(left, part, later=later)
        self._account.set_apart(self.budget)

    def _take_again(self, given_up: Sequence[Lease]) -> None:
        """Set apart what is left of the share, as far as it is still there; the lock is held."""
        account, at = self._account, now()
        if self._ended is not None:
            account.started += at - self._ended
            self._ended = None
        left = account.chain[1].left(at, given_up)
        self.budget = self._allotted.after(account.spent + account.held, left)
        account.set_apart(self.budget)

    def _leave(self) -> None:
        with self._account.lock:
            self._entered -= 1
            if not self._entered:
                self._account.rejoin()
                self.close()

    def __str__(self) -> str:
        """Name; calls, tokens, money and wall-clock seconds, and how much of each is allowed."""
        line = bill(self.total, seconds=self.seconds, caps=self._allotted)
        return line if self.name is None else f"{self.name}: {line}"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle and copy as a plain record: nobody shares it any more."""
        return Ledger, (), self.__getstate__()


@contextmanager
def budget_scope(
    budget: Budget | None = None,
    *,
    share: float | None = None,
    steps: Mapping[str, float] | None = None,
) -> Generator[BudgetScope]:
    """Share one budget over all strategy calls of a block, sync and async, threads included.

    Threads need a copy of the context, as `asyncio.to_thread` and LangChain's executor make one.

    Args:
        budget: The caps; an enclosing scope binds too.
        share: Instead of a budget, a part of what is left around this block when it begins, in
            (0, 1]: for loops. It is set apart for the block; what is unspent goes back.
        steps: The steps of a workflow with their weights, above 0, whatever they sum to; see
            `BudgetScope.step`.

    Yields:
        The ledger: `remaining` says what is left, `step(name)` begins a step, and printing it says
        what was spent of what.

    Raises:
        UsageError: A parameter makes no sense; names it.
    """
    _check(budget, share, steps)
    scope = BudgetScope(
        budget if share is None else Share(), parent=ledger_around(), weights=dict(steps or {})
    )
    with scope.opened(share):
        yield scope


def _check(budget: object, share: object, steps: object) -> None:
    if not isinstance(budget, Budget | None) or (budget is share is steps is None):
        raise UsageError("budget", budget, "give Budget(calls=, tokens=, cost=, seconds=)")
    if share is not None and not (_is_weight(share) and share <= 1):
        raise UsageError("share", share, "give a number above 0 and up to 1")
    if share is not None and budget is not None:
        remedy = "a share is of the budget around: give it instead of a budget, or nest two scopes"
        raise UsageError("share", share, remedy)
    if share is not None and ledger_around() is None:
        remedy = "there is no budget around here to take a share of: open budget_scope(Budget(...))"
        raise UsageError("share", share, remedy)
    if steps is not None and not _are_steps(steps):
        remedy = "give each step a weight above 0, as in {'read': 1, 'solve': 3}"
        raise UsageError("steps", steps, remedy)


def _are_steps(steps: object) -> bool:
    if not isinstance(steps, Mapping) or not steps:
        return False
    weights = cast("Mapping[object, object]", steps)
    return all(isinstance(name, str) and _is_weight(each) for name, each in weights.items())


def _is_weight(value: object) -> TypeGuard[float]:
    return is_number(value) and 0 < value < math.inf


class entered:  # noqa: N801 - used as a function
    """Let a block work for a sample or verdict: it spends and reports there."""

    __slots__ = ("_scope", "_tokens")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __enter__(self) -> Scope:
        """Set the context variables."""
        scope = self._scope
        self._tokens = _scope.set(scope), _ledger.set(scope.ledger), _results.set(scope.nested)
        return scope

    def __exit__(self, *_: object) -> None:
        """Set them back."""
        scope, ledger, results = self._tokens
        _results.reset(results)
        _ledger.reset(ledger)
        _scope.reset(scope)


def current_scope() -> Scope | None:
    """The sample or verdict that the running code works for, if there is one."""
    return _scope.get()


def _given_up() -> Sequence[Lease]:
    """What the running sample holds for a call of its own, while a share of the rest is taken.

    It gives it up once a run begins inside it, as one will here.
    """
    scope = _scope.get()
    return () if scope is None else scope.provisional()


def spend_from(ledger: Ledger) -> None:
    """Let what runs in this context spend from a ledger, from now on."""
    _ledger.set(ledger)


def ledger_around() -> Ledger | None:
    """The innermost ledger that the running code spends from."""
    ledger = _ledger.get()
    while isinstance(ledger, BudgetScope) and ledger.gone:
        ledger = ledger.parent
    return ledger


def report(result: Result[object]) -> None:
    """Hand a finished result to the sample it belongs to, or to `collect`."""
    results = _results.get()
    if results is not None:
        results.append(result)


@contextmanager
def collect() -> Generator[list[Result[object]]]:
    """Gather the results of the outermost strategies of a block."""
    around = _results.get()
    results: list[Result[object]] = []
    token = _results.set(results)
    try:
        yield results
    finally:
        if around is not None:
            around.extend(results)
        _results.reset(token)
