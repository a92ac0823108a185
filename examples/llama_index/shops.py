"""Part of the other examples here: price lists of shops, orders, an engine over them."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from arithmetic_lm import problems
from arithmetic_lm.llama_index import ArithmeticLLM
from arithmetic_lm.price import PriceList, read_price_list
from llama_index.core import PromptTemplate, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.schema import TextNode

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from llama_index.core.base.base_query_engine import BaseQueryEngine

# What the lists call places and shops, and what some customers call them.
PLACES = {
    "harbour": "docks",
    "station": "railway",
    "church": "chapel",
    "mill": "windmill",
    "bridge": "crossing",
    "castle": "fort",
    "school": "academy",
    "park": "gardens",
    "square": "plaza",
    "hospital": "clinic",
    "theatre": "playhouse",
    "forest": "woods",
    "river": "stream",
    "hill": "mound",
    "beach": "shore",
    "tower": "spire",
    "museum": "gallery",
    "stadium": "arena",
    "library": "bookroom",
    "airport": "airfield",
    "farm": "ranch",
    "well": "spring",
    "gate": "portal",
    "quarry": "pit",
    "lake": "pond",
}
KINDS = {"grocer": "greengrocer", "market": "bazaar", "kiosk": "stand", "deli": "delicatessen"}
SHOPS = [f"{place} {kind}" for kind, place in product(KINDS, PLACES)]


@dataclass(frozen=True)
class Order:
    """What is bought where, and what is right."""

    question: str
    items: frozenset[str]
    answer: str


class Words(BaseEmbedding):
    """Embeds a text by the words in it, without a model: texts that share words are near.

    Plurals are the same word, and numbers are none.
    """

    def _get_text_embedding(self, text: str) -> list[float]:
        words = Counter(word.removesuffix("s") for word in re.findall(r"[a-z]+", text.lower()))
        vector = [0.0] * 4096
        for word, count in words.items():
            vector[zlib.crc32(word.encode()) % len(vector)] += count
        return vector

    _get_query_embedding = _get_text_embedding

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def lists(count: int) -> dict[str, PriceList]:
    """The lists of the shops, each with something to buy; from a split that training never saw."""
    found = map(read_price_list, (each.question for each in problems(count, families=("price",))))
    return dict(zip(SHOPS, filter(None, found), strict=False))


def order(shop: str, listed: PriceList, *, renamed: bool = False) -> Order:
    """Ask what something costs at a shop, which may be called by another name than its list's."""
    place, kind = shop.split()
    called = f"{PLACES[place]} {KINDS[kind]}" if renamed else shop
    items = " and ".join(f"{count} {name}" for name, count in listed.bought)
    question = f"What do {items} cost at the {called}?"
    return Order(question, frozenset(name for name, _ in listed.bought), str(listed.answer))


def node(shop: str, listed: PriceList) -> TextNode:
    """The list of a shop as a text, a row for each price.

    Its id is no random one: among lists that are equally near, it decides which is found.
    """
    rows = "\n".join(f"{name} {price}" for name, price in listed.prices.items())
    return TextNode(text=f"Prices at the {shop}:\n{rows}", id_=shop)


def index_of(found: dict[str, PriceList]) -> VectorStoreIndex:
    """A vector index over the lists."""
    nodes = [node(shop, listed) for shop, listed in found.items()]
    return VectorStoreIndex(nodes, embed_model=Words())


def engine_over(index: VectorStoreIndex) -> BaseQueryEngine:
    """An engine that finds one list and has the embedded model work the order out."""
    return index.as_query_engine(
        llm=ArithmeticLLM(model="skilled", temperature=0.8),
        similarity_top_k=1,
        text_qa_template=PromptTemplate("{context_str}\n{query_str}"),
    )


def asked_for(parser: ArgumentParser, name: str, default: int, *, least: int, most: int) -> int:
    """The number that the command line gives; others than these end the program with an error."""
    parser.add_argument(f"--{name}", type=int, default=default, help=f"{name} ({default})")
    count: int = getattr(parser.parse_args(), name)
    if not least <= count <= most:
        parser.error(f"--{name}={count}: give {least} to {most}")
    return count
