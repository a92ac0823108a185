"""Recorded programs in our sandbox: does it agree with the record, and what chooses best?

    python tests/bench/programs.py [--sample 500] [--problems 164] [--orders 40]

The programs are 100 of CodeGen-16B for each problem of HumanEval, with whether they passed the
hidden tests, and the asserts that the same model wrote. First: a seeded sample is judged by `Code`
with the hidden tests, and compared with the record. Second: every program is run on the calls that
the asserts make. From what the calls give, groups of programs are formed on inputs alone; the
asserts are compared outside. The recordings are looked for in `THINKTWICE_DATA`, else beside the
checkout. About 15 minutes on two free cores.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import statistics
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from thinktwice.answers.programs import program_in
from thinktwice.sample import Sample
from thinktwice.sandbox.auto import auto
from thinktwice.sandbox.protocol import Limits
from thinktwice.sandbox.values import decode
from thinktwice.verifiers.code import Code, Comparison, consensus_sets, written_tests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from thinktwice.sample import Verdict
    from thinktwice.sandbox.protocol import Execution
    from thinktwice.verifiers.code.case import CodeTest

POOL = "codet_codegen16b_humaneval_k100"
TESTS = "codet_codegen16b_humaneval_generated_tests"
SIZES = (5, 20, 100)
AT_ONCE = 4
LIMITS = Limits(seconds=2)
RESAMPLES = 2000


def folder() -> Path:
    """Where the recordings are."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("THINKTWICE_DATA", beside))


def rows(name: str) -> list[dict[str, object]]:
    """The lines of a recording."""
    with gzip.open(folder() / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@dataclass
class Program:
    """A recorded program.

    Attributes:
        text: What the model wrote behind the signature.
        right: It passed the hidden tests.
        gave: Canonical text of what each call gave; None where it gave nothing.
        passed: Numbers of the asserts that hold.
        sandbox: Who ran it, or why nobody did; empty if there is nothing to run.
    """

    text: str
    right: bool
    gave: tuple[str | None, ...] = ()
    passed: tuple[int, ...] = ()
    sandbox: str = ""

    @property
    def usable(self) -> bool:
        """It gave a value on an input, and so does not abstain."""
        return any(each is not None for each in self.gave)


@dataclass
class Problem:
    """A problem with its programs."""

    name: str
    header: str
    entry_point: str
    hidden: str
    programs: list[Program]
    tests: list[CodeTest] = field(default_factory=list)


def problems() -> list[Problem]:
    """All recorded problems, with the asserts that the model wrote."""
    written = {row["id"]: row["generated_tests"] for row in rows(TESTS)}
    found = []
    for row in rows(POOL):
        programs = [Program(each["text"], bool(each["passed"])) for each in row["samples"]]
        problem = Problem(row["id"], row["prompt"], row["entry_point"], row["test"], programs)
        text = "\n".join(test for test, _ in written.get(row["id"], []))
        problem.tests = written_tests(text, entry_point=problem.entry_point)
        found.append(problem)
    return found


async def limited(works: Iterable[Callable[[], object]]) -> list[object]:
    """Await works, a few at a time."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(work: Callable[[], object]) -> object:
        async with free:
            return await work()

    return await asyncio.gather(*map(one, works))


# ---- does the sandbox agree with the record? -----------------------------------------------------


async def agreement(found: Sequence[Problem], size: int, seed: int = 0) -> None:
    """Judge a sample by the hidden tests, and print what differs."""
    everything = [(problem, i) for problem in found for i in range(len(problem.programs))]
    picked = random.Random(seed).sample(everything, min(size, len(everything)))

    def judging(problem: Problem, i: int) -> Callable[[], object]:
        code = Code(
            problem.hidden,
            entry_point=problem.entry_point,
            header=problem.header,
            strict=False,  # the hidden tests compare by ==
            hold_back=0,
        )
        sample = Sample(index=i, value=problem.programs[i].text)
        return lambda: code(sample, prompt=problem.header)

    verdicts: list[Verdict] = await limited([judging(*each) for each in picked])
    report(picked, verdicts)


def report(picked: Sequence[tuple[Problem, int]], verdicts: Sequence[Verdict]) -> None:
    """Print how many verdicts are as recorded, and those that are not."""
    pairs = list(zip(picked, verdicts, strict=True))
    agree = sum((v.outcome == "pass") == p.programs[i].right for (p, i), v in pairs)
    outcomes = Counter(verdict.outcome for verdict in verdicts)
    print(f"as recorded: {agree} of {len(pairs)} ({100 * agree / len(pairs):.1f} %); {outcomes}")
    for (problem, i), verdict in pairs:
        differs = (verdict.outcome == "pass") != problem.programs[i].right
        if differs or verdict.outcome == "error":
            recorded = "passed" if problem.programs[i].right else "failed"
            print(
                f"- {problem.name} no. {i}: {recorded}, here {verdict.outcome}: "
                f"{' '.join(verdict.evidence)[:200]}"
            )


# ---- what chooses best? --------------------------------------------------------------------------


async def run_all(found: Sequence[Problem]) -> None:
    """Run each program on the calls of the asserts; equal texts once."""
    sandbox = auto()
    works = []
    for problem in found:
        alike = defaultdict(list)
        for program in problem.programs:
            alike[program.text].append(program)
        if problem.tests:
            works += [running(sandbox, problem, each) for each in alike.values()]
    await limited(works)


def running(sandbox: object, problem: Problem, alike: list[Program]) -> Callable[[], object]:
    """The run of one text."""
    calls = list(dict.fromkeys(test.case for test in problem.tests))

    async def run() -> None:
        program = program_in(alike[0].text, entry_point=problem.entry_point, header=problem.header)
        if program is None:
            return
        execution: Execution = await sandbox.execute(program, calls, limits=LIMITS)
        if execution.status != "ok":
            for each in alike:
                each.sandbox = f"nobody: {execution.status}"
            return
        gave = {call: each.value for call, each in zip(calls, execution.cases, strict=True)}
        passed = [i for i, test in enumerate(problem.tests) if holds(test, gave[test.case])]
        for each in alike:
            each.gave, each.passed = tuple(gave.values()), tuple(passed)
            each.sandbox = execution.sandbox

    return run


def holds(test: CodeTest, gave: str | None) -> bool:
    """Compared outside of the sandbox, as `==` does."""
    return gave is not None and test.expected.holds(decode(gave), Comparison(strict=False))


def grouped(programs: Sequence[Program]) -> list[list[Program]]:
    """By what they give on the inputs; what gives nothing abstains."""
    groups = defaultdict(list)
    for program in programs:
        if program.usable:
            groups[program.gave].append(program)
    return list(groups.values())


def heaviest(programs: Sequence[Program], weight: Callable[[list[Program]], float]) -> Program:
    """The first program of the heaviest group, the earlier one at a tie; the first without any."""
    return max(grouped(programs), key=weight, default=programs)[0]


def codet(programs: Sequence[Program], power: float) -> Program:
    """The first program of the best consensus set; a vote where no assert holds for any."""
    usable = {i: each.passed for i, each in enumerate(programs) if each.usable}
    best = next(iter(consensus_sets(usable, power=power)), None)
    return programs[best.programs[0]] if best and best.score else heaviest(programs, len)


WAYS: dict[str, Callable[[Sequence[Program]], Program | None]] = {
    "one sample": lambda programs: programs[0],
    "vote on behaviour": lambda programs: heaviest(programs, len),
    "argmax on own asserts": lambda programs: heaviest(programs, lambda g: len(g[0].passed)),
    "weighted groups": lambda programs: heaviest(programs, lambda g: len(g) * len(g[0].passed)),
    "CodeT, root": lambda programs: codet(programs, 0.5),
    "CodeT, product": lambda programs: codet(programs, 1.0),
    "oracle": lambda programs: next((each for each in programs if each.right), None),
}


def shares(
    found: Sequence[Problem],
    way: Callable[[Sequence[Program]], Program | None],
    n: int,
    orders: int,
) -> list[float]:
    """For each problem, how often the way chooses a right program from n of it."""
    result = []
    for problem in found:
        order = random.Random(f"{problem.name} {n}")
        chosen = [way(order.sample(problem.programs, n)) for _ in range(orders)]
        result.append(statistics.fmean(each is not None and each.right for each in chosen))
    return result


def interval(values: Sequence[float]) -> str:
    """The mean in percent, with a 95 % interval by bootstrap over problems."""
    draw = random.Random(0)
    means = sorted(statistics.fmean(draw.choices(values, k=len(values))) for _ in range(RESAMPLES))
    low, high = means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]
    return f"{100 * statistics.fmean(values):.1f} ({100 * low:.0f}-{100 * high:.0f})"


def selection(found: Sequence[Problem], orders: int) -> None:
    """Print the table, and the differences that matter, problem by problem."""
    kept = {(way, n): shares(found, WAYS[way], n, orders) for way in WAYS for n in SIZES}
    print(f"| chosen by | {' | '.join(f'N = {n}' for n in SIZES)} |\n|---{'|---' * len(SIZES)}|")
    for way in WAYS:
        print(f"| {way} | {' | '.join(interval(kept[way, n]) for n in SIZES)} |")
    print("\ndifferences in points, paired by problem:")
    for first, second in (
        ("weighted groups", "argmax on own asserts"),
        ("CodeT, root", "argmax on own asserts"),
        ("weighted groups", "vote on behaviour"),
        ("CodeT, root", "vote on behaviour"),
    ):
        told = [
            interval([a - b for a, b in zip(kept[first, n], kept[second, n], strict=True)])
            for n in SIZES
        ]
        print(f"| {first} - {second} | {' | '.join(told)} |")


def coverage(found: Sequence[Problem]) -> None:
    """Print who ran the programs, and how groups and record go together."""
    tested = [problem for problem in found if problem.tests]
    programs = [each for problem in tested for each in problem.programs]
    ran = Counter(each.sandbox or "nobody: no program" for each in programs)
    told = [f"{by} {100 * count / len(programs):.1f} %" for by, count in ran.most_common()]
    print(f"{len(programs)} programs of {len(tested)} problems with asserts that call them, run by")
    print(", ".join(told))
    groups = [group for problem in tested for group in grouped(problem.programs)]
    mixed = sum(len({each.right for each in group}) > 1 for group in groups)
    abstain = sum(not each.usable for each in programs)
    tests = statistics.median(len(problem.tests) for problem in tested)
    print(
        f"{len(groups)} groups, {mixed} of right and wrong programs alike; {abstain} programs "
        f"abstain; {tests} asserts a problem (median)"
    )


def main() -> int:
    """Print both parts; without recordings, say so."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=500, help="programs judged by hidden tests")
    parser.add_argument("--problems", type=int, default=164, help="problems in the second part")
    parser.add_argument("--orders", type=int, default=40, help="draws of N programs of a problem")
    chosen = parser.parse_args()
    if not folder().is_dir():
        print(f"skipped: no recordings in {folder()}; set THINKTWICE_DATA to their folder")
        return 0
    found = problems()
    asyncio.run(agreement(found, chosen.sample))
    some = found[: chosen.problems]
    asyncio.run(run_all(some))
    coverage(some)
    selection(some, chosen.orders)
    return 0


if __name__ == "__main__":
    sys.exit(main())
