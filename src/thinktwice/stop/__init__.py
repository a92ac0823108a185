"""Stop rules: when a ballot has seen enough, and what may be claimed of it then."""

from __future__ import annotations

from thinktwice.stop.algebra import AllOf, AnyOf, Promise, Stop
from thinktwice.stop.certificate import Certificate
from thinktwice.stop.claim import Claim, Void, claim, jointly
from thinktwice.stop.expression import parse_stop
from thinktwice.stop.published import AdaptiveConsistency, EarlyStopping
from thinktwice.stop.rules import (
    After,
    AtMost,
    Certain,
    GoodEnough,
    Lead,
    Quorum,
    Settled,
    with_certain,
)
from thinktwice.stop.tally import Tally

__all__ = [
    "AdaptiveConsistency",
    "After",
    "AllOf",
    "AnyOf",
    "AtMost",
    "Certain",
    "Certificate",
    "Claim",
    "EarlyStopping",
    "GoodEnough",
    "Lead",
    "Promise",
    "Quorum",
    "Settled",
    "Stop",
    "Tally",
    "Void",
    "claim",
    "jointly",
    "parse_stop",
    "with_certain",
]
