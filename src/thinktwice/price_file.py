"""Prices in a file of one's own: what was agreed on, in whatever currency."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final, cast

from thinktwice.errors import UsageError
from thinktwice.pricing import Price, PriceTable, list_prices
from thinktwice.sample import Usage

_RATES: Final = ("input", "output", "cache_read", "cache_write")
_KNOWN: Final = frozenset({"currency", "discounts", "models", "tiers", "usd"})
_ONE: Final = Decimal(1)


class PriceFile:
    """A price source for `prices=`: what a TOML file says, which is read once, when this is made.

    ```toml
    currency = "EUR"             # of the prices below; USD unless said otherwise
    usd = "1.08"                 # what one of it is worth in USD

    [models."my-model"]          # or "provider/model", or "provider/*" for all of a provider
    input = "1.25"               # per million tokens
    output = "10"
    cache_read = "0.125"         # as the input unless said otherwise; likewise cache_write

    [models."local/*"]
    free = true

    [discounts]                  # off the list price of models that have no price above
    "openai/gpt-5" = "0.2"
    "openai/*" = "0.15"          # "*" is for all models

    [tiers]                      # what service tiers cost, as a part of the standard one
    batch = "0.5"
    priority = "1.7"
    ```

    A model with neither a price nor a discount is at its list price, which the extra `prices`
    brings. Amounts are numbers or, so that nothing is rounded, texts.

    Attributes:
        path: The file.
        currency: That its prices are in. What it returns is in USD.
        tier: The service tier whose prices these are.
    """

    def __init__(self, path: str | Path, *, tier: str | None = None) -> None:
        """Read a file.

        Args:
            path: The file.
            tier: The service tier that calls are made in, one of those in the file; its factor
                holds for list prices as well. None for the standard one.

        Raises:
            UsageError: It cannot be read, or something in it makes no sense; names what.
        """
        self.path = Path(path)
        content = _Content(self.path)
        self.currency = content.currency
        self.tier = tier
        self._prices = PriceTable(content.prices())
        self._discounts = content.factors("discounts", most=_ONE)
        self._factor = _ONE if tier is None else _factor(content.factors("tiers"), tier)

    def __repr__(self) -> str:
        """The constructor."""
        tier = "" if self.tier is None else f", tier={self.tier!r}"
        return f"PriceFile({str(self.path)!r}{tier})"

    def price(self, usage: Usage, *, model: str | None, provider: str | None) -> Decimal | None:
        """USD of one call; None where neither the file nor the list knows it."""
        found = self._prices.price(usage, model=model, provider=provider)
        if found is None:
            found = self._discounted(usage, model, provider)
        return None if found is None else found * self._factor

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that it has prices of, as they stand in it."""
        return tuple(self._prices.prices)

    def discount(self, *, model: str, provider: str | None) -> Decimal | None:
        """What it takes off a list price, as a part of it; None for a model that it has a price of.

        Args:
            model: The model.
            provider: Who serves it.
        """
        nothing = Usage(input_tokens=0, output_tokens=0, source="provider")
        if self._prices.price(nothing, model=model, provider=provider) is not None:
            return None
        return self._off(model, provider)

    def _off(self, model: str | None, provider: str | None) -> Decimal:
        names = (f"{provider}/{model}", str(model), f"{provider}/*", "*")
        found = (self._discounts[name] for name in names if name in self._discounts)
        return next(found, Decimal(0))

    def _discounted(self, usage: Usage, model: str | None, provider: str | None) -> Decimal | None:
        listed = list_prices()
        found = None
        if listed is not None:
            found = listed.price(usage, model=model, provider=provider)
        return None if found is None else found * (_ONE - self._off(model, provider))


class _Content:
    """What is in a file, looked at piece by piece."""

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._fields = tomllib.load(file, parse_float=Decimal)
        except OSError as error:
            remedy = f"it cannot be read: {error.strerror}"
            raise UsageError("path", str(path), remedy) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError("path", str(path), f"it is no TOML: {error}") from None
        for name in self._fields.keys() - _KNOWN:
            raise UsageError(
                name, self._fields[name], f"a price file has {', '.join(sorted(_KNOWN))}"
            )
        self.currency, self._usd = self._read_currency()

    def _read_currency(self) -> tuple[str, Decimal]:
        currency = self._fields.get("currency", "USD")
        if not isinstance(currency, str) or not currency:
            raise UsageError("currency", currency, "give its code, such as 'EUR'")
        if currency != "USD" and "usd" not in self._fields:
            remedy = f"give what one {currency} is worth in USD, such as usd = '1.08'"
            raise UsageError("usd", None, remedy)
        worth = _number("usd", self._fields.get("usd", 1))
        if worth == 0:
            raise UsageError("usd", worth, "give an amount above 0")
        return currency, worth

    def prices(self) -> dict[str, Price]:
        """Price by name, in USD."""
        return {name: self._price(name, given) for name, given in self._table("models").items()}

    def _price(self, name: str, given: object) -> Price:
        where = f"models.{name}"
        if not isinstance(given, Mapping):
            raise UsageError(where, given, "give a table with input and output, or free = true")
        rates = dict(cast("Mapping[str, object]", given))
        if rates == {"free": True}:
            return Price.free()
        for unknown in rates.keys() - set(_RATES):
            raise UsageError(
                f"{where}.{unknown}", rates[unknown], f"a price has {', '.join(_RATES)}"
            )
        for needed in ("input", "output"):
            if needed not in rates:
                raise UsageError(f"{where}.{needed}", None, "give it, per million tokens")
        amounts = {each: _number(f"{where}.{each}", rates[each]) * self._usd for each in rates}
        return Price(**amounts)

    def factors(self, name: str, *, most: Decimal | None = None) -> dict[str, Decimal]:
        """Numbers by name."""
        read = {each: _number(f"{name}.{each}", at) for each, at in self._table(name).items()}
        for each, factor in read.items():
            if most is not None and factor > most:
                raise UsageError(f"{name}.{each}", factor, f"give a part, from 0 to {most}")
        return read

    def _table(self, name: str) -> Mapping[str, object]:
        table = self._fields.get(name, {})
        if not isinstance(table, Mapping):
            raise UsageError(name, table, f"give a table: [{name}]")
        return cast("Mapping[str, object]", table)


def _factor(tiers: Mapping[str, Decimal], tier: str) -> Decimal:
    if tier not in tiers:
        known = ", ".join(sorted(tiers)) or "none"
        raise UsageError("tier", tier, f"the file has under [tiers]: {known}")
    return tiers[tier]


def _number(name: str, given: object) -> Decimal:
    try:
        number = Decimal(str(given))
    except ArithmeticError:
        number = Decimal("NaN")
    if isinstance(given, bool) or not number.is_finite() or number < 0:
        raise UsageError(name, given, "give a number from 0 on, or one as a text")
    return number
