"""Whether a server that failed is called again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from thinktwice.limiter.breaker import Breaker


def opened(at: float = 0.0) -> Breaker:
    """One that opened after two failures, for 5 seconds."""
    breaker = Breaker(2, 5.0)
    for _ in range(2):
        breaker.fail(at, probe=breaker.begin())
    return breaker


def test_failures_in_a_row_open_it():
    """A success in between starts the count anew."""
    breaker = Breaker(2, 5.0)
    for failing in (True, False, True):
        assert breaker.lets_through(0)
        probe = breaker.begin()
        if failing:
            breaker.fail(0, probe=probe)
        else:
            breaker.succeed(probe=probe)
    assert breaker.closed
    breaker.fail(0, probe=breaker.begin())
    assert not breaker.closed
    assert not breaker.lets_through(0)


def test_after_a_time_one_probe_may_go():
    """One at a time; the others hear how long it takes."""
    breaker = opened()
    assert [breaker.left(at) for at in (0, 4, 5, 9)] == [5, 1, 0, 0]
    assert not breaker.lets_through(4.9)
    assert breaker.lets_through(5)
    assert breaker.begin()
    assert not breaker.lets_through(5)
    assert breaker.left(5) == 0


def test_a_probe_that_succeeds_closes_it():
    """And the next time it opens for as long as at first."""
    breaker = opened()
    breaker.succeed(probe=breaker.begin())
    assert breaker.closed
    for _ in range(2):
        breaker.fail(100, probe=breaker.begin())
    assert breaker.left(100) == 5


def test_probes_that_fail_open_it_for_longer_and_longer():
    """Up to a minute."""
    breaker, at, waits = opened(), 0.0, []
    for _ in range(6):
        at += breaker.left(at)
        breaker.fail(at, probe=breaker.begin())
        waits.append(breaker.left(at))
    assert waits == [10, 20, 40, 60, 60, 60]


def test_a_cancelled_probe_leaves_the_way_to_the_next():
    """It must not stay half open for ever."""
    breaker = opened()
    breaker.forget(probe=breaker.begin())
    assert not breaker.closed
    assert breaker.lets_through(5)


def test_calls_that_left_before_it_opened_change_nothing():
    """A long reply says nothing about new connections, nor do late failures prolong anything."""
    breaker = opened()
    breaker.succeed(probe=False)
    breaker.fail(4, probe=False)
    breaker.forget(probe=False)
    assert not breaker.closed
    assert breaker.left(4) == 1


@given(
    events=st.lists(
        st.tuples(st.sampled_from(["ok", "fail", "cancel"]), st.floats(-100, 100)), max_size=50
    )
)
def test_whatever_happens_it_can_be_tried_again_in_a_minute(events: list[tuple[str, float]]):
    """Also where the clock jumps; and it never has two probes."""
    breaker, at = Breaker(2, 5.0), 0.0
    for event, jump in events:
        at += jump
        if not breaker.lets_through(at):
            assert 0 < breaker.left(at) <= 60
            continue
        probe = breaker.begin()
        assert probe != breaker.closed
        assert not (probe and breaker.lets_through(at))
        if event == "ok":
            breaker.succeed(probe=probe)
        elif event == "fail":
            breaker.fail(at, probe=probe)
        else:
            breaker.forget(probe=probe)
    assert breaker.lets_through(at + 60)
