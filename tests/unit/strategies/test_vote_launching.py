"""When a vote launches, in what order it counts, and what it does about stragglers."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from thinktwice import Budget, Completion, Limiter, Result, UsageError, Vote, solve
from thinktwice.history import History
from thinktwice.stop import AtMost, Lead, Settled
from thinktwice.strategies.best_of_n import BestOfN
from thinktwice.testing import captured_spans, run_virtual

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.usefixtures("silent_remarks")
ALL = AtMost(99)


class Scripted:
    """Answers and latencies by the number of the call; it knows eight calls of one second."""

    def __init__(self, *script: tuple[str, float] | Exception, warm: bool = True) -> None:
        self.script = script
        self.history = History()
        self.started: list[float] = []
        self.cancelled: list[int] = []
        for _ in range(8 if warm else 0):
            self.history.latencies.add(1.0)

    async def __call__(self, prompt: str) -> str:
        """The next one."""
        number = len(self.started)
        self.started.append(asyncio.get_running_loop().time())
        step = self.script[min(number, len(self.script) - 1)]
        if isinstance(step, Exception):
            raise step
        try:
            await asyncio.sleep(step[1])
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        return step[0]


def voted(ask: Scripted, strategy: Vote, **settings: object) -> Result[str]:
    """The result of one request on a virtual clock."""
    return run_virtual(solve("q", sampler=ask, strategy=strategy, **settings))  # type: ignore[arg-type]


# ---- hedging ------------------------------------------------------------------------------------


def straggling(n: int, *, warm: bool = True) -> Scripted:
    """The second call hangs for a minute; all others take a second and agree pairwise."""
    script = [("a", 1.0), ("b", 60.0), *[("ab"[i % 2], 1.0) for i in range(n + 4)]]
    return Scripted(*script, warm=warm)


def test_a_straggler_is_hedged_by_a_new_sample():
    """After 2.5 times the median; the straggler is recalled when the vote is over."""
    ask = straggling(4)
    result = voted(ask, Vote(4, prefer="latency", stop=AtMost(4)))
    assert result.ledger.seconds == pytest.approx(3.5)
    assert ask.started == [0, 0, 0, 0, 2.5]
    assert ask.cancelled == [1]
    assert (result.launched, result.used, result.hedges) == (5, 4, 1)
    assert [entry.status for entry in result.ledger.entries].count("cancelled") == 1
    assert result.ledger.total.calls == 5


def test_a_hedge_voids_the_claim():
    """Which samples count now depends on how long they take."""
    ask = Scripted(("b", 1.0), ("a", 60.0), ("a", 2.0), *[("a", 1.0)] * 5)
    result = voted(ask, Vote(16, prefer=1.0 - 1e-6, stop=Settled()))
    assert result.hedges == 1
    assert result.settled is not None
    assert result.settled.text == "no claim: void by a hedge"


@pytest.mark.parametrize(
    "strategy",
    [
        Vote(4, prefer="latency", stop=AtMost(4), hedge=False),
        Vote(4, prefer="cost", stop=AtMost(4)),
        Vote(4, prefer="shortest", stop=AtMost(4)),
        Vote(4, prefer="latency", stop=AtMost(4), count="launch"),
    ],
    ids=["asked not to", "cost", "shortest", "launch order"],
)
def test_no_hedge(strategy: Vote):
    """Where it is not wanted, or would spoil what is."""
    ask = straggling(4)
    result = voted(ask, strategy)
    assert (result.launched, result.hedges) == (4, 0)
    assert result.ledger.seconds >= 60


def test_nothing_is_hedged_before_latencies_are_known():
    """Eight calls of this sampler, in this run or before it."""
    ask = straggling(4, warm=False)
    assert voted(ask, Vote(4, prefer="latency", stop=AtMost(4))).hedges == 0


def test_no_more_hedges_than_could_decide():
    """Two calls straggle, and one more vote is enough."""
    script = [("a", 1.0), ("a", 1.0), *[("b", 60.0)] * 6, ("a", 1.0)]
    ask = Scripted(*script)
    for _ in range(100):
        ask.history.latencies.add(1.0)
    result = voted(ask, Vote(8, prefer="latency", stop=Lead(3)))
    assert result.hedges == 1
    assert result.ledger.seconds == pytest.approx(3.5)


def test_a_hedge_that_loses_to_its_straggler_is_recalled():
    """Whichever comes first counts."""
    ask = Scripted(("a", 1.0), ("b", 3.0), ("c", 1.0), ("d", 60.0))
    result = voted(ask, Vote(3, prefer="latency", stop=AtMost(3)))
    assert result.ledger.seconds == pytest.approx(3.0)
    assert (result.launched, result.used, result.hedges) == (4, 3, 1)
    assert ask.cancelled == [3]
    assert [sample.index for sample in result.samples] == [0, 1, 2]


def test_a_hedge_that_straggles_is_hedged():
    """If the share of extra calls allows it."""
    ask = Scripted(("a", 1.0), ("b", 99.0), ("c", 99.0), ("a", 1.0))
    for _ in range(100):
        ask.history.latencies.add(1.0)
    result = voted(ask, Vote(2, prefer="latency", stop=AtMost(2)))
    assert result.ledger.seconds == pytest.approx(2.5 + 2.5 + 1.0)
    assert ask.cancelled == [1, 2]


def test_a_cap_on_calls_refuses_the_hedge_and_nothing_else():
    """The run goes on without; the right to the extra call is given back."""
    ask = straggling(4)
    result = voted(ask, Vote(4, prefer="latency", stop=AtMost(4)), budget=Budget(calls=4))
    assert (result.launched, result.hedges) == (4, 0)
    assert result.cut is None
    assert result.ledger.seconds == pytest.approx(60.0)
    assert ask.history.latencies.take_hedge(0, long=True)


def test_no_hedge_after_a_429():
    """The provider has too many requests already."""

    class TooManyError(Exception):
        status_code = 429

    ask = Scripted(("a", 1.0), ("b", 60.0), TooManyError(), ("a", 1.0))
    assert voted(ask, Vote(4, prefer="latency", stop=AtMost(4))).hedges == 0


def test_time_in_the_queue_is_not_latency():
    """A call that waits for its place is no straggler."""
    ask = Scripted(("a", 2.0))
    strategy = Vote(4, prefer="latency", stop=AtMost(4))
    result = voted(ask, strategy, limiter=Limiter(1), max_concurrency=4)
    assert result.ledger.seconds == pytest.approx(8.0)
    assert result.hedges == 0


def test_the_span_of_a_hedge_says_so():
    """And no other does."""
    with captured_spans() as spans:
        voted(straggling(4), Vote(4, prefer="latency", stop=AtMost(4)))
    hedges = [
        (span.attributes or {}).get("thinktwice.sample.index")
        for span in spans
        if (span.attributes or {}).get("thinktwice.sample.hedge")
    ]
    assert hedges == [4]


def test_a_run_cancelled_in_mid_hedge_leaves_nothing():
    """Straggler and hedge are both recalled, and both are in the ledger."""
    ask = straggling(4)

    async def main() -> None:
        work = asyncio.ensure_future(
            solve("q", sampler=ask, strategy=Vote(4, prefer="latency", stop=AtMost(4)))
        )
        await asyncio.sleep(3.0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await work
        result = caught.value.thinktwice_result  # type: ignore[attr-defined]
        statuses = [entry.status for entry in result.ledger.entries]
        assert sorted(statuses) == ["cancelled"] * 2 + ["ok"] * 3
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())
    assert sorted(ask.cancelled) == [1, 4]


def test_best_of_n_hedges_as_well():
    """It waits for all of its candidates."""
    ask = straggling(4)
    strategy = BestOfN(4, verifier=lambda _: 0.5, prefer="latency")
    result = run_virtual(solve("q", sampler=ask, strategy=strategy))
    assert result.ledger.seconds == pytest.approx(3.5)
    assert result.hedges == 1
    assert len(result.verdicts) == 4


# ---- order of counting --------------------------------------------------------------------------


def test_in_launch_order_a_fast_answer_has_no_advantage():
    """Two fast votes for b would win on arrival; in launch order a comes first."""
    script: Sequence[tuple[str, float]] = [("a", 9.0), ("a", 9.0), ("b", 1.0), ("b", 1.0)]
    on_arrival = Vote(4, prefer="latency", stop=Lead(2), hedge=False)
    assert voted(Scripted(*script), on_arrival).value == "b"
    in_order = Vote(4, prefer="latency", stop=Lead(2), count="launch")
    result = voted(Scripted(*script), in_order)
    assert result.value == "a"
    assert (result.used, result.launched) == (2, 4)
    assert result.ledger.seconds == pytest.approx(9.0)


@pytest.mark.parametrize("prefer", ["balanced", "latency", 0.25])
def test_in_launch_order_the_result_is_that_of_drawing_one_by_one(prefer: float):
    """Whatever the latencies: the vote sees a longer and longer prefix of the same draws."""
    for seed in range(20):
        rng = random.Random(seed)
        script = [(rng.choice("aab"), rng.lognormvariate(0, 1)) for _ in range(16)]
        vote = Vote(16, prefer=prefer, count="launch")  # type: ignore[arg-type]
        result = voted(Scripted(*script), vote, max_concurrency=16)
        alone = voted(Scripted(*script), Vote(16, prefer="cost"), max_concurrency=1)
        assert (result.value, result.used) == (alone.value, alone.used)
        assert result.settled is not None
        assert result.settled.holds


def test_in_launch_order_no_more_are_ahead_than_may_be_needed():
    """What has finished and waits for its turn counts as under way."""
    script = [("a", 60.0), *[("a", 1.0)] * 20]
    ask = Scripted(*script)
    voted(ask, Vote(16, prefer=1.0, count="launch"), max_concurrency=16)
    assert ask.started == [0, 0, 0]  # three that agree settle it


def test_a_cut_counts_what_waited_for_its_turn():
    """It is paid for, and nothing will come before it any more."""
    ask = Scripted(("a", 60.0), ("b", 1.0), ("b", 1.0))
    vote = Vote(3, prefer="latency", count="launch")
    result = voted(ask, vote, budget=Budget(seconds=5))
    assert result.value == "b"
    assert result.cut is not None


def test_once_fast_answers_are_known_to_differ_votes_count_in_launch_order():
    """Found over the requests of one sampler; it says so."""
    rng = random.Random(7)
    ask = Scripted(("a", 1.0))

    async def biased(prompt: str) -> Completion[str]:
        answer = rng.choice("ab")
        await asyncio.sleep(rng.lognormvariate(0, 0.5) * (1 if answer == "a" else 2))
        return Completion(value=answer)

    biased.history = ask.history  # type: ignore[attr-defined]

    async def main() -> int:
        for number in range(600):
            result = await solve("q", sampler=biased, strategy=Vote(16, hedge=False))
            if any("come faster" in each for each in result.warnings):
                return number
        return -1

    assert 5 < run_virtual(main()) < 600


# ---- warm first ---------------------------------------------------------------------------------


def test_warm_first_launches_one_and_then_the_others():
    """So that the others find the prompt in the provider's cache."""
    ask = Scripted(("a", 1.0), ("b", 1.0), ("a", 1.0), ("b", 1.0))
    voted(ask, Vote(4, prefer="latency", stop=AtMost(4), warm_first=True))
    assert ask.started == [0, 1, 1, 1]


def test_warm_first_does_not_wait_for_a_success():
    """A first call that fails has been sent all the same."""
    ask = Scripted(RuntimeError("x"), ("a", 1.0))
    result = voted(ask, Vote(3, prefer="latency", stop=AtMost(3), warm_first=True))
    assert ask.started == [0, 0, 0]
    assert result.value == "a"


# ---- the first to come --------------------------------------------------------------------------


def test_shortest_takes_the_first_to_come():
    """short-m@k: m of k."""
    script = [("a", 9.0), ("a", 8.0), ("b", 1.0), ("b", 2.0), ("a", 7.0), ("c", 3.0)]
    result = voted(Scripted(*script), Vote(6, prefer="shortest", stop=AtMost(3)))
    assert result.value == "b"
    assert (result.used, result.launched) == (3, 6)
    assert result.ledger.seconds == pytest.approx(3.0)
    assert result.settled is not None
    assert "a preference for answers that come first" in result.settled.text


def test_shortest_and_launch_order_contradict_each_other():
    """Said before anything is drawn."""
    with pytest.raises(UsageError, match="count='launch'"):
        Vote(6, prefer="shortest", count="launch")
    with pytest.raises(UsageError, match="count='backwards'"):
        Vote(6, count="backwards")  # type: ignore[arg-type]
