"""The examples for LlamaIndex run as they are, and their tables say what the pages say of them."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace

import pytest
from llama_index.core.query_engine import SubQuestionQueryEngine

from thinktwice.entry import Entry

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
    found = {first: rest for first, *rest in cells if rest and rest[0].endswith(" %")}
    return {first: rest for first, rest in found.items() if first != "right"}  # the headings


def test_rag(example, capsys):
    """Checked answers are right more often, and rewrites that ask no LLM are no calls of one."""
    asyncio.run(example("rag").main(12))
    printed = capsys.readouterr().out
    table = rows(printed)
    right = {name: int(cells[0].removesuffix(" %")) for name, cells in table.items()}
    assert len(right) == 8
    checked = ("BestOfN(8), grounded", "CritiqueRepair, grounded", "ToolCheck, grounded")
    assert fmean(right[name] for name in checked) > right["plain engine"]
    assert re.search(r"right +95 % +vs first +calls +tokens +cost +seconds", printed)
    assert table["plain engine"][2] == "12"  # LLM calls; the first row is compared with no other
    rewritten = [table[f"query by {kind}QueryTransform"][3] for kind in ("Vote", "ToolCheck")]
    assert rewritten == ["12", "12"]
    assert "A rewrite here is a look-up" in printed
    assert "objections:\n" in printed


def test_rag_does_not_take_unknown_tokens_for_none(example):
    """One call that reports nothing is a call of unknown cost."""
    rag = example("rag")

    def ledger(*entries: Entry) -> SimpleNamespace:
        return SimpleNamespace(ledger=SimpleNamespace(entries=entries))

    silent = Entry(role="sample", status="ok", model="m")
    look_up = Entry(role="sample", status="ok")
    told = rag.outcome_of("A:1", [ledger(look_up, look_up), ledger(silent)])
    assert (told.calls, told.tokens, told.cost) == (1, None, None)


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
    assert hits(renamed=True) == hits(renamed=True) < 24  # none is found by chance


def test_rewriting_retrieves_the_right_list_more_often(example):
    """Though the thesaurus guesses wrong two times in five."""
    rag, shops = example("rag"), example("shops")
    found = shops.lists(40)
    retriever = shops.index_of(found).as_retriever(similarity_top_k=1)
    asked = [(shop, shops.order(shop, each, renamed=True)) for shop, each in found.items()]
    checked = rag.ToolCheckQueryTransform(rag.sold(found), rounds=8, transform=rag.Thesaurus())

    def hits(way) -> int:
        return sum(
            f"the {shop}:" in retriever.retrieve(way(o.question))[0].text for shop, o in asked
        )

    assert hits(checked.run) > hits(str)


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


@pytest.mark.skipif(
    "except Exception" not in inspect.getsource(SubQuestionQueryEngine._query_subq),
    reason="this llama-index-core drops sub-questions for a ValueError alone",
)
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


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *(("rag", f"--orders={count}") for count in (0, 1, 101)),
        *(("agent", f"--orders={count}") for count in (0, 1, 101)),
        ("sub_questions", "--questions=0"),
    ],
)
def test_a_number_that_will_not_do_is_an_error_of_the_command_line(name, given):
    """Not a traceback, and not a table of another number."""
    ran = subprocess.run(  # noqa: S603 - an example of ours
        [sys.executable, EXAMPLES / "llama_index" / f"{name}.py", given],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert f"error: {given}: give " in ran.stderr
    assert "Traceback" not in ran.stderr


def test_sub_questions_leave_unknown_tokens_open(example):
    """A budget scope that knows no tokens has no number of them to show."""
    module = example("sub_questions")
    [asked] = module.comparisons(1)
    total = SimpleNamespace(calls=1, usage=SimpleNamespace(total_tokens=None))
    told = module.Asked(asked, "Nobody could say.", SimpleNamespace(total=total))
    assert module.row("a", [told])[-2:] == ["unknown", "unknown"]


def test_sub_questions_know_the_answer(example):
    """Three shops, the same things, and the cheapest of them."""
    asked = example("sub_questions").comparisons(2)
    for each in asked:
        totals = {shop: listed.answer for shop, listed in each.lists.items()}
        assert len(totals) == 3
        assert totals[each.answer] == min(totals.values())
        assert all(shop in each.question for shop in totals)
