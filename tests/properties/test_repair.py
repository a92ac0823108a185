"""Any history of a repair: it ends, costs what it says, and never returns less than the draft."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thinktwice import Budget, BudgetExceeded, solve
from thinktwice.repair import History
from thinktwice.sample import Sample, Verdict
from thinktwice.strategies.critique_repair import CritiqueRepair
from thinktwice.testing import ScriptedSampler, run_virtual

SCORES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
VERDICTS = st.one_of(
    st.builds(Verdict, outcome=st.just("pass")),
    st.builds(Verdict, outcome=st.just("fail"), score=st.one_of(st.none(), SCORES)),
    st.builds(Verdict, outcome=st.just("scored"), score=SCORES),
    st.builds(Verdict, outcome=st.sampled_from(["error", "not_applicable"])),
)
BINARY = st.builds(Verdict, outcome=st.sampled_from(["pass", "fail"]))
ANSWERS = st.sampled_from(["a", "b", "c", None])
SETTINGS = st.fixed_dictionaries(
    {"exact": st.booleans(), "rounds": st.integers(1, 4), "confirm": st.integers(1, 3)}
)


def run(data: st.DataObject, verdicts: st.SearchStrategy[Verdict], **settings) -> History[str]:
    """A repair to its end, with draws and verdicts as hypothesis likes."""
    history: History[str] = History(**settings)
    move = "redraw"
    while move in {"verify", "revise", "redraw"}:
        if move == "verify":
            history = history.judged(data.draw(verdicts))
        else:
            answer = data.draw(ANSWERS)
            sample = Sample(index=len(history.attempts), value=answer, text=answer, answer=answer)
            history = history.drawn(sample, fresh=move == "redraw" and bool(history.attempts))
        move = history.next
    return history


@given(data=st.data(), given_settings=SETTINGS)
def test_it_ends_within_its_cost(data, given_settings):
    """Draws and verdicts are capped, whatever is drawn and said."""
    history = run(data, VERDICTS, **given_settings)
    needed = 1 if given_settings["exact"] else given_settings["confirm"]
    assert len(history.attempts) <= 1 + given_settings["rounds"]
    assert all(len(each.verdicts) <= needed for each in history.attempts)
    assert sum(each.fresh for each in history.attempts) <= 1


@given(data=st.data(), given_settings=SETTINGS)
def test_it_never_returns_what_was_scored_below_the_draft(data, given_settings):
    """At every step, and whatever the kinds of verdict."""
    history = run(data, VERDICTS, **given_settings)
    for length in range(1, len(history.attempts) + 1):
        cut = History(attempts=history.attempts[:length], **given_settings)
        draft, standing = cut.attempts[0], cut.standing
        assert standing is draft or not draft.usable or standing.lowest > max(draft.scores)


@given(data=st.data(), rounds=st.integers(1, 4), confirm=st.integers(1, 3))
def test_a_replacement_passed_as_often_as_the_draft_failed(data, rounds, confirm):
    """With a check that passes or fails and is not exact."""
    history = run(data, BINARY, exact=False, rounds=rounds, confirm=confirm)
    draft, standing = history.attempts[0], history.standing
    if standing is not draft and draft.usable:
        assert [each.outcome for each in draft.verdicts] == ["fail"] * confirm
        assert [each.outcome for each in standing.verdicts] == ["pass"] * confirm


@given(data=st.data(), given_settings=SETTINGS)
def test_a_pass_is_what_is_returned_when_it_passed(data, given_settings):
    """The end that is named is the one that happened."""
    history = run(data, VERDICTS, **given_settings)
    if history.next == "passed":
        assert history.standing is history.last
        assert history.last.lowest == 1.0
    if history.next == "error":
        assert any(each.outcome == "error" for each in history.last.verdicts)


@given(
    right=st.floats(0, 1),
    false_fail=st.floats(0, 1),
    false_pass=st.floats(0, 1),
    breaks=st.floats(0, 1),
)
def test_the_harm_of_an_independent_critic_is_bounded(right, false_fail, false_pass, breaks):
    """A right draft is lost only by two false fails and two false passes of a wrong revision.

    Enumerates all verdicts of one round, each independent of the others.
    """
    harm = 0.0
    for pattern in range(16):
        flips = [bool(pattern >> bit & 1) for bit in range(4)]
        chances = [false_fail, false_fail, false_pass, false_pass]
        chance = right * breaks
        for flip, rate in zip(flips, chances, strict=True):
            chance *= rate if flip else 1 - rate
        history: History[str] = History(rounds=1).drawn(Sample(index=0, value="a", answer="a"))
        said = iter(
            ["fail" if flip else "pass" for flip in flips[:2]]
            + ["pass" if flip else "fail" for flip in flips[2:]]
        )
        outcomes = dict(enumerate(said))
        harm += chance * _lost(history, outcomes)
    assert harm <= right * breaks * (false_fail * false_pass) ** 2 + 1e-12


def _lost(history: History[str], outcomes: dict[int, str]) -> bool:
    """Whether the revision took the draft's place, by the outcomes of verdicts 0, 1 and 2, 3."""
    while history.next in {"verify", "revise"}:
        if history.next == "revise":
            history = history.drawn(Sample(index=1, value="b", answer="b"))
        else:
            place = 2 * (len(history.attempts) - 1) + len(history.last.verdicts)
            history = history.judged(Verdict(outcome=outcomes[place]))  # type: ignore[arg-type]
    return history.standing.sample.value == "b"


REPLIES = st.sampled_from(
    ["a", "b", "", '{"issue": null}', '{"issue": "no"}', '{"questions": ["q?", "r?"]}', "[", None]
)
CHECKS = st.sampled_from([None, lambda value: value == "a", lambda value: len(value or "") / 99])


@pytest.mark.usefixtures("silent_remarks")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    script=st.lists(REPLIES, min_size=1, max_size=12),
    check=CHECKS,
    mode=st.sampled_from(["self_refine", "reflexion", "verification_questions"]),
    rounds=st.integers(1, 3),
    calls=st.none() | st.integers(1, 20),
)
def test_whatever_a_model_says_it_returns_what_was_drawn_within_the_budget(
    script, check, mode, rounds, calls
):
    """Critiques that make no sense, plans that are none, a budget that ends it anywhere."""
    sampler = ScriptedSampler(script)
    strategy = CritiqueRepair(check, mode=mode, rounds=rounds)
    budget = None if calls is None else Budget(calls=calls)
    try:
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy, budget=budget))
    except BudgetExceeded as error:
        result = error.result
        assert result is not None
        assert script[0] is None
    assert sampler.calls <= min(strategy.calls or 0, calls or sampler.calls)
    assert result.ledger.total.calls == sampler.calls
    drawn = [sample.value for sample in result.samples]
    assert drawn[0] == script[0]
    assert result.value is None or result.value in drawn
    assert result.cut is None or calls is not None
