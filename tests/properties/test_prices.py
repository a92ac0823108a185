"""The algebra of prices: exact, and in one order whatever the file says."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import Usage
from thinktwice.pricing import Price, PriceFile, default_prices

amounts = st.decimals(0, 100, places=4)  # few digits: a product fits into the 28 of Decimal
parts = st.decimals(0, 1, places=3)
factors = st.decimals(0, 10, places=2)
worths = st.decimals("0.01", 100, places=2)
counts = st.integers(0, 10**6)


@st.composite
def usages(draw):
    """A call whose parts do not exceed the whole."""
    plain, read, write, output = (draw(counts) for _ in range(4))
    return Usage(
        input_tokens=plain + read + write,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=write,
        source="provider",
    )


def read(text, **settings):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "prices.toml"
        path.write_text(text)
        return PriceFile(path, **settings)


@given(rates=st.tuples(*[amounts] * 4), worth=worths, factor=factors, usage=usages())
def test_a_price_in_another_currency_and_tier_is_exact(rates, worth, factor, usage):
    """Rate times worth times factor, token by token, without a digit lost."""
    names = ("input", "output", "cache_read", "cache_write")
    lines = "\n".join(f'{name} = "{rate}"' for name, rate in zip(names, rates, strict=True))
    text = f'currency="EUR"\nusd="{worth}"\n[models.m]\n{lines}\n[tiers]\nbatch="{factor}"\n'
    plain = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
    tokens = (plain, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
    euros = sum(count * rate for count, rate in zip(tokens, rates, strict=True))
    expected = euros * worth * factor / 10**6
    found = read(text, tier="batch").price(usage, model="m", provider=None)
    assert found == expected
    told = replace(usage, tier="batch")
    assert read(text).price(told, model="m", provider=None) == found


@given(discount=parts, factor=factors, usage=usages())
def test_a_discount_and_a_tier_are_taken_once_each(discount, factor, usage):
    """In either order, off the list price."""
    pytest.importorskip("genai_prices")
    text = f'[discounts]\n"openai/*"="{discount}"\n"*"="0.9"\n[tiers]\nbatch="{factor}"\n'
    listed = default_prices().price(usage, model="gpt-5", provider="openai")
    found = read(text, tier="batch").price(usage, model="gpt-5", provider="openai")
    assert found == listed * (1 - discount) * factor


@given(rates=st.tuples(*[amounts] * 4), one=usages(), other=usages())
def test_prices_add_up(rates, one, other):
    """Two calls cost what their sum costs, and never less than either."""
    price = Price(*rates)
    assert price.of(one) + price.of(other) == price.of(one + other)
    assert price.of(one + other) >= max(price.of(one), price.of(other))
    assert Price.free().of(one) == Decimal(0)
