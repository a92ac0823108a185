"""Finds the equations and claims of a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from thinktwice.verifiers.calculator.expression import LONGEST, arranged
from thinktwice.verifiers.calculator.names import COMPARES, CONTINUES
from thinktwice.verifiers.calculator.sides import Piece, pieces
from thinktwice.verifiers.calculator.tokens import Token, tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_TOKENS: Final = 50_000
"""Numbers, signs and words that are read, of sentences with an equals sign: about 200 kB."""
MOST_CLAIMS: Final = 4000

_ENDS: Final = re.compile(r"\n|[.;?](?!\S)|\||\\n(?![a-z])")
_PROMISING: Final = re.compile(
    r"[=~]|\\approx|\b(?:is|are|was|were|be|equals?|gives?|giving|makes?|making|yields?|yielding|to"
    r"|get|totals|of|in|leaves|leaving)\b"
)
_DIGIT: Final = re.compile(
    r"\d[^\d]+\d|\d\D*[=~]|[\u00bc-\u00be\u2150-\u215e\u00b2\u00b3\u00b9\u2070-\u2079]"
)
_CURRENCY: Final = re.compile(r"\\?\$ ?\Z")
_DENIED: Final = re.compile(
    r"\b(?:not|isn't|aren't|doesn't|don't|wrong|incorrect\w*|mistake\w*|false|error|instead"
    r"|unless|cannot|can't|never|neither|nor|rather)\b",
    re.IGNORECASE,
)
_SUPPOSED: Final = re.compile(
    r"\b(?:suppos(?:e|es|ing)|assum(?:e|es|ed|ing)|imagin(?:e|ing)|pretend(?:ing)?"
    r"|if(?=[ ](?:that[ ])?[\d(\[$\\*.-]|[^\n]{1,200}\bwere\b))\b",
    re.IGNORECASE,
)
_OTHER_ARITHMETIC: Final = re.compile(
    r"\b(?:binary|octal|hex\w*|base[ -](?:\d+|two|eight|ten|twelve|sixteen)|xor|bitwise|o'clock"
    r"|clock|mod(?:ulo|ulus|ular|\d+)?|truncat\w+|int(?:eger)?[ -](?:division|arithmetic|math)"
    r"|(?<!/)(?<!per )(?<!each )(?<!st )(?<!nd )(?<!rd )(?<!th )floor(?!\())\b|\\[bp]?mod|\\oplus",
    re.IGNORECASE,
)
_LEFT_ALONE: Final = (_DENIED, _SUPPOSED, _OTHER_ARITHMETIC)
_ROUNDED: Final = re.compile(
    r"\b(?:round\w*|approx\w*|about|nearly|roughly|estimat\w+|almost|around)\b|~|\\approx",
    re.IGNORECASE,
)
_MODIFIED: Final = re.compile(
    r"(?:\b(?:half|thirds?|quarters?|fourths?|fifths?|tenths?|average|mean|root|square|times|fraction"
    r"|negative|doubl\w+|twice|thrice|tripl\w+|by|than|difference|product|between|inverse|less|per)\b|%)"
    r"(?:[ ]of)?(?:[ ]the)?[ ]?$|\b(?:sum|add\w*|total|plus)\b[^.]{0,60}\band[ ]$|\d,?[ ]and[ ]$",
    re.IGNORECASE,
)  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """Two neighbouring sides of an equation.

    Attributes:
        left: Left of the sign.
        right: Right of it.
        sign: "=", "~" for "about equal", or "is" for a word.
        start: Where it begins in the plain text.
        end: Where it ends.
    """

    left: Piece
    right: Piece
    sign: str
    start: int
    end: int


def claims_of(text: str) -> Iterator[Claim]:
    """The claims of a plain text; one within <<1+1=2>> comes before what is round it."""
    return islice(_all_claims(text), MOST_CLAIMS)


def _all_claims(text: str) -> Iterator[Claim]:
    left = MOST_TOKENS
    for start, end in _sentences(text):
        if end - start > 2 * LONGEST or not _is_promising(text, start, end):
            continue
        near = _ROUNDED.search(text, start, end) is not None
        for statement in _statements(islice(tokens_of(text, start, end), left)):
            left -= len(statement)
            yield from _claims(text, arranged(statement), near=near)


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for found in _ENDS.finditer(text):
        yield start, found.start()
        start = found.end()
    yield start, len(text)


def _is_promising(text: str, start: int, end: int) -> bool:
    if text[end : end + 1] == "?" or not _PROMISING.search(text, start, end):
        return False
    if not _DIGIT.search(text, start, end):
        return False
    return not any(each.search(text, start, end) for each in _LEFT_ALONE)


def _statements(tokens: Iterator[Token]) -> Iterator[list[Token]]:
    """Divide where a statement ends, and take what is nested out of what is round it."""
    stack: list[list[Token]] = [[]]
    for token in tokens:
        if token.text == "<<":
            stack.append([])
        elif token.text == ">>":
            yield stack.pop()
            stack = stack or [[]]
        elif token.kind == "break":
            yield stack[-1]
            stack[-1] = []
        else:
            stack[-1].append(token)
    yield from reversed(stack)


def _claims(text: str, tokens: Sequence[Token], *, near: bool) -> Iterator[Claim]:
    sides, signs = _sides(tokens)
    if not signs:
        return
    divided = [pieces(side) for side in sides]
    for place, sign in enumerate(signs):
        left, right = _left(text, divided[place]), _right(divided[place + 1], sign)
        if left is None or right is None:
            continue
        about = "~" if near or right.near or sign == "~" else sign
        yield Claim(left, right, about, _begin(text, left, right), right.tokens[-1].end)


def _begin(text: str, left: Piece, right: Piece) -> int:
    """Where a claim begins: with the currency sign, if it is none of LaTeX's."""
    first, *others = (*left.tokens, *right.tokens)
    if not first.money or not any(token.money for token in others):
        return first.start
    signs = _CURRENCY.search(text, max(0, first.start - 4), first.start)
    return signs.start() if signs else first.start


def _sides(tokens: Sequence[Token]) -> tuple[list[list[Token]], list[str]]:
    """Split at equals signs; several in a row, as in "is = ", are one."""
    sides: list[list[Token]] = [[]]
    signs: list[str] = []
    for token in tokens:
        if token.kind != "equals":
            sides[-1].append(token)
        elif signs and not sides[-1]:
            signs[-1] = "~" if "~" in {token.text, signs[-1]} else min(token.text, signs[-1])
        else:
            signs.append(token.text)
            sides.append([])
    return sides, signs


def _left(text: str, side: Sequence[Piece]) -> Piece | None:
    """The expression that ends a side."""
    if not side or not side[-1].last or not side[-1].sound:
        return None
    piece = side[-1]
    before = text[max(0, piece.tokens[0].start - 80) : piece.tokens[0].start].replace("$", "")
    if _MODIFIED.search(before.rsplit("\n", 1)[-1]):
        return None
    return _closed(piece)


def _closed(piece: Piece) -> Piece | None:
    """Without brackets that are not closed: they are round the whole equation."""
    opened: list[int] = []
    for place, token in enumerate(piece.tokens):
        if token.kind == "open":
            opened.append(place)
        elif token.kind == "close":
            opened.pop()
    if not opened:
        return piece
    inner = piece.tokens[opened[-1] + 1 :]
    return Piece(tokens=inner, labels=piece.labels, last=True) if inner else None


def _right(side: Sequence[Piece], sign: str) -> Piece | None:
    """The expression that begins a side."""
    piece = side[0] if side else None
    if piece is None or not piece.first or not piece.sound:
        return None
    if piece.after in CONTINUES or (sign == "is" and piece.after in COMPARES):
        return None
    return piece
