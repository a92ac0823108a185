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
    REWORKED,
    SKILLED,
    SLOPPY,
    Lesson,
    check_lesson,
    high_lesson,
    lesson_batches,
    lessons,
    revise_lesson,
    rework_lesson,
    reworked,
    sloppy_text,
)

RIGHT = "37*8+56", "37*8=296\n296+56=352\nA:352"
WRONG = "37*8+56", "37*8=296\n296+56=353\nA:353"
NO_FLIP = random.Random(0)


def test_a_check_says_ok_or_the_first_wrong_line_at_every_line():
    assert check_lesson(RIGHT) == Lesson(CHECK, f"37*8+56=\n{RIGHT[1]}\n", "ok", "oo")
    assert check_lesson(WRONG) == Lesson(CHECK, f"37*8+56=\n{WRONG[1]}\n", "2", "o2")


def test_a_check_works_the_lines_again_up_to_the_first_that_differs():
    assert rework_lesson(RIGHT) == Lesson(CHECK, f"37*8+56=\n{RIGHT[1]}\n", f"{RIGHT[1]}\nok", "oo")
    wrong = rework_lesson(WRONG)
    assert (wrong.written, wrong.verdicts) == ("37*8=296\n296+56=352\n2", "o2")


@pytest.mark.parametrize(
    ("question", "draft", "again"),
    [
        ("12+13*4", "12+13=25\n25*4=100\nA:100", ["13*4=52"]),
        ("fig 12 pear 34 egg 56:3 pear+2 fig", "pear 12*3=36\nfig 12*2=24\n36+24=60\nA:60",
         ["pear 34*3=102"]),
        ("fig 12 pear 34 egg 56:3 pear+2 fig", "pear 34*3=102\nA:102",
         ["pear 34*3=102", "fig 12*2=24"]),
        ("fig 12 pear 34 egg 56:3 pear+2 fig", "fig 12*2=24\n24+24=48\nA:48",
         ["fig 12*2=24", "pear 34*3=102"]),
        ("fig 12 pear 34 egg 56:3 pear+2 fig", "fig 12*2=24\npear 34*3=102\n24+102=126\nA:126",
         ["fig 12*2=24", "pear 34*3=102", "24+102=126", "A:126"]),
        ("fig 12 pear 34 egg 56:3 pear+2 fig", "pear 34*3=102\nfig 12*2=24\n24+102=126\nA:126",
         None),
        ("6 25 3->147", "25*6=151\n151-3=148\nA:148", ["25*6=150"]),
        ("6 25 3->147", "25*6=150\n150-6=144\nA:144", ["25*6=150", "?"]),
        ("6 25 3->147", "25*6=150\n150+3=153\nA:153", ["25*6=150", "150+3=153", "?"]),
        ("6 25 3->147", "25*6=150\n150-3=147\nA:147", ["25*6=150", "150-3=147", "A:147"]),
    ],
)  # fmt: skip
def test_lines_are_worked_again_exactly(question, draft, again):
    assert reworked(question, draft) == again


@pytest.mark.parametrize("name", ALL_FAMILIES)
def test_what_is_worked_again_agrees_with_the_verdict(name):
    """It is the draft itself if that is right, and differs in its last line if it is not."""
    rng = random.Random(6)
    verdicts = Counter()
    for _ in range(60):
        question = draw(ALL_FAMILIES[name], "train", rng)
        text = sloppy_text(question, rng)
        *lines, verdict = rework_lesson((question, text)).written.splitlines()
        verdicts[verdict] += 1
        if verdict == "ok":
            assert lines == text.splitlines()
        else:
            assert len(lines) == int(verdict)
            differs = [a != b for a, b in zip(lines, text.splitlines(), strict=False)]
            assert differs == [*[False] * (len(lines) - 1), True]
    assert verdicts["ok"] > 5
    assert verdicts.total() - verdicts["ok"] > 5


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


@pytest.mark.parametrize("shares", [CLEAN, SLOPPY, SKILLED, DRILLED, REWORKED], ids=str)
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
    wanted |= {CHECK: shares.check + shares.rework, REVISE: shares.revise}
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
