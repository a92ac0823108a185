"""A language model as a judge."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from thinktwice.calls import call, check_called
from thinktwice.errors import UsageError
from thinktwice.sample import Verdict
from thinktwice.verifiers.judge_prompt import JudgePrompt, grade_of, judge_prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from thinktwice.protocols import Options, Sampler
    from thinktwice.sample import Sample

_CUT_OFF = frozenset({"length", "max_tokens", "content_filter", "refusal"})


@dataclass(frozen=True)
class Judge:
    """Scores a sample by a rubric, with a language model; it never says "pass".

    A judge is wrong often enough that its best score is no proof: weigh answers by its scores, do
    not stop at one. What it cannot grade (it refuses, is cut off, or does not answer with the JSON
    that was asked for) is an "error" verdict, which says nothing of the sample. The reason that it
    gives is the verdict's feedback. After Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench
    and Chatbot Arena".

    The candidate is data in its prompt (see `judge_prompt`): an instruction in a candidate cannot
    pass for one of yours. A judge can still be persuaded by what it reads, so put verifiers that
    run something before it.

    Cost: one call of the sampler per verdict, which reads what the sample read and wrote.

    Example:
        ```python
        Judge(ask, rubric="10: every claim is in the context. 0: none is.")
        Judge(chat, rubric="...", layout=JudgePrompt.messages)
        ```

    Attributes:
        sampler: The judge. Its value is a text, or an object or dict with `score` and `reason`.
        rubric: What to grade by; it helps to say what earns the worst and the best score.
        scale: Worst and best score that the judge may give; verdicts hold them as 0 and 1.
        options: Settings of its calls.
        layout: What its sampler takes: `str` for one text, or `JudgePrompt.messages`.
        name: Shown in verdicts and spans.
        exact: Never.
        calls: Model calls per verdict.

    Raises:
        UsageError: The sampler is not callable, the rubric is empty or the scale does not rise.
    """

    sampler: Callable[..., object]
    rubric: str = field(kw_only=True)
    scale: tuple[int, int] = field(default=(0, 10), kw_only=True)
    options: Options | None = field(default=None, kw_only=True)
    layout: Callable[[JudgePrompt], object] = field(default=str, kw_only=True)
    name: str = field(default="judge", kw_only=True)
    exact: bool = field(default=False, init=False, repr=False)
    calls: int = field(default=1, init=False, repr=False)

    def __post_init__(self) -> None:
        """See that it can judge."""
        check_called(self.sampler)
        if not self.rubric.strip():
            raise UsageError("rubric", self.rubric, "say what earns which score")
        if not self.scale[0] < self.scale[1]:
            raise UsageError("scale", self.scale, "give the worst score, then a higher best one")

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Ask the judge, and read its answer strictly.

        Raises:
            Exception: What the sampler raises; in a run this becomes an "error" verdict.
        """
        judge = cast("Sampler[object, object]", self.sampler)
        asked = self.request(sample, prompt=prompt)
        reply = await call(judge, asked, role="verify", options=self.options)
        if reply.finish_reason in _CUT_OFF:
            return self._error(sample, f"the judge stopped by {reply.finish_reason}")
        grade = grade_of(reply.value, scale=self.scale)
        if grade is None:
            return self._error(sample, "the judge did not answer with the JSON object asked for")
        return Verdict(
            outcome="scored",
            score=grade.score,
            feedback=grade.reason,
            verifier=self.name,
            sample=sample.index,
        )

    def request(self, sample: Sample[object], /, *, prompt: object) -> object:
        """What the judge is asked; by its size a run knows what to keep back for judging."""
        asked = judge_prompt(prompt, sample, rubric=self.rubric, scale=self.scale)
        return self.layout(asked)

    def _error(self, sample: Sample[object], why: str) -> Verdict:
        return Verdict(outcome="error", evidence=(why,), verifier=self.name, sample=sample.index)
