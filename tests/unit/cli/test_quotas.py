"""`thinktwice quotas`, as it prints."""

from __future__ import annotations

import json
import sys
import time

import pytest

from thinktwice.cli import main
from thinktwice.quota import Amounts, Caps, Hold, SqliteStore

ONE = Hold(Amounts(1, 1000, 10**12), Amounts(1, 1000, 10**12))


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command; gives its status, what it printed, and what it complained about."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["thinktwice", "quotas", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return left.value.code or 0, said.out, said.err

    return call


@pytest.fixture
def file(tmp_path):
    """One that is used, one that has ended, and a call in flight."""
    store, now = SqliteStore(tmp_path / "quotas.db"), int(time.time())
    caps = Caps(calls=1000, cost=5 * 10**12)
    for name, window in (("tenant:[acme] per day", 0), ("user:7 per hour", now - 60)):
        (ticket,) = store.hold(name, window, [ONE], caps=caps, instead=None, seconds=60)
        store.settle(name, window, ticket, Amounts(1, 1500, 10**12))
    store.hold("tenant:[acme] per day", 0, [ONE], caps=caps, instead=None, seconds=60)
    return tmp_path / "quotas.db"


def test_how_much_of_what(command, file):
    """A line for each; names are anybody's, and no markup."""
    status, out, err = command(file)
    head, acme, user = out.splitlines()
    assert (status, err) == (0, "")
    assert head.split()[:4] == ["quota", "calls", "tokens", "cost"]
    assert acme.startswith("tenant:[acme] per day")
    assert "1 of 1,000" in acme
    assert "$1.0000 of $5.0000" in acme
    assert acme.split()[-2:] == ["1", "never"]
    assert user.split()[-1] == "ended"


def test_of_many_those_that_are_used_most(command, tmp_path):
    """Nobody reads thousands of lines; machines get them all."""
    store, caps = SqliteStore(tmp_path / "quotas.db"), Caps(calls=300)
    for at in range(150):
        store.hold(f"user:{at}", 0, [], caps=caps, instead=None, seconds=60)
        store.settle(f"user:{at}", 0, None, Amounts(at, 0, 0))
    lines = command(tmp_path / "quotas.db")[1].splitlines()
    assert lines[1].split()[:2] == ["user:149", "149"]
    assert len(lines) == 102
    assert lines[-1] == "the 100 that are used up most, of 150: --json has all"
    assert len(json.loads(command(tmp_path / "quotas.db", "--json")[1])) == 150


def test_for_machines(command, file):
    """Money is a number of USD, and what has no cap says so."""
    acme, user = json.loads(command(file, "--json")[1])
    assert acme["caps"] == {"calls": 1000, "tokens": None, "cost": 5.0}
    assert acme["spent"] == {"calls": 1, "tokens": 1500, "cost": 1.0}
    assert acme["held"]["calls"] == 1
    assert acme["ends"] is None
    assert user["ends"].endswith("+00:00")


def test_nothing_yet(command, tmp_path):
    """An empty file is one of quotas, once a store has opened it."""
    SqliteStore(tmp_path / "quotas.db")
    assert "nothing has been counted" in command(tmp_path / "quotas.db")[1]
    assert command(tmp_path / "quotas.db", "--json")[1].strip() == "[]"


def test_a_mistake_is_one_line(command, tmp_path):
    """With what to give instead."""
    status, out, err = command(tmp_path / "none.db")
    assert (status, out) == (2, "")
    assert "no such file" in err
    assert len(err.splitlines()) == 1
