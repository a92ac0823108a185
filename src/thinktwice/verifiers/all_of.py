"""Several verifiers as one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

from thinktwice.errors import UsageError
from thinktwice.sample import Verdict
from thinktwice.tool_runs import verdict_by
from thinktwice.verifiers.adapt import as_verifier, broken, check_verifier, is_verifier
from thinktwice.verifiers.tool import Tool, check_timeout, guarded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from _typeshed import DataclassInstance

    from thinktwice.entry import Role
    from thinktwice.protocols import Verifier
    from thinktwice.sample import Sample
    from thinktwice.verifiers.adapt import Check

PATIENCE: Final = 60.0
"""Seconds for a check without a limit of its own: time for a test suite, and none for a hang."""


@dataclass(frozen=True, init=False, repr=False)
class AllOf:
    """Passes what all of its verifiers pass; a judge cannot overturn a failed test.

    Those that call no model run first, at the same time. If one of them fails the others are not
    asked: that saves their calls, and nothing they could say would change the verdict.

    The verdict is the first of these that holds: "fail" if one fails, with the feedback of all that
    did; "error" if one broke; "not_applicable" if there was nothing to check for any; "scored" with
    the lowest score if one scored; "pass".

    Cost: the model calls of all of them at the most, and none where a check without calls fails.

    Attributes:
        verifiers: Verifiers, or callables of the value; these become a `Tool`.
        timeout: Seconds for each that calls no model and has no `timeout` of its own; one that
            takes longer is an "error". None for no limit. Calls of models may wait for their turn,
            and are bound by the budget.

    Raises:
        UsageError: No verifier, or what is none.
    """

    verifiers: tuple[Verifier[object], ...]
    timeout: float | None

    def __init__(
        self, *verifiers: Verifier[object] | Check, timeout: float | None = PATIENCE
    ) -> None:
        if not verifiers:
            raise UsageError("verifiers", verifiers, "give at least one verifier")
        check_timeout(timeout)
        made = tuple(_as_tool(each, timeout) for each in verifiers)
        object.__setattr__(self, "verifiers", made)
        object.__setattr__(self, "timeout", timeout)

    @property
    def name(self) -> str:
        """Those of its verifiers."""
        return "+".join(each.name for each in self.verifiers)

    @property
    def exact(self) -> bool:
        """All of its verifiers are."""
        return all(each.exact for each in self.verifiers)

    @property
    def calls(self) -> int:
        """The model calls of all of its verifiers."""
        return sum(map(_calls, self.verifiers))

    @property
    def role(self) -> Role:
        """In the ledger: "tool" if none of its verifiers calls a model."""
        return "verify" if self.calls else "tool"

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Ask those that call no model, then the others, and put together what they say."""
        free = [each for each in self.verifiers if not _calls(each)]
        paid = [each for each in self.verifiers if _calls(each)]
        said = await asked(free, sample, prompt=prompt, timeout=self.timeout)
        if not any(verdict.outcome == "fail" for verdict in said):
            said += await asked(paid, sample, prompt=prompt, timeout=self.timeout)
        return replace(together(said), verifier=self.name, sample=sample.index)

    def __repr__(self) -> str:
        return written(self)


async def asked(
    verifiers: Sequence[Verifier[object]],
    sample: Sample[object],
    *,
    prompt: object,
    timeout: float | None = None,  # noqa: ASYNC109 - of each that has none of its own
) -> list[Verdict]:
    """Ask at the same time; each hears one cancel at the most, and its clean-up is awaited.

    Args:
        verifiers: Whom to ask.
        sample: What they judge.
        prompt: What it answers.
        timeout: Seconds for each that calls no model and has no `timeout` of its own.
    """
    asking = (_one(each, sample, prompt, timeout) for each in verifiers)
    said = await asyncio.gather(*asking, return_exceptions=True)
    return [_verdict(each, by.name) for each, by in zip(said, verifiers, strict=True)]


async def _one(
    verifier: Verifier[object], sample: Sample[object], prompt: object, seconds: float | None
) -> Verdict:
    unlimited = _calls(verifier) or hasattr(verifier, "timeout")

    async def ask() -> Verdict:
        return await verdict_by(verifier, sample, prompt=prompt)

    return await guarded(ask(), None if unlimited else seconds)


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict of several, the gravest of them; see `AllOf`."""
    outcome = min(verdicts, key=lambda each: _GRAVITY.index(each.outcome)).outcome
    decisive = [each for each in verdicts if each.outcome == outcome]
    counted = [each for each in verdicts if each.outcome != "not_applicable"]
    scores = [each.score for each in counted if each.score is not None]
    corrections = (each.correction for each in decisive if each.correction is not None)
    return Verdict(
        outcome=outcome,
        score=min(scores, default=None) if outcome in {"fail", "scored", "pass"} else None,
        feedback="\n".join(each.feedback for each in decisive if each.feedback) or None,
        evidence=tuple(_evidence(decisive, named=outcome == "error" and len(verdicts) > 1)),
        missing=tuple(dict.fromkeys(what for each in decisive for what in each.missing)),
        correction=next(corrections, None),
    )


_GRAVITY = ("fail", "error", "scored", "pass", "not_applicable")


def _evidence(verdicts: Iterable[Verdict], *, named: bool) -> Iterable[str]:
    """In their words; who broke has no other way to say its name."""
    for verdict in verdicts:
        for line in verdict.evidence:
            yield f"{verdict.verifier}: {line}" if named else line


def _verdict(said: Verdict | BaseException, name: str) -> Verdict:
    """Under the name of who said it; what has to end the run leaves."""
    if isinstance(said, asyncio.CancelledError):  # nobody else did: that would have ended all
        said = broken("cancelled itself")
    if isinstance(said, BaseException):
        raise said
    return replace(said, verifier=said.verifier or name)


def _as_tool(given: Verifier[object] | Check, timeout: float | None) -> Verifier[object]:
    """A verifier as it is, a plain callable as a tool."""
    check_verifier(given)
    if is_verifier(given):
        return as_verifier(given)
    return Tool(given, timeout=timeout, exact=getattr(given, "exact", False) is True)


def _calls(verifier: Verifier[object]) -> int:
    return getattr(verifier, "calls", 0)


def written(thing: DataclassInstance) -> str:
    """A dataclass as its constructor is written whose first field is given one by one."""
    first, *others = fields(thing)
    named = [f"{each.name}={getattr(thing, each.name)!r}" for each in others]
    return f"{type(thing).__name__}({', '.join([*map(repr, getattr(thing, first.name)), *named])})"
