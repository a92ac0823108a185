"""A language model that compares two candidates."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from thinktwice.calls import call, check_called
from thinktwice.errors import BudgetExceeded, UsageError
from thinktwice.sampling import as_source
from thinktwice.stop.algebra import at_least_one
from thinktwice.verifiers.judge import check_reference, check_rubric, reference_for
from thinktwice.verifiers.judge_prompt import JudgePrompt, material
from thinktwice.verifiers.material import framed
from thinktwice.verifiers.reply import CUT_OFF, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from thinktwice.protocols import Options, Sampler
    from thinktwice.sample import Sample
    from thinktwice.selection import Ask
    from thinktwice.verifiers.judge import Reference

_ROLE: Final = "You compare two candidate answers to a task, A and B, by the rubric below."
_REQUEST: Final = """\
Compare the candidates by this rubric{against}:
{rubric}

Which of them stands first, and how long it is, are no reasons. Answer with one JSON object and \
nothing else:
{{"reason": "<what decides, in a sentence or two>", "better": "<A, B or tie>"}}"""
_AGAINST: Final = ", taking the reference for a right answer"
_POINTS: Final[Mapping[str, float]] = {"a": 1.0, "b": 0.0, "tie": 0.5}


Candidate: TypeAlias = "Sample[object]"


@dataclass(frozen=True)
class PairwiseJudge:
    """Compares two samples by a rubric, with a language model, in both orders.

    Judges prefer a place, first or last (Shi et al. 2024, arXiv:2406.07791), so each pair is asked
    about twice, with the places changed. Who wins both gets the point; where the orders disagree
    each gets half. The candidates are "A" and "B", without a model's name, and data in the prompt
    as for `Judge`.

    `Knockout` makes a selection of it, for `BestOfN`.

    Cost: two calls of the sampler per comparison, each of which reads two samples.

    Example:
        ```python
        BestOfN(8, select=Knockout(PairwiseJudge(ask, rubric="the better argued one")))
        ```

    Attributes:
        sampler: The judge. Its value is a text, or an object or dict with `better` and `reason`.
        rubric: What makes a candidate the better one.
        reference: A right answer to compare with, as in `Judge`; None where none is known.
        repeats: Comparisons of a pair, each in both orders; the points are averaged.
        options: Settings of its calls.
        layout: What its sampler takes: `str` for one text, or `JudgePrompt.messages`.
        name: Shown in spans.

    Raises:
        UsageError: The sampler is not callable, the rubric is empty, or another unusable parameter.
    """

    sampler: Callable[..., object]
    rubric: str = field(kw_only=True)
    reference: Reference | None = field(default=None, kw_only=True)
    repeats: int = field(default=1, kw_only=True)
    options: Options | None = field(default=None, kw_only=True)
    layout: Callable[[JudgePrompt], object] = field(default=str, kw_only=True)
    name: str = field(default="pairwise", kw_only=True)

    def __post_init__(self) -> None:
        """See that it can judge."""
        check_called(self.sampler)
        check_rubric(self.rubric)
        check_reference(self.reference)
        at_least_one("repeats", self.repeats)

    @property
    def calls(self) -> int:
        """Model calls per comparison."""
        return 2 * self.repeats

    async def compare(
        self, first: Candidate, second: Candidate, /, *, prompt: object, ask: Ask | None = None
    ) -> float | None:
        """The points of the first: 1 if it is the better one, 0 if the second is, .5 at a tie.

        A comparison counts if the judge could be read in both orders; of several the mean is
        returned, and None where none counts. What a judge raises makes its comparison one that does
        not count.

        Args:
            first: A sample.
            second: Another.
            prompt: What both answer.
            ask: How the judge is called: `run.ask` from inside a strategy.

        Raises:
            BudgetExceeded: The budget does not afford it.
            UsageError: A mistake of the caller's.
            Exception: What the sampler declares as control flow.
        """
        asking = ask or call
        pairs = [(first, second), (second, first)] * self.repeats
        asked = [self._asked(each, prompt, asking) for each in pairs]
        said = await asyncio.gather(*asked, return_exceptions=True)
        leaving = (BudgetExceeded, UsageError, *as_source(self.sampler).passthrough)
        for each in said:
            if isinstance(each, leaving):
                raise each
        points = [each if isinstance(each, float) else None for each in said]
        return _mean_points(points[::2], points[1::2])

    def request(self, first: Candidate, second: Candidate, /, *, prompt: object) -> object:
        """What the judge is asked about them in this order."""
        reference = reference_for(self.reference, prompt)
        asked = _REQUEST.format(rubric=self.rubric, against=_AGAINST if reference else "")
        parts = material(prompt, reference, candidate_A=first, candidate_B=second)
        return self.layout(framed(_ROLE, parts, asked, rules=f"Rubric:\n{self.rubric}"))

    async def _asked(
        self, pair: tuple[Candidate, Candidate], prompt: object, ask: Ask
    ) -> float | None:
        """The points of the one that stands first; None if the reply could not be read."""
        judge = cast("Sampler[object, object]", self.sampler)
        asked = self.request(*pair, prompt=prompt)
        reply = await ask(judge, asked, role="verify", options=self.options)
        return None if reply.finish_reason in CUT_OFF else points_in(reply.value)


def points_in(reply: object) -> float | None:
    """What a judge's answer gives to candidate A; None if it is not exactly what was asked for."""
    fields = fields_of(reply, "better")
    better = fields["better"] if fields else None
    return _POINTS.get(better.strip().casefold()) if isinstance(better, str) else None


def _mean_points(forth: list[float | None], back: list[float | None]) -> float | None:
    """Of the first candidate, from the points of whoever stood first in either order."""
    known = [
        (one + 1 - other) / 2
        for one, other in zip(forth, back, strict=True)
        if one is not None and other is not None
    ]
    return sum(known) / len(known) if known else None
