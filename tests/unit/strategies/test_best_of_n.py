"""Best of n samples."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import TYPE_CHECKING

import pytest

from thinktwice import BestOfN, Budget, Completion, Limit, UsageError, Verdict, Vote, solve
from thinktwice.ballot import rank_weights
from thinktwice.stop import AtMost, GoodEnough
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.verifiers import Judge

if TYPE_CHECKING:
    from thinktwice.result import Result

pytestmark = pytest.mark.usefixtures("silent_remarks")


def scores(table: dict[str, object], **attributes: object):
    """A check by a table of values."""

    async def check(value):
        said = table[value]
        if isinstance(said, Exception):
            raise said
        return said

    for name, value in attributes.items():
        setattr(check, name, value)
    return check


def best(values, strategy: BestOfN, seconds=1.0, **more) -> Result[object]:
    sampler = ScriptedSampler(values, seconds=seconds)
    return run_virtual(solve("q", sampler=sampler, strategy=strategy, **more))


class TestParameters:
    """What is refused when it is made."""

    @pytest.mark.parametrize(
        ("parameter", "given"),
        [
            ("n", {"n": 0}),
            ("verifier", {"verifier": "judge"}),
            ("stop", {"stop": 3}),
            ("prefer", {"prefer": "speed"}),
        ],
    )
    def test_by_name(self, parameter, given):
        """The parameter is in the message."""
        with pytest.raises(UsageError, match=f"^{parameter}="):
            BestOfN(**{"n": 4, "verifier": len, **given})

    def test_calls_count_those_of_the_verifier(self):
        """The default cap affords samples and verdicts."""
        judge = Judge(ScriptedSampler(["7"]), rubric="right")
        assert BestOfN(4, verifier=len).calls == 4
        assert BestOfN(4, verifier=judge).calls == 8
        assert BestOfN(4, verifier=judge, of=Vote(3)).calls == 16
        assert BestOfN(4, verifier=judge, of=Vote(3)).draws == 12


class TestExact:
    """A pass is proof."""

    def test_it_stops_at_the_first_pass(self):
        """And returns it; what is in flight is recalled."""
        check = scores({"a": False, "b": True}, exact=True)
        result = best(["a", "b", "a"], BestOfN(9, verifier=check), seconds=[1, 2, 50])
        assert (result.value, result.stopped_by) == ("b", GoodEnough(1.0))
        assert result.ledger.seconds == 2
        assert result.agreement == 1.0

    def test_the_best_score_wins_where_nothing_passes(self):
        """And among equal ones the vote."""
        check = scores({"a": 0.2, "b": 0.9}, exact=True)
        assert best(["a", "a", "b"], BestOfN(3, verifier=check)).value == "b"
        failing = scores({"a": False, "b": False}, exact=True)
        assert best(["b", "a", "a"], BestOfN(3, verifier=failing)).value == "a"

    def test_a_bool_alone_is_not_exact(self):
        """It must say so of itself."""
        check = scores({"a": True, "b": False})
        result = best(["a", "b"], BestOfN(4, verifier=check))
        assert (result.launched, result.stopped_by) == (4, AtMost(4))


class TestWeighted:
    """With any other verifier the answers are weighed."""

    def test_the_heaviest_answer_wins_and_not_the_best_score(self):
        """One high score may be a sample that fools the verifier."""
        check = scores({"a": 0.6, "b": 0.9})
        result = best(["a", "b", "a", "a"], BestOfN(4, verifier=check))
        assert result.value == "a"
        assert result.agreement is not None
        assert 0.5 < result.agreement < 1

    def test_ranks_weigh_where_scores_have_no_unit(self):
        """Scores are added up as they are, or by their order alone."""
        check = scores({"a": 0.1, "b": 0.9})
        values = ["a", "b", "a", "a"]
        assert best(values, BestOfN(4, verifier=check)).value == "b"
        assert best(values, BestOfN(4, verifier=check, weights="rank")).value == "a"

    def test_weights_of_your_own(self):
        """A function of all scores, which the check of a sample may have left unknown."""
        check = scores({"a": 0.4, "b": 0.9})
        values = ["a", "b", "a", "a"]
        sharp = partial(rank_weights, power=4)
        assert best(values, BestOfN(4, verifier=check)).value == "a"
        assert best(values, BestOfN(4, verifier=check, weights=sharp)).value == "b"

    @pytest.mark.parametrize("found", [[1.0], [1.0, -1.0], [1.0, math.nan], [1.0, math.inf]])
    def test_weights_that_are_none(self, found):
        """Are refused: as many as there are scores, and none below 0."""
        strategy = BestOfN(2, verifier=scores({"a": 0.4, "b": 0.9}), weights=lambda _: found)
        with pytest.raises(UsageError, match=r"^weights="):
            best(["a", "b"], strategy)

    def test_where_all_fail_alike_the_vote_decides(self):
        """Sums of nothing tell nothing."""
        check = scores({"a": 0.0, "bb": 0.0})
        assert best(["a", "bb", "bb"], BestOfN(3, verifier=check)).value == "bb"

    def test_unknown_weights_are_refused(self):
        """By name."""
        with pytest.raises(UsageError, match="weights='votes'"):
            BestOfN(3, verifier=bool, weights="votes")

    def test_a_check_that_breaks_is_no_low_score(self):
        """Its sample keeps the mean weight."""
        check = scores({"a": ConnectionError("x"), "b": 0.1, "c": 0.2})
        result = best(["a", "b", "a", "c"], BestOfN(4, verifier=check))
        assert result.value == "a"

    def test_within_an_answer_the_best_score_is_returned(self):
        """Of the samples that have it."""
        check = scores({"A.": 0.2, "a": 0.9})
        result = best(["A.", "a"], BestOfN(2, verifier=check))
        assert result.value == "a"

    def test_free_text_says_so(self):
        """Where no two samples have the same answer, the score alone decides."""
        check = scores({"a": 0.2, "b": 0.9, "c": 0.1})
        result = best(["a", "b", "c"], BestOfN(3, verifier=check))
        assert result.value == "b"
        assert any("another answer" in warning for warning in result.warnings)

    def test_nothing_is_claimed_of_a_full_vote(self):
        """It is no vote."""
        result = best(["a"], BestOfN(2, verifier=scores({"a": 0.5})))
        assert result.settled is not None
        assert not result.settled.holds


class TestStop:
    """Early, where it is asked for."""

    def test_good_enough(self):
        """At the first such score."""
        check = scores({"a": 0.2, "b": 0.9})
        strategy = BestOfN(9, verifier=check, stop=GoodEnough(0.8), prefer="cost")
        result = best(["a", "b", "a"], strategy)
        assert (result.launched, result.stopped_by) == (2, GoodEnough(0.8))

    def test_abstentions_alone_are_no_answer(self):
        """None, and not an error."""
        cut = Completion(value="a", finish_reason="length")
        result = best([cut], BestOfN(2, verifier=scores({})))
        assert (result.value, result.agreement, result.verdicts) == (None, None, ())


class TestArrival:
    """Verdicts are made as samples arrive."""

    def test_no_barrier(self):
        """The whole takes as long as the slowest sample and its own check."""

        async def check(value):
            await asyncio.sleep(2)
            return 0.5

        result = best(["a"], BestOfN(3, verifier=check), seconds=[1, 2, 6])
        assert result.ledger.seconds == 8

    def test_sync_checks_run_beside_the_loop(self):
        """On threads; virtual time waits for them."""
        result = best(["a", "b"], BestOfN(2, verifier=lambda value: value == "a"))
        assert [verdict.outcome for verdict in result.verdicts] == ["pass", "fail"]
        assert result.ledger.seconds == 1


class TestBudget:
    """Cut short."""

    def test_samples_without_a_verdict_stand(self):
        """They are paid for, and weigh the mean."""
        judge = ScriptedSampler(['{"score": 9, "reason": "x"}'], seconds=[1, 50])
        strategy = BestOfN(3, verifier=Judge(judge, rubric="right"))
        result = best(["a", "b", "b"], strategy, seconds=[1, 2, 3], budget=Budget(seconds=5))
        assert (result.value, len(result.samples)) == ("b", 3)
        assert isinstance(result.stopped_by, Limit)
        assert [verdict.sample for verdict in result.verdicts] == [0, 2]

    def test_where_no_verdict_came_in_time_the_vote_decides(self):
        """There is an answer, though nothing was judged."""
        judge = ScriptedSampler(["{}"], seconds=50)
        strategy = BestOfN(3, verifier=Judge(judge, rubric="right"))
        result = best(["a", "b", "b"], strategy, budget=Budget(seconds=5))
        assert (result.value, result.verdicts) == ("b", ())
        assert result.cut is not None

    def test_a_verdict_object_is_kept(self):
        """With its feedback."""
        said = Verdict(outcome="fail", score=0.0, feedback="too short", evidence=("3 < 4",))
        (verdict,) = best(["a"], BestOfN(1, verifier=scores({"a": said}))).verdicts
        assert (verdict.feedback, verdict.evidence) == ("too short", ("3 < 4",))
