"""What the end of a ballot entitles to say, and the reasons why it may not be said."""

from __future__ import annotations

import math

import pytest

from thinktwice.stop import (
    AtMost,
    Certain,
    Certificate,
    Claim,
    Lead,
    Settled,
    Stop,
    Tally,
    Void,
    claim,
    jointly,
)


def tally(n: int, *counts: float, lost: int = 0, **fields) -> Tally:
    """A tally of whole votes, with so many abstentions."""
    return Tally(n, counts, int(sum(counts)) + lost, **fields)


def run_of(n: int, *history: int, **fields) -> Tally:
    """A tally with its history."""
    counts = sorted((float(history.count(g)) for g in set(history) - {-1}), reverse=True)
    return Tally(n, tuple(counts), len(history), history, **fields)


# --- what is claimed -----------------------------------------------------------------------------


def test_the_claim_of_settled_names_its_conditions():
    """Exchangeable samples, an order without regard to answers, over runs, strictly, at most r."""
    result = claim(Settled(0.05), tally(16, 4), void=None)
    assert result.holds
    assert result.risk == 0.05
    for words in ("exchangeable", "does not depend on their answers", "over repeated runs",
                  "strictly more votes after 16 draws", "at most 0.05"):  # fmt: skip
        assert words in result.text


def test_the_claim_of_a_certificate_is_about_the_mode():
    """Independent draws, another answer more probable; nothing of the full vote."""
    result = claim(Certificate(0.05), run_of(40, *[0] * 9), void=None)
    assert (result.holds, result.risk) == (True, 0.05)
    assert "while another is more probable" in result.text
    assert "votes" not in result.text


def test_the_probability_is_one_less_the_chance_of_an_overturn():
    """4 : 0 of 16: the runner-up needs 9 or more of 12, P = 6/442 under the uniform prior."""
    exact = sum(math.comb(x, x) * math.comb(4 + 12 - x, 12 - x) for x in range(9, 13))
    result = claim(Settled(0.05), tally(16, 4), void=None)
    assert result.probability == pytest.approx(1 - exact / math.comb(17, 12))


def test_a_claim_stands_where_the_rule_had_to_wait_for_others():
    """The risk covers every draw at which the rule fires, not the first alone."""
    result = claim(Settled(0.05) & AtMost(3), tally(16, 3), void=None)
    assert (result.holds, result.risk) == (True, 0.05)


@pytest.mark.parametrize(
    ("rule", "at", "void", "probability", "holds", "words"),
    [
        (None, tally(16, 9, 7), None, 1.0, True, "all 16 draws"),
        (Lead(3), tally(4, 3, 1), None, 1.0, True, "all 4 draws"),
        (Certain(), tally(16, 8), None, 1.0, True, "no other answer can have more votes"),
        (Lead(3), tally(16, 8), None, 1.0, True, "no other answer can have more votes"),
        (None, tally(16), None, None, False, "no usable sample"),
        (None, tally(16, lost=3), "a budget cut", None, False, "no usable sample"),
    ],
)
def test_what_may_be_claimed(rule, at, void, probability, holds, words):  # noqa: PLR0917
    """The claim stands for a full, certain or settled ballot that nothing voids."""
    result = claim(rule, at, void=void)
    assert (result.probability, result.holds) == (probability, holds)
    assert words in result.text
    assert result.risk == (0.0 if holds else None)


@pytest.mark.parametrize(
    ("rule", "words"),
    [(Lead(3), "ended by Lead(k=3)"), (None, "cut off"), (Lead(3) & AtMost(3), "&")],
)
def test_another_rule_claims_nothing(rule: Stop | None, words: str):
    """The probability is still predicted from the counts, and the text says why that is all."""
    result = claim(rule, tally(16, 3), void=None)
    assert not result.holds
    assert result.risk is None
    assert result.probability is not None
    assert 0.9 < result.probability < 1
    assert words in result.text


# --- what voids it -------------------------------------------------------------------------------


@pytest.mark.parametrize("void", [*Void, "words of a strategy of one's own"])
def test_whatever_voids_a_prediction_is_named(void: str):
    """No claim of `Settled` survives any of these, and the text says which it was."""
    result = claim(Settled(), run_of(16, 0, 0, 0), void=void)
    assert (result.holds, result.risk) == (False, None)
    assert result.text == f"no claim: void by {void}"


@pytest.mark.parametrize("void", [*Void, "words of a strategy of one's own"])
def test_what_is_certain_is_still_told(void: str):
    """The claim is void; that the rest cannot make up for the lead is in the probability."""
    result = claim(Certain(), run_of(16, *[0] * 8), void=void)
    assert (result.probability, result.holds) == (1.0, False)


@pytest.mark.parametrize("void", [*Void, "words of a strategy of one's own"])
def test_a_certificate_survives_a_cut_and_nothing_else(void: str):
    """It is valid whenever a run ends; but not if the order or the groups are not to be trusted."""
    result = claim(None, run_of(16, 0, 0, 0, 0), void=void)
    assert (result.certificate is not None) == (void == Void.BUDGET)


def test_weights_leave_only_certainty():
    """How likely a weighted vote is to turn is not known; whether it can is."""
    open_ = Tally(16, (4.0, 0.5), 6, weighted=True)
    shut = Tally(16, (9.0, 1.0), 11, weighted=True)
    assert claim(Settled(), open_, void=None).probability is None
    assert claim(Settled(), open_, void=None).text == "no claim: void by weights"
    assert claim(Settled(), shut, void=None) == claim(Certain(), shut, void=Void.WEIGHTS)
    assert claim(Settled(), shut, void=None).probability == 1.0


# --- the certificate as a number -----------------------------------------------------------------


def test_the_certificate_is_the_risk_at_which_its_rule_would_have_fired():
    """On the same draws, whatever ended them."""
    at = run_of(16, 0, 0, 1, 0, 0, 0, 0)
    found = claim(Lead(5), at, void=None).certificate
    assert found is not None
    assert Certificate(found * 1.001).fired(at) is not None
    assert Certificate(found * 0.999).fired(at) is None


@pytest.mark.parametrize(
    "at",
    [
        run_of(16, -1, -1),
        Tally(16, (3.0, 1.0), 4, (0, 0, 0, 1), weighted=True),
        tally(16, 3, 1),
    ],
    ids=["no votes", "weights", "no history"],
)
def test_there_is_no_certificate_without_votes_that_are_known(at: Tally):
    """None is not a number that could be taken for evidence."""
    assert claim(None, at, void=None).certificate is None


def test_a_full_vote_has_a_certificate_too():
    """16 of 16 say more about the mode than 9 : 7, though both are certain of the full vote."""
    clear = claim(None, run_of(16, *[0] * 16), void=None)
    close = claim(None, run_of(16, *[0, 1] * 7, 0, 0), void=None)
    assert clear.probability == close.probability == 1.0
    assert clear.certificate < 0.001
    assert close.certificate > 0.2


# --- several ballots -----------------------------------------------------------------------------

PROMISED = claim(Settled(0.02), run_of(16, *[0] * 5), void=None)
SURE = claim(Certain(), run_of(16, *[0] * 8), void=None)
VOID = claim(Settled(), run_of(16, 0, 0, 0), void=Void.HEDGE)


def test_risks_of_several_ballots_add_up():
    """A union bound over risks, over chances of an overturn and over certificates."""
    joint = jointly([PROMISED, SURE, PROMISED])
    assert (joint.holds, joint.risk) == (True, 0.04)
    assert joint.probability == pytest.approx(1 - 2 * (1 - PROMISED.probability))
    assert joint.certificate == pytest.approx(2 * PROMISED.certificate + SURE.certificate)
    assert joint.text.startswith("for each of 3: if the samples are exchangeable")
    assert joint.text.endswith("at most 0.02; for any of them, at most 0.04")


def test_one_ballot_without_a_claim_leaves_none():
    """The text says what is wrong with it, and in how many."""
    joint = jointly([PROMISED, VOID, SURE])
    assert (joint.holds, joint.risk, joint.certificate) == (False, None, None)
    assert joint.text == "no claim: void by a hedge (in 1 of 3)"


def test_a_joint_probability_is_never_negative():
    """Many unsure ballots are no claim below zero."""
    unsure = Claim(0.4, holds=False, text="no claim: ended by Lead(k=1)", certificate=0.9)
    joint = jointly([unsure, unsure])
    assert (joint.probability, joint.certificate) == (0.0, 1.0)
    nothing = claim(None, Tally(16), void=None)
    assert jointly([unsure, nothing]).probability is None


def test_certain_ballots_are_certain_together():
    """Nothing is added to a risk of zero."""
    joint = jointly([SURE, SURE])
    assert (joint.probability, joint.holds, joint.risk) == (1.0, True, 0.0)
