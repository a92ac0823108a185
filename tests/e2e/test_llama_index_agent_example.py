"""The agent that looks prices up by an engine and places an order."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path

import pytest
from llama_index.core.query_engine import CustomQueryEngine

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

FOLDER = Path(__file__).parents[2] / "examples" / "llama_index"
MODULES = ("agent", "rag", "shops", "comparing")


class PriceList(CustomQueryEngine):
    """Knows what each order costs, and of any other that it costs 1."""

    answers: dict[str, str]

    def custom_query(self, query_str: str) -> str:
        """As the embedded model writes it."""
        return f"A:{self.answers.get(query_str, 1)}"


@pytest.fixture(scope="module")
def example():
    """The modules of the example, which stand beside each other in a folder of scripts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        patch.syspath_prepend(str(FOLDER.parent / "langchain"))
        patch.syspath_prepend(str(FOLDER))  # both have an agent.py
        for name in MODULES:
            patch.delitem(sys.modules, name, raising=False)
        yield importlib.import_module("agent")
        for name in MODULES:
            patch.delitem(sys.modules, name, raising=False)


def test_the_table_compares_the_agents(example, capsys):
    """Every way, on the same orders; and the last words of one out of budget."""
    asyncio.run(example.main(2))
    shown = capsys.readouterr().out
    for way in ("agent alone", "BestOfN(8), grounded, in its tool", "and Vote(5) on its steps"):
        assert way in shown
    assert "an agent that may make 4 calls in all:\n  I have to stop here: budget of 4" in shown
    assert "no cost is known" in shown


def test_a_vote_mends_the_slips_of_its_model(example, monkeypatch):
    """Over a tool that is right; here the model slips in every fourth draw."""
    monkeypatch.setattr(example, "SLIP", 0.25)
    found = example.lists(12)
    orders = [example.order(*each) for each in found.items()]
    wanted = {each.question: each.answer for each in orders}

    async def right(over):
        count = 0
        for at, each in enumerate(orders):
            placed = []
            await over(example.agent_over(PriceList(answers=wanted), placed, seed=at)).run(
                each.question
            )
            count += placed == [(list(found)[at], int(each.answer))]
        return count

    alone = asyncio.run(right(lambda agent: agent))
    voted = asyncio.run(right(lambda agent: example.strategy_agent(agent, example.Vote(5))))
    assert alone < voted
