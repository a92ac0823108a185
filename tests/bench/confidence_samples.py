"""Samples with confidences, and strategies over them.

Those of a recording by DeepConf's authors, and of the embedded model. Not a bench by itself:
`confidence.py` uses it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arithmetic_lm import Request, final_answer, problems, shared_engine
from pools import folder

from thinktwice import Completion, Sample, solve
from thinktwice.testing import run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from arithmetic_lm.engine import Generated

    from thinktwice import Strategy

RECORDING = "deepconf_brumo25_online_budget128.jsonl.gz"
SAMPLES = 48
"""Of each question to the embedded model."""

SIGMA = 0.5
"""Of the logarithm of a latency."""


@dataclass(frozen=True)
class Draw:
    """A draw: its answer, and its confidence where the recording has one."""

    answer: str | None
    confidence: float | None = None


@dataclass(frozen=True)
class Question:
    """A question with what was drawn for it."""

    kind: str
    right: str
    draws: tuple[Completion[Draw], ...]


def answer_of(draw: Draw) -> str | None:
    """What votes are counted by."""
    return draw.answer


def brumo() -> list[Question]:
    """The recording of 29 problems of BRUMO 2025, 128 traces each."""
    with gzip.open(folder() / RECORDING, "rt", encoding="utf-8") as lines:
        return [_problem(json.loads(line)) for line in lines]


def _problem(row: Mapping[str, object]) -> Question:
    samples = row["samples"]
    assert isinstance(samples, list)
    draws = tuple(
        Completion(value=Draw(each["answer"], each["score"]), finish_reason=each["trace"])
        for each in samples
    )
    return Question("brumo", str(row["gold"]), draws)


def cut_abstain(questions: Sequence[Question]) -> list[Question]:
    """The same, with the traces that were cut short marked as such."""

    def marked(draw: Completion[Draw]) -> Completion[Draw]:
        reason = "length" if draw.finish_reason == "truncated" else "stop"
        return Completion(value=draw.value, finish_reason=reason)

    return [Question(q.kind, q.right, tuple(map(marked, q.draws))) for q in questions]


def embedded(count: int, samples: int = SAMPLES) -> list[Question]:
    """Test questions to the embedded model, at temperature .8, with all its log-probabilities."""
    engine = shared_engine()
    asked = problems(count, split="test", seed=0)
    pending = [
        [
            engine.submit(
                Request(
                    tuple(engine.model.vocabulary.prompt(problem.question)),
                    seed=(0, index),
                    top_logprobs=20,
                )
            )
            for index in range(samples)
        ]
        for problem in asked
    ]
    return [
        Question(problem.family, str(problem.answer), _completions(futures))
        for problem, futures in zip(asked, pending, strict=True)
    ]


def _completions(futures: Sequence[Future[Generated]]) -> tuple[Completion[Draw], ...]:
    """Texts of a question share what they have in common, to save memory."""
    seen: dict[tuple[int, ...], tuple[float, ...]] = {}
    vocabulary = shared_engine().model.vocabulary

    def completion(written: Generated) -> Completion[Draw]:
        text = vocabulary.decode(written.tokens)
        top = tuple(
            seen.setdefault(written.tokens[:place], tuple(logprob for _, logprob in each))
            for place, each in enumerate(written.top_logprobs)
        )
        return Completion(
            value=Draw(final_answer(text)),
            text=text,
            logprobs=written.logprobs,
            top_logprobs=top,
            finish_reason=written.finish_reason,
        )

    return tuple(completion(future.result()) for future in futures)


def discrimination(
    confidence: Callable[[Sample[object]], float | None], questions: Sequence[Question]
) -> float:
    """How often a right sample scores above a wrong one of the same question; .5 is chance."""
    shares = []
    for question in questions:
        scores: tuple[list[float], list[float]] = ([], [])
        for draw in question.draws:
            sample = Sample(
                index=0, value=draw.value, logprobs=draw.logprobs, top_logprobs=draw.top_logprobs
            )
            score = confidence(sample)
            if score is not None and draw.value.answer is not None:
                scores[draw.value.answer == question.right].append(score)
        wrong, right = scores
        if wrong and right:
            pairs = [(a > b) + (a == b) / 2 for a in right for b in wrong]
            shares.append(statistics.fmean(pairs))
    return statistics.fmean(shares)


class Replay:
    """A sampler that returns draws in their order, each after its own latency."""

    def __init__(self, draws: Sequence[Completion[Draw]], order: random.Random) -> None:
        self.calls = 0
        self._draws = draws
        self._order = order

    async def __call__(self, prompt: object, /) -> Completion[Draw]:
        draw = self._draws[self.calls]
        self.calls += 1
        await asyncio.sleep(self._order.lognormvariate(0, SIGMA))
        return draw


@dataclass(frozen=True)
class Trial:
    """One run: whether its answer is right, and its calls."""

    right: float
    calls: float


async def run(strategy: Strategy, question: Question, order: random.Random) -> Trial:
    """Answer one question from its draws in a random order."""
    sampler = Replay(order.sample(question.draws, len(question.draws)), order)
    result = await solve("", sampler=sampler, strategy=strategy)
    given = None if result.value is None else result.value.answer
    return Trial(given == question.right, sampler.calls)


def trials(strategy: Strategy, questions: Sequence[Question], orders: int) -> list[Trial]:
    """The mean trial of each question; every strategy sees the same orders."""

    async def one(number: int, question: Question) -> Trial:
        seeds = [f"{number} {order}" for order in range(orders)]
        done = [await run(strategy, question, random.Random(seed)) for seed in seeds]
        return Trial(
            statistics.fmean(each.right for each in done),
            statistics.fmean(each.calls for each in done),
        )

    async def every() -> list[Trial]:
        return await asyncio.gather(*(one(*each) for each in enumerate(questions)))

    return run_virtual(every())
