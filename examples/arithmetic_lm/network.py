"""The transformer and its optimizer in PyTorch, for training alone."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arithmetic_lm.model import VALUE, Shape, turns
from arithmetic_lm.vocabulary import Vocabulary


class Block(nn.Module):
    """Attention and a two-layer network, each after a norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, width = shape.heads, shape.width
        self.turns: Tensor | None = None
        if shape.rotary:
            cos, sin = map(torch.tensor, turns(shape))
            self.turns = torch.stack((cos, sin))
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-5), nn.RMSNorm(width, eps=1e-5)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, length, width) to the same shape."""
        b, t, w = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if self.turns is not None:
            q, k = _turned(q, self.turns[:, :t]), _turned(k, self.turns[:, :t])
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, w))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


def _turned(x: Tensor, by: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    cos, sin = by
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


class Transformer(nn.Module):
    """A decoder with learned or rotary positions and tied embeddings."""

    def __init__(self, tokens: int, shape: Shape) -> None:
        super().__init__()
        self.token = nn.Embedding(tokens, shape.width)
        self.position = None if shape.rotary else nn.Embedding(shape.context, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=1e-5)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                last = name.endswith(("proj.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / (math.sqrt(2 * shape.layers) if last else 1))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map token numbers (batch, length) to logits (batch, length, tokens)."""
        x = self.token(tokens)
        if self.position is not None:
            x = x + self.position.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.token.weight.T


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised updates (Jordan et al. 2024), for matrices.

    It needs less than half the updates of AdamW here, which is what fits the time allowed.
    """

    def __init__(self, matrices: Sequence[Tensor], lr: float) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": 0.95, "weight_decay": 0.01})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every matrix."""
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["mean"] = torch.zeros_like(p)
                mean = state["mean"].lerp_(p.grad, 1 - group["momentum"])
                update = _orthogonal(p.grad.lerp(mean, group["momentum"]))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * max(1, p.shape[0] / p.shape[1]) ** 0.5)


def _orthogonal(x: Tensor) -> Tensor:
    """Return nearly the nearest orthogonal matrix, by five Newton-Schulz steps."""
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x.T if tall else x


def export(
    model: Transformer,
    shape: Shape,
    vocabulary: Vocabulary,
    path: Path,
    value: Sequence[Tensor] = (),
) -> None:
    """Write float16 arrays, the gains of the norms folded in so that inference needs none.

    Args:
        model: Is written.
        shape: Its sizes.
        vocabulary: Its token table.
        path: Where to.
        value: Arrays of the value head, if it has one.
    """
    state = {name: value.detach().double() for name, value in model.state_dict().items()}
    arrays = {
        "token": state["token.weight"],
        "head": state["token.weight"] * state["norm.weight"],
    }
    if not shape.rotary:
        arrays["position"] = state["position.weight"]
    for i in range(shape.layers):
        old = f"blocks.{i}."
        arrays[f"{i}.qkv"] = (state[old + "qkv.weight"] * state[old + "norm1.weight"]).T
        arrays[f"{i}.proj"] = state[old + "proj.weight"].T
        arrays[f"{i}.up"] = (state[old + "up.weight"] * state[old + "norm2.weight"]).T
        arrays[f"{i}.down"] = state[old + "down.weight"].T
    arrays |= dict(zip(VALUE, (array.detach() for array in value), strict=False))
    meta = json.dumps({**asdict(shape), "tokens": vocabulary.tokens})
    halves = {name: value.numpy().astype(np.float16) for name, value in arrays.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, meta=np.array(meta), **halves)
