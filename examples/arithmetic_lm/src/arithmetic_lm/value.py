"""The value head: how likely a solution is to come out right, after each of its lines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from .asking import asked_in
from .model import Floats, Model, load_model
from .vocabulary import CHECK


def line_states(model: Model, question: str, lines: Sequence[str]) -> Floats:
    """Return the hidden states at the ends of `lines`, (lines, states), as if to check them.

    Raises:
        KeyError: A line has characters that the model does not know.
        ValueError: The lines are longer than the context.
    """
    vocabulary = model.vocabulary
    tokens = vocabulary.encode(f"{question}=\n", skill=CHECK)
    ends: list[int] = []
    for line in lines:
        tokens += vocabulary.encode(f"{line}\n")
        ends.append(len(tokens) - 1)
    if len(tokens) > model.shape.context:
        raise ValueError(f"{len(tokens)} tokens are more than the context of {model.shape.context}")
    return model.states(np.array([tokens]))[0, ends]


def value_of(head: Sequence[Floats], states: Floats) -> Floats:
    """Return the head's probability for each row of hidden states."""
    first, first_bias, mid, mid_bias, last, last_bias = head
    x = np.maximum(states @ first + first_bias, 0)
    x = np.maximum(x @ mid + mid_bias, 0)
    odds: Floats = (x @ last + last_bias)[..., 0]
    one = np.float32(1)
    chances: Floats = one / (one + np.exp(-odds))
    return chances


class ArithmeticValue:
    """A process reward model: scores each line of a solution.

    The score after a line is the probability that the solution comes out right if the model goes
    on from there, as Monte-Carlo rollouts of its own drafts have taught it (Wang et al. 2024,
    "Math-Shepherd"). It reads hidden states of the model, and costs one forward pass.

    Args:
        model: Has a value head; None takes `skilled`.

    Raises:
        ValueError: The model has no value head.
    """

    def __init__(self, model: Model | None = None) -> None:
        self._model = load_model("skilled") if model is None else model
        if not self._model.value:
            raise ValueError(f"{self._model.name} has no value head")

    async def __call__(self, question: str, lines: Sequence[str]) -> list[float]:
        """Return a probability for each line, in a thread of its own.

        Args:
            question: In any form that the assistant understands; a draft in it is left out.
            lines: Of a solution, whole or not, the answer line among them or not.

        Raises:
            ValueError: There is no question of a family in it, or a line cannot be read.
        """
        return await asyncio.to_thread(self.score, question, lines)

    def score(self, question: str, lines: Sequence[str]) -> list[float]:
        """Like calling it, without an event loop."""
        asked = asked_in(question)
        if asked is None:
            raise ValueError("there is no question of a family that the model knows")
        if not lines:
            return []
        try:
            states = line_states(self._model, asked.question, lines)
        except KeyError as error:
            raise ValueError(f"the model cannot read {error.args[0]!r}") from None
        return [float(p) for p in value_of(self._model.value, states)]
