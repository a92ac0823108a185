"""What is said of an answer, from what was found of its claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from thinktwice.repair import cleaned
from thinktwice.sample import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.verifiers.grounding.claims import Claim
    from thinktwice.verifiers.grounding.entailment import Entailed
    from thinktwice.verifiers.grounding.lexical import Finding, Passage, Status

_MOST_QUOTED: Final = 300
_MOST_NAMED: Final = 5

_CONTRADICTED: Final = 'The claim "{claim}" is contradicted by passage {number}: "{place}".'
_AGAINST_ALL: Final = 'The claim "{claim}" is contradicted by the passages.'
_MISSING: Final = 'The passages do not have {missing} of the claim "{claim}".'
_UNCITED: Final = 'The claim "{claim}" cites passage {cited}, which there is not.'
_UNSUPPORTED: Final = 'The passages do not support the claim "{claim}".'
_MEND: Final = "Say what the passages say, and leave out what they do not."


class Checked(NamedTuple):
    """One claim after its check.

    Attributes:
        status: None where it could not be checked.
        said: What is wrong with it, for feedback; nothing if it is supported.
        missing: The claim, if the passages neither have it nor speak against it.
    """

    status: Status | None
    said: str = ""
    missing: str = ""


def combined(
    claim: Claim, finding: Finding, judged: Entailed | None, passages: Sequence[Passage]
) -> Checked:
    """One claim: by its words, and by a model if one was asked.

    Args:
        claim: The claim.
        finding: What its words say.
        judged: What the model says; None if none was asked.
        passages: Those that the claim may rest on; none if it cites what there is not.
    """
    status = finding.status if judged is None else judged.status
    if not passages:
        status = "unknown"
    elif judged is not None and status == "supported":
        refuted = finding.made_up or finding.status == "contradicted"
        status = "unknown" if refuted else status
    if status in (None, "supported"):
        return Checked(status)
    if status == "contradicted":
        return Checked(status, _contradiction(claim, finding, judged, passages))
    silent = passages and finding.status != "contradicted"
    return Checked(status, _gap(claim, finding, passages), _quoted(claim.text) if silent else "")


def verdict_on(checked: Sequence[Checked], *, cut: bool) -> Verdict:
    """The verdict on all claims.

    Args:
        checked: What was found of each.
        cut: There are more claims than were checked.
    """
    known = [each for each in checked if each.status is not None]
    if not known:
        return Verdict(outcome="not_applicable")
    score = sum(each.status == "supported" for each in known) / len(known)
    against = [each.said for each in known if each.status == "contradicted"]
    wrong = [*against, *(each.said for each in known if each.status == "unknown")]
    evidence = tuple(wrong[:_MOST_NAMED])
    if cut:
        evidence += (f"the first {len(checked)} claims were checked",)
    if score == 1 and not cut:
        return Verdict(outcome="pass")
    return Verdict(
        outcome="fail" if against else "scored",
        score=score,
        feedback=" ".join([*wrong[:_MOST_NAMED], _MEND]) if wrong else None,
        evidence=evidence,
        missing=tuple(each.missing for each in known if each.missing)[:_MOST_NAMED],
    )


def _contradiction(
    claim: Claim, finding: Finding, judged: Entailed | None, passages: Sequence[Passage]
) -> str:
    place = finding.place if finding.status == "contradicted" else None
    number = judged.passage if judged is not None else None
    if place is None and number is None:
        return _AGAINST_ALL.format(claim=_quoted(claim.text))
    if place is not None and number in (None, place.passage):
        number, text = place.passage, place.text
    else:
        text = next((each.text for each in passages if each.number == number), "")
    return _CONTRADICTED.format(claim=_quoted(claim.text), number=number, place=_quoted(text))


def _gap(claim: Claim, finding: Finding, passages: Sequence[Passage]) -> str:
    text = _quoted(claim.text)
    if not passages:
        return _UNCITED.format(claim=text, cited=", ".join(map(str, claim.citations)))
    if finding.missing:
        return _MISSING.format(claim=text, missing=_quoted(", ".join(finding.missing)))
    return _UNSUPPORTED.format(claim=text)


def _quoted(text: str) -> str:
    """One line of limited length: claims and passages are written by others."""
    return " ".join(cleaned(text, _MOST_QUOTED).split())
