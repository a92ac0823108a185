"""The agent at the order desk: its tools are real, its clerk slips, and a vote mends most of it."""

from __future__ import annotations

import asyncio
import importlib
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

FOLDER = Path(__file__).parents[2] / "examples" / "langchain"
BENCH = FOLDER.parents[1] / "tests" / "bench" / "agent.py"


@pytest.fixture(scope="module")
def example():
    """The modules of the example, which stand beside each other in a folder of scripts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        names = ("order_desk", "clerk", "agent")
        for name in names:
            patch.delitem(sys.modules, name, raising=False)
        yield importlib.import_module("agent")
        for name in names:
            patch.delitem(sys.modules, name, raising=False)


def test_the_table_compares_the_agents(example, capsys):
    """Every agent, on the same tasks."""
    trials = asyncio.run(example.compared(range(3)))
    Console(width=100).print(example.table(trials))
    shown = capsys.readouterr().out
    assert list(trials) == list(example.AGENTS)
    assert all(name in shown for name in example.AGENTS)
    assert "of 3" in shown


def test_a_vote_mends_what_the_agent_alone_gets_wrong(example):
    """On tasks that a run of the bench shows to be hard; it takes more calls for it."""
    seeds = [seed for seed in range(1, 17) if not outcome(example, seed, "the agent alone").right]
    assert seeds
    mended = [outcome(example, seed, "Vote(5)") for seed in seeds]
    assert sum(each.right for each in mended) > len(seeds) / 2
    assert all(each.calls > 2 * each.steps for each in mended)


def outcome(example: Any, seed: int, name: str, **settings: Any) -> Any:
    """One task by one agent."""
    return asyncio.run(example.compared([seed], [name], **settings))[name][0]


def test_the_bill_is_what_the_model_was_asked(example):
    """Calls that were cut off included."""
    clerk = example.Clerk(seed=5)
    task, middleware = example.Task.drawn(5), example.AGENTS["Vote(5)"]
    trial = asyncio.run(example.tried(task, clerk, middleware))
    assert trial.calls == clerk.calls
    assert trial.cost > 0


def test_a_clerk_that_never_slips_needs_six_steps(example):
    """Find, price, stock, discount, order, answer."""
    trial = outcome(example, 3, "the agent alone", slip=0.0)
    assert (trial.right, trial.steps, trial.calls) == (True, 6, 6)


def test_slips_that_all_draws_share_survive_a_vote(example):
    """The caveat of the docs: what every sample gets wrong wins."""
    trial = outcome(example, 3, "Vote(5)", slip=1.0, shared=1.0)
    assert not trial.right


def test_a_budget_ends_a_turn(example):
    """It ends with a message, and no more calls are made than it allows."""
    clerk = example.Clerk(seed=5)
    middleware = example.within(7, *example.AGENTS["Vote(5)"][1:])
    trial = asyncio.run(example.tried(example.Task.drawn(5), clerk, middleware))
    assert (trial.right, trial.calls, clerk.calls) == (False, 7, 7)


@pytest.mark.parametrize(
    ("args", "allowed"),
    [
        ({"number": "L-10", "count": 2, "cents": 9800}, True),
        ({"number": "L-10", "count": 2, "cents": 7350}, True),
        ({"number": "L-10", "count": 2, "cents": 980}, False),
        ({"number": "T-10", "count": 3, "cents": 126000}, False),
        ({"number": "X-1", "count": 1, "cents": 100}, False),
    ],
)
def test_the_rules_of_the_house(example, args, allowed):
    """No more than there is, and no more than 30 % off."""
    from thinktwice.before import Action

    said = example.within_rules(Action("place_order", args))
    assert (said is True) == allowed


def test_slips_are_drawn_anew_for_each_sample(example):
    """The n-th draw of a conversation is the same for every agent, and another one each time."""
    from langchain_core.messages import HumanMessage

    asked = [HumanMessage(example.Task.drawn(1).text)]
    clerks = [example.Clerk(seed=1, slip=0.5) for _ in range(2)]
    drawn = [[clerk.invoke(asked).tool_calls for _ in range(12)] for clerk in clerks]
    assert drawn[0] == drawn[1]
    assert len({str([each["args"] for each in calls]) for calls in drawn[0]}) > 1


def test_tasks_differ(example):
    """And each has one right order, within the stock."""
    tasks = [example.Task.drawn(seed) for seed in range(40)]
    assert len(set(tasks)) > 20
    assert all(task.order[1] <= task.wanted for task in tasks)
    assert tasks[:3] == [example.Task.drawn(seed) for seed in range(3)]


def test_the_bench_tells_a_gain_from_chance(example):
    """On made-up trials: half of the tasks mended, in every one of them the same bill."""
    bench = runpy.run_path(str(BENCH))
    alone = [example.Trial(at % 2 == 0, 6, 6, 600, 0.0003, 0.1) for at in range(100)]
    voted = [one._replace(right=True) for one in alone]
    assert bench["success"](alone) == "50 (40 to 60)"
    assert bench["gain"](voted, alone) == "+50 (+40 to +60)"
    assert bench["gain"](alone, alone) == "+0 (+0 to +0)"
    shown = bench["table"]("Made up", {bench["ALONE"]: alone, "Vote(5)": voted})
    assert [len(column._cells) for column in shown.columns] == [2] * 8
