"""Part of `agent.py`: the tools of an order desk, the rules of the house, and customers' tasks."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from langchain_core.tools import BaseTool, tool

from thinktwice import Verdict

if TYPE_CHECKING:
    from thinktwice.before import Action


class Article(NamedTuple):
    """What we sell: its number, price in cents, and how many there are."""

    number: str
    cents: int
    stock: int


ARTICLES = {
    "desk lamp": Article("L-10", 4900, 12),
    "floor lamp": Article("L-20", 8900, 4),
    "office chair": Article("C-10", 15900, 6),
    "folding chair": Article("C-20", 3500, 40),
    "oak table": Article("T-10", 42000, 2),
    "side table": Article("T-20", 9900, 9),
}
NUMBERS = {article.number: article for article in ARTICLES.values()}
DISCOUNTS = {"Ada": 10, "Bo": 0, "Cleo": 25, "Dan": 5}


@dataclass
class Desk:
    """Takes the orders of one customer."""

    orders: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])

    @property
    def tools(self) -> list[BaseTool]:
        """What an agent at the desk can do."""

        @tool
        def find_article(name: str) -> str:
            """Find the number of an article."""
            found = ARTICLES.get(name)
            return json.dumps({"number": found.number} if found else {"error": "no such article"})

        @tool
        def get_price(number: str) -> str:
            """Look up the price of one piece, in cents."""
            return json.dumps({"number": number, "cents": NUMBERS[number].cents})

        @tool
        def check_stock(number: str) -> str:
            """Count how many pieces there are."""
            return json.dumps({"number": number, "count": NUMBERS[number].stock})

        @tool
        def get_discount(customer: str) -> str:
            """Look up a customer's discount, in percent."""
            return json.dumps({"percent": DISCOUNTS[customer]})

        @tool
        def place_order(number: str, count: int, cents: int) -> str:
            """Place an order; cents is what the customer pays in all."""
            self.orders.append((number, count, cents))
            return json.dumps({"order": len(self.orders)})

        return [find_article, get_price, check_stock, get_discount, place_order]


def within_rules(action: Action) -> bool | Verdict:
    """What the house allows: no more than there is, and no more than 30 % off."""
    if action.name != "place_order":
        return True
    number, count, cents = (action.args[name] for name in ("number", "count", "cents"))
    article = NUMBERS.get(str(number))
    if article is None or not isinstance(count, int) or not isinstance(cents, int):
        return Verdict(outcome="fail", feedback=f"There is no article {number}.")
    full = article.cents * count
    if count <= article.stock and full * 7 // 10 <= cents <= full:
        return True
    return Verdict(outcome="fail", feedback=f"The house does not sell {count} x {number} for that.")


class Task(NamedTuple):
    """What a customer wants."""

    customer: str
    name: str
    wanted: int

    @classmethod
    def drawn(cls, seed: int) -> Task:
        """The task of a seed."""
        rng = random.Random(f"task {seed}")
        return cls(rng.choice(list(DISCOUNTS)), rng.choice(list(ARTICLES)), rng.randint(1, 8))

    @property
    def text(self) -> str:
        """As it is put to the agent."""
        return f"{self.customer} wants {self.wanted} x {self.name}, or as many as there are."

    @property
    def order(self) -> tuple[str, int, int]:
        """The only right one."""
        article = ARTICLES[self.name]
        count = min(self.wanted, article.stock)
        return article.number, count, charge(article.cents, count, DISCOUNTS[self.customer])


def charge(cents: int, count: int, percent: int) -> int:
    """What is paid for some pieces."""
    return cents * count * (100 - percent) // 100
