"""Where what is spent from quotas is counted: the protocol, and its amounts."""

from __future__ import annotations

from decimal import ROUND_CEILING, Context, Decimal
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from thinktwice.lease import Sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.budget import Budget

PER_DOLLAR: Final = 10**12
_UP: Final = Context(prec=40, rounding=ROUND_CEILING)


class Amounts(NamedTuple):
    """Calls, tokens and money as whole numbers, which any store can add up exactly.

    Attributes:
        calls: Calls.
        tokens: Tokens.
        cost: USD times 10**12.
    """

    calls: int = 0
    tokens: int = 0
    cost: int = 0

    @classmethod
    def of(cls, sums: Sums) -> Amounts:
        """Round money up."""
        return cls(sums.calls, sums.tokens, _units(sums.cost))

    def plus(self, other: Amounts, sign: int = 1) -> Amounts:
        """With others, or with a sign of -1 without them."""
        return Amounts(
            self.calls + sign * other.calls,
            self.tokens + sign * other.tokens,
            self.cost + sign * other.cost,
        )

    def sums(self) -> Sums:
        """In the units of a ledger."""
        return Sums(self.calls, self.tokens, Decimal(self.cost) / PER_DOLLAR)


class Caps(NamedTuple):
    """What may be spent and held of each, all calls together; None is no cap."""

    calls: int | None = None
    tokens: int | None = None
    cost: int | None = None

    @classmethod
    def of(cls, budget: Budget) -> Caps:
        """The caps of a budget."""
        money = budget.money
        return cls(budget.calls, budget.tokens, None if money is None else _units(money))

    def allow(self, total: Amounts) -> bool:
        """Whether a total is within them."""
        return all(cap is None or each <= cap for cap, each in zip(self, total, strict=True))


class Hold(NamedTuple):
    """What is held for one call.

    Attributes:
        amounts: Taken off what others may hold, until it is settled or released, or its time is up.
        lost: Charged when its time is up, since nobody will tell any more what the call took.
    """

    amounts: Amounts
    lost: Amounts


class QuotaStore(Protocol):
    """Counts what all processes spend from quotas; each method is atomic.

    A quota is a name and the window that it counts in, as the UTC second in which that ends (0 for
    one that never does). A store keeps, for each, a sum of what was spent and the holds that are
    open; two days after its end it may forget a window. A ticket is whatever it finds a hold by.

    In Redis these are a hash for the sum and a hash or sorted set for the holds, and each method a
    script. What a method raises refuses the call that is about to be made, with a `RunError` that
    names its type alone, unless it is one of ours; and it is told once where the call has been
    made already. `check_quota_store` tries one out.
    """

    def totals(self, name: str, window: int) -> tuple[Amounts, Amounts]:
        """What was spent, and what is held; holds whose time is up count as spent, as `lost`."""
        ...

    def hold(
        self,
        name: str,
        window: int,
        holds: Sequence[Hold],
        *,
        caps: Caps | None,
        instead: object,
        seconds: float,
    ) -> Sequence[object] | None:
        """Hold all, if what is spent and held stays within the caps with them; else nothing.

        Args:
            name: Of the quota.
            window: Its window.
            holds: One for each call.
            caps: What may be spent and held; None to hold it whatever there is.
            instead: A ticket that is given up for it as by `release`, if it succeeds; or None.
            seconds: Until nobody will settle them any more.

        Returns:
            A ticket for each hold; None where they do not fit.
        """
        ...

    def settle(self, name: str, window: int, ticket: object, spent: Amounts) -> None:
        """A call has ended: charge it, and free its hold.

        Args:
            name: Of the quota.
            window: Its window.
            ticket: Of its hold, which may have run out of time: then what it was charged as lost
                is given back. None to charge something, or to give it back where that is negative.
            spent: What it took.
        """
        ...

    def release(self, ticket: object) -> None:
        """No call was made: free its hold, or give back what it was charged as lost."""
        ...


def _units(dollars: Decimal) -> int:
    return int((dollars * PER_DOLLAR).to_integral_value(context=_UP))
