"""The best of several runs of a whole LangGraph graph, chosen by a check of its final state.

The graph works out what an order comes to, line by line, checks the lines against the price list,
and revises them once. Around it, `best_of_n` runs it up to four times and returns the first final
state that the check passes. The graph has a checkpointer: each sample runs on a copy of the
customer's thread, and the chosen state is written to that thread in the end. Run it with
`python examples/langchain/graph.py`. The model is embedded and errs on its own; no key and no
network are needed. The orders are from a split that its training did not see.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest

import argparse
import asyncio
import operator
import warnings
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from arithmetic_lm import final_answer, first_fault, problems
from arithmetic_lm.langchain import ArithmeticChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_thinktwice import best_of_n
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from thinktwice import Verdict
from thinktwice.errors import ThinktwiceWarning

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph

N = 4
AT_ONCE = 20  # orders
CUSTOMER: RunnableConfig = {"configurable": {"thread_id": "customer-1"}}
MODEL = ArithmeticChatModel(model="skilled") | StrOutputParser()


class Quote(TypedDict):
    """What the graph knows."""

    order: str
    draft: str
    fault: str | None
    revised: bool
    sums: Annotated[list[str], operator.add]  # quoted in a thread so far


async def write(quote: Quote) -> dict[str, Any]:
    """A first draft."""
    return {"draft": await MODEL.ainvoke(quote["order"]), "revised": False}


def check(quote: Quote) -> dict[str, Any]:
    """Against the list: each row, the sum, and the answer."""
    fault = first_fault(quote["order"], quote["draft"])
    if fault is not None:
        return {"fault": f"Line {fault.line}: {fault.reason}."}
    return {"fault": None, "sums": [final_answer(quote["draft"])]}


async def revise(quote: Quote) -> dict[str, Any]:
    """Another draft, with what was wrong with the first."""
    turns = [
        HumanMessage(quote["order"]),
        AIMessage(quote["draft"]),
        HumanMessage(quote["fault"] or ""),
    ]
    return {"draft": await MODEL.ainvoke(turns), "revised": True}


def after_check(quote: Quote) -> str:
    """Revise once."""
    return END if quote["fault"] is None or quote["revised"] else "revise"


def compiled(saver: InMemorySaver | None = None) -> CompiledStateGraph[Quote, None, Quote, Quote]:
    """The graph."""
    builder = StateGraph(Quote)
    for node in (write, check, revise):
        builder.add_node(node.__name__, node)
    builder.add_edge(START, "write")
    builder.add_edge("write", "check")
    builder.add_conditional_edges("check", after_check, ["revise", END])
    builder.add_edge("revise", "check")
    return builder.compile(checkpointer=saver)


def holds(quote: Quote) -> Verdict:
    """Whether a final state holds, and if not why."""
    return Verdict(outcome="pass" if quote["fault"] is None else "fail", feedback=quote["fault"])


holds.exact = True  # a pass is proof: the first ends the search


async def serve(orders: Sequence[str]) -> InMemorySaver:
    """A customer's orders, one after the other in one thread; what the checkpointer then has."""
    saver = InMemorySaver()
    graph = compiled(saver)
    best = best_of_n(graph, n=N, verifier=holds, repeatable=True, prefer="cost")
    for order in orders:
        chosen = await best.ainvoke({"order": order}, CUSTOMER)
        # The samples ran on copies of the thread. `sums` adds up: it gets what is new alone.
        known = (await graph.aget_state(CUSTOMER)).values.get("sums", [])
        state = {**chosen, "sums": chosen["sums"][len(known) :]}
        await graph.aupdate_state(CUSTOMER, state, as_node="check")  # which is the last of a run
    return saver


async def share(
    way: Callable[[str], Awaitable[tuple[bool, int]]], orders: Sequence[str]
) -> tuple[float, float]:
    """Of the orders that come out right, and model calls for each."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(order: str) -> tuple[bool, int]:
        async with slots:
            return await way(order)

    right, calls = zip(*await asyncio.gather(*map(one, orders)), strict=True)
    return sum(right) / len(orders), sum(calls) / len(orders)


async def compared(orders: Sequence[str]) -> Table:
    """A model call, a run of the graph, and the best of up to four runs."""
    graph = compiled()
    best = best_of_n(
        graph, n=N, verifier=holds, repeatable=True, prefer="cost", include_result=True
    )

    async def call(order: str) -> tuple[bool, int]:
        return first_fault(order, await MODEL.ainvoke(order)) is None, 1

    async def run(order: str) -> tuple[bool, int]:
        quote = await graph.ainvoke({"order": order})
        return quote["fault"] is None, 1 + quote["revised"]

    async def runs(order: str) -> tuple[bool, int]:
        out = await best.ainvoke({"order": order})
        return out["value"]["fault"] is None, out["result"].ledger.total.calls

    table = Table("", "right", "model calls", box=SIMPLE)
    for name, way in {"model": call, "graph": run, f"best of {N} graphs": runs}.items():
        right, calls = await share(way, orders)
        table.add_row(name, f"{right:.1%}", f"{calls:.2f}")
    return table


async def main(count: int) -> None:
    """Compare, and serve a customer."""
    warnings.simplefilter("ignore", ThinktwiceWarning)  # of orders on which all drafts are alike
    orders = [each.question for each in problems(count, families=("price",))]
    console = Console(highlight=False)
    console.print(f"{count} orders", await compared(orders))
    saver = await serve(orders[:3])
    threads = {each.config["configurable"]["thread_id"] for each in saver.list(None)}
    state = await compiled(saver).aget_state(CUSTOMER)
    console.print(f"threads in the checkpointer: {', '.join(threads)}")
    console.print(f"quoted in it: {', '.join(state.values['sums'])}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--orders", type=int, default=200)
    asyncio.run(main(parser.parse_args().orders))
