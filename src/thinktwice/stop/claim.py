"""What may be said of the full vote after a ballot ended, and why nothing may."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from thinktwice.stop.certificate import p_value
from thinktwice.stop.curtail import overturn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.stop.algebra import Stop
    from thinktwice.stop.tally import Tally


class Void(StrEnum):
    """What voids a claim. Where several do, name the first of them in this order.

    Any other words can be given as a reason too.
    """

    SCORES = "a selection by score"
    FILTER = "a filter by confidence"
    EQUIVALENT = "equivalent="
    FIELDS = "a fallback to the closest sample"
    WEIGHTS = "weights"
    FIRST = "a preference for answers that come first"
    FIXED = "a fixed order of variants"
    FEW = "fewer than three draws of each variant"
    ORDER = "a change of the counting order"
    HEDGE = "a hedge"
    BUDGET = "a budget cut"


# Evidence that is valid at any time is valid at a time that something else chose.
_CERTIFIED = frozenset({Void.BUDGET})


@dataclass(frozen=True)
class Claim:
    """What may be said after a ballot ended.

    Attributes:
        probability: That no other answer would have strictly more votes after n draws: 1 when the
            lead is more than all that can still come, whatever voids the claim; else predicted
            from the counts; None where nothing can be said.
        holds: The claim in `text` stands.
        text: The claim of the rule that ended the ballot, or why there is none.
        risk: Largest probability, over repeated runs, that such a claim is wrong: 0 when it is
            certain; None without a claim.
        certificate: The smallest risk at which `Certificate` would have fired: how surely the
            leader is the model's most probable answer, whatever ended the ballot (an anytime-valid
            p-value, see `certificate.p_value`); None where it is void.
    """

    probability: float | None
    holds: bool
    text: str
    risk: float | None = None
    certificate: float | None = None


def claim(rule_fired: Stop | None, tally: Tally, *, void: str | None) -> Claim:
    """What the end of a ballot entitles to.

    Args:
        rule_fired: The rule that ended it; None when all n were counted or it was cut off.
        tally: The counts at the end.
        void: Why the claim does not hold: one of `Void`, or other words; None if nothing is known
            against it.
    """
    if not tally.leader:
        return Claim(None, holds=False, text="no claim: no usable sample")
    if void is None and tally.weighted:
        void = Void.WEIGHTS
    chance = _agreement_with_full_vote(tally)
    risk, text = _claimed(rule_fired, tally, chance, void)
    return Claim(chance, risk is not None, text, risk, _certificate(tally, void))


def jointly(claims: Sequence[Claim]) -> Claim:
    """What the claims of several ballots entitle to together, as for the fields of an object.

    Risks add up (a union bound): for m fields and a joint risk of r, each runs under
    `Settled(risk=r / m)`. So do certificates, and chances of an overturn.

    Args:
        claims: Of each ballot, one or more.
    """
    chances = [each.probability for each in claims]
    certificates = [each.certificate for each in claims]
    lacking = [each for each in claims if each.risk is None]
    weakest = max(claims, key=lambda each: each.risk or 0.0)
    total = sum(each.risk or 0.0 for each in claims)
    text = f"for each of {len(claims)}: {weakest.text}"
    if total:
        text += f"; for any of them, at most {total:g}"
    if lacking:
        text = f"{lacking[0].text} (in {len(lacking)} of {len(claims)})"
    return Claim(
        None if None in chances else max(0.0, 1.0 - sum(1.0 - (each or 0.0) for each in chances)),
        not lacking,
        text,
        None if lacking else total,
        None if None in certificates else min(1.0, sum(each or 0.0 for each in certificates)),
    )


def _claimed(
    rule: Stop | None, tally: Tally, chance: float | None, void: str | None
) -> tuple[float | None, str]:
    """The risk of the claim and its words; no risk where there is no claim."""
    n = tally.n
    if void is not None:
        return None, f"no claim: void by {void}"
    if chance == 1.0:
        certain = f"no other answer can have more votes after {n} draws"
        return 0.0, certain if tally.remaining else f"all {n} draws were counted"
    promise = None if rule is None else rule.promise(n)
    if promise is not None:
        return promise
    return None, f"no claim: {'the ballot was cut off' if rule is None else f'ended by {rule!r}'}"


def _agreement_with_full_vote(tally: Tally) -> float | None:
    if tally.lead >= tally.reach:
        return 1.0
    if tally.weighted:
        return None
    return 1.0 - overturn(int(tally.leader), int(tally.runner_up), tally.remaining)


def _certificate(tally: Tally, void: str | None) -> float | None:
    known = len(tally.history) == tally.finished and not tally.weighted
    return p_value(tally.history) if known and (void is None or void in _CERTIFIED) else None
