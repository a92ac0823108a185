"""Choosing among answers, other than by the sum of their scores."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import AtMost, BestOfN, Budget, Limit, UsageError, solve
from thinktwice.ballot import Ballot
from thinktwice.remarks import FAILED, NONE_PASSED
from thinktwice.sample import Sample
from thinktwice.selection import UNCOMPARED, BestOfMajority, Entrants, Knockout, drawn
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.verifiers.pairwise import PairwiseJudge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.result import Result

pytestmark = pytest.mark.usefixtures("silent_remarks")


def entrants(answers: Sequence[str], scores: Sequence[float]) -> Entrants[str]:
    ballot: Ballot[str] = Ballot(max(1, len(answers)))
    for index, answer in enumerate(answers):
        ballot.add(Sample(index=index, value=answer, answer=answer))
    return Entrants(groups=ballot.groups, weights=dict(enumerate(scores)), votes=len(answers))


def chosen(answers: Sequence[str], scores: Sequence[float], alpha: float) -> object:
    group = BestOfMajority(alpha).chosen(entrants(answers, scores))
    return group and group.answer


class Strongest(ScriptedSampler[str]):
    """Prefers the candidate with the larger number, and remembers who met."""

    def __init__(self, **settings: object) -> None:
        super().__init__(["{}"], **settings)  # type: ignore[arg-type]
        self.met: list[tuple[int, int]] = []

    async def __call__(self, prompt: object, /, *, options: object) -> object:
        one, other = (int(each) for each in re.findall(r'^"(\d+)"$', str(prompt), re.MULTILINE))
        self.met.append((one, other))
        await super().__call__(prompt, options={})
        return f'{{"better": "{"A" if one > other else "B"}"}}'


def best(values: Sequence[object], strategy: BestOfN, **more: object) -> Result[object]:
    sampler = ScriptedSampler(values, seconds=1.0)
    return run_virtual(solve("q", sampler=sampler, strategy=strategy, **more))  # type: ignore[arg-type]


def knockout(judge: object, **more: object) -> Knockout:
    return Knockout(PairwiseJudge(judge, rubric="larger"), **more)  # type: ignore[arg-type]


class TestBestOfMajority:
    """Frequent first, then by score."""

    def test_a_rare_answer_with_a_high_score_is_out(self):
        """It is likely one that fools the verifier."""
        answers, scores = "aaaabbbbbc", [0.8] * 4 + [0.5] * 5 + [1.0]
        assert chosen(answers, scores, 0.2) == "a"

    def test_among_frequent_answers_the_mean_score_decides(self):
        """Not the sum, which the vote would decide again, and not the best of many."""
        assert chosen("aabbb", [0.6, 0.6, 0.2, 0.2, 0.9], 0.4) == "a"

    def test_at_equal_scores_the_vote_decides(self):
        """Then who came first."""
        assert chosen("abb", [0.5] * 3, 0.1) == "b"
        assert chosen("ab", [0.5] * 2, 0.1) == "a"

    def test_where_none_is_frequent_the_most_frequent_stand(self):
        """There is always an answer."""
        assert chosen("aabbcd", [0.1, 0.1, 0.4, 0.4, 1, 1], 0.9) == "b"
        assert chosen("", [], 0.5) is None

    @given(
        st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 1)), min_size=1, max_size=20),
        st.floats(0.01, 1),
    )
    def test_the_winner_is_frequent_and_none_as_frequent_is_better(self, samples, alpha):
        """Whatever the scores."""
        answers, scores = [a for a, _ in samples], [s for _, s in samples]
        winner = chosen(answers, scores, alpha)
        counts = {a: answers.count(a) for a in answers}
        least = min(alpha * len(answers), max(counts.values()))
        means = {
            a: math.fsum(s for b, s in samples if a == b) / n
            for a, n in counts.items()
            if n >= least - 1e-9
        }
        assert winner in means
        assert means[winner] == max(means.values())

    def test_in_best_of_n(self):
        """With its verdicts, and the share of the votes as the agreement."""
        scores = {"a": 0.7, "b": 0.6, "c": 0.99}
        strategy = BestOfN(
            5, verifier=lambda v: scores[v], select=BestOfMajority(0.4), stop=AtMost(5)
        )
        result = best(["a", "b", "b", "a", "c"], strategy)
        assert (result.value, result.agreement) == ("a", 0.4)
        assert BestOfN(5, verifier=bool, select=BestOfMajority()).calls == 5

    def test_where_all_failed_it_is_said(self):
        """The vote decides."""
        strategy = BestOfN(3, verifier=lambda _: False, select=BestOfMajority())
        result = best(["a", "b", "b"], strategy)
        assert (result.value, result.warnings) == ("b", (FAILED,))

    @pytest.mark.parametrize("alpha", [0, 1.1, math.nan, "x", True])
    def test_a_share_out_of_range_is_refused(self, alpha):
        """By name."""
        with pytest.raises(UsageError, match=r"^alpha="):
            BestOfMajority(alpha)


class TestKnockout:
    """Answers meet in pairs."""

    @pytest.mark.parametrize("n", range(1, 10))
    def test_the_best_wins_and_each_match_takes_one_out(self, n):
        """n - 1 matches of two calls, whatever n."""
        judge = Strongest()
        values = [str(each) for each in range(n)]
        result = best(values, BestOfN(n, select=knockout(judge)))
        assert result.value == str(n - 1)
        assert len(judge.met) == 2 * (n - 1)
        assert result.launched == n
        assert (
            result.ledger.total.calls == n + 2 * (n - 1) == BestOfN(n, select=knockout(judge)).calls
        )

    def test_equal_answers_are_one_entrant(self):
        """They need no comparing."""
        judge = Strongest()
        result = best(["1", "2", "1", "1"], BestOfN(4, select=knockout(judge)))
        assert (result.value, len(judge.met), result.agreement) == ("2", 2, 0.25)

    def test_one_answer_needs_no_judge(self):
        """Nobody is asked."""
        judge = Strongest()
        assert best(["1"], BestOfN(4, select=knockout(judge))).value == "1"
        assert judge.met == []

    def test_the_matches_of_a_round_are_played_at_once(self):
        """Eight answers take three rounds."""
        judge = Strongest(seconds=1.0)
        result = best([str(each) for each in range(8)], BestOfN(8, select=knockout(judge)))
        assert result.ledger.seconds == 4

    def test_who_meets_whom_is_drawn_by_the_seed(self):
        """Not by the order of arrival, and the same each time."""
        groups = entrants("abcdef", [1] * 6).groups
        first = [group.answer for group in drawn(groups, 3)]
        assert first == [group.answer for group in drawn(groups[::-1], 3)]
        assert len({tuple(g.answer for g in drawn(groups, seed)) for seed in range(9)}) > 3

    def test_a_tie_goes_to_the_heavier_answer(self):
        """Its scores, or its votes."""
        tie = ScriptedSampler(['{"better": "tie"}'])
        assert best(["1", "2", "2"], BestOfN(3, select=knockout(tie))).value == "2"
        scores = {"1": 0.9, "2": 0.3}
        strategy = BestOfN(3, verifier=lambda v: scores[v], select=knockout(tie))
        assert best(["1", "2", "2"], strategy).value == "1"

    def test_what_cannot_be_read_or_fails_is_said(self):
        """The heavier answer goes on."""
        for reply in ("?", ConnectionError("down")):
            result = best(["1", "2", "2"], BestOfN(3, select=knockout(ScriptedSampler([reply]))))
            assert (result.value, result.warnings) == ("2", (UNCOMPARED,))

    def test_no_judge_overturns_a_failed_check(self):
        """What failed does not play, exact or not."""
        judge = Strongest()
        strategy = BestOfN(3, verifier=lambda v: v != "9", select=knockout(judge))
        assert best(["9", "1", "2"], strategy).value == "2"
        assert all(9 not in pair for pair in judge.met)

    @pytest.mark.parametrize(("exact", "said"), [(False, FAILED), (True, NONE_PASSED)])
    def test_where_all_failed_a_check_nobody_plays(self, exact, said):
        """The most frequent answer stands, no comparison is paid for, and a warning says why."""

        def check(_: object) -> bool:
            return False

        check.exact = exact  # type: ignore[attr-defined]
        judge = Strongest()
        result = best(["9", "1", "1"], BestOfN(3, verifier=check, select=knockout(judge)))
        assert (result.value, judge.met, result.warnings) == ("1", [], (said,))

    def test_where_a_model_failed_all_they_play(self):
        """Its word is a doubt, and no proof; the winner did not pass all the same."""

        def doubts(_: object) -> bool:
            return False

        doubts.calls = 1  # type: ignore[attr-defined]
        judge = Strongest()
        result = best(["1", "2"], BestOfN(2, verifier=doubts, select=knockout(judge)))
        assert (result.value, len(judge.met), result.warnings) == ("2", 2, (FAILED,))

    def test_a_check_that_broke_did_not_fail_it(self):
        """It plays on, alone."""

        def check(value: object) -> bool:
            if value == "2":
                raise OSError
            return False

        judge = Strongest()
        result = best(["1", "2"], BestOfN(2, verifier=check, select=knockout(judge)))
        assert (result.value, judge.met, FAILED in result.warnings) == ("2", [], False)

    def test_a_budget_in_the_middle_leaves_the_heaviest_still_in(self):
        """Nothing that was paid for is lost, and the cut is said."""
        judge = Strongest()
        strategy = BestOfN(4, select=knockout(judge))
        result = best(["1", "2", "3", "3"], strategy, budget=Budget(calls=6))
        assert result.value is not None
        assert isinstance(result.stopped_by, Limit)
        assert result.ledger.total.calls <= 6
        none = best(["1", "3", "3", "2"], strategy, budget=Budget(calls=4))
        assert (none.value, none.cut and none.cut.kind) == ("3", "calls")

    def test_time_in_the_middle_does_so_too(self):
        """A slow judge is cut off where the time ends."""
        slow = Strongest(seconds=50.0)
        strategy = BestOfN(3, select=knockout(slow))
        result = best(["1", "2", "2"], strategy, budget=Budget(seconds=5))
        assert (result.value, result.ledger.seconds) == ("2", 5)
        assert result.cut is not None

    def test_nothing_is_claimed_of_a_full_vote(self):
        """It is no vote."""
        result = best(["1", "2"], BestOfN(2, select=knockout(Strongest())))
        assert result.settled is not None
        assert not result.settled.holds


class TestParameters:
    """What is refused when it is made."""

    @pytest.mark.parametrize(
        ("parameter", "more"),
        [
            ("select", {"select": "knockout", "verifier": bool}),
            ("verifier", {}),
            ("verifier", {"select": BestOfMajority()}),
            ("stop", {"select": Knockout(PairwiseJudge(len, rubric="r")), "stop": 3}),
        ],
    )
    def test_by_name(self, parameter, more):
        """A verifier may be left out only where nothing needs scores."""
        with pytest.raises(UsageError, match=f"^{parameter}="):
            BestOfN(3, **more)

    def test_a_judge_that_cannot_compare(self):
        """By name."""
        with pytest.raises(UsageError, match=r"^judge="):
            Knockout(len)  # type: ignore[arg-type]
