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
_BOX = re.compile(r"\\f?boxed\s*\{")


def marks(text: str) -> list[Mark]:
    r"""All marks, the last first: `#### 42`, `\boxed{42}`, "the answer is 42", "Answer: 42"."""
    found = [*_boxes(text), *_lines(text, _HASHES), *_lines(text, _PHRASE)]
    return sorted(found, key=lambda mark: mark.start, reverse=True)


def _lines(text: str, pattern: re.Pattern[str]) -> Iterator[Mark]:
    for match in pattern.finditer(text):
        rest, _, _ = text[match.end() :].partition("\n")
        yield Mark(match.end(), rest.strip())


def _boxes(text: str) -> Iterator[Mark]:
    for match in _BOX.finditer(text):
        end, depth = match.end(), 1
        while end < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        if not depth:  # a box that was cut off says nothing
            yield Mark(match.end(), text[match.end() : end - 1].strip(), boxed=True)
