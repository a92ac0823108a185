"""Splitting a text into statements: sentences, list items, rows of tables.

No statement is lost and none is cut at a decimal point, an abbreviation or an initial, as far as
that can be told without a grammar. Every step takes time linear in the text: texts are untrusted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_FENCE = re.compile(
    r"^[ \t]*(?:```|~~~).*?(?:^[ \t]*(?:```|~~~)[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_ITEM = re.compile(r"(?:[-*+\u2022\u2013]|\(?\d{1,3}[.)]|\(?[A-Za-z]\))[ \t]+")
_HEADING = re.compile(r"#{1,6}[ \t]+")
_RULE = re.compile(r"\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?|[*_=]{3,}")
_QUOTED = re.compile(r"(?:>[ \t]?)+")
_LINK = re.compile(r"!?\[([^\[\]\n]{0,500})\]\([^()\s]{0,2000}\)")
_EMPHASIS = re.compile(r"\*\*|__|(?<![\w*])[*_](?=\w)|(?<=[\w.,;:!?)])[*_](?![\w*])")
_TERMINATOR = re.compile(
    r"""(?P<sign>[.!?\u2026]+|[\u3002\uff01\uff1f]+)
    (?P<close>["'\u2019\u201d\u00bb)\]]*)
    (?P<cited>(?:[ \t]?(?:\[\^?\d[\d,;\-\u2013 ^]{0,40}\]|\u3010\d[^\u3011\n]{0,40}\u3011))*)
    (?P<gap>\s+|$|(?<=[\u3002\uff01\uff1f]))""",
    re.VERBOSE,
)
_LAST_WORD = re.compile(r"[\w.]+$")
_ENDED: Final = tuple(".!?:;\u2026\u3002\uff01\uff1f")
_WRAPPED: Final = 50
"""Characters from which a line may be one of a wrapped paragraph."""

_TITLES_TEXT: Final = (
    "mr mrs ms dr prof st gen gov sen rep rev hon lt col capt sgt mt vs cf ca approx viz resp al "
    "e.g i.e ph.d"
)
_TITLES: Final = frozenset(_TITLES_TEXT.split())
_BEFORE_NUMBERS_TEXT: Final = (
    "no nos p pp fig figs tab vol eq eqs sec secs ch art nr jan feb mar apr jun jul aug sep sept "
    "oct nov dec"
)
_BEFORE_NUMBERS: Final = frozenset(_BEFORE_NUMBERS_TEXT.split())
_STARTERS_TEXT: Final = (
    "a an the it he she they we you i this that these those in on at as for from by to with and "
    "but or so if when while since because although however therefore thus then there here his "
    "her its their our my your both each all some many most no not after before during"
)
_STARTERS: Final = frozenset(_STARTERS_TEXT.split())


class Statement(NamedTuple):
    """One sentence, list item or row.

    Attributes:
        text: One line, without markup.
        row: It is all of an item, of a row of a table, or of a line without a final sign.
        heading: It is a heading, or the first row of a table.
    """

    text: str
    row: bool = False
    heading: bool = False


def statements(text: str) -> Iterator[Statement]:
    """The statements of a text, in order; code in fences is left out."""
    for block in _blocks(_FENCE.sub("\n\n", text)):
        if block.heading:
            yield block
            continue
        for each in _sentences(block.text):
            if any(map(str.isalnum, each)):
                yield Statement(each, row=block.row and each == block.text)


def plain(text: str) -> str:
    """Without links, emphasis and line breaks."""
    return " ".join(_EMPHASIS.sub("", _LINK.sub(r"\1", text)).split())


def _blocks(text: str) -> Iterator[Statement]:
    """Paragraphs, items and rows; `row` says that it is a line of its own."""
    lines: list[str] = []
    for raw in [*text.split("\n"), ""]:
        line = raw.strip()
        if quoted := _QUOTED.match(line):
            line = line[quoted.end() :].strip()
        rule = _RULE.fullmatch(line)
        if lines and (rule or not _continues(lines[-1], line)):
            yield _joined(lines, heading=rule is not None and lines[-1].startswith("|"))
            lines = []
        if line and not rule:
            lines.append(line)


def _joined(lines: list[str], *, heading: bool) -> Statement:
    first = lines[0]
    if _HEADING.match(first):
        return Statement(
            plain(_HEADING.sub("", first, count=1).rstrip("# ")), row=True, heading=True
        )
    if first.startswith("|"):
        cells = (plain(cell) for cell in first.strip("|").split("|"))
        return Statement(", ".join(cell for cell in cells if cell), row=True, heading=heading)
    item = _ITEM.match(first)
    whole = plain(" ".join(lines)[item.end() if item else 0 :])
    return Statement(whole, row=item is not None or not whole.endswith(_ENDED))


def _continues(before: str, line: str) -> bool:
    """Whether a line goes on with the paragraph of the one before it."""
    if not line or line.startswith("|") or before.startswith("|"):
        return False
    if _ITEM.match(line) or _HEADING.match(line) or _HEADING.match(before):
        return False
    return len(before) >= _WRAPPED and not before.endswith(":")


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for match in _TERMINATOR.finditer(text):
        if _ends(text, start, match):
            yield text[start : match.end("cited")].strip()
            start = match.end()
    yield text[start:].strip()


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether a sentence ends with this sign."""
    behind = text[match.end() : match.end() + 40].lstrip("\"'\u2018\u201c\u00ab([*_")
    if not behind or match["sign"][0] in "\u3002\uff01\uff1f":
        return True
    if behind[0].islower():
        return False
    if match["sign"] != ".":
        return True
    last = _LAST_WORD.search(text, max(start, match.start() - 40), match.start())
    word = last[0] if last else ""
    following = re.match(r"[^\W\d_]+", behind)
    return _ends_at_dot(word, behind, following[0].lower() if following else "")


def _ends_at_dot(word: str, behind: str, following: str) -> bool:
    low = word.lower()
    if low in _TITLES:
        return False
    if low in _BEFORE_NUMBERS:
        return not behind[0].isdigit()
    initial = len(word) == 1 and word.isalpha() and word.isupper() and word != "I"
    dotted = "." in word and word.replace(".", "").isalpha()
    return following in _STARTERS if initial or dotted else True
