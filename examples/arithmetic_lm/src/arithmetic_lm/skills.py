"""What a model with skills reads and writes: a draft to check, a draft to revise."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .problems import settled
from .vocabulary import CHECK, REVISE, Vocabulary

OK = "ok"
"""The verdict on a draft without fault."""

UNNAMED = 0
"""The line of feedback that names none."""

_NAMED = re.compile(r"\bline\s+#?(\d{1,3})\b", re.IGNORECASE)
_SIGNS = str.maketrans({"\u00d7": "*", "\u00b7": "*", "\u2212": "-", "\u2013": "-"})


def check_tokens(vocabulary: Vocabulary, question: str, draft: str) -> list[int]:
    """Return what the model reads to say `ok`, or the number of the first wrong line.

    Raises:
        KeyError: The draft has characters that the model does not know.
    """
    return vocabulary.encode(f"{question}=\n{settled(draft)}\n", skill=CHECK)


def revise_tokens(vocabulary: Vocabulary, question: str, draft: str, line: int) -> list[int]:
    """Return what the model reads to write a draft anew.

    Args:
        vocabulary: Of the model.
        question: In the form of its family.
        draft: What is to be better.
        line: The line that the feedback names, from 1; 0 for none.

    Raises:
        KeyError: The draft has characters that the model does not know.
    """
    return vocabulary.encode(f"{question}=\n{settled(draft)}\n!{line}\n", skill=REVISE)


def named_line(feedback: str, draft: str) -> int:
    """Return the first line of a draft that feedback names or quotes, from 1; 0 if it does not.

    ``"line 2 is wrong"`` names it; ``"37*8=297 is wrong"`` and ``"37 * 8 is 296"`` quote it, the
    second by what stands before the equals sign.

    Args:
        feedback: Free text.
        draft: The lines that it is about.
    """
    lines = settled(draft).splitlines()
    found = [int(n) for n in _NAMED.findall(feedback) if 1 <= int(n) <= len(lines)]
    said = _plain(feedback)
    quoted = (k for k, line in enumerate(lines, 1) if _is_quoted(_plain(line), said))
    return min([*found, *quoted], default=UNNAMED)


def _is_quoted(line: str, said: str) -> bool:
    left = line.partition("=")[0]
    wanted: Sequence[str] = (line, left) if "=" in line else (line,)
    around = r"(?<!\d)(?<!\d[-+*])", r"(?![\d*+])"
    return any(re.search(re.escape(text).join(around), said) for text in wanted)


def _plain(text: str) -> str:
    """Write signs in one way, without blanks around them."""
    return re.sub(r"\s*([-+*=])\s*", r"\1", text.translate(_SIGNS))
