"""What a judge is asked about one candidate, and how its grade is read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from thinktwice.errors import is_number
from thinktwice.texts import text_of
from thinktwice.verifiers.material import JudgePrompt, candidate_text, framed
from thinktwice.verifiers.reply import fields_of, reason_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from thinktwice.sample import Sample

__all__ = ["Grade", "JudgePrompt", "candidate_text", "grade_of", "judge_prompt", "truth_prompt"]

_ROLE = "You grade one candidate answer to a task by the rubric below."
_REQUEST = """\
Grade the candidate by this rubric{against}:
{rubric}

Answer with one JSON object and nothing else:
{{"reason": "<what is wrong and what to change, in a sentence or two>", \
"score": <integer from {low} (worst) to {high} (best)>}}"""
_AGAINST = ", taking the reference for a right answer, which others may differ from in form"

_CHECKER = "You grade one candidate answer to a task as right or wrong."
_YES_OR_NO = """\
Is the candidate a right answer to the task?

Answer with one word and nothing else: yes or no."""


def judge_prompt(
    prompt: object,
    sample: Sample[object],
    *,
    rubric: str,
    scale: tuple[int, int],
    reference: str | None = None,
) -> JudgePrompt:
    """Build the request for one sample.

    Args:
        prompt: What the sample answers.
        sample: The candidate.
        rubric: What to grade by.
        scale: Worst and best score.
        reference: A right answer, if one is known.
    """
    request = _REQUEST.format(
        rubric=rubric, low=scale[0], high=scale[1], against=_AGAINST if reference else ""
    )
    parts = material(prompt, reference, candidate=sample)
    return framed(_ROLE, parts, request, rules=f"Rubric:\n{rubric}")


def truth_prompt(prompt: object, sample: Sample[object]) -> JudgePrompt:
    """Build the question whether one sample is right."""
    return framed(_CHECKER, material(prompt, None, candidate=sample), _YES_OR_NO)


def material(
    prompt: object, reference: str | None, **candidates: Sample[object]
) -> Iterator[tuple[str, str]]:
    """The parts that a judge reads: the task, a right answer if there is one, the candidates."""
    yield "task", text_of(prompt)
    if reference is not None:
        yield "reference", reference
    for name, sample in candidates.items():
        yield name, candidate_text(sample)


class Grade(NamedTuple):
    """What a judge said.

    Attributes:
        score: In [0, 1].
        reason: Why, if it said so.
    """

    score: float
    reason: str | None


def grade_of(reply: object, *, scale: tuple[int, int]) -> Grade | None:
    """Read a judge's answer; None if it is not exactly what was asked for.

    Args:
        reply: A text that is one JSON object, perhaps in a code fence; or the object itself, as a
            dict, pydantic model or dataclass.
        scale: Worst and best score.
    """
    fields = fields_of(reply, "score")
    if fields is None:
        return None
    low, high = scale
    score = fields["score"]
    if not is_number(score) or not math.isfinite(score) or not low <= score <= high:
        return None
    return Grade((score - low) / (high - low), reason_in(fields))
