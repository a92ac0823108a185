"""P(True): the probability that a model gives to a sample being right."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from thinktwice.answers import text_in
from thinktwice.calls import call, check_called
from thinktwice.errors import UsageError
from thinktwice.sample import Verdict
from thinktwice.verifiers.judge_prompt import JudgePrompt, truth_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from thinktwice.protocols import Options, Sampler
    from thinktwice.sample import Completion, Sample

_WORDS: Final[Mapping[str, bool]] = {"yes": True, "true": True, "no": False, "false": False}

_UNREADABLE: Final = (
    "the reply was not one token, yes or no, with its log-probability: ask for max_tokens=1 and "
    "log-probabilities"
)


@dataclass(frozen=True)
class PTrue:
    """Scores a sample by asking a model whether it is right, and reading the probability of "yes".

    Kadavath et al. 2022, arXiv:2207.05221. `BestOfN(n, verifier=PTrue(ask))` is a vote weighted by
    it: confidence-informed self-consistency (CISC, arXiv:2502.06233), whose weights are
    `softmax_weights`. The probability is that of
    the one word that the model says, so the reply has to be one token that carries its
    log-probability: `options={"max_tokens": 1, "logprobs": True}` or the like. Any other reply is
    an "error" verdict, which says nothing of the sample. A model that reasons before it answers
    cannot be asked this.

    The candidate is data in the prompt, as for `Judge`.

    Cost: one call of the sampler per verdict, which reads what the sample read and wrote, and
    writes one token.

    Attributes:
        sampler: Whom to ask: the model that wrote the sample, or another.
        options: Settings of its calls.
        layout: What its sampler takes: `str` for one text, or `JudgePrompt.messages`.
        name: Shown in verdicts and spans.
        exact: Never.
        calls: Model calls per verdict.

    Raises:
        UsageError: The sampler is not callable.
    """

    sampler: Callable[..., object]
    options: Options | None = field(default=None, kw_only=True)
    layout: Callable[[JudgePrompt], object] = field(default=str, kw_only=True)
    name: str = field(default="p_true", kw_only=True)
    exact: bool = field(default=False, init=False, repr=False)
    calls: int = field(default=1, init=False, repr=False)

    def __post_init__(self) -> None:
        """See that it can be asked."""
        check_called(self.sampler)

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Ask, and read the probability.

        Raises:
            Exception: What the sampler raises; in a run this becomes an "error" verdict.
        """
        asked = self.request(sample, prompt=prompt)
        judge = cast("Sampler[object, object]", self.sampler)
        chance = chance_of_yes(await call(judge, asked, role="verify", options=self.options))
        if chance is None:
            return Verdict(outcome="error", evidence=(_UNREADABLE,))
        return Verdict(outcome="scored", score=chance)

    def request(self, sample: Sample[object], /, *, prompt: object) -> object:
        """What is asked; by its size a run knows what to keep back for it."""
        return self.layout(truth_prompt(prompt, sample))


def chance_of_yes(reply: Completion[object]) -> float | None:
    """The probability that the reply is "yes", if it is one token of log-probability known."""
    logprobs = reply.logprobs
    if logprobs is None or len(logprobs) != 1 or math.isnan(logprobs[0]):
        return None
    said = _WORDS.get(_text(reply).strip(" \t\r\n.,:;!\"'*()").casefold())
    if said is None:
        return None
    chance = math.exp(min(0.0, logprobs[0]))
    return chance if said else 1.0 - chance


def _text(reply: Completion[object]) -> str:
    try:
        return (text_in(reply.value) if reply.text is None else reply.text) or ""
    except UsageError:
        return ""
