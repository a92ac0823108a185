"""Measure the skills: checking, revising, effort, the value head."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from .assistant import EFFORTS
from .countdown import apply, read_countdown, solve_countdown
from .engine import Engine, Request
from .options import Effort
from .problems import ALL_FAMILIES, Problem, Split, first_fault, problems, settled
from .skills import CHECKED_AT, PASSING, Check, check_tokens, read_check, revise_tokens
from .value import line_states, value_of
from .vocabulary import SOLVE

_DRAWS = 1000


@dataclass(frozen=True)
class Draft:
    """A draft that the model wrote.

    Args:
        problem: What it answers.
        text: The draft, as its re-check left it.
        is_right: Whether its answer is exactly right.
    """

    problem: Problem
    text: str
    is_right: bool


@dataclass(frozen=True)
class Share:
    """A mean over questions with its 95 % interval (bootstrap over questions).

    Args:
        mean: The mean.
        low: Lower end.
        high: Upper end.
        cases: What it rests on: questions, or drafts.
    """

    mean: float
    low: float
    high: float
    cases: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}], {self.cases} cases"


def write_drafts(
    engine: Engine, asked: Sequence[Problem], samples: int, *, skill: str = SOLVE, seed: int = 0
) -> list[Draft]:
    """Sample drafts at temperature 0.8, `samples` of each problem, in order."""
    vocabulary = engine.model.vocabulary
    pending = [
        (problem, engine.submit(Request(tuple(tokens), temperature=0.8, seed=(seed, i))))
        for problem in asked
        for tokens in (vocabulary.prompt(problem.question, skill=skill),)
        for i in range(samples)
    ]
    texts = [(problem, vocabulary.decode(future.result().tokens)) for problem, future in pending]
    return [Draft(p, settled(text), p.is_right(p.answer_in(text))) for p, text in texts]


def checks(engine: Engine, drafts: Sequence[Draft]) -> list[Check | None]:
    """Return the check of each draft, as `ArithmeticCritic` asks; None where it has no verdict."""
    vocabulary = engine.model.vocabulary
    tokens = vocabulary.tokens
    pending = [
        engine.submit(
            Request(
                tuple(check_tokens(vocabulary, draft.problem.question, draft.text)),
                temperature=CHECKED_AT,
                seed=(0, 0),
                top_logprobs=20,
            )
        )
        for draft in drafts
    ]
    written = [future.result() for future in pending]
    return [
        read_check(
            draft.text,
            vocabulary.decode(each.tokens),
            each.logprobs,
            [{tokens[number]: logprob for number, logprob in top} for top in each.top_logprobs],
        )
        for draft, each in zip(drafts, written, strict=True)
    ]


def auc(right: Sequence[float], wrong: Sequence[float]) -> float:
    """Return the chance that one of the right scores above one of the wrong; ties are halves."""
    above = sum((r > w) + (r == w) / 2 for r in right for w in wrong)
    return above / (len(right) * len(wrong))


def share(groups: Iterable[Sequence[float]], *, weigh_groups: bool = False) -> Share:
    """Return a mean with its interval.

    Args:
        groups: Values by question.
        weigh_groups: Whether every question counts the same; else every value does.
    """
    kept = [list(group) for group in groups if group]
    if weigh_groups:
        kept = [[fmean(group)] for group in kept]
    if not kept:
        return Share(math.nan, math.nan, math.nan, 0)
    rng = random.Random(0)
    sums = [(sum(group), len(group)) for group in kept]

    def mean(chosen: Sequence[tuple[float, int]]) -> float:
        return sum(total for total, _ in chosen) / sum(count for _, count in chosen)

    means = sorted(mean(rng.choices(sums, k=len(sums))) for _ in range(_DRAWS))
    low, high = means[round(0.025 * _DRAWS)], means[round(0.975 * _DRAWS) - 1]
    return Share(mean(sums), low, high, sum(count for _, count in sums))


def _by_question(
    drafts: Sequence[Draft], values: Sequence[float], wanted: Callable[[Draft], bool]
) -> list[list[float]]:
    groups: defaultdict[str, list[float]] = defaultdict(list)
    for draft, value in zip(drafts, values, strict=True):
        if wanted(draft):
            groups[draft.problem.question].append(value)
    return list(groups.values())


@dataclass(frozen=True)
class CheckReport:
    """How well the model checks its own drafts.

    Args:
        auc: Within-question AUC: how often a right draft of a question gets a higher probability
            of `ok` than a wrong one of the same question.
        false_pass: Share of wrong drafts whose probability of `ok` is `PASSING` or more.
        false_alarm: Share of right drafts whose probability is less.
    """

    auc: Share
    false_pass: Share
    false_alarm: Share


def measure_check(engine: Engine, drafts: Sequence[Draft]) -> CheckReport:
    """Measure the check on drafts of one model, several a question."""
    chances = [0.0 if each is None else each.ok for each in checks(engine, drafts)]
    right: defaultdict[str, list[float]] = defaultdict(list)
    wrong: defaultdict[str, list[float]] = defaultdict(list)
    for draft, chance in zip(drafts, chances, strict=True):
        (right if draft.is_right else wrong)[draft.problem.question].append(chance)
    both = [[auc(right[q], wrong[q])] for q in right if q in wrong]
    passed = [float(chance >= PASSING) for chance in chances]
    return CheckReport(
        share(both),
        share(_by_question(drafts, passed, lambda d: not d.is_right)),
        share(_by_question(drafts, [1 - p for p in passed], lambda d: d.is_right)),
    )


@dataclass(frozen=True)
class ReviseReport:
    """What the model makes of feedback.

    Args:
        mended: Share of wrong drafts that are right after true feedback.
        broken: Share of right drafts that are wrong after false feedback.
    """

    mended: Share
    broken: Share


def measure_revise(engine: Engine, drafts: Sequence[Draft], *, seed: int = 0) -> ReviseReport:
    """Measure revising: feedback names the first wrong line, or a line at random of a right one."""
    vocabulary, rng = engine.model.vocabulary, random.Random(seed)

    def told(draft: Draft) -> int:
        fault = first_fault(draft.problem.question, draft.text)
        count = draft.text.count("\n") + 1
        return rng.randint(1, count) if fault is None or draft.is_right else min(fault.line, count)

    pending = [
        engine.submit(
            Request(
                tuple(revise_tokens(vocabulary, d.problem.question, d.text, told(d))),
                temperature=0.8,
                seed=(seed, i),
            )
        )
        for i, d in enumerate(drafts)
    ]
    texts = [vocabulary.decode(future.result().tokens) for future in pending]
    right = [
        float(d.problem.is_right(d.problem.answer_in(text)))
        for d, text in zip(drafts, texts, strict=True)
    ]
    return ReviseReport(
        share(_by_question(drafts, right, lambda d: not d.is_right)),
        share(_by_question(drafts, [1 - r for r in right], lambda d: d.is_right)),
    )


def are_sound(question: str, text: str) -> list[bool]:
    """Return of each line of a draft whether all is well so far.

    Of a countdown: whether the target can still be reached, which takes trying all ways to go on.
    """
    lines, fault = text.splitlines(), first_fault(question, text)
    sound = [fault is None or k < fault.line for k in range(1, len(lines) + 1)]
    asked = read_countdown(question)
    if asked is None:
        return sound
    left, target = list(asked[0]), asked[1]
    for k, line in enumerate(lines[:-1]):
        if not sound[k]:
            break
        a, sign, b = _operation(line)
        left.remove(a)
        left.remove(b)
        left.append(apply(a, sign, b))
        sound[k] = solve_countdown(tuple(left), target) is not None
    first = sound.index(False) if False in sound else len(sound)
    return [k < first for k in range(len(sound))]


def _operation(line: str) -> tuple[int, str, int]:
    expression = line.partition("=")[0]
    sign = next(character for character in expression if character in "+-*")
    a, _, b = expression.partition(sign)
    return int(a), sign, int(b)


def measure_steps(engine: Engine, drafts: Sequence[Draft]) -> Share:
    """Return the step AUC of the value head.

    How often a line up to which all is well gets a higher score than one from the first wrong on,
    within the drafts of one question.
    """
    sound: defaultdict[str, list[float]] = defaultdict(list)
    unsound: defaultdict[str, list[float]] = defaultdict(list)
    for draft in drafts:
        question = draft.problem.question
        lines = draft.text.splitlines()
        states = line_states(engine.model, question, lines)
        values = value_of(engine.model.value, states)
        for value, well in zip(values, are_sound(question, draft.text), strict=True):
            (sound if well else unsound)[question].append(float(value))
    return share([[auc(sound[q], unsound[q])] for q in sound if q in unsound])


@dataclass(frozen=True)
class EffortReport:
    """What an effort costs and brings.

    Args:
        accuracy: Share of right samples.
        tokens: Mean tokens of a sample.
    """

    accuracy: Share
    tokens: float


def measure_effort(
    engine: Engine, asked: Sequence[Problem], samples: int, effort: Effort, *, seed: int = 0
) -> EffortReport:
    """Measure one effort on problems of all families but countdown, which it does not change."""
    vocabulary, skill = engine.model.vocabulary, EFFORTS[effort]
    pending = [
        [
            engine.submit(Request(tuple(tokens), temperature=0.8, seed=(seed, i)))
            for i in range(samples)
        ]
        for tokens in (vocabulary.prompt(p.question, skill=skill) for p in asked)
    ]
    groups: list[list[float]] = []
    lengths: list[int] = []
    for problem, futures in zip(asked, pending, strict=True):
        texts = [vocabulary.decode(future.result().tokens) for future in futures]
        groups.append([float(problem.is_right(problem.answer_in(text))) for text in texts])
        lengths += map(len, texts)
    return EffortReport(share(groups), fmean(lengths))


@dataclass(frozen=True)
class SkillReport:
    """All figures of the skills on unseen questions."""

    check: CheckReport
    revise: ReviseReport
    efforts: dict[Effort, EffortReport]
    steps: Share | None

    def lines(self) -> list[str]:
        """Return the report, a figure a line."""
        return [
            f"check: within-question AUC     {self.check.auc}",
            f"check: wrong drafts passed     {self.check.false_pass}",
            f"check: right drafts refused    {self.check.false_alarm}",
            f"revise: mended, true feedback  {self.revise.mended}",
            f"revise: broken, false feedback {self.revise.broken}",
            *(
                f"{f'effort {name}: right':30} {report.accuracy}, {report.tokens:.1f} tokens"
                for name, report in self.efforts.items()
            ),
            *([] if self.steps is None else [f"value head: step AUC           {self.steps}"]),
        ]


def measure_skills(
    engine: Engine, questions: int = 400, samples: int = 8, *, seed: int = 0, split: Split = "test"
) -> SkillReport:
    """Measure all skills on drafts that the model writes for questions it has not seen.

    Args:
        engine: Its model has the skills.
        questions: Number of problems, all families in equal numbers.
        samples: Drafts of each.
        seed: Draws the problems and seeds the samples.
        split: Which problems.
    """
    asked = problems(questions, split=split, seed=seed, families=tuple(ALL_FAMILIES))
    drafts = [d for d in write_drafts(engine, asked, samples, seed=seed) if "\n" in d.text]
    sums = [p for p in asked if p.family != "countdown"]
    return SkillReport(
        measure_check(engine, drafts),
        measure_revise(engine, drafts, seed=seed),
        {e: measure_effort(engine, sums, max(1, samples // 2), e, seed=seed) for e in EFFORTS},
        measure_steps(engine, drafts) if engine.model.value else None,
    )
