"""Asking a model whether passages support claims, and reading what it says."""

from __future__ import annotations

import pytest

from thinktwice.verifiers.grounding.claims import Claim
from thinktwice.verifiers.grounding.entailment import Entailed, entailed, entailment_prompt
from thinktwice.verifiers.grounding.lexical import read_passage


def entry(claim: object, verdict: object, passage: object = None) -> dict[str, object]:
    return {"claim": claim, "verdict": verdict, "passage": passage}


def test_all_claims_and_passages_are_in_one_request():
    """Each as a part of its own; citations as numbers among the instructions."""
    passages = [read_passage(1, "first"), read_passage(2, "second")]
    prompt = entailment_prompt([Claim("it is so"), Claim("it is not", (1, 2))], passages)
    for part in ("<passage_2 ", '"second"', "<claim_1 ", '"it is so"'):
        assert part in prompt.material
    assert "of the 2 claims" in prompt.request
    assert "Claim 2 may rest on passage 1 or 2 alone." in prompt.request
    assert "Claim 1 may" not in prompt.request


def test_one_entry_for_each_claim_is_read():
    """A passage that there is not is as good as none."""
    said = {"claims": [entry(1, "supported", 2), entry(2, "unknown", 9), entry(3, "contradicted")]}
    assert entailed(said, 3, 2) == [
        Entailed("supported", 2),
        Entailed("unknown"),
        Entailed("contradicted"),
    ]


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [entry(1, "supported")],
        [entry(2, "supported"), entry(1, "supported")],
        [entry(1, "supported"), entry(2, "Supported!")],
        [entry(1, "supported"), "supported"],
        "supported",
        None,
    ],
    ids=repr,
)
def test_anything_else_is_not_read(entries: object):
    """Nobody knows which claim it would be about."""
    assert entailed({"claims": entries}, 2, 1) is None
