"""Votes that are drawn in full, whatever they answer."""

from __future__ import annotations

import random

import pytest

from thinktwice import Budget, Price, UsageError, Vote, budget_scope, exploring, solve
from thinktwice.quota import Quota
from thinktwice.shadow import Shadow
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
    "more", [{"weight": lambda sample: 0.5}, {"equivalent": lambda one, other: one == other}]
)
def test_weights_and_equivalence_change_nothing(more):
    """Both are on the spans of the samples."""
    exploring.explore(1)
    assert said(Vote(4, stop=Lead(1), prefer="cost", **more)) is True


def test_the_shortest_first():
    """Whoever wants the first answers would get a worse one."""
    exploring.explore(1)
    assert said(Vote(4, stop=AtMost(2), prefer="shortest")) is False


def test_it_says_so():
    """On its span, and in the warnings of the result; one that draws all anyway says neither."""
    exploring.explore(1)
    with captured_spans() as spans:
        results = [
            run_virtual(solve("q", sampler=ScriptedSampler(["a"]), strategy=Vote(4, stop=stop)))
            for stop in (Lead(2), AtMost(4))
        ]
    runs = [span.attributes for span in spans if "thinktwice.exhaustive" in span.attributes]
    assert [run.get("thinktwice.explored") for run in runs] == [True, None]
    assert [run["thinktwice.exhaustive"] for run in runs] == [True, True]
    assert [exploring.EXPLORED in result.warnings for result in results] == [True, False]
    assert results[0].stopped_by == AtMost(4)


def explored(strategy, **more):
    """What the span of the run says of it."""
    with captured_spans() as spans:
        launched(strategy, **more)
    return spans[-1].attributes.get("thinktwice.explored")


class TestWhoHadAChance:
    """The span tells a vote that was not chosen from one that could not be."""

    @pytest.fixture(autouse=True)
    def hardly_ever(self):
        exploring.explore(1e-12)

    def test_one_that_was_not_chosen(self):
        """Those that were stand for it."""
        assert explored(Vote(4, stop=Lead(1))) is False

    @pytest.mark.parametrize(
        ("strategy", "more"),
        [
            (Vote(4, stop=AtMost(4)), {}),
            (Vote(4, stop=AtMost(2), prefer="shortest"), {}),
            (Vote(4, stop=Lead(1)), {"budget": Budget(calls=3)}),
        ],
        ids=["in full", "shortest", "calls"],
    )
    def test_one_that_could_not_be(self, strategy, more):
        """Nothing is said."""
        assert explored(strategy, **more) is None

    def test_inside_a_budget_of_others(self):
        """A `budget_scope` or a quota."""
        with budget_scope(Budget(calls=100)):
            assert explored(Vote(4, stop=Lead(1))) is None
        with Quota("test", Budget(calls=100)).scope():
            assert explored(Vote(4, stop=Lead(1))) is None

    def test_while_none_explores(self):
        """There is no chance."""
        exploring.explore(0)
        assert explored(Vote(4, stop=Lead(1))) is None


class TestBudgets:
    """Exploring takes nothing that somebody needs."""

    @pytest.fixture(autouse=True)
    def always(self):
        exploring.explore(1)

    @pytest.mark.parametrize(("calls", "explores"), [(3, False), (4, True)])
    def test_a_cap_on_calls(self, calls, explores):
        """It needs room for all samples."""
        vote = Vote(4, stop=Lead(1), prefer="cost")
        assert (launched(vote, budget=Budget(calls=calls)) == 4) is explores

    def test_calls_of_what_is_inside(self):
        """Each sample takes those of a run."""
        vote = Vote(2, stop=Lead(1), prefer="cost", of=Vote(2, stop=AtMost(2)))
        assert launched(vote, budget=Budget(calls=3)) == 1
        assert launched(vote, budget=Budget(calls=4)) == 2

    def test_a_budget_that_others_spend_from(self):
        """What it took would be missing there."""

        async def workflow():
            with budget_scope(Budget(calls=100)):
                return await solve("q", sampler=ScriptedSampler(["a"]), strategy=vote)

        vote = Vote(4, stop=Lead(1), prefer="cost")
        assert run_virtual(workflow()).launched == 1

    @pytest.mark.parametrize("count", ["arrival", "launch"])
    @pytest.mark.parametrize(
        "budget", [Budget(seconds=2.5), Budget(cost="0.0025")], ids=["time", "money"]
    )
    def test_one_that_ends_it_is_no_cut(self, budget, count):
        """Its own rule decides, as if it had not explored: no cut, no error, no other answer."""
        sampler = ScriptedSampler(
            ["a", "b", "a", "a", "b", "b", "b", "b"],
            seconds=[1, 1.1, 1.2, 2, 9, 9, 9, 9],
            input_tokens=0,
            output_tokens=1000,
            max_tokens=1000,
        )
        strategy = Vote(8, stop=Lead(2), prefer="latency", count=count)
        prices = {"fake-model": Price("0", "0.5")}
        more = {"budget": budget, "prices": prices, "on_exhausted": "raise"}
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy, **more))
        assert result.stopped_by == Lead(2)
        assert (result.value, result.cut, result.used) == ("a", None, 4)

    def test_one_that_ends_it_too_soon(self):
        """Its own rule had not fired either: it is cut short."""
        sampler = ScriptedSampler(["a"], seconds=[1, *[9] * 7])
        strategy = Vote(8, stop=Lead(2), prefer="latency")
        result = run_virtual(
            solve("q", sampler=sampler, strategy=strategy, budget=Budget(seconds=2))
        )
        assert result.cut is not None
        assert exploring.EXPLORED in result.warnings


def test_behind_a_request():
    """A shadow tells what the strategy costs, which exploring would change."""
    exploring.explore(1)
    shadow = Shadow(share=1.0)

    async def request():
        await solve(
            "q",
            sampler=ScriptedSampler(["a"]),
            strategy=Vote(4, stop=Lead(1), prefer="cost"),
            shadow=shadow,
        )
        await shadow.drain()

    with captured_spans() as spans:
        run_virtual(request())
    (run,) = [s.attributes for s in spans if "thinktwice.exhaustive" in s.attributes]
    assert run["thinktwice.exhaustive"] is False
    assert "thinktwice.explored" not in run


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
