"""The family of price lists: a question whose facts stand in the list that comes with it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

NAMES = ("fig", "pear", "plum", "lime", "kiwi", "nut", "bean", "corn", "egg", "ham", "oat", "tea")
"""What a list can hold."""

_QUESTION = re.compile(r"[a-z]+ \d+(?: [a-z]+ \d+)*:\d+ [a-z]+(?:\+\d+ [a-z]+)*")
_ITEM_LINE = re.compile(r"([a-z]+) (\d+)\*(\d+)=(\d+)")
_SUM_LINE = re.compile(r"(\d+)\+(\d+)=(\d+)")


@dataclass(frozen=True)
class PriceList:
    """A question such as ``"fig 12 pear 34 plum 56:3 pear+2 plum"``.

    Args:
        prices: Price of one piece by name.
        bought: What is bought: pairs of name and number, in order.
    """

    prices: dict[str, int]
    bought: tuple[tuple[str, int], ...]

    @property
    def answer(self) -> int:
        """What it costs."""
        return sum(self.prices[name] * count for name, count in self.bought)


def read_price_list(question: str) -> PriceList | None:
    """Return what a question of this family asks, or None if it is none or names what it lacks."""
    if not _QUESTION.fullmatch(question):
        return None
    rows, _, items = question.partition(":")
    words = rows.split()
    prices = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    bought = tuple((item.split()[1], int(item.split()[0])) for item in items.split("+"))
    known = all(name in prices for name, _ in bought)
    return PriceList(prices, bought) if known and len(prices) == len(words) // 2 else None


def draw_price_list(rng: random.Random) -> str:
    """Draw a question: three or four rows, of which two or three are bought."""
    names = rng.sample(NAMES, rng.choice((3, 3, 4)))
    prices = rng.sample(range(11, 100), len(names))
    rows = " ".join(f"{name} {price}" for name, price in zip(names, prices, strict=True))
    bought = rng.sample(names, 2 if rng.random() < 0.65 else 3)
    return f"{rows}:" + "+".join(f"{rng.randint(2, 9)} {name}" for name in bought)


def work_price_list(
    question: str,
    *,
    look: Callable[[PriceList, str], int] = lambda asked, name: asked.prices[name],
    skipped: int | None = None,
    calculate: Callable[[int, str, int], int] | None = None,
) -> list[str]:
    """Return the lines of a worked solution; each product names the row that it reads.

    Args:
        question: A question of this family.
        look: Finds the price of an item.
        skipped: Position of an item that is left out.
        calculate: Works out one operation; None is exact.

    Raises:
        ValueError: The text is no such question.
    """
    asked = read_price_list(question)
    if asked is None:
        raise ValueError(f"not a price list: {question!r}")
    lines: list[str] = []
    parts: list[int] = []
    for at, (name, count) in enumerate(asked.bought):
        if at == skipped:
            continue
        price = look(asked, name)
        parts.append(calculate(price, "*", count) if calculate else price * count)
        lines.append(f"{name} {price}*{count}={parts[-1]}")
    total = parts[0]
    for part in parts[1:]:
        value = calculate(total, "+", part) if calculate else total + part
        lines.append(f"{total}+{part}={value}")
        total = value
    return [*lines, f"A:{total}"]


@dataclass(frozen=True)
class Fault:
    """What is wrong with a draft.

    Args:
        line: Number of the first line that shows it, from 1.
        reason: What is wrong, in a sentence that quotes the evidence.
    """

    line: int
    reason: str


def price_fault(question: str, text: str) -> Fault | None:
    """Compare a draft with the list: the rows that it reads, the items, the sums, the answer.

    Items may come in any order. A draft that is only an answer is judged by it.

    Args:
        question: A question of this family.
        text: A draft, without marks of a re-check.

    Returns:
        The first fault; None if there is none.

    Raises:
        ValueError: The text is no such question.
    """
    asked = read_price_list(question)
    if asked is None:
        raise ValueError(f"not a price list: {question!r}")
    lines = text.splitlines()
    left, parts = dict(asked.bought), list[int]()
    for number, line in enumerate(lines, 1):
        if item := _ITEM_LINE.fullmatch(line):
            fault = _item_fault(asked, left, line, item)
            parts.append(int(item[4]))
        elif left and len(lines) > 1:
            fault = f"{' and '.join(left)} should come before `{line}`: it is left out"
        elif total := _SUM_LINE.fullmatch(line):
            fault = _sum_fault(parts, line, *map(int, total.groups()))
        else:
            fault = None if line == f"A:{asked.answer}" else f"`{line}` is not the sum"
        if fault is not None:
            return Fault(number, fault)
        if line.startswith("A:"):
            return None if number == len(lines) else Fault(number + 1, "there is text after it")
    return Fault(len(lines) + 1, "there is no answer line")


def _item_fault(
    asked: PriceList, left: dict[str, int], line: str, item: re.Match[str]
) -> str | None:
    name, price, count, value = item[1], int(item[2]), int(item[3]), int(item[4])
    if name not in left:
        return f"`{line}`: {name} is not asked for here"
    if price != asked.prices[name]:
        return f"`{line}`: the list says {name} {asked.prices[name]}, not {price}"
    if count != left.pop(name):
        return f"`{line}`: {count} is not how many {name} are bought"
    return None if value == price * count else f"`{line}`: {price}*{count} is not {value}"


def _sum_fault(parts: list[int], line: str, a: int, b: int, value: int) -> str | None:
    for part in (a, b):
        if part not in parts:
            return f"`{line}`: there is no {part} to add"
        parts.remove(part)
    parts.append(value)
    return None if a + b == value else f"`{line}`: {a}+{b} is not {value}"
