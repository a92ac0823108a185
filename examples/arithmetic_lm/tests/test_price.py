"""Price lists: reading, working, and finding what is wrong."""

from __future__ import annotations

import random

import pytest

from arithmetic_lm.price import draw_price_list, price_fault, read_price_list, work_price_list

QUESTION = "fig 12 pear 34 plum 56:3 pear+2 plum"
LINES = ["pear 34*3=102", "plum 56*2=112", "102+112=214", "A:214"]


def test_reading_a_question():
    asked = read_price_list(QUESTION)
    assert asked.prices == {"fig": 12, "pear": 34, "plum": 56}
    assert asked.bought == (("pear", 3), ("plum", 2))
    assert asked.answer == 214


@pytest.mark.parametrize(
    "text", ["", "37*8+56", "6 25 3->34", "fig 12:3 pear+2 fig", "fig 12 fig 13:2 fig+3 fig"]
)
def test_what_is_no_price_list(text):
    assert read_price_list(text) is None
    with pytest.raises(ValueError, match="not a price list"):
        price_fault(text, "A:1")


def test_each_product_names_the_row_that_it_reads():
    assert work_price_list(QUESTION) == LINES


def test_exact_solutions_have_no_fault():
    rng = random.Random(3)
    for _ in range(300):
        question = draw_price_list(rng)
        assert price_fault(question, "\n".join(work_price_list(question))) is None


def test_any_order_is_right_and_a_bare_answer_is_judged_by_itself():
    turned = ["plum 56*2=112", "pear 34*3=102", "112+102=214", "A:214"]
    assert price_fault(QUESTION, "\n".join(turned)) is None
    assert price_fault(QUESTION, "A:214") is None
    assert price_fault(QUESTION, "A:215").line == 1


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        (["pear 12*3=36", "plum 56*2=112", "36+112=148", "A:148"], 1, "the list says pear 34"),
        (["pear 34*3=102", "A:102"], 2, "plum should come before"),
        (["pear 34*2=68", "plum 56*2=112", "68+112=180", "A:180"], 1, "not how many pear"),
        (["pear 34*3=103", "plum 56*2=112", "103+112=215", "A:215"], 1, "34*3 is not 103"),
        (["fig 12*3=36", "A:36"], 1, "fig is not asked for"),
        (["pear 34*3=102", "pear 34*3=102", "A:204"], 2, "pear is not asked for here"),
        ([*LINES[:2], "102+112=215", "A:215"], 3, "102+112 is not 215"),
        ([*LINES[:2], "102+102=204", "A:204"], 3, "there is no 102 to add"),
        ([*LINES[:3], "A:215"], 4, "not the sum"),
        (LINES[:3], 4, "no answer line"),
        ([*LINES, "1"], 5, "text after it"),
        ([], 1, "no answer line"),
    ],
    ids=str,
)
def test_faults(lines, line, reason):
    fault = price_fault(QUESTION, "\n".join(lines))
    assert fault.line == line
    assert reason in fault.reason
