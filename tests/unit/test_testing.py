"""The fakes that users test with."""

from __future__ import annotations

import asyncio
import time

import pytest

from thinktwice import BestOfN, Budget, BudgetExceeded, Completion, UsageError, Vote, solve
from thinktwice.stop import AtMost
from thinktwice.testing import (
    FlakySampler,
    ReplaySampler,
    ScriptedSampler,
    SlowSampler,
    VirtualClock,
    captured_spans,
    run_virtual,
)
from thinktwice.threads import in_thread

pytestmark = pytest.mark.usefixtures("silent_remarks")


class TestScripted:
    """Values in order."""

    async def test_it_starts_again_after_the_last(self):
        """And records what it was asked."""
        sampler = ScriptedSampler(["a", "b"], input_tokens=3, output_tokens=4, model="m")
        drawn = [await sampler(number, options={"seed": number}) for number in range(3)]
        assert [done.value for done in drawn] == ["a", "b", "a"]
        assert drawn[0].usage.total_tokens == 7
        assert (sampler.calls, sampler.finished) == (3, 3)
        assert sampler.prompts == [0, 1, 2]
        assert sampler.options[2] == {"seed": 2}

    async def test_exceptions_are_raised_and_completions_returned(self):
        """As they are."""
        done = Completion(value="a", finish_reason="length")
        sampler = ScriptedSampler([KeyError("x"), done])
        with pytest.raises(KeyError):
            await sampler("q", options={})
        assert await sampler("q", options={}) is done
        assert (sampler.calls, sampler.finished) == (2, 1)

    def test_what_is_in_flight_is_counted(self):
        """And what was cancelled."""
        sampler = ScriptedSampler(["a"], seconds=[1, 9])

        async def main() -> None:
            tasks = [asyncio.ensure_future(sampler("q", options={})) for _ in range(2)]
            await asyncio.sleep(2)
            assert sampler.in_flight == 1
            tasks[1].cancel()
            await asyncio.wait(tasks)

        run_virtual(main())
        assert (sampler.most_in_flight, sampler.cancelled, sampler.in_flight) == (2, 1, 0)

    def test_an_empty_script_is_refused(self):
        """There is nothing to return."""
        with pytest.raises(UsageError, match=r"^values="):
            ScriptedSampler([])


class TestFlaky:
    """Fails now and then."""

    async def test_by_number(self):
        """With the exception that is asked for."""
        sampler = FlakySampler(ScriptedSampler(["a"]), failing=[1], error=lambda: KeyError("x"))
        assert (await sampler("q", options={})).value == "a"
        with pytest.raises(KeyError):
            await sampler("q", options={})
        assert (await sampler("q", options={})).value == "a"

    def test_by_share(self):
        """Seeded: the same calls each time."""

        def failed(seed: int) -> list[int]:
            sampler = FlakySampler(ScriptedSampler(["a"]), failing=0.5, seed=seed)
            strategy = Vote(20, stop=AtMost(20))
            result = run_virtual(solve("q", sampler=sampler, strategy=strategy))
            return [sample.index for sample in result.samples if sample.error]

        assert failed(1) == failed(1) != failed(2)
        assert 3 < len(failed(1)) < 17


def test_slow():
    """By a number, or by the number of the call."""
    sampler = SlowSampler(lambda prompt: "a", seconds=lambda number: 2.0 * number)

    async def main() -> list[float]:
        times = []
        for _ in range(3):
            before = asyncio.get_running_loop().time()
            await sampler("q", options={})
            times.append(asyncio.get_running_loop().time() - before)
        return times

    assert run_virtual(main()) == [0, 2, 4]


class TestReplay:
    """Recorded samples."""

    async def test_each_once_in_a_seeded_order(self):
        """Of its own prompt."""

        async def drawn(seed: int) -> list[str]:
            sampler = ReplaySampler({"q": list("abcdef"), "p": ["x"]}, seed=seed)
            assert (await sampler("p", options={})).value == "x"
            return [(await sampler("q", options={})).value for _ in range(6)]

        first = await drawn(1)
        assert sorted(first) == list("abcdef")
        assert first == await drawn(1) != await drawn(2)

    async def test_what_was_not_recorded(self):
        """Is an error, without the prompt in it."""
        sampler = ReplaySampler({"q": ["a"]})
        await sampler("q", options={})
        for prompt in ("q", "sk-secret"):
            with pytest.raises(LookupError) as caught:
                await sampler(prompt, options={})
            assert "secret" not in str(caught.value)

    def test_an_empty_pool_is_refused(self):
        """It could never be drawn from."""
        with pytest.raises(UsageError, match=r"^pools="):
            ReplaySampler({"q": []})


class TestVirtualTime:
    """Waiting that takes no time."""

    def test_it_starts_at_0_and_jumps(self):
        """To whatever is due next."""

        async def main() -> float:
            assert asyncio.get_running_loop().time() == 0
            await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(7200))
            return asyncio.get_running_loop().time()

        before = time.perf_counter()
        assert run_virtual(main()) == 7200
        assert time.perf_counter() - before < 5

    def test_timeouts(self):
        """Are virtual too, also those of a budget."""
        sampler = ScriptedSampler(["a"], seconds=3600)
        with pytest.raises(BudgetExceeded):
            run_virtual(solve("q", sampler=sampler, strategy=Vote(1), budget=Budget(seconds=60)))

    def test_a_deadlock_is_found(self):
        """Instead of waiting for ever."""
        with pytest.raises(RuntimeError, match="deadlock"):
            run_virtual(asyncio.Event().wait())

    def test_the_loop_can_be_used_as_a_factory(self):
        """As `asyncio.Runner` takes one."""
        with asyncio.Runner(loop_factory=VirtualClock) as runner:
            runner.run(asyncio.sleep(100))
            assert runner.get_loop().time() == 100

    def test_it_waits_for_a_thread_of_ours(self):
        """A sync check is done before time jumps to a deadline."""

        async def main() -> float:
            async with asyncio.timeout(1000):
                await in_thread(lambda: time.sleep(0.05))
            return asyncio.get_running_loop().time()

        assert run_virtual(main()) == 0

    def test_sync_verifiers_run_in_it(self):
        """At no virtual time."""
        strategy = BestOfN(3, verifier=lambda value: time.sleep(0.01) is None)
        sampler = ScriptedSampler(["a"], seconds=2)
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy))
        assert len(result.verdicts) == 3
        assert result.ledger.seconds == 2


class TestSpans:
    """Collected in a block."""

    async def test_those_of_the_block_alone(self):
        """Not before, and not after."""

        async def once() -> None:
            await solve("q", sampler=ScriptedSampler(["a"]), strategy=Vote(1))

        await once()
        with captured_spans() as spans:
            await once()
        kept = len(spans)
        await once()
        assert len(spans) == kept == 3

    async def test_blocks_nest(self):
        """Each has those within it."""
        with captured_spans() as outer:
            with captured_spans() as inner:
                await solve("q", sampler=ScriptedSampler(["a"]), strategy=Vote(1))
            await solve("q", sampler=ScriptedSampler(["a"]), strategy=Vote(1))
        assert (len(outer), len(inner)) == (6, 3)
