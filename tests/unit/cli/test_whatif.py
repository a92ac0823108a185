"""`thinktwice whatif`, as it prints."""

from __future__ import annotations

import json
import sys

import pytest

from thinktwice import BestOfN, Price, ToolCheck, Vote, solve
from thinktwice.cli import main
from thinktwice.stop import AtMost, Lead
from thinktwice.store import observe
from thinktwice.testing import ScriptedSampler, run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")
PRICES = {"m": Price("1", "1")}


def run(strategy, times, prices=PRICES):
    sampler = ScriptedSampler(["a", "b", "a", "a"], model="m", input_tokens=900, output_tokens=99)
    for _ in range(times):
        run_virtual(solve("q", sampler=sampler, strategy=strategy, prices=prices))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Twenty votes that explored, one that did not, three best-of-N, and a check."""
    path = tmp_path_factory.mktemp("whatif") / "spans.db"
    observer = observe(path, explore=1)
    run(Vote(8, stop=Lead(2)), 20)
    observer.close()
    observer = observe(path)
    run(BestOfN(4, verifier=lambda value: 0.9 if value == "a" else 0.2), 3)
    run(Vote(8, stop=Lead(2)), 1)
    run(ToolCheck(lambda value: True), 1)
    observer.close()
    return path


@pytest.fixture
def command(monkeypatch, capsys, store):
    """Run it; gives its status, what it printed, and what it complained about."""

    def call(*arguments, path=store):
        monkeypatch.setattr(sys, "argv", ["thinktwice", "whatif", *arguments, "--store", str(path)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return left.value.code or 0, said.out, said.err

    return call


def test_as_asked_for(command):
    """What was recorded, a line of what would have been, and what is left out."""
    status, out, err = command("--stop", "Lead(3)", "--n", "8")
    assert (status, err) == (0, "")
    first, _, heads, row, _, explained, *left_out = out.splitlines()
    assert first.startswith(
        "20 requests drawn in full, 20 of them explored: 8.00 samples, $0.0080 and"
    )
    assert heads.split("  ")[0] == "rule"
    assert explained.startswith("in brackets 95 % intervals; another answer: than that of all")
    cells = [cell.strip() for cell in row.split("  ") if cell.strip()]
    assert cells[:2] == ["Lead(k=3)", "20"]
    assert cells[2].startswith("5.00 (5.00 to 5.00)")
    assert cells[3].startswith("$0.0050 (")
    assert cells[4] == "38 % (38 to 38)"
    assert cells[-1] == "0.0 % (0.0 to 16.8)"
    assert [line.split(" requests")[0].split(" request")[0] for line in left_out] == [
        *("left out: 1", "left out: 3", "left out: 1"),
    ]
    assert left_out[-1].endswith("of what is not replayed: ToolCheck")


def test_side_by_side(command):
    """A line for each rule, each on what it can be replayed on."""
    _, out, _ = command("--stop", "Lead(2)", "--stop", "GoodEnough(.8)", "--prefer", "balanced")
    rows = [line.split() for line in out.splitlines()[3:5]]
    assert [row[:2] for row in rows] == [["Lead(k=2)", "23"], ["GoodEnough(score=0.8)", "3"]]
    assert "left out: 20 requests without scores, which the rule needs" in out


def test_of_one_strategy(command):
    """By name; another one is an error that tells the names."""
    _, out, _ = command("--stop", "Lead(2)", "--strategy", "BestOfN")
    assert out.startswith("3 requests drawn in full: 4.00 samples")
    status, _, err = command("--stop", "Lead(2)", "--strategy", "Vot")
    assert status == 2
    assert "strategy='Vot': the store has BestOfN, ToolCheck, Vote" in err


def test_json(command):
    """An object for each rule; estimates have the value and both ends by name."""
    _, out, _ = command("--stop", "AtMost(8)", "--stop", "Lead(2)", "--n", "8", "--json")
    full, lead = json.loads(out)
    assert (full["stop"], lead["stop"]) == ("AtMost(n=8)", "Lead(k=2)")
    assert full["launched"] == full["recorded_samples"] == {"value": 8, "low": 8, "high": 8}
    assert full["changed"]["value"] == 0 < full["changed"]["high"]
    assert lead["left_out"] == {"never_explore": 1, "other": 1, "too_short": 3}
    assert (lead["n"], lead["prefer"], lead["explored"]) == (8, "cost", 20)


def test_nothing_to_go_by(command, tmp_path):
    """It says what to do, and why there is nothing."""
    observer = observe(tmp_path / "spans.db")
    run(Vote(8, stop=Lead(2)), 2)
    observer.close()
    status, out, _ = command("--stop", "Lead(2)", path=tmp_path / "spans.db")
    assert status == 0
    assert out.startswith("nothing to replay: call observe(explore=0.02)")
    assert "left out: 2 requests whose own rule could stop them early, and that had no" in out


def test_nothing_was_chosen_yet(command, tmp_path):
    """The application explores already: it takes more votes."""
    observer = observe(tmp_path / "spans.db", explore=1e-12)
    run(Vote(8, stop=Lead(2)), 2)
    observer.close()
    _, out, _ = command("--stop", "Lead(2)", path=tmp_path / "spans.db")
    assert out.startswith("nothing to replay yet: no vote was chosen to explore so far")
    assert "left out: 2 requests whose own rule could stop them early, and that were not" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--n", "9"), "nothing to replay: no request that was drawn in full has enough samples"),
        (("--since", "2100-01-01"), "no requests\n"),
    ],
)
def test_nothing_of_that_kind(command, arguments, words):
    """There is something that was drawn in full, so to explore more is no help."""
    status, out, _ = command("--stop", "Lead(2)", *arguments)
    assert (status, "explore=" in out.splitlines()[0]) == (0, False)
    assert out.startswith(words)


def test_too_few_for_intervals(command):
    """It says how many it takes."""
    _, out, _ = command("--stop", "GoodEnough(.8)")
    assert "no intervals of means: they take 20 requests that explored" in out
    _, out, _ = command("--stop", "Lead(3)", "--n", "8")
    assert "no intervals" not in out


def test_without_prices(command, tmp_path):
    """No cost is made up, on the terminal or in JSON, and it is said of which it is none."""
    path = tmp_path / "spans.db"
    observer = observe(path)
    run(Vote(8, stop=AtMost(8)), 2, prices={})
    observer.flush()
    _, out, _ = command("--stop", "Lead(2)", path=path)
    assert "$" not in out
    assert "8.00 samples, unpriced and" in out
    assert "no request has a known cost: what is saved is of the samples" in out
    _, out, _ = command("--stop", "Lead(2)", "--json", path=path)
    (found,) = json.loads(out)
    assert (found["cost"], found["recorded_cost"], found["unpriced"]) == (None, None, 2)
    run(Vote(8, stop=AtMost(8)), 1)
    observer.close()
    _, out, _ = command("--stop", "Lead(2)", path=path)
    assert "8.00 samples, $0.0080 and" in out
    assert "left out of the costs alone: 2 requests with a call without a known cost" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stop", "__import__('os').abort()"], "that is no rule; write it as Lead(3)"),
        (["--stop", "Lead(0)"], "stop='Lead(0)': in Lead, k=0: give a whole number"),
        (["--stop", "Lead(k='a')"], "k='a': give a whole number"),
        (["--stop", "Lead()"], "stop='Lead()': Lead: missing a required argument: 'k'; write"),
        (["--stop", "Lead"], "stop='Lead': without parentheses; write it as Lead(k=...)"),
        (["--stop", "Leed(3)"], "stop='Leed(3)': no rule is called Leed, but Adaptive"),
        (["--stop", "Settled(k=3)"], "Settled: got an unexpected keyword argument 'k'; write"),
        (["--stop", "After(3)"], "too many positional arguments; write it as After(seconds="),
        (["--stop", "Lead(k=3, k=4)"], "Lead: a setting is given twice"),
        (["--stop", "Lead(2) or Lead(3)"], "rules are joined by | and &"),
        (["--stop", "Lead(2", "--n", "3"], "stop='Lead(2': '(' was never closed; write it as"),
        (["--stop", "Lead(9)", "--strategy", "Vote"], "it takes 9 draws to fire, and n=8"),
        (["--stop", "GoodEnough(.9)", "--strategy", "Vote"], "it needs verdict scores, and what"),
        (["--stop", "Lead(2)", "--n", "0"], "n=0: "),
        (["--stop", "Lead(2)", "--prefer", "fast"], "prefer='fast': give 'cost'"),
        (["--stop", "Lead(2)", "--prefer", "shortest"], "'latency' or a number in [0, 1]"),
        (["--stop", "Lead(2)", "--prefer", "2"], "prefer=2.0: give 'cost'"),
        (["--stop", "Lead(2)", "--max-concurrency", "0"], "max_concurrency=0: "),
        (["--stop", "Lead(2)", "--since", "tomorrow"], "since='tomorrow': "),
    ],
)
def test_what_makes_no_sense(command, arguments, words):
    """One line that names the parameter; a rule is read and never run."""
    status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
