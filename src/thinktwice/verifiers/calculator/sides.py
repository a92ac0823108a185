"""The sides of an equation in running text: where the expression begins and ends."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from thinktwice.verifiers.calculator.names import APPROXIMATE, CALLED, FILLERS, UNITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.verifiers.calculator.tokens import Token

_LONGEST_LABEL: Final = 5
"""Words between a number and the sign behind it: 3 boxes of red apples + 2."""
_LONGEST_TAIL: Final = 12
_CALCULATES: Final = frozenset(
    {"number", "operator", "percent", "factorial", "open", "close", "function"}
)
_ENDS_OPERAND: Final = frozenset({"number", "percent", "factorial", "close"})
_BEGINS_OPERAND: Final = frozenset({"number", "open", "function"})


@dataclass
class Piece:
    """A part of a side that may be an expression.

    Attributes:
        tokens: What is computed; labels are left out.
        labels: Words behind numbers: what is counted, or a unit.
        sound: Nothing unknown takes part in it, such as a variable or a date.
        first: It begins its side, after nothing but "about" and the like.
        last: It ends its side.
        after: The first word behind it.
        near: It is said to be approximate.
    """

    tokens: list[Token] = field(default_factory=list["Token"])
    labels: list[Token] = field(default_factory=list["Token"])
    sound: bool = True
    first: bool = False
    last: bool = False
    after: str = ""
    near: bool = False


def pieces(side: Sequence[Token]) -> list[Piece]:
    """Divide a side where words, commas or dates interrupt it."""
    return _Divider(_without_remarks(side)).divide()


class _Divider:
    """One pass over the tokens of a side."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.open = 0
        self.piece = Piece(first=True)
        self.found: list[Piece] = []

    def divide(self) -> list[Piece]:
        """All pieces, in order."""
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token.kind in _CALCULATES or (token.kind == "comma" and self.open):
                self.calculates(token)
            elif token.kind == "word":
                self.words()
            else:
                odd = token.kind == "odd"
                self.end(sound=not odd)
                self.piece.sound = not odd
                self.at += 1
        self.piece.last = True
        self.end()
        return [piece for piece in self.found if piece.tokens]

    def calculates(self, token: Token) -> None:
        """A token of an expression."""
        tokens = self.piece.tokens
        before = tokens[-1] if tokens else None
        if token.kind == "close" and not self.open:
            self.at += 1
            self.end()
            following = self.tokens[self.at : self.at + 1]
            self.piece.sound = all((n.kind, n.start) != ("open", token.end) for n in following)
            return
        if before is not None and before.kind in _ENDS_OPERAND and token.kind in _BEGINS_OPERAND:
            labelled = bool(self.piece.labels) and self.piece.labels[-1].start >= before.end
            touching = before.end == token.start and token.kind != "number" and not labelled
            modulo = before.kind == "percent"
            if not touching and not modulo:
                remark = token.kind == "open" and self.is_word(self.at + 1)
                self.end(sound=remark)
                self.piece.sound = False
        if not self.piece.tokens and token.kind == "operator":
            signs = token.text == "-" and (self.piece.first or not self.found)
            self.piece.sound = self.piece.sound and signs
        self.open += (token.kind == "open") - (token.kind == "close")
        self.piece.tokens.append(token)
        self.at += 1

    def words(self) -> None:
        """A run of words: a label, or prose between two pieces."""
        begin, end = self.at, self.run(self.at)
        run = self.tokens[begin:end]
        following = self.tokens[end].kind if end < len(self.tokens) else None
        self.at = end
        tokens = self.piece.tokens
        called = self.is_called(run)
        filled = self.piece.first and not called
        if not tokens and filled and all(w.text.lower() in FILLERS for w in run):
            self.piece.near |= any(w.text.lower() in APPROXIMATE for w in run)
            return
        operand = bool(tokens) and tokens[-1].kind in _ENDS_OPERAND
        longest = _LONGEST_TAIL if following is None else _LONGEST_LABEL
        joins = following in {None, "operator", "close", "percent"}
        if operand and joins and len(run) <= longest:
            self.label(run, tokens[-1])
            self.piece.sound &= following != "operator" or all(w.text != "(1)" for w in run)
            return
        if operand:
            self.label(run[:1], tokens[-1])
        self.end(sound=not tokens or tokens[-1].kind != "operator")
        self.piece.sound = not called

    def is_called(self, run: Sequence[Token]) -> bool:
        """Whether what follows words is their argument or index: f(2) and a[2] are no 2."""
        touched = self.at < len(self.tokens) and self.tokens[self.at].start == run[-1].end
        return touched or any(word.text.lower() in CALLED for word in run[-2:])

    def label(self, run: Sequence[Token], operand: Token) -> None:
        """Words that say what is counted; a variable is none."""
        self.piece.after = self.piece.after or run[0].text.lower()
        self.piece.labels += run
        self.piece.sound &= not any(_is_variable(word, operand) for word in run)

    def run(self, at: int) -> int:
        """Where a run of words ends; km/h and per-day are part of it."""
        while at < len(self.tokens):
            token = self.tokens[at]
            joint = token.text == "/" and self.is_word(at + 1)
            joint = joint and token.end == self.tokens[at + 1].start
            if not joint and self.tokens[at].kind != "word":
                break
            at += 2 if joint else 1
        return at

    def is_word(self, at: int) -> bool:
        """Whether a word stands there."""
        return at < len(self.tokens) and self.tokens[at].kind == "word"

    def end(self, *, sound: bool = True) -> None:
        """The piece ends here, and another begins."""
        self.piece.sound &= sound
        self.found.append(self.piece)
        self.piece = Piece()
        self.open = 0


def _is_variable(word: Token, operand: Token) -> bool:
    text = word.text
    if word.kind != "word":
        return False
    if text in UNITS or (len(text) > 1 and text.lower() in UNITS) or text in {"a", "I"}:
        return False
    glued = word.start == operand.end
    lone = text.isascii() and len(text) == 1
    return lone or glued or bool(re.match(r"\\[a-zA-Z]+$", text))


def _without_remarks(side: Sequence[Token]) -> list[Token]:
    """Each remark in brackets behind a number or word, as in 54 (from the song), as one word."""
    closing = _partners(side)
    found: list[Token] = []
    at = 0
    while at < len(side):
        token, end = side[at], closing.get(at)
        if end is not None and found and _is_remark(side[at + 1 : end], found[-1], token):
            counted = any(inner.kind == "number" for inner in side[at:end])
            text = "(1)" if counted else "(...)"
            found.append(token._replace(kind="word", text=text, end=side[end].end))
            at = end
        else:
            found.append(token)
        at += 1
    return found


def _is_remark(inside: Sequence[Token], before: Token, bracket: Token) -> bool:
    if before.kind not in {"number", "percent", "close", "word"} or before.end == bracket.start:
        return False
    if not inside or inside[0].kind == "word":
        return bool(inside)
    words = any(token.kind == "word" for token in inside)
    return words and not any(token.kind == "operator" for token in inside)


def _partners(side: Sequence[Token]) -> dict[int, int]:
    """Where each bracket that is closed is closed."""
    partners: dict[int, int] = {}
    opened: list[int] = []
    for place, token in enumerate(side):
        if token.kind == "open":
            opened.append(place)
        elif token.kind == "close" and opened:
            partners[opened.pop()] = place
    return partners
