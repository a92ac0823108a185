"""The best of several graphs is better than one, and the thread has what was chosen."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytest.importorskip("arithmetic_lm")
pytest.importorskip("rich")
pytest.importorskip("langgraph")
pytest.importorskip("langchain_thinktwice")

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

EXAMPLE = Path(__file__).parents[2] / "examples" / "langchain" / "graph.py"
ORDERS = [
    "tea 94 pear 81 nut 46 corn 82:3 pear+4 nut",
    "bean 13 nut 22 lime 53 corn 88:3 corn+7 bean",
]


@pytest.fixture(scope="module")
def example():
    """The module of the example."""
    spec = importlib.util.spec_from_file_location("langchain_graph", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # the graph looks the annotations of its state up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.slow
async def test_a_customers_thread_has_what_was_chosen(example):
    """One turn for each order, the sums in order, and no thread of a sample."""
    saver = await example.serve(ORDERS)
    threads = {each.config["configurable"]["thread_id"] for each in saver.list(None)}
    assert threads == {"customer-1"}
    state = (await example.compiled(saver).aget_state(example.CUSTOMER)).values
    assert state["order"] == ORDERS[1]
    assert set(state["sums"]) <= {"427", "355"}
    if state["fault"] is None:
        assert state["sums"][-1] == "355"


@pytest.mark.slow
async def test_the_table(example):
    """More are right with each row, at more calls, and never above eight."""
    problems = example.problems(24, families=("price",))
    table = await example.compared([each.question for each in problems])
    names, right, calls = (list(column.cells) for column in table.columns)
    assert names == ["model", "graph", "best of 4 graphs"]
    shares = [float(each.rstrip("%")) for each in right]
    assert shares[0] < shares[2]
    numbers = [float(each) for each in calls]
    assert numbers[0] == 1 < numbers[1] <= 2
    assert numbers[1] <= numbers[2] <= 8


def test_the_verifier_judges_the_state(example):
    """By what the graph's own check said of it."""
    holds = example.holds
    assert holds.exact
    assert holds({"fault": None}).outcome == "pass"
    assert holds({"fault": "Line 1: no."}).feedback == "Line 1: no."
