"""The single sample in the place of a strategy."""

from __future__ import annotations

import pytest

from thinktwice import BestOfN, Budget, BudgetExceeded, Completion, Vote, solve
from thinktwice.shadow.single import Single
from thinktwice.testing import ScriptedSampler, captured_spans, run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")


def solved(values, strategy=None, **more):
    single = Single(strategy or Vote(8, key="number"))
    return run_virtual(solve("q", sampler=ScriptedSampler(values), strategy=single, **more))


def test_it_draws_once_and_counts_as_the_strategy_would():
    """By its key."""
    result = solved(["It is 391.", "7"])
    assert (result.value, result.answer, result.launched, result.used) == ("It is 391.", 391, 1, 1)
    assert repr(result.stopped_by) == "AtMost(n=1)"


@pytest.mark.parametrize(
    "value", ["no number", Completion(value="39", finish_reason="length"), Completion(value=None)]
)
def test_what_abstains_is_returned_without_a_word(value):
    """Without a strategy nobody would have looked."""
    result = solved([value])
    assert result.winner is not None
    assert (result.answer, result.warnings) == (None, ())
    assert result.value == (value.value if isinstance(value, Completion) else value)


def test_what_fails_raises_what_it_raised():
    """With all that was paid for."""
    with pytest.raises(KeyError) as raised:
        solved([KeyError("x")])
    assert raised.value.thinktwice_result.ledger.total.calls == 1


def test_a_strategy_with_another_inside_has_the_same_single_sample():
    """That of the sampler itself."""
    assert solved(["a"], BestOfN(2, verifier=len, of=Vote(4))).launched == 1


def test_the_budget_of_the_request_binds():
    """As that of any run."""
    sampler = ScriptedSampler(["a"], seconds=9)
    with pytest.raises(BudgetExceeded):
        run_virtual(solve("q", sampler=sampler, strategy=Single(Vote(1)), budget=Budget(seconds=1)))


def test_its_span_says_what_it_is():
    """And not that of the strategy, which does not run."""
    with captured_spans() as spans:
        solved(["1"])
    assert spans[-1].name == "invoke_workflow Single"
    assert spans[-1].attributes["thinktwice.samples.requested"] == 1
