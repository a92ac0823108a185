"""Asking a model whether passages support claims: both are data in its prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from thinktwice.verifiers.material import JudgePrompt, framed
from thinktwice.verifiers.reply import fields_of

if TYPE_CHECKING:
    from thinktwice.verifiers.grounding.claims import Claim
    from thinktwice.verifiers.grounding.lexical import Passage, Status

_ROLE: Final = "You check claims against passages, and against nothing else that you know."
_REQUEST: Final = """\
For each of the {n} claims say whether the passages support it:
- "supported": a passage says so, in these or other words, or it follows from what they say;
- "contradicted": a passage says something that cannot be true together with it;
- "unknown": anything else. That it is true, or likely, is not enough.{tied}

Answer with one JSON object and nothing else, with one entry for each claim, in order:
{{"claims": [{{"claim": 1, "verdict": "<supported, contradicted or unknown>", \
"passage": <number of the passage that decides, or null>}}, ...]}}"""
_TIED: Final = "\nClaim {claim} may rest on passage {passages} alone."
_STATUSES: Final[Mapping[str, Status]] = {
    "supported": "supported",
    "contradicted": "contradicted",
    "unknown": "unknown",
}


class Entailed(NamedTuple):
    """What the model said of one claim.

    Attributes:
        status: Of the claim.
        passage: Number of the passage that decides, from 1, if it names one.
    """

    status: Status
    passage: int | None = None


def entailment_prompt(claims: Sequence[Claim], passages: Sequence[Passage]) -> JudgePrompt:
    """Build the request for some claims.

    Args:
        claims: What to check; citations tie a claim to some of the passages.
        passages: What to check against.
    """
    parts = [(f"passage_{passage.number}", passage.text) for passage in passages]
    parts += [(f"claim_{i}", claim.text) for i, claim in enumerate(claims, 1)]
    tied = "".join(
        _TIED.format(claim=i, passages=" or ".join(map(str, claim.citations)))
        for i, claim in enumerate(claims, 1)
        if claim.citations
    )
    return framed(_ROLE, parts, _REQUEST.format(n=len(claims), tied=tied))


def entailed(reply: object, claims: int, passages: int) -> list[Entailed] | None:
    """Read the answer; None if it is not exactly one entry for each claim, in order.

    Args:
        reply: A text that is one JSON object, or the object.
        claims: How many there are.
        passages: How many there are.
    """
    fields = fields_of(reply, "claims")
    entries = fields["claims"] if fields else None
    if not isinstance(entries, list) or len(cast("list[object]", entries)) != claims:
        return None
    found = [
        _entry(each, number, passages)
        for number, each in enumerate(cast("list[object]", entries), 1)
    ]
    known = [each for each in found if each is not None]
    return known if len(known) == claims else None


def _entry(entry: object, number: int, passages: int) -> Entailed | None:
    if not isinstance(entry, Mapping):
        return None
    fields = cast("Mapping[str, object]", entry)
    status = _STATUSES.get(str(fields.get("verdict")))
    if status is None or fields.get("claim") != number:
        return None
    passage = fields.get("passage")
    if not isinstance(passage, int) or isinstance(passage, bool) or not 1 <= passage <= passages:
        passage = None
    return Entailed(status, passage)
