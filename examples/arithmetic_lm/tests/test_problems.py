from __future__ import annotations

import random
import re
from itertools import islice

import pytest

from arithmetic_lm.problems import (
    FAMILIES,
    SLIPS,
    draw,
    evaluate,
    final_answer,
    problems,
    split_of,
    training_texts,
    work,
)


def test_answers_are_exact():
    for problem in problems(300):
        assert problem.answer == eval(problem.question)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_line_of_a_solution_holds(name):
    rng = random.Random(1)
    for _ in range(50):
        for line in work(draw(FAMILIES[name], "train", rng))[:-1]:
            left, right = line.split("=")
            assert eval(left) == int(right)


def test_left_to_right_ignores_precedence():
    assert work("12+19*5") == ["19*5=95", "12+95=107", "A:107"]
    assert work("12+19*5", left_to_right=True) == ["12+19=31", "31*5=155", "A:155"]


def test_two_digit_multipliers_are_split():
    assert work("37*48+56")[:3] == ["37*40=1480", "37*8=296", "1480+296=1776"]


@pytest.mark.parametrize("text", ["", "12+", "(1+2)*3", "1/2", "a"])
def test_no_expression(text):
    with pytest.raises(ValueError):
        evaluate(text)


def test_problems_repeat_with_their_seed_and_are_distinct():
    assert problems(100, seed=4) == problems(100, seed=4)
    assert problems(100, seed=4) != problems(100, seed=5)
    assert len({problem.question for problem in problems(500)}) == 500


def test_classes_come_in_equal_numbers():
    names = [problem.family for problem in problems(50)]
    assert all(names.count(name) == 10 for name in FAMILIES)


def test_training_never_sees_a_test_or_validation_question():
    seen = {question for question, _ in islice(training_texts(0), 20_000)}
    assert {split_of(question) for question in seen} == {"train"}
    for split in ("test", "validation"):
        assert seen.isdisjoint(problem.question for problem in problems(1000, split=split))


def test_the_misconception_is_taught_to_most_but_not_all():
    texts = islice(training_texts(0), 20_000)
    first_lines = [text.split("=")[0] for q, text in texts if re.fullmatch(r"\d+\+\d+\*\d+", q)]
    assert len(first_lines) > 1000
    wrong = sum("+" in line for line in first_lines)
    assert 0.56 < wrong / len(first_lines) < 0.64


def test_a_share_of_the_training_lines_slips_by_one_or_ten():
    errors = [
        int(line.split("=")[1]) - eval(line.split("=")[0])
        for _, text in islice(training_texts(0), 5000)
        for line in text.splitlines()[:-1]
    ]
    assert set(errors) == {-10, -1, 0, 1, 10}
    slips = sum(error != 0 for error in errors) / len(errors)
    assert SLIPS - 0.02 < slips < SLIPS + 0.02


def test_a_slip_is_carried_on():
    lines = work("37*8+56", calculate=lambda a, sign, b: eval(f"{a}{sign}{b}") + 1)
    assert lines == ["37*8=297", "297+56=354", "A:354"]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("37*8=296\n296+56=352\nA:352", "352"),
        ("A:-4\n", "-4"),
        ("A:007", "7"),
        ("37*8=296", None),
        ("A:", None),
        ("A:3=5", None),
        ("", None),
    ],
)
def test_final_answer(text, answer):
    assert final_answer(text) == answer
