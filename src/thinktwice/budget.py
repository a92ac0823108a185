"""Hard caps of one request."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar, runtime_checkable

from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from fractions import Fraction

    from thinktwice.lease import Sums

N = TypeVar("N", int, float, Decimal)

Kind = Literal["calls", "tokens", "cost", "seconds"]
Level = Literal["exact", "reserved", "estimated"]

DEFAULT_SECONDS: Final = 600.0
_TO_SIX_DIGITS: Final = Context(prec=6, rounding=ROUND_DOWN)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Hard caps of one request; None is no cap.

    Never exceeded while the provider keeps to its max tokens: `calls` and `seconds` are enforced
    exactly, `tokens` and `cost` by reserving the worst case of a call before it is sent, where
    model, price and max tokens are known. Where they are not, one call goes first as a probe, and
    then as many as the 95th percentile of those seen affords (`ledger.enforcement` says which).

    Attributes:
        calls: Calls of models, verifying ones included.
        tokens: Input and output tokens.
        cost: USD, as a string, an int or a Decimal.
        seconds: Wall-clock time from the start of the request.
        strict: Refuse a call whose worst case is not known, before it is sent.

    Raises:
        UsageError: A cap that is not above 0, or a cost that is a float or no number.
    """

    calls: int | None = None
    tokens: int | None = None
    cost: Decimal | str | int | None = None
    seconds: float | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        """Check the caps and turn the cost into a Decimal."""
        if self.cost is not None:
            object.__setattr__(self, "cost", _money(self.cost))
        for kind in ("calls", "tokens"):
            cap = getattr(self, kind)
            if cap is not None and (not isinstance(cap, int) or isinstance(cap, bool)):
                raise UsageError(kind, cap, "give a whole number")
        if isinstance(self.seconds, bool) or not isinstance(self.seconds, int | float | None):
            raise UsageError("seconds", self.seconds, "give a number of seconds")
        for kind in ("calls", "tokens", "cost", "seconds"):
            cap = getattr(self, kind)
            if cap is not None and not 0 < cap < math.inf:
                remedy = "a cap must be above 0 and finite; leave it out for no cap"
                raise UsageError(kind, cap, remedy)

    @property
    def money(self) -> Decimal | None:
        """The cost cap as a Decimal."""
        return self.cost if isinstance(self.cost, Decimal) else None

    def tightened(self, other: Budget) -> Budget:
        """Cap by cap the lower of the two."""
        return Budget(
            calls=_lower(self.calls, other.calls),
            tokens=_lower(self.tokens, other.tokens),
            cost=_lower(self.money, other.money),
            seconds=_lower(self.seconds, other.seconds),
            strict=self.strict or other.strict,
        )


@dataclass(frozen=True, kw_only=True)
class Share(Budget):
    """A part of what was left of other caps, which may be nothing: 0 is a cap here."""

    def __post_init__(self) -> None:
        """Leave out the checks: a share is made of caps that passed them."""

    @classmethod
    def of(cls, left: Mapping[Kind, Decimal | float], part: Fraction, *, later: int = 0) -> Share:
        """Take a part of what is left of each cap; what has no cap gets none.

        Calls and tokens are rounded, halves up. Of calls it is at least one, and no more than
        leaves one for each later step, as far as there are so many.

        Args:
            left: What is left, by kind.
            part: In (0, 1].
            later: Steps that are still to come.
        """
        cost, seconds = left.get("cost"), left.get("seconds")
        return cls(
            calls=_whole_part(left.get("calls"), part, later),
            tokens=_whole_part(left.get("tokens"), part, 0),
            cost=None if cost is None else _part_of_money(Decimal(cost), part),
            seconds=None if seconds is None else float(seconds) * float(part),
        )

    def after(self, used: Sums, left: Mapping[Kind, Decimal | float]) -> Share:
        """The same caps, lowered to what was used of them and what is left for the rest.

        Args:
            used: What was spent or is held of it.
            left: What is left around it, by kind.
        """
        return Share(
            calls=_within(self.calls, used.calls, left.get("calls")),
            tokens=_within(self.tokens, used.tokens, left.get("tokens")),
            cost=_within(self.money, used.cost, left.get("cost")),
            seconds=self.seconds,
        )


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A cap that refused a call or cut a run short; stands in `result.stopped_by`.

    Attributes:
        kind: Which cap.
        allowed: What it allows.
        spent: What was spent when it bound, as far as it was counted.
        uncounted: What calls of unknown size or price were charged on top: all that they held.
        overrun: By how much a call came out above its reservation and so above the cap, else 0.
        apart: What was set apart: for parts of a workflow that were under way, or for a call that
            selects among the samples.
        needed: What the call that was refused would take at the most, as far as it is known.
        owner: Whose cap it is; see `Ledger.bound_by`.
        quota: Name of the quota whose cap it is; None of any other budget.
        renews_at: When that quota starts anew; None of one that never does.
    """

    kind: Kind
    allowed: Decimal | float
    spent: Decimal | float
    uncounted: Decimal | float = 0
    overrun: Decimal | float = 0
    apart: Decimal | float = 0
    needed: Decimal | float = field(default=0, repr=False, compare=False)
    owner: object = field(default=None, repr=False, compare=False)
    quota: str | None = field(default=None, repr=False)
    renews_at: datetime | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """One line."""
        over = f", overrun {_plain(self.overrun)}" if self.overrun else ""
        uncounted = _plain(self.uncounted)
        held = f", {uncounted} charged for what nobody counted" if self.uncounted else ""
        apart = f", {_plain(self.apart)} set apart" if self.apart else ""
        spent = f"{_plain(self.spent)} spent{held}{apart}{over}"
        allowed = _plain(self.allowed)
        unit = _UNIT[self.kind]
        whose = "budget" if self.quota is None else f"quota {self.quota!r}"
        renews = f"; anew at {self.renews_at:%Y-%m-%d %H:%M} UTC" if self.renews_at else ""
        units = unit[0] if allowed == "1" else unit[1]
        left = Decimal(self.allowed) - sum(map(Decimal, (self.spent, self.uncounted, self.apart)))
        if self.kind != "seconds" and 0 < left < Decimal(self.needed):
            how = f"has {_plain(left)} left, and a call takes up to {_plain(self.needed)}"
        else:
            how = "used up"
        return f"{whose} of {allowed} {units} {how} ({spent}){renews}"

    @property
    def remedy(self) -> str:
        """What helps."""
        raised = f"raise Budget({self.kind}=...)"
        if self.quota is None:
            return f"{raised} or ask for less"
        wait = "wait until then, " if self.renews_at and self.needed <= self.allowed else ""
        return f"{wait}ask for less or {raised} of that quota"

    def as_it_ended(self) -> Limit:
        """With what was spent once all calls that were in flight then had ended."""
        if self.kind == "seconds" or self.apart or not isinstance(self.owner, _Owner):
            return self
        now = self.owner.limit(self.kind)
        calls = self.kind == "calls"
        over = max(0, int(now.spent) - int(now.allowed)) if calls else self.overrun
        return replace(self, spent=now.spent, uncounted=now.uncounted, overrun=over)

    def __reduce__(self) -> tuple[Callable[..., Limit], tuple[object, ...]]:
        """Pickle without the owner, which is bound to a process."""
        amounts = (getattr(self, each) for each in _AMOUNTS)
        return _limit, (self.kind, self.quota, self.renews_at, *amounts)


@runtime_checkable
class _Owner(Protocol):
    """Who keeps the books of a cap."""

    def limit(self, kind: Kind, overrun: Decimal | float = 0) -> Limit:
        """The cap as it stands."""
        ...


@dataclass(frozen=True, kw_only=True)
class Need:
    """The worst case of one call; None is not known.

    Attributes:
        calls: Calls that it counts as.
        tokens: Input and output tokens at most.
        cost: USD at most.
        kind: Which calls it resembles, for estimates where the worst case is not known.
    """

    calls: int = 1
    tokens: int | None = None
    cost: Decimal | None = None
    kind: str = ""


_AMOUNTS: Final = ("allowed", "spent", "uncounted", "overrun", "apart", "needed")
_UNIT: Final[Mapping[Kind, tuple[str, str]]] = {
    "calls": ("call", "calls"),
    "tokens": ("token", "tokens"),
    "cost": ("USD", "USD"),
    "seconds": ("second", "seconds"),
}


def _limit(
    kind: Kind, quota: str | None, renews_at: datetime | None, *amounts: Decimal | float
) -> Limit:
    named = dict(zip(_AMOUNTS, amounts, strict=True))
    return Limit(**named, kind=kind, quota=quota, renews_at=renews_at)


def _plain(amount: Decimal | float) -> str:
    """Without an exponent, or zeros at the end: 0.0000001, and not 1E-7."""
    return f"{amount.normalize():f}" if isinstance(amount, Decimal) else str(amount)


def _money(cost: object) -> Decimal:
    if isinstance(cost, bool) or not isinstance(cost, Decimal | str | int):
        raise UsageError("cost", cost, "give USD as a string such as '0.05', an int or a Decimal")
    try:
        money = Decimal(cost)
    except InvalidOperation:
        raise UsageError("cost", cost, "give USD as a string such as '0.05'") from None
    if not money.is_finite():
        raise UsageError("cost", cost, "give a finite amount of USD")
    return money


def _lower(left: N | None, right: N | None) -> N | None:
    if left is None or right is None:
        return left if right is None else right
    return min(left, right)


def _within(cap: N | None, used: N, left: Decimal | float | None) -> N | None:
    if cap is None or left is None:
        return cap
    return min(cap, used + type(cap)(left))


def _whole_part(left: Decimal | float | None, part: Fraction, later: int) -> int | None:
    if left is None:
        return None
    whole = int(left)
    rounded = (2 * whole * part.numerator + part.denominator) // (2 * part.denominator)
    return min(whole, max(1, min(rounded, whole - later)))


def _part_of_money(left: Decimal, part: Fraction) -> Decimal:
    """Exact where it is all; else what rounding takes off is left for others."""
    if part == 1:
        return left
    many = _TO_SIX_DIGITS.multiply(left, Decimal(part.numerator))
    return _TO_SIX_DIGITS.divide(many, Decimal(part.denominator))
