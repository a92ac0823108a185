"""The family of countdown: reach a target from a few numbers, one operation a line."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterator

from .price import Fault

_QUESTION = re.compile(r"\d+(?: \d+){1,4}->\d+")
_LINE = re.compile(r"(\d+)([-+*])(\d+)=(\d+)")

_SMALL = tuple(range(2, 13))
_LARGE = (15, 20, 25, 30, 40, 50, 75, 100)
_HIGHEST = 999
_TARGETS = (10, 300)

Operation = tuple[int, str, int]


def read_countdown(question: str) -> tuple[tuple[int, ...], int] | None:
    """Return the numbers and the target of a question such as ``"6 25 3 100->175"``, or None."""
    if not _QUESTION.fullmatch(question):
        return None
    numbers, _, target = question.partition("->")
    return tuple(map(int, numbers.split())), int(target)


def draw_countdown(rng: random.Random) -> str:
    """Draw a question that has a solution: three numbers, or four."""
    while True:
        count = 3 if rng.random() < 0.6 else 4
        numbers = [rng.choice(_LARGE if rng.random() < 0.3 else _SMALL) for _ in range(count)]
        *_, (a, sign, b) = random_operations(numbers, rng)
        target = apply(a, sign, b)
        if _TARGETS[0] <= target <= _TARGETS[1] and target not in numbers:
            return f"{' '.join(map(str, numbers))}->{target}"


def apply(a: int, sign: str, b: int) -> int:
    """Return the exact value of one operation."""
    return a * b if sign == "*" else a + b if sign == "+" else a - b


def _operations(a: int, b: int) -> Iterator[Operation]:
    """Yield what can be done with two numbers: no value below 1, no factor 1, nothing huge."""
    high, low = max(a, b), min(a, b)
    yield high, "+", low
    if high > low:
        yield high, "-", low
    if low > 1 and high * low <= _HIGHEST:
        yield high, "*", low


def random_operations(numbers: list[int], rng: random.Random) -> list[Operation]:
    """Return operations at random that use every number once."""
    left: list[int] = list(numbers)
    done: list[Operation] = []
    while len(left) > 1:
        i, j = rng.sample(range(len(left)), 2)
        done.append(rng.choice(list(_operations(left[i], left[j]))))
        left = [n for k, n in enumerate(left) if k not in (i, j)]
        left.append(apply(*done[-1]))
    return done


@functools.lru_cache(4096)
def solve_countdown(numbers: tuple[int, ...], target: int) -> tuple[Operation, ...] | None:
    """Return operations that use every number once and end at the target, or None.

    All ways are tried in a fixed order: up to a few thousand for four numbers.
    """
    if len(numbers) == 1:
        return () if numbers[0] == target else None
    for i in range(len(numbers)):
        for j in range(i + 1, len(numbers)):
            rest = tuple(n for k, n in enumerate(numbers) if k not in (i, j))
            for operation in _operations(numbers[i], numbers[j]):
                found = solve_countdown((*rest, apply(*operation)), target)
                if found is not None:
                    return (operation, *found)
    return None


def lines_of(operations: tuple[Operation, ...] | list[Operation]) -> list[str]:
    """Return operations as lines of a solution, the last being ``A:<value>``."""
    lines = [f"{a}{sign}{b}={apply(a, sign, b)}" for a, sign, b in operations]
    return [*lines, f"A:{apply(*operations[-1])}"]


def work_countdown(question: str) -> list[str]:
    """Return the lines of a solution.

    Raises:
        ValueError: The text is no such question, or it has no solution.
    """
    asked = read_countdown(question)
    operations = None if asked is None else solve_countdown(*asked)
    if not operations:
        raise ValueError(f"not a countdown with a solution: {question!r}")
    return lines_of(operations)


def countdown_fault(question: str, text: str) -> Fault | None:
    """Check a solution exactly: lines true, every number used once, target reached.

    Args:
        question: A question of this family.
        text: A draft, without marks of a re-check.

    Returns:
        The first fault; None if the solution is right.

    Raises:
        ValueError: The text is no such question.
    """
    asked = read_countdown(question)
    if asked is None:
        raise ValueError(f"not a countdown: {question!r}")
    numbers, target = asked
    left, lines = list(numbers), text.splitlines()
    for number, line in enumerate(lines, 1):
        reason = _fault(line, left, target)
        if reason is not None:
            return Fault(number, reason)
        if line.startswith("A:"):
            return None if number == len(lines) else Fault(number + 1, "there is text after it")
    return Fault(len(lines) + 1, "there is no answer line")


def _fault(line: str, left: list[int], target: int) -> str | None:
    """Take the numbers of a line out of those left and put its value in; say what is wrong."""
    if line.startswith("A:"):
        if left != [target]:
            return f"`{line}`: left are {', '.join(map(str, left))}, wanted is {target} alone"
        return None if line == f"A:{target}" else f"`{line}` is not the target {target}"
    found = _LINE.fullmatch(line)
    if found is None:
        return f"`{line}` is not one operation with its value"
    a, sign, b, value = int(found[1]), found[2], int(found[3]), int(found[4])
    for number in (a, b):
        if number not in left:
            return f"`{line}`: there is no {number} left"
        left.remove(number)
    left.append(apply(a, sign, b))
    return None if left[-1] == value else f"`{line}`: {a}{sign}{b} is not {value}"
