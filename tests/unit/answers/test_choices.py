"""The letter that a text chooses."""

from __future__ import annotations

import pytest

from thinktwice.answers import choice_in

CHOSEN = [
    ("B", "B"),
    ("b", "B"),
    ("B.", "B"),
    ("(B)", "B"),
    ("**B**", "B"),
    ("B) Paris", "B"),
    ("**C) Paris**", "C"),
    ("answer is B", "B"),
    ("The answer is (b).", "B"),
    ("answer is b.", "B"),
    ("**Answer:** B", "B"),
    ("Answer: B) Paris", "B"),
    ("Q: which?\nA: (C)", "C"),
    (r"\boxed{C}", "C"),
    (r"\boxed{\text{D}}", "D"),
    (r"$\boxed{\textbf{(E)}}$", "E"),
    ("The correct answer is:\n\n**C) Paris**", "C"),
    ("The correct option is option C", "C"),
    ("The answer to the question is **D**.", "D"),
    ("The answer is A because it is", "A"),
    ("The answer is A (Paris)", "A"),
    ("A. x\nB. y\nC. z\nThe answer is B", "B"),
    ("(A) is wrong, so (C)", "C"),
    ("The answer is (A). On reflection, the answer is (B).", "B"),
    ("Therefore, the answer is E. 5", "E"),
]
NONE = [
    "",
    "Paris",
    "A dog barks",
    "I see.",
    "The answer is a mystery.",
    "The answer is I don't know",
    "The answer is Boston",
    "Answer: Because",
    "A. x\nB. y\nC. z",
]


@pytest.mark.parametrize(("text", "letter"), CHOSEN)
def test_a_choice_is_read_in_any_dress(text: str, letter: str):
    """The last marked letter, else the last wrapped one, else the line that has one."""
    assert choice_in(text) == letter


@pytest.mark.parametrize("text", NONE)
def test_a_text_that_chooses_nothing_abstains(text: str):
    """Articles, pronouns, words and lists of the options are no choice."""
    assert choice_in(text) is None


def test_nested_boxes_are_read_from_within():
    """The innermost box is the answer, also behind escaped braces."""
    assert choice_in(r"\boxed{\{\text{so}\} \boxed{B}}") == "B"
