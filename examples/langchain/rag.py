"""Answers from retrieved documents, checked against these documents.

A chain finds the price list of a shop and works out what an order costs there. It sometimes reads
the wrong row, which no calculator sees: every line holds as arithmetic. `Grounding` sees it, since
the price then does not stand beside that name in the document. The model is embedded and errs on
its own; no key and no network are needed. The orders are from a split that its training did not
see.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest

import argparse
import asyncio
import re
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from arithmetic_lm import final_answer, problems
from arithmetic_lm.langchain import ArithmeticChatModel
from arithmetic_lm.price import read_price_list
from comparing import CONSOLE, PRICES, Outcome, Run, ask_all, table_of
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnablePassthrough
from langchain_thinktwice import best_of_n, tool_check, vote

from thinktwice import AtMost
from thinktwice.verifiers import AllOf, Calculator, Grounding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.runnables import Runnable


@dataclass(frozen=True)
class Order:
    """A question about a shop, and what is right."""

    question: str
    answer: str


class ByWords(BaseRetriever):
    """Finds the document that shares most words with a question; a vector store stands here."""

    documents: list[Document]

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        del run_manager
        asked = set(re.findall(r"\w+", query))
        shared = [len(asked.intersection(d.metadata["words"])) for d in self.documents]
        return [self.documents[shared.index(max(shared))]]


def shops(count: int) -> tuple[list[Order], list[Document]]:
    """Orders, and the price lists of the shops that they are about."""
    orders: list[Order] = []
    documents: list[Document] = []
    for number, problem in enumerate(problems(count, families=("price",))):
        listed = read_price_list(problem.question)
        if listed is None:
            continue
        shop = f"Shop{number}"
        items = " and ".join(f"{amount} {name}" for name, amount in listed.bought)
        orders.append(Order(f"What do {items} cost at {shop}?", str(problem.answer)))
        rows = "\n".join(f"{name} {price}" for name, price in listed.prices.items())
        documents.append(Document(rows, metadata={"shop": shop, "words": [shop, *listed.prices]}))
    return orders, documents


def make_chain(documents: Sequence[Document]) -> tuple[Any, Runnable[dict[str, Any], str]]:
    """What finds the documents, and what answers from them.

    Two parts, so that documents are found once a question, and the answer is what is sampled.
    """
    found = itemgetter("question") | ByWords(documents=list(documents))
    retrieve = RunnablePassthrough.assign(documents=found).assign(
        prices=lambda given: given["documents"][0].page_content.replace("\n", ", ")
    )
    prompt = ChatPromptTemplate.from_messages(
        [
            ("user", "Prices: {prices}. {question}"),
            MessagesPlaceholder("feedback", optional=True),  # where a repair says what was wrong
        ]
    )
    model = ArithmeticChatModel(model="skilled", temperature=0.8)
    return retrieve, prompt | model | StrOutputParser()


def quoted(text: str) -> str:
    """The prices that an answer read: `pear 34` of the line `pear 34*3=102`."""
    return "\n".join(re.findall(r"^[a-z]+ \d+(?=\*)", text, re.MULTILINE))


def documents_of(given: Mapping[str, Any], value: object) -> list[Document]:
    """What the answer has to keep to."""
    del value
    return given["documents"]


GROUNDED = Grounding(documents_of, answer=quoted)


def ways(
    retrieve: Runnable[Any, Any], answer: Runnable[Any, str]
) -> dict[str, Runnable[dict[str, str], Any]]:
    """The ways of asking that are compared, all over the same documents."""
    common = {
        "key": final_answer,
        "prices": PRICES,
        "options": lambda index: {"seed": index},  # two runs of this script draw the same
        "include_result": True,
    }
    both = AllOf(GROUNDED, Calculator())
    return {
        "one sample": retrieve | vote(answer, n=1, stop=AtMost(1), **common),
        "vote(n=8)": retrieve | vote(answer, n=8, **common),
        "best_of_n(n=8), grounded": retrieve | best_of_n(answer, n=8, verifier=GROUNDED, **common),
        "best_of_n(n=8), and calculated": retrieve
        | best_of_n(answer, n=8, verifier=both, **common),
        "tool_check(grounded, calculated)": retrieve
        | tool_check(answer, GROUNDED, Calculator(), **common),
    }


async def main(count: int) -> None:
    """Compare the ways of asking, then show what was found wrong with one answer."""
    orders, documents = shops(count)
    objections: list[str] = []

    def score(at: int, value: str | None) -> float:
        return float(value is not None and final_answer(value) == orders[at].answer)

    runs: list[Run] = []
    for name, way in ways(*make_chain(documents)).items():

        async def ask(order: Order, way: Runnable[dict[str, str], Any] = way) -> Outcome:
            result = (await way.ainvoke({"question": order.question}))["result"]
            objections.extend(each for verdict in result.verdicts for each in verdict.evidence)
            return Outcome.of(result)

        runs.append(await ask_all(name, ask, orders, score, at_once=16))
    CONSOLE.print(table_of(f"{count} orders in {count} shops", runs, {}))
    CONSOLE.print(f"One of {len(objections)} objections:\n{objections[0]}\n")
    CONSOLE.print("Prices are made up: $0.10 and $0.40 per million input and output tokens.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=100, help="orders (100)")
    asyncio.run(main(parser.parse_args().orders))
