from __future__ import annotations

import pytest

from arithmetic_lm.asking import expression_in


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
