"""What a run returns."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from thinktwice.tables import html_table

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from thinktwice.budget import Limit
    from thinktwice.ledger import Ledger
    from thinktwice.sample import Sample, Verdict
    from thinktwice.stop import Claim, Stop

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, kw_only=True, repr=False)
class Outcome(Generic[T_co]):
    """What a strategy decides; `Run` makes a `Result` of it.

    Attributes:
        winner: The sample that is returned; None when every sample abstained or failed.
        agreement: Weighted share of the usable votes that the winner's answer got.
        settled: Probability that the full vote agrees, with the claim behind it.
        stopped_by: The rule that ended the run.
        used: Finished draws that took part in the decision; all of them if it does not say.
        composed: The winner is a sample with another value in its place: put together of several,
            or corrected.
        shares: By path, the share of the votes that the winner's fields got.
        changes: What was corrected in the winner's value: what stood there, and what stands there.
    """

    winner: Sample[T_co] | None
    agreement: float | None = None
    settled: Claim | None = None
    stopped_by: Stop | Limit | None = None
    used: int | None = None
    composed: bool = False
    shares: Mapping[str, float] = field(default_factory=dict[str, float])
    changes: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        """One line without content."""
        return f"<Outcome: {self.winner!r}, stopped by {self.stopped_by!r}>"


@dataclass(frozen=True, kw_only=True, repr=False)
class Result(Generic[T_co]):
    """An answer, and all that was done and paid for to get it.

    Attributes:
        value: The winning value, exactly as the sampler returned it unless it was composed; None
            when all abstained.
        answer: The key it was counted by.
        winner: The winning sample; if its value was composed, the closest one with that value.
        samples: Every finished draw, in launch order, failed ones included.
        launched: Draws started, those recalled in flight included: what was paid for.
        hedges: Those of them that were started in the slots of stragglers.
        used: Finished draws that took part in the decision. One that finished in the same instant
            as the deciding one is in `samples` and was not counted.
        verdicts: What verifiers said, in launch order of their samples.
        agreement: Weighted share of the usable votes that the answer got; None without a vote. In a
            vote on fields, that of the field with the least.
        settled: Probability that the full vote agrees, with the claim or why there is none.
        confidence: P(correct); None unless a calibration is loaded.
        stopped_by: The rule or the budget that ended the run.
        warnings: What the caller should know, without content.
        ledger: Every call with its tokens, cost and time.
        nested: Results of the strategies that ran inside the samples.
        composed: The value is put together of several samples, or corrected; none of them has all
            of it.
        shares: In a vote on fields, the share of the votes that each got, by path.
        changes: What a tool corrected in the value: what stood there, and what stands there now.
    """

    value: T_co | None
    answer: Hashable | None
    winner: Sample[T_co] | None
    samples: tuple[Sample[T_co], ...]
    launched: int
    used: int
    hedges: int = 0
    verdicts: tuple[Verdict, ...] = ()
    agreement: float | None = None
    settled: Claim | None = None
    confidence: float | None = None
    stopped_by: Stop | Limit | None = None
    warnings: tuple[str, ...] = ()
    ledger: Ledger
    nested: tuple[Result[object], ...] = field(default=())
    composed: bool = False
    shares: Mapping[str, float] = field(default_factory=dict[str, float])
    changes: tuple[tuple[str, str], ...] = ()

    @property
    def cut(self) -> Limit | None:
        """The budget that cut the run short, if one did."""
        from thinktwice.budget import Limit

        return self.stopped_by if isinstance(self.stopped_by, Limit) else None

    def summary(self) -> dict[str, object]:
        """The run in a few numbers, fit for JSON: what adapters put on a response.

        `stopped_by` is the rule that ended it, or the kind of the cap: "calls", "tokens", "cost" or
        "seconds".
        """
        from thinktwice.budget import Limit

        ended, total = self.stopped_by, self.ledger.total
        rule = None if ended is None else repr(ended)
        return {
            "launched": self.launched,
            "used": self.used,
            "agreement": self.agreement,
            "stopped_by": ended.kind if isinstance(ended, Limit) else rule,
            "cost": None if total.cost is None else float(total.cost),
            "tokens": total.usage.total_tokens if self.ledger.entries else 0,
        }

    def __repr__(self) -> str:
        """One line without content."""
        facts = [f"{len(self.samples)} samples"]
        if self.changes:
            facts.append(f"{len(self.changes)} corrections")
        elif self.composed:
            facts.append("composed")
        if self.agreement is not None:
            of = (
                f" in the least agreed of {len(self.shares)} fields" if len(self.shares) > 1 else ""
            )
            facts.append(f"agreement {self.agreement:.2f}{of}")
        return f"<Result: {', '.join(facts)}, stopped by {self.stopped_by!r}, {self.ledger}>"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>{self._shares_html()}{self.ledger.to_html()}"

    def _shares_html(self) -> str:
        """A table of the fields, the least agreed first."""
        if not self.shares:
            return ""
        shares = sorted(self.shares.items(), key=lambda each: each[1])
        rows = ((path, f"{share:.2f}") for path, share in shares)
        return html_table(rows, head=("field", "agreement"))
