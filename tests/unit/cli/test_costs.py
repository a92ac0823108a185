"""`thinktwice costs` and `thinktwice trace`, as they print."""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

import thinktwice
from thinktwice import BestOfN, Price, UsageError, Vote, solve
from thinktwice.cli import main, printing
from thinktwice.cli.moments import moment
from thinktwice.cli.printing import bar
from thinktwice.cli.trees import _letters
from thinktwice.store import observe
from thinktwice.store.costs import read_costs
from thinktwice.store.file import Batch, StoreFile
from thinktwice.store.rows import RequestRow, SpanRow, SpendRow
from thinktwice.store.tree import Spend
from thinktwice.testing import ScriptedSampler, run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three requests: two votes, one of them by a model without a price, and a best-of-N."""
    observer = observe(tmp_path_factory.mktemp("cli") / "spans.db")
    known = {"m": Price("1", "10")}

    def answers(model):
        return ScriptedSampler(["a", "b", "a"], model=model, input_tokens=1000, output_tokens=100)

    for strategy, model in (
        (Vote(8, prefer="cost"), "m"),
        (Vote(3, prefer="cost"), "[red]local"),
        (BestOfN(3, verifier=lambda text: text == "a"), "m"),
    ):
        run_virtual(solve("q", sampler=answers(model), strategy=strategy, prices=known))
    observer.close()
    return observer.path


@pytest.fixture
def command(monkeypatch, capsys, store):
    """Run the command; gives its status, what it printed, and what it complained about."""

    def call(*arguments, path=store):
        monkeypatch.setattr(sys, "argv", ["thinktwice", *arguments, "--store", str(path)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return left.value.code or 0, said.out, said.err

    return call


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def heads(text: str) -> list[str]:
    """The first column of each table."""
    return [row[0] for row in words(text) if "cost" in row and "leaves" not in row]


class TestCosts:
    """The sums."""

    def test_the_dearest_without_a_price(self, command, store):
        """Unpriced is not free."""
        run = next(each.run for each in read_costs(store).dearest if each.unpriced)
        (line,) = (each for each in command("costs")[1].splitlines() if run in each)
        assert "unpriced" in line
        assert "$" not in line

    def test_all_of_it(self, command):
        """By strategy, model, role and day, and the dearest."""
        status, out, err = command("costs")
        assert (status, err) == (0, "")
        assert heads(out) == ["strategy", "model", "role", "day", "dearest"]
        assert "calls without a known cost: 3, which the sum leaves out" in out
        rows = words(out)
        vote = next(row for row in rows if row[:1] == ["Vote"])
        assert vote[1:4] == ["2", ">=", "$0.0080"]
        local = next(row for row in rows if row[:1] == ["[red]local"])
        assert local[1:4] == ["1", "unpriced", "unpriced"]

    def test_one_way(self, command):
        """And no list of requests."""
        _, out, _ = command("costs", "--by", "model", "--dearest", "0")
        assert heads(out) == ["model"]

    def test_json_has_the_same(self, command, store):
        """Money as numbers, times in ISO 8601."""
        status, out, _ = command("costs", "--json")
        found, expected = json.loads(out), read_costs(store)
        assert status == 0
        assert found["total"]["cost"] == float(expected.total.cost) > 0
        assert found["total"]["draws"]["saved"] == expected.total.draws.saved == 4
        assert datetime.fromisoformat(found["first"]) == expected.first
        assert [each["run"] for each in found["dearest"]] == [e.run for e in expected.dearest]
        assert set(found["by"]) == {"strategy", "model", "role", "day"}

    def test_the_fields_of_json(self, command):
        """Programs read them: one that goes, or is named anew, breaks these."""
        found = json.loads(command("costs", "--json")[1])
        assert set(found) == {"first", "last", "total", "unfinished", "by", "dearest"}
        group = {"name", "requests", "calls", "input", "output", "cost", "unpriced", "estimated"}
        assert set(found["total"]) == {*group, "draws"}
        assert set(found["by"]["model"][0]) == {*group, "draws"}
        draws = {"launched", "wasted", "wasted_cost", "saved", "saved_cost"}
        assert set(found["total"]["draws"]) == draws
        assert set(found["dearest"][0]) == {
            *("run", "trace", "strategy", "started", "seconds", "calls", "cost", "unpriced"),
            *("launched", "requested", "agreement", "stopped_by", "error"),
        }

    def test_json_beside_a_page(self, command, tmp_path):
        """Both are written."""
        page = tmp_path / "page.html"
        assert json.loads(command("costs", "--json", "--html", str(page))[1])
        assert page.exists()

    def test_a_page_on_the_standard_output(self, command):
        """As - has it everywhere; two things at once are refused."""
        status, out, err = command("costs", "--html", "-")
        assert (status, err) == (0, "")
        assert out.startswith("<!DOCTYPE html>")
        assert out.endswith("</html>\n")
        status, out, err = command("costs", "--html", "-", "--json")
        assert (status, out) == (2, "")
        assert "html='-'" in err

    def test_since(self, command):
        """What began before is left out."""
        assert command("costs", "--since", "2200-01-01")[1] == "no requests\n"
        assert "3 requests" in command("costs", "--since", "1h")[1]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["costs", "--since", "yesterday"], "since='yesterday'"),
            (["costs", "--by", "colour"], "colour"),
            (["trace", "not hexadecimal"], "hexadecimal"),
            (["trace", ""], "hexadecimal"),
            (["trace", "0" * 40], "no request begins so"),
        ],
    )
    def test_mistakes(self, command, arguments, said):
        """One line, without a traceback, and status 2."""
        status, out, err = command(*arguments)
        assert status == 2
        assert said in err
        assert "Traceback" not in out + err

    def test_no_store(self, command, tmp_path):
        """It says how to get one."""
        status, _, err = command("costs", path=tmp_path / "none.db")
        assert status == 2
        assert "observe()" in err

    @pytest.mark.parametrize("kind", ["foreign", "corrupt"])
    def test_an_unreadable_store(self, command, store, tmp_path, kind):
        """It is said, and the file is left as it is."""
        content = store.read_bytes()
        broken = b"notes" if kind == "foreign" else content[:200] + b"\xff" * (len(content) - 200)
        path = tmp_path / "spans.db"
        path.write_bytes(broken)
        status, _, err = command("costs", path=path)
        assert status == 2
        assert "no store of thinktwice" in err or "malformed): move it away, and" in err
        assert path.read_bytes() == broken

    @pytest.mark.parametrize("arguments", [["costs"], ["trace", "0"]])
    def test_a_folder(self, command, tmp_path, arguments):
        """It is the option that is named."""
        status, _, err = command(*arguments, path=tmp_path)
        assert status == 2
        assert err.startswith("thinktwice: store=")

    def test_a_killed_process(self, command, tmp_path):
        """What was finished counts, and the request is told apart."""
        path = tmp_path / "spans.db"
        begun = RequestRow(id=1, run="ab" * 8, trace="cd" * 16, strategy="Vote", started=10**15)
        call = SpanRow(2, 1, 1, "sample", None, "m", "ok", 10**15, 5, 0, 0, 0, None, 1, 9, 9, 10**9)
        file = StoreFile(path, 2**20)
        file.write(Batch([begun], [call], [], []))
        file.close()
        assert "1 of them unfinished" in command("costs", path=path)[1]
        out = command("trace", "ab", path=path)[1]
        assert "unfinished" in out
        assert "sample 0" in out

    def test_a_cancelled_request(self, command, tmp_path):
        """It has ended, by no rule and no error."""
        file = StoreFile(tmp_path / "spans.db", 2**20)
        row = RequestRow(id=1, run="1", trace="1", strategy="V", started=1, took=1, launched=2)
        agent = row._replace(id=2, run="2", strategy="agent", launched=None)
        spend = [SpendRow(at, "m", "sample", Spend(1, 2, 3, 10**12), 0) for at in (1, 2)]
        file.write(Batch([], [], spend, [row, agent]))
        file.close()
        out = command("costs", path=tmp_path / "spans.db")[1]
        assert out.count("cancelled") == 1
        assert "2 of 2 samples wasted" in out
        assert "not drawn since" not in out


class TestTrace:
    """One request."""

    def test_tree(self, command, store):
        """A line a span, with what came of it; ids may be shortened."""
        best = next(each for each in read_costs(store).dearest if each.strategy == "BestOfN")
        status, out, _ = command("trace", best.run[:12])
        assert status == 0
        assert out.startswith(f"run {best.run}, trace {best.trace}")
        lines = out.splitlines()[2:]
        assert lines[0].startswith("BestOfN")
        assert sum("── sample" in line for line in lines) == 3
        assert sum("call m" in line for line in lines) == 3
        assert [line.split("answer ")[1][0] for line in lines if "answer" in line] == list("ABA")
        assert sum("pass" in line for line in lines) == 2

    def test_by_the_trace_of_another_backend(self, command, store):
        """The id that it shows."""
        request = read_costs(store).dearest[0]
        assert request.run in command("trace", request.trace.upper())[1]

    def test_json(self, command, store):
        """The same tree."""
        run = read_costs(store).dearest[0].run
        (found,) = json.loads(command("trace", run, "--json")[1])
        assert found["run"] == run
        assert {child["kind"] for child in found["root"]["children"]} >= {"sample"}

    def test_ambiguous(self, command, tmp_path):
        """Those that it may be are named."""
        file = StoreFile(tmp_path / "spans.db", 2**20)
        rows = [
            RequestRow(id=at, run=f"abc{at}" * 4, trace=f"{at}" * 32, strategy="V", started=1)
            for at in (1, 2)
        ]
        file.write(Batch([], [], [], rows))
        file.close()
        status, _, err = command("trace", "abc", path=tmp_path / "spans.db")
        assert status == 2
        assert "abc1abc1abc1abc1, abc2abc2abc2abc2" in err

    def test_ambiguous_by_traces(self, command, tmp_path):
        """Of an id that does not begin so the other one is shown."""
        file = StoreFile(tmp_path / "spans.db", 2**20)
        rows = [
            RequestRow(id=1, run="ab" * 8, trace="0" * 32, strategy="V", started=1),
            RequestRow(id=2, run="0c" * 8, trace="1" * 32, strategy="V", started=2),
        ]
        file.write(Batch([], [], [], rows))
        file.close()
        err = command("trace", "0", path=tmp_path / "spans.db")[2]
        assert f"{'ab' * 8} (by its trace {'0' * 32}), {'0c' * 8}\n" in err

    def test_a_deep_tree(self, command, tmp_path, monkeypatch):
        """Its lines are drawn closer, so that each span can be told from the others."""
        file = StoreFile(tmp_path / "spans.db", 2**20)
        root = RequestRow(id=1, run="ab" * 8, trace="cd" * 16, strategy="V", started=1, took=9)
        spans = [
            SpanRow(at, at - 1 or None, 1, "sample", None, "m", "ok", 1, 9, at, at, 0, *[None] * 5)
            for at in range(1, 25)
        ]
        file.write(Batch([], spans, [], [root]))
        file.close()
        out = io.StringIO()
        terminal = Console(file=out, force_terminal=True, width=120, no_color=True)
        monkeypatch.setattr(printing, "Console", lambda **_: terminal)
        command("trace", "ab", path=tmp_path / "spans.db")
        assert all(f"sample {at} " in out.getvalue() for at in range(1, 25))

    def test_in_a_folder_that_nobody_can_write(self, store, monkeypatch):
        """As on a medium that is read only: SQLite would keep files beside a store."""
        monkeypatch.setattr("os.access", lambda *_: False)
        opened: list[str] = []
        real = sqlite3.connect
        monkeypatch.setattr(
            "sqlite3.connect", lambda name, **more: (opened.append(name), real(name, **more))[1]
        )
        assert read_costs(store).total.requests == 3
        assert opened == [f"{store.as_uri()}?immutable=1"]


class TestPrinting:
    """Terminals and pipes."""

    def test_colour_on_a_terminal_alone(self, command, monkeypatch):
        """A pipe gets plain characters, and lines that are not broken."""
        assert "\x1b[" not in command("costs")[1]
        out = io.StringIO()
        terminal = Console(file=out, force_terminal=True, width=200, color_system="standard")
        monkeypatch.setattr(printing, "Console", lambda **_: terminal)
        command("costs")
        assert "\x1b[" in out.getvalue()

    @pytest.fixture
    def screen(self, monkeypatch):
        """A terminal so wide; what is printed on it."""

        def made(width):
            out = io.StringIO()
            terminal = Console(file=out, force_terminal=True, width=width, no_color=True)
            monkeypatch.setattr(printing, "Console", lambda **_: terminal)
            return out

        return made

    @pytest.mark.parametrize(("width", "kept"), [(120, 11), (80, 8), (60, 6), (40, 3)])
    def test_a_narrow_terminal(self, command, screen, width, kept):
        """Columns are left out, and no number is cut."""
        out = screen(width)
        command("costs", "--by", "strategy", "--dearest", "0")
        lines = out.getvalue().splitlines()
        head = next(line for line in lines if "strategy" in line)
        assert len(re.split("  +", re.sub(r"\x1b\[[0-9]*m", "", head).strip())) == kept
        assert "…" not in out.getvalue()

    def test_ids_stay_whole(self, command, screen, store):
        """What ended a request is cut first: an id is for `thinktwice trace`."""
        out = screen(40)
        command("costs", "--by", "strategy")
        for each in read_costs(store).dearest:
            assert each.run in out.getvalue()

    @given(st.floats(0, 1), st.floats(0, 1), st.integers(4, 40))
    def test_bars_stay_on_their_line(self, one, other, width):
        """And are never invisible."""
        drawn = bar(min(one, other), max(one, other), width)
        assert len(drawn) <= width + 1
        assert drawn.strip()

    @pytest.mark.parametrize("width", [40, 60, 80, 120])
    def test_long_names(self, command, screen, tmp_path, width):
        """They are cut in the middle, and no number is: families of models differ at the end."""
        file = StoreFile(tmp_path / "spans.db", 2**20)
        row = RequestRow(id=1, run="1", trace="1", strategy="V" * 200, started=1, took=1)
        spend = [
            SpendRow(1, f"{'m' * 190}-{end}", "sample", Spend(1, 2, 3, 1234 * 10**12), 0)
            for end in ("small", "large")
        ]
        file.write(Batch([], [], spend, [row]))
        file.close()
        out = screen(width)
        command("costs", path=tmp_path / "spans.db")
        assert out.getvalue().count("$1,234.0000") >= 2
        assert out.getvalue().count("$2,468.0000") >= 4
        for end in ("small", "large"):
            assert re.search(rf"^m+…m*-{end} ", out.getvalue(), re.MULTILINE)
        plain = re.sub(r"\x1b\[[0-9]*m", "", out.getvalue())
        assert all(len(line) <= width for line in plain.splitlines())

    @given(
        st.lists(st.text("mé漢", min_size=1, max_size=80), min_size=4, max_size=4),
        st.integers(40, 120),
    )
    def test_numbers_stay_whole(self, cells, width):
        """Whatever words stand beside them, in characters of one cell or two."""
        out = io.StringIO()
        terminal = Console(file=out, width=width, color_system=None)
        rows = [[cells[0], cells[1], "12,345"], [cells[2], cells[3], "$1,234.5678"]]
        printing.show_table(terminal, ["name", "what", "cost"], rows, left=2)
        lines = [Text(line) for line in out.getvalue().splitlines()]
        assert lines[1].plain.rstrip().endswith(" 12,345")
        assert lines[2].plain.rstrip().endswith(" $1,234.5678")
        assert all(line.cell_len <= width for line in lines)

    def test_an_encoding_without_bars(self, store):
        """A pipe on Windows has one: bars and lines are drawn with what there is."""
        run = read_costs(store).dearest[0].run
        command = [sys.executable, "-m", "thinktwice.cli", "trace", run, "--store", str(store)]
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own code
        assert (done.returncode, done.stderr) == (0, "")
        assert "|-- sample 0" in done.stdout
        assert "`-- call m" in done.stdout
        assert "#" * 24 in done.stdout  # all of the time
        assert "?" not in done.stdout

    def test_letters(self):
        """As spreadsheets count."""
        assert [_letters(each) for each in (0, 25, 26, 27, 701, 702)] == [
            *("A", "Z", "AA", "AB", "ZZ", "AAA"),
        ]


class TestMoments:
    """Times as people type them."""

    NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("text", "ago"),
        [
            ("30m", {"minutes": 30}),
            ("24h", {"hours": 24}),
            ("7d", {"days": 7}),
            ("2w", {"weeks": 2}),
        ],
    )
    def test_ago(self, text, ago):
        """Before now."""
        assert moment(text, now=self.NOW) == self.NOW - timedelta(**ago)

    def test_dates(self):
        """In this machine's time zone, unless they have one."""
        assert moment("2026-01-31T10:00+02:00") == datetime(2026, 1, 31, 8, tzinfo=UTC)
        assert moment("2026-01-31").astimezone().strftime("%Y-%m-%d %H:%M") == "2026-01-31 00:00"

    @pytest.mark.parametrize("text", ["", "7", "7y", "-1d", "soon", "2026-13-01", "999999w"])
    def test_anything_else(self, text):
        """Is refused, with what to type."""
        with pytest.raises(UsageError, match="give 30m, 24h"):
            moment(text)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("arguments", ["costs", "costs --json", "prices gpt-5", "--help"])
def test_an_output_that_is_full(store, arguments):
    """One line, and status 1."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "thinktwice.cli", *arguments.split()],
            env={**os.environ, "THINKTWICE_STORE": str(store)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "thinktwice: it cannot be printed (No space left on device)\n"


def test_version(monkeypatch, capsys):
    """As most commands say it."""
    monkeypatch.setattr(sys, "argv", ["thinktwice", "--version"])
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code
    assert capsys.readouterr().out == f"thinktwice {thinktwice.__version__}\n"


def test_a_home_of_nobody(monkeypatch, capsys):
    """In the variable: it is a mistake, and names it."""
    monkeypatch.setenv("THINKTWICE_STORE", "~nobody-of-this-name/spans.db")
    monkeypatch.setattr(sys, "argv", ["thinktwice", "costs"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "THINKTWICE_STORE='~nobody" in capsys.readouterr().err


def test_without_the_extra(tmp_path):
    """The command says what to install."""
    (tmp_path / "typer.py").write_text("raise ImportError")
    done = subprocess.run(
        [sys.executable, "-c", "from thinktwice.cli import main; main()"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "the command `thinktwice` needs an extra: pip install 'thinktwice[cli]'\n"
    )
