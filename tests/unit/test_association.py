"""Whether the latency of a sampler's calls depends on their answers."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter

import pytest

from thinktwice.association import LONGEST, Association, shift_of
from thinktwice.stop import AtMost, Settled, Stop, Tally, with_certain

N = 16
SETTLED = with_certain(Settled())


def ends(rule: Stop, n: int = N):
    """As a vote asks it."""

    def over(finished: int, leader: int, runner_up: int) -> bool:
        votes = (leader, runner_up) if runner_up else (leader,)
        return finished >= n or rule.fired(Tally(n, votes, finished)) is not None

    return over


def tally(ordinals: list[int]) -> Tally:
    """Of a history."""
    counts = Counter(each for each in ordinals if each >= 0)
    return Tally(N, tuple(sorted(counts.values(), reverse=True)), len(ordinals))


def request(
    rng: random.Random, shares: list[float], speeds: list[float], at_once: int
) -> tuple[list[int], list[float]]:
    """Ordinals and latencies of one request, counted on arrival until it is settled."""
    flying: list[tuple[float, float, int]] = []
    ordinals: list[int] = []
    seconds: list[float] = []
    names: dict[int, int] = {}
    clock, launched = 0.0, 0
    while not (ordinals and SETTLED.fired(tally(ordinals))) and len(ordinals) < N:
        while len(flying) < at_once and launched < N:
            answer = rng.choices(range(len(shares)), shares)[0]
            latency = rng.lognormvariate(0, 0.5) * speeds[answer]
            heapq.heappush(flying, (clock + latency, latency, answer))
            launched += 1
        clock, latency, answer = heapq.heappop(flying)
        ordinals.append(names.setdefault(answer, len(names)))
        seconds.append(latency)
    return ordinals, seconds


def requests_until_found(seed: int, speeds: list[float], most: int, at_once: int = 5) -> int | None:
    """How many requests it takes."""
    rng = random.Random(seed)
    test = Association()
    for number in range(1, most + 1):
        share = rng.choice([0.5, 0.6, 0.7, 0.9])
        ordinals, seconds = request(rng, [share, 1 - share], speeds, at_once)
        test.add(ordinals, seconds, over=ends(SETTLED))
        if test.found:
            return number
    return None


@pytest.mark.parametrize("speeds", [[1, 2], [2, 1]], ids=["fast wins", "slow wins"])
def test_one_answer_twice_as_fast_is_found_within_a_few_hundred_requests(speeds: list[float]):
    """Whether the fast answers win or lose, though stopping early hides most of the slow ones."""
    needed = [requests_until_found(seed, speeds, 1000) for seed in range(5)]
    assert None not in needed
    assert sorted(filter(None, needed))[2] < 250


def test_a_fair_sampler_is_not_suspected():
    """At more than 1,000 looks each."""
    assert [requests_until_found(seed, [1, 1], 400) for seed in range(3)] == [None] * 3


def test_the_null_distribution_is_that_of_all_orders_which_the_rule_allows():
    """Against counting them one by one, with a third answer and an abstention in fixed places."""
    ordinals, ranks = [0, 1, -1, 0, 2, 1, 0, 0], [3.0, 1.0, 5.0, 2.0, 8.0, 7.0, 4.0, 6.0]
    over = ends(SETTLED)
    places = [place for place, each in enumerate(ordinals) if each in {0, 1}]
    sums: list[float] = []
    for chosen in itertools.combinations(places[1:], 3):
        order = [0 if place in (places[0], *chosen) else 1 for place in range(len(ordinals))]
        order = [each if place in places else ordinals[place] for place, each in enumerate(order)]
        counts = [tally(order[:size]).counts for size in range(1, len(order))]
        if not any(over(size, *(*each, 0, 0)[:2]) for size, each in enumerate(counts, 1)):
            sums.append(sum(ranks[place] / 9 for place, each in enumerate(order) if each == 0))
    mean = sum(sums) / len(sums)
    variance = sum((each - mean) ** 2 for each in sums) / len(sums)
    observed = sum(ranks[place] / 9 for place, each in enumerate(ordinals) if each == 0)
    assert 0 < len(sums) < 20  # the rule forbids some of them
    assert shift_of(ordinals, ranks, over=over) == pytest.approx((mean - observed, variance))


def test_a_request_in_which_all_agree_says_nothing():
    """There is nothing to compare with."""
    assert shift_of([0, 0, 0], [1.0, 2.0, 3.0], over=ends(SETTLED)) is None
    assert shift_of([0, -1, 0], [1.0, 2.0, 3.0], over=ends(SETTLED)) is None
    assert shift_of([], [], over=ends(SETTLED)) is None


def test_a_long_request_is_not_looked_at():
    """The work grows with the square."""
    ordinals = [0, 1] * LONGEST
    seconds = [float(each) for each in range(len(ordinals))]
    assert shift_of(ordinals, seconds, over=ends(AtMost(99), 99)) is None


def test_once_found_it_stays_found():
    """Later requests are counted in launch order, and tell nothing more."""
    test = Association()
    for _ in range(200):
        test.add([0, 0, 1, 1], [1.0, 2.0, 3.0, 4.0], over=ends(AtMost(4), 4))
    assert test.found
    for _ in range(500):
        test.add([0, 1, 1, 0], [1.0, 2.0, 3.0, 4.0], over=ends(AtMost(4), 4))
    assert test.found


@pytest.mark.parametrize(
    "answers", ["ABCABACDEEEDEDDD", "ABAACDBDCDEEDEEE", "AABBACCCCDDEBDDE", "ABCDEFGHABCDEFGH"]
)
def test_other_groups_may_lead_for_a_while(answers: str):
    """The order that was really counted is always among those that the rule allows."""
    names: dict[str, int] = {}
    ordinals = [names.setdefault(each, len(names)) for each in answers]
    shift = shift_of(ordinals, [float(each) for each in range(16)], over=ends(SETTLED))
    assert shift is None or shift[1] >= 0


def test_many_answers_are_no_association():
    """Among equally likely ones the largest groups are often of one size: these tell nothing."""
    rng = random.Random(4)
    shifts = []
    for _ in range(400):
        ordinals, seconds = request(rng, [0.2] * 5, [1.0] * 5, N)
        shift = shift_of(ordinals, seconds, over=ends(SETTLED))
        shifts += [] if shift is None else [shift]
    assert len(shifts) > 100
    spread = sum(variance for _, variance in shifts) ** 0.5
    assert abs(sum(each for each, _ in shifts)) < 3.5 * spread


def test_groups_of_one_size_are_not_compared():
    """Which of them came first is a matter of order, which is what is tested."""
    assert shift_of([0, 1, 2, 0, 1, 2], [1.0] * 6, over=ends(AtMost(6), 6)) is None
    assert shift_of([0, 0, 1, 2], [1.0] * 4, over=ends(AtMost(4), 4)) is None
