"""The recipes for LangChain run as they are, and their tables say what the pages say of them."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("arithmetic_lm")
pytest.importorskip("rich")
pytest.importorskip("langchain_thinktwice")

FOLDER = Path(__file__).parents[2] / "examples" / "langchain"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning"),
]


@pytest.fixture
def recipe(monkeypatch):
    """Imports a recipe, as Python does with a script: its folder comes first."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
            del sys.modules[name]


def rows(printed: str) -> dict[str, list[str]]:
    """The cells of each row of the table, by its first."""
    cells = [re.split(r"\s{2,}", line.strip()) for line in printed.splitlines()]
    return {first: rest for first, *rest in cells if rest and rest[0].endswith(" %")}


def right(table: dict[str, list[str]]) -> dict[str, int]:
    """Percent of the questions, by row."""
    return {name: int(cells[0].removesuffix(" %")) for name, cells in table.items()}


def test_structured_extraction(recipe, capsys):
    """Forms are read more often as a whole where their fields vote apart."""
    asyncio.run(recipe("structured_extraction").main(20))
    table = rows(capsys.readouterr().out)
    share = right(table)
    assert share["FieldVote(8)"] > share["one sample"]
    assert share["FieldVote(8)"] >= share["vote(n=8)"]
    assert table["one sample"][2] == str(20 * 4)  # model calls: four a form


def test_rag(recipe, capsys):
    """What keeps to its document is right more often; a repair takes fewer calls than a vote."""
    asyncio.run(recipe("rag").main(12))
    printed = capsys.readouterr().out
    table = rows(printed)
    share = right(table)
    grounded, repaired = "best_of_n(n=8), grounded", "tool_check(grounded, calculated)"
    assert share[grounded] > share["one sample"]
    assert share[repaired] > share["one sample"]
    assert int(table[repaired][2]) < int(table["vote(n=8)"][2])
    assert re.search(r"objections:\nThe (claim|passages)", printed)


def test_grounding_reads_the_prices_that_an_answer_quotes(recipe):
    """And neither the amounts nor the sums, which stand in no document."""
    assert recipe("rag").quoted("pear 34*3=102\nplum 56*2=112\n102+112=214\nA:214") == (
        "pear 34\nplum 56"
    )


def test_migrating(recipe, capsys):
    """The same answers with fewer requests, none failed, and a bill."""
    asyncio.run(recipe("migrating").main(12))
    printed = capsys.readouterr().out
    table = rows(printed)
    first, mended = table["abatch and Counter"], table["... with return_exceptions"]
    full, settled = table["vote(n=8, stop=AtMost(8))"], table["vote(n=8)"]
    assert int(first[1]) > 0
    assert mended[2] == "0"
    assert full[2:4] == settled[2:4] == ["0", "100 %"]
    assert 96 <= int(full[4]) <= 102  # stragglers are hedged on a busy machine
    assert int(settled[4]) < 96
    assert "TimeoutError: the answers that came are lost with it" in printed
    assert re.search(r"vote\(n=8\) +\d+ \(8 launched", printed)
    assert re.search(r"left open +0", printed)
