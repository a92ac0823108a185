"""The transformer in NumPy: weights, a plain full forward pass, and a step with a KV cache."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .vocabulary import Vocabulary

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

VALUE = tuple(f"value.{k}" for k in range(6))
"""Names of the value head's arrays in a weights file: matrix and bias of each of three layers."""

WEIGHTS = Path(__file__).parent / "weights"
_EPSILON = np.float32(1e-5)
_MASKED = np.float32(-1e9)


@dataclass(frozen=True)
class Shape:
    """The size of a transformer.

    Args:
        width: Width of the residual stream.
        layers: Number of blocks.
        heads: Attention heads per block; divides `width`.
        context: Most tokens a sequence may have, prompt included.
        rotary: Whether positions turn queries and keys (Su et al. 2021, "RoFormer") instead of
            being learned and added: what stands a few characters back is then found sooner.
    """

    width: int = 96
    layers: int = 4
    heads: int = 4
    context: int = 72
    rotary: bool = False


def turns(shape: Shape) -> tuple[Floats, Floats]:
    """Return cosines and sines of the rotary angles, each (context, half of a head's width)."""
    half = shape.width // shape.heads // 2
    angles = np.arange(shape.context)[:, None] * 10_000.0 ** (-np.arange(half) / half)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


@dataclass(frozen=True)
class Block:
    """Matrices of one block, each stored as (inputs, outputs), norm gains folded in."""

    qkv: Floats
    proj: Floats
    up: Floats
    down: Floats


@dataclass(frozen=True)
class Cache:
    """Keys and values of several sequences.

    Args:
        keys: Shape (layers, slots, heads, head width, context): a column per position, so that
            the scores of a step are one matrix product.
        values: Shape (layers, slots, heads, context, head width).
    """

    keys: Floats
    values: Floats

    def move(self, source: int, target: int) -> None:
        """Copy one slot over another."""
        self.keys[:, target] = self.keys[:, source]
        self.values[:, target] = self.values[:, source]


@dataclass(frozen=True, eq=False)
class Model:
    """A decoder-only, pre-norm transformer with learned or rotary positions.

    Args:
        name: Name of the weights.
        shape: Sizes.
        vocabulary: Token table the weights were trained with.
        token: Token embeddings, (tokens, width).
        position: Position embeddings, (context, width); zeros if they are rotary.
        head: Output matrix, (width, tokens).
        blocks: One per layer.
        value: Arrays of the value head; empty for models without.
    """

    name: str
    shape: Shape
    vocabulary: Vocabulary
    token: Floats
    position: Floats
    head: Floats
    blocks: tuple[Block, ...]
    value: tuple[Floats, ...] = ()

    def cache(self, slots: int) -> Cache:
        """Return an empty cache for `slots` sequences."""
        s = self.shape
        head_width = s.width // s.heads
        return Cache(
            np.zeros((s.layers, slots, s.heads, head_width, s.context), np.float32),
            np.zeros((s.layers, slots, s.heads, s.context, head_width), np.float32),
        )

    def forward(self, tokens: Integers) -> tuple[Floats, Floats, Floats]:
        """Run whole sequences of equal length at once.

        Args:
            tokens: Shape (batch, length).

        Returns:
            Logits (batch, length, tokens), and what a `Cache` holds of these positions: keys
            (layers, batch, heads, head width, length), values (layers, batch, heads, length,
            head width).
        """
        layers, keys, values = self._layers(tokens)
        return self._logits(layers[-1]), keys, values

    def states(self, tokens: Integers) -> Floats:
        """Return normed hidden states of whole sequences: the last two layers', side by side.

        Args:
            tokens: Shape (batch, length).

        Returns:
            Shape (batch, length, 2 * width).
        """
        layers, _, _ = self._layers(tokens)
        return np.concatenate([_norm(x) for x in layers[-2:]], -1)

    def _layers(self, tokens: Integers) -> tuple[list[Floats], Floats, Floats]:
        """Return the residual stream after each layer, and keys and values."""
        batch, length = tokens.shape
        x = self.token[tokens] + self.position[:length]
        places = np.arange(length, dtype=np.int64)
        future = np.triu(np.full((length, length), _MASKED), 1)
        keys: list[Floats] = []
        values: list[Floats] = []
        layers: list[Floats] = []
        for block in self.blocks:
            qkv = (_norm(x) @ block.qkv).reshape(batch, length, 3, self.shape.heads, -1)
            q, k, v = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
            q, k = self._turned(q, places), self._turned(k, places)
            keys.append(k.transpose(0, 2, 3, 1))
            values.append(v.transpose(0, 2, 1, 3))
            weights = _softmax(self._scale(q.transpose(0, 2, 1, 3)) @ keys[-1] + future)
            mixed = (weights @ values[-1]).transpose(0, 2, 1, 3).reshape(batch, length, -1)
            x = _after_attention(x, mixed, block)
            layers.append(x)
        return layers, np.stack(keys), np.stack(values)

    def step(self, cache: Cache, tokens: Integers, positions: Integers) -> Floats:
        """Append one token to each of the first ``len(tokens)`` sequences of `cache`.

        Args:
            cache: Holds the earlier positions; the new ones are written into it.
            tokens: The new tokens, shape (batch,).
            positions: Where each goes, shape (batch,).

        Returns:
            Logits for the token after, shape (batch, tokens).
        """
        batch, rows = len(tokens), np.arange(len(tokens))
        span = int(positions.max()) + 1
        x = self.token[tokens] + self.position[positions]
        past_end = np.where(np.arange(span) > positions[:, None], _MASKED, np.float32(0))
        past_end = past_end[:, None, None, :]
        for layer, block in enumerate(self.blocks):
            keys, values = cache.keys[layer, :batch], cache.values[layer, :batch]
            qkv = (_norm(x) @ block.qkv).reshape(batch, 3, self.shape.heads, -1)
            qkv[:, :2] = self._turned(qkv[:, :2], positions[:, None])
            keys[rows, :, :, positions] = qkv[:, 1]
            values[rows, :, positions] = qkv[:, 2]
            scores = self._scale(qkv[:, 0, :, None]) @ keys[..., :span]
            scores += past_end
            mixed = _softmax(scores) @ values[:, :, :span]
            x = _after_attention(x, mixed.reshape(batch, -1), block)
        return self._logits(x)

    @functools.cached_property
    def _turns(self) -> tuple[Floats, Floats]:
        return turns(self.shape)

    def _turned(self, x: Floats, positions: Integers) -> Floats:
        """Turn queries or keys (..., heads, head width) by their positions (...)."""
        if not self.shape.rotary:
            return x
        cos, sin = (table[positions][..., None, :] for table in self._turns)
        half = x.shape[-1] // 2
        a, b = x[..., :half], x[..., half:]
        out = np.empty_like(x)
        out[..., :half] = a * cos - b * sin
        out[..., half:] = a * sin + b * cos
        return out

    def _scale(self, queries: Floats) -> Floats:
        return queries * np.float32((self.shape.width // self.shape.heads) ** -0.5)

    def _logits(self, x: Floats) -> Floats:
        logits = _norm(x) @ self.head
        logits[..., self.vocabulary.silent] = _MASKED
        return logits


def _norm(x: Floats) -> Floats:
    """Scale vectors to unit mean square (RMSNorm without gains)."""
    square: Floats = np.einsum("...i,...i->...", x, x) / np.float32(x.shape[-1])
    scale: Floats = np.sqrt(square + _EPSILON)
    return x / scale[..., None]


def _softmax(scores: Floats) -> Floats:
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    total: Floats = scores.sum(-1, keepdims=True)
    scores /= total
    return scores


def _after_attention(x: Floats, mixed: Floats, block: Block) -> Floats:
    attended: Floats = mixed @ block.proj
    attended += x
    out: Floats = _gelu(_norm(attended) @ block.up) @ block.down
    out += attended
    return out


def _gelu(x: Floats) -> Floats:
    """GELU by the tanh formula, with few temporaries: this is the widest array of a step."""
    y = x * x
    y *= np.float32(0.044715)
    y += np.float32(1)
    y *= x
    y *= np.float32((2 / np.pi) ** 0.5)
    np.tanh(y, out=y)
    y += np.float32(1)
    y *= x
    y *= np.float32(0.5)
    return y


def log_softmax(logits: Floats) -> Floats:
    """Return log-probabilities along the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def read_model(path: Path) -> Model:
    """Read a weights file written by ``train.py``."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads(str(arrays.pop("meta")))
    floats = {key: np.ascontiguousarray(a, np.float32) for key, a in arrays.items()}
    sizes = {key: int(meta[key]) for key in ("width", "layers", "heads", "context")}
    shape = Shape(**sizes, rotary=bool(meta.get("rotary")))
    parts = ("qkv", "proj", "up", "down")
    return Model(
        name=path.stem,
        shape=shape,
        vocabulary=Vocabulary(tuple(meta["tokens"])),
        token=floats["token"],
        position=floats.get("position", np.zeros((shape.context, shape.width), np.float32)),
        head=np.ascontiguousarray(floats["head"].T),
        blocks=tuple(Block(*(floats[f"{i}.{p}"] for p in parts)) for i in range(shape.layers)),
        value=tuple(floats[name] for name in VALUE if name in floats),
    )


@functools.cache
def load_model(size: str = "small") -> Model:
    """Load a model shipped with the package.

    Raises:
        FileNotFoundError: There are no weights of that size.
    """
    return read_model(WEIGHTS / f"{size}.npz")
