"""What a model with skills reads and writes: a draft to check, a draft to revise."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .problems import settled
from .vocabulary import CHECK, REVISE, Vocabulary

OK = "ok"
"""The verdict on a draft without fault."""

PASSING = 0.25
"""Probability of `ok` from which on a draft passes.

Chosen on validation questions. It is less than a half since every character of a re-working adds
a doubt.
"""

CHECKED_AT = 1.0
"""Temperature of the re-working: one sample of what the model itself believes."""

UNNAMED = 0
"""The line of feedback that names none."""

_NAMED = re.compile(r"\bline\s+#?(\d{1,3})\b", re.IGNORECASE)
_SIGNS = str.maketrans({"\u00d7": "*", "\u00b7": "*", "\u2212": "-", "\u2013": "-"})


def check_tokens(vocabulary: Vocabulary, question: str, draft: str) -> list[int]:
    """Return what the model reads to work the lines of a draft again and then judge it.

    Raises:
        KeyError: The draft has characters that the model does not know.
    """
    return vocabulary.encode(f"{question}=\n{settled(draft)}\n", skill=CHECK)


@dataclass(frozen=True)
class Check:
    """What the model said of a draft: a generative verifier's verdict.

    It works the lines again before it judges (Zhang et al. 2024, "Generative Verifiers",
    arXiv:2408.15240): up to the first that comes out otherwise, then ``ok`` or that line's number.

    Args:
        line: The line that it called wrong, from 1; 0 if it said ``ok``. The least of it: it often
            says ``ok`` though its own lines differ from the draft's.
        ok: Probability that working again comes to the draft's own lines and to ``ok``: exact if
            it did, else an upper bound, taken where the first character differs.
        doubtful: The line at which that probability falls most, from 1.
    """

    line: int
    ok: float
    doubtful: int


def read_check(
    draft: str,
    text: str,
    logprobs: Sequence[float] | None = None,
    top: Sequence[Mapping[str, float]] = (),
) -> Check | None:
    """Return what the reply to a check says; None if it ends without a verdict.

    Args:
        draft: The draft that was checked, without a re-check.
        text: The reply.
        logprobs: Of its characters; None takes every one for certain.
        top: The most probable characters in the place of each, with their log-probabilities.
    """
    verdict = text.rpartition("\n")[2]
    if not re.fullmatch(rf"{OK}|[1-9]", verdict):
        return None
    losses = _losses(f"{draft}\n{OK}", text, logprobs, top)
    ends = [i for i, character in enumerate(draft) if character == "\n"]
    cuts = [0, *(end + 1 for end in ends), len(losses)]
    by_line = [sum(losses[start:end]) for start, end in pairwise(cuts)]
    line = 0 if verdict == OK else int(verdict)
    return Check(line, math.exp(sum(losses)), 1 + by_line.index(min(by_line)))


def _losses(
    wanted: str,
    text: str,
    logprobs: Sequence[float] | None,
    top: Sequence[Mapping[str, float]],
) -> list[float]:
    """Return the log-probability of each wanted character, up to the first not written."""
    losses: list[float] = []
    for at, (character, written) in enumerate(zip(wanted, text, strict=False)):
        if character == written:
            losses.append(logprobs[at] if logprobs else 0.0)
            continue
        others = top[at] if at < len(top) else dict[str, float]()
        least = min(others.values(), default=math.log(_UNTOLD))
        return [*losses, others.get(character, least)]
    return losses


_UNTOLD = 0.01
"""Probability of a character that was not written, if that of the others is not known."""


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
