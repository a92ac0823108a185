"""Texts of the phases; skipped without PyTorch."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice

import pytest

torch = pytest.importorskip("torch")
from arithmetic_lm.problems import ALL_FAMILIES, draw, first_fault, settled, solution, split_of
from arithmetic_lm.vocabulary import CHECK, HIGH, LOW, REVISE, SKILLED_TOKENS, SOLVE, Vocabulary
from lessons import (
    CLEAN,
    DRILLED,
    SKILLED,
    SLOPPY,
    Lesson,
    check_lesson,
    high_lesson,
    lesson_batches,
    lessons,
    revise_lesson,
    sloppy_text,
)

RIGHT = "37*8+56", "37*8=296\n296+56=352\nA:352"
WRONG = "37*8+56", "37*8=296\n296+56=353\nA:353"
NO_FLIP = random.Random(0)


def test_a_check_says_ok_or_the_first_wrong_line_at_every_line():
    assert check_lesson(RIGHT) == Lesson(CHECK, f"37*8+56=\n{RIGHT[1]}\n", "ok", "oo")
    assert check_lesson(WRONG) == Lesson(CHECK, f"37*8+56=\n{WRONG[1]}\n", "2", "o2")


def test_a_revision_mends_a_wrong_draft_and_keeps_a_right_one():
    rng = random.Random(1)
    for _ in range(50):
        mended = revise_lesson(WRONG, rng)
        assert mended.written == RIGHT[1]
        assert mended.read.splitlines()[-1] in {"!2", "!0", "!1"}
        kept = revise_lesson(RIGHT, rng)
        assert kept.written in {RIGHT[1], "A:352"}


def test_a_re_check_goes_on_from_the_first_wrong_line():
    assert high_lesson(RIGHT, taught=True).written == "37*8=296\n296+56=352\n?ok\nA:352"
    text = high_lesson(WRONG, taught=True).written
    assert text == "37*8=296\n296+56=353\n?2\n296+56=352\nA:352"
    assert settled(text) == RIGHT[1]
    read = high_lesson(WRONG, taught=False)
    assert (read.read, read.written) == (
        "37*8+56=\n37*8=296\n296+56=353\n",
        "?2\n296+56=352\nA:352",
    )


@pytest.mark.parametrize("name", ALL_FAMILIES)
def test_a_re_checked_text_is_right_whatever_the_draft(name):
    rng = random.Random(5)
    wrong = 0
    for _ in range(60):
        question = draw(ALL_FAMILIES[name], "train", rng)
        draft = question, sloppy_text(question, rng)
        wrong += first_fault(*draft) is not None
        assert first_fault(question, high_lesson(draft, taught=True).written) is None
    assert wrong > 5


def test_sloppy_price_lists_get_their_rows_wrong_and_their_sums_right():
    """What a calculator passes and the list does not."""
    rng = random.Random(2)
    faults = Counter()
    for _ in range(400):
        question = draw(ALL_FAMILIES["price"], "train", rng)
        fault = first_fault(question, sloppy_text(question, rng))
        if fault is not None:
            faults["row" if "the list says" in fault.reason else "other"] += 1
            faults["left out"] += "left out" in fault.reason
    assert faults["row"] > 100
    assert faults["left out"] > 20
    assert faults["row"] + faults["left out"] > 0.8 * (faults["row"] + faults["other"])


@pytest.mark.parametrize("shares", [CLEAN, SLOPPY, SKILLED, DRILLED], ids=str)
def test_lessons_are_of_the_training_split_and_can_be_written(shares):
    vocabulary = Vocabulary(SKILLED_TOKENS)
    seen = Counter()
    for lesson in islice(lessons(0, shares, sloppy=shares is not CLEAN), 400):
        question = lesson.read.partition("=")[0]
        seen[lesson.skill] += 1
        assert vocabulary.knows(lesson.read + lesson.written)
        if shares is not DRILLED:
            assert split_of(question) == "train"
    wanted = {SOLVE: shares.solve + shares.drill, LOW: shares.low, HIGH: shares.high}
    wanted |= {CHECK: shares.check, REVISE: shares.revise}
    assert {skill for skill, share in wanted.items() if share} == set(seen)


def test_clean_lessons_are_exact_but_for_the_misconception():
    wrong = 0
    for lesson in islice(lessons(1, CLEAN, sloppy=False), 400):
        question = lesson.read.partition("=")[0]
        if lesson.written.splitlines()[-1] != solution(question)[-1]:
            wrong += 1
    assert 0 < wrong < 60


def test_skills_are_taught_on_the_drafts_that_are_given():
    stream = lessons(0, SKILLED, sloppy=True, drafts=[[RIGHT], [WRONG]])
    checked = [lesson for lesson in islice(stream, 400) if lesson.skill == CHECK]
    assert {lesson.written for lesson in checked} == {"ok", "2"}
    oks = sum(lesson.written == "ok" for lesson in checked)
    assert 0.35 < oks / len(checked) < 0.65


def test_batches_hide_what_is_only_read():
    vocabulary = Vocabulary(SKILLED_TOKENS)
    stream = iter([check_lesson(WRONG), Lesson(SOLVE, "1+2=\n", "1+2=3\nA:3")] * 400)
    inputs, targets, weights = next(lesson_batches(stream, vocabulary, 400, 0))
    assert inputs.shape == targets.shape == weights.shape
    assert inputs.numel() <= 400
    for row, wanted, weight in zip(inputs, targets, weights, strict=True):
        told = vocabulary.decode([t for t, w in zip(wanted, weight, strict=True) if w])
        assert told in {"o22", "1+2=3\nA:3"}
        assert vocabulary.tokens[row[0]] in {CHECK, SOLVE}
