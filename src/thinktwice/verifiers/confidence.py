"""The model's own confidence: a weight for votes and, as a verifier, a score for best-of-N."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from itertools import accumulate
from statistics import fmean
from typing import TYPE_CHECKING, Final, Literal, overload

from thinktwice.errors import UsageError, is_number
from thinktwice.sample import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import CoroutineType

    from thinktwice.sample import Sample

_FLOOR: Final = -100.0
"""Providers write -9999 or minus infinity for tokens that are not among the likely ones."""

_LEAST: Final = 2
"""Alternatives of a token that say how peaked its distribution is; the best alone does not."""

_NO_PROMPT: Final = object()


class Confidence(ABC):
    """How sure a model was of what it wrote, read from its log-probabilities; it costs no call.

    One object serves where a vote wants a weight, as in `Vote(16, weight=Likelihood())`, and where
    best-of-N wants a verifier. What makes it useful is that of two samples of one question the
    right one tends to score higher; whether it is a probability of being right does not matter.
    It needs log-probabilities: ask the provider for them (`logprobs=True, top_logprobs=20` or the
    like). A sample without them has the weight None and the outcome "not_applicable", which say
    nothing of it.

    A confidence of your own is a frozen dataclass with a `name` that implements `score`.

    Attributes:
        name: Shown in verdicts and spans.
        exact: Never: a fluent mistake scores high.
        scale: The score that weighs 1; what is above it weighs no more.
    """

    name: str
    exact: bool = False
    scale: float = 1.0

    @abstractmethod
    def score(self, sample: Sample[object]) -> float | None:
        """How sure, in units of its own, at least 0; None if the sample does not tell."""

    def weight(self, sample: Sample[object]) -> float | None:
        """The score over its scale, in [0, 1]; None if there is none or it is no finite number."""
        score = self.score(sample)
        if score is None or not math.isfinite(score):
            return None
        return min(1.0, max(0.0, score / self.scale))

    @overload
    def __call__(self, sample: Sample[object], /) -> float | None: ...
    @overload
    def __call__(
        self, sample: Sample[object], /, *, prompt: object
    ) -> CoroutineType[object, object, Verdict]: ...
    def __call__(
        self, sample: Sample[object], /, *, prompt: object = _NO_PROMPT
    ) -> float | CoroutineType[object, object, Verdict] | None:
        """The weight of a sample; called as a verifier is, with the prompt, a verdict."""
        return self.weight(sample) if prompt is _NO_PROMPT else self._verdict(sample)

    async def _verdict(self, sample: Sample[object]) -> Verdict:
        weight = self.weight(sample)
        if weight is None:
            return Verdict(outcome="not_applicable")
        return Verdict(outcome="scored", score=weight)


@dataclass(frozen=True)
class Likelihood(Confidence):
    """The probabilities of the tokens that were sampled, as one number in (0, 1].

    "mean" is their geometric mean, which does not punish length; "product" is the probability of
    the whole text, for short ones; "least" is that of the least probable token, where the text is
    taken to be as good as its weakest point (soft self-consistency, arXiv:2402.13212).

    Attributes:
        over: How tokens are summed up.
        name: Shown in verdicts and spans.
        exact: No.
    """

    over: Literal["mean", "product", "least"] = field(default="mean", kw_only=True)
    name: str = "likelihood"
    exact: bool = False

    def __post_init__(self) -> None:
        """Check the name of the sum."""
        _one_of(self.over, _LIKELIHOODS)

    def score(self, sample: Sample[object]) -> float | None:
        """A probability; None without log-probabilities, or if one of them is no number."""
        logprobs = sample.logprobs
        if not logprobs or not all(map(_known, logprobs)):
            return None
        return math.exp(_LIKELIHOODS[self.over]([_bounded(each) for each in logprobs]))


_LIKELIHOODS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "mean": fmean,
    "product": math.fsum,
    "least": min,
}


@dataclass(frozen=True)
class TokenConfidence(Confidence):
    """How peaked the distributions were that the tokens were sampled from (DeepConf).

    Fu et al. 2025, arXiv:2508.15260. The confidence of a token is minus the mean log-probability of
    the alternatives that the provider reports for it: in nats, larger where one of them has all the
    probability. A provider has to report at least two; the paper takes 20, and numbers from
    different k do not compare. Over a trace, where a group is a sliding window of tokens: "mean" of
    all tokens, of the "lowest" group, of the "bottom" tenth of the groups, or of the "tail", which
    is the last window. A trace shorter than the window is one group.

    Made for long reasoning, where a model that has lost its way hesitates. It does not see a
    mistake that is sampled from a distribution like any other.

    Attributes:
        over: How tokens are summed up.
        window: Tokens in a group.
        scale: Nats that weigh 1: about the most that is seen. With 20 alternatives up to 30, with 5
            about 10. In `DeepConf` it does not matter.
        name: Shown in verdicts and spans.

    Raises:
        UsageError: A name that is not known, an empty window or a scale that is not positive.
    """

    over: Literal["mean", "lowest", "bottom", "tail"] = "mean"
    window: int = field(default=2048, kw_only=True)
    scale: float = field(default=30.0, kw_only=True)
    name: str = field(default="token_confidence", kw_only=True)

    def __post_init__(self) -> None:
        """Check every parameter."""
        _one_of(self.over, _AGGREGATES)
        if isinstance(self.window, bool) or not isinstance(self.window, int) or self.window < 1:
            raise UsageError("window", self.window, "give a whole number of at least 1 token")
        _check_scale(self.scale)

    def score(self, sample: Sample[object]) -> float | None:
        """In nats; None where no token has two alternatives."""
        tokens = [-fmean(each) for each in _alternatives(sample)]
        return _AGGREGATES[self.over](tokens, self.window) if tokens else None


@dataclass(frozen=True)
class SelfCertainty(Confidence):
    """How far the distributions of the tokens were from uniform, as a mean over the tokens.

    Kang et al. 2025, arXiv:2502.18581: the divergence KL(uniform || model), in nats. The paper's is
    over the whole vocabulary, which providers do not report; this one is over the alternatives that
    they do, and equals the paper's where these are all. It orders samples as
    `TokenConfidence("mean")` does. The paper weighs by rank: `BestOfN(..., weights="rank")`.

    Attributes:
        scale: Nats that weigh 1, as in `TokenConfidence`.
        name: Shown in verdicts and spans.

    Raises:
        UsageError: The scale is not positive.
    """

    scale: float = field(default=30.0, kw_only=True)
    name: str = field(default="self_certainty", kw_only=True)

    def __post_init__(self) -> None:
        """Check the scale."""
        _check_scale(self.scale)

    def score(self, sample: Sample[object]) -> float | None:
        """In nats; None where no token has two alternatives."""
        tokens = [-fmean(each) - math.log(len(each)) for each in _alternatives(sample)]
        return fmean(tokens) if tokens else None


def _alternatives(sample: Sample[object]) -> list[list[float]]:
    """Log-probabilities of the alternatives of each token that has at least two."""
    known = (
        [_bounded(each) for each in token or () if _known(each)]
        for token in sample.top_logprobs or ()
    )
    return [token for token in known if len(token) >= _LEAST]


def _known(logprob: object) -> bool:
    """A sampler may give what is no number where its provider said nothing."""
    return is_number(logprob) and not math.isnan(logprob)


def _bounded(logprob: float) -> float:
    return min(0.0, max(_FLOOR, logprob))


def _groups(tokens: Sequence[float], window: int) -> list[float]:
    """Means of the sliding window."""
    if len(tokens) <= window:
        return [fmean(tokens)]
    sums = [0.0, *accumulate(tokens)]
    return [(after - before) / window for before, after in zip(sums, sums[window:], strict=False)]


def _lowest_tenth(tokens: Sequence[float], window: int) -> float:
    groups = sorted(_groups(tokens, window))
    return fmean(groups[: max(1, len(groups) // 10)])


_AGGREGATES: Final[Mapping[str, Callable[[Sequence[float], int], float]]] = {
    "mean": lambda tokens, _: fmean(tokens),
    "lowest": lambda tokens, window: min(_groups(tokens, window)),
    "bottom": _lowest_tenth,
    "tail": lambda tokens, window: fmean(tokens[-window:]),
}


def _one_of(over: str, known: Mapping[str, object]) -> None:
    if not isinstance(over, str) or over not in known:
        raise UsageError("over", over, f"give one of {', '.join(map(repr, known))}")


def _check_scale(scale: float) -> None:
    if not is_number(scale) or not 0 < scale < math.inf:
        raise UsageError("scale", scale, "give the score that weighs 1, a positive number")
