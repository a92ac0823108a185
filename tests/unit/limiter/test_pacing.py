"""Rates and shares, without a clock."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice.limiter.pacing import MARGIN, Bucket, Countdown, Share, Stopwatch, next_ticket


class TestBucket:
    """A steady rate, with little in stock."""

    def test_evenly(self):
        """After the first, each waits for its turn."""
        bucket = Bucket.of_requests(60 / MARGIN)  # one a second
        waits = []
        for _ in range(4):
            waits.append(bucket.wait(1))
            bucket.fill(waits[-1])
            bucket.take(1)
        assert waits == pytest.approx([0, 0.95, 1, 1])  # the first of 1.05 in stock

    @given(
        rate=st.integers(1, 6000),
        gaps=st.lists(st.floats(0, 5) | st.just(0.0), max_size=200),
        seconds=st.sampled_from([1, 10, 60]),
    )
    def test_no_window_has_more_than_the_limit_allows(
        self, rate: int, gaps: list[float], seconds: int
    ):
        """However irregularly calls come, and whatever is in stock: in a second as in a minute."""
        bucket = Bucket.of_requests(rate)
        at, left = 0.0, []
        for gap in [*gaps, *[0.0] * 300]:
            at += gap
            bucket.fill(gap)
            wait = bucket.wait(1)
            at += wait
            bucket.fill(wait)
            bucket.take(1)
            left.append(at)
        allowed = math.ceil(rate * seconds / 60)
        for first in range(len(left) - allowed):
            assert left[first + allowed] - left[first] >= seconds * (1 - 1e-9)

    def test_a_large_amount_needs_a_full_bucket_and_leaves_a_debt(self):
        """Else it would never go; those behind it wait for what it took."""
        bucket = Bucket(10, 5)
        assert bucket.wait(50) == 0
        bucket.take(50)
        assert bucket.wait(1) == pytest.approx(4.6)
        assert bucket.wait(50) == pytest.approx(5)

    def test_what_is_given_back_does_not_overflow(self):
        """A burst must not come of it."""
        bucket = Bucket(10, 5)
        bucket.take(-100)
        assert bucket.level == 5
        bucket.fill(1e9)
        assert bucket.level == 5

    def test_a_share_of_it(self):
        """It fills more slowly, and says so."""
        bucket = Bucket(10, 5)
        bucket.take(5)
        assert bucket.wait(5, share=0.5) == pytest.approx(1)
        bucket.fill(1, share=0.5)
        assert bucket.wait(5) == 0


class TestShare:
    """Halved by congestion, back with successes."""

    def test_calls_in_flight_together_are_one_event(self):
        """A call that left before the cut knows nothing of it."""
        share = Share(1 / 64)
        tickets = [next_ticket() for _ in range(8)]
        assert [share.cut(ticket) for ticket in tickets] == [True] + [False] * 7
        assert share.value == 0.5
        assert share.cut(next_ticket())
        assert share.value == 0.25

    def test_a_storm_leaves_something(self):
        """Else nothing could recover."""
        share = Share(1 / 64)
        for _ in range(100):
            share.cut(next_ticket())
        assert share.value == 1 / 64

    @pytest.mark.parametrize("in_flight", [0, 1, 4, 64])
    def test_an_eighth_comes_back_with_each_round(self, in_flight: int):
        """Additively, as far as all of it."""
        share = Share(1 / 64)
        share.cut(next_ticket())
        rounds = 0
        while share.value < 1:
            for _ in range(max(1, in_flight)):
                share.grow(next_ticket(), in_flight)
            rounds += 1
        assert rounds == 4
        assert share.value == 1.0
        assert not share.grow(next_ticket(), in_flight)

    def test_successes_of_calls_from_before_the_cut_say_nothing(self):
        """They left when more was allowed, and still it was too much."""
        share = Share(1 / 64)
        early = next_ticket()
        share.cut(next_ticket())
        assert not share.grow(early, 1)
        assert share.value == 0.5


class TestClocks:
    """That stand still, jump, or go back."""

    def test_the_first_reading_passes_nothing(self):
        """Wherever the clock starts."""
        watch = Stopwatch()
        assert [watch.passed(at) for at in (1e9, 1e9, 1e9 + 2)] == [0, 0, 2]

    def test_a_clock_that_goes_back(self):
        """No time passes, and then it goes on."""
        watch = Stopwatch()
        assert [watch.passed(at) for at in (100, 3, 3, 5)] == [0, 0, 0, 2]

    def test_a_countdown(self):
        """It ends; a clock that goes back prolongs it by its own length at most."""
        countdown = Countdown()
        assert countdown.left(0) == 0
        countdown.start(100, 5)
        assert [countdown.left(at) for at in (100, 104, 105, 1e9)] == [5, 1, 0, 0]
        assert countdown.left(0) == 5
        assert countdown.left(3) == 2
