"""What the judge behind an evaluator really said: strictly, or nothing.

LlamaIndex takes "yes" anywhere in a reply for a pass ("NO. Yesterday's prices differ"), the first
of several marks, and the first digit of a number.
"""

from __future__ import annotations

import re
from typing import Final

_OPENING: Final = re.compile(
    r"(?P<lead>(?:(?:the|my|final|existing|original|refined|correct)\s+)*"
    r"(?:answer|verdict)\s*(?:is|remains|stays|would\s+be|:|-|=)*\s*)?"
    r"(?P<word>yes|no)\b(?!-)(?:\W*(?:and|or|but)?\W*\b(?P<also>yes|no)\b)?(?P<rest>.*)",
    re.IGNORECASE,
)
_CAPITALS: Final = re.compile(r"\b(YES|NO)\b(?!-)")
_MARKUP: Final = re.compile(r"<[^<>]*>|[*_`#\"'“”]+")
_BULLET: Final = re.compile(r"[\W\d]*")
_RESULT: Final = re.compile(r"\[RESULT\]\s*(\d+(?:\.\d+)*)", re.IGNORECASE)
_MARK: Final = re.compile(r"\[\[([ABC])\]\]")
_POINTS: Final = {"A": 1.0, "B": 0.0, "C": 0.5}


def yes_or_no(reply: str | None) -> bool | None:
    """Whether a reply says yes; None where it says neither, or both.

    What counts is the word that it opens with, one that has a line to itself or stands behind
    "Answer:", and YES and NO in capitals wherever they stand: that is how evaluators ask for it.
    """
    lines = [_BULLET.sub("", _MARKUP.sub("", line), count=1) for line in (reply or "").splitlines()]
    lines = [line for line in lines if line]
    found = [_OPENING.match(line) for line in lines]
    said = [each for at, each in enumerate(found) if each is not None and (at == 0 or _alone(each))]
    if not said:
        return None
    words = [word for each in said for word in each.group("word", "also") if word]
    words += (word for line in lines for word in _CAPITALS.findall(line))
    return None if len({word.lower() for word in words}) > 1 else words[0].lower() == "yes"


def _alone(found: re.Match[str]) -> bool:
    """It is an answer, and no sentence that happens to begin so."""
    return found["lead"] is not None or not re.search(r"\w", found["rest"])


def points(reply: str | None) -> float | None:
    """The number behind "[RESULT]"; None where there is none, or several that differ."""
    found = set(_RESULT.findall(reply or ""))
    try:
        numbers = {float(each) for each in found}
    except ValueError:  # 1.2.3
        return None
    return numbers.pop() if len(numbers) == 1 else None


def preference(reply: str | None) -> float | None:
    """1 for [[A]], 0 for [[B]], .5 for [[C]]; None where none of these stands there, or several."""
    marks = set(_MARK.findall(reply or ""))
    return _POINTS[marks.pop()] if len(marks) == 1 else None
