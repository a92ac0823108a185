"""A field of structured data, or of JSON in a text."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, cast

from thinktwice.answers.shapes import attribute, plain_of, text_in, unwrap
from thinktwice.errors import UsageError

MISSING: Final = object()
"""What is at a path that leads nowhere."""
_FENCE = re.compile(r"```[ \t]*(?:json[ \t]*)?\n(.*?)```", re.DOTALL | re.IGNORECASE)


def at_path(value: object, path: str) -> object:
    """What stands at a path such as "order.items.0.price"; `MISSING` where it leads nowhere.

    Args:
        value: A dict, list, pydantic model or dataclass; or a text that is JSON, or holds it in a
            code fence (the last one that can be read); or a message with such a text.
        path: Names of fields and positions in lists, joined by dots; empty for the whole.
    """
    for root in _roots(value):
        found = root
        for step in path.split(".") if path else ():
            found = _step(found, step)
        if found is not MISSING:
            return found
    return MISSING


def _step(value: object, step: str) -> object:
    value = plain_of(value)
    if isinstance(value, Mapping):
        return cast("Mapping[str, object]", value).get(step, MISSING)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items = cast("Sequence[object]", value)
        if re.fullmatch(r"-?[0-9]{1,9}", step) and -len(items) <= int(step) < len(items):
            return items[int(step)]
    return MISSING


def _roots(value: object) -> Iterator[object]:
    """Where the path may start: the JSON of a text, else the data, else what it wraps."""
    if isinstance(value, str):
        yield from json_in(value)
        return
    inner = unwrap(value)
    if inner is not value:
        yield from _roots(inner)
    elif attribute(value, "content") is not None or attribute(value, "text") is not None:
        with contextlib.suppress(UsageError):  # fields of these names that hold no text
            yield from json_in(text_in(value) or "")
    yield value


def json_in(
    text: str, *, parse_float: Callable[[str], float | Decimal] = Decimal
) -> Iterator[object]:
    """The data of a text that is JSON, or else of the last code fence that is; one at the most."""
    for candidate in (text, *reversed(fences_in(text))):
        try:
            yield json.loads(candidate, parse_float=parse_float)
        except (ValueError, RecursionError):
            continue
        return


def fences_in(text: str) -> list[str]:
    """What stands in the code fences of a text that say they are JSON, or say nothing."""
    return _FENCE.findall(text)
