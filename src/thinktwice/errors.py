"""The exception tree.

ThinktwiceError                               any; `result` has what was paid for
+ UsageError(ValueError)                      the caller's mistake: names parameter, value, remedy
+ RunError(RuntimeError)                      a run gave no answer
  - BudgetExceeded                            nothing affordable, or cut off before a first answer
  - CircuitOpen                               every replica of a pool is out: nothing was sent
  - AllSamplesFailed(ExceptionGroup)          every draw failed, of several causes

`str(error)` holds types, statuses and counts, and never a prompt, a completion or a provider's
text.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self, TypeGuard, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from thinktwice.budget import Limit
    from thinktwice.ledger import Ledger
    from thinktwice.result import Result


_HTTP_STATUSES: Final = range(100, 600)
_LINE: Final = 80


class ThinktwiceWarning(UserWarning):
    """Something that a caller should know, said once a process."""


class ThinktwiceError(Exception):
    """Base of everything that thinktwice raises itself.

    Attributes:
        result: All that a run had when it ended in this error: samples, verdicts, warnings, ledger.
    """

    result: Result[object] | None = None

    @property
    def ledger(self) -> Ledger | None:
        """Everything that was paid for; None when nothing had begun."""
        return self.result.ledger if self.result is not None else None


class UsageError(ThinktwiceError, ValueError):
    """A mistake of the caller: the message names the parameter, the value and what to do."""

    def __init__(self, parameter: str, value: object, remedy: str) -> None:
        """Say what is wrong.

        Args:
            parameter: Name of the parameter, as the caller wrote it.
            value: The value seen; shown by its repr, shortened; its `TypeOf` where it is
                content or secret. Of settings objects, such as a framework's models, and of other
                classes with a long repr the type is shown anyway: a key may be among the fields.
            remedy: What to do instead, as a sentence without a full stop.
        """
        self.parameter = parameter
        self.value = value
        self.remedy = remedy
        super().__init__(f"{parameter}={_short(value)}: {remedy}")

    def __reduce__(self) -> tuple[type[UsageError], tuple[str, str, str]]:
        """Pickle by repr: the value itself may not be picklable."""
        return type(self), (self.parameter, _short(self.value), self.remedy)


class TypeOf:
    """In a `UsageError`, the type of a value that is not to be shown: it may be content, or secret.

    Attributes:
        type: The type.
    """

    def __init__(self, value: object) -> None:
        """Take the type of a value."""
        self.type = type(value)

    def __repr__(self) -> str:
        """As one says it: "a str", "an int"; None, of which there is one alone, as it is."""
        if self.type is type(None):
            return "None"
        name = self.type.__name__
        return f"{'an' if name[0] in 'AEIOaeiou' else 'a'} {name}"


class RunError(ThinktwiceError, RuntimeError):
    """A run that ended without an answer."""


class BudgetExceeded(RunError):  # noqa: N818 - the field's name for it
    """A budget ran out before there was an answer to return.

    Attributes:
        limit: Which cap it was, what it allowed and what stood against it.
    """

    def __init__(self, limit: Limit, result: Result[object] | None = None) -> None:
        """Say which cap it was."""
        self.limit = limit
        self.result = result
        super().__init__(f"{limit}: {limit.remedy}")

    def __reduce__(self) -> tuple[type[BudgetExceeded], tuple[Limit]]:
        """Pickle without the result, which may hold anything of the caller's."""
        return type(self), (self.limit,)


class CircuitOpen(RunError):  # noqa: N818 - the field's name for it
    """A call that was not sent, since every replica has failed and is not to be tried yet.

    Attributes:
        seconds: Until one of them is tried again; 0 while a call is trying one.
    """

    def __init__(self, causes: Sequence[str], seconds: float) -> None:
        """Say why they are out.

        Args:
            causes: Type and status of the last error of each.
            seconds: Until one of them is tried again.
        """
        self.causes = tuple(causes)
        self.seconds = seconds
        again = f"one is tried again in {seconds:.1f} s" if seconds else "one is being tried now"
        super().__init__(f"all {len(self.causes)} replicas are out: {_counted(causes)}; {again}")

    def __reduce__(self) -> tuple[type[CircuitOpen], tuple[tuple[str, ...], float]]:
        """Pickle what it was made of."""
        return type(self), (self.causes, self.seconds)


class AllSamplesFailed(RunError, ExceptionGroup[Exception]):  # noqa: N818 - as above
    """Every sample failed, and not all with the same type of exception."""

    def __new__(cls, causes: Sequence[Exception], result: Result[object] | None = None) -> Self:
        """Group the causes."""
        del result  # kept by __init__
        return ExceptionGroup.__new__(cls, describe_causes(causes), list(causes))

    def __init__(self, causes: Sequence[Exception], result: Result[object] | None = None) -> None:
        """Keep the result."""
        super().__init__(describe_causes(causes), list(causes))
        self.result = result

    def derive(self, excs: Sequence[Exception]) -> AllSamplesFailed:  # type: ignore[override]
        """The same error over a part of the causes (for `except*`)."""
        return AllSamplesFailed(excs, self.result)

    def __reduce__(self) -> tuple[type[AllSamplesFailed], tuple[list[Exception]]]:
        """Pickle without the result, which may hold anything of the caller's."""
        return type(self), (list(self.exceptions),)


def attach(error: BaseException, result: Result[object]) -> None:
    """Leave the result of a run on the exception that ended it, innermost run first.

    On our own it is `result`; on any exception, also the caller's, `thinktwice_result`. One that an
    earlier run left on the same exception gives way.
    """
    with suppress(Exception):  # an exception with slots, or with a will of its own
        before = getattr(error, "thinktwice_result", None)
        if any(before is inner for inner in result.nested):
            return
        error.thinktwice_result = result  # type: ignore[attr-defined]
        if isinstance(error, ThinktwiceError):
            error.result = result


def http_status(error: BaseException) -> int | None:
    """The HTTP status that a client attached to its exception or its response; None without one."""
    with suppress(Exception):  # a property of somebody's exception broke
        for holder in (error, getattr(error, "response", None)):
            for name in ("status_code", "status", "code"):
                status = getattr(holder, name, None)
                if type(status) is int and status in _HTTP_STATUSES:
                    return status
    return None


def status_of(error: BaseException) -> str:
    """Type and, where a client attached one, HTTP status: all that may be shown of an error."""
    status = http_status(error)
    return type(error).__name__ if status is None else f"{type(error).__name__}({status})"


def describe_causes(causes: Sequence[BaseException]) -> str:
    """Count the causes by type and status, without their texts."""
    return f"all {len(causes)} samples failed: {_counted(map(status_of, causes))}"


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in Counter(names).most_common())


def _short(value: object) -> str:
    try:
        text = repr(TypeOf(value) if _has_settings(value) else value)
    except Exception:  # noqa: BLE001 - it is shown to help, and must not get in the way
        text = f"<{type(value).__name__}>"
    if len(text) <= _LINE:
        return text
    return f"{text[: _LINE - 3]}..." if _is_familiar(value) else repr(TypeOf(value))


def _has_settings(value: object) -> bool:
    """It is a model of pydantic, of any version, or holds one: its repr shows what is set."""
    if isinstance(value, Mapping):
        return any(map(_has_settings, cast("Mapping[object, object]", value).values()))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(_has_settings, cast("Iterable[object]", value)))
    if isinstance(value, type):
        return False
    return any(hasattr(type(value), name) for name in ("__pydantic_fields__", "__fields__"))


def _is_familiar(value: object) -> bool:
    """It is a class, or of Python's or ours, so that its repr is what the caller wrote."""
    home = type(value).__module__.partition(".")[0]
    return isinstance(value, type) or home in sys.stdlib_module_names or home.endswith("thinktwice")


def is_encodable(text: str) -> bool:
    """It can be sent and stored: half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_number(value: object) -> TypeGuard[float]:
    """It can be compared with numbers, and is no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)
