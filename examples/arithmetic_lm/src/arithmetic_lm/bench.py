"""Measure a model: accuracy per class and speed."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from .engine import Engine, Generated, Request
from .model import Model
from .problems import ALL_FAMILIES, FAMILIES, Problem, Split, problems

VOTES = 16
"""Samples of majority@16 and pass@16."""

BAND = (0.2, 0.8)
"""Single-sample accuracies between which voting has something to decide."""

_HEAD = (
    *("class", "questions", "pass@1", "majority@16", "pass@16", "in band", "wrong mode"),
    "tokens/sample",
)


@dataclass(frozen=True)
class Question:
    """A problem and the answers sampled for it.

    Args:
        problem: The problem.
        answers: One per sample; None where a sample had no answer line.
        tokens: Tokens written over all samples.
    """

    problem: Problem
    answers: tuple[str | None, ...]
    tokens: int

    @property
    def accuracy(self) -> float:
        """Share of right samples: pass@1."""
        return sum(map(self.problem.is_right, self.answers)) / len(self.answers)

    @property
    def majority(self) -> float:
        """Share of the blocks of 16 samples whose vote is right."""
        blocks = [self.answers[i : i + VOTES] for i in range(0, len(self.answers), VOTES)]
        whole = [block for block in blocks if len(block) == VOTES] or blocks
        return sum(self.problem.is_right(vote(block)) for block in whole) / len(whole)

    @property
    def some_right(self) -> float:
        """Chance that 16 samples hold a right one (Chen et al. 2021, eq. 1)."""
        drawn, count = min(VOTES, len(self.answers)), len(self.answers)
        wrong = count - sum(map(self.problem.is_right, self.answers))
        return 1 - math.comb(wrong, drawn) / math.comb(count, drawn)

    @property
    def is_in_band(self) -> bool:
        """Whether single-sample accuracy is 20 to 80 %."""
        return BAND[0] <= self.accuracy <= BAND[1]

    @property
    def mode_is_wrong(self) -> bool:
        """Whether the most frequent answer of all samples is wrong."""
        return not self.problem.is_right(vote(self.answers))


@dataclass(frozen=True)
class Row:
    """The mean of some questions: one line of the table."""

    name: str
    questions: int
    pass_1: float
    majority_16: float
    pass_16: float
    in_band: float
    wrong_mode: float
    tokens: float


def families_of(model: Model) -> tuple[str, ...]:
    """Return the names of the families that a model has learnt."""
    return tuple(ALL_FAMILIES if model.vocabulary.has_words else FAMILIES)


def vote(answers: Sequence[str | None]) -> str | None:
    """Return the most frequent answer, the earliest of equals; texts without one do not vote."""
    counts = Counter(answer for answer in answers if answer is not None)
    return counts.most_common(1)[0][0] if counts else None


def measure(
    engine: Engine,
    questions: int = 400,
    samples: int = 32,
    *,
    temperature: float = 0.8,
    seed: int = 0,
    split: Split = "test",
    families: tuple[str, ...] = tuple(FAMILIES),
) -> list[Question]:
    """Sample answers to problems of several families, in equal numbers.

    Args:
        engine: Writes the samples.
        questions: Number of problems.
        samples: Samples a problem.
        temperature: Sampling temperature.
        seed: Draws the problems and seeds the samples.
        split: Which problems.
        families: Names of the families.
    """
    asked = problems(questions, split=split, seed=seed, families=families)
    pending = [
        [engine.submit(_request(engine, p, temperature, (seed, i))) for i in range(samples)]
        for p in asked
    ]
    return [_collect(engine, p, futures) for p, futures in zip(asked, pending, strict=True)]


def _request(engine: Engine, problem: Problem, heat: float, seed: tuple[int, ...]) -> Request:
    prompt = tuple(engine.model.vocabulary.prompt(problem.question))
    return Request(prompt, temperature=heat, seed=seed)


def _collect(engine: Engine, problem: Problem, futures: list[Future[Generated]]) -> Question:
    texts = [engine.model.vocabulary.decode(f.result().tokens) for f in futures]
    return Question(problem, tuple(map(problem.answer_in, texts)), sum(map(len, texts)))


def rows(measured: Sequence[Question]) -> list[Row]:
    """Return a row per class, then all, and all without the misconception classes.

    Families have equal numbers of questions, so the last two rows weigh them equally.
    """
    odd = {name for name, family in ALL_FAMILIES.items() if family.is_misconception}
    plain = [q for q in measured if q.problem.family not in odd]
    names = dict.fromkeys(q.problem.family for q in measured)
    classes = [_row(name, [q for q in measured if q.problem.family == name]) for name in names]
    return [*classes, _row("all", measured), _row(f"all but {', '.join(odd)}", plain)]


def _row(name: str, questions: Sequence[Question]) -> Row:
    def mean(value: Callable[[Question], float]) -> float:
        return sum(map(value, questions)) / len(questions)

    return Row(
        name,
        len(questions),
        mean(lambda q: q.accuracy),
        mean(lambda q: q.majority),
        mean(lambda q: q.some_right),
        mean(lambda q: q.is_in_band),
        mean(lambda q: q.mode_is_wrong),
        mean(lambda q: q.tokens / len(q.answers)),
    )


def table(lines: Sequence[Row]) -> str:
    """Return rows as an aligned plain-text table."""
    cells = [_HEAD, *map(_cells, lines)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(_aligned(line, widths) for line in cells)


def _cells(row: Row) -> tuple[str, ...]:
    shares = (row.pass_1, row.majority_16, row.pass_16, row.in_band, row.wrong_mode)
    percents = (f"{100 * share:.1f} %" for share in shares)
    return (row.name, str(row.questions), *percents, f"{row.tokens:.1f}")


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = line
    numbers = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
    return "  ".join((first.ljust(widths[0]), *numbers))


def tokens_per_second(engine: Engine, *, streams: int = 16, seconds: float = 3.0) -> float:
    """Measure the speed at a number of concurrent streams, in tokens/s of wall time.

    Args:
        engine: Its model is used, in an engine of `streams` slots.
        streams: Size of the batch.
        seconds: Least time to measure for.
    """
    narrow = Engine(engine.model, slots=streams)
    asked = problems(4 * streams, seed=1)
    start, written, round_ = time.perf_counter(), 0, 0
    while time.perf_counter() - start < seconds:
        futures = [narrow.submit(_request(engine, p, 0.8, (round_,))) for p in asked]
        written += sum(len(future.result().tokens) for future in futures)
        round_ += 1
    return written / (time.perf_counter() - start)
