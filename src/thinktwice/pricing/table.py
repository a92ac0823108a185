"""Money: what the tokens of a call cost, in USD as Decimal.

A price source prices one call. It returns None where it does not know the price or the tokens, and
never 0 for want of knowledge. Two things are the caller's to decide, since no usage shows them: an
answer from a cache costs 0 (`Completion.cached`), and one request with several choices is priced
once.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from thinktwice.errors import ThinktwiceWarning, UsageError
from thinktwice.pricing.listed import INSTALL, MILLION, ZERO, GenaiPrices, billed, without_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from thinktwice.protocols import PriceSource
    from thinktwice.sample import Usage

__all__ = ["Amount", "GenaiPrices", "Price", "PriceTable", "default_prices"]

DEAREST: Final = Decimal(10) ** 9
"""The highest price that is taken: what is above it is a slip, and some of it no float can hold."""

_DATE: Final = re.compile(r"[-@]\d{4}-?\d{2}-?\d{2}$")

Amount: TypeAlias = Decimal | str | int | float
"""Money as the caller writes it; a float is read as it prints, so 0.1 is a tenth."""


@dataclass(frozen=True, init=False)
class Price:
    """What one model costs, in USD per million tokens.

    Attributes:
        input: Input tokens.
        output: Output tokens, hidden reasoning among them.
        cache_read: Input tokens read from the provider's cache; as `input` if None.
        cache_write: Input tokens written to it; as `input` if None.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal | None
    cache_write: Decimal | None

    def __init__(
        self,
        input: Amount,  # noqa: A002 - the field's word for it
        output: Amount,
        cache_read: Amount | None = None,
        cache_write: Amount | None = None,
    ) -> None:
        """Read the amounts.

        Raises:
            UsageError: An amount is no number, or not from 0 to 10**9.
        """
        amounts = {"input": input, "output": output}
        cached = {"cache_read": cache_read, "cache_write": cache_write}
        for name, amount in cached.items():
            object.__setattr__(self, name, None if amount is None else _decimal(name, amount))
        for name, amount in amounts.items():
            object.__setattr__(self, name, _decimal(name, amount))

    @classmethod
    def free(cls) -> Price:
        """The price of a model of your own: 0, whatever the usage, even where it is not known."""
        return cls(0, 0, 0, 0)

    @property
    def is_free(self) -> bool:
        """Whether nothing that the model does costs anything."""
        return not (self.input or self.output or self.cache_read or self.cache_write)

    def of(self, usage: Usage) -> Decimal | None:
        """USD of one call; None while its input or output tokens are not known."""
        tokens = billed(usage)
        if tokens is None:
            return ZERO if self.is_free else None
        total = self.input * tokens.plain + self.output * tokens.output
        if tokens.read:
            total += (self.input if self.cache_read is None else self.cache_read) * tokens.read
        if tokens.write:
            total += (self.input if self.cache_write is None else self.cache_write) * tokens.write
        return total / MILLION

    def __repr__(self) -> str:
        """The constructor, with amounts as text."""
        cached = {"cache_read": self.cache_read, "cache_write": self.cache_write}
        rates = (f"'{self.input:f}'", f"'{self.output:f}'")
        shown = [f"{name}='{rate:f}'" for name, rate in cached.items() if rate is not None]
        return f"Price({', '.join((*rates, *shown))})"


@dataclass(frozen=True)
class PriceTable:
    """Prices by name: of `"provider/model"`, of `"model"`, or of all models of `"provider/*"`.

    The first of these that is there counts. A dated model takes the price of the name without its
    date, unless it has one of its own: providers answer under dated names for what was asked for
    under the plain one. Else names are compared as they are, so that a fine-tuned model never takes
    another's price unseen.

    Attributes:
        prices: The prices, copied.
    """

    prices: Mapping[str, Price]

    def __post_init__(self) -> None:
        """Copy the prices.

        Raises:
            UsageError: It maps nothing, a name is no text, or a value is not a `Price`.
        """
        if not isinstance(cast("object", self.prices), Mapping):
            raise UsageError("prices", self.prices, "map each name to a Price(input, output)")
        for name, price in cast("Mapping[object, object]", self.prices).items():
            if not isinstance(name, str) or not isinstance(price, Price):
                raise UsageError("prices", {name: price}, "map each name to a Price(input, output)")
        object.__setattr__(self, "prices", dict(self.prices))

    def __hash__(self) -> int:
        """By content, as equality is."""
        return hash(frozenset(self.prices.items()))

    def price(self, usage: Usage, *, model: str | None, provider: str | None) -> Decimal | None:
        """USD of one call; None for a model that is not in the table or tokens not known."""
        found = self._find(model, provider)
        return None if found is None else found.of(usage)

    def _find(self, model: str | None, provider: str | None) -> Price | None:
        prices = self.prices
        for name in () if model is None else spellings(model):
            if provider is not None and (price := prices.get(f"{provider}/{name}")) is not None:
                return price
            if (price := prices.get(name)) is not None:
                return price
        return None if provider is None else prices.get(f"{provider}/*")


def default_prices(overrides: Mapping[str, Price] | PriceSource | None = None) -> PriceSource:
    """The prices of a run: yours first, then the list prices if `genai-prices` is installed.

    A call that both leave open is unpriced. Where the package is missing, the first such call of
    the process warns once and names the extra.

    Args:
        overrides: Prices by name (see `PriceTable`), or a source of your own.

    Raises:
        UsageError: The overrides are neither.
    """
    if overrides is None:
        return _Layered(None)
    if isinstance(overrides, Mapping):
        return _Layered(PriceTable(overrides))
    if not callable(getattr(overrides, "price", None)):
        raise UsageError("prices", overrides, "pass {model: Price(...)} or an object with price()")
    return _Layered(overrides)


@dataclass(frozen=True)
class _Layered:
    """The overrides, then the list."""

    overrides: PriceSource | None

    def price(self, usage: Usage, *, model: str | None, provider: str | None) -> Decimal | None:
        """USD of one call; None when neither knows it."""
        if self.overrides is not None:
            found = self.overrides.price(usage, model=model, provider=provider)
            if found is not None:
                return found
        if model is None or usage.input_tokens is None or usage.output_tokens is None:
            return None  # no list of prices would help
        listed = list_prices()
        if listed is None:
            _warn_once()
            return None
        return listed.price(usage, model=model, provider=provider)


@functools.cache
def list_prices() -> GenaiPrices | None:
    """The list prices, if there are any; one for the process, so that models are looked up once."""
    return GenaiPrices() if importlib.util.find_spec("genai_prices") is not None else None


@functools.cache
def load_list_prices() -> None:
    """Read the list prices now, if there are any: half a second, at the first time."""
    listed = list_prices()
    if listed is not None:
        listed.load()


@functools.cache
def _warn_once() -> None:
    warnings.warn(
        f"a call has no price, so its cost is None: run `{INSTALL}` for list prices, "
        "or pass prices={model: Price(input, output)}",
        ThinktwiceWarning,
        stacklevel=2,
    )


def spellings(model: str) -> Iterable[str]:
    """Names that prices of a model may stand under, narrowest first."""
    bare = without_path(model)
    return dict.fromkeys((model, bare, _DATE.sub("", bare)))


def amount_of(given: object) -> Decimal | None:
    """A number from 0 to `DEAREST`, read as it prints; None for anything else."""
    try:
        value = Decimal(str(given))
        return value if 0 <= value <= DEAREST else None
    except (InvalidOperation, ValueError):  # no number, a NaN, or more digits than are printed
        return None


def _decimal(name: str, amount: Amount) -> Decimal:
    value = amount_of(amount)
    if value is None:
        remedy = f"give USD per million tokens, such as '1.25', {DEAREST:,} at most"
        raise UsageError(name, amount, remedy)
    return value
