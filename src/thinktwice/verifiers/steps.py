"""Solutions judged step by step: by a process reward model, or by a verifier of each step."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, cast

from thinktwice.errors import UsageError, is_number
from thinktwice.repair import cleaned
from thinktwice.sample import Verdict
from thinktwice.verifiers.adapt import called, is_verifier
from thinktwice.verifiers.all_of import asked
from thinktwice.verifiers.judge_prompt import candidate_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from thinktwice.entry import Role
    from thinktwice.protocols import Verifier
    from thinktwice.sample import Sample

Scorer: TypeAlias = Callable[..., Sequence[float] | Awaitable[Sequence[float]]]
"""Called with the prompt and the list of steps; returns a probability in [0, 1] for each step."""

_SHOWN: Final = 200

_AGGREGATES: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "last": lambda chances: chances[-1],
    "min": min,
    "product": math.prod,
    "mean": fmean,
}


def split_steps(text: str) -> list[str]:
    """Paragraphs, if there are at least two; else lines. Blank ones are none."""
    paragraphs = [each.strip() for each in text.split("\n\n") if each.strip()]
    if len(paragraphs) > 1:
        return paragraphs
    return [line.strip() for line in text.splitlines() if line.strip()]


@dataclass(frozen=True)
class StepVerifier:
    """Scores a solution by its steps, and names the first that looks wrong.

    The scorer is a value head or process reward model (Lightman et al. 2023, arXiv:2305.20050): a
    callable of the prompt and the steps, that returns for each the probability that the solution is
    on its way to a right answer. Or it is a verifier, which is asked about each beginning of the
    solution, or about each step alone: `Calculator()` line by line, a `Judge` on what is written
    so far.

    How the numbers become one score matters as much as the scorer. "last" suits a scorer that was
    trained to predict the outcome, as by rollouts (Snell et al. 2024, arXiv:2408.03314); "min" or
    "product" one that says of each step whether it is right. Measure both: see `verifier_report`.

    Cost: one call of the scorer; of a verifier, a verdict for each step, `most` at the most.

    Attributes:
        scorer: A callable of prompt and steps, sync or async; or a verifier.
        split: From the text of a sample to its steps.
        aggregate: "last", "min", "product" or "mean" of the steps; those with nothing to check are
            left out.
        on: What a verifier is asked about: each "prefix", or each "step".
        threshold: The score below which a step looks wrong.
        most: Steps that a verifier that calls a model is asked about; neighbours are joined where
            there are more.
        name: Shown in verdicts and spans.
        exact: Never.

    Raises:
        UsageError: A parameter that there is not, or "last" of steps that are checked one by one:
            only the last of them would count.
    """

    scorer: Scorer | Verifier[object]
    split: Callable[[str], Sequence[str]] = field(default=split_steps, kw_only=True)
    aggregate: Literal["last", "min", "product", "mean"] = field(default="last", kw_only=True)
    on: Literal["prefix", "step"] = field(default="prefix", kw_only=True)
    threshold: float = field(default=0.5, kw_only=True)
    most: int = field(default=16, kw_only=True)
    name: str = field(default="steps", kw_only=True)
    exact: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check every parameter."""
        if not callable(self.scorer):
            raise UsageError("scorer", self.scorer, "give a verifier, or a callable of two")
        if not callable(self.split):
            raise UsageError("split", self.split, "give a callable of a text")
        if self.aggregate not in _AGGREGATES:
            raise UsageError("aggregate", self.aggregate, f"give one of {', '.join(_AGGREGATES)}")
        if self.on not in {"prefix", "step"}:
            raise UsageError("on", self.on, "give 'prefix' or 'step'")
        if self.on == "step" and self.aggregate == "last":
            remedy = "of steps that are checked one by one give 'min', 'product' or 'mean'"
            raise UsageError("aggregate", self.aggregate, remedy)
        if not is_number(self.threshold) or not 0 <= self.threshold <= 1:
            raise UsageError("threshold", self.threshold, "give a score in [0, 1]")
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 1:
            raise UsageError("most", self.most, "give a number of steps, at least 1")

    @property
    def calls(self) -> int:
        """Model calls per verdict at the most, as far as the scorer says so."""
        calls: int = getattr(self.scorer, "calls", 0)
        return calls * self.most if self._verifier else calls

    @property
    def role(self) -> Role:
        """In the ledger: that of the scorer."""
        return getattr(self.scorer, "role", "verify")

    @property
    def _verifier(self) -> Verifier[object] | None:
        verifies = is_verifier(self.scorer)
        return cast("Verifier[object]", self.scorer) if verifies else None

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Split the solution, judge the steps, and put the scores together."""
        blank = isinstance(sample.value, str) and not sample.value.strip()
        steps = [] if blank else list(self.split(candidate_text(sample)))
        if not steps:
            return self._about(sample, Verdict(outcome="not_applicable"))
        if self._verifier is not None:
            steps = _joined(steps, self.most) if getattr(self.scorer, "calls", 0) else steps
            said = await self._judged(self._verifier, steps, sample, prompt)
        else:
            scores = await called(partial(cast("Scorer", self.scorer), prompt), steps)
            if (why := _unusable(scores, len(steps))) is not None:
                return self._about(sample, Verdict(outcome="error", evidence=(why,)))
            scored = cast("Sequence[float]", scores)
            said = [Verdict(outcome="scored", score=float(each)) for each in scored]
        return self._about(sample, self._together(steps, said))

    async def _judged(
        self,
        verifier: Verifier[object],
        steps: Sequence[str],
        sample: Sample[object],
        prompt: object,
    ) -> list[Verdict]:
        """A verdict on each step, or on each beginning, one after the other as they were written.

        Side by side they would take many places of a limiter for one sample.
        """
        said: list[Verdict] = []
        for end in range(len(steps)):
            part = steps[end] if self.on == "step" else "\n".join(steps[: end + 1])
            shown = replace(sample, value=part, text=part, logprobs=None, top_logprobs=None)
            said += await asked([verifier], shown, prompt=prompt)
        return said

    def _together(self, steps: Sequence[str], said: Sequence[Verdict]) -> Verdict:
        """One verdict of those on the steps; one that broke leaves nothing to say."""
        broken = [each for each in said if each.outcome == "error"]
        if broken:
            return broken[0]
        known = [
            _Step(place, each.score, each)
            for place, each in enumerate(said)
            if each.score is not None and each.outcome != "not_applicable"
        ]
        if not known:
            return Verdict(outcome="not_applicable")
        counted = known[-1:] if self.aggregate == "last" else known
        outcomes = {each.verdict.outcome for each in counted}
        outcome = "fail" if "fail" in outcomes else "pass" if outcomes == {"pass"} else "scored"
        chances = [each.chance for each in known]
        bad = next((each for each in known if each.chance < self.threshold), None)
        return Verdict(
            outcome=outcome,
            score=_AGGREGATES[self.aggregate](chances),
            feedback=None if bad is None else _feedback(bad, steps[bad.place]),
            evidence=(f"steps: {' '.join(f'{each:.2f}' for each in chances)}",),
        )

    def _about(self, sample: Sample[object], verdict: Verdict) -> Verdict:
        return replace(verdict, verifier=self.name, sample=sample.index)


class _Step(NamedTuple):
    """A step of which something is known.

    Attributes:
        place: Among the steps, from 0.
        chance: That all is well up to here, or with it.
        verdict: What was said.
    """

    place: int
    chance: float
    verdict: Verdict


def _feedback(bad: _Step, step: str) -> str:
    first = f'Step {bad.place + 1}, "{cleaned(step, _SHOWN)}", is the first that looks wrong.'
    return f"{first} {bad.verdict.feedback}" if bad.verdict.feedback else first


def _joined(steps: Sequence[str], most: int) -> list[str]:
    """At most so many: neighbours are joined, as evenly as it goes."""
    if len(steps) <= most:
        return list(steps)
    cuts = [len(steps) * part // most for part in range(most + 1)]
    return ["\n".join(steps[a:b]) for a, b in pairwise(cuts)]


def _unusable(scores: object, wanted: int) -> str | None:
    """What is wrong with what a scorer returned."""
    if isinstance(scores, str) or not isinstance(scores, Sequence):
        return f"the scorer returned {type(scores).__name__}, and no list of scores"
    listed = cast("Sequence[object]", scores)
    if len(listed) != wanted:
        return f"the scorer returned {len(listed)} scores for {wanted} steps"
    if not all(is_number(each) and 0 <= each <= 1 for each in listed):
        return "the scorer returned a score that is not in [0, 1]"
    return None
