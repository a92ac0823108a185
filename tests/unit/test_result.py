"""What a run returns."""

from __future__ import annotations

import copy
import json
import pickle
from typing import TYPE_CHECKING

import pytest

from thinktwice import Budget, Limit, Vote, solve
from thinktwice.stop import AtMost
from thinktwice.testing import ScriptedSampler, run_virtual

if TYPE_CHECKING:
    from thinktwice.result import Result

pytestmark = pytest.mark.usefixtures("silent_remarks")


def run(budget: Budget | None = None) -> Result[str]:
    sampler = ScriptedSampler(["a", "a", "b"], seconds=[1, 3, 2])
    strategy = Vote(3, stop=AtMost(3))
    return run_virtual(solve("q", sampler=sampler, strategy=strategy, budget=budget))


def sent(result: Result[str]) -> Result[str]:
    return pickle.loads(pickle.dumps(result))  # noqa: S301 - our own bytes


def test_it_has_all_that_was_done():
    """Samples in launch order, whenever they arrived."""
    result = run()
    assert (result.value, result.answer) == ("a", "a")
    assert [sample.index for sample in result.samples] == [0, 1, 2]
    assert (result.launched, result.ledger.total.calls) == (3, 3)
    assert result.agreement == pytest.approx(2 / 3)
    assert result.confidence is None
    assert result.winner is result.samples[0]
    assert result.cut is None


def test_a_cut_is_a_limit():
    """It stands in `stopped_by`, and as `cut`."""
    result = run(Budget(seconds=2.5))
    assert isinstance(result.stopped_by, Limit)
    assert result.cut is result.stopped_by
    assert (result.cut.kind, result.cut.allowed) == ("seconds", 2.5)


def test_its_repr_is_one_line_and_its_html_escapes():
    """No content in either."""
    result = run()
    assert repr(result) == (
        "<Result: 3 samples, agreement 0.67, stopped by AtMost(n=3), "
        "3 launched, 45 tokens, unpriced, 3.0 s>"
    )
    shown = result._repr_html_()
    assert "&lt;Result" in shown
    assert "<table>" in shown


@pytest.mark.parametrize("again", [copy.deepcopy, sent])
def test_it_can_be_copied_and_sent_between_processes(again):
    """The ledger becomes a record that nobody spends from."""
    result = run(Budget(seconds=2.5, tokens=1000))
    other = again(result)
    assert other.value == "a"
    assert other.ledger.entries == result.ledger.entries
    assert other.ledger.seconds == result.ledger.seconds == 2.5
    assert other.ledger.enforcement == result.ledger.enforcement
    assert str(other.ledger) == str(result.ledger)
    assert other.ledger.remaining["tokens"] == result.ledger.remaining["tokens"]


@pytest.mark.parametrize(("budget", "ended"), [(None, "AtMost(n=3)"), (Budget(calls=1), "calls")])
def test_its_summary_is_numbers_fit_for_json(budget, ended):
    """A cap goes by its kind, a rule as it is written."""
    result = run(budget)
    told = result.summary()
    assert json.loads(json.dumps(told)) == told
    assert told["stopped_by"] == ended
    assert (told["launched"], told["used"]) == (result.launched, result.used)
    assert told["tokens"] == result.ledger.total.usage.total_tokens > 0
    assert told["cost"] is None
