"""`thinktwice prices --phoenix`, as a user runs it."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from tests.backends.conftest import NOTICED, Project
from thinktwice import Vote, solve
from thinktwice.cli import main
from thinktwice.pricing import PriceFile
from thinktwice.testing import ScriptedSampler

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning"),
]
OWN = '[models."acme-new"]\ninput = "2"\noutput = "{output}"\n'


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command; gives what it wrote."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["thinktwice", "prices", *arguments, "--json"])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        assert not left.value.code, said.err
        return [each["done"] for each in json.loads(said.out)["phoenix"]]

    return call


async def sent(phoenix, name, prices):
    """One request."""
    project = Project(phoenix, name)
    ask = ScriptedSampler(["391"], model="acme-new", input_tokens=1000, output_tokens=500)
    with project.sent():
        project.results.append(await solve("q", sampler=ask, strategy=Vote(1), prices=prices))
    return project


async def test_prices_hold_for_spans_that_come_later(phoenix, command, tmp_path):
    """Before, the cost is unknown; a new price takes the place of the old; twice is once."""
    path = tmp_path / "prices.toml"
    path.write_text(OWN.format(output=8))
    before = await sent(phoenix, "prices: before", PriceFile(path))
    assert before.bill(cost=None).cost is None

    for output, done in ((8, "created"), (6, "updated")):
        path.write_text(OWN.format(output=output))
        assert command("--file", str(path), "--phoenix", phoenix.url) == [done]
        assert command("--file", str(path), "--phoenix", phoenix.url) == ["unchanged"]
        await asyncio.sleep(NOTICED)
        after = await sent(phoenix, f"prices: {done}", PriceFile(path))
        assert after.cost == pytest.approx(0.002 + output * 0.0005)
        after.agrees()


def test_those_that_phoenix_brings_give_way(phoenix, command):
    """Ours come first, also for a model that it knows."""
    assert command("gpt-4o", "--phoenix", phoenix.url) == ["created"]
    assert command("gpt-4o", "--phoenix", phoenix.url) == ["unchanged"]
