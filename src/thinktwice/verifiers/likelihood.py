"""The model's own confidence as a score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thinktwice.sample import Verdict

if TYPE_CHECKING:
    from thinktwice.sample import Sample


@dataclass(frozen=True)
class Likelihood:
    """Scores a sample by the geometric mean of the probabilities of its tokens.

    Costs no call. It needs log-probabilities: ask the provider for them (`logprobs=True` or the
    like); a sample without them gets the outcome "not_applicable". Not exact, and no probability of
    being right: a fluent mistake scores high.

    Attributes:
        name: Shown in verdicts and spans.
        exact: No.
    """

    name: str = "likelihood"
    exact: bool = False

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Score it in (0, 1]."""
        del prompt  # the sample carries its own log-probabilities
        mean = sample.mean_logprob
        if mean is None:
            return Verdict(outcome="not_applicable")
        return Verdict(outcome="scored", score=min(1.0, math.exp(mean)))
