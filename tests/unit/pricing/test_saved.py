"""A saved list in the place of the bundled one."""

from __future__ import annotations

import json
import warnings
from decimal import Decimal

import pytest

from thinktwice.errors import ThinktwiceWarning
from thinktwice.sample import Usage

pytest.importorskip("genai_prices")

from genai_prices import data_snapshot

from tests.unit.pricing.price_lists import published, snapshot
from thinktwice.pricing import GenaiPrices, saved
from thinktwice.pricing.rates import price_list
from thinktwice.pricing.saved import VARIABLE, installed_version, saved_list, saved_path

pytestmark = pytest.mark.usefixtures("fresh_remarks")
MILLION = Usage(input_tokens=1_000_000, output_tokens=0, source="provider")


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """An empty cache, and a process that has read nothing yet."""
    monkeypatch.setattr(saved, "cache_folder", lambda: tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    saved_list.cache_clear()
    yield tmp_path
    saved_list.cache_clear()


def save(prices, package=None):
    """As an update does."""
    content = {
        "url": "http://mirror",
        "at": "2026-03-01T10:00:00+00:00",
        "package": installed_version() if package is None else package,
        "providers": published(prices),
    }
    saved_path().write_text(json.dumps(content))


def cost(model):
    return GenaiPrices().price(MILLION, model=model, provider="acme")


def test_it_counts_only_where_it_is_asked_for(monkeypatch):
    """A file alone changes nothing."""
    save({"m": 3})
    assert cost("m") is None
    saved_list.cache_clear()
    monkeypatch.setenv(VARIABLE, "1")
    assert cost("m") == Decimal(3)


@pytest.mark.parametrize("value", ["0", "false", "no", "off", ""])
def test_it_can_be_switched_off(monkeypatch, value):
    """By the words that people use."""
    save({"m": 3})
    monkeypatch.setenv(VARIABLE, value)
    assert cost("m") is None


def test_its_age_is_shown(monkeypatch):
    """Of the list that is looked up, not of the other."""
    save({"m": 3})
    monkeypatch.setenv(VARIABLE, "1")
    shown = price_list()
    assert shown.url == "http://mirror"
    assert shown.fetched.isoformat() == "2026-03-01T10:00:00+00:00"
    assert shown.newest.isoformat() == "2026-01-01"


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b"{}", b"\xff\xfe", b'{"package": 5}'],
    ids=["cut", "list", "empty", "bytes", "fields"],
)
def test_one_that_cannot_be_read_is_left_aside_with_one_warning(monkeypatch, content):
    """The bundled one goes on."""
    saved_path().write_bytes(content)
    monkeypatch.setenv(VARIABLE, "1")
    with pytest.warns(ThinktwiceWarning, match="prices --update"):
        assert cost("m") is None
    assert GenaiPrices().price(MILLION, model="gpt-5", provider="openai")


def test_none_is_told_once(monkeypatch):
    """Whoever set the variable waits for it."""
    monkeypatch.setenv(VARIABLE, "1")
    with pytest.warns(ThinktwiceWarning, match="no price list was saved"):
        assert cost("m") is None
    saved_list.cache_clear()
    assert cost("n") is None  # without another warning, which would be an error


def test_where_warnings_are_errors_a_call_has_its_price_all_the_same(monkeypatch):
    """The call is paid for by then."""
    monkeypatch.setenv(VARIABLE, "1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert GenaiPrices().price(MILLION, model="gpt-5", provider="openai")


def test_one_of_another_version_of_the_package_is_left_aside(monkeypatch):
    """The list that came with the new version may be the newer one."""
    save({"m": 3}, package="0.0.1")
    monkeypatch.setenv(VARIABLE, "1")
    with pytest.warns(ThinktwiceWarning, match="another version"):
        assert cost("m") is None


def test_one_that_the_application_keeps_up_to_date_comes_first(monkeypatch):
    """The package's own updater is newer still, and nothing is read."""
    monkeypatch.setenv(VARIABLE, "1")
    fetched = snapshot({"m": 7})
    fetched.from_auto_update = True
    monkeypatch.setattr(data_snapshot, "_custom_snapshot", fetched)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cost("m") == Decimal(7)
