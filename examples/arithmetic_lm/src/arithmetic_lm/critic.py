"""Verifiers for `thinktwice`: the check the model has learnt, and exact ones of two families."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from thinktwice import Sample, Verdict
from thinktwice.calls import call, check_called
from thinktwice.texts import text_of

from .asking import asked_in, check_prompt, question_in
from .assistant import Reply
from .countdown import countdown_fault, read_countdown
from .price import Fault, price_fault, read_price_list
from .problems import settled
from .skills import CHECKED_AT, PASSING, Check, read_check

if TYPE_CHECKING:
    from thinktwice import Completion
    from thinktwice.entry import Role
    from thinktwice.protocols import Sampler

_OPTIONS = {"temperature": CHECKED_AT, "seed": 0, "top_logprobs": 20, "effort": "medium"}


@dataclass(frozen=True)
class ArithmeticCritic:
    """The model checks a draft: `pass` or `fail`, with the probability of "ok" as the score.

    It works the lines again before it judges. It is a skill that the model has learnt on its own
    drafts, and it is often wrong: see `bench --skills` for how often. Its feedback quotes the line
    at which the draft became least likely.

    Cost: one call of the sampler, which reads question and draft and writes at most the length of
    the draft and a verdict.

    Attributes:
        sampler: An `ArithmeticSampler` of a model with skills.
        threshold: A draft passes from this probability of "ok" on.
        name: Shown in verdicts and spans.
        exact: Never.
        calls: Model calls per verdict.
        role: What its calls are for.

    Raises:
        UsageError: The sampler is not callable.
        ValueError: The threshold is not in [0, 1].
    """

    sampler: Callable[..., object]
    threshold: float = field(default=PASSING, kw_only=True)
    name: str = field(default="arithmetic critic", kw_only=True)
    exact: bool = field(default=False, init=False, repr=False)
    calls: int = field(default=1, init=False, repr=False)
    role: Role = field(default="critique", init=False, repr=False)

    def __post_init__(self) -> None:
        """See that it can be asked."""
        check_called(self.sampler)
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be in [0, 1], not {self.threshold}")

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Ask for the first wrong line, and read how sure the model is that there is none.

        Raises:
            Exception: What the sampler raises; in a run this becomes an "error" verdict.
        """
        question, draft = _question(prompt), settled(_text(sample))
        if question is None or not draft:
            return _nothing(sample, self.name)
        sampler = cast("Sampler[str, str]", self.sampler)
        asked = check_prompt(question, draft)
        reply = await call(sampler, asked, role=self.role, options=_OPTIONS)
        check = _check(draft, reply)
        if check is None:
            why = "the model cannot read the draft, or has not learnt to check"
            return Verdict(outcome="error", evidence=(why,), verifier=self.name)
        return self._verdict(sample, draft.splitlines(), check)

    def request(self, sample: Sample[object], /, *, prompt: object) -> object:
        """What is asked; by its size a run knows what to keep back for it."""
        return check_prompt(_question(prompt) or "", settled(_text(sample)))

    def _verdict(self, sample: Sample[object], lines: Sequence[str], check: Check) -> Verdict:
        if check.ok >= self.threshold:
            return Verdict(outcome="pass", score=check.ok, verifier=self.name, sample=sample.index)
        line = min(check.doubtful, len(lines))
        quoted = lines[line - 1]
        return Verdict(
            outcome="fail",
            score=check.ok,
            feedback=f"Line {line} is wrong: `{quoted}`. Work it out again, and what follows.",
            evidence=(quoted,),
            verifier=self.name,
            sample=sample.index,
        )


def _check(draft: str, reply: Completion[str]) -> Check | None:
    text = reply.text if reply.text is not None else str(reply.value)
    tokens = reply.raw.tokens if isinstance(reply.raw, Reply) else ()
    return read_check(draft, text, reply.logprobs, [dict(token.top) for token in tokens])


# ---- exact checks --------------------------------------------------------------------------------


@dataclass(frozen=True)
class FamilyCheck:
    """An exact check of the drafts of one family; see `price_check` and `countdown_check`.

    It computes, and calls no model. Its feedback quotes the first wrong line.

    Attributes:
        name: Shown in verdicts and spans.
        question: What the drafts answer; None takes it out of the prompt.
        is_of: Whether a question is of the family.
        fault: The first fault of a draft.
        exact: A pass is proof.
        calls: None.
        role: That of a tool.
    """

    name: str
    question: str | None
    is_of: Callable[[str], object] = field(repr=False)
    fault: Callable[[str, str], Fault | None] = field(repr=False)
    exact: bool = field(default=True, init=False, repr=False)
    calls: int = field(default=0, init=False, repr=False)
    role: Role = field(default="tool", init=False, repr=False)

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Check the draft."""
        question = _question(prompt if self.question is None else self.question)
        if question is None or not self.is_of(question):
            return _nothing(sample, self.name)
        draft = settled(_text(sample))
        fault = self.fault(question, draft)
        if fault is None:
            return Verdict(outcome="pass", verifier=self.name, sample=sample.index)
        lines = draft.splitlines()
        return Verdict(
            outcome="fail",
            feedback=f"Line {fault.line}: {fault.reason}.",
            evidence=tuple(lines[fault.line - 1 : fault.line]),
            verifier=self.name,
            sample=sample.index,
        )


def price_check(question: str | None = None) -> FamilyCheck:
    """Return a check against the list: rows, items, sums and the answer.

    A calculator that sees the lines alone passes a wrong row and an item left out.

    Args:
        question: What the drafts answer; None takes it out of the prompt.
    """
    return FamilyCheck("price check", question, read_price_list, price_fault)


def countdown_check(question: str | None = None) -> FamilyCheck:
    """Return a check of countdowns: lines true, every number used once, target reached.

    Args:
        question: What the drafts answer; None takes it out of the prompt.
    """
    return FamilyCheck("countdown check", question, read_countdown, countdown_fault)


def _nothing(sample: Sample[object], name: str) -> Verdict:
    return Verdict(outcome="not_applicable", verifier=name, sample=sample.index)


def _text(sample: Sample[object]) -> str:
    return sample.text if sample.text is not None else str(sample.value or "")


def _question(prompt: object) -> str | None:
    """Return the question in a text, or the first in chat messages."""
    if isinstance(prompt, Sequence) and not isinstance(prompt, str):
        messages = cast("Sequence[object]", prompt)
        found = (question_in(text_of([message])) for message in messages)
        return next((each for each in found if each is not None), None)
    asked = asked_in(text_of(prompt))
    return None if asked is None else asked.question
