"""Which replica a call is sent to."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice.errors import CircuitOpen
from thinktwice.limiter.replicas import Attempt, Replicas


class StatusError(Exception):
    def __init__(self, status: int, retry_after: float | None = None) -> None:
        super().__init__()
        self.status_code = status
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}


class Pool(Replicas):
    """At a time that the test sets, with two failures to be out and 5 seconds of back-off."""

    def __init__(self, count: int = 3) -> None:
        super().__init__(count, 2, 5.0)
        self.at = 0.0

    def send(self, key: bytes | None = None, tried: set[int] | None = None) -> Attempt:
        attempt = self.choose(self.at, key, tried or set())
        assert attempt is not None
        return attempt

    def ended(self, attempt: Attempt, error: BaseException | None = None) -> None:
        self.end(attempt, self.at, error)

    def call(self, replica: int, seconds: float = 1, error: BaseException | None = None) -> None:
        """One call there, whatever else would be better."""
        others = {each for each in range(len(self._all)) if each != replica}
        attempt = self.send(tried=others)
        self.at += seconds
        self.ended(attempt, error)


def sent(pool: Pool, calls: int, key: bytes | None = None) -> Counter[int]:
    """Where so many calls go that are all under way."""
    return Counter(pool.send(key).replica for _ in range(calls))


class TestLeastWork:
    """Calls under way times latency."""

    def test_evenly_at_first(self):
        """As long as nothing is known."""
        assert sent(Pool(), 9) == {0: 3, 1: 3, 2: 3}

    def test_one_after_the_other(self):
        """Each in its turn, though none is busy."""
        pool, order = Pool(), []
        for _ in range(6):
            attempt = pool.send()
            pool.ended(attempt)
            order.append(attempt.replica)
        assert order == [0, 1, 2, 0, 1, 2]

    def test_a_slow_one_gets_less(self):
        """In proportion to its latency."""
        pool = Pool()
        for replica, seconds in enumerate((1, 1, 4)):
            pool.call(replica, seconds)
        assert sent(pool, 9) == {0: 4, 1: 4, 2: 1}

    def test_latency_is_a_running_mean(self):
        """One that recovers gets its part again."""
        pool = Pool(2)
        pool.call(0, 1)
        pool.call(1, 10)
        for _ in range(30):
            pool.call(1, 1)
        counts = sent(pool, 10)
        assert counts == {0: 5, 1: 5}

    def test_failures_are_no_latency(self):
        """Or a replica that refuses at once would get everything."""
        pool = Pool(2)
        for replica in (0, 1):
            pool.call(replica, 1)
        pool.call(1, 0.001, StatusError(500))
        assert sent(pool, 4) == {0: 2, 1: 2}


class TestCongestion:
    """429s."""

    def test_a_429_halves_its_share(self):
        """It is not out: calls still go there."""
        pool = Pool(2)
        for replica in (0, 1):
            pool.call(replica, 1)
        pool.call(1, 0, StatusError(429))
        assert pool.available == 2
        assert sent(pool, 9) == {0: 6, 1: 3}

    def test_and_successes_give_it_back(self):
        """An eighth for each round."""
        pool = Pool(2)
        for replica in (0, 1):
            pool.call(replica, 1)
        pool.call(1, 0, StatusError(429))
        for _ in range(4):
            pool.call(1, 1)
        assert sent(pool, 8) == {0: 4, 1: 4}

    def test_retry_after_sends_calls_elsewhere(self):
        """For that time; where all of them rest, calls go on."""
        pool = Pool(2)
        pool.call(1, 0, StatusError(429, 7))
        assert sent(pool, 4) == {0: 4}
        pool.call(0, 0, StatusError(503, 7))
        assert sum(sent(pool, 4).values()) == 4
        pool.at += 7
        assert 1 in sent(pool, 20)


class TestOut:
    """Failures in a row."""

    @pytest.mark.parametrize("error", [ConnectionError(), TimeoutError(), StatusError(500)])
    def test_it_gets_no_calls(self, error: Exception):
        """Until its back-off is over; then one, and all again when that succeeds."""
        pool = Pool(2)
        pool.call(1, 0, error)
        assert pool.available == 2
        pool.call(1, 0, error)
        assert pool.available == 1
        assert sent(pool, 6) == {0: 6}
        pool.at += 5
        probe = pool.send()
        assert (probe.replica, probe.probe) == (1, True)
        assert sent(pool, 6) == {0: 6}
        pool.ended(probe)
        assert pool.available == 2
        assert 1 in sent(pool, 30)

    @pytest.mark.parametrize("error", [StatusError(400), StatusError(429), ValueError()])
    def test_what_is_no_fault_of_its_own(self, error: Exception):
        """The caller's mistake, or too many requests, does not take it out."""
        pool = Pool(2)
        for _ in range(5):
            pool.call(1, 0, error)
        assert pool.available == 2

    def test_an_answer_of_any_kind_starts_the_count_anew(self):
        """Whoever refuses is there."""
        pool = Pool(2)
        for error in (ConnectionError(), StatusError(400), ConnectionError()):
            pool.call(1, 0, error)
        assert pool.available == 2

    def test_a_cancelled_probe_is_made_up_for_by_the_next_call(self):
        """It must not stay half open."""
        pool = Pool(2)
        for _ in range(2):
            pool.call(1, 0, ConnectionError())
        pool.at += 5
        pool.ended(pool.send(), asyncio.CancelledError())
        assert pool.available == 1
        again = pool.send()
        assert (again.replica, again.probe) == (1, True)

    def test_a_call_that_has_failed_elsewhere_is_no_probe(self):
        """It goes to one that works, if there is one."""
        pool = Pool(3)
        for _ in range(2):
            pool.call(1, 0, ConnectionError())
        pool.at += 5
        assert pool.send(tried={0}).replica == 2
        assert pool.send(tried={0, 2}).probe

    def test_all_out(self):
        """Nothing is chosen; the error says why, and for how long."""
        pool = Pool(2)
        for replica in (0, 1):
            for _ in range(2):
                pool.call(replica, 1, ConnectionError() if replica else StatusError(503))
        assert pool.choose(pool.at, None, set()) is None
        error = pool.all_out(pool.at)
        assert isinstance(error, CircuitOpen)
        assert error.seconds == 3
        assert error.causes == ("StatusError(503)", "ConnectionError")
        assert str(error) == (
            "all 2 replicas are out: 1 x StatusError(503), 1 x ConnectionError; "
            "one is tried again in 3.0 s"
        )

    def test_one_that_was_tried_is_not_chosen_again(self):
        """A call goes to each once."""
        pool, tried = Pool(3), set()
        for _ in range(3):
            tried.add(pool.send(tried=tried).replica)
        assert pool.choose(0, None, tried) is None


class TestSticky:
    """Calls with one key stay together."""

    def test_on_one_replica(self):
        """The same one in every process; keys are spread."""
        assert sent(Pool(), 8, b"question") == {1: 8}
        homes = Counter(Pool().send(str(key).encode()).replica for key in range(300))
        assert min(homes.values()) > 70

    def test_they_spill_over_when_it_has_more_than_its_part(self):
        """Of 100 calls under way none has more than 1.25 times a third: 42 of 101."""
        assert sent(Pool(), 100, b"question") == {1: 42, 2: 42, 0: 16}

    def test_a_replica_that_is_out_moves_no_key_but_its_own(self):
        """The others keep their prefix caches."""
        keys = [str(key).encode() for key in range(60)]

        def homes(pool: Pool) -> list[int]:
            found = []
            for key in keys:
                attempt = pool.send(key)
                pool.ended(attempt)
                found.append(attempt.replica)
            return found

        pool = Pool()
        before = homes(pool)
        for _ in range(2):
            pool.call(1, 0, ConnectionError())
        after = homes(pool)
        assert 1 in before
        assert 1 not in after
        pairs = zip(before, after, strict=True)
        assert all(home == now for home, now in pairs if home != 1)

    def test_a_congested_one_has_less_at_ease(self):
        """Half of it after a 429."""
        pool = Pool()
        pool.call(1, 0, StatusError(429))
        assert sent(pool, 8, b"question") == {1: 4, 2: 4}


@given(
    script=st.lists(
        st.tuples(
            st.sampled_from(["send", "ok", "down", "busy", "cancel"]),
            st.floats(0, 10),
            st.sampled_from([None, b"a", b"b"]),
        ),
        max_size=60,
    )
)
def test_whatever_ends_how_the_books_are_right(script: list[tuple[str, float, bytes | None]]):
    """Calls under way are counted, nothing is sent to one that is out, and none is lost."""
    pool, under_way = Pool(), []
    errors = {"down": ConnectionError(), "busy": StatusError(429)}
    for event, seconds, key in script:
        pool.at += seconds
        if event == "send" or not under_way:
            attempt = pool.choose(pool.at, key, set())
            if attempt is None:
                assert pool.available == 0
            else:
                under_way.append(attempt)
            continue
        error = asyncio.CancelledError() if event == "cancel" else errors.get(event)
        pool.ended(under_way.pop(0), error)
        assert sum(each.outstanding for each in pool._all) == len(under_way)
    while under_way:
        pool.ended(under_way.pop())
    assert [each.outstanding for each in pool._all] == [0, 0, 0]
    pool.at += 60
    assert pool.choose(pool.at, None, set()) is not None
