"""The verdict on an answer, from what was found of its claims."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice.verifiers.grounding.claims import Claim
from thinktwice.verifiers.grounding.entailment import Entailed
from thinktwice.verifiers.grounding.lexical import Finding, Place, read_passage
from thinktwice.verifiers.grounding.report import Checked, combined, verdict_on

PASSAGES = [read_passage(1, "first"), read_passage(2, "second")]
CLAIM = Claim("it is so")
STATUSES = ("supported", "contradicted", "unknown", None)


def status(finding: Finding, judged: Entailed | None) -> str | None:
    return combined(CLAIM, finding, judged, PASSAGES).status


@pytest.mark.parametrize("found", STATUSES)
def test_without_a_judge_the_words_decide(found):
    """And nothing is said of what they do not tell."""
    assert status(Finding(found), None) == found


@pytest.mark.parametrize(
    ("finding", "judged", "combination"),
    [
        (Finding(None), "supported", "supported"),
        (Finding("unknown"), "supported", "supported"),
        (Finding("unknown", None, ("US",)), "supported", "supported"),
        (Finding("unknown", None, ("7",), ("7",)), "supported", "unknown"),
        (Finding("contradicted"), "supported", "unknown"),
        (Finding("supported"), "unknown", "unknown"),
        (Finding("supported"), "contradicted", "contradicted"),
        (Finding("contradicted"), "unknown", "unknown"),
    ],
)
def test_a_judge_decides_within_what_can_be_looked_up(finding, judged, combination):
    """It does not support what stands nowhere."""
    assert status(finding, Entailed(judged)) == combination


def test_a_claim_that_cites_nothing_there_is_unknown():
    """Whatever a judge says."""
    found = combined(Claim("x", (9,)), Finding("supported"), Entailed("supported"), [])
    assert found == Checked("unknown", 'The claim "x" cites passage 9, which there is not.')


def test_a_contradiction_quotes_the_place_or_the_passage():
    """The sentence if the words found it, else what the judge named, if it named any."""
    place = Finding("contradicted", Place(2, "the sentence"))
    said = [
        combined(CLAIM, place, None, PASSAGES).said,
        combined(CLAIM, Finding(None), Entailed("contradicted", 2), PASSAGES).said,
        combined(CLAIM, Finding(None), Entailed("contradicted"), PASSAGES).said,
    ]
    assert said == [
        'The claim "it is so" is contradicted by passage 2: "the sentence".',
        'The claim "it is so" is contradicted by passage 2: "second".',
        'The claim "it is so" is contradicted by the passages.',
    ]


@given(st.lists(st.sampled_from(STATUSES), max_size=8), st.booleans())
def test_the_verdict(statuses, cut):
    """A contradiction fails, all supported passes, and the score is their share."""
    verdict = verdict_on([Checked(each, "why" if each else "") for each in statuses], cut=cut)
    known = [each for each in statuses if each is not None]
    share = known.count("supported") / len(known) if known else None
    assert verdict.score == share
    if not known:
        assert verdict.outcome == "not_applicable"
    elif "contradicted" in known:
        assert verdict.outcome == "fail"
    else:
        assert verdict.outcome == ("pass" if share == 1 and not cut else "scored")
    assert (verdict.feedback is None) == (share in (1, None))


def test_feedback_names_contradictions_first_and_not_all():
    """An answer that is wrong throughout takes no page of feedback."""
    checked = [Checked("unknown", f"unknown {i}.") for i in range(9)]
    verdict = verdict_on([*checked, Checked("contradicted", "against.")], cut=False)
    assert verdict.evidence[0] == "against."
    assert len(verdict.evidence) == 5


@pytest.mark.parametrize(
    ("claim", "finding", "passages", "missing"),
    [
        (CLAIM, Finding("unknown", None, ("7",), ("7",)), PASSAGES, "it is so"),
        (CLAIM, Finding("contradicted"), PASSAGES, ""),
        (CLAIM, Finding("supported"), PASSAGES, ""),
        (CLAIM, Finding(None), PASSAGES, ""),
        (Claim("x", (9,)), Finding("unknown"), [], ""),
    ],
)
def test_what_the_passages_do_not_speak_of_is_missing(claim, finding, passages, missing):
    """Not what they speak against, nor a citation of a passage that there is not."""
    assert combined(claim, finding, None, passages).missing == missing


def test_what_is_missing_is_in_the_verdict():
    """As many as are named, whatever else is wrong."""
    checked = [Checked("unknown", "why", f"claim {at}") for at in range(9)]
    verdict = verdict_on([Checked("contradicted", "against"), *checked], cut=False)
    assert verdict.missing == tuple(f"claim {at}" for at in range(5))
    assert verdict_on([Checked("supported")], cut=False).missing == ()
