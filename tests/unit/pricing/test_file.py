"""Prices in a file of one's own."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import pytest

from thinktwice import Completion, Usage, UsageError, Vote, solve
from thinktwice.pricing import PriceFile, default_prices
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
        assert cost(file('usd = 1\n[models."m"]\ninput = 1\noutput = 2\n'), "m") == 3

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

    @pytest.mark.parametrize(
        ("model", "provider", "off"),
        [
            ("gpt-5-2025-08-07", "openai", "0.2"),
            ("gpt-5", None, "0.2"),
            ("gpt-5-mini", None, "0.1"),
            ("models/gemini-2.5-pro", "google_genai", "0.3"),
            ("gpt-4o", "azure.ai.openai", "0.4"),
        ],
    )
    def test_are_found_under_the_names_of_the_list(self, file, model, provider, off):
        """Frameworks have other words for providers, and providers for models."""
        pytest.importorskip("genai_prices")
        prices = file(
            '[discounts]\n"openai/gpt-5" = "0.2"\n"openai/*" = "0.1"\n'
            '"google/gemini-2.5-pro" = "0.3"\n"azure/*" = "0.4"\n"*" = "0.05"\n'
        )
        listed = cost(default_prices(), model, provider)
        assert listed is not None
        assert cost(prices, model, provider) == listed * (1 - Decimal(off))

    def test_do_not_touch_prices_of_the_file(self, file):
        """Neither under the name of a framework, nor where the provider is not known."""
        pytest.importorskip("genai_prices")
        prices = file('[models."google/gemini-2.5-pro"]\ninput=1\noutput=1\n[discounts]\n"*"=0.5\n')
        assert cost(prices, "gemini-2.5-pro", "google_genai") == 2
        assert cost(prices, "gemini-2.5-pro") == 2
        assert prices.discount(model="gemini-2.5-pro", provider="google_genai") is None


class TestTiers:
    def test_of_a_response_come_before_that_of_all_calls(self, file):
        """It knows better."""
        prices = file(FULL + 'priority = "2"\n', tier="batch")
        rushed = replace(MILLION, tier="priority")
        assert cost(prices, "mine", usage=rushed) == Decimal("12.375") * 2
        assert cost(prices, "mine") == Decimal("12.375") / 2

    def test_are_named_in_capitals_or_not(self, file):
        """Responses name them in small letters."""
        text = '[models."m"]\ninput = 1\noutput = 1\n[tiers]\nBatch = "0.5"\n'
        assert cost(file(text), "m", usage=replace(MILLION, tier="batch")) == 1
        assert cost(file(text, tier="BATCH"), "m") == 1

    def test_that_the_file_leaves_out_are_those_of_the_list(self, file):
        """Less its discount, as any list price."""
        pytest.importorskip("genai_prices")
        rushed = replace(MILLION, tier="priority")
        listed = cost(default_prices(), "gpt-5", "openai", rushed)
        if listed == cost(default_prices(), "gpt-5", "openai"):
            pytest.skip("the list of this version has no tiers")
        assert cost(file(FULL), "gpt-5", "openai", rushed) == listed * Decimal("0.8")
        assert cost(file(FULL, tier="priority"), "gpt-5", "openai") == listed * Decimal("0.8")

    def test_that_nobody_knows_cost_as_much_as_the_standard_one(self, file):
        """A call was made, and something is to be paid for it."""
        odd = replace(MILLION, tier="first-class")
        assert cost(file(FULL), "mine", usage=odd) == cost(file(FULL), "mine")

    async def test_reach_a_run(self, file):
        """A sampler's usage says it."""
        usage = Usage(input_tokens=1000, output_tokens=0, source="provider", tier="batch")

        async def ask(prompt):
            return Completion(value=prompt, usage=usage, model="m")

        prices = file('[models."m"]\ninput = 1\noutput = 1\n[tiers]\nbatch = "0.5"\n')
        result = await solve("q", sampler=ask, strategy=Vote(1), prices=prices)
        assert result.ledger.total.cost == Decimal("0.0005")


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("prices = 1", "prices"),
            ('currency = "EUR"', "usd"),
            ("currency = 5", "currency"),
            ('currency = "EUR"\nusd = 0', "usd"),
            ("usd = 2", "usd=2"),
            ("currency = 'USD'\nusd = '2'", "usd='2'"),
            ("currency = 'usd'\nusd = '2'", "usd='2'"),
            ("models = 5", "models"),
            ("[models]\nm = 5", "models.m"),
            ("[models.m]\ninput = 1", "models.m.output"),
            ("[models.m]\ninput = 1\noutput = 1\ncached = 1", "models.m.cached"),
            ("[models.m]\ninput = 'much'\noutput = 1", "models.m.input"),
            ("[models.m]\ninput = true\noutput = 1", "models.m.input"),
            ("[models.m]\ninput = -1\noutput = 1", "models.m.input"),
            ("[models.m]\ninput = nan\noutput = 1", "models.m.input"),
            ("[models.m]\ninput = 1e400\noutput = 1", "models.m.input"),
            ("currency='EUR'\nusd=1000\n[models.m]\ninput=1e8\noutput=1", "models.m.input"),
            ("[models.m]\nfree = false", "free = true and nothing else"),
            ("[models.m]\nfree = true\ninput = 1", "free = true and nothing else"),
            ("[models.gpt-5.1]\ninput = 1\noutput = 1", 'in quotes, such as "gpt-5.1"'),
            ("[discounts]\ngpt-5.1 = 0.2", 'in quotes, such as "gpt-5.1"'),
            ("[discounts]\nm = {}", "give a number"),
            ("[discounts]\nm = nan", "discounts.m"),
            ("[discounts]\nm = 15", "discounts.m"),
            ("[discounts]\nm = '15%'", "discounts.m"),
            ("[tiers]\nbatch = -1", "tiers.batch"),
            ("[models.'gpt-5*']\ninput = 1\noutput = 1", "models.gpt-5*"),
            ("[models.'*']\nfree = true", "models.*"),
            ("[discounts]\n'*/gpt-5' = 0.1", "discounts.*/gpt-5"),
            ("[models.'']\nfree = true", "models."),
            ("[models.' m']\nfree = true", "models. m"),
            ("[models.'openai/']\nfree = true", "models.openai/"),
            ("[discounts]\n'openai/' = 0.1", "discounts.openai/"),
            ("input = = 1", "path"),
        ],
    )
    def test_are_named(self, file, text, named):
        """When the file is read, and not at the first call."""
        with pytest.raises(UsageError, match=re.escape(named)) as raised:
            file(text, tier="batch" if "tiers" in text else None)
        assert "prices.toml" in str(raised.value)

    @pytest.mark.parametrize("written", [b"\xef\xbb\xbf", b""], ids=["mark", "lines"])
    def test_what_editors_of_windows_write_is_none(self, tmp_path, written):
        """A mark of the encoding, and lines that end in their way."""
        path = tmp_path / "prices.toml"
        path.write_bytes(written + b'[models."m"]\r\ninput = 1\r\noutput = 2\r\n')
        assert cost(PriceFile(path), "m") == 3

    def test_no_such_file(self, tmp_path):
        """The error says where it looked."""
        with pytest.raises(UsageError, match="nowhere"):
            PriceFile(tmp_path / "nowhere.toml")

    @pytest.mark.parametrize("path", ["", 5, b"prices.toml"])
    def test_no_path(self, path):
        """Of a file."""
        with pytest.raises(UsageError, match="path"):
            PriceFile(path)

    def test_no_such_tier(self, file):
        """The error says which there are."""
        with pytest.raises(UsageError, match="batch"):
            file(FULL, tier="first-class")


@pytest.mark.parametrize("number", ["9" * 5000, f"-{'9' * 5000}", f"0x{'f' * 5000}"])
def test_an_integer_that_is_longer_than_python_reads(tmp_path, number):
    """Is refused by file and key, as any other that is too large."""
    path = tmp_path / "prices.toml"
    path.write_text(f"[models.m]\ninput = {number}\noutput = 1\n")
    with pytest.raises(UsageError, match=r"prices.toml: models.m.input=.*give a number from 0"):
        PriceFile(path)
