"""What past runs tell about a sampler."""

from __future__ import annotations

import copy
import gc
import pickle

import pytest

from thinktwice.history import FLOOR, PAUSE, History, Latencies, history_of


def after(*seconds: float) -> Latencies:
    """What is known after calls that took so long."""
    known = Latencies()
    for each in seconds:
        known.add(each)
    return known


def test_nobody_is_late_before_eight_calls_have_finished():
    """A median of fewer says little."""
    assert after(*[1.0] * 7).patience is None
    assert after(*[1.0] * 8).patience == 2.5


def test_the_median_is_what_counts():
    """Stragglers among the finished calls do not make the next straggler look normal."""
    assert after(*[1.0] * 7, 50.0).patience == 2.5


def test_old_calls_are_forgotten():
    """A sampler that has become slower is not late for ever."""
    assert after(*[1.0] * 64, *[4.0] * 64).patience == 10.0


def test_fast_calls_are_not_hedged():
    """Below the floor the event loop itself may be what is late."""
    assert after(*[0.001] * 8).patience == FLOOR


def test_one_hedge_comes_early_and_then_one_in_twenty():
    """Of the finished calls; the first before there are twenty."""
    known = after(*[1.0] * 8)
    assert known.take_hedge(0, long=True)
    assert not known.take_hedge(0, long=True)
    for _ in range(32):
        known.add(1.0)
    assert known.take_hedge(0, long=True)
    assert not known.take_hedge(0, long=True)


def test_what_is_only_late_leaves_a_share_to_what_is_long():
    """Else calls that come in by themselves use up what stragglers need."""
    known = after(*[1.0] * 200)
    assert sum(known.take_hedge(0, long=False) for _ in range(20)) == 7
    assert sum(known.take_hedge(0, long=True) for _ in range(20)) == 3


def test_no_hedge_before_warm():
    """Nobody could tell a straggler."""
    assert not after(*[1.0] * 7).take_hedge(0, long=True)


def test_no_hedge_after_the_provider_pushed_back():
    """For a minute."""
    known = after(*[1.0] * 8)
    known.pause(100.0)
    assert not known.take_hedge(100.0 + PAUSE - 1, long=True)
    assert known.take_hedge(100.0 + PAUSE, long=True)


def test_a_hedge_that_was_not_launched_is_given_back():
    """Its budget refused it."""
    known = after(*[1.0] * 8)
    assert known.take_hedge(0, long=True)
    known.return_hedge()
    assert known.take_hedge(0, long=True)


class Client:
    """A client with two samplers."""

    async def ask(self, prompt: str) -> str:
        """One."""
        return prompt

    async def other(self, prompt: str) -> str:
        """Another."""
        return prompt


def test_a_sampler_has_one_history_for_as_long_as_it_lives():
    """Functions by themselves, methods by their object."""

    async def ask(prompt: str) -> str:
        return prompt

    client = Client()
    assert history_of(ask) is history_of(ask)
    assert history_of(client.ask) is history_of(client.ask)
    assert history_of(client.ask) is not history_of(client.other)
    assert history_of(client.ask) is not history_of(Client().ask)


def test_nothing_is_kept_of_a_sampler_that_is_gone():
    """Samplers made for one request do not pile up."""
    from thinktwice import history

    gc.collect()  # those of other tests
    before = len(history._histories)
    clients = [Client() for _ in range(5)]
    for client in clients:
        history_of(client.ask)
    assert len(history._histories) == before + 5
    clients.clear()
    del client
    gc.collect()
    assert len(history._histories) == before


def test_a_copy_begins_anew():
    """What carries a history can be pickled."""
    known = History()
    for _ in range(8):
        known.latencies.add(1.0)
    assert pickle.loads(pickle.dumps(known)).latencies.patience is None  # noqa: S301 - our own
    assert copy.deepcopy(known).latencies.patience is None


class Slotted:
    """Cannot be referred to weakly."""

    __slots__ = ()

    async def __call__(self, prompt: str) -> str:
        """Echo."""
        return prompt


def test_what_cannot_be_told_again_begins_anew():
    """It works all the same."""
    ask = Slotted()
    assert isinstance(history_of(ask), History)
    assert history_of(ask) is not history_of(ask)


@pytest.mark.parametrize("own", [History()])
def test_a_sampler_may_carry_its_own(own: History):
    """An adapter that makes a sampler for each request hands it on."""

    class Carrying(Client):
        history = own

    assert history_of(Carrying()) is own
