"""Find the expression in what a user wrote."""

from __future__ import annotations

import re

REFUSAL = "I can only do arithmetic."
"""The whole reply to anything that holds no expression."""

LONGEST = 20
"""Most characters of an expression: longer ones leave no room for the working."""

_SIGNS = str.maketrans({"\u00d7": "*", "\u00b7": "*", "\u2212": "-", "\u2013": "-"})
_CANDIDATE = re.compile(r"[\d(](?:[\d \t()+*/^-]|[.,](?=\d))*")
_PLAIN = re.compile(r"\d{1,4}(?:[-+*]\d{1,4})+")


def expression_in(text: str) -> str | None:
    """Return the first sum of products in `text`, without blanks, or None.

    ``"37*8+56"``, ``"What is 37 * 8 + 56?"`` and ``"Q: 37*8+56="`` all give ``"37*8+56"``. An
    expression the model was never taught to read (brackets, division, decimals, long ones) gives
    None rather than the part of it that could be read.

    Args:
        text: Anything.
    """
    for candidate in _CANDIDATE.finditer(text.translate(_SIGNS)):
        expression = re.sub(r"\s+", "", candidate[0].rstrip(" \t("))
        if re.search(r"\d\D+\d", expression) is None or re.search(r"\d\s+\d", candidate[0]):
            continue
        if len(expression) <= LONGEST and _PLAIN.fullmatch(expression):
            return expression
        if re.search(r"[+*/^]", expression):
            return None
    return None
