"""Checking what an answer claims against passages."""

from __future__ import annotations

from thinktwice.verifiers.grounding.claims import AtomicClaims, Claim, split_claims
from thinktwice.verifiers.grounding.verifier import Grounding

__all__ = ["AtomicClaims", "Claim", "Grounding", "split_claims"]
