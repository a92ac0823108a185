"""`thinktwice prices`, as it prints."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from thinktwice.cli import main
from thinktwice.pricing.listed import listed_tiers
from thinktwice.pricing.phoenix import Written
from thinktwice.pricing.rates import PriceList
from thinktwice.pricing.updates import Change, Update

pytest.importorskip("genai_prices")

WHEN = datetime(2026, 3, 1, 10, tzinfo=UTC)
FILE = """
[models."my-model"]
input = "1.35"
output = "10.8"

[discounts]
"openai/*" = "0.15"

[tiers]
batch = "0.5"
"""


@pytest.fixture
def file(tmp_path):
    """Prices of one's own."""
    path = tmp_path / "prices.toml"
    path.write_text(FILE)
    return str(path)


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command; gives its status, what it printed, and what it complained about."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["thinktwice", "prices", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return left.value.code or 0, said.out, said.err

    return call


def rows(text):
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}


def test_where_each_price_comes_from(command, file):
    """The list, the list with a discount, the file, or nowhere."""
    status, out, err = command("openai/gpt-5", "my-model", "acme-nobody", "--file", file)
    assert (status, err) == (1, "")
    found = rows(out)
    assert found["openai/gpt-5"][:4] == ["list", "less", "15", "%"]
    assert found["my-model"] == ["file", "1.35", "10.8", "1.35", "1.35", "10.8"]
    assert found["acme-nobody"] == ["unpriced"]
    assert "USD per million tokens" in out
    assert "list prices: genai-prices" in out


@pytest.mark.parametrize("name", ["", "  "])
def test_no_name(command, name):
    """As from a variable of a script that is not set."""
    status, out, err = command("gpt-5", name)
    assert (status, out) == (2, "")
    assert "models=" in err


def test_a_tier_that_nobody_has_a_price_of_is_said(command):
    """The standard price would pass for that of the tier."""
    if "priority" not in listed_tiers():
        pytest.skip("the list of this version has no such tier")
    _, out, _ = command("mistral-large-latest", "gpt-5", "--tier", "priority")
    assert "mistral-large-latest: no price of this tier is known, so it is the standard one" in out
    assert "gpt-5: no price" not in out


def test_steps_are_said(command):
    """A table has one rate for each kind of token."""
    _, out, _ = command("gemini-2.5-pro")
    assert "gemini-2.5-pro: long inputs have another rate" in out


def test_all_of_the_file_in_a_tier(command, file):
    """No models are named."""
    _, out, _ = command("--file", file, "--tier", "batch")
    assert rows(out)["my-model"][:3] == ["file", "0.675", "5.4"]


def test_names_like_an_unknown_one_are_said(command):
    """It may be a slip of the pen; status 1, so that a script sees it."""
    status, out, _ = command("gpt5")
    assert status == 1
    assert "gpt5: there is no price under this name, but under gpt-5" in out


def test_an_update_says_what_it_has_brought(command, monkeypatch):
    """Where from, when, what is another now, where it is, and what to do for it to count."""
    asked = []

    def update(url):
        asked.append(url)
        change = Change("openai/gpt-5", "$1.25", "$1")
        return Update(url, WHEN, Path("/cache/prices.json"), 9, WHEN.date(), (change,), ("a/b",))

    monkeypatch.setattr("thinktwice.cli.quotes.update_prices", update)
    status, out, _ = command("--update", "--from", "http://mirror")
    assert (status, asked) == (0, ["http://mirror"])
    assert "fetched 9 models from http://mirror at 2026-03-01 10:00 UTC" in out
    assert "1 of another price, 1 new, 0 gone" in out
    assert "openai/gpt-5: $1.25 -> $1\n" in out
    assert "/cache/prices.json; with THINKTWICE_PRICE_UPDATES=1" in out
    _, out, _ = command("--update", "--from", "http://mirror", "--json")
    assert json.loads(out)["update"]["changed"][0]["after"] == "$1"


def test_a_list_that_was_fetched_says_when(command, monkeypatch):
    """Its age is not that of the bundled one."""
    day = WHEN.date()
    fetched = PriceList("genai-prices 1", day, 3, WHEN, "http://mirror")
    monkeypatch.setattr("thinktwice.cli.quotes.price_list", lambda: fetched)
    _, out, _ = command("gpt-5")
    assert "fetched 2026-03-01 10:00 UTC from http://mirror, latest change in it 2026-03-01" in out


def test_for_machines(command, file):
    """Amounts are numbers, and what is not known is null."""
    status, out, _ = command("my-model", "acme-nobody", "--file", file, "--json")
    found = json.loads(out)
    assert status == 1
    assert found["models"][0]["rates"]["input"] == 1.35
    assert found["models"][1]["rates"] is None
    assert found["list"]["package"].startswith("genai-prices")
    assert found["phoenix"] == []


def test_phoenix_is_written(command, file, monkeypatch):
    """And what became of each price is said."""
    asked = []

    def write(url, quotes):
        asked.append((url, [each.name for each in quotes]))
        return [Written("my-model", "created", "there is a fee")]

    monkeypatch.setattr("thinktwice.cli.quotes.write_prices", write)
    _, out, _ = command("--file", file, "--phoenix", "http://127.0.0.1:6006")
    assert asked == [("http://127.0.0.1:6006", ["my-model"])]
    assert "Phoenix: my-model created (there is a fee)" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name some, or give a file"),
        (["gpt-5", "--tier", "free-of-charge"], "under [tiers] of a price file"),
        (["gpt-5", "--from", "http://mirror"], "--update"),
        (["--update", "--from", "nowhere"], "https://"),
        (["m", "--file", "nowhere.toml"], "cannot be read"),
        (["gpt-5", "--phoenix", "nowhere"], "give its address"),
    ],
)
def test_a_mistake_is_one_line(command, arguments, said):
    """And status 2."""
    status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
