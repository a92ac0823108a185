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


def test_weights_are_the_errors_at_equal_n(workflow):
    """And a step without one still has a weight."""
    curves = {name: {1: 0.5, 3: 1 - 0.1 * number} for number, name in enumerate(workflow.STEPS)}
    weights = list(workflow.ways_of(curves)[-1].weights.values())
    assert weights == [0.01, 0.1, 0.2, 0.3, 0.4]


@pytest.mark.slow
def test_the_workflow_runs(workflow, capsys):
    """A row for each way; none spends more calls than it may."""
    asyncio.run(workflow.main(3, 1))
    printed = capsys.readouterr().out
    rows = {line[:20].strip(): line[20:].split() for line in printed.splitlines()}
    assert rows["one sample a step"][0] == "5.0"
    assert rows["equal, all drawn"][0] == rows["by error, all drawn"][0] == "15.0"
    assert float(rows["equal, stop rule"][0]) <= 15
    assert float(rows["by error, stop rule"][0]) <= 15
