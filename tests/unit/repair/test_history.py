"""What a repair does next, and which attempt it returns; without an event loop."""

from __future__ import annotations

import pytest

from thinktwice.errors import UsageError
from thinktwice.repair import History
from thinktwice.sample import Sample, Verdict

PASS = Verdict(outcome="pass")
FAIL = Verdict(outcome="fail", feedback="wrong")
BROKEN = Verdict(outcome="error", evidence=("TimeoutError",))
NOTHING = Verdict(outcome="not_applicable")


def scored(score: float) -> Verdict:
    """A score without a claim."""
    return Verdict(outcome="scored", score=score)


def failing(score: float) -> Verdict:
    """A fail that says how far it got, as a share of the tests passed."""
    return Verdict(outcome="fail", score=score)


def history(*attempts: tuple[object, ...], **settings: object) -> History[str]:
    """A history of (answer, verdict, ...)."""
    made: History[str] = History(**settings)  # type: ignore[arg-type]
    for index, (answer, *verdicts) in enumerate(attempts):
        fresh = verdicts[:1] == ["fresh"]
        made = made.drawn(
            Sample(index=index, value=answer, text=answer, answer=answer), fresh=fresh
        )
        for verdict in verdicts[fresh:]:
            made = made.judged(verdict)
    return made


class TestNext:
    """What to do with the last attempt."""

    @pytest.mark.parametrize(
        ("attempts", "expected"),
        [
            ([("a",)], "verify"),
            ([("a", PASS)], "passed"),
            ([("a", FAIL)], "verify"),
            ([("a", FAIL, PASS)], "unconfirmed"),
            ([("a", FAIL, FAIL)], "revise"),
            ([("a", FAIL, FAIL), ("b",)], "verify"),
            ([("a", FAIL, FAIL), ("b", PASS)], "verify"),
            ([("a", FAIL, FAIL), ("b", PASS, PASS)], "passed"),
            ([("a", FAIL, FAIL), ("b", PASS, FAIL)], "revise"),
            ([("a", FAIL, FAIL), ("b", FAIL)], "revise"),
            ([("a", FAIL, FAIL), ("b", FAIL), ("c", FAIL)], "rounds"),
            ([("a", FAIL, FAIL), ("b", FAIL), ("c", PASS)], "verify"),
            ([("a", FAIL, FAIL), ("b", FAIL), ("c", PASS, PASS)], "passed"),
        ],
    )
    def test_an_inexact_check_is_asked_again(self, attempts, expected):
        """Before a repair, and before a revision takes the draft's place."""
        assert history(*attempts).next == expected

    @pytest.mark.parametrize(
        ("attempts", "expected"),
        [
            ([("a", PASS)], "passed"),
            ([("a", FAIL)], "revise"),
            ([("a", FAIL), ("b", PASS)], "passed"),
            ([("a", failing(0.2)), ("b", failing(0.4))], "revise"),
            ([("a", failing(0.2)), ("b", failing(0.2))], "revise"),
            ([("a", failing(0.2)), ("b", FAIL)], "no gain"),
        ],
    )
    def test_an_exact_one_is_believed_at_once(self, attempts, expected):
        """One verdict each."""
        assert history(*attempts, exact=True).next == expected

    @pytest.mark.parametrize(
        ("attempts", "expected"),
        [
            ([("a", scored(0.5))], "verify"),
            ([("a", scored(1.0))], "passed"),
            ([("a", scored(0.5), scored(0.4)), ("b", scored(0.6))], "verify"),
            ([("a", scored(0.5), scored(0.4)), ("b", scored(0.6), scored(0.6))], "revise"),
            ([("a", scored(0.5), scored(0.4)), ("b", scored(0.3))], "no gain"),
            ([("a", scored(0.0), scored(0.0)), ("b", scored(0.0))], "no gain"),
        ],
    )
    def test_scores_go_on_while_they_rise(self, attempts, expected):
        """A score is never a pass; the highest there is leaves nothing to gain."""
        assert history(*attempts).next == expected

    @pytest.mark.parametrize("verdicts", [(BROKEN,), (FAIL, BROKEN)])
    def test_a_check_that_broke_ends_it(self, verdicts):
        """It is no fail: nothing is repaired on it."""
        assert history(("a", *verdicts)).next == "error"
        assert history(("a", FAIL, FAIL), ("b", BROKEN)).next == "error"

    def test_nothing_to_check_ends_it(self):
        """There is nothing to repair."""
        assert history(("a", NOTHING)).next == "not applicable"
        assert history(("a", Verdict(outcome="scored"))).next == "not applicable"

    def test_the_same_text_again_is_stuck_if_it_fails_again(self):
        """One fresh sample, once."""
        assert history(("a", FAIL, FAIL), ("a",)).next == "verify"
        stuck = history(("a", FAIL, FAIL), ("a", FAIL))
        assert stuck.next == "redraw"
        fresh = Sample[str](index=2, value="c", text="c", answer="c")
        assert stuck.drawn(fresh, fresh=True).next == "verify"
        assert stuck.drawn(fresh, fresh=True).judged(FAIL).next == "stuck"
        again = Sample[str](index=2, value="a", text="a", answer="a")
        assert stuck.drawn(again, fresh=True).judged(FAIL).next == "stuck"

    def test_the_same_text_again_that_passes_is_kept(self):
        """The critic has changed its mind twice: there is nothing to mend."""
        assert history(("a", FAIL, FAIL), ("a", PASS, PASS)).next == "passed"
        assert history(("a", FAIL, FAIL), ("a", PASS, FAIL)).next == "redraw"

    def test_the_same_answer_again_is_stuck_if_it_does_not_pass(self):
        """In other words, perhaps better ones."""
        first = Sample[str](index=0, text="so 4", value="so 4", answer=4)
        second = Sample[str](index=1, text="hence 4", value="hence 4", answer=4)
        tried: History[str] = History().drawn(first).judged(FAIL).judged(FAIL).drawn(second)
        assert tried.next == "verify"
        assert tried.judged(FAIL).next == "redraw"
        assert tried.judged(PASS).judged(PASS).next == "passed"

    def test_a_cycle_over_several_rounds_is_seen(self):
        """Not only the attempt before the last."""
        tried = history(("a", FAIL, FAIL), ("b", FAIL), ("a", FAIL), rounds=5)
        assert tried.next == "redraw"

    def test_without_a_round_left_it_is_just_stuck(self):
        """The fresh sample takes a round."""
        assert history(("a", FAIL, FAIL), ("a", FAIL), rounds=1).next == "stuck"

    def test_a_fresh_sample_that_passes_is_taken(self):
        """It is an attempt like the others."""
        tried = history(("a", FAIL, FAIL), ("a", FAIL), ("c", "fresh", PASS, PASS))
        assert tried.next == "passed"
        assert tried.standing.sample.value == "c"

    def test_a_failed_draw_ends_it(self):
        """The draft stands."""
        broken = Sample[str](index=1, error=ConnectionError("gone"))
        tried = history(("a", FAIL, FAIL)).drawn(broken)
        assert tried.next == "no answer"
        assert tried.standing.sample.value == "a"

    def test_a_draft_without_an_answer_can_be_mended(self):
        """If the check says what is wrong with it."""
        tried = history((None, FAIL, FAIL))
        assert tried.next == "revise"
        assert tried.drawn(Sample(index=1, value="b", answer="b")).standing.sample.value == "b"
        assert history((None, PASS)).next == "no answer"

    def test_what_took_its_place_is_a_draft_like_another(self):
        """It is confirmed before it is revised, and its pass needs no confirmation."""
        tried = history((None, FAIL, FAIL), ("b", FAIL))
        assert tried.next == "verify"
        assert tried.judged(PASS).next == "unconfirmed"
        assert history((None, FAIL, FAIL), ("b", PASS)).next == "passed"

    def test_confirm_says_how_often(self):
        """One believes every verdict; three asks for three."""
        assert history(("a", FAIL), confirm=1).next == "revise"
        assert history(("a", FAIL), ("b", PASS), confirm=1).next == "passed"
        assert history(("a", FAIL, FAIL), confirm=3).next == "verify"

    def test_a_pass_is_a_pass_whatever_its_score(self):
        """And a fail is none."""
        assert history(("a", Verdict(outcome="pass", score=0.7))).next == "passed"
        assert history(("a", failing(1.0)), exact=True).next == "revise"


class TestStanding:
    """What would be returned."""

    @pytest.mark.parametrize(
        ("attempts", "winner"),
        [
            ([("a", FAIL, FAIL), ("b", PASS, PASS)], "b"),
            ([("a", FAIL, FAIL), ("b", PASS)], "a"),
            ([("a", FAIL, FAIL), ("b", PASS, FAIL)], "a"),
            ([("a", FAIL, PASS), ("b", PASS, PASS)], "a"),
            ([("a", FAIL), ("b",)], "a"),
            ([("a", failing(0.2), failing(0.2)), ("b", failing(0.8), failing(0.8))], "a"),
            ([("a", scored(0.5), scored(0.4)), ("b", scored(0.6), scored(0.51))], "b"),
            ([("a", scored(0.5), scored(0.4)), ("b", scored(0.6), scored(0.5))], "a"),
            ([("a", failing(0.5), failing(0.5)), ("b", scored(0.6), scored(0.6))], "b"),
        ],
    )
    def test_a_replacement_is_confirmed(self, attempts, winner):
        """Its lowest score is above all of the draft's, and it never fails."""
        assert history(*attempts).standing.sample.value == winner

    @pytest.mark.parametrize(
        ("attempts", "winner"),
        [
            ([("a", failing(0.2)), ("b", failing(0.8)), ("c", failing(0.5))], "b"),
            ([("a", failing(0.2)), ("b", failing(0.2))], "a"),
            ([("a", FAIL), ("b", FAIL), ("c", PASS)], "c"),
            ([("a", failing(0.3)), ("b", BROKEN)], "a"),
        ],
    )
    def test_of_an_exact_check_the_best_score(self, attempts, winner):
        """Ties go to the earliest."""
        assert history(*attempts, exact=True).standing.sample.value == winner

    def test_an_answer_beats_none(self):
        """Even one that fails; and none never beats one."""
        assert history((None, FAIL, FAIL), ("b", FAIL)).standing.sample.value == "b"
        assert history(("a", FAIL, FAIL), (None, PASS, PASS)).standing.sample.value == "a"


def test_the_issue_is_the_worst_verdict():
    """Of equals the last: it is the newest."""
    tried = history(("a", PASS, FAIL, Verdict(outcome="fail", feedback="newer")))
    assert tried.last.issue is not None
    assert tried.last.issue.feedback == "newer"
    assert history(("a",)).last.issue is None


def test_steps_make_new_histories():
    """The old one is as it was."""
    before = history(("a",))
    assert before.judged(FAIL) != before
    assert before.last.verdicts == ()


@pytest.mark.parametrize("given", [0, -1, 101, 1.5, True, "2"])
@pytest.mark.parametrize("name", ["rounds", "confirm"])
def test_numbers_out_of_range(name, given):
    """By name."""
    with pytest.raises(UsageError, match=f"^{name}="):
        History(**{name: given})
