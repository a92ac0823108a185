"""What the tokens of a call cost."""

from __future__ import annotations

import pickle
import warnings
from decimal import Decimal
from types import SimpleNamespace

import pytest

from thinktwice.errors import ThinktwiceWarning, UsageError
from thinktwice.pricing import Price, PriceTable, default_prices, table
from thinktwice.sample import Usage

PRICE = Price("1.25", "10", cache_read="0.125", cache_write="2.5")
USAGE = Usage(input_tokens=1000, output_tokens=200)


def usage(input_tokens: int | None, output_tokens: int | None, **others: int) -> Usage:
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens, **others)


def unlisted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the package of list prices were not installed."""
    monkeypatch.setattr(table, "list_prices", lambda: None)
    table._warn_once.cache_clear()


def test_input_and_output_are_priced_per_million():
    """1,000 at 1.25 and 200 at 10."""
    assert PRICE.of(USAGE) == Decimal("0.00325")


def test_cached_tokens_are_part_of_the_input():
    """400 read, 100 written, and 500 at the full price."""
    cached = usage(1000, 0, cache_read_tokens=400, cache_write_tokens=100)
    assert PRICE.of(cached) == (500 * Decimal("1.25") + 400 * Decimal("0.125") + 250) / 1_000_000


def test_cached_tokens_without_a_price_cost_as_input():
    """The honest guess: never less than it may be."""
    cached = usage(1000, 0, cache_read_tokens=400, cache_write_tokens=100)
    assert Price("1.25", "10").of(cached) == Price("1.25", "10").of(usage(1000, 0))


def test_a_cache_larger_than_the_input_was_counted_beside_it():
    """Some providers report the input without its cached part."""
    apart = usage(100, 0, cache_read_tokens=400)
    assert PRICE.of(apart) == PRICE.of(usage(500, 0, cache_read_tokens=400))


def test_reasoning_is_inside_the_output():
    """It is not charged twice."""
    assert PRICE.of(usage(0, 200, reasoning_tokens=150)) == PRICE.of(usage(0, 200))


@pytest.mark.parametrize("partial", [usage(None, 1), usage(1, None), Usage()])
def test_unknown_tokens_are_unpriced_unless_free(partial: Usage):
    """None, and never 0; nothing times anything is 0."""
    assert PRICE.of(partial) is None
    assert Price.free().of(partial) == 0


def test_a_free_input_alone_is_not_free():
    """The output may cost."""
    assert not Price(0, "1").is_free
    assert not Price(0, 0, cache_write="1").is_free
    assert Price.free().is_free


@pytest.mark.parametrize("amount", ["1.5", Decimal("1.50"), 1.5], ids=["str", "Decimal", "float"])
def test_amounts_are_read_as_they_print(amount: str | Decimal | float):
    """A float is not the binary fraction that it holds."""
    assert Price(amount, 0.1) == Price("1.5", "0.1")


@pytest.mark.parametrize(
    "amount", ["-1", "x", "nan", "sNaN", float("inf"), None, True, "1e400", "1000000001"]
)
def test_an_amount_that_is_none_is_refused(amount: str):
    """With the unit that is expected."""
    with pytest.raises(UsageError, match="USD per million tokens"):
        Price("1", amount)


def test_repr_is_the_constructor():
    """Prices and tables can be pasted."""
    table = PriceTable({"m": PRICE, "n": Price(0, "1E+2")})
    assert repr(PRICE) == "Price('1.25', '10', cache_read='0.125', cache_write='2.5')"
    pasted = eval(repr(table))  # noqa: S307 - our own text
    assert pasted == table
    assert hash(pasted) == hash(table)


def test_prices_pickle():
    """As part of a strategy or a policy."""
    table = PriceTable({"m": PRICE})
    assert pickle.loads(pickle.dumps(table)) == table  # noqa: S301 - our own bytes


TABLE = PriceTable({"m": PRICE, "p/m": Price("2", "2"), "local/*": Price.free(), "a/b": PRICE})


@pytest.mark.parametrize(
    ("model", "provider", "cost"),
    [
        ("m", None, "0.00325"),
        ("m", "q", "0.00325"),
        ("m", "p", "0.0024"),
        ("models/m", "p", "0.0024"),
        ("a/b", None, "0.00325"),
        ("b", "a", "0.00325"),
        ("any", "local", "0"),
        (None, "local", "0"),
        ("m-2025-08-07", None, "0.00325"),
        ("m-20250807", "p", "0.0024"),
        ("m-2025", None, None),
        ("ft:m:acme", None, None),
        (None, None, None),
    ],
)
def test_a_table_finds_by_provider_and_model(
    model: str | None, provider: str | None, cost: str | None
):
    """The most exact name counts; a name that is not there is not guessed."""
    found = TABLE.price(USAGE, model=model, provider=provider)
    assert found == (None if cost is None else Decimal(cost))


def test_a_table_copies_its_prices():
    """Changing the dict afterwards changes nothing."""
    prices = {"m": PRICE}
    table = PriceTable(prices)
    prices.clear()
    assert table.price(USAGE, model="m", provider=None) is not None


@pytest.mark.parametrize("prices", [{"m": "1.25"}, {5: PRICE}, {None: PRICE}, [PRICE], None])
def test_a_table_of_anything_else_is_refused(prices: dict[str, Price]):
    """The message shows the shape."""
    with pytest.raises(UsageError, match=r"Price\(input, output\)"):
        PriceTable(prices)


def test_the_dearest_price_is_still_a_float():
    """So that what it comes to can be written to a span."""
    dearest = Price(table.DEAREST, table.DEAREST).of(usage(10**9, 10**9))
    assert float(dearest) == 2e12


def test_overrides_come_first(monkeypatch: pytest.MonkeyPatch):
    """A discount of your own beats the list."""
    listed = PriceTable({"m": Price("9", "9"), "n": Price("9", "9")})
    monkeypatch.setattr(table, "list_prices", lambda: listed)
    prices = default_prices({"m": PRICE})
    assert prices.price(USAGE, model="m", provider=None) == PRICE.of(USAGE)
    assert prices.price(USAGE, model="n", provider=None) == Decimal("0.0108")


def test_overrides_may_be_a_source():
    """Anything with `price`."""
    source = SimpleNamespace(price=lambda usage, *, model, provider: Decimal(7))
    assert default_prices(source).price(USAGE, model=None, provider=None) == 7


def test_other_overrides_are_refused():
    """As early as possible."""
    with pytest.raises(UsageError, match=r"pass \{model: Price"):
        default_prices("gpt-5")  # type: ignore[arg-type]


def test_the_first_unpriced_call_warns_once(monkeypatch: pytest.MonkeyPatch):
    """It names the extra, and the process hears it once."""
    unlisted(monkeypatch)
    with pytest.warns(ThinktwiceWarning, match=r"pip install thinktwice\[prices\]"):
        assert default_prices().price(USAGE, model="m", provider=None) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert default_prices().price(USAGE, model="m", provider=None) is None


def test_nothing_unpriced_is_no_warning(monkeypatch: pytest.MonkeyPatch):
    """Nor is what no list of prices could help."""
    unlisted(monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prices = default_prices({"m": Price.free()})
        assert prices.price(Usage(), model="m", provider=None) == 0
        assert prices.price(Usage(), model="other", provider=None) is None
        assert prices.price(USAGE, model=None, provider=None) is None
