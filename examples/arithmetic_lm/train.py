"""Train a model, measure it on questions it has not seen, and write its weights.

    pip install torch numpy && pip install -e .
    python train.py                       # small: about ten minutes of one core
    python train.py --size skilled        # families, skills and value head: about half an hour
    python train.py --size tiny           # a weak one to pair with it: about eight minutes

Weights are written only if the model meets the numbers of its acceptance. Training `small` ends at
the first checkpoint that meets them: trained to the end, the model would make too few mistakes to
be of use for trying out voting. The others are trained in phases, see `phases.py`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from arithmetic_lm.bench import Row, measure, rows, table
from arithmetic_lm.engine import Engine
from arithmetic_lm.model import WEIGHTS, Shape, read_model
from arithmetic_lm.problems import FAMILIES, SLIPS, training_texts
from arithmetic_lm.vocabulary import Vocabulary
from network import Transformer, export
from phases import PLANS, train_in_phases
from recipe import Recipe, descend, optimizers_of

SIZES = {
    "small": Shape(width=96, layers=4, heads=4, context=72),
    "medium": Shape(width=128, layers=6, heads=4, context=72),
    **{name: plan.shape for name, plan in PLANS.items()},
}
IGNORED = -100


@dataclass(frozen=True)
class Acceptance:
    """What a model must show on validation questions at temperature 0.8.

    Args:
        accuracy: Single-sample accuracy over all classes, and over all but the misconception.
        in_band: Least share of questions of 20 to 80 % single-sample accuracy, both ways.
        gain: Least gain of majority@16 on single samples without the misconception.
        wrong_mode: Least share of misconception questions whose most frequent answer is wrong.
        loss: Least loss of majority@16 on single samples on misconception questions.
    """

    accuracy: tuple[float, float] = (0.50, 0.75)
    in_band: float = 0.40
    gain: float = 0.05
    wrong_mode: float = 0.60
    loss: float = 0.03

    def misses(self, measured: Sequence[Row]) -> list[str]:
        """Return what is not met, in words."""
        everything, plain = measured[-2:]
        found: list[str] = []
        for row in (everything, plain):
            if not self.accuracy[0] <= row.pass_1 <= self.accuracy[1]:
                found.append(f"accuracy of {row.name}: {row.pass_1:.3f}")
            if row.in_band < self.in_band:
                found.append(f"in band of {row.name}: {row.in_band:.3f}")
        if plain.majority_16 - plain.pass_1 < self.gain:
            found.append(f"gain of voting: {plain.majority_16 - plain.pass_1:.3f}")
        for row in measured[:-2]:
            if not FAMILIES[row.name].is_misconception:
                continue
            if row.wrong_mode < self.wrong_mode:
                found.append(f"wrong mode of {row.name}: {row.wrong_mode:.3f}")
            if row.pass_1 - row.majority_16 < self.loss:
                found.append(f"loss of voting on {row.name}: {row.pass_1 - row.majority_16:.3f}")
        return found


def batches(
    vocabulary: Vocabulary, size: int, seed: int, *, slips: float = SLIPS
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield endless batches of (inputs, targets), each (size, length); prompts are no target.

    Two batches are drawn at a time and split by length, which saves padding.
    """
    texts = training_texts(seed, slips=slips)
    while True:
        drawn = [next(texts) for _ in range(2 * size)]
        both = [
            (vocabulary.prompt(question), [*vocabulary.encode(text), vocabulary.end])
            for question, text in drawn
        ]
        both.sort(key=lambda row: len(row[0]) + len(row[1]))
        yield _padded(both[:size], vocabulary.pad)
        yield _padded(both[size:], vocabulary.pad)


def _padded(texts: Sequence[tuple[list[int], list[int]]], pad: int) -> tuple[Tensor, Tensor]:
    length = max(len(head) + len(tail) for head, tail in texts)
    inputs = torch.full((len(texts), length), pad)
    targets = torch.full((len(texts), length), IGNORED)
    for row, (head, tail) in enumerate(texts):
        inputs[row, : len(head) + len(tail)] = torch.tensor(head + tail)
        targets[row, len(head) - 1 : len(head) + len(tail) - 1] = torch.tensor(tail)
    return inputs[:, :-1], targets[:, :-1]


def train(given: argparse.Namespace, recipe: Recipe, shape: Shape) -> int:
    """Train until a checkpoint is accepted; returns the exit status."""
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    vocabulary = Vocabulary()
    model = Transformer(len(vocabulary), shape)
    optimizers = optimizers_of(model, recipe)
    clean = batches(vocabulary, recipe.batch, given.seed, slips=0.0)
    data = chain(islice(clean, recipe.clean), batches(vocabulary, recipe.batch, given.seed))
    draft, start, losses = given.out.with_suffix(".draft.npz"), time.monotonic(), 0.0
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    for step in range(1, recipe.steps + 1):
        losses += _update(model, optimizers, next(data), recipe, step)
        seconds = time.monotonic() - start
        if step % 50 == 0:
            print(f"step {step}  loss {losses / 50:.4f}  {seconds:.0f} s", flush=True)
            losses = 0.0
        late = seconds > 60 * given.minutes
        if (step > recipe.clean and step % given.every == 0) or late:
            export(model, shape, vocabulary, draft)
            if _accepted(draft, given.questions):
                draft.replace(given.out)
                print(f"wrote {given.out}: {step} steps, {seconds:.0f} s")
                return 0
        if late:
            break
    draft.unlink(missing_ok=True)
    print("no checkpoint meets the numbers: nothing written")
    return 1


def _update(
    model: Transformer,
    optimizers: Sequence[torch.optim.Optimizer],
    batch: tuple[Tensor, Tensor],
    recipe: Recipe,
    step: int,
) -> float:
    inputs, targets = batch
    logits = model(inputs).flatten(0, 1)
    loss = F.cross_entropy(logits, targets.flatten(), ignore_index=IGNORED)
    return descend(model, optimizers, loss, recipe, step)


def _accepted(path: Path, questions: int) -> bool:
    """Measure a checkpoint on validation questions with the inference that is shipped."""
    engine = Engine(read_model(path))
    *_, glance, _ = rows(measure(engine, 50, 8, split="validation", seed=1))
    print(f"accuracy at a glance: {glance.pass_1:.3f}", flush=True)
    if not 0.45 <= glance.pass_1 <= 0.80:
        return False
    measured = rows(measure(engine, questions, 32, split="validation"))
    misses = Acceptance().misses(measured)
    print(table(measured), "; ".join(misses) or "accepted", sep="\n", flush=True)
    return not misses


def main() -> int:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description="Train the arithmetic model.")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--out", type=Path, help="default: into the package")
    parser.add_argument("--steps", type=int, default=Recipe.steps, help="length of the schedule")
    parser.add_argument("--every", type=int, default=50, help="steps between checkpoints")
    parser.add_argument("--questions", type=int, default=200, help="a checkpoint is measured on")
    parser.add_argument("--minutes", type=float, default=40.0, help="stop after this time")
    parser.add_argument("--work", type=Path, help="checkpoints of phases; default: .cache/SIZE")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.out = given.out or WEIGHTS / f"{given.size}.npz"
    if given.size in PLANS:
        torch.set_num_threads(given.threads)
        return train_in_phases(given.size, given.out, given.work, given.seed)
    return train(given, Recipe(steps=given.steps), SIZES[given.size])


if __name__ == "__main__":
    sys.exit(main())
