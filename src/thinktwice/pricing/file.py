"""Prices in a file of one's own: what was agreed on, in whatever currency."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final, cast

from thinktwice.errors import UsageError
from thinktwice.folders import named_path
from thinktwice.pricing.listed import ZERO, listed_tiers
from thinktwice.pricing.table import DEAREST, Price, PriceTable, amount_of, list_prices, spellings
from thinktwice.sample import Usage

if TYPE_CHECKING:
    from pathlib import Path

_RATES: Final = ("input", "output", "cache_read", "cache_write")
_KNOWN: Final = frozenset({"currency", "discounts", "models", "tiers", "usd"})
_ONE: Final = Decimal(1)
_LONG: Final = re.compile(r"(?<![\w.])[+-]?\d[\d_]{600,}(?![\w.])")  # no limit of Python is lower
_QUOTES: Final = 'write a name with a dot in quotes, such as "{}", else TOML takes it apart'


class PriceFile:
    """A price source for `prices=`: what a TOML file says, which is read once, when this is made.

    ```toml
    currency = "EUR"             # of the prices below; USD unless said otherwise
    usd = "1.08"                 # what one of it is worth in USD: for other currencies alone

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
    brings. A tier that is not in the file costs what the list says, and where that says nothing,
    as much as the standard one. Amounts are numbers or, so that nothing is rounded, texts.

    Attributes:
        path: The file.
        currency: That its prices are in. What it returns is in USD.
        tier: The service tier of calls whose response names none.
    """

    def __init__(self, path: str | Path, *, tier: str | None = None) -> None:
        """Read a file.

        Args:
            path: The file.
            tier: The service tier that calls are made in, where their response does not say it
                (`Usage.tier`): one of those in the file, whose factor holds for list prices as
                well, or one that the list has. None for the standard one.

        Raises:
            UsageError: It cannot be read, or something in it makes no sense; names what.
        """
        self.path = named_path(path)
        content = _Content(self.path)
        try:
            content.read()
        except UsageError as error:
            where = f"{self.path}: {error.parameter}"
            raise UsageError(where, error.value, error.remedy) from None
        self.currency = content.currency
        self.tier = tier
        self._prices = PriceTable(content.prices)
        self._discounts = content.discounts
        self._factors = content.tiers
        if tier is not None:
            check_tier(tier, self._factors)

    def __repr__(self) -> str:
        """The constructor."""
        tier = "" if self.tier is None else f", tier={self.tier!r}"
        return f"PriceFile({str(self.path)!r}{tier})"

    def price(self, usage: Usage, *, model: str | None, provider: str | None) -> Decimal | None:
        """USD of one call; None where neither the file nor the list knows it."""
        tier = usage.tier or self.tier
        factor = None if tier is None else self._factors.get(tier.lower())
        asked = tier if factor is None else None
        if asked != usage.tier:
            usage = replace(usage, tier=asked)
        found = self._own(usage, model, provider)
        if found is None:
            found = self._discounted(usage, model, provider)
        return found if found is None or factor is None else found * factor

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
        if self._own(nothing, model, provider) is not None:
            return None
        return self._off(model, provider)

    def _own(self, usage: Usage, model: str | None, provider: str | None) -> Decimal | None:
        """The price of the file, under the name of the provider that was heard or the list's."""
        found = self._prices.price(usage, model=model, provider=provider)
        if found is None and model is not None and (listed := _listed(model, provider)) is not None:
            found = self._prices.price(usage, model=model, provider=listed[0])
        return found

    def _off(self, model: str, provider: str | None) -> Decimal:
        """The discount of the narrowest name, of those that were heard and those of the list."""
        named = [(provider, each) for each in spellings(model)]
        if (listed := _listed(model, provider)) is not None:
            named.append(listed)
        names = [name for server, each in named for name in (f"{server}/{each}", each)]
        names += [*(f"{server}/*" for server, _ in named), "*"]
        return next((self._discounts[name] for name in names if name in self._discounts), ZERO)

    def _discounted(self, usage: Usage, model: str | None, provider: str | None) -> Decimal | None:
        listed = list_prices()
        if listed is None or model is None:
            return None
        found = listed.price(usage, model=model, provider=provider)
        return None if found is None else found * (_ONE - self._off(model, provider))


def _listed(model: str, provider: str | None) -> tuple[str, str] | None:
    """Provider and model, as the list prices have them."""
    listed = list_prices()
    return None if listed is None else listed.name(model, provider)


class _Content:
    """What is in a file, looked at piece by piece."""

    def __init__(self, path: Path) -> None:
        try:
            text = path.read_bytes().decode("utf-8-sig")  # editors of Windows write such a mark
            self._fields = _parsed(text)
        except OSError as error:
            remedy = f"{path.name} cannot be read: {error.strerror}"
            raise UsageError("path", str(path), remedy) from None
        except (ValueError, RecursionError) as error:
            remedy = f"{path.name} is no TOML: {error}"
            raise UsageError("path", str(path), remedy) from None

    def read(self) -> None:
        """Look at all of it.

        Raises:
            UsageError: Something in it makes no sense.
        """
        for name in self._fields.keys() - _KNOWN:
            raise UsageError(
                name, self._fields[name], f"a price file has {', '.join(sorted(_KNOWN))}"
            )
        self.currency, self._usd = self._read_currency()
        table = self._table("models")
        self.prices = {name: self._price(name, given) for name, given in table.items()}
        self.discounts = self._factors("discounts", most=_ONE)
        self.tiers = {name.lower(): each for name, each in self._factors("tiers").items()}
        for name in self.prices:
            _check_name(f"models.{name}", name)
        for name in self.discounts.keys() - {"*"}:
            _check_name(f"discounts.{name}", name)

    def _read_currency(self) -> tuple[str, Decimal]:
        currency = self._fields.get("currency", "USD")
        if not isinstance(currency, str) or not currency:
            raise UsageError("currency", currency, "give its code, such as 'EUR'")
        if currency.upper() != "USD" and "usd" not in self._fields:
            remedy = f"give what one {currency} is worth in USD, such as usd = '1.08'"
            raise UsageError("usd", None, remedy)
        worth = _number("usd", self._fields.get("usd", 1))
        if worth == 0:
            raise UsageError("usd", worth, "give an amount above 0")
        if currency.upper() == "USD" and worth != 1:
            remedy = "it is the worth of another currency: say which, such as currency = 'EUR'"
            raise UsageError("usd", self._fields["usd"], remedy)
        return currency, worth

    def _price(self, name: str, given: object) -> Price:
        where = f"models.{name}"
        if not isinstance(given, Mapping):
            raise UsageError(where, given, "give a table with input and output, or free = true")
        rates = dict(cast("Mapping[str, object]", given))
        if rates == {"free": True}:
            return Price.free()
        if "free" in rates:
            remedy = "a model has either free = true and nothing else, or input and output"
            raise UsageError(f"{where}.free", rates["free"], remedy)
        for unknown in rates.keys() - set(_RATES):
            remedy = f"a price has {', '.join(_RATES)}"
            if isinstance(rates[unknown], Mapping):
                remedy = _QUOTES.format(f"{name}.{unknown}")
            raise UsageError(f"{where}.{unknown}", rates[unknown], remedy)
        for needed in ("input", "output"):
            if needed not in rates:
                raise UsageError(f"{where}.{needed}", None, "give it, per million tokens")
        return Price(**{each: self._amount(f"{where}.{each}", rates[each]) for each in rates})

    def _amount(self, where: str, given: object) -> Decimal:
        """In USD."""
        amount = _number(where, given) * self._usd
        if amount > DEAREST:
            raise UsageError(where, given, f"a price is {DEAREST:,} USD at most")
        return amount

    def _factors(self, name: str, *, most: Decimal | None = None) -> dict[str, Decimal]:
        """Numbers by name."""
        table = self._table(name)
        for each, given in table.items():
            if isinstance(given, Mapping) and given:
                inner = cast("Mapping[str, object]", given)
                remedy = _QUOTES.format(f"{each}.{next(iter(inner))}")
                raise UsageError(f"{name}.{each}", inner, remedy)
        read = {each: _number(f"{name}.{each}", at) for each, at in table.items()}
        for each, factor in read.items():
            if most is not None and factor > most:
                raise UsageError(f"{name}.{each}", factor, f"give a part, from 0 to {most}")
        return read

    def _table(self, name: str) -> Mapping[str, object]:
        table = self._fields.get(name, {})
        if not isinstance(table, Mapping):
            raise UsageError(name, table, f"give a table: [{name}]")
        return cast("Mapping[str, object]", table)


def _parsed(text: str) -> dict[str, object]:
    """What is in a file; a number may have any length, so that it is refused under its key."""
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, RecursionError):
        raise
    except ValueError:  # an integer that is longer than Python reads one
        return tomllib.loads(_LONG.sub(r"\g<0>e0", text), parse_float=Decimal)


def _check_name(where: str, name: str) -> None:
    """What would match nothing must not pass for what does."""
    if not name.strip("/") or name != name.strip().strip("/"):
        raise UsageError(where, name, "write it as 'gpt-5', 'openai/gpt-5' or 'openai/*'")
    if "*" in name and (name.count("*") > 1 or not name.endswith("/*") or name == "/*"):
        remedy = "a star stands for all models of a provider: write it as 'openai/*'"
        raise UsageError(where, name, remedy)


def check_tier(tier: str, own: Mapping[str, Decimal]) -> None:
    """Check that somebody knows what a tier costs.

    Args:
        tier: The tier.
        own: Those of a file.

    Raises:
        UsageError: Nobody does.
    """
    if str(tier).lower() in own:
        return
    known = sorted({*own, *listed_tiers()})
    if tier not in known:
        remedy = f"known are {', '.join(known) or 'none'}: put it under [tiers] of a price file"
        raise UsageError("tier", tier, remedy)


def _number(name: str, given: object) -> Decimal:
    number = amount_of(given)
    if number is None:
        remedy = f"give a number from 0 to {DEAREST:,}, or one as a text"
        raise UsageError(name, given, remedy)
    return number
