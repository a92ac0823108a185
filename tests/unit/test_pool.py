"""Several replicas of one model as one sampler."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections import Counter

import pytest

from thinktwice import (
    Budget,
    Completion,
    Limiter,
    Price,
    Usage,
    UsageError,
    Vote,
    budget_scope,
    solve,
    solve_sync,
)
from thinktwice.errors import CircuitOpen
from thinktwice.limiter.pacing import MARGIN
from thinktwice.pool import Pool
from thinktwice.sampling import as_source
from thinktwice.stop import AtMost
from thinktwice.testing import ScriptedSampler, captured_spans, run_virtual

pytestmark = pytest.mark.usefixtures("silent_remarks")
EIGHT = Vote(8, stop=AtMost(8), prefer="latency")
ONE = Vote(1)
USAGE = Usage(input_tokens=10, output_tokens=5, source="provider")


class StatusError(Exception):
    def __init__(self, status: int, retry_after: float | None = None) -> None:
        super().__init__("sk-secret")
        self.status_code = status
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}


class HttpClientError(Exception):
    """As some client raises it when a connection is lost on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.__cause__ = ConnectionResetError()


def working(seconds: float = 1, **more: object) -> ScriptedSampler[str]:
    return ScriptedSampler(["a"], seconds=seconds, **more)  # type: ignore[arg-type]


def dead(error: Exception | None = None, seconds: float = 0) -> ScriptedSampler[str]:
    return ScriptedSampler([error or ConnectionRefusedError()], seconds=seconds)


class Sync:
    """A blocking model."""

    model = "sync"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls = 0

    def __call__(self, prompt: str) -> Completion[str]:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return Completion(value="a", usage=USAGE)


class TestConstruction:
    """What goes together, and what it declares."""

    @pytest.mark.parametrize(
        ("parameter", "given"),
        [
            ("samplers", {"samplers": []}),
            ("samplers", {"samplers": working()}),
            ("sampler", {"samplers": [3]}),
            ("samplers", {"samplers": [working(), Sync()]}),
            ("samplers", {"samplers": [working(model="a"), working(model="b")]}),
            ("samplers", {"samplers": [working(), Vote(2).over(working())]}),
            ("limiters", {"limiters": Limiter(1)}),
            ("limiters", {"limiters": [Limiter(1), Limiter(1)]}),
            ("limiters", {"limiters": [8]}),
            ("failures", {"failures": 0}),
            ("failures", {"failures": True}),
            ("failures", {"failures": 1.5}),
            ("back_off", {"back_off": 0}),
            ("back_off", {"back_off": "5"}),
            ("back_off", {"back_off": float("inf")}),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, parameter: str, given: dict[str, object]):
        """It names the parameter."""
        with pytest.raises(UsageError, match=f"^{parameter}="):
            Pool(**{"samplers": [working()], **given})

    def test_it_declares_what_its_members_do(self):
        """So that budgets, prices and spans work as with one of them."""
        members = [working(max_tokens=size, model="m") for size in (20, 30)]
        members[1].passthrough = (KeyError,)
        source = as_source(Pool(members))
        assert (source.model, source.provider, source.max_tokens) == ("m", "fake", 30)
        assert source.passthrough == (KeyError,)
        assert source.leaf
        assert source.recallable
        assert source.takes_options == "keyword"
        assert not as_source(Pool([Sync()])).recallable

    def test_what_they_do_not_share_it_does_not_claim(self):
        """An unknown max tokens, or another provider."""
        other = working(max_tokens=None)
        other.provider = "other"
        pool = Pool([working(max_tokens=20), other])
        assert (pool.provider, pool.max_tokens) == (None, None)

    def test_strategies_go_together(self):
        """Their calls report themselves."""
        pool = Pool([Vote(3, stop=AtMost(3)).over(working()) for _ in range(2)])
        assert not pool.leaf
        assert pool.draws == 3
        result = run_virtual(solve("q", sampler=pool, strategy=Vote(2, stop=AtMost(2))))
        assert (result.value, result.ledger.total.calls) == ("a", 6)

    def test_it_shows_how_it_is(self):
        """On one line."""
        assert repr(Pool([working()] * 3)) == "<Pool: 3 replicas of 'fake-model', 0 out>"


class TestCalls:
    """Where they go, and what becomes of them."""

    def test_they_are_spread(self):
        """Evenly over equal replicas; their completions come through as they are."""
        members = [working() for _ in range(4)]
        result = run_virtual(solve("q", sampler=Pool(members), strategy=EIGHT))
        assert [member.calls for member in members] == [2, 2, 2, 2]
        assert (result.value, result.ledger.total.usage.total_tokens) == ("a", 8 * 15)
        assert result.ledger.seconds == 1

    def test_options_reach_them(self):
        """And are refused where they would be dropped."""
        member = working()
        run_virtual(solve("q", sampler=Pool([member]), strategy=ONE, options={"temperature": 0.5}))
        assert member.options == [{"temperature": 0.5}]

        async def plain(prompt: str) -> str:
            return "a"

        with pytest.raises(UsageError, match=r"^options="):
            run_virtual(solve("q", sampler=Pool([plain]), strategy=ONE, options={"seed": 1}))

    def test_sticky(self):
        """All samples of one question go to one replica, and other questions elsewhere."""

        async def main() -> None:
            members = [working() for _ in range(3)]
            pool = Pool(members, sticky=True)
            await solve("a question", sampler=pool, strategy=EIGHT)
            await solve("a question", sampler=pool, strategy=EIGHT)
            assert sorted(member.calls for member in members) == [0, 0, 16]
            for number in range(30):
                await solve(f"question {number}", sampler=pool, strategy=ONE)
            assert min(member.calls for member in members) > 3

        run_virtual(main())

    async def test_outside_of_a_run(self):
        """It is called like any sampler."""
        pool = Pool([dead(), working(0)], limiters=[Limiter(1), Limiter(1)])
        assert [(await pool("q")).value for _ in range(3)] == ["a"] * 3

    def test_control_flow_leaves_unwrapped(self):
        """Of any replica."""

        class Interrupt(Exception):  # noqa: N818
            pass

        member = dead(Interrupt())
        member.passthrough = (Interrupt,)
        with pytest.raises(Interrupt):
            run_virtual(solve("q", sampler=Pool([member]), strategy=EIGHT))


class TestFailing:
    """A replica that is down costs no request anything."""

    def test_eight_requests_over_three_with_one_dead(self):
        """No sample fails, and once it is known to be dead it is not asked again."""

        async def main() -> None:
            members = [working(), dead(), working()]
            pool = Pool(members)
            runs = (solve("q", sampler=pool, strategy=EIGHT) for _ in range(8))
            results = await asyncio.gather(*runs)
            assert [len(result.ledger.entries) for result in results] == [8] * 8
            assert not [s for result in results for s in result.samples if s.error]
            assert members[1].calls == 21  # a third of those that came at once
            assert pool.available == 2
            await asyncio.gather(*(solve("q", sampler=pool, strategy=EIGHT) for _ in range(8)))
            assert members[1].calls == 21
            assert repr(pool) == "<Pool: 3 replicas of 'fake-model', 1 out>"

        run_virtual(main())

    def test_two_of_three_dead(self):
        """A call for which no server was reached goes to each of the others in turn."""
        pool = Pool([dead(), dead(), working()])
        result = run_virtual(solve("q", sampler=pool, strategy=EIGHT))
        assert [sample.error for sample in result.samples] == [None] * 8
        assert result.ledger.total.calls == 8

    def test_one_that_comes_back(self):
        """Tried by one call at a time once its back-off is over."""
        script = [ConnectionRefusedError()] * 4 + ["a"] * 99
        reviving = ScriptedSampler(script, seconds=0.5)

        async def main() -> None:
            pool = Pool([reviving, working(0.5)], failures=2, back_off=5)
            await solve("q", sampler=pool, strategy=EIGHT)
            assert pool.available == 1
            calls = reviving.calls
            await solve("q", sampler=pool, strategy=EIGHT)
            assert reviving.calls == calls
            await asyncio.sleep(5)
            await solve("q", sampler=pool, strategy=EIGHT)
            assert reviving.calls == calls + 1
            assert pool.available == 2
            await solve("q", sampler=pool, strategy=EIGHT)
            assert reviving.calls > calls + 1

        run_virtual(main())

    @pytest.mark.parametrize("status", [502, 503])
    def test_a_refusal_of_a_gateway_is_sent_once_more(self, status: int):
        """The ledger has both: a server was reached twice, and billed nothing the first time."""
        first, second = dead(StatusError(status), seconds=1), working(2)
        pool = Pool([first, second])
        prices = {"fake-model": Price("1", "1")}
        with captured_spans() as spans:
            run = solve("q", sampler=pool, strategy=ONE, prices=prices)
            result = run_virtual(run)
        refused, answered = result.ledger.entries
        assert (refused.status, refused.error) == ("error", f"StatusError({status})")
        assert (refused.cost, refused.seconds) == (0, 1)
        assert (answered.status, answered.usage.total_tokens, answered.seconds) == ("ok", 15, 2)
        assert result.samples[0].seconds == 3
        assert (result.launched, result.ledger.total.calls) == (1, 2)
        leaves = [span for span in spans if span.name.startswith("chat")]
        assert [leaf.attributes["thinktwice.status"] for leaf in leaves] == ["error", "ok"]

    def test_but_not_twice(self):
        """What the second server says stands."""
        members = [dead(StatusError(503)) for _ in range(3)]
        with pytest.raises(StatusError) as caught:
            run_virtual(solve("q", sampler=Pool(members), strategy=ONE))
        assert sum(member.calls for member in members) == 2
        assert caught.value.thinktwice_result.ledger.total.calls == 2

    def test_nor_beyond_the_budget(self):
        """A cap on calls is exact: without a call left the refusal stands."""
        pool = Pool([dead(StatusError(503)), working()])

        async def main() -> None:
            with budget_scope(Budget(calls=1)) as ledger:
                with pytest.raises(StatusError):
                    await solve("q", sampler=pool, strategy=ONE)
                assert ledger.total.calls == 1

        run_virtual(main())

    @pytest.mark.parametrize(
        "error", [StatusError(500), StatusError(400), HttpClientError(), TimeoutError(), KeyError()]
    )
    def test_what_may_have_been_billed_is_not_sent_again(self, error: Exception):
        """Nor what was the caller's mistake: it is a failed sample."""
        other = working()
        with pytest.raises(type(error)):
            run_virtual(solve("q", sampler=Pool([dead(error), other]), strategy=ONE))
        assert other.calls == 0

    def test_a_429_is_the_replicas_own(self):
        """It gets less; the limiters of the run hear nothing of it, and pause nobody."""
        busy = dead(StatusError(429, retry_after=30))
        limiter = Limiter(8)

        async def main() -> None:
            pool = Pool([busy, working(), working()])
            result = await solve("q", sampler=pool, strategy=EIGHT, limiter=limiter)
            errors = [sample.error for sample in result.samples if sample.error]
            assert len(errors) == busy.calls
            assert not limiter.congested
            assert pool.available == 3
            again = await solve("q", sampler=pool, strategy=EIGHT, limiter=limiter)
            assert not [sample for sample in again.samples if sample.error]
            assert asyncio.get_running_loop().time() == 2

        run_virtual(main())

    def test_where_all_push_back_the_limiters_of_the_run_hear_of_it(self):
        """As with a single model, in a pool or not."""
        for count in (1, 3):
            limiter = Limiter(8)
            pool = Pool([dead(StatusError(429, retry_after=30)) for _ in range(count)])
            with pytest.raises(StatusError):
                run_virtual(solve("q", sampler=pool, strategy=EIGHT, limiter=limiter))
            assert limiter.congested

    def test_one_refusal_is_sent_once_more_whatever_comes_between(self):
        """A server that was not reached is no second refusal, and makes no third try of it."""
        members = [dead(StatusError(503)), dead(), dead(StatusError(503)), working()]
        with pytest.raises(StatusError):
            run_virtual(solve("q", sampler=Pool(members), strategy=ONE))
        assert [member.calls for member in members] == [1, 1, 1, 0]


class TestAllOut:
    """It says so at once."""

    def test_a_call_is_not_sent(self):
        """Nothing is booked; the error has the causes and the time."""
        members = [dead(), dead(TimeoutError())]

        async def main() -> None:
            pool = Pool(members, failures=1)
            with pytest.raises(TimeoutError):
                await solve("q", sampler=pool, strategy=ONE)
            assert pool.available == 0
            with budget_scope(Budget(calls=9)) as ledger:
                with pytest.raises(CircuitOpen) as caught:
                    await solve("q", sampler=pool, strategy=EIGHT)
                assert ledger.remaining == {"calls": 9}
            error = caught.value
            assert error.seconds == 5
            assert "1 x ConnectionRefusedError, 1 x TimeoutError" in str(error)
            assert "tried again in 5.0 s" in str(error)
            assert len(error.result.samples) == 8
            assert asyncio.get_running_loop().time() == 0
            assert pickle.loads(pickle.dumps(error)).causes == error.causes  # noqa: S301

        run_virtual(main())

    def test_a_failed_sample_among_others(self):
        """It is one more error of a vote."""
        flaky = ScriptedSampler(["a", TimeoutError(), "a"], seconds=[1, 2, 3])
        run = solve("q", sampler=Pool([flaky], failures=1), strategy=Vote(5, stop=AtMost(5)),
                    max_concurrency=3)  # fmt: skip
        result = run_virtual(run)
        assert result.value == "a"
        kinds = Counter(type(sample.error).__name__ for sample in result.samples)
        assert kinds == {"NoneType": 3, "TimeoutError": 1, "CircuitOpen": 1}
        assert result.ledger.total.calls == 4

    def test_one_is_being_tried(self):
        """A probe is under way: the others need not wait for it."""
        slow = ScriptedSampler([TimeoutError(), "a"], seconds=[0, 3])

        async def main() -> None:
            pool = Pool([slow], failures=1)
            with pytest.raises(TimeoutError):
                await pool("q")
            await asyncio.sleep(5)
            probe = asyncio.ensure_future(pool("q"))
            await asyncio.sleep(1)
            with pytest.raises(CircuitOpen, match="one is being tried now"):
                await pool("q")
            assert (await probe).value == "a"
            assert pool.available == 1

        run_virtual(main())

    def test_a_cancelled_probe_does_not_leave_it_half_open(self):
        """The next call is the probe."""
        slow = ScriptedSampler([TimeoutError(), "a"], seconds=[0, 3])

        async def main() -> None:
            pool = Pool([slow], failures=1)
            with pytest.raises(TimeoutError):
                await pool("q")
            await asyncio.sleep(5)
            probe = asyncio.ensure_future(pool("q"))
            await asyncio.sleep(1)
            probe.cancel()
            await asyncio.wait([probe])
            assert slow.cancelled == 1
            assert pool.available == 0
            slow._seconds = [0]
            slow._values = ["a"]
            assert (await pool("q")).value == "a"
            assert pool.available == 1

        run_virtual(main())


class TestLimiters:
    """One for each replica."""

    def test_each_keeps_its_own(self):
        """Concurrency and rates; waiting is no latency, neither of the call nor of the replica."""
        members = [working(), working()]
        limiters = [Limiter(1), Limiter(9, requests_per_minute=60 / MARGIN)]

        async def main() -> None:
            pool = Pool(members, limiters=limiters)
            result = await solve("q", sampler=pool, strategy=EIGHT)
            assert [member.most_in_flight for member in members] == [1, 2]
            assert [round(entry.seconds, 9) for entry in result.ledger.entries] == [1] * 8
            waited = sorted(entry.queued for entry in result.ledger.entries)
            assert waited == pytest.approx([0, 0, 0.95, 1, 1.95, 2, 2.95, 3])
            assert [each.in_use for each in limiters] == [0, 0]
            assert [each.waiting for each in limiters] == [0, 0]

        run_virtual(main())

    def test_they_learn_from_their_replica_alone(self):
        """A 429 of one says nothing about the other."""
        limiters = [Limiter(8), Limiter(8)]
        pool = Pool([dead(StatusError(429)), working()], limiters=limiters)
        run_virtual(solve("q", sampler=pool, strategy=EIGHT))
        assert [each.congested for each in limiters] == [True, False]

    def test_the_limiter_of_a_run_may_be_that_of_a_replica(self):
        """One place in it is enough for a call, and nobody waits in a ring."""
        first, second = Limiter(1), Limiter(1)

        async def one(outer: Limiter, inner: Limiter) -> object:
            pool = Pool([working(), working()], limiters=[inner, outer])
            result = await solve("q", sampler=pool, strategy=EIGHT, limiter=outer)
            return result.value

        async def main() -> list[object]:
            pairs = [(first, second), (second, first)] * 3
            return await asyncio.gather(*(one(*pair) for pair in pairs))

        assert run_virtual(main()) == ["a"] * 6
        assert first.in_use == second.in_use == 0

    def test_while_a_call_waits_for_a_replica_others_work(self):
        """It lends the places that it holds."""
        full, free = Limiter(1), working()

        async def main() -> None:
            await full.acquire()
            shared = Limiter(1)
            pool = Pool([working()], limiters=[full])
            waiting = asyncio.ensure_future(solve("q", sampler=pool, strategy=ONE, limiter=shared))
            await asyncio.sleep(1)
            await solve("q", sampler=free, strategy=ONE, limiter=shared)
            assert asyncio.get_running_loop().time() == 2
            full.release()
            assert (await waiting).ledger.entries[0].queued == 2
            assert shared.in_use == full.in_use == 0

        run_virtual(main())

    def test_a_call_recalled_in_line_leaves_nothing(self):
        """Neither at the replica nor in its limiter."""
        limiter = Limiter(1)

        async def main() -> None:
            pool = Pool([working(3)], limiters=[limiter])
            budget = Budget(seconds=1)
            with pytest.raises(Exception, match="seconds"):
                await solve("q", sampler=pool, strategy=EIGHT, budget=budget)
            assert [each.outstanding for each in pool._replicas._all] == [0]
            assert limiter.in_use == limiter.waiting == 0

        run_virtual(main())

    def test_tokens_are_charged_and_corrected(self):
        """By what the replica reports."""
        limiter = Limiter(9, tokens_per_minute=60_000)
        pool = Pool([working()], limiters=[limiter])
        run_virtual(solve("q", sampler=pool, strategy=EIGHT))
        assert limiter.charge("fake-model", 0) == 15


class TestSync:
    """Blocking members, on threads."""

    def test_a_dead_one_costs_nothing(self):
        """As with async ones."""
        members = [Sync(), Sync(ConnectionRefusedError())]
        result = solve_sync("q", sampler=Pool(members), strategy=EIGHT)
        assert [sample.error for sample in result.samples] == [None] * 8
        assert result.ledger.total.usage.total_tokens == 8 * 15

    def test_a_call_that_cannot_be_recalled_is_abandoned_and_settles_late(self):
        """Into its entry, as without a pool."""
        go = threading.Event()

        def slow(prompt: str) -> Completion[str]:
            go.wait(10)
            return Completion(value="late", usage=USAGE)

        async def main() -> None:
            with budget_scope(Budget(tokens=1000)) as ledger:
                with pytest.raises(Exception, match="seconds"):
                    await solve(
                        "q", sampler=Pool([slow]), strategy=ONE, budget=Budget(seconds=0.05)
                    )
                assert [entry.status for entry in ledger.entries] == ["abandoned"]
                go.set()
                async with asyncio.timeout(5):
                    while ledger.total.usage.total_tokens != 15:  # noqa: ASYNC110 - on a thread
                        await asyncio.sleep(0.005)

        asyncio.run(main())

    def test_over_threads(self):
        """Several runs at once, each with a loop of its own."""
        members = [Sync(), Sync(ConnectionRefusedError()), Sync()]
        pool = Pool(members, limiters=[Limiter(2), Limiter(2), Limiter(2)])
        values: list[object] = []

        def one() -> None:
            values.append(solve_sync("q", sampler=pool, strategy=EIGHT).value)

        threads = [threading.Thread(target=one) for _ in range(6)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(20)
        assert values == ["a"] * 6
        assert [each.outstanding for each in pool._replicas._all] == [0, 0, 0]


def test_what_waited_for_a_replica_and_was_recalled_was_not_launched():
    """The result counts what was sent, as the ledger does."""

    async def ask(prompt: str) -> str:
        await asyncio.sleep(1)
        return prompt

    pool = Pool([ask, ask], limiters=[Limiter(1), Limiter(1)])
    result = run_virtual(solve("q", sampler=pool, strategy=Vote(8, prefer="latency")))
    assert result.launched == result.ledger.total.calls < 8
