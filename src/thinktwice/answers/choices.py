"""The letter that a text chooses among given options."""

from __future__ import annotations

import re

from thinktwice.answers.marks import marks

_OPENS_ANSWER = re.compile(
    r"""
    (?: the \s+ )? (?: option | choice )? \s*
    [*_$("'\[]* (?:\\(?:text|mathrm|textbf|mathbf)\s*\{)? [("'\[]*
    (?P<letter>[A-Za-z])
    (?P<after>[)\]*_}"'.:,;$]|\s|$)
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""A letter at the start of a marked text: "B", "(b)", "**B**", "option B", a LaTeX text box."""
_WRAPPED = re.compile(
    r"\((?P<round>[A-Za-z])\)|\*\*\(?(?P<bold>[A-Z])[).:]?\)?\*\*"
    r"|\b(?:option|choice)\s+(?P<named>[A-Z])\b"
)
_LINE = re.compile(
    r"^[ \t]*[(*_]*(?P<letter>[A-Z])[*_]*(?:[).:][*_]*(?=\s|$)|[ \t]*$)", re.MULTILINE
)
_WORDS = frozenset("AI")
"""Letters that are English words: bare before more text, they open a sentence."""
_REASON = re.compile(r"(?:because|since|as|and|not)\b|[-(\u2013\u2014]")
"""What may follow a letter that was chosen: "A because", "A (Paris)"."""


def choice_in(text: str) -> str | None:
    """The letter of the option that a text chooses, in upper case; None when there is none.

    Tried in order: the last marked letter ("the answer is B", a box), the last wrapped one ("(B)",
    "**B**", "option B"), and a line that starts with one ("B.", "B) Paris", "B" alone) unless lines
    start with several: a list of the options chooses none.
    """
    whole = text.strip()
    if len(whole) == 1 and whole.isascii() and whole.isalpha():
        return whole.upper()
    for mark in marks(text):
        if letter := _opening(mark.text):
            return letter
    wrapped = [match[match.lastgroup or 0] for match in _WRAPPED.finditer(text)]
    if wrapped:
        return wrapped[-1].upper()
    lines = {match["letter"] for match in _LINE.finditer(text)}
    return lines.pop() if len(lines) == 1 else None


def _opening(marked: str) -> str | None:
    match = _OPENS_ANSWER.match(marked)
    if match is None:
        return None
    letter, rest = match["letter"], marked[match.end("letter") :].strip(" \t.*_$")
    bare = match.start("letter") == 0 and match["after"].isspace()
    if bare and rest and (letter.islower() or (letter in _WORDS and not _REASON.match(rest))):
        return None  # "a mystery", "I do not know"
    return letter.upper()
