"""The screen shows each vote as it comes in, and the answer when it is decided."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytest.importorskip("arithmetic_lm")
pytest.importorskip("rich")
pytest.importorskip("langchain_thinktwice")

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

EXAMPLE = Path(__file__).parents[2] / "examples" / "langchain" / "streaming.py"


@pytest.fixture(scope="module")
def streaming():
    """The module of the example."""
    spec = importlib.util.spec_from_file_location("langchain_streaming", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks its annotations up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


async def test_votes_come_in_before_the_answer(streaming):
    """One more with each sample; the answer comes last, and is the one with most votes."""
    seen = [each async for each in streaming.screens(streaming.voted(0), "59*7+64")]
    votes = [sum(each.progress.get("tally", ())) for each in seen]
    assert votes == sorted(votes)
    assert votes[0] == 0
    *open_, last = seen
    assert [each.answer for each in open_] == [None] * len(open_)
    assert last.answer is not None
    tally = last.progress["tally"]
    assert tally[last.progress["group"]] == max(tally)


async def test_what_is_shown(streaming):
    """A bar for each answer, in proportion; then the answer with its share and its bill."""
    with streaming.CONSOLE.capture() as captured:
        told = {"tally": [4, 2], "finished": 6}
        streaming.CONSOLE.print(streaming.Screen("1+1", told))
        done = {"group": 0, "agreement": 2 / 3, "tokens": 60, "seconds": 1.25}
        streaming.CONSOLE.print(streaming.Screen("1+1", {**told, **done}, answer="2"))
    lines = [line.strip() for line in captured.get().splitlines()]
    first, second = "█" * streaming.WIDTH + " 4", "█" * (streaming.WIDTH // 2) + " 2"
    bars = [f"answer 1 {first}", f"answer 2 {second}"]
    waiting = f"6 of at most {streaming.N} samples ..."
    decided = "2   67% of 6 samples agree, 60 tokens, 1.2 s"
    assert lines == ["1+1", *bars, waiting, "1+1", *bars, decided]


async def test_it_runs(streaming):
    """The question, and its answer below."""
    with streaming.CONSOLE.capture() as captured:
        await streaming.main(["92*8+96"], pace=0)
    assert "92*8+96" in captured.get()
    assert "samples agree" in captured.get()


def test_events_of_runs_inside_are_not_shown(streaming):
    """They belong to a sample."""
    screen = streaming.Screen("1+1", {"tally": [1]})
    assert screen.heard({"tally": [5], "within": "sample:0"}) is screen
    assert screen.heard({"tally": [2]}).progress == {"tally": [2]}
