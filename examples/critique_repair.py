"""A draft, what a check says of it, and the revision: with a calculator, and on the model's word.

Shows some repairs step by step, then what each way is worth on many questions, and how often it
makes a right draft wrong. The model is small and embedded; no key and no network are needed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest

import argparse
import asyncio
import textwrap
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arithmetic_lm import ArithmeticSampler, Problem, final_answer, problems
from arithmetic_lm.critic import ArithmeticCritic

from thinktwice import CritiqueRepair, Result, solve
from thinktwice.verifiers import Calculator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FAMILIES = ("product", "chain", "products", "long")
AT_ONCE = 16  # questions


@dataclass(frozen=True)
class Solved:
    """One question: the draft, and what was returned."""

    problem: Problem
    result: Result[str]

    @property
    def before(self) -> bool:
        """The draft was right."""
        return self.problem.is_right(final_answer(self.result.samples[0].value or ""))

    @property
    def after(self) -> bool:
        """The answer is."""
        return self.problem.is_right(final_answer(self.result.value or ""))

    def show(self) -> None:
        """Print the history."""
        print(f"{self.problem.question} = {self.problem.answer}")
        for sample, verdict in zip(self.result.samples, self.result.verdicts, strict=False):
            print(textwrap.indent(sample.value or "", "    "))
            print(f"  {verdict.verifier}: {verdict.outcome}. {verdict.feedback or ''}")
        said = f", a {'right' if self.after else 'wrong'} answer"
        print(f"  returned: {final_answer(self.result.value or '')}{said}")
        for warning in self.result.warnings:
            print(f"  warning: {warning}")
        print()


def mended_and_not(done: Sequence[Solved], count: int) -> list[Solved]:
    """The first repairs after which the answer is right, and the first after which it is not."""
    repaired = [each for each in done if len(each.result.samples) > 1]
    mended = [each for each in repaired if each.after and not each.before]
    failed = [each for each in repaired if not each.after]
    few = min(len(failed), count // 2)
    return mended[: count - few] + failed[:few]


def seeded(index: int) -> dict[str, object]:
    """So that both ways begin with the same drafts."""
    return {"seed": index}


async def solved(strategy: CritiqueRepair, asked: Sequence[Problem]) -> list[Solved]:
    """All questions, several at once."""
    sampler, at_once = ArithmeticSampler(model="skilled"), asyncio.Semaphore(AT_ONCE)

    async def one(problem: Problem) -> Solved:
        async with at_once:
            result = await solve(
                problem.question, sampler=sampler, strategy=strategy, options=seeded
            )
        return Solved(problem, result)

    return await asyncio.gather(*map(one, asked))


def row(name: str, done: Sequence[Solved]) -> str:
    """What a way is worth."""
    before, after = sum(each.before for each in done), sum(each.after for each in done)
    broken = sum(each.before and not each.after for each in done)
    calls = sum(each.result.ledger.total.calls for each in done) / len(done)
    shares = f"{before / len(done):8.0%} {after / len(done):8.0%} {broken / len(done):8.1%}"
    return f"{name:22} {shares} {calls:8.2f}"


async def main(count: int, shown: int) -> None:
    """Some repairs, then the table."""
    warnings.simplefilter("ignore")  # repairs on the model's own word warn: that is the point here
    critic = ArithmeticCritic(ArithmeticSampler(model="skilled"))
    ways: Mapping[str, CritiqueRepair] = {
        "a calculator": CritiqueRepair(Calculator(), key=final_answer),
        "its own critique": CritiqueRepair(critic, key=final_answer),
    }
    asked = problems(count, families=FAMILIES)
    done = {name: await solved(way, asked) for name, way in ways.items()}
    for each in mended_and_not(done["a calculator"], shown):
        each.show()
    print(f"{'repaired on':22} {'drafts':>8} {'answers':>8} {'harmed':>8} {'calls':>8}")
    for name, some in done.items():
        print(row(name, some))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=100, help="for the table (100)")
    parser.add_argument("--show", type=int, default=3, help="repairs to show: mended, then not (3)")
    given = parser.parse_args()
    asyncio.run(main(given.questions, given.show))
