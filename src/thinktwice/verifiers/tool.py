"""Any callable as a check, with a time limit and an answer for whatever it does."""

from __future__ import annotations

import asyncio
import inspect
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from thinktwice.errors import BudgetExceeded, UsageError, is_number, status_of
from thinktwice.sample import Verdict
from thinktwice.verifiers.adapt import broken, called, name_of, nonsense, verdict_of
from thinktwice.workflow import ledger_around

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from thinktwice.entry import Role
    from thinktwice.sample import Sample
    from thinktwice.verifiers.adapt import Check

DEFAULT_TIMEOUT: Final = 10.0


@dataclass(frozen=True)
class Tool:
    """Checks the value of a sample by a callable of yours: a rule, a lookup, another program.

    The callable returns a bool (pass or fail), a number in [0, 1] (a score, never a pass) or a
    `Verdict`. One that raises, takes too long or returns anything else gives an "error" verdict,
    which says nothing of the sample.

    Cost: what the callable costs; it is taken to call no model unless it has an attribute `calls`.

    Example:
        ```python
        def is_known(value: str) -> bool:
            \"\"\"The answer is a city of the catalogue.\"\"\"
            return value in catalogue

        Tool(is_known, timeout=2)
        ```

    Attributes:
        function: Called with the value; a sync one on a thread, since it may block.
        applies: Whether there is something to check, by the value; otherwise the verdict is
            "not_applicable". Sync or async, and within the same time limit.
        feedback: What a model is told where the function says no more than False; by default the
            name of the check and the first line of the function's docstring.
        timeout: Seconds that it may take; None for no limit. A call on a thread cannot be
            interrupted: it is abandoned.
        exact: A pass is proof that the answer is right, and not of its form alone.
        name: Shown in verdicts and spans; by default the function's.
        role: In the ledger.

    Raises:
        UsageError: A parameter that cannot be called, or no number of seconds.
    """

    function: Check
    applies: Callable[..., object] | None = field(default=None, kw_only=True)
    feedback: str | None = field(default=None, kw_only=True)
    timeout: float | None = field(default=DEFAULT_TIMEOUT, kw_only=True)
    exact: bool = field(default=False, kw_only=True)
    name: str = field(default="", kw_only=True)
    role: Role = field(default="tool", init=False, repr=False)

    def __post_init__(self) -> None:
        """See that it can be called."""
        if not callable(self.function):
            raise UsageError("function", self.function, "give a callable of the value")
        if self.applies is not None and not callable(self.applies):
            raise UsageError("applies", self.applies, "give a callable of the value, or None")
        check_timeout(self.timeout)
        object.__setattr__(self, "name", self.name or name_of(self.function))

    @property
    def calls(self) -> int:
        """Model calls per verdict, if the function says so."""
        return getattr(self.function, "calls", 0)

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Call it with the value, and read what it returns."""
        del prompt
        verdict = await guarded(self._said(sample.value), self.timeout)
        if verdict.outcome == "fail" and verdict.feedback is None:
            verdict = replace(verdict, feedback=self.feedback or self._why())
        return replace(verdict, verifier=self.name, sample=sample.index)

    async def _said(self, value: object) -> Verdict:
        try:
            if self.applies is not None and not await called(self.applies, value):
                return Verdict(outcome="not_applicable")
            return verdict_of(await called(self.function, value))
        except UsageError as error:  # what it returned is no verdict, or the one it made is none
            return nonsense(error)

    def _why(self) -> str:
        function = inspect.unwrap(self.function)
        written = inspect.getdoc(function) if inspect.isroutine(function) else None
        about = (written or "").partition("\n")[0]
        return f'The check "{self.name}" failed{f": {about}" if about else "."}'


async def guarded(work: Awaitable[object], seconds: float | None) -> Verdict:
    """What a check says, or an "error" verdict where it breaks, hangs or returns no verdict.

    Args:
        work: The check under way.
        seconds: That it may take; None for no limit.

    Raises:
        BudgetExceeded: A call inside does not fit the budget around.
        UsageError: As the check raises it.
    """
    timer = asyncio.timeout(seconds)
    try:
        async with timer:
            said = await work
    except (Exception, SystemExit) as error:  # a tool may end by `sys.exit`, too
        if isinstance(error, UsageError) or is_out_of_budget(error):
            raise
        late = isinstance(error, TimeoutError) and timer.expired()
        return broken(f"timed out after {seconds:g} s" if late else status_of(error))
    if not isinstance(said, Verdict):
        return broken(f"returned {type(said).__name__}, not a Verdict")
    return said


def is_out_of_budget(error: BaseException) -> bool:
    """It ends more than the check: a budget around it is used up, and not one of its own."""
    around = ledger_around()
    return isinstance(error, BudgetExceeded) and (around is None or around.bound_by(error.limit))


def check_timeout(seconds: float | None) -> None:
    """Refuse what is no time limit.

    Raises:
        UsageError: Neither a number above 0 nor None.
    """
    if seconds is not None and not (is_number(seconds) and 0 < seconds < math.inf):
        raise UsageError("timeout", seconds, "give seconds above 0, or None for no limit")
