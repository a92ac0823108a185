"""Check an answer by tools, and mend, correct or refuse it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar, cast, get_args

from thinktwice.answers import awaited_key
from thinktwice.errors import UsageError
from thinktwice.repair import check_rounds, repair
from thinktwice.result import Outcome
from thinktwice.strategy import (
    Strategy,
    check_callables,
    check_inside,
    nested_calls,
    nested_draws,
)
from thinktwice.verifiers.adapt import check_verifier
from thinktwice.verifiers.all_of import PATIENCE, AllOf, written

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from thinktwice.protocols import Verifier
    from thinktwice.run import Run
    from thinktwice.sample import Correction, Sample, Verdict
    from thinktwice.verifiers.adapt import Check

P = TypeVar("P")
T = TypeVar("T")

OnFail: TypeAlias = Literal["repair", "inject", "reject"]

BROKE: Final = "a tool broke, so the answer stands as if unchecked: see result.verdicts"
REJECTED: Final = "the answer failed a check and was rejected, so the value is None"
UNCORRECTED: Final = "the answer failed a check and stands: no correction of it was safe"
UNMENDED: Final = "the answer failed a check and stands: with the correction it did not pass"


@dataclass(frozen=True, init=False, repr=False)
class ToolCheck(Strategy):
    """Draw a sample, check it by tools, and do something about one that fails.

    Each tool decides whether it applies, runs, and says what it found; `AllOf` puts that together.
    What happens to an answer that fails:

    - "repair": it is drawn again with what the tools said, as by `CritiqueRepair`.
    - "inject": what a tool computed is put in its place, where the tool says that this is safe, and
      nothing else is touched; `result.changes` shows it. The corrected answer is checked once more
      and replaces the draft if nothing is found wrong, and no tool breaks. Costs no draw.
    - "reject": there is no answer. Inside a vote or best-of-N it abstains.

    A tool that breaks, hangs or returns nonsense fails nothing: the answer stands, and a warning
    says so. After CRITIC (Gou et al. 2023, arXiv:2305.11738).

    Cost: one draw, and the model calls of the tools, if any. "repair": up to 1 + `rounds` of each.
    "inject": up to twice those of the tools.

    Attributes:
        tools: Verifiers, such as `Calculator()` or `Schema(Invoice)`, or callables of the value.
        on_fail: What to do about an answer that fails.
        rounds: Draws after the first at the most, for "repair".
        timeout: As in `AllOf`: seconds for each tool without a limit of its own.
        key: What answers are told apart by, as in `Vote`.
        of: The strategy inside: what is checked is then the answer of a run of it.

    Raises:
        UsageError: No tool, what is none, or another unusable parameter.
    """

    tools: tuple[Verifier[object] | Check, ...]
    on_fail: OnFail
    rounds: int
    timeout: float | None
    key: str | Callable[..., Hashable | None] | None
    of: Strategy | None

    def __init__(
        self,
        *tools: Verifier[object] | Check,
        on_fail: OnFail = "repair",
        rounds: int = 2,
        timeout: float | None = PATIENCE,
        key: str | Callable[..., Hashable | None] | None = None,
        of: Strategy | None = None,
    ) -> None:
        if not tools:
            raise UsageError("tools", tools, "give at least one, such as Schema(Invoice)")
        for tool in tools:
            check_verifier(tool, "tools")
        if on_fail not in get_args(OnFail):
            raise UsageError("on_fail", on_fail, "give 'repair', 'inject' or 'reject'")
        check_rounds(rounds, 1)
        check_inside(of)
        check_callables(key=key)
        given = {"tools": tools, "on_fail": on_fail, "rounds": rounds, "timeout": timeout}
        for name, value in {**given, "key": key, "of": of}.items():
            object.__setattr__(self, name, value)
        _ = self.verifier

    @property
    def verifier(self) -> AllOf:
        """The tools as one."""
        return AllOf(*self.tools, timeout=self.timeout)

    @property
    def draws(self) -> int:
        """One and those of the rounds, times those of the strategy inside."""
        return nested_draws(1 + self._rounds, self.of)

    @property
    def calls(self) -> int | None:
        """One a draw, and those of checking it."""
        checks = self.verifier.calls * (1 if self.on_fail == "reject" else 2)
        return nested_calls(1 + self._rounds, self.of, judging=checks)

    @property
    def _rounds(self) -> int:
        return self.rounds if self.on_fail == "repair" else 0

    async def __call__(self, run: Run[P, T]) -> Outcome[T]:
        """Draw, check, and do as `on_fail` says."""
        if self.on_fail == "repair":
            return await repair(run, self.verifier, rounds=self.rounds)
        draft = await run.sample()
        if draft.error is not None or draft.answer is None:
            return Outcome(winner=None)
        run.offer(Outcome(winner=draft))
        verdict = await run.verify(draft, self.verifier)
        if verdict.outcome == "error":
            run.warn(BROKE, aloud=True)
        if verdict.outcome != "fail":
            return Outcome(winner=draft)
        if self.on_fail == "reject":
            run.warn(REJECTED)
            return Outcome(winner=None)
        return await self._injected(run, draft, verdict)

    async def _injected(self, run: Run[P, T], draft: Sample[T], failed: Verdict) -> Outcome[T]:
        """The corrected draft, if there is one that does not fail."""
        if failed.correction is None:
            run.warn(UNCORRECTED)
            return Outcome(winner=draft)
        corrected = await self._corrected(draft, failed.correction)
        again = await run.verify(corrected, self.verifier)
        if again.outcome in {"fail", "error"}:
            run.verdicts[draft.index] = failed  # what is said of the answer that stands
            run.warn(UNMENDED)
            return Outcome(winner=draft)
        return Outcome(winner=corrected, composed=True, changes=failed.correction.changes)

    async def _corrected(self, draft: Sample[T], correction: Correction) -> Sample[T]:
        value = correction.value
        return replace(
            draft,
            value=cast("T", value),
            answer=await awaited_key(self.key)(value),
            text=value if isinstance(value, str) else None,
            logprobs=None,
            top_logprobs=None,
        )

    def __repr__(self) -> str:
        return written(self)
