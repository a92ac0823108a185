"""Splitting texts into statements."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice.verifiers.grounding.sentences import Statement, statements


def split(text: str) -> list[str]:
    return [each.text for each in statements(text)]


@pytest.mark.parametrize(
    "sentence",
    [
        "It cost 3.14 dollars, or $1,234.50 in all.",
        "Dr. J. R. Smith of the U.S. Navy sailed.",
        "See Fig. 3, pp. 5-9 and No. 7 for more.",
        "Some fruit, e.g. apples, i.e. not pears, is red.",
        "He met Mr. Jones vs. the state at 5 p.m. on Jan. 5.",
        "Yahoo! is a company.",
        "Version 1.2.3 of a.b.c runs at https://example.com/a.b?c=d.",
        "It went on ... and on.",
        "The Ph.D. was in maths (cf. Turing et al. 1950).",
    ],
)
def test_a_sentence_stays_whole(sentence: str):
    """Not every full stop ends one."""
    assert split(f"{sentence} Next one.") == [sentence, "Next one."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ('He said "No way." Then he left.', ['He said "No way."', "Then he left."]),
        ("It ended (really!). So it goes.", ["It ended (really!).", "So it goes."]),
        ("He lived in the U.S. The end.", ["He lived in the U.S.", "The end."]),
        ("Vitamin C. The rest.", ["Vitamin C.", "The rest."]),
        ("So am I. You too.", ["So am I.", "You too."]),
        ("He said no. Then he left.", ["He said no.", "Then he left."]),
        (
            "Paris is big.[1] Lyon is not. [2, 3] End.",
            ["Paris is big.[1]", "Lyon is not. [2, 3]", "End."],
        ),
        ("これは文です。次の文です。終わり", ["これは文です。", "次の文です。", "終わり"]),
        ("", []),
        (" \n\n ...!? --- ", []),
    ],
)
def test_sentences(text: str, expected: list[str]):
    """In order, each with its final sign and its citations."""
    assert split(text) == expected


def test_lines_items_and_rows_are_statements():
    """Without their markup."""
    text = (
        "# Prices\n\n"
        "- **Apples** cost [3 dollars](https://example.com).\n"
        "2) *Pears* cost `5`\n"
        "> quoted line\n\n"
        "| fruit | price |\n|:---|---:|\n| kiwi | 7 |\n\n"
        "plum 1\nfig 2\n"
    )
    assert list(statements(text)) == [
        Statement("Prices", row=True, heading=True),
        Statement("Apples cost 3 dollars.", row=True),
        Statement("Pears cost `5`", row=True),
        Statement("quoted line", row=True),
        Statement("fruit, price", row=True, heading=True),
        Statement("kiwi, 7", row=True),
        Statement("plum 1", row=True),
        Statement("fig 2", row=True),
    ]


def test_wrapped_lines_are_one_paragraph():
    """A long line goes on in the next one."""
    text = "This is a line that is wrapped, since it is as long as a page is\nwide. Short."
    assert split(text) == [
        "This is a line that is wrapped, since it is as long as a page is wide.",
        "Short.",
    ]


@pytest.mark.parametrize("fence", ["```", "~~~"])
def test_code_is_left_out(fence: str):
    """Also where the fence is never closed."""
    assert split(f"Before.\n{fence}python\nx = 1. Not a claim.\n{fence}\nAfter.") == [
        "Before.",
        "After.",
    ]
    assert split(f"Before.\n{fence}\nx = 1. Not a claim.") == ["Before."]


@given(st.text(max_size=300))
def test_no_word_is_lost(text: str):
    """Outside of markup."""
    plain = "".join(each for each in text if each.isalpha() or each in " .!?\n")
    kept = "".join(split(plain))
    assert [each for each in kept if each.isalpha()] == [each for each in plain if each.isalpha()]


@pytest.mark.parametrize(
    "piece",
    [".", "a. ", "[1", "(", "*", "```", "\n", "|", "-", "![a](", "a_", "> ", "#", " ", "\u3010"],
)
def test_time_is_linear_in_the_text(piece: str):
    """A text that is made to be slow is not."""
    text = piece * (50_000 // len(piece))
    started = time.perf_counter()
    list(statements(text))
    assert time.perf_counter() - started < 1
