"""How a model is updated: rates, optimizers, one step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from network import Muon, Transformer


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Args:
        steps: Length of the cosine schedule in updates.
        batch: Texts an update.
        clean: Updates on texts without slips, by which the model learns to calculate; later ones
            are on sloppy texts, by which it learns to be unsure.
        warm_up: Updates of linear warm-up.
        floor: Last learning rate as a share of the highest.
        matrix_rate: Learning rate of the blocks' matrices (Muon).
        other_rate: Learning rate of embeddings and gains (AdamW).
        clip: Largest norm of the gradient.
    """

    steps: int = 2000
    batch: int = 64
    clean: int = 1100
    warm_up: int = 50
    floor: float = 0.05
    matrix_rate: float = 0.02
    other_rate: float = 3e-3
    clip: float = 1.0

    def rate(self, step: int) -> float:
        """Return the factor of the learning rates at `step`, counted from 1."""
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return min(1, step / self.warm_up) * (self.floor + (1 - self.floor) * cosine)


def optimizers_of(model: Transformer, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Return AdamW for embeddings and gains, and Muon for the matrices of the blocks."""
    matrices = [p for p in model.blocks.parameters() if p.dim() == 2]
    of_blocks = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in of_blocks]
    adam = torch.optim.AdamW(rest, lr=recipe.other_rate, weight_decay=0.05, betas=(0.9, 0.98))
    optimizers = [adam, Muon(matrices, recipe.matrix_rate)]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def descend(
    model: Transformer,
    optimizers: Sequence[torch.optim.Optimizer],
    loss: Tensor,
    recipe: Recipe,
    step: int,
) -> float:
    """Take one step down `loss`; returns its value."""
    model.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * recipe.rate(step)
        optimizer.step()
    return loss.item()
