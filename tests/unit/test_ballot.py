"""Counting, answer groups, ties and selection."""

from __future__ import annotations

import math

import pytest

from thinktwice.ballot import Ballot, Group, best_member, heaviest, rank_weights
from thinktwice.errors import UsageError
from thinktwice.sample import Sample


def sample(index: int, answer: object = "a", text: str | None = None, **fields) -> Sample[str]:
    """A finished draw."""
    return Sample(index=index, value=str(answer), answer=answer, text=text, **fields)


def counted(*answers: object, n: int = 16) -> Ballot[str]:
    """A ballot over these answers, in launch order."""
    ballot = Ballot[str](n)
    for index, answer in enumerate(answers):
        ballot.add(sample(index, answer))
    return ballot


def test_an_empty_ballot_has_nothing_to_say():
    """No winner, no groups, no agreement."""
    ballot = Ballot[str](4)
    assert (ballot.winner(), ballot.groups, ballot.agreement) == (None, (), None)
    assert ballot.tally().counts == ()


def test_plurality_wins():
    """The most votes win, whoever came first."""
    winner = counted("a", "b", "b").winner()
    assert winner is not None
    assert winner.index == 1


def test_add_returns_the_ordinal_of_the_group():
    """In order of first appearance; -1 for a draw that abstains."""
    ballot = Ballot[str](8)
    failed = Sample[str](index=4, answer="x", error=ValueError())
    draws = [sample(0, "x"), sample(1, "y"), sample(2, "x"), sample(3, None), failed]
    assert [ballot.add(draw) for draw in draws] == [0, 1, 0, -1, -1]
    assert ballot.tally().history == (0, 1, 0, -1, -1)


def test_abstentions_are_drawn_and_vote_for_none():
    """They use up the cap and leave the agreement alone."""
    ballot = counted("a", None, "a", "b")
    assert (ballot.tally().counts, ballot.tally().finished) == ((2, 1), 4)
    assert ballot.agreement == pytest.approx(2 / 3)


def test_the_tally_is_sorted_and_the_groups_are_not():
    """Rules see counts in descending order; groups keep their place for good."""
    ballot = counted("a", "b", "b", "c", "c", "c")
    assert ballot.tally().counts == (3, 2, 1)
    assert [group.answer for group in ballot.groups] == ["a", "b", "c"]


def test_the_tally_passes_on_time_and_scores():
    """Rules about seconds and scores find them there; an abstention's score is none."""
    ballot = Ballot[str](4)
    ballot.add(sample(0), score=0.25)
    ballot.add(sample(1), score=0.75, passed=True)
    ballot.add(sample(2, None), score=1.0, passed=True)
    tally = ballot.tally(2.5)
    assert (tally.seconds, tally.best_score, tally.passed, tally.scored) == (2.5, 0.75, 1, 2)


# --- grouping by a function ----------------------------------------------------------------------


def test_equivalent_compares_with_the_first_member_only():
    """1 joins 0 and 2 joins neither, though it is near 1: groups do not chain."""
    ballot = Ballot[str](8, equivalent=lambda a, b: abs(a - b) <= 1)
    assert [ballot.add(sample(i, answer)) for i, answer in enumerate((0, 1, 2, 3))] == [0, 0, 1, 1]
    assert [group.answer for group in ballot.groups] == [0, 2]


def test_groups_never_merge():
    """An answer that equals two groups joins the first, and both stay."""
    ballot = Ballot[str](8, equivalent=lambda a, b: abs(a - b) <= 1)
    assert [ballot.add(sample(i, answer)) for i, answer in enumerate((0, 2, 1))] == [0, 1, 0]


def test_equivalent_does_not_see_abstentions():
    """Nothing is compared with no answer."""

    def same(a: object, b: object) -> bool:
        assert a is not None
        assert b is not None
        return a == b

    ballot = Ballot[str](8, equivalent=same)
    assert [ballot.add(sample(i, answer)) for i, answer in enumerate((None, "a", None, "a"))] == [
        -1, 0, -1, 0,
    ]  # fmt: skip


# --- ties ----------------------------------------------------------------------------------------


def tie(first: Sample[str], second: Sample[str], **scores: float) -> int:
    """Index of the winner of two samples, whichever arrives first."""
    winners = set[int]()
    for order in ((first, second), (second, first)):
        ballot = Ballot[str](4)
        for draw in order:
            ballot.add(draw, score=scores.get(str(draw.answer)))
        winner = ballot.winner()
        assert winner is not None
        winners.add(winner.index)
    assert len(winners) == 1
    return winners.pop()


def test_a_tie_goes_to_the_better_score():
    """Score comes before length and order, and a score before none."""
    long, short = sample(0, "a", "long text"), sample(1, "b", "text")
    assert tie(long, short, a=0.9, b=0.8) == 0
    assert tie(long, short, a=0.1) == 0


def test_a_tie_without_scores_goes_to_the_shorter_text():
    """Shorter generations are right more often; one without text is not known to be short."""
    assert tie(sample(0, "a", "long text"), sample(1, "b", "text")) == 1
    assert tie(sample(0, "a"), sample(1, "b", "text")) == 1


def test_the_last_resort_is_launch_order():
    """Never chance, and never the order of arrival."""
    assert tie(sample(3, "a", "same"), sample(2, "b", "size")) == 2


def test_the_representative_was_launched_first():
    """Whatever order the members arrived in."""
    ballot = Ballot[str](4)
    for index in (2, 0, 1):
        ballot.add(sample(index))
    winner = ballot.winner()
    assert winner is not None
    assert winner.index == 0


# --- weights -------------------------------------------------------------------------------------


def test_weights_outvote_numbers():
    """One heavy vote beats two light ones."""
    ballot = Ballot[str](4, weighted=True)
    for draw, weight in ((sample(0, "a"), 0.2), (sample(1, "a"), 0.2), (sample(2, "b"), 0.9)):
        ballot.add(draw, weight=weight)
    winner = ballot.winner()
    assert winner is not None
    assert winner.answer == "b"
    assert ballot.agreement == pytest.approx(0.9 / 1.3)
    assert ballot.tally().counts == pytest.approx((0.9, 0.4))


def test_the_order_of_arrival_does_not_decide_a_tie_of_weights():
    """.1 + .2 + .3 is not .3 + .2 + .1 in floating point; the sums of groups are exact."""
    weights = (0.1, 0.2, 0.3)
    for order in ((0, 1, 2), (2, 1, 0)):
        ballot = Ballot[str](8, weighted=True)
        for i in order:
            ballot.add(sample(i + 3, "late"), weight=weights[i])
        for i in (0, 1, 2):
            ballot.add(sample(i, "early"), weight=weights[i])
        winner = ballot.winner()
        assert winner is not None
        assert winner.index == 0


def test_a_weight_that_nobody_knows_is_the_mean_so_far():
    """And 1 where no vote came before it; none of them known is said."""
    ballot = Ballot[str](4, weighted=True)
    ballot.add(sample(0, "a"), weight=None)
    assert ballot.unweighted
    ballot.add(sample(1, "b"), weight=0.5)
    ballot.add(sample(2, "b"), weight=None)
    assert [group.weight for group in ballot.groups] == [1.0, 1.25]
    assert not ballot.unweighted
    assert not Ballot[str](4, weighted=True).unweighted


def test_votes_without_weight_agree_on_nothing():
    """A share of nothing is not known."""
    ballot = Ballot[str](4, weighted=True)
    ballot.add(sample(0), weight=0.0)
    assert ballot.agreement is None


@pytest.mark.parametrize(
    ("settings", "parameter"),
    [
        ({"n": 0}, "n"),
        ({"n": 4, "max_weight": 2.0}, "max_weight"),
        ({"n": 4, "max_weight": math.inf, "weighted": True}, "max_weight"),
        ({"n": 4, "max_weight": 0.0, "weighted": True}, "max_weight"),
    ],
    ids=str,
)
def test_a_ballot_refuses_settings_without_meaning(settings, parameter: str):
    """The error names the parameter."""
    with pytest.raises(UsageError) as caught:
        Ballot[str](**settings)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize(
    ("weighted", "weight"),
    [(False, 0.5), (True, 1.5), (True, -0.5), (True, math.nan)],
    ids=str,
)
def test_a_ballot_refuses_weights_that_would_mislead_its_rules(weighted: bool, weight: float):
    """Rules rely on no vote weighing more than was declared."""
    ballot = Ballot[str](4, weighted=weighted)
    with pytest.raises(UsageError, match="weight="):
        ballot.add(sample(0), weight=weight)
    assert ballot.tally().finished == 0


# --- selection -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "squares"),
    [
        ([], []),
        ([0.1, 0.9, 0.5], [1, 3, 2]),
        ([0.9, 0.9, 0.5], [2, 2, 1]),
        ([0.9, 0.0, 0.0, 0.0], [4, 1, 1, 1]),
        ([0.5, 0.5], [1, 1]),
    ],
)
def test_rank_weights(scores: list[float], squares: list[float]):
    """(N - rank + 1)^.5: only the order of the scores matters, and equal scores weigh the same."""
    assert [weight**2 for weight in rank_weights(scores)] == pytest.approx(squares)
    assert rank_weights(scores, power=1) == squares


def test_a_broken_check_says_nothing_of_its_sample():
    """Without a score a sample weighs the mean of the others, and 1 where none has one."""
    best, worst, unknown = rank_weights([0.9, 0.1, None])
    assert unknown == pytest.approx((best + worst) / 2)
    assert rank_weights([None, None]) == [1.0, 1.0]


def test_best_of_n_sums_weights_over_groups():
    """Two good samples of one answer beat the single best of another."""
    groups = counted("a", "b", "b").groups
    weights = dict(enumerate(rank_weights([0.9, 0.8, 0.7])))
    chosen = heaviest(groups, weights)
    assert chosen is not None
    assert chosen.answer == "b"
    assert best_member(chosen, {1: 0.7, 2: 0.8}).index == 2


def test_weights_that_are_missing_weigh_nothing():
    """A sample that was never scored does not vote."""
    chosen = heaviest(counted("a", "a", "b").groups, {2: 0.1})
    assert chosen is not None
    assert chosen.answer == "b"


def test_selection_among_nothing_is_nothing():
    """No groups, no winner."""
    assert heaviest(list[Group[str]]()) is None


def test_the_repr_shows_no_content():
    """Answers and texts may be confidential."""
    assert "secret" not in repr(counted("secret").groups)
