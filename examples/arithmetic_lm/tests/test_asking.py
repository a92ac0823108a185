from __future__ import annotations

import pytest

from arithmetic_lm.asking import (
    Asked,
    Turn,
    asked_in,
    check_prompt,
    expression_in,
    question_in,
)
from arithmetic_lm.problems import ALL_FAMILIES, problems

TextPrompting = pytest.importorskip("thinktwice.prompting").TextPrompting


@pytest.mark.parametrize(
    "text",
    [
        "37*8+56",
        "What is 37*8+56?",
        "Q: 37*8+56=",
        "  37 * 8 + 56 =\n",
        "Compute 37\u00d78+56.",
        "I have 3 questions. The first: 37*8+56, the second 1+1",
        "Today is day 12.\n37*8+56",
    ],
)
def test_finds_the_expression(text):
    assert expression_in(text) == "37*8+56"


def test_minus_signs():
    assert expression_in("What is 300 \u2212 12 \u2013 5?") == "300-12-5"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello!",
        "42",
        "(3+4)*5",
        "3*(4+5)",
        "12/4+3",
        "2**3+1",
        "1.5*4+2",
        "1234567+1",
        "+".join(["12"] * 12),
        "x+1",
    ],
)
def test_refuses_the_rest(text):
    assert expression_in(text) is None


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("What is 37*8+56?", "37*8+56"),
        ("fig 12 pear 34 plum 56:3 pear+2 plum=", "fig 12 pear 34 plum 56:3 pear+2 plum"),
        (
            "Prices: fig 12, pear 34, plum 56. What do 3 pears and 2 plums cost?",
            "fig 12 pear 34 plum 56:3 pear+2 plum",
        ),
        (
            "A fig costs 12, a pear costs 34 and a plum is $56.\nHow much are 3 pears and 2 plums?",
            "fig 12 pear 34 plum 56:3 pear+2 plum",
        ),
        ("6 25 3 100->175", "6 25 3 100->175"),
        ("6 25 3 100 -> 175 =", "6 25 3 100->175"),
        ("Use 6, 25, 3 and 100 to make 175.", "6 25 3 100->175"),
        ("Using the numbers 6, 25, 3, and 100, reach 175", "6 25 3 100->175"),
        ("Make 175 from 6, 25, 3 and 100.", "6 25 3 100->175"),
        ("Who are you?", None),
        ("Prices: fig 12, pear 34. What do 3 pears and 2 plums cost?", None),
    ],
)
def test_questions_of_all_families(text, question):
    assert question_in(text) == question


def test_every_question_is_found_as_it_is_written():
    for problem in problems(140, families=tuple(ALL_FAMILIES)):
        assert question_in(f"Q: {problem.question}=") == problem.question


DRAFT = "37*8=297\n297+56=353\nA:353"


def test_a_draft_with_feedback_in_a_text():
    prompt = TextPrompting().revise("What is 37*8+56?", DRAFT, "37*8 is 296")
    assert asked_in(prompt) == Asked("revise", "37*8+56", DRAFT, 1)
    again = TextPrompting().revise(prompt, "A:5", "no")
    assert asked_in(again) == Asked("revise", "37*8+56", "A:5", 0)


def test_a_draft_with_feedback_in_messages():
    turns = [Turn("user", "What is 37*8+56?"), Turn("assistant", DRAFT)]
    assert asked_in([*turns, Turn("user", "Line 2 is wrong.")]) == Asked(
        "revise", "37*8+56", DRAFT, 2
    )
    for feedback in ("37*8=297 is wrong", "37*8+56 is not 353", "300+52 would be right"):
        assert asked_in([*turns, Turn("user", feedback)]).kind == "revise"


def test_another_question_in_a_conversation_is_new():
    turns = [Turn("user", "What is 37*8+56?"), Turn("assistant", DRAFT)]
    assert asked_in([*turns, Turn("user", "And 12*7+33?")]) == Asked("solve", "12*7+33")
    refused = [Turn("user", "Hello"), Turn("assistant", "I can only do arithmetic.")]
    assert asked_in([*refused, Turn("user", "12*7+33")]) == Asked("solve", "12*7+33")
    assert asked_in([*refused, Turn("user", "Try again")]) is None


def test_a_draft_to_check():
    prompt = check_prompt("What is 37*8+56?", DRAFT)
    assert asked_in(prompt) == Asked("check", "37*8+56", DRAFT)
