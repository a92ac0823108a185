"""Language models that say what is wrong with a sample: a critic, and a reflection on a failure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from thinktwice.answers import text_in
from thinktwice.calls import call, check_called
from thinktwice.errors import UsageError
from thinktwice.repair import cleaned
from thinktwice.sample import Verdict
from thinktwice.verifiers.judge_prompt import material
from thinktwice.verifiers.material import JudgePrompt, framed
from thinktwice.verifiers.reply import CUT_OFF, fields_of, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from thinktwice.entry import Role
    from thinktwice.protocols import Options, Sampler
    from thinktwice.sample import Completion, Sample

MOST_SAID: Final = 500
"""Characters of one statement of a model that goes on into feedback."""

_CRITIC: Final = "You look for the first mistake in a candidate answer to a task."
_REQUEST: Final = """\
Go through the candidate from its beginning, and check each step against the task. Do not look for \
a mistake where there is none: other words, or another form, are no mistake.

Answer with one JSON object and nothing else. If every step holds: {"issue": null}. Else:
{"issue": "<quote the first wrong part, and say in a sentence what is wrong with it>"}"""

_REFLECTING: Final = "You look back at an attempt at a task that failed."
_LESSON: Final = """\
The attempt failed a check; what the check said is in the material. In a sentence or two, say why \
it failed and what to do another way next time. Do not give the answer itself."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What verifiers that ask a model for words have in common.

    Attributes:
        sampler: The model.
        options: Settings of its calls.
        layout: What its sampler takes: `str` for one text, or `JudgePrompt.messages`.
        exact: Never.
        role: What its calls are for.
    """

    sampler: Callable[..., object] = field(kw_only=False)
    options: Options | None = None
    layout: Callable[[JudgePrompt], object] = str
    exact: bool = field(default=False, init=False, repr=False)
    role: Role = field(default="critique", init=False, repr=False)

    def __post_init__(self) -> None:
        """See that it can be asked."""
        check_called(self.sampler)

    async def reply(self, asked: JudgePrompt) -> Completion[object]:
        """What the model says."""
        sampler = cast("Sampler[object, object]", self.sampler)
        return await call(sampler, self.layout(asked), role="critique", options=self.options)


@dataclass(frozen=True, kw_only=True)
class Critic(Asked):
    """Asks a language model for the first mistake in a sample: none is a pass, one is a fail.

    Its pass is no proof. A model that made a mistake often does not see it: studies find no gain
    from repairs on the word of a model alone (Huang et al. 2023, arXiv:2310.01798; Kamoi et al.
    2024, arXiv:2406.01297). Measure what it is worth before you rely on it, or give a verifier that
    runs, computes or looks up something.

    The candidate is data in its prompt, as for `Judge`. What it cannot judge, or says in another
    form than it was asked to, is an "error" verdict.

    Cost: one call of the sampler per verdict, which reads what the sample read and wrote.

    Attributes:
        sampler: The critic. Its value is a text, or an object or dict with `issue`.
        options: Settings of its calls.
        layout: What its sampler takes: `str` for one text, or `JudgePrompt.messages`.
        name: Shown in verdicts and spans.
        exact: Never.
        calls: Model calls per verdict.
        role: What its calls are for.

    Raises:
        UsageError: The sampler is not callable.
    """

    name: str = "critic"
    calls: int = field(default=1, init=False, repr=False)

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Ask for the first mistake, and read the answer strictly.

        Raises:
            Exception: What the sampler raises; in a run this becomes an "error" verdict.
        """
        return issue_in(await self.reply(self._prompt(sample, prompt)))

    def request(self, sample: Sample[object], /, *, prompt: object) -> object:
        """What the critic is asked; by its size a run knows what to keep back for it."""
        return self.layout(self._prompt(sample, prompt))

    def _prompt(self, sample: Sample[object], prompt: object) -> JudgePrompt:
        return framed(_CRITIC, material(prompt, None, candidate=sample), _REQUEST)


@dataclass(frozen=True, kw_only=True)
class Reflection(Asked):
    """Asks a language model why an attempt failed, and what to do another way (Reflexion).

    Shinn et al. 2023, arXiv:2303.11366. It is no check: its verdict is a fail, with the reflection
    as the feedback, since it is asked about attempts that failed.

    Cost: one call of the sampler.

    Attributes:
        said: What the check said of the attempt.
        name: Shown in spans.
        calls: Model calls.
    """

    said: str
    name: str = "reflection"
    calls: int = field(default=1, init=False, repr=False)

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Ask for the lesson.

        Raises:
            Exception: What the sampler raises; in a run this becomes an "error" verdict.
        """
        parts = [*material(prompt, None, attempt=sample), ("check", self.said)]
        lesson = said_in(await self.reply(framed(_REFLECTING, parts, _LESSON)))
        if lesson is None:
            return Verdict(outcome="error", evidence=("there was no reflection to read",))
        return Verdict(outcome="fail", feedback=lesson)


def issue_in(reply: Completion[object]) -> Verdict:
    """A pass or a fail, from a reply that is exactly one JSON object with `issue`."""
    fields = None if reply.finish_reason in CUT_OFF else fields_of(reply.value, "issue")
    issue = fields["issue"] if fields else False
    if issue is None:
        return Verdict(outcome="pass")
    if not isinstance(issue, str) or not issue.strip():
        return Verdict(outcome="error", evidence=(unreadable(reply),))
    return Verdict(outcome="fail", feedback=cleaned(issue.strip(), MOST_SAID))


def said_in(reply: Completion[object]) -> str | None:
    """The text of a reply, cut to size; None if it has none, or was cut short."""
    try:
        text = None if reply.finish_reason in CUT_OFF else text_in(reply.value)
    except UsageError:
        text = reply.text
    return cleaned(text.strip(), MOST_SAID) or None if text else None
