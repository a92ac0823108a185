"""Keys: what two answers must share to count as the same answer.

A key is any hashable; None abstains. `default_key` goes by the type of the value; names and
callables replace it (see `key_function`).
"""

from __future__ import annotations

import functools
import inspect
import math
import unicodedata
from collections.abc import Awaitable, Callable, Generator, Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import TypeAlias, cast

from thinktwice.answers.canonical_json import canonical_json
from thinktwice.answers.choices import choice_in
from thinktwice.answers.json_path import MISSING, at_path
from thinktwice.answers.maths import check_maths, maths_key
from thinktwice.answers.numbers import canonical_number, number_in
from thinktwice.answers.shapes import attribute, from_model, plain_of, text_in, tool_calls, unwrap
from thinktwice.errors import ThinktwiceError, UsageError, status_of
from thinktwice.sample import Completion
from thinktwice.texts import content_text
from thinktwice.threads import in_thread

Key: TypeAlias = Callable[[object], Hashable | None]
"""From the value of a sample to what its vote is counted by; None abstains."""

AwaitedKey: TypeAlias = Callable[[object], Awaitable[Hashable | None]]
"""A key that has to wait for something, such as a sandbox."""

_FINAL = ".!?\u2026,;:\u3002\uff01\uff1f \t\n"


def fold(text: str) -> str | None:
    """A text without case, extra white space and final punctuation; None if nothing is left.

    A text of nothing but punctuation stays: it may be the answer.
    """
    folded = unicodedata.normalize("NFD", text).casefold()
    words = " ".join(unicodedata.normalize("NFC", folded).split())
    return words.rstrip(_FINAL) or words or None


@functools.singledispatch
def default_key(value: object) -> Hashable | None:
    """The key of a value by its type; adapters register their framework's types.

    | type | key |
    |---|---|
    | `str` | the whole text; case, white space and final punctuation folded; empty abstains |
    | number | its value, 1 and 1.0 alike; NaN abstains |
    | `bool` | `("bool", value)`, so that True is not 1 |
    | enum member | its value, unfolded |
    | pydantic model, dataclass, dict, list, set | canonical JSON |
    | `{"raw", "parsed", "parsing_error"}` | of what was parsed; abstains on an error |
    | dict with a list of `messages` | of the last message from the model |
    | message from the model | its tool calls without ids, in any order; else its text |
    | other | the value, if its type defines equality and hash |

    Raises:
        UsageError: Nothing tells two values of this type apart or the same: pass `key=`.
    """
    inner = unwrap(value)
    if inner is not value:
        return default_key(inner)
    if from_model(value):
        return _message_key(value)
    if plain_of(value) is not value or callable(getattr(value, "tolist", None)):
        return canonical_json(value)
    kind = type(value)
    if kind.__eq__ is not object.__eq__ and kind.__hash__ is not None:  # pyright: ignore[reportUnnecessaryComparison]
        return value
    remedy = f"values of type {kind.__name__} cannot be compared: pass a callable or a name"
    raise UsageError("key", None, remedy)


@default_key.register
def _(value: None) -> None:
    return value


@default_key.register
def _(value: str) -> Hashable | None:
    return _enum_key(value) if isinstance(value, Enum) else fold(value)


@default_key.register(bool)
def _(value: object) -> Hashable:
    return ("bool", value)


@default_key.register(int)
@default_key.register(float)
@default_key.register(Decimal)
@default_key.register(Fraction)
def _(value: float | Decimal | Fraction) -> Hashable | None:
    return _enum_key(value) if isinstance(value, Enum) else canonical_number(value)


@default_key.register
def _(value: Enum) -> Hashable | None:
    return _enum_key(value)


def _enum_key(member: Enum) -> Hashable:
    plain = cast("object", member.value)
    if isinstance(plain, str):
        return str(plain)  # members that differ in case are different members
    if isinstance(plain, int | float) and not isinstance(plain, bool) and not math.isnan(plain):
        return canonical_number(plain)
    return ("enum", member.name)


@default_key.register(Mapping)
def _(value: Mapping[str, object]) -> Hashable | None:
    inner = unwrap(value)
    if inner is not value:
        return default_key(inner)  # so that an adapter's registration for the message is found
    return _message_key(value) if from_model(value) else canonical_json(value)


@default_key.register(Sequence)
@default_key.register(AbstractSet)
def _(value: Sequence[object] | AbstractSet[object]) -> Hashable:
    return canonical_json(value)


def _message_key(message: object) -> Hashable | None:
    calls = tool_calls(message)
    if calls:
        return ("tool_calls", tuple(sorted(canonical_json(call) for call in calls)))
    return fold(content_text(attribute(message, "content")))


# ---- by name ------------------------------------------------------------------------------------


def _text_key(value: object) -> Hashable | None:
    text = text_in(value)
    return None if text is None else fold(text)


def _number_key(value: object) -> Hashable | None:
    inner = unwrap(value)
    if inner is not value and not isinstance(value, Completion):
        return _number_key(inner)
    if isinstance(inner, int | float | Decimal | Fraction) and not isinstance(inner, bool):
        return canonical_number(inner)
    text = text_in(value)
    return None if text is None else number_in(text)


def _choice_key(value: object) -> Hashable | None:
    text = text_in(value)
    return None if text is None else choice_in(text)


def _json_key(path: str) -> Key:
    def key(value: object) -> Hashable | None:
        found = at_path(value, path)
        return None if found is MISSING else default_key(found)

    return key


def _maths_key(value: object) -> Hashable | None:
    with _explained("math", value):
        return maths_key(value)


_NAMED: dict[str, Key] = {
    "choice": _choice_key,
    "json": _json_key(""),
    "math": _maths_key,
    "number": _number_key,
    "text": _text_key,
}


def key_function(key: str | Key | None) -> Key:
    """The key that a `key=` parameter names.

    Args:
        key: None for `default_key`; "text"; "number" (see `number_in`); "choice" (see
            `choice_in`); "math" (see `maths_key`); "json:path.to.0.field" (see `at_path`) or "json"
            for the whole; or a callable of the value that returns a hashable, None to abstain.

    Returns:
        A callable that raises nothing but errors of thinktwice: what a callable of yours raises,
        or returns unhashable, becomes a `UsageError`.

    Raises:
        UsageError: No key has that name.
    """
    if key is None:
        return default_key
    if isinstance(key, str):
        return _named(key)
    if _waits(key):
        raise UsageError("key", key, "give a function that is not async: only strategies wait")
    if callable(key):
        return _checked(key)
    raise UsageError("key", key, f"pass a callable, None or one of {_names()}")


def awaited_key(key: str | Key | AwaitedKey | None) -> AwaitedKey:
    """The key that the `key=` of a strategy names: as `key_function`, and it may be async.

    An async key is awaited for each sample when its call is over, in no slot of a limiter.

    Raises:
        UsageError: No key has that name.
    """
    if not _waits(key):
        plain = key_function(cast("str | Key | None", key))
        if key == "math":
            return _on_a_thread(plain)

        async def at_once(value: object) -> Hashable | None:
            return plain(value)

        return at_once
    waiting = cast("AwaitedKey", key)

    async def awaited(value: object) -> Hashable | None:
        with _explained(key, value):
            answer = await waiting(value)
        return _usable(key, answer)

    return awaited


def _on_a_thread(key: Key) -> AwaitedKey:
    """It asks another process, for seconds at the worst: the event loop goes on meanwhile."""

    async def waiting(value: object) -> Hashable | None:
        return await in_thread(lambda: key(value))

    return waiting


def _waits(key: object) -> bool:
    call = getattr(key, "__call__", None)  # noqa: B004 - an object with an async __call__
    return inspect.iscoroutinefunction(key) or inspect.iscoroutinefunction(call)


def _named(name: str) -> Key:
    if name == "math":
        check_maths()
    if name in _NAMED:
        return _NAMED[name]
    kind, colon, path = name.partition(":")
    if kind == "json" and colon:
        return _json_key(path)
    raise UsageError("key", name, f"use one of {_names()}, or a callable")


def _names() -> str:
    return ", ".join(f'"{name}"' for name in [*_NAMED, "json:path.to.field"])


def _checked(key: Key) -> Key:
    def checked(value: object) -> Hashable | None:
        with _explained(key, value):
            answer = key(value)
        return _usable(key, answer)

    return checked


@contextmanager
def _explained(key: object, value: object) -> Generator[None]:
    """Say which key it was that raised."""
    try:
        yield
    except ThinktwiceError:
        raise
    except Exception as error:
        remedy = f"it raised {status_of(error)}, given a {type(value).__name__}: return None for "
        raise UsageError("key", key, f"{remedy}a value without an answer") from error


def _usable(key: object, answer: Hashable | None) -> Hashable | None:
    """What a key returned, if it can be counted by."""
    if answer != answer:  # noqa: PLR0124 - NaN is equal to nothing: it abstains
        return None
    try:
        hash(answer)
    except TypeError:
        remedy = f"it returned a {type(answer).__name__}: return something hashable, such as "
        raise UsageError("key", key, f"{remedy}a str, a number or a tuple") from None
    return answer
