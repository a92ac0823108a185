"""One call in a ledger, and sums of calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from thinktwice.sample import NO_USAGE, Usage, added

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from thinktwice.lease import Sums

Role = Literal["sample", "verify", "critique", "repair", "tool", "classify"]
"""What a call is for; "tool" is a check that runs something of its own."""

Status = Literal["ok", "error", "cancelled", "abandoned"]

ZERO: Final = Decimal(0)


def dollars(cost: Decimal | None) -> str:
    """A price for people: four significant decimals; "unpriced" for None."""
    if cost is None:
        return "unpriced"
    return f"${cost:,.4f}" if cost >= Decimal("0.001") or not cost else f"${cost:.2g}"


@dataclass(frozen=True, kw_only=True, repr=False)
class Entry:
    """One call in the ledger: of a model, or of a tool that checked a sample.

    Attributes:
        role: What the call was for.
        status: "ok", "error", "cancelled" (recalled in flight) or "abandoned" (could not be
            recalled; it settles late into the same entry).
        usage: Its tokens; `usage.source` says who counted.
        cost: USD; None while unpriced.
        seconds: Latency, without queueing.
        queued: Seconds that it waited for limiters before it left.
        model: The model called.
        provider: Who serves it.
        sample: Index of the sample it belongs to.
        cached: Answered from a cache of the caller's.
        called: A model was called; False where a tool ran instead.
        error: Type and status of what it raised.
    """

    role: Role
    status: Status
    usage: Usage = field(default=Usage())
    cost: Decimal | None = None
    seconds: float = 0.0
    queued: float = 0.0
    model: str | None = None
    provider: str | None = None
    sample: int | None = None
    cached: bool = False
    called: bool = True
    error: str | None = None

    def __repr__(self) -> str:
        """One line without content."""
        return (
            f"<Entry {self.role} {self.status}: sample {self.sample}, "
            f"{self.usage.total_tokens} tokens, {dollars(self.cost)}, {self.seconds:.2f} s>"
        )


@dataclass(frozen=True, kw_only=True)
class Total:
    """A sum of entries.

    Attributes:
        calls: How many called a model.
        tools: How many ran a tool instead, which costs time alone.
        usage: Their tokens, as far as known.
        cost: Their cost in USD as far as known; None when none is.
        unpriced: How many have no known cost: `cost` is complete when this is 0.
        seconds: Their latencies added up (not the wall-clock time).
        queued: Their waiting for limiters added up, in seconds.
    """

    calls: int = 0
    tools: int = 0
    usage: Usage = NO_USAGE
    cost: Decimal | None = None
    unpriced: int = 0
    seconds: float = 0.0
    queued: float = 0.0

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Total:
        """Add entries up."""
        kept = list(entries)
        called = [entry for entry in kept if entry.called]
        costs = [entry.cost for entry in called if entry.cost is not None]
        return cls(
            calls=len(called),
            tools=len(kept) - len(called),
            usage=added([entry.usage for entry in called]) if called else NO_USAGE,
            cost=_known(costs, len(called) - len(costs)),
            unpriced=len(called) - len(costs),
            seconds=sum(entry.seconds for entry in kept),
            queued=sum((entry.queued for entry in kept), 0.0),
        )

    def __add__(self, other: Total) -> Total:
        """The sum of both."""
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        unpriced = self.unpriced + other.unpriced
        return Total(
            calls=self.calls + other.calls,
            tools=self.tools + other.tools,
            usage=self.usage + other.usage,
            cost=_known(costs, unpriced),
            unpriced=unpriced,
            seconds=self.seconds + other.seconds,
            queued=self.queued + other.queued,
        )


def _known(costs: Iterable[Decimal], unpriced: int) -> Decimal | None:
    """A sum of costs; None where others have no price and these are nothing, such as refusals."""
    known = sum(costs, ZERO)
    return known if known or not unpriced else None


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a session has spent, in plain numbers that outlive a process.

    Attributes:
        calls: Of models.
        input_tokens: As far as known; None when none are.
        output_tokens: As far as known; None when none are.
        cost: USD as far as known; None when none is.
        unpriced: Calls of unknown cost: without a price, or recalled before anybody counted them.
        seconds: On its clock.
        uncounted_tokens: What calls of unknown size were charged on top.
        uncounted_cost: What calls of unknown price were charged on top, in USD.
    """

    calls: int = 0
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cost: Decimal | None = ZERO
    unpriced: int = 0
    seconds: float = 0.0
    uncounted_tokens: int = 0
    uncounted_cost: Decimal = ZERO

    @classmethod
    def of(cls, total: Total, *, seconds: float, uncounted: Sums) -> Spent:
        """What a ledger says."""
        nothing = 0 if total.usage == NO_USAGE else None  # as there was no call, or it was refused
        read, written = total.usage.input_tokens, total.usage.output_tokens
        return cls(
            calls=total.calls,
            input_tokens=nothing if read is None else read,
            output_tokens=nothing if written is None else written,
            cost=total.cost,
            unpriced=total.unpriced,
            seconds=seconds,
            uncounted_tokens=uncounted.tokens,
            uncounted_cost=uncounted.cost,
        )

    @property
    def total(self) -> Total:
        """As a sum of entries, to add to others."""
        usage = Usage(input_tokens=self.input_tokens, output_tokens=self.output_tokens)
        return Total(
            calls=self.calls,
            usage=usage if self.calls else NO_USAGE,
            cost=self.cost,
            unpriced=self.unpriced,
        )

    @property
    def tokens(self) -> int | None:
        """Input and output tokens, as far as known; None when none are."""
        return self.total.usage.total_tokens if self.calls else 0

    def as_dict(self) -> dict[str, int | float | None]:
        """Fit for JSON; what nobody counted is left out where there is none."""
        uncounted = {
            "uncounted_tokens": self.uncounted_tokens,
            "uncounted_cost": float(self.uncounted_cost),
        }
        return {
            "calls": self.calls,
            "tokens": self.tokens,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost": None if self.cost is None else float(self.cost),
            "unpriced": self.unpriced,
            "seconds": round(self.seconds, 3),
            **{name: amount for name, amount in uncounted.items() if amount},
        }

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Spent:
        """What `as_dict` wrote."""
        plain = {name: kept[name] for name in cls.__dataclass_fields__ if name in kept}
        for name in {"cost", "uncounted_cost"} & plain.keys():
            plain[name] = None if plain[name] is None else Decimal(str(plain[name]))
        return cls(**plain)
