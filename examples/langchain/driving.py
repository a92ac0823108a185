"""Part of `service.py --demo`: sends requests of all tenants, and tells what became of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from arithmetic_lm import Problem, final_answer, problems
from rich.box import SIMPLE
from rich.table import Table
from tenants import TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from tenants import Tenant

AT_ONCE = 8  # requests of each tenant


@dataclass
class Tally:
    """What became of the requests of a tenant."""

    statuses: Counter[int] = field(default_factory=Counter[int])
    right: int = 0
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0

    def add(self, status: int, body: Mapping[str, Any], problem: Problem) -> None:
        """Count one."""
        bill = body["bill"]
        self.statuses[status] += 1
        self.right += final_answer(body.get("answer", "")) == str(problem.answer)
        self.calls += bill["calls"]
        self.tokens += bill["tokens"] or 0
        self.cost += bill["cost"] or 0.0


async def drive(url: str, keys: Sequence[str], requests: int) -> dict[str, Tally]:
    """Send the same questions for each API key, all at once."""
    tallies = {key: Tally() for key in keys}

    async def send(key: str, problem: Problem) -> None:
        async with slots[key]:
            headers, body = {"X-API-Key": key}, {"question": problem.question}
            reply = await client.post("/ask", json=body, headers=headers)
            tallies[key].add(reply.status_code, reply.json(), problem)

    slots = {key: asyncio.Semaphore(AT_ONCE) for key in keys}
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        asked = problems(requests, split="test")
        await asyncio.gather(*(send(key, problem) for problem in asked for key in keys))
    return tallies


def table_of(
    tenants: Mapping[str, Tenant], tallies: Mapping[str, Tally], spans: Sequence[ReadableSpan]
) -> Table:
    """One row for each tenant; the last column is of what was exported."""
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    headings = ("answered", "right", "402", "429", "504", "calls", "tokens", "cost", "LLM spans")
    table.add_column("tenant")
    for heading in headings:
        table.add_column(heading, justify="right")
    traced = Counter(_tenant(span) for span in spans if span.name.startswith("chat "))
    for key, tally in tallies.items():
        name = tenants[key].name
        counts = [str(tally.statuses[status]) for status in (402, 429, 504)]
        spent = (str(tally.calls), f"{tally.tokens:,}", f"${tally.cost:.6f}", str(traced[name]))
        table.add_row(name, str(tally.statuses[200]), str(tally.right), *counts, *spent)
    return table


def _tenant(span: ReadableSpan) -> object:
    return (span.attributes or {}).get(TENANT)
