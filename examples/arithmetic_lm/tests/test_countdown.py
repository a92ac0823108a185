"""Countdowns: drawing, solving, and checking exactly."""

from __future__ import annotations

import random

import pytest

from arithmetic_lm.countdown import (
    apply,
    countdown_fault,
    draw_countdown,
    lines_of,
    random_operations,
    read_countdown,
    solve_countdown,
    work_countdown,
)

QUESTION = "6 25 3 100->175"
SOLVED = ["6-3=3", "25*3=75", "100+75=175", "A:175"]


def test_reading_a_question():
    assert read_countdown(QUESTION) == ((6, 25, 3, 100), 175)
    assert read_countdown("37*8+56") is None
    assert read_countdown("175") is None


def test_what_is_drawn_can_be_solved():
    rng = random.Random(1)
    for _ in range(200):
        question = draw_countdown(rng)
        assert countdown_fault(question, "\n".join(work_countdown(question))) is None


def test_no_solution_is_said():
    assert solve_countdown((2, 2, 2), 999) is None
    with pytest.raises(ValueError, match="not a countdown with a solution"):
        work_countdown("2 2 2->999")


def test_random_operations_use_every_number_once():
    rng = random.Random(2)
    for _ in range(200):
        numbers = [rng.randint(2, 50) for _ in range(4)]
        done = random_operations(numbers, rng)
        target = apply(*done[-1])
        question = f"{' '.join(map(str, numbers))}->{target}"
        assert countdown_fault(question, "\n".join(lines_of(done))) is None


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        (["6-3=4", "25*4=100", "100+100=200", "A:200"], 1, "6-3 is not 4"),
        (["6*6=36", *SOLVED[1:]], 1, "there is no 6 left"),
        (["100+75=175", "A:175"], 1, "there is no 75 left"),
        (["6+3=9", "25*9=225", "225-100=125", "A:125"], 4, "wanted is 175 alone"),
        (["100+25=125", "A:175"], 2, "left are 6, 3, 125"),
        ([*SOLVED[:3], "A:174"], 4, "not the target"),
        (["six minus three", "A:175"], 1, "not one operation"),
        (SOLVED[:3], 4, "no answer line"),
        ([*SOLVED, "A:175"], 5, "text after it"),
    ],
    ids=str,
)
def test_faults(lines, line, reason):
    fault = countdown_fault(QUESTION, "\n".join(lines))
    assert fault.line == line
    assert reason in fault.reason


def test_a_right_solution_in_any_order_of_operands():
    assert countdown_fault(QUESTION, "\n".join(SOLVED)) is None
    assert countdown_fault(QUESTION, "6-3=3\n3*25=75\n75+100=175\nA:175") is None


def test_a_number_may_not_be_used_twice_and_every_number_must_be():
    assert countdown_fault("5 5 2->20", "5+5=10\n10*2=20\nA:20") is None
    assert countdown_fault("5 4 2->20", "5*4=20\nA:20").line == 2


def test_a_question_of_another_family():
    with pytest.raises(ValueError, match="not a countdown"):
        countdown_fault("1+2", "A:3")
