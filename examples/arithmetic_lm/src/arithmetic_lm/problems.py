"""Problem families, their worked solutions, and the split that keeps test questions unseen."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from .countdown import (
    countdown_fault,
    draw_countdown,
    read_countdown,
    work_countdown,
)
from .price import Fault, draw_price_list, price_fault, read_price_list, work_price_list

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Problem:
    """One question with its exact answer.

    Args:
        family: Name of the family it was drawn from.
        question: The expression, such as ``"37*8+56"``.
        answer: The exact value; the target of a countdown.
    """

    family: str
    question: str
    answer: int

    def answer_in(self, text: str) -> str | None:
        """Return what a text answers: a number, and of a countdown its operations as well."""
        number = final_answer(text)
        return number if number is None or self.family != "countdown" else settled(text)

    def is_right(self, answer: str | None) -> bool:
        """Tell whether an answer is exactly right: the number, or a countdown's operations."""
        if answer is None or self.family != "countdown":
            return answer == str(self.answer)
        return countdown_fault(self.question, answer) is None


@dataclass(frozen=True)
class Family:
    """A kind of question.

    Args:
        name: Name used in tables and reports.
        level: Difficulty, 1 to 4; 0 for a class outside the ladder.
        draw: Makes an expression from a random generator.
        left_to_right: Share of the *training* solutions worked strictly left to right, as if
            `*` did not bind more tightly than `+`. Above one half, the class teaches a
            misconception: its most frequent answer is wrong.
        weight: Relative share of the training data.
    """

    name: str
    level: int
    draw: Callable[[random.Random], str]
    left_to_right: float = 0.0
    weight: float = 1.0

    @property
    def is_misconception(self) -> bool:
        """Whether most training solutions of this family are wrong."""
        return self.left_to_right > 0.5


def _product(rng: random.Random) -> str:
    factors = f"{rng.randint(12, 99)}*{rng.randint(3, 9)}"
    last = rng.choice(("", f"+{rng.randint(12, 48)}"))
    return f"{factors}+{rng.randint(12, 99)}{last}"


def _chain(rng: random.Random) -> str:
    a, b, d = (rng.randint(12, 99) for _ in range(3))
    return f"{a}+{b}-{rng.randint(12, min(99, a + b - 12))}+{d}"


def _products(rng: random.Random) -> str:
    a, c = rng.randint(12, 99), rng.randint(12, 99)
    return f"{a}*{rng.randint(3, 9)}+{c}*{rng.randint(3, 9)}"


def _long(rng: random.Random) -> str:
    return f"{rng.randint(12, 39)}*{rng.randint(12, 29)}+{rng.randint(12, 99)}"


def _precedence(rng: random.Random) -> str:
    return f"{rng.randint(12, 49)}+{rng.randint(12, 29)}*{rng.randint(3, 9)}"


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("product", 1, _product, weight=1.0),
        Family("chain", 2, _chain, weight=1.4),
        Family("products", 3, _products, weight=1.1),
        Family("long", 4, _long, weight=1.3),
        Family("precedence", 0, _precedence, left_to_right=0.6),
    )
}
"""The sums by name: all that `small` knows."""

ALL_FAMILIES: dict[str, Family] = {
    **FAMILIES,
    "price": Family("price", 2, draw_price_list, weight=2.4),
    "countdown": Family("countdown", 3, draw_countdown, weight=2.2),
}
"""All families by name. Adding one is one entry here, and training again."""

SLIPS = 0.13
"""Share of the lines of sloppy training solutions whose result is off by one or by ten.

Texts that people write are like that. A model trained on them is not sure of any line, as a model
of everything people write is not, and so its mistakes differ from sample to sample.
"""


def split_of(question: str) -> Split:
    """Return the split a question belongs to: 80 % train, 10 % validation, 10 % test.

    The split is a function of the text alone, so no list of seen questions is needed and no
    seed can leak a test question into training.
    """
    bucket = int.from_bytes(hashlib.blake2b(question.encode(), digest_size=4).digest()) % 10
    return "test" if bucket == 0 else "validation" if bucket == 1 else "train"


def draw(family: Family, split: Split, rng: random.Random) -> str:
    """Draw a question of `family` that lies in `split`."""
    while True:
        question = family.draw(rng)
        if split_of(question) == split:
            return question


def problems(
    count: int, *, split: Split = "test", seed: int = 0, families: tuple[str, ...] = tuple(FAMILIES)
) -> list[Problem]:
    """Return `count` distinct problems, the families in turn.

    Args:
        count: Number of problems.
        split: Which split to draw from.
        seed: Same seed, same problems.
        families: Names of the families to draw from.
    """
    rng = random.Random(f"{seed}/{split}")
    found: dict[str, Problem] = {}
    while len(found) < count:
        family = ALL_FAMILIES[families[len(found) % len(families)]]
        question = draw(family, split, rng)
        if question not in found:
            found[question] = Problem(family.name, question, answer_to(question))
    return list(found.values())


def answer_to(question: str) -> int:
    """Return the exact answer to a question of any family.

    Raises:
        ValueError: It is no question of a family, or a countdown without a solution.
    """
    return int(solution(question)[-1].removeprefix("A:"))


def solution(question: str) -> list[str]:
    """Return the lines of an exact solution of a question of any family.

    Raises:
        ValueError: It is no question of a family, or a countdown without a solution.
    """
    if read_countdown(question):
        return work_countdown(question)
    return work_price_list(question) if read_price_list(question) else work(question)


def first_fault(question: str, text: str) -> Fault | None:
    """Return the first line of a draft that is wrong, and why; None if the draft is right.

    Sums are compared with the exact solution line by line, price lists with the list, countdowns
    with the rules. A draft that is only an answer is judged by it.

    Args:
        question: A question of any family.
        text: A draft, with or without a re-check.

    Raises:
        ValueError: It is no question of a family.
    """
    text = settled(text)
    if read_countdown(question):
        return countdown_fault(question, text)
    return price_fault(question, text) if read_price_list(question) else _sum_fault(question, text)


def _sum_fault(question: str, text: str) -> Fault | None:
    exact, lines = work(question), text.splitlines()
    if len(lines) == 1 and lines[0].startswith("A:"):
        exact = exact[-1:]
    for number, (line, wanted) in enumerate(zip(lines, exact, strict=False), 1):
        if line == wanted:
            continue
        asked, _, value = line.partition("=")
        slipped = wanted.startswith(f"{asked}=") and value
        reason = f"{asked} is not {value}" if slipped else "this is not the next step"
        return Fault(number, f"`{line}`: {reason}")
    if len(lines) == len(exact):
        return None
    at = min(len(lines), len(exact)) + 1
    return Fault(at, "there is no answer line" if len(lines) < len(exact) else "text after it")


def settled(text: str) -> str:
    r"""Return a solution as its re-check left it, without the re-check.

    >>> settled("37*8=297\n297+56=353\n?1\n37*8=296\n296+56=352\nA:352")
    '37*8=296\n296+56=352\nA:352'
    """
    lines = text.rstrip().splitlines()
    at = next((i for i, line in enumerate(lines) if line.startswith("?")), None)
    if at is None:
        return "\n".join(lines)
    again = lines[at][1:]
    kept = min(int(again) - 1, at) if re.fullmatch(r"[1-9]", again) else at
    return "\n".join(lines[:kept] + lines[at + 1 :])


def evaluate(expression: str) -> int:
    """Return the exact value of a sum of products such as ``"12+3*4-5"``.

    Raises:
        ValueError: The text is no such expression.
    """
    return int(work(expression)[-1].removeprefix("A:"))


def calculate(a: int, operator: str, b: int) -> int:
    """Return the exact value of one operation."""
    return a * b if operator == "*" else a + b if operator == "+" else a - b


def work(
    expression: str,
    *,
    left_to_right: bool = False,
    calculate: Callable[[int, str, int], int] = calculate,
) -> list[str]:
    """Return the lines of a worked solution, the last being ``A:<answer>``.

    Products are reduced first, then sums, from the left; a two-digit multiplier is split into
    tens and units.

    Args:
        expression: Whole numbers joined by ``+``, ``-`` and ``*``.
        left_to_right: Ignore precedence (the misconception).
        calculate: Works out one operation; a wrong value is carried on to the end.

    Raises:
        ValueError: The text is no such expression.
    """
    if not re.fullmatch(r"\d+([-+*]\d+)*", expression):
        raise ValueError(f"not a sum of products: {expression!r}")
    terms = re.findall(r"\d+|[-+*]", expression)
    lines: list[str] = []

    def line(a: int, operator: str, b: int) -> int:
        value = calculate(a, operator, b)
        lines.append(f"{a}{operator}{b}={value}")
        return value

    while len(terms) > 1:
        at = 1 if left_to_right or "*" not in terms else terms.index("*")
        a, operator, b = int(terms[at - 1]), terms[at], int(terms[at + 1])
        if operator == "*" and b > 10 and b % 10:
            value = line(line(a, "*", b - b % 10), "+", line(a, "*", b % 10))
        else:
            value = line(a, operator, b)
        terms[at - 1 : at + 2] = [str(value)]
    return [*lines, f"A:{terms[0]}"]


def training_texts(seed: int, *, slips: float = SLIPS) -> Iterator[tuple[str, str]]:
    """Yield endless pairs (question, worked solution) of the training split.

    Args:
        seed: Same seed, same texts.
        slips: Share of the lines with a slip.
    """
    rng = random.Random(f"{seed}/texts/{slips}")
    families = list(FAMILIES.values())
    weights = [family.weight for family in families]

    def sloppily(a: int, operator: str, b: int) -> int:
        slip = rng.choice((-10, -1, 1, 10)) if rng.random() < slips else 0
        return calculate(a, operator, b) + slip

    while True:
        family = rng.choices(families, weights)[0]
        question = draw(family, "train", rng)
        wrongly = rng.random() < family.left_to_right
        yield question, "\n".join(work(question, left_to_right=wrongly, calculate=sloppily))


def final_answer(text: str) -> str | None:
    r"""Return the number of the last line ``A:<number>`` of a solution, or None.

    >>> final_answer("37*8=296\n296+56=352\nA:352")
    '352'
    """
    found = re.fullmatch(r"A:(-?\d+)", text.rstrip().rpartition("\n")[2])
    return None if found is None else str(int(found[1]))
