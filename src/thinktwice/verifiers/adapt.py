"""Plain callables as verifiers."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from thinktwice.errors import TypeOf, UsageError
from thinktwice.protocols import Verifier
from thinktwice.sample import Verdict
from thinktwice.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from thinktwice.sample import Sample

P = TypeVar("P")

Check: TypeAlias = "Callable[..., bool | float | Verdict | Awaitable[bool | float | Verdict]]"
"""A callable of the value of a sample, sync or async."""


def as_verifier(verifier: Verifier[P] | Check, *, lenient: bool = False) -> Verifier[P]:
    """The verifier itself, or one that calls a plain callable with `sample.value`.

    What the callable returns: a bool is a pass or a fail; a number in [0, 1] is a score, and never
    a pass (an int counts as a number, so return a bool to pass); a `Verdict` stays as it is. It is
    exact only if it carries `exact = True`, and costs the model calls of its attribute `calls` (0).
    A sync callable runs on a thread, with a copy of the context, since it may block for long.

    Args:
        verifier: An object with `name` and `exact` that is called with the sample and `prompt=`;
            or the callable.
        lenient: What a callable returns that is no verdict is an "error" verdict.

    Raises:
        UsageError: It is neither. When called, the verifier raises it for what is no verdict, or a
            score outside [0, 1].
    """
    check_verifier(verifier)
    if is_verifier(verifier):
        return cast("Verifier[P]", verifier)
    check = cast("Check", verifier)
    exact, calls = getattr(check, "exact", False), getattr(check, "calls", 0)
    checked = _Checked(check, name_of(check), exact is True, calls, lenient)
    return cast("Verifier[P]", checked)


def check_verifier(given: object, parameter: str = "verifier") -> None:
    """Refuse what is neither a verifier nor a callable.

    Args:
        given: What was given.
        parameter: As what.

    Raises:
        UsageError: As above; or it is the class of a verifier, which was to be called.
    """
    if not callable(given):
        remedy = "pass a verifier, or a callable of the value; an adapter makes one of an evaluator"
        raise UsageError(parameter, given, remedy)
    if isinstance(given, type) and isinstance(given, Verifier):
        raise UsageError(parameter, given, f"make one of the class: {given.__name__}(...)")


@dataclass(frozen=True)
class _Checked:
    """A plain callable as a verifier."""

    check: Check
    name: str
    exact: bool
    calls: int
    lenient: bool

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Call it with the value, and read what it returns."""
        del prompt
        try:
            verdict = verdict_of(await called(self.check, sample.value))
        except UsageError as error:
            if not self.lenient:
                raise
            verdict = nonsense(error)
        return replace(
            verdict,
            verifier=verdict.verifier or self.name,
            sample=sample.index if verdict.sample is None else verdict.sample,
        )


def verdict_of(said: object) -> Verdict:
    """Read what a plain callable returned.

    Raises:
        UsageError: It is no bool, number in [0, 1] or verdict.
    """
    if hasattr(said, "dtype") and callable(getattr(said, "item", None)):
        said = cast("Callable[[], object]", getattr(said, "item"))()  # noqa: B009 - an array's scalar
    if isinstance(said, Verdict):
        return said
    if isinstance(said, bool):  # before numbers: a bool is an int
        return Verdict(outcome="pass" if said else "fail", score=float(said))
    if not isinstance(said, Real | Decimal):
        remedy = "return a bool (pass or fail), a number in [0, 1] (a score) or a Verdict"
        raise UsageError("verifier", TypeOf(said), remedy)
    score = float(said)
    if not 0.0 <= score <= 1.0:  # NaN is not either
        raise UsageError("verifier", score, "scale the score to [0, 1]")
    return Verdict(outcome="scored", score=score)


def broken(why: str) -> Verdict:
    """A check that says nothing of the sample."""
    return Verdict(outcome="error", evidence=(why,))


def nonsense(error: UsageError) -> Verdict:
    """A check that returned no verdict: what it should have returned."""
    return broken(f"{type(error).__name__}: {error.remedy}")


async def called(check: Callable[..., object], value: object) -> object:
    """What a plain callable returns of a value; a sync one runs on a thread."""
    is_async = inspect.iscoroutinefunction(check) or inspect.iscoroutinefunction(
        getattr(check, "__call__", None)  # noqa: B004 - an object with an async __call__
    )
    said = check(value) if is_async else await in_thread(lambda: check(value))
    return await said if inspect.isawaitable(said) else said


def is_verifier(given: Callable[..., object]) -> bool:
    """Whether it is called as a verifier is, and no function that happens to have a name."""
    if not isinstance(given, Verifier):
        return False
    try:
        parameters = inspect.signature(cast("Check", given)).parameters.values()
    except (TypeError, ValueError):  # compiled: its attributes must do
        return True
    return any(each.name == "prompt" or each.kind is each.VAR_KEYWORD for each in parameters)


def name_of(check: object) -> str:
    """What a callable is called in verdicts and spans."""
    name = getattr(check, "name", None) or getattr(check, "__name__", None)
    return name if isinstance(name, str) else type(check).__name__
