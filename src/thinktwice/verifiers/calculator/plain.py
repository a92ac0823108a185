"""A text in plain characters, and the way back to the text as written."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SIGNS: Final[Mapping[str, str]] = {
    **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\ufe63\uff0d", "-"),
    **dict.fromkeys("\u00d7\u2715\u2716\u00b7\u22c5\u2219\u2217\uff0a", "*"),
    **dict.fromkeys("\u00f7\u2215\u2044\uff0f", "/"),
    **dict.fromkeys("\u2248\u2243\u2245\u223c\uff5e", "~"),
    **dict.fromkeys(
        "\u2190\u2192\u21d2\u27f9\u2264\u2265\u2260\u2261\u2014\u2015\u2022\u2026", "|"
    ),
    **dict.fromkeys("\u20ac\u00a3\u00a5\u20b9\uff04", "$"),
    **dict.fromkeys("\u2028\u2029\x85\x0b\x0c\r", "\n"),
    **dict.fromkeys("\u201c\u201d\u00ab\u00bb", '"'),
    "\u2019": "'",
}
_FULL_WIDTH: Final = range(0xFF01, 0xFF5F)
_NOT_PLAIN: Final = re.compile(r"[^\n -\x7e]")
_GONE: Final = "\x00"


class Plain(NamedTuple):
    """A text in which each character is in its plain form, and invisible ones are left out.

    Attributes:
        text: The plain text.
        places: Where each of its characters stands in the text as written, and its length at the
            end; None if that is the same place.
    """

    text: str
    places: Sequence[int] | None

    def written(self, start: int, end: int) -> tuple[int, int]:
        """The place in the text as written of what stands between two places here."""
        if self.places is None or start >= end:
            return start, end
        return self.places[start], self.places[end - 1] + 1


def plain(text: str) -> Plain:
    """Bring signs, digits and spaces of any script to their ASCII forms, one for one."""
    mapped = _NOT_PLAIN.sub(lambda found: _ascii(found[0]), text)
    if _GONE not in mapped:
        return Plain(mapped, None)
    places = [place for place, character in enumerate(mapped) if character != _GONE]
    return Plain(mapped.replace(_GONE, ""), [*places, len(mapped)])


def _ascii(character: str) -> str:
    sign = _SIGNS.get(character)
    if sign is not None:
        return sign
    match unicodedata.category(character):
        case "Nd":
            return str(unicodedata.digit(character))
        case "Zs":
            return " "
        case "Cc" | "Cf" | "Mn":  # what takes no room: direction marks, joiners, emoji variants
            return " " if character == "\t" else _GONE
        case _:
            wide = ord(character) in _FULL_WIDTH
            return chr(ord(character) - 0xFEE0) if wide else character
