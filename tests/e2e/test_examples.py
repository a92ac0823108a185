"""The examples run, and their figures are those of the budgets that they show."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

pytest.importorskip("arithmetic_lm")
pytest.importorskip("rich")

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def workflow():
    """The module of the example."""
    spec = importlib.util.spec_from_file_location("workflow", EXAMPLES / "workflow.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their annotations up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_a_chain_asks_about_the_answer_before(workflow):
    """Another answer, another question; the same one, the same; none that training saw."""
    chain = workflow.Chain(3)
    asked = [question for _, question, _ in chain.solved()]
    assert asked == [question for _, question, _ in workflow.Chain(3).solved()]
    assert chain.question("terms", 100) == chain.question("terms", 100)
    assert chain.question("terms", 100) != chain.question("terms", 101)
    assert {workflow.split_of(question) for question in asked} == {"test"}


def test_weights_by_error_are_the_errors_at_equal_n(workflow):
    """And a step without one still has a weight."""
    curves = {name: [0.5, 0.5, 1 - 0.1 * rank] for rank, name in enumerate(workflow.STEPS)}
    assert list(workflow.by_error(curves).values()) == [0.01, 0.1, 0.2, 0.3, 0.4]


def test_weights_by_gain_go_where_two_more_calls_win_most(workflow):
    """A flat step gets one, one that rises gets the rest, whatever their errors are."""
    curves = {name: [0.3] * 15 for name in workflow.STEPS}
    curves["terms"] = [0.3 + 0.01 * n for n in range(15)]
    assert workflow.by_gain(curves) == {**dict.fromkeys(workflow.STEPS, 1), "terms": 11}


@pytest.mark.parametrize(("answer", "passes"), [("301", 1), ("302", 0), ("311", 0), ("310", 1)])
def test_casting_out_nines(workflow, answer, passes):
    """It sees slips of one and of ten, and not one of nine."""
    check = workflow.checked(3, "37*8+5").verifier
    assert check(f"37*8=296\n296+5=301\nA:{answer}") == passes


@pytest.mark.slow
def test_the_workflow_runs(workflow, capsys):
    """A row for each way; none spends more calls than it may."""
    asyncio.run(workflow.main(3, 1))
    printed = capsys.readouterr().out
    calls = {line[:24].strip(): line[24:].split()[:1] for line in printed.splitlines()}
    assert calls["one sample a step"] == ["5.0"]
    assert calls["vote, equal, all drawn"] == ["15.0"]
    for way in ("vote, equal", "vote, by error", "vote, by gain", "check, equal"):
        assert 5 <= float(calls[way][0]) <= 15
