"""Programs of a model, checked by running them: offline, with recorded answers.

    pip install 'thinktwice[code]' rich
    python examples/code_check.py

The answers are scripted, so that nothing is downloaded; put a model of yours in their place. The
sandbox is real: pydantic-monty or bubblewrap, whichever is here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from thinktwice import AtMost, BestOfN, Vote, solve
from thinktwice.behaviour import Behaviour
from thinktwice.strategies.codet import CodeT
from thinktwice.testing import ScriptedSampler
from thinktwice.verifiers import Code

if TYPE_CHECKING:
    from thinktwice.result import Result

TASK = "Write median(numbers): the middle of the sorted numbers; of two, their mean as a float."

NO_SORTING = """Here it is:
```python
def median(numbers):
    return numbers[len(numbers) // 2]
```"""
ODD_ONLY = """```python
def median(numbers):
    return sorted(numbers)[len(numbers) // 2]
```"""
RIGHT = """```python
def median(numbers):
    ordered, half = sorted(numbers), len(numbers) // 2
    if len(ordered) % 2:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2
```
For example:
```python
print(median([3, 1, 2]))
```"""
ALSO_RIGHT = """```python
def median(numbers):
    numbers = sorted(numbers)
    low, high = (len(numbers) - 1) // 2, len(numbers) // 2
    return numbers[low] if low == high else (numbers[low] + numbers[high]) / 2
```"""
RIGHT_AGAIN = """```python
def median(numbers):
    ordered = sorted(numbers)
    while len(ordered) > 2:
        ordered = ordered[1:-1]
    return ordered[0] if len(ordered) == 1 else sum(ordered) / 2
```"""
NO_PROGRAM = "You can use statistics.median."
ANSWERS = [NO_SORTING, ODD_ONLY, RIGHT, NO_PROGRAM, ALSO_RIGHT, NO_SORTING, RIGHT_AGAIN]
NAMES = {
    NO_SORTING: "forgets to sort",
    ODD_ONLY: "takes one of two",
    RIGHT: "right",
    ALSO_RIGHT: "right, in another way",
    RIGHT_AGAIN: "right, in a third way",
    NO_PROGRAM: "no program",
}

TESTS = """
assert median([5]) == 5
assert median([3, 1, 2]) == 2
assert median([4, 1, 3, 2]) == 2.5
assert median([2, 1]) == 1.5
assert median([9, 9, 1]) == 9
"""
WRITTEN_BY_A_MODEL = """
assert median([1, 2, 3]) == 2
assert median([3, 1, 2]) == 2
assert median([4, 1, 3, 2]) == 2.5
assert median([2, 1]) == 2
assert median([7, 5]) == 6.0
"""  # one of them is wrong
INPUTS = [([3, 1, 2],), ([4, 1, 3, 2],), ([2, 1],)]


async def verdicts() -> Table:
    """What the tests say of each answer."""
    strategy = BestOfN(len(NAMES), verifier=Code(TESTS), stop=AtMost(len(NAMES)))
    result = await solve(TASK, sampler=ScriptedSampler(list(NAMES)), strategy=strategy)
    table = Table("answer", "verdict", "score", "feedback, as a repair would read it")
    for sample, verdict in zip(result.samples, result.verdicts, strict=True):
        said = verdict.feedback or ", ".join(verdict.evidence)
        table.add_row(NAMES[sample.value or ""], verdict.outcome, f"{verdict.score:.2f}", said)
    return table


async def choices() -> Table:
    """What each way of choosing returns."""
    n = len(ANSWERS)
    ways = {
        "Vote, by text": Vote(n, key="text", stop=AtMost(n)),
        "Vote, by behaviour": Vote(n, key=Behaviour(INPUTS, entry_point="median"), stop=AtMost(n)),
        "CodeT, tests of a model": CodeT(
            n, generate=ScriptedSampler([WRITTEN_BY_A_MODEL]), writes=1, entry_point="median"
        ),
        "BestOfN, tests of yours": BestOfN(n, verifier=Code(TESTS), prefer="cost"),
    }
    table = Table("chosen by", "returns", "share", "samples", "other calls")
    for name, strategy in ways.items():
        result: Result[str] = await solve(TASK, sampler=ScriptedSampler(ANSWERS), strategy=strategy)
        table.add_row(
            name,
            NAMES[result.value or ""],
            f"{result.agreement or 0:.2f}",
            str(result.launched),
            str(result.ledger.total.calls - result.launched),
        )
    return table


async def main() -> None:
    """Show both."""
    console = Console(width=118)
    console.print(await verdicts())
    console.print(await choices())


if __name__ == "__main__":
    asyncio.run(main())
