"""The examples for LlamaIndex run as they are, and their tables say what the pages say of them."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("arithmetic_lm")
pytest.importorskip("rich")
pytest.importorskip("llama_index_thinktwice")

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning"),
]


@pytest.fixture
def example(monkeypatch):
    """Imports an example, as Python does with a script: its folder comes first."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(EXAMPLES / "llama_index"))
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(EXAMPLES)):
            del sys.modules[name]


def rows(printed: str) -> dict[str, list[str]]:
    """The cells of each row of a table, by its first."""
    cells = [re.split(r"\s{2,}", line.strip()) for line in printed.splitlines()]
    return {first: rest for first, *rest in cells if rest and rest[0].endswith(" %")}


def test_rag(example, capsys):
    """Checked answers are right more often; with the right list retrieved, most often."""
    asyncio.run(example("rag").main(12))
    printed = capsys.readouterr().out
    table = rows(printed)
    right = {name: int(cells[0].removesuffix(" %")) for name, cells in table.items()}
    assert len(right) == 8
    assert right["and BestOfN(8), grounded"] > right["plain engine"]
    assert right["and BestOfN(8), grounded"] >= right["BestOfN(8), grounded"]
    assert table["plain engine"][2] == "12"  # model calls
    assert "objections:\n" in printed


def test_rag_retrieves_the_right_list_where_words_match(example):
    """And seldom where a shop is called by another name."""
    shops = example("shops")
    found = shops.lists(40)
    retriever = shops.index_of(found).as_retriever(similarity_top_k=1)

    def hits(*, renamed: bool) -> int:
        asked = ((shop, shops.order(shop, each, renamed=renamed)) for shop, each in found.items())
        return sum(f"the {shop}:" in retriever.retrieve(o.question)[0].text for shop, o in asked)

    assert len(found) == 40
    assert hits(renamed=False) == 40
    assert hits(renamed=True) < 24


def test_rag_checks_what_it_says(example):
    """Prices that are quoted, names that are left out, and shops that do not sell."""
    rag, shops = example("rag"), example("shops")
    answer = "pear 34*3=102\nplum 56*2=112\n102+112=214\nA:214"
    assert rag.quoted(answer) == "pear 34\nplum 56"
    found = shops.lists(3)
    shop, listed = next(iter(found.items()))
    check = rag.sold(found)
    assert check(shops.order(shop, listed).question).outcome == "pass"
    assert check(shops.order(shop, listed, renamed=True).question).outcome == "fail"
    absent = next(name for name in ("egg", "ham", "oat", "tea") if name not in listed.prices)
    assert absent in check(f"What do 3 {absent} cost at the {shop}?").feedback


def test_sub_questions(example, capsys):
    """A smaller budget buys fewer calls, and leaves shops out of the comparison."""
    asyncio.run(example("sub_questions").main(4))
    table = rows(capsys.readouterr().out)
    calls = {name: float(cells[2]) for name, cells in table.items()}
    compared = {name: float(cells[1].split()[0]) for name, cells in table.items()}
    assert list(calls) == ["no cap", "1,200", "800", "400"]
    assert calls["no cap"] > calls["400"]
    assert compared["no cap"] == 3.0 > compared["400"]
    assert int(table["no cap"][4].replace(",", "")) > int(table["400"][4].replace(",", ""))


def test_sub_questions_know_the_answer(example):
    """Three shops, the same things, and the cheapest of them."""
    asked = example("sub_questions").comparisons(2)
    for each in asked:
        totals = {shop: listed.answer for shop, listed in each.lists.items()}
        assert len(totals) == 3
        assert totals[each.answer] == min(totals.values())
        assert all(shop in each.question for shop in totals)
