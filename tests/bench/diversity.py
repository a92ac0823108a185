"""What different prompts and models bring to a vote, at equal numbers of calls.

    python tests/bench/diversity.py [--parts recorded embedded] [--questions 200]

"recorded": greedy answers of six models, each asked in several ways. The recordings are looked for
in `THINKTWICE_DATA`, else beside the checkout. "embedded": the model of the examples, asked live on
the class of problems that it misunderstands, and on one that it does not. About 5 minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import itertools
import json
import math
import os
import re
import sys
import warnings
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from arithmetic_lm import ArithmeticSampler, final_answer
from arithmetic_lm.problems import problems

from thinktwice import AtMost, Vote, solve
from thinktwice.diversity import diversity
from thinktwice.vary import Vary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from arithmetic_lm.problems import Problem
    from numpy.typing import NDArray

    from thinktwice.diversity import Diversity
    from thinktwice.result import Result

    Floats = NDArray[np.float64]
    Setting = tuple[str, str]
    """Model and prompt."""

TASKS = {"GSM8K": "multimodel_fcot_gsm8k_greedy", "Date": "multimodel_fcot_date_greedy"}
PROMPTS = ("COT", "LtM", "NL+SL", "noNL")
"""Those that each model was asked with, but for "standard", without a worked example."""
WEAK = ("standard", "nosolver")
CALLS = 4


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """As Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(values: Floats, *, sign: bool = False) -> str:
    """The mean over questions with its 95 % interval, in percent or in points."""
    half = 196 * values.std(ddof=1) / math.sqrt(len(values))
    return f"{100 * values.mean():{'+' if sign else ''}.1f} ± {half:.1f}"


@dataclass(frozen=True)
class Recorded:
    """The greedy answers to the questions of one task.

    Attributes:
        settings: Of the columns.
        answers: Number of the answer, by question and setting; -1 abstains.
        right: Whether it is right.
    """

    settings: tuple[Setting, ...]
    answers: NDArray[np.int64]
    right: Floats

    def votes(self, ensemble: Sequence[Setting]) -> Floats:
        """Chance that a vote is right, by question; answers with equally many votes share it."""
        columns = [self.settings.index(each) for each in ensemble]
        answers, right = self.answers[:, columns], self.right[:, columns]
        same = (answers[:, :, None] == answers[:, None, :]) & (answers[:, :, None] >= 0)
        counts = same.sum(2)
        winning = (counts == counts.max(1, keepdims=True)) & (counts > 0)
        share = winning / np.maximum(counts, 1)  # each of the winning answers weighs one
        return (share * right).sum(1) / np.maximum(share.sum(1), 1)

    def members(self, ensemble: Sequence[Setting]) -> Floats:
        """Share of right answers, by question."""
        return self.right[:, [self.settings.index(each) for each in ensemble]].mean(1)

    def agreement(self) -> Floats:
        """Share of the questions to which two settings give the same answer, by pair."""
        a = self.answers
        usable = (a[:, :, None] >= 0) & (a[:, None, :] >= 0)
        return ((a[:, :, None] == a[:, None, :]) & usable).sum(0) / usable.sum(0)

    def diversity(self, settings: Sequence[Setting], by: int) -> Diversity:
        """With the models (0) or the prompts (1) as variants."""
        questions = []
        for answers in self.answers:
            drawn: defaultdict[str, list[int | None]] = defaultdict(list)
            for each in settings:
                answer = int(answers[self.settings.index(each)])
                drawn[each[by]].append(None if answer < 0 else answer)
            questions.append(drawn)
        return diversity(questions)


def folder() -> Path:
    """Where the recordings are."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("THINKTWICE_DATA", beside))


@cache
def load(task: str) -> Recorded:
    """The recordings of a task."""
    with gzip.open(folder() / f"{TASKS[task]}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    settings = tuple((each["model"], each["prompt"]) for each in rows[0]["samples"])
    answers, right = [], []
    for row in rows:
        by_setting = {(each["model"], each["prompt"]): each for each in row["samples"]}
        drawn = [by_setting[setting] for setting in settings]
        ordinals: dict[str, int] = {}
        answers.append(
            [
                -1 if each["answer"] is None else ordinals.setdefault(each["answer"], len(ordinals))
                for each in drawn
            ]
        )
        right.append([each.get("correct", each["answer"] == row["gold"]) for each in drawn])
    return Recorded(settings, np.array(answers), np.array(right, dtype=float))


def ensembles(models: Sequence[str]) -> dict[str, list[list[Setting]]]:
    """All that there are of each kind; their members are equally good on average."""
    fours = list(itertools.combinations(models, CALLS))
    return {
        "4 prompts of one model": [[(model, prompt) for prompt in PROMPTS] for model in models],
        "one prompt of 4 models": [
            [(model, prompt) for model in four] for prompt in PROMPTS for four in fours
        ],
        "4 models, each with its own prompt": [
            list(zip(four, prompts, strict=True))
            for four in fours
            for prompts in itertools.permutations(PROMPTS)
        ],
    }


def kinds(task: str) -> str:
    """Votes of four calls: what differs between them."""
    recorded = load(task)
    models = sorted({model for model, _ in recorded.settings})
    grid = list(itertools.product(models, PROMPTS))
    single = recorded.members(grid)
    by_model, by_prompt = (recorded.diversity(grid, by) for by in (0, 1))
    worth = [
        by_model.n_eff_of(CALLS, variants=1),
        by_prompt.n_eff_of(CALLS, variants=1),
        by_model.n_eff_of(CALLS, variants=CALLS),
    ]
    rows = [("one call", "1", percent(single), "", "1")]
    first = None
    for (kind, members), effective in zip(ensembles(models).items(), worth, strict=True):
        right = np.mean([recorded.votes(each) for each in members], axis=0)
        first = right if first is None else first
        versus = "" if first is right else percent(right - first, sign=True)
        rows.append((kind, str(CALLS), percent(right), versus, f"{effective:.1f}"))
    head = (f"{task}: a vote over", "calls", "right, %", "vs one model", "effective samples")
    rho = f"rho by model {by_model.rho}, by prompt {by_prompt.rho}"
    return f"{table(head, rows)}\n\n{rho}"


def agreeing(task: str, count: int = 2000) -> str:
    """Votes of any four settings: the less they agree, the better the vote."""
    recorded = load(task)
    usable = [each for each in recorded.settings if each[1] not in WEAK]
    rng = np.random.default_rng(0)
    drawn = [
        [usable[i] for i in rng.choice(len(usable), CALLS, replace=False)] for _ in range(count)
    ]
    members = np.array([recorded.members(each).mean() for each in drawn])
    pairs = recorded.agreement()
    agreement = np.array(
        [
            np.mean([pairs[i, j] for i, j in itertools.combinations(columns, 2)])
            for columns in ([recorded.settings.index(s) for s in each] for each in drawn)
        ]
    )
    low, high = np.quantile(members, [0.4, 0.6])
    alike = np.flatnonzero((members >= low) & (members <= high))
    quarters = np.array_split(alike[np.argsort(agreement[alike])], 4)
    votes = [np.mean([recorded.votes(drawn[i]) for i in quarter], axis=0) for quarter in quarters]
    rows = [
        (
            f"{agreement[quarter].min():.2f} to {agreement[quarter].max():.2f}",
            f"{100 * members[quarter].mean():.1f}",
            percent(right),
            "" if right is votes[-1] else percent(right - votes[-1], sign=True),
        )
        for quarter, right in zip(quarters, votes, strict=True)
    ]
    head = (f"{task}: agreement of two members", "one member, %", "vote of 4, %", "vs the last row")
    return table(head, rows)


def wordings(task: str, model: str = "code002") -> str:
    """Votes over more and more prompts of one model."""
    recorded = load(task)
    own = [each for each in recorded.settings if each[0] == model and each[1] not in {*WEAK, "LtM"}]
    rng = np.random.default_rng(0)
    rows = []
    for n in (1, 2, 4, 8, len(own)):
        drawn = [[own[i] for i in rng.permutation(len(own))[:n]] for _ in range(100)]
        drawn = [[each] for each in own] if n == 1 else drawn
        rows.append((str(n), percent(np.mean([recorded.votes(each) for each in drawn], axis=0))))
    return table((f"{task}: prompts of {model}", "right, %"), rows)


N = 16
"""Calls of a vote of the embedded model."""


def writings(**forms: str) -> Vary:
    """Prompts that write the sum of a question in other ways; {0} is its first number."""

    def writing(form: str) -> Callable[[str], str]:
        return lambda question: form.format(*re.findall(r"\d+", question))

    return Vary(prompts={name.replace("_", " "): writing(form) for name, form in forms.items()})


HEATS = Vary(temperatures=[0.5, 0.8, 1.1])
ARMS: dict[str, dict[str, Vary | None]] = {
    "precedence": {
        "as it is": None,
        "the product first": writings(product_first="{1}*{2}+{0}"),
        "both": writings(as_it_is="{0}+{1}*{2}", product_first="{1}*{2}+{0}"),
        "both, and two that it cannot read": writings(
            as_it_is="{0}+{1}*{2}",
            product_first="{1}*{2}+{0}",
            factors_swapped="{0}+{2}*{1}",
            turned_round="{2}*{1}+{0}",
        ),
        "as it is, at temperatures .5, .8, 1.1": HEATS,
    },
    "products": {
        "as it is": None,
        "the other product first": writings(other_first="{2}*{3}+{0}*{1}"),
        "both": writings(as_it_is="{0}*{1}+{2}*{3}", other_first="{2}*{3}+{0}*{1}"),
        "as it is, at temperatures .5, .8, 1.1": HEATS,
    },
}
"""Ways to ask; all writings of a question have the same value."""


async def full_vote(problem: Problem, number: int, vary: Vary | None) -> Result[str]:
    """All N draws on one problem; the number seeds them."""
    return await solve(
        problem.question,
        sampler=ArithmeticSampler(temperature=0.8),
        strategy=Vote(
            N,
            key=final_answer,
            stop=AtMost(N),
            prefer="latency",
            vary=vary and replace(vary, seed=number),
        ),
        options=lambda index: {"seed": number * N + index},
        max_concurrency=N,
    )


async def answered(family: str, vary: Vary | None, count: int) -> tuple[Floats, Floats, Diversity]:
    """Whether votes and samples are right, by question, and how far samples agree."""
    asked = problems(count, families=(family,))
    results = []
    for start in range(0, count, 8):
        chunk = asked[start : start + 8]
        results += await asyncio.gather(
            *(full_vote(each, start + i, vary) for i, each in enumerate(chunk))
        )
    votes = [each.is_right(got.answer) for each, got in zip(asked, results, strict=True)]
    samples = [
        np.mean([each.is_right(sample.answer) for sample in got.samples])
        for each, got in zip(asked, results, strict=True)
    ]
    return np.array(votes, dtype=float), np.array(samples), diversity(results)


def embedded(family: str, count: int) -> str:
    """Votes of the embedded model on a class of problems."""
    rows, first = [], None
    for arm, vary in ARMS[family].items():
        votes, samples, told = asyncio.run(answered(family, vary, count))
        first = votes if first is None else first
        versus = "" if first is votes else percent(votes - first, sign=True)
        within, between = (
            "" if f is None else f"{f.value:.2f}" for f in (told.within, told.between)
        )
        rho = "" if told.rho is None else str(told.rho)
        worth = "" if told.n_eff is None else f"{told.n_eff.value:.1f}"
        alone = "" if told.rho is None else f"{told.n_eff_of(N, variants=1):.1f}"
        rows.append(
            (arm, percent(samples), percent(votes), versus, within, between, rho, alone, worth)
        )
    head = (f"{family}: asked", "one sample, %", f"vote of {N}, %", "vs as it is")
    agreement = ("agree within", "between", "rho", f"{N} of one are worth", "these are worth")
    return table((*head, *agreement), rows)


def main() -> int:
    """Print the tables; without recordings, say so."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ["recorded", "embedded"]
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--questions", type=int, default=200, help="of the embedded model")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    if "recorded" in chosen.parts and not folder().is_dir():
        print(f"skipped: no recordings in {folder()}; set THINKTWICE_DATA to their folder\n")
    elif "recorded" in chosen.parts:
        for part, task in itertools.product((kinds, agreeing, wordings), TASKS):
            print(part(task), end="\n\n", flush=True)
    if "embedded" in chosen.parts:
        for family in ARMS:
            print(embedded(family, chosen.questions), end="\n\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
