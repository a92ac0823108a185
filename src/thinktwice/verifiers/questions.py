"""A language model that checks a sample by questions which it answers without seeing it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from thinktwice.repair import cleaned
from thinktwice.sample import Verdict
from thinktwice.stop.algebra import at_least_one
from thinktwice.texts import text_of
from thinktwice.verifiers.critic import MOST_SAID, Asked, issue_in, said_in
from thinktwice.verifiers.judge_prompt import material
from thinktwice.verifiers.material import framed
from thinktwice.verifiers.reply import CUT_OFF, fields_of, unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.sample import Sample

QUESTIONS: Final = 3

_PLANNING: Final = "You plan how to check a candidate answer to a task."
_PLAN: Final = """\
Write at most {n} short questions whose answers would show whether the candidate is right. Ask for \
one fact or one step each, so that somebody who has the task, and has never seen the candidate, \
can answer; do not say what the candidate claims.

Answer with one JSON object and nothing else: {{"questions": ["...", ...]}}"""
_ANSWERING: Final = "You answer one question about a task."
_ANSWER: Final = "Answer the question in a sentence or two. Do not solve the whole task."
_COMPARING: Final = "You compare a candidate answer to a task with answers to questions about it."
_COMPARE: Final = """\
Each check holds a question and its answer, by somebody who has not seen the candidate. Does the \
candidate contradict one of them?

Answer with one JSON object and nothing else. If it contradicts none: {"issue": null}. Else:
{"issue": "<quote the part of the candidate that is contradicted, and say by what>"}"""


@dataclass(frozen=True, kw_only=True)
class VerificationQuestions(Asked):
    """Checks a sample by questions that a model plans, and answers without seeing the sample.

    Chain-of-verification in its factored form (Dhuliawala et al. 2023, arXiv:2309.11495): an answer
    that is given beside a mistake repeats it, so each question is answered in a call of its own. A
    last call compares; a contradiction is a fail, whose evidence are the questions with their
    answers. It is the model's word against its own, so a pass is no proof. Where nothing was asked
    the verdict is "not_applicable"; what cannot be read is an "error".

    Cost: up to `questions` + 2 calls of the sampler per verdict.

    Attributes:
        sampler: The model. It answers with text.
        questions: The most that are asked.
        options: Settings of its calls.
        layout: What its sampler takes: `str` for one text, or `JudgePrompt.messages`.
        name: Shown in verdicts and spans.
        exact: Never.
        role: What its calls are for.

    Raises:
        UsageError: The sampler is not callable, or `questions` is below 1.
    """

    questions: int = QUESTIONS
    name: str = "verification_questions"

    def __post_init__(self) -> None:
        """See that it can be asked."""
        super().__post_init__()
        at_least_one("questions", self.questions)

    @property
    def calls(self) -> int:
        """Model calls per verdict at the most."""
        return self.questions + 2

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Plan, answer, compare.

        Raises:
            Exception: What the sampler raises; in a run this becomes an "error" verdict.
        """
        task = text_of(prompt)
        parts = list(material(prompt, None, candidate=sample))
        plan = await self.reply(framed(_PLANNING, parts, _PLAN.format(n=self.questions)))
        asked = None if plan.finish_reason in CUT_OFF else _questions_in(plan.value)
        if asked is None:
            return Verdict(outcome="error", evidence=(unreadable(plan),))
        if not asked:
            return Verdict(outcome="not_applicable")
        checks = await self._answered(task, asked[: self.questions])
        found = issue_in(
            await self.reply(
                framed(_COMPARING, [*parts, *(("check", c) for c in checks)], _COMPARE)
            )
        )
        if found.outcome == "error":
            return found
        return Verdict(outcome=found.outcome, feedback=found.feedback, evidence=checks)

    async def _answered(self, task: str, asked: Sequence[str]) -> tuple[str, ...]:
        """Each question with its answer; one without an answer is left out."""
        said = await asyncio.gather(
            *(self._answer(task, each) for each in asked), return_exceptions=True
        )
        for each in said:
            if isinstance(each, BaseException):
                raise each
        answers = cast("list[str | None]", said)
        pairs = zip(asked, answers, strict=True)
        return tuple(
            f"Question: {question} Answer: {answer}" for question, answer in pairs if answer
        )

    async def _answer(self, task: str, question: str) -> str | None:
        parts = [("task", task), ("question", question)]
        return said_in(await self.reply(framed(_ANSWERING, parts, _ANSWER)))


def _questions_in(reply: object) -> list[str] | None:
    """The questions of a plan; None if it is not exactly what was asked for."""
    fields = fields_of(reply, "questions")
    listed = fields["questions"] if fields else None
    if not isinstance(listed, list):
        return None
    texts = [each for each in cast("list[object]", listed) if isinstance(each, str)]
    return [cleaned(each.strip(), MOST_SAID) for each in texts if each.strip()]
