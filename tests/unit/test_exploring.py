"""Votes that are drawn in full, whatever they answer."""

from __future__ import annotations

import random

import pytest

from thinktwice import UsageError, Vote, exploring, solve
from thinktwice.stop import AtMost, Lead
from thinktwice.store import observe
from thinktwice.testing import ScriptedSampler, captured_spans, run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")


@pytest.fixture(autouse=True)
def none_after(monkeypatch):
    monkeypatch.setattr(exploring, "_random", random.Random(7))
    yield
    exploring.explore(0)


def launched(strategy, **more):
    return run_virtual(
        solve("q", sampler=ScriptedSampler(["a"]), strategy=strategy, **more)
    ).launched


def said(strategy):
    """What the span of the run says of it."""
    with captured_spans() as spans:
        launched(strategy)
    return spans[-1].attributes.get("thinktwice.exhaustive")


def test_none_by_default():
    """A vote stops by its rule."""
    assert launched(Vote(8, stop=Lead(2), prefer="cost")) == 2
    assert said(Vote(8, stop=Lead(2))) is False


def test_all():
    """They draw all their samples, and their spans say so."""
    exploring.explore(1)
    assert launched(Vote(8, stop=Lead(2))) == 8
    assert said(Vote(8, stop=Lead(2))) is True


def test_a_share():
    """Chosen at random, whatever they answer."""
    exploring.explore(0.25)
    full = sum(launched(Vote(4, stop=Lead(1), prefer="cost")) == 4 for _ in range(200))
    assert 30 <= full <= 70


def test_what_draws_all_anyway():
    """Is as good as chosen."""
    assert said(Vote(4, stop=AtMost(4))) is True
    assert said(Vote(4, stop=AtMost(3))) is False


@pytest.mark.parametrize(
    "more",
    [
        {"weight": lambda sample: 0.5},
        {"equivalent": lambda one, other: one == other},
        {"prefer": "shortest"},
    ],
)
def test_what_cannot_be_replayed_is_left_alone(more):
    """Its ordinals are not enough to count it again."""
    exploring.explore(1)
    assert said(Vote(4, stop=Lead(1), **{"prefer": "cost"} | more)) is None


def test_inside_another_run():
    """Only the outermost vote explores, or the share would be drawn several times over."""
    exploring.explore(1)
    result = run_virtual(
        solve(
            "q",
            sampler=ScriptedSampler(["a"]),
            strategy=Vote(3, of=Vote(8, stop=Lead(2), prefer="cost")),
        )
    )
    assert result.launched == 3
    assert [inner.launched for inner in result.nested] == [2, 2, 2]


def test_by_observing(tmp_path):
    """While a store is open."""
    observer = observe(tmp_path / "spans.db", explore=1)
    assert launched(Vote(8, stop=Lead(2))) == 8
    observer.close()
    assert launched(Vote(8, stop=Lead(2), prefer="cost")) == 2


@pytest.mark.parametrize("share", [-0.1, 1.1, "2%", True, float("nan")])
def test_what_is_no_share(tmp_path, share):
    """It is refused, and nothing is observed."""
    with pytest.raises(UsageError, match="explore"):
        observe(tmp_path / "spans.db", explore=share)
