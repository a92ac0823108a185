"""Where a text says which part of it is the answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Mark(NamedTuple):
    """One place that names the answer.

    Attributes:
        start: Position of the marked text.
        text: The marked text: what is in the box, or follows the phrase on its line.
        boxed: It is delimited, so all of it is the answer.
    """

    start: int
    text: str
    boxed: bool = False


_HASHES = re.compile(
    r"^####[ \t]*(?=[-\u2212+]?[ \t]*\\?[$\u20ac\u00a3]?[ \t]*[.\d])", re.MULTILINE
)
_PHRASE = re.compile(
    r"""
    \b answer \b
    (?: \s* (?:choice|option|\([^)\n]{0,40}\)) | \s+ (?:to|for|of) \b [^\n.:=]{0,80}?
      | ,? \s+ (?:then|thus|therefore) ,? )?
    [*_ \t]* (?: \b is \b (?:[ ]that\b)? | [:=] ) [*_:\s]*
    |
    ^ [*_ \t]* A [*_]* : [*_ \t]*
    """,
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_BRACES = re.compile(r"\\f?boxed\s*\{|\\.|[{}]", re.DOTALL)
_REACH = 300
"""Characters behind a phrase that may hold its answer."""
_MOST = 32
"""Marks that are looked at: texts are untrusted, and may repeat a phrase without end."""


def marks(text: str) -> list[Mark]:
    r"""The last marks, the very last first.

    `#### 42`, `\boxed{42}`, "the answer is 42", "Answer: 42", and "A: 42" at the start of a line.
    """
    found = [*_boxes(text), *_lines(text, _HASHES), *_lines(text, _PHRASE)]
    return sorted(found, key=lambda mark: mark.start, reverse=True)[:_MOST]


def _lines(text: str, pattern: re.Pattern[str]) -> Iterator[Mark]:
    for match in pattern.finditer(text):
        start = match.end()
        rest, _, _ = text[start : start + _REACH].partition("\n")
        yield Mark(start, rest.strip())


def _boxes(text: str) -> Iterator[Mark]:
    """Boxes without a box inside, in one pass; one that was cut off says nothing."""
    opened: list[int] = []
    last = -1
    for match in _BRACES.finditer(text):
        if match[0] == "}":
            start = opened.pop() if opened else 0
            if start == last:
                yield Mark(start, text[start : match.start()].strip(), boxed=True)
        elif match[0] == "{":
            opened.append(-2)
        elif match[0][-1] == "{" and len(match[0]) > 2:  # noqa: PLR2004 - no escaped brace
            last = match.end()
            opened.append(last)
