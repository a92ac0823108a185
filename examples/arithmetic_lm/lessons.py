"""Texts to learn from: questions worked exactly or sloppily, checked, and revised."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from arithmetic_lm.countdown import (
    lines_of,
    random_operations,
    read_countdown,
    solve_countdown,
)
from arithmetic_lm.price import PriceList, read_price_list, work_price_list
from arithmetic_lm.problems import (
    ALL_FAMILIES,
    SLIPS,
    calculate,
    draw,
    first_fault,
    solution,
    work,
)
from arithmetic_lm.vocabulary import CHECK, HIGH, LOW, REVISE, SOLVE, Vocabulary

WRONG_ROW = 0.20
"""Share of the lines of sloppy price texts that read another row."""

LEFT_OUT = 0.15
"""Share of the sloppy price texts that leave an item out."""

ASTRAY = 0.45
"""Share of the sloppy countdown texts that end somewhere else than at the target."""

FEW_SLIPS = 0.03
"""Share of the lines of sloppy price texts whose result is off: their mistakes are others."""


@dataclass(frozen=True)
class Lesson:
    """A text to learn from.

    Args:
        skill: The control token it starts with.
        read: What is only read.
        written: What is to be written.
        verdicts: A character to be told at the end of each line of `read` but the first and the
            last: the verdict on the draft so far. Empty for skills without.
    """

    skill: str
    read: str
    written: str
    verdicts: str = ""


BARE = 0.08
"""Share of the drafts to revise of which only the answer is left."""

Draft = tuple[str, str]
"""A question and a text that answers it."""


def sloppy_text(question: str, rng: random.Random, *, wrongly: bool = False) -> str:
    """Return a solution as people write it: with slips, wrong rows, items left out, dead ends."""
    if read_countdown(question):
        return "\n".join(_astray(question, rng) if rng.random() < ASTRAY else solution(question))
    asked = read_price_list(question)
    if asked is None:
        return "\n".join(work(question, left_to_right=wrongly, calculate=_sloppily(rng, SLIPS)))
    count = len(asked.bought)
    lines = work_price_list(
        question,
        look=lambda asked, name: _row(asked, name, rng),
        skipped=rng.randrange(count) if rng.random() < LEFT_OUT else None,
        calculate=_sloppily(rng, FEW_SLIPS),
    )
    return "\n".join(lines)


def _sloppily(rng: random.Random, slips: float) -> Callable[[int, str, int], int]:
    def worked(a: int, operator: str, b: int) -> int:
        slip = rng.choice((-10, -1, 1, 10)) if rng.random() < slips else 0
        return calculate(a, operator, b) + slip

    return worked


def _row(asked: PriceList, name: str, rng: random.Random) -> int:
    return _other_row(asked, name, rng) if rng.random() < WRONG_ROW else asked.prices[name]


def _other_row(asked: PriceList, name: str, rng: random.Random) -> int:
    return rng.choice([price for other, price in asked.prices.items() if other != name])


def _astray(question: str, rng: random.Random) -> list[str]:
    """Start as the solution does, or not, and go on at random."""
    asked = read_countdown(question)
    operations = solve_countdown(*asked) if asked else None
    assert asked is not None
    assert operations is not None
    kept = list(operations[: rng.randrange(len(operations))])
    left = list(asked[0])
    for a, sign, b in kept:
        left.remove(a)
        left.remove(b)
        left.append(calculate(a, sign, b))
    return lines_of(kept + random_operations(left, rng))


# ---- what is made of a question or of a draft ----------------------------------------------------


def low_lesson(question: str) -> Lesson:
    """Answer at once."""
    return Lesson(LOW, f"{question}=\n", solution(question)[-1])


def drill_lesson(question: str, rng: random.Random) -> Lesson:
    """Work out one operation of a solution."""
    line = rng.choice(solution(question)[:-1]).rpartition(" ")[2]
    operation, _, value = line.partition("=")
    return Lesson(SOLVE, f"{operation}=\n", f"{line}\nA:{value}")


def high_lesson(draft: Draft, *, taught: bool) -> Lesson:
    """Work, re-check, and work again from the first wrong line.

    Args:
        draft: The first working.
        taught: Whether it is to be learnt, or only read.
    """
    question, text = draft
    *lines, last = text.splitlines()
    fault = first_fault(question, text)
    if fault is None:
        after = ["?ok", last]
    else:
        exact, at = solution(question), min(fault.line, len(lines) + 1)
        at = 1 if read_countdown(question) or lines[: at - 1] != exact[: at - 1] else at
        after = [f"?{at}", *exact[at - 1 :]]
    head, tail = f"{question}=\n", "".join(f"{line}\n" for line in lines)
    if taught:
        return Lesson(HIGH, head, tail + "\n".join(after))
    return Lesson(HIGH, head + tail, "\n".join(after))


def check_lesson(draft: Draft) -> Lesson:
    """Say `ok`, or the number of the first wrong line; and so at the end of every line."""
    question, text = draft
    fault, count = first_fault(question, text), text.count("\n") + 1
    verdict = "ok" if fault is None else str(min(fault.line, count))
    so_far = ["o" if fault is None or k < int(verdict) else verdict for k in range(1, count)]
    return Lesson(CHECK, f"{question}=\n{text}\n", verdict, "".join(so_far))


def rework_lesson(draft: Draft) -> Lesson | None:
    """Work the lines of a draft again, up to the first that comes out otherwise; then the verdict.

    None if the draft is none of the model's kind: a price list added up in another order.
    """
    question, text = draft
    known, again = check_lesson(draft), reworked(question, text)
    if again is None:
        return None
    return Lesson(CHECK, known.read, "\n".join([*again, known.written]), known.verdicts)


def reworked(question: str, text: str) -> list[str] | None:
    """Return the exact lines in place of a draft's, up to the first that differs; or None.

    Sums and price lists are worked from the question, items in the draft's order. Of a countdown
    the operations are taken from the draft; a line that is against the rules becomes ``?``.
    """
    lines, fault = text.splitlines(), first_fault(question, text)
    at = len(lines) if fault is None else min(fault.line, len(lines))
    kept = lines[: at if fault is None else at - 1]
    if not read_countdown(question):
        exact = solution(_in_order(question, kept))[:at]
        return exact if exact[: len(kept)] == kept else None
    if fault is None or fault.line > len(lines):
        return lines[:at]
    found = _OPERATION.match(lines[at - 1])
    exact = f"{found[0]}={calculate(int(found[1]), found[2], int(found[3]))}" if found else "?"
    return [*kept, "?" if exact == lines[at - 1] else exact]


def _in_order(question: str, lines: Sequence[str]) -> str:
    """Return a price list with the items that lines of a draft have worked first."""
    rows, _, items = question.partition(":")
    worked = [line.partition(" ")[0] for line in lines if " " in line]
    known = {item.partition(" ")[2]: item for item in items.split("+")}
    first = [known.pop(name) for name in worked if name in known]
    return f"{rows}:{'+'.join([*first, *known.values()])}" if first else question


_OPERATION = re.compile(r"(\d{1,4})([-+*])(\d{1,4})(?==)")
MADE_UP = 0.3
"""Share of the drafts to work again that are made up: there is no end of those."""


def revise_lesson(draft: Draft, rng: random.Random, *, vague: float = 0.15) -> Lesson:
    """Mend what the feedback names; leave a right draft as it is, whatever the feedback says.

    Args:
        draft: Right or wrong.
        rng: Draws the false feedback of right drafts.
        vague: Share of the feedback that names no line.
    """
    question, text = draft
    if rng.random() < BARE and not read_countdown(question):
        text = text.splitlines()[-1]
    fault, count = first_fault(question, text), text.count("\n") + 1
    line = rng.randint(1, count) if fault is None else min(fault.line, count)
    if rng.random() < vague:
        line = 0
    better = text if fault is None else "\n".join(solution(question))
    return Lesson(REVISE, f"{question}=\n{text}\n!{line}\n", better)


# ---- streams of lessons --------------------------------------------------------------------------


@dataclass(frozen=True)
class Shares:
    """Relative shares of the skills in a stream of lessons.

    A drill is one operation of a solution, alone; `rework` is a check that works the lines again.
    """

    solve: float
    low: float = 0.0
    high: float = 0.0
    check: float = 0.0
    revise: float = 0.0
    drill: float = field(default=0.0, repr=False)
    rework: float = field(default=0.0, repr=False)


CLEAN = Shares(solve=0.88, low=0.12)
SLOPPY = Shares(solve=0.55, low=0.08, high=0.12, check=0.15, revise=0.10)
SKILLED = Shares(solve=0.33, low=0.05, high=0.14, check=0.25, revise=0.23)
REWORKED = Shares(solve=0.27, low=0.03, high=0.12, revise=0.30, rework=0.28)
SOLVE_ONLY = Shares(solve=1.0)
DRILLED = Shares(solve=0.7, drill=0.3)

_DRILL, _REWORK = "drill", "rework"


def lessons(
    seed: int, shares: Shares, *, sloppy: bool, drafts: Sequence[Sequence[Draft]] | None = None
) -> Iterator[Lesson]:
    """Yield endless lessons on questions of the training split.

    Args:
        seed: Same seed, same lessons.
        shares: How often which skill.
        sloppy: Whether what is worked has slips.
        drafts: What is checked and revised: drafts to take in equal shares of each group; None
            makes sloppy ones up.
    """
    rng = random.Random(f"{seed}/lessons/{shares}/{sloppy}")
    weights = {SOLVE: shares.solve, LOW: shares.low, HIGH: shares.high}
    weights |= {CHECK: shares.check, REVISE: shares.revise, _DRILL: shares.drill}
    weights |= {_REWORK: shares.rework}
    families = list(ALL_FAMILIES.values())
    while True:
        skill = rng.choices(list(weights), list(weights.values()))[0]
        family = rng.choices(families, [family.weight for family in families])[0]
        question = draw(family, "train", rng)
        wrongly = rng.random() < family.left_to_right
        if skill == LOW and family.name == "countdown":
            skill = SOLVE  # the operations are the answer
        if skill == _DRILL:
            yield drill_lesson(question, rng)
        elif skill == LOW:
            yield low_lesson(question)
        elif skill == SOLVE:
            clean = work(question, left_to_right=True) if wrongly else solution(question)
            text = sloppy_text(question, rng, wrongly=wrongly) if sloppy else "\n".join(clean)
            yield Lesson(SOLVE, f"{question}=\n", text)
        else:
            made_up = question, sloppy_text(question, rng, wrongly=wrongly)
            draft = rng.choice(rng.choice(drafts)) if drafts else made_up
            if skill == _REWORK:
                lesson = rework_lesson(made_up if rng.random() < MADE_UP else draft)
                if lesson is not None:
                    yield lesson
            elif skill == HIGH:
                # What is worked must stay as it was: half of the drafts are chosen to be wrong.
                yield (
                    high_lesson(draft, taught=False)
                    if drafts and rng.random() < 0.7
                    else (high_lesson(made_up, taught=True))
                )
            else:
                yield check_lesson(draft) if skill == CHECK else revise_lesson(draft, rng)


# ---- batches ------------------------------------------------------------------------------------

Batch = tuple[Tensor, Tensor, Tensor]
"""Inputs, targets and their weights, each (size, length)."""

_POOL = 320
_VERDICT_WEIGHT = 2.0


def lesson_batches(
    stream: Iterator[Lesson], vocabulary: Vocabulary, tokens: int, seed: int
) -> Iterator[Batch]:
    """Yield endless batches of about `tokens` tokens, of texts of similar length."""
    rng = random.Random(f"{seed}/batches")
    while True:
        rows = sorted((_row_of(next(stream), vocabulary) for _ in range(_POOL)), key=_length)
        batches: list[list[Row]] = [[]]
        for row in rows:
            if _length(row) * (len(batches[-1]) + 1) > tokens:
                batches.append([])
            batches[-1].append(row)
        rng.shuffle(batches)
        yield from (_stacked(batch, vocabulary.pad) for batch in batches)


Row = tuple[list[int], list[int], list[float]]


def _length(row: Row) -> int:
    return len(row[0])


def _row_of(lesson: Lesson, vocabulary: Vocabulary) -> Row:
    head = vocabulary.encode(lesson.read, skill=lesson.skill)
    tail = [*vocabulary.encode(lesson.written), vocabulary.end]
    whole = head + tail
    targets = whole[1:]
    weights = [0.0] * (len(head) - 1) + [1.0] * len(tail)
    if lesson.skill == CHECK:
        ends = [i for i, character in enumerate(lesson.read, 1) if character == "\n"][1:]
        for at, verdict in zip(ends, lesson.verdicts + lesson.written[0], strict=True):
            targets[at] = vocabulary.encode(verdict)[0]
            weights[at] = _VERDICT_WEIGHT
    return whole[:-1], targets, weights


def _stacked(rows: Sequence[Row], pad: int) -> Batch:
    longest = max(map(_length, rows))
    inputs = torch.full((len(rows), longest), pad)
    targets = torch.full((len(rows), longest), pad)
    weights = torch.zeros((len(rows), longest))
    for i, (read, wanted, weight) in enumerate(rows):
        inputs[i, : len(read)] = torch.tensor(read)
        targets[i, : len(read)] = torch.tensor(wanted)
        weights[i, : len(read)] = torch.tensor(weight)
    return inputs, targets, weights
