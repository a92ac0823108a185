"""A language model as a judge."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, TypeAlias, cast

from thinktwice.calls import call, check_called
from thinktwice.errors import ThinktwiceError, TypeOf, UsageError, is_number
from thinktwice.sample import Verdict
from thinktwice.stop.algebra import at_least_one
from thinktwice.verifiers.judge_prompt import Grade, JudgePrompt, grade_of, judge_prompt
from thinktwice.verifiers.reply import CUT_OFF, unreadable

if TYPE_CHECKING:
    from thinktwice.protocols import Options, Sampler
    from thinktwice.sample import Completion, Sample

Reference: TypeAlias = str | Callable[..., str | None]
"""A right answer: one text, or a function of the prompt; None where none is known."""


@dataclass(frozen=True)
class Judge:
    """Scores a sample by a rubric, with a language model; it never says "pass".

    A judge is wrong often enough that its best score is no proof: weigh answers by its scores, do
    not stop at one. What it cannot grade (it refuses, is cut off, or does not answer with the JSON
    that was asked for) is an "error" verdict, which says nothing of the sample. The reason that it
    gives is the verdict's feedback. After Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench
    and Chatbot Arena".

    The candidate is data in its prompt (see `material`): an instruction in a candidate cannot
    pass for one of yours. A judge can still be persuaded by what it reads, so put verifiers that
    run something before it.

    Cost: `repeats` calls of the sampler per verdict, each of which reads what the sample read and
    wrote.

    Example:
        ```python
        Judge(ask, rubric="10: every claim is in the context. 0: none is.")
        Judge(ask, rubric="10: says the same. 0: does not.", reference=answers.get)
        Judge(chat, rubric="...", layout=JudgePrompt.messages)
        ```

    Attributes:
        sampler: The judge. Its value is a text, or an object or dict with `score` and `reason`.
        rubric: What to grade by; it helps to say what earns the worst and the best score.
        reference: A right answer to compare with: a text, or a function of the prompt. Where the
            function returns None the judge is not asked, and the verdict is "not_applicable".
        scale: Worst and best score that the judge may give; verdicts hold them as 0 and 1.
        repeats: Calls per verdict; the median of the grades counts, and those that could not be
            read are left out. More than one helps only where the judge does not always say the
            same.
        options: Settings of its calls.
        layout: What its sampler takes: `str` for one text, or `JudgePrompt.messages`.
        name: Shown in verdicts and spans.
        exact: Never.

    Raises:
        UsageError: The sampler is not callable, the rubric is empty, the scale is no pair of
            numbers that rises, or another unusable parameter.
    """

    sampler: Callable[..., object]
    rubric: str = field(kw_only=True)
    reference: Reference | None = field(default=None, kw_only=True)
    scale: tuple[int, int] = field(default=(0, 10), kw_only=True)
    repeats: int = field(default=1, kw_only=True)
    options: Options | None = field(default=None, kw_only=True)
    layout: Callable[[JudgePrompt], object] = field(default=str, kw_only=True)
    name: str = field(default="judge", kw_only=True)
    exact: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        """See that it can judge."""
        check_called(self.sampler)
        check_rubric(self.rubric)
        check_reference(self.reference)
        at_least_one("repeats", self.repeats)
        check_scale(self.scale)

    @property
    def calls(self) -> int:
        """Model calls per verdict."""
        return self.repeats

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Ask the judge, and read its answer strictly.

        Raises:
            Exception: What the sampler raises; in a run this becomes an "error" verdict.
        """
        if self.reference is not None and reference_for(self.reference, prompt) is None:
            return Verdict(outcome="not_applicable", verifier=self.name, sample=sample.index)
        asked = [self._graded(sample, prompt) for _ in range(self.repeats)]
        said = await asyncio.gather(*asked, return_exceptions=True)
        grades = [each for each in said if isinstance(each, Grade)]
        if not grades:
            return self._error(sample, said)
        score = median(grade.score for grade in grades)
        return Verdict(
            outcome="scored",
            score=score,
            feedback=_reason(grades, score),
            verifier=self.name,
            sample=sample.index,
        )

    def request(self, sample: Sample[object], /, *, prompt: object) -> object:
        """What the judge is asked; by its size a run knows what to keep back for judging."""
        reference = reference_for(self.reference, prompt)
        return self.layout(
            judge_prompt(prompt, sample, rubric=self.rubric, scale=self.scale, reference=reference)
        )

    async def _graded(self, sample: Sample[object], prompt: object) -> Grade | str:
        """One grade, or why there is none."""
        judge = cast("Sampler[object, object]", self.sampler)
        asked = self.request(sample, prompt=prompt)
        reply: Completion[object] = await call(judge, asked, role="verify", options=self.options)
        grade = grade_of(reply.value, scale=self.scale)
        return unreadable(reply) if grade is None or reply.finish_reason in CUT_OFF else grade

    def _error(self, sample: Sample[object], said: list[Grade | str | BaseException]) -> Verdict:
        """No grade: what went wrong first, with what must be raised before all else."""
        raised = [each for each in said if isinstance(each, BaseException)]
        if raised:
            raise next((each for each in raised if isinstance(each, ThinktwiceError)), raised[0])
        return Verdict(
            outcome="error", evidence=(str(said[0]),), verifier=self.name, sample=sample.index
        )


def _reason(grades: list[Grade], score: float) -> str | None:
    """Of the grade that is nearest to the median, and gives one."""
    nearest = sorted(grades, key=lambda grade: abs(grade.score - score))
    return next((grade.reason for grade in nearest if grade.reason), None)


def reference_for(reference: Reference | None, prompt: object) -> str | None:
    """The right answer to a prompt; None where none is known.

    Raises:
        UsageError: The function of the caller raised, or returned no text.
    """
    if not callable(reference):
        return reference
    try:
        found: object = reference(prompt)
    except Exception as error:
        remedy = f"it raised {type(error).__name__}: return the right answer, or None"
        raise UsageError("reference", reference, remedy) from error
    if not isinstance(found, str | None):
        raise UsageError("reference", TypeOf(found), "return the right answer as text, or None")
    return found


def check_rubric(rubric: str) -> None:
    """Refuse one that says nothing.

    Raises:
        UsageError: As above.
    """
    if not isinstance(rubric, str) or not rubric.strip():
        raise UsageError("rubric", rubric, "say what makes an answer good, and what bad")


def check_scale(scale: tuple[float, float], name: str = "scale") -> None:
    """Refuse what is no pair of finite numbers that rises.

    Args:
        scale: What was given.
        name: Of the parameter.

    Raises:
        UsageError: As above.
    """
    ends = tuple(scale) if isinstance(scale, tuple | list) else ()
    finite = all(is_number(end) and math.isfinite(end) for end in ends)
    if len(ends) != 2 or not finite or not ends[0] < ends[1]:  # noqa: PLR2004 - a pair
        remedy = "give the worst score, then a higher best one, such as (0, 10)"
        raise UsageError(name, scale, remedy)


def check_reference(reference: object) -> None:
    """Refuse what is no right answer.

    Raises:
        UsageError: As above.
    """
    given = isinstance(reference, str) and reference.strip()
    if reference is not None and not given and not callable(reference):
        raise UsageError("reference", reference, "give a right answer, or a function of the prompt")
