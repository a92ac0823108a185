"""Puts computed values where a slip stands, and where it was carried to."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from thinktwice.sample import Correction
from thinktwice.verifiers.calculator.expression import evaluate
from thinktwice.verifiers.calculator.judgement import findings
from thinktwice.verifiers.calculator.literals import agrees
from thinktwice.verifiers.calculator.plain import plain
from thinktwice.verifiers.calculator.readings import logarithms, other_values
from thinktwice.verifiers.calculator.sizes import CalculationError
from thinktwice.verifiers.calculator.tokens import tokens_of
from thinktwice.verifiers.calculator.written import like

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from thinktwice.verifiers.calculator.judgement import Finding
    from thinktwice.verifiers.calculator.plain import Plain
    from thinktwice.verifiers.calculator.tokens import Token
    from thinktwice.verifiers.calculator.units import Converter

_LONGEST: Final = 20_000
"""Characters of a text that is corrected."""
_MOST_EDITS: Final = 100
_ANSWER: Final = re.compile(
    r"(?:\b(?:answer|result|solution)(?:\s+is)?\s*[:=]?|^\W*A\s*[:=]|\#{4}|\\boxed)[\s*_$\\({]*-?$",
    re.IGNORECASE,
)
_MARKER: Final = re.compile(
    r"(?:^\s*[(#*-]*\s*|\b(?:step|line|part|case|equation|day|no\.?)\s*#?)$", re.IGNORECASE
)
_MARKED: Final = re.compile(r"\s?[.):]")


class _AmbiguousError(Exception):
    """A number whose role cannot be told: nothing is corrected."""


def correction(
    text: str, found: Sequence[Finding], converter: Converter | None = None
) -> Correction | None:
    """Correct the slips of a text; None if that is not safe.

    A wrong result gets the computed value. So do later lines that take it up, which are computed
    again with the right one, and the answer if it is that number. Nothing else is touched.

    It is not safe if a number that is to be changed stands anywhere else: before the slip, in the
    prose after it, or as the right result of another line; if a claim can be read in two ways; or
    if what comes out is not free of slips.

    Args:
        text: The text as written.
        found: What was found of its claims.
        converter: Converts units.
    """
    if len(text) > _LONGEST:
        return None
    source = plain(text)
    try:
        edits = _Pass(source.text, found).edits()
    except (_AmbiguousError, CalculationError):
        return None
    if not 0 < len(edits) <= _MOST_EDITS:
        return None
    corrected = _edited(text, source, edits)
    if not all(finding.holds for finding in findings(plain(corrected).text, converter)):
        return None
    return Correction(value=corrected, changes=_changes(text, source, found, edits))


@dataclass(frozen=True)
class _Edit:
    """A number that is replaced.

    Attributes:
        token: The number in the plain text.
        by: What stands there instead.
        value: What that is worth.
    """

    token: Token
    by: str
    value: Fraction


@dataclass
class _Pass:
    """One pass over the numbers of a text, in order."""

    text: str
    found: Sequence[Finding]
    changed: dict[int, _Edit] = field(default_factory=dict[int, "_Edit"])
    carried: dict[Fraction, tuple[Fraction, str]] = field(
        default_factory=dict["Fraction", tuple["Fraction", str]]
    )
    seen: set[Fraction] = field(default_factory=set["Fraction"])
    ambiguous: set[Fraction] = field(default_factory=set["Fraction"])

    def edits(self) -> list[_Edit]:
        """What is to be replaced, in order.

        Raises:
            _AmbiguousError: It cannot be told.
        """
        stated, operands = self.roles()
        for token in tokens_of(self.text):
            if token.kind != "number":
                continue
            if token.start in stated:
                self.result(token, stated[token.start])
            elif token.start in operands or self.is_answer(token):
                self.use(token)
            elif not self.is_marker(token):
                self.mention(token)
        for finding in self.found:
            self.check(finding)
        return [self.changed[start] for start in sorted(self.changed)]

    def roles(self) -> tuple[dict[int, Finding], set[int]]:
        """Which numbers are results, and which are computed with, by where they stand."""
        stated = {f.stated.token.start: f for f in reversed(self.found) if f.stated is not None}
        sides = [f.expression for f in self.found]
        sides += [f.claim.right for f in self.found if f.stated is None]
        return stated, {token.start for side in sides for token in side.tokens}

    def result(self, token: Token, finding: Finding) -> None:
        """The number that a claim states: right, a slip, or what follows from one."""
        stated = finding.stated
        if stated is None or (finding.holds and not self.depends(finding)):
            self.mention(token)
            return
        if finding.expression.tokens[0].start > token.start or stated.negative:
            raise _AmbiguousError
        value = self.value(finding)
        if agrees(value, stated, near=finding.claim.sign == "~"):
            self.mention(token)
            return
        tokens = finding.expression.tokens
        if logarithms(tokens) or any(other != finding.value for other in other_values(tokens)):
            raise _AmbiguousError
        by, worth = like(finding.right(value), token, grouped="," in self.text)
        self.changed[token.start] = _Edit(token, by, worth)
        if token.value in self.seen or self.carried.get(token.value, (worth, by)) != (worth, by):
            self.ambiguous.add(token.value)
        self.carried[token.value] = (worth, by)

    def use(self, token: Token) -> None:
        """A number that is computed with, or the answer: it may have been carried there."""
        if token.value not in self.carried:
            self.seen.add(token.value)
            return
        as_digits = self.text[token.start : token.end] == token.text
        if token.value in self.ambiguous or not as_digits:
            raise _AmbiguousError
        worth, by = self.carried[token.value]
        if worth < 0 and not self.is_answer(token):
            raise _AmbiguousError
        self.changed[token.start] = _Edit(token, by, worth)

    def mention(self, token: Token) -> None:
        """A number in another role: it is its own."""
        if token.value in self.carried:
            raise _AmbiguousError
        self.seen.add(token.value)

    def check(self, finding: Finding) -> None:
        """A claim without a stated number: it must not be wrong, nor depend on what was."""
        if finding.stated is None and (not finding.holds or self.depends(finding)):
            raise _AmbiguousError

    def depends(self, finding: Finding) -> bool:
        """Whether a number that was replaced is computed with."""
        sides = [finding.expression, *([] if finding.stated else [finding.claim.right])]
        return any(token.start in self.changed for side in sides for token in side.tokens)

    def value(self, finding: Finding) -> Fraction:
        """The value of a claim's expression with what was replaced in it."""
        if not self.depends(finding):
            return finding.value
        tokens = finding.expression.tokens
        edits = [self.changed.get(token.start) for token in tokens]
        values = [edit.token.value for edit in edits if edit]
        if len(set(values)) < len(values) or evaluate(tokens) != finding.value:
            # One of two equal operands may be given; and where units were converted, this is short.
            raise _AmbiguousError
        return evaluate(
            [t._replace(value=e.value) if e else t for t, e in zip(tokens, edits, strict=True)]
        )

    def is_answer(self, token: Token) -> bool:
        """Whether it stands behind "The answer is" or the like."""
        return _ANSWER.search(self.line_before(token)) is not None

    def is_marker(self, token: Token) -> bool:
        """Whether it numbers a step or a line."""
        numbers = _MARKER.search(self.line_before(token)) is not None
        return numbers and _MARKED.match(self.text, token.end) is not None

    def line_before(self, token: Token) -> str:
        """What stands before it on its line, as far as it matters."""
        return self.text[max(0, token.start - 60) : token.start].rpartition("\n")[2]


def _edited(
    text: str, source: Plain, edits: Sequence[_Edit], begin: int = 0, end: int | None = None
) -> str:
    """A part of the text as written, with the edits."""
    parts: list[str] = []
    at = begin
    for edit in edits:
        start, stop = source.written(edit.token.start, edit.token.end)
        parts += [text[at:start], edit.by]
        at = stop
    return "".join([*parts, text[at:end]])


def _changes(
    text: str, source: Plain, found: Sequence[Finding], edits: Sequence[_Edit]
) -> tuple[tuple[str, str], ...]:
    """Each statement that changed, before and after."""
    spans = _spans(source, found, edits)
    changes: list[tuple[str, str]] = []
    for begin, end in spans:
        inside = [e for e in edits if begin <= source.written(e.token.start, e.token.end)[0] < end]
        changes.append((text[begin:end], _edited(text, source, inside, begin, end)))
    return tuple(changes)


def _spans(
    source: Plain, found: Sequence[Finding], edits: Sequence[_Edit]
) -> list[tuple[int, int]]:
    """Where the statements stand that the edits are in; those that overlap are one."""
    claims = [(f.claim.start, f.claim.end) for f in found]
    places = [edit.token.start for edit in edits]
    touched = [
        span for span in claims if bisect_right(places, span[1]) > bisect_right(places, span[0] - 1)
    ]
    loose = [
        (_answer_start(source.text, edit.token.start), edit.token.end)
        for edit in edits
        if not any(begin <= edit.token.start < end for begin, end in touched)
    ]
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(touched + loose):
        if merged and begin < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return [source.written(begin, end) for begin, end in merged]


def _answer_start(text: str, place: int) -> int:
    before = text[max(0, place - 60) : place].rpartition("\n")[2]
    found = _ANSWER.search(before)
    return place - len(before) + found.start() if found else place
