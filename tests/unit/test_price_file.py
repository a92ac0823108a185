"""Prices in a file of one's own."""

from __future__ import annotations

from decimal import Decimal

import pytest

from thinktwice import Usage, UsageError, Vote, solve
from thinktwice.price_file import PriceFile
from thinktwice.pricing import default_prices
from thinktwice.testing import ScriptedSampler

MILLION = Usage(input_tokens=1_000_000, output_tokens=1_000_000, source="provider")
FULL = """
currency = "EUR"
usd = "1.10"

[models."mine"]
input = "1.25"
output = 10
cache_read = 0.1

[models."acme/mine"]
input = 2
output = 2

[models."local/*"]
free = true

[discounts]
"openai/gpt-5" = "0.2"
"openai/*" = 0.1
"*" = "0.05"

[tiers]
batch = "0.5"
"""


@pytest.fixture
def file(tmp_path):
    def make(text, **settings):
        path = tmp_path / "prices.toml"
        path.write_text(text)
        return PriceFile(path, **settings)

    return make


def cost(source, model, provider=None, usage=MILLION):
    return source.price(usage, model=model, provider=provider)


class TestPrices:
    def test_are_converted(self, file):
        """What comes out is USD, to the last digit."""
        prices = file(FULL)
        assert prices.currency == "EUR"
        assert cost(prices, "mine") == Decimal("12.375")
        assert cost(prices, "mine", "acme") == Decimal("4.4")
        assert cost(prices, "anything", "local") == 0

    def test_of_cached_tokens(self, file):
        """At their own rate, which a float is read as it prints for."""
        usage = Usage(
            input_tokens=1_000_000,
            output_tokens=0,
            cache_read_tokens=1_000_000,
            source="provider",
        )
        assert cost(file(FULL), "mine", usage=usage) == Decimal("0.11")

    def test_in_usd_need_no_rate(self, file):
        """It is the default."""
        prices = file('[models."m"]\ninput = 1\noutput = 2\n')
        assert cost(prices, "m") == 3
        assert prices.currency == "USD"

    def test_a_tier_is_a_part_of_them(self, file):
        """Of the list prices as well."""
        prices = file(FULL, tier="batch")
        assert cost(prices, "mine") == Decimal("12.375") / 2
        assert repr(prices).endswith("prices.toml', tier='batch')")

    async def test_reach_a_run(self, file):
        """As `prices=`."""
        sampler = ScriptedSampler(["a"], input_tokens=1000, output_tokens=500)
        prices = file('[models."fake-model"]\ninput = 1\noutput = 2\n')
        result = await solve("q", sampler=sampler, strategy=Vote(1), prices=prices)
        assert result.ledger.total.cost == Decimal("0.002")


class TestDiscounts:
    @pytest.mark.parametrize(
        ("model", "off"), [("gpt-5", "0.2"), ("gpt-5-mini", "0.1"), ("o4-mini", "0.1")]
    )
    def test_are_off_the_list(self, file, model, off):
        """The narrowest name counts."""
        pytest.importorskip("genai_prices")
        listed = cost(default_prices(), model, "openai")
        assert listed is not None
        assert cost(file(FULL), model, "openai") == listed * (1 - Decimal(off))

    def test_of_all_models(self, file):
        """Under the name `*`."""
        pytest.importorskip("genai_prices")
        listed = cost(default_prices(), "claude-sonnet-4-5", "anthropic")
        assert cost(file(FULL), "claude-sonnet-4-5", "anthropic") == listed * Decimal("0.95")

    def test_a_model_that_no_list_has_stays_unpriced(self, file):
        """And is not free."""
        assert cost(file(FULL), "nobody-knows", "openai") is None


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("prices = 1", "prices"),
            ('currency = "EUR"', "usd"),
            ("currency = 5", "currency"),
            ('currency = "EUR"\nusd = 0', "usd"),
            ("models = 5", "models"),
            ("[models]\nm = 5", "models.m"),
            ("[models.m]\ninput = 1", "models.m.output"),
            ("[models.m]\ninput = 1\noutput = 1\ncached = 1", "models.m.cached"),
            ("[models.m]\ninput = 'much'\noutput = 1", "models.m.input"),
            ("[models.m]\ninput = true\noutput = 1", "models.m.input"),
            ("[models.m]\ninput = -1\noutput = 1", "models.m.input"),
            ("[models.m]\ninput = nan\noutput = 1", "models.m.input"),
            ("[models.m]\nfree = false", "models.m"),
            ("[discounts]\nm = 15", "discounts.m"),
            ("[discounts]\nm = '15%'", "discounts.m"),
            ("[tiers]\nbatch = -1", "tiers.batch"),
            ("input = = 1", "path"),
        ],
    )
    def test_are_named(self, file, text, named):
        """When the file is read, and not at the first call."""
        with pytest.raises(UsageError, match=named.replace(".", r"\.")):
            file(text, tier="batch" if "tiers" in text else None)

    def test_no_such_file(self, tmp_path):
        """The error says where it looked."""
        with pytest.raises(UsageError, match="nowhere"):
            PriceFile(tmp_path / "nowhere.toml")

    def test_no_such_tier(self, file):
        """The error says which there are."""
        with pytest.raises(UsageError, match="batch"):
            file(FULL, tier="flex")
