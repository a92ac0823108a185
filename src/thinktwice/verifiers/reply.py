"""Reading what a judge said: exactly one JSON object, or nothing.

A search for "score: 10" would find it in the words of the candidate that a judge repeats.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from thinktwice.answers import plain_of, text_in, unwrap
from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from thinktwice.sample import Completion

CUT_OFF: Final = frozenset({"content_filter", "length", "max_tokens", "refusal"})
"""Finish reasons after which a reply is not read."""

_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL | re.IGNORECASE)


def fields_of(reply: object, *names: str) -> Mapping[str, object] | None:
    """The fields of a reply that is one object and has those named; None of any other.

    Args:
        reply: A text that is one JSON object, perhaps in a code fence; or the object itself, as a
            dict, pydantic model or dataclass.
        names: Fields that it must have.
    """
    while (inner := unwrap(reply)) is not reply:
        reply = inner
    found = _mapping(plain_of(reply), names)
    if found is not None:
        return found
    try:
        text = text_in(reply)
    except UsageError:
        return None
    return None if text is None else _mapping(_parsed(text), names)


def reason_in(fields: Mapping[str, object]) -> str | None:
    """Its "reason", if it gives one."""
    reason = fields.get("reason")
    return (reason.strip() or None) if isinstance(reason, str) else None


def unreadable(reply: Completion[object]) -> str:
    """Why nothing was read of a reply, without a word of it."""
    if reply.finish_reason in CUT_OFF:
        return f"the judge stopped by {reply.finish_reason}"
    return "the judge did not answer with the JSON object asked for"


def _mapping(found: object, names: tuple[str, ...]) -> Mapping[str, object] | None:
    if not isinstance(found, Mapping):
        return None
    fields = cast("Mapping[str, object]", found)
    return fields if all(name in fields for name in names) else None


def _parsed(text: str) -> object:
    text = text.strip()
    fenced = _FENCED.fullmatch(text)
    try:
        return json.loads(fenced[1] if fenced else text, object_pairs_hook=_unambiguous)
    except (ValueError, RecursionError):
        return None


def _unambiguous(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found
