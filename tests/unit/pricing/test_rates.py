"""Rates of a model from whatever price source."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import Price, Usage
from thinktwice.pricing import PriceFile, PriceTable, default_prices
from thinktwice.pricing.listed import listed_tiers
from thinktwice.pricing.rates import price_list, quote, rates_of
from thinktwice.pricing.table import list_prices

pytest.importorskip("genai_prices")

FILE = """
[models."mine"]
input = "1.25"
output = "10"
cache_read = "0.125"

[models."local/*"]
free = true

[discounts]
"openai/*" = "0.15"

[tiers]
batch = "0.5"
"""
amounts = st.decimals(0, 1000, places=4)
counts = st.integers(0, 10**6)


@pytest.fixture
def file(tmp_path):
    """Prices of one's own."""
    path = tmp_path / "prices.toml"
    path.write_text(FILE)
    return path


@given(rates=st.tuples(*[amounts] * 4), tokens=st.tuples(*[counts] * 4))
def test_rates_price_a_call_as_their_source_does(rates, tokens):
    """Token by token."""
    source = PriceTable({"m": Price(*rates)})
    found = rates_of(source, "m")
    assert found is not None
    plain, read, write, output = tokens
    usage = Usage(
        input_tokens=plain + read + write,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=write,
        source="provider",
    )
    by_rate = (
        plain * found.input
        + read * found.cache_read
        + write * found.cache_write
        + output * found.output
    )
    assert by_rate / 1_000_000 == source.price(usage, model="m", provider=None)
    assert not found.stepped
    assert found.reasoning == found.output
    assert found.request == 0


def test_a_fee_for_each_call_is_no_part_of_the_rates():
    """It is told apart."""

    class Source:
        def price(self, usage, *, model, provider):
            return Decimal("0.01") + Decimal(usage.input_tokens + 2 * usage.output_tokens) / 10**6

    found = rates_of(Source(), "m")
    assert found is not None
    assert (found.input, found.output, found.request) == (1, 2, Decimal("0.01"))


def test_a_list_price_with_steps_says_so():
    """Its rates are those of short inputs."""
    short = quote("gemini-2.5-pro").rates
    assert short is not None
    assert short.stepped
    usage = Usage(input_tokens=1000, output_tokens=0, source="provider")
    listed = list_prices()
    assert listed is not None
    expected = listed.price(usage, model="gemini-2.5-pro", provider=None)
    assert short.input == expected * 1000


class TestQuote:
    """Where a price comes from."""

    def test_the_list(self):
        """By the model, or by provider and model."""
        for name, provider in (("gpt-5", None), ("openai/gpt-5", "openai")):
            found = quote(name)
            assert (found.origin, found.model, found.provider) == ("list", "gpt-5", provider)
            assert found.discount == 0

    def test_the_file_comes_first(self, file):
        """And all of a provider can be free."""
        own = PriceFile(file)
        mine, local = quote("mine", own), quote("local/llama", own)
        assert (mine.origin, local.origin) == ("file", "file")
        assert mine.rates is not None
        assert local.rates is not None
        assert (mine.rates.input, mine.rates.cache_read) == (Decimal("1.25"), Decimal("0.125"))
        assert local.rates.output == 0
        assert own.models == ("mine", "local/*")

    def test_a_discount_off_the_list(self, file):
        """Of the provider that was named, and in the tier that was."""
        full, less = quote("openai/gpt-5").rates, quote("openai/gpt-5", PriceFile(file))
        half = quote("openai/gpt-5", PriceFile(file, tier="batch")).rates
        assert full is not None
        assert less.rates is not None
        assert half is not None
        assert (less.origin, less.discount) == ("list", Decimal("0.15"))
        assert less.rates.input == full.input * Decimal("0.85")
        assert half.input == less.rates.input / 2

    def test_nobody_knows_it(self, file):
        """Unpriced, and never free."""
        found = quote("acme/nobody-knows", PriceFile(file))
        assert (found.rates, found.origin, found.provider) == (None, "unpriced", None)

    def test_a_slash_in_the_name_of_a_model(self):
        """Is none between a provider and a model."""
        source = {"meta/llama": Price("1", "2")}
        assert rates_of(default_prices(source), "meta/llama") is not None


def test_the_list_says_how_old_it_is():
    """By the latest change in it that is in force: none is of tomorrow."""
    found = price_list()
    assert found is not None
    assert found.package.startswith("genai-prices ")
    if found.newest is not None:
        assert found.newest <= datetime.now(UTC).date()
        assert found.age is not None
        assert found.age >= 0


def test_without_the_extra_there_is_no_list(monkeypatch):
    """And nothing to say of its age."""
    monkeypatch.setattr("thinktwice.pricing.rates.list_prices", lambda: None)
    assert price_list() is None


def test_a_name_that_nobody_knows_is_met_by_names_like_it():
    """Of the list and of the file; none for what is like nothing."""
    assert "gpt-5" in quote("gpt5").near
    assert quote("gpt-5").near == ()
    assert quote("§§§§").near == ()


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("ft:gpt-4o-2024-08-06:acme::1", "openai/ft:gpt-4o-2024-08-06:acme::1"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "aws/us.anthropic.claude-haiku"),
        ("meta-llama/llama-3.1-8b-instruct", "/meta-llama/llama-3.1-8b-instruct"),
    ],
)
def test_a_name_that_has_a_price_at_a_provider_is_met_by_it_there(name, near):
    """Never by itself: what is named can be asked for."""
    found = quote(name)
    assert found.rates is None
    assert any(near in each for each in found.near)
    assert all(quote(each).rates for each in found.near)


def test_a_name_that_is_near_has_a_price():
    """Some of the list have one only where their provider is said."""
    for name in ("gpt-5-mini@latest", "openai/gpt-99", "claude-sonet-4-5"):
        near = quote(name).near
        assert near
        assert all(quote(each).rates for each in near)


def test_names_of_the_file_are_near_too(file):
    """They come from the same hand."""
    assert quote("mine2", PriceFile(file)).near[0] == "mine"


def test_a_tier_of_the_list_needs_no_file():
    """Where the list has it."""
    standard, batch = quote("openai/gpt-5").rates, quote("openai/gpt-5", tier="batch").rates
    if not listed_tiers():
        pytest.skip("the list of this version has no tiers")
    assert batch.input < standard.input


def test_a_tier_without_a_price_of_its_own_says_so(file):
    """It would pass for one that was agreed on."""
    own = PriceFile(file)
    assert not quote("mine", own).standard
    assert not quote("mine", own, tier="batch").standard
    assert not quote("mine", PriceFile(file, tier="batch"), tier="batch").standard
    assert quote("mine", own, tier="priority").standard
    assert quote("mistral-large-latest", tier="priority").standard
