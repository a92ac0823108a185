"""List prices of hosted models: the package's own sums, faster."""

from __future__ import annotations

import copy
import importlib.util
from decimal import Decimal

import pytest

from thinktwice.errors import UsageError
from thinktwice.pricing import GenaiPrices, default_prices, listed, table
from thinktwice.sample import Usage

genai_prices = pytest.importorskip("genai_prices", reason="the extra `prices` is not installed")
PRICES = GenaiPrices()
USAGES = [
    {"input_tokens": 1000, "output_tokens": 200},
    {"input_tokens": 1000, "output_tokens": 200, "cache_read_tokens": 300},
    {"input_tokens": 1000, "output_tokens": 0, "cache_read_tokens": 300, "cache_write_tokens": 100},
    {"input_tokens": 250_000, "output_tokens": 1000},  # above the tiers that there are
]


@pytest.mark.parametrize("counts", USAGES, ids=str)
def test_every_listed_model_costs_what_the_package_says(counts: dict[str, int]):
    """Tiers, dated and hourly prices, fees per request; except that no price is not 0."""
    from genai_prices.data_snapshot import get_snapshot

    compared = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            ours = PRICES.price(Usage(**counts), model=model.id, provider=provider.id)
            try:
                found = genai_prices.calc_price(
                    genai_prices.Usage(**counts), model.id, provider_id=provider.id
                )
            except LookupError:
                assert ours is None
                continue
            assert ours == found.total_price or (ours is None and not found.total_price)
            compared += ours is not None
    assert compared > 500


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-5", None),
        ("gpt-5", "openai"),
        ("gpt-5-2025-08-07", None),
        ("gpt-4o", "azure.ai.openai"),
        ("models/gemini-2.5-pro", "google_genai"),
        ("publishers/google/models/gemini-2.5-pro", "google_vertexai"),
        ("projects/p/locations/l/publishers/google/models/gemini-2.5-pro", None),
        ("publishers/anthropic/models/claude-haiku-4-5@20251001", "google_vertexai"),
        ("gemini-2.5-pro", "gcp.gemini"),
        ("grok-4", "x_ai"),
        ("mistral-large-latest", "mistral_ai"),
    ],
)
def test_names_of_telemetry_and_frameworks_are_found(model: str, provider: str | None):
    """Where the list has another name for them."""
    assert PRICES.price(Usage(**USAGES[0]), model=model, provider=provider)


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("my-local-model", None),
        ("gpt-4o-mycustom", None),
        ("projects/p/locations/l/models/gemini-2.5-pro", None),
        ("accounts/me/models/gpt-5", None),
        ("gpt-5", "ollama"),
        ("gpt-5", "nobody"),
        (None, "openai"),
    ],
)
def test_an_unknown_model_is_unpriced(model: str | None, provider: str | None):
    """Neither 0 nor the price of a model with a like name; the second time as well."""
    for _ in range(2):
        assert PRICES.price(Usage(**USAGES[0]), model=model, provider=provider) is None


def test_unknown_tokens_are_unpriced():
    """A model that is known does not help."""
    assert PRICES.price(Usage(output_tokens=1), model="gpt-5", provider=None) is None


def test_a_cache_larger_than_the_input_was_counted_beside_it():
    """The package itself raises here."""
    apart = Usage(input_tokens=10, output_tokens=0, cache_read_tokens=400)
    whole = Usage(input_tokens=410, output_tokens=0, cache_read_tokens=400)
    cost = PRICES.price(apart, model="gpt-5", provider=None)
    assert cost == PRICES.price(whole, model="gpt-5", provider=None)
    assert isinstance(cost, Decimal)


def test_reasoning_is_inside_the_output():
    """It is charged once."""
    counted = Usage(input_tokens=0, output_tokens=200, reasoning_tokens=150)
    plain = Usage(input_tokens=0, output_tokens=200)
    cost = PRICES.price(counted, model="gpt-5", provider=None)
    assert cost == PRICES.price(plain, model="gpt-5", provider=None)


@pytest.mark.parametrize("tier", ["batch", "flex", "priority", "first-class"])
def test_a_service_tier_costs_what_the_package_says(tier: str):
    """And as much as the standard one where it says nothing."""
    from genai_prices.data_snapshot import get_snapshot

    if not listed.listed_tiers():
        pytest.skip("the list of this version has no tiers")
    others = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            usage = Usage(**USAGES[1], tier=tier)
            ours = PRICES.price(usage, model=model.id, provider=provider.id)
            found = PRICES.name(model.id, provider.id)
            if ours is None or found != (provider.id, model.id):
                continue
            there = genai_prices.calc_price(
                genai_prices.Usage(**USAGES[1]),
                model.id,
                provider_id=provider.id,
                price_context={"processing": tier, "service_tier": tier, "speed": tier},
            )
            assert ours == there.total_price
            standard = PRICES.price(Usage(**USAGES[1]), model=model.id, provider=provider.id)
            others += ours != standard
    assert (others > 0) == (tier in listed.listed_tiers())


def test_new_prices_of_the_package_are_taken_over():
    """Its updater replaces the whole list at any time."""
    from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot

    prices = GenaiPrices()
    prices.load()
    assert prices.price(Usage(**USAGES[0]), model="gpt-5", provider=None)
    set_custom_snapshot(DataSnapshot(providers=[], from_auto_update=True))
    try:
        assert prices.price(Usage(**USAGES[0]), model="gpt-5", provider=None) is None
    finally:
        set_custom_snapshot(None)
    assert prices.price(Usage(**USAGES[0]), model="gpt-5", provider=None)


def test_it_copies_and_prints_as_its_constructor():
    """What was looked up stays behind."""
    assert repr(copy.deepcopy(PRICES)) == "GenaiPrices()"


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    """Only whoever asks for it by name gets an error."""
    monkeypatch.setattr(listed.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install thinktwice\[prices\]"):
        GenaiPrices()


def test_the_default_prices_use_it():
    """One object for the process."""
    assert importlib.util.find_spec("genai_prices")
    assert table.list_prices() is table.list_prices()
    assert default_prices().price(Usage(**USAGES[0]), model="gpt-5", provider=None)
