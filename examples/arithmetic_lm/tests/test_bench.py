from __future__ import annotations

import math

import pytest

from arithmetic_lm.__main__ import main
from arithmetic_lm.bench import Question, measure, rows, table, tokens_per_second, vote
from arithmetic_lm.problems import FAMILIES, Problem

PROBLEM = Problem("product", "37*8+56", 352)


def _question(right: int, wrong: int, problem: Problem = PROBLEM) -> Question:
    return Question(problem, ("352",) * right + ("350",) * wrong, 25 * (right + wrong))


def test_vote():
    assert vote(["1", "2", "2", None, None, None]) == "2"
    assert vote(["2", "1", "1", "2"]) == "2"
    assert vote([None, None]) is None


def test_figures_of_a_question():
    question = _question(6, 10)
    assert question.accuracy == 6 / 16
    assert question.majority == 0
    assert question.some_right == 1
    assert question.is_in_band
    assert question.mode_is_wrong


def test_pass_at_16_is_unbiased():
    expected = 1 - math.comb(31, 16) / math.comb(32, 16)
    assert _question(1, 31).some_right == pytest.approx(expected)
    assert not _question(1, 31).is_in_band


def test_majority_is_the_mean_over_blocks_of_16():
    answers = ("352",) * 16 + ("350",) * 16
    assert Question(PROBLEM, answers, 800).majority == 0.5


def test_rows_weigh_classes_equally():
    measured = [_question(16, 0, Problem(name, "37*8+56", 352)) for name in FAMILIES]
    *classes, everything, plain = rows(measured)
    assert [row.name for row in classes] == list(FAMILIES)
    assert (everything.questions, plain.questions) == (len(FAMILIES), len(FAMILIES) - 1)
    assert (everything.pass_1, everything.wrong_mode, everything.tokens) == (1, 0, 25)


def test_table_is_aligned():
    measured = [_question(5, 11, Problem(name, "37*8+56", 352)) for name in FAMILIES]
    lines = table(rows(measured)).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "31.2 %" in lines[1]


def test_measuring_repeats_with_its_seed(engine):
    once, again = (measure(engine, 10, 4, seed=2) for _ in range(2))
    assert [q.answers for q in once] == [q.answers for q in again]


def test_speed(engine):
    assert tokens_per_second(engine, streams=4, seconds=0.1) > 0


def test_the_shipped_model_errs_as_it_should(engine):
    """A small draw of the benchmark: the full one prints the figures of the README."""
    *classes, everything, plain = rows(measure(engine, 60, 16))
    assert 0.40 < everything.pass_1 < 0.85
    assert plain.majority_16 > plain.pass_1
    assert everything.in_band > 0.25
    assert classes[-1].wrong_mode > 0.5


def test_command_line(capsys):
    assert main(["ask", "What is 37*8+56?", "--seed", "1", "-n", "2"]) == 0
    assert "A:" in capsys.readouterr().out
    assert main(["bench", "--questions", "5", "--samples", "2"]) == 0
    out = capsys.readouterr().out
    assert "pass@1" in out
    assert "tokens/s at 16 streams" in out
