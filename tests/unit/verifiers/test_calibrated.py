"""A verifier whose scores are probabilities."""

from __future__ import annotations

import pickle

import pytest

from thinktwice import BestOfN, Sample, UsageError, Verdict, solve
from thinktwice.calibration import Platt
from thinktwice.testing import ScriptedSampler
from thinktwice.verifiers import ExactMatch, Judge
from thinktwice.verifiers.calibrated import Calibrated

CURVE = Platt(4.0, -3.0)
SAMPLE = Sample(index=0, value="x")


def half(value):
    return 0.5


class TestVerdicts:
    """What becomes of them."""

    async def test_a_score_becomes_a_probability(self):
        """The rest of the verdict stays."""

        def said(value):
            return Verdict(outcome="scored", score=0.5, feedback="f", evidence=("e",))

        found = await Calibrated(said, CURVE)(SAMPLE, prompt="p")
        assert found.score == CURVE(0.5)
        assert (found.outcome, found.feedback, found.evidence) == ("scored", "f", ("e",))

    @pytest.mark.parametrize("outcome", ["pass", "fail"])
    async def test_outcomes_stay(self, outcome):
        """A repair still sees the failure; a selection weighs by the probability."""
        found = await Calibrated(lambda _: outcome == "pass", CURVE)(SAMPLE, prompt="p")
        assert (found.outcome, found.score) == (outcome, CURVE(float(outcome == "pass")))

    @pytest.mark.parametrize(
        "verdict",
        [
            Verdict(outcome="error", evidence=("down",)),
            Verdict(outcome="not_applicable"),
            Verdict(outcome="error", score=0.5),
        ],
    )
    async def test_what_says_nothing_stays(self, verdict):
        """No probability is made up."""
        found = await Calibrated(lambda _: verdict, CURVE)(SAMPLE, prompt="p")
        assert (found.outcome, found.score) == (verdict.outcome, verdict.score)


class TestInARun:
    """It stands for the verifier inside."""

    async def test_probabilities_decide_between_answers(self):
        """Three scores of .4 weigh more than one of 1; as probabilities they weigh less."""
        scores = {"b": 1.0, "a": 0.4}
        steep = Platt(20.0, -15.0)
        ask = ["a", "a", "b", "a"]
        for verifier, winner in ((scores.get, "a"), (Calibrated(scores.get, steep), "b")):
            strategy = BestOfN(4, verifier=verifier, prefer="cost")
            result = await solve("?", sampler=ScriptedSampler(ask), strategy=strategy)
            assert result.value == winner

    async def test_calls_are_booked_and_reserved_as_those_of_the_verifier(self):
        """The budget asks it for the judge and its request."""
        judge = Judge(ScriptedSampler(['{"score": 9, "reason": "r"}']), rubric="r")
        calibrated = Calibrated(judge, CURVE)
        assert calibrated.calls == 1
        assert calibrated.sampler is judge.sampler
        assert calibrated.request == judge.request
        strategy = BestOfN(2, verifier=calibrated)
        result = await solve("?", sampler=ScriptedSampler(["a"]), strategy=strategy)
        assert result.ledger.by_role["verify"].calls == 2
        assert result.verdicts[0].score == CURVE(0.9)

    def test_it_has_no_other_attributes_of_the_verifier(self):
        """And it pickles."""
        calibrated = Calibrated(half, CURVE)
        assert not hasattr(calibrated, "rubric")
        assert not hasattr(calibrated, "sampler")
        assert pickle.loads(pickle.dumps(calibrated)) == calibrated  # noqa: S301 - our own


class TestMistakes:
    """At construction."""

    def test_proof_needs_no_calibration(self):
        """Nor does it survive one."""
        with pytest.raises(UsageError, match="its pass is proof"):
            Calibrated(ExactMatch("4"), CURVE)

    def test_what_is_no_calibration_is_refused(self):
        """A function may fall."""
        with pytest.raises(UsageError, match="calibrate"):
            Calibrated(half, lambda s: s)  # type: ignore[arg-type]
