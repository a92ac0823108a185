"""Programs that do the same are the same answer."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from tests.unit.verifiers.code.fakes import Here
from thinktwice import AtMost, BestOfN, Vote, solve, solve_sync
from thinktwice.answers import awaited_key, key_function
from thinktwice.behaviour import Behaviour
from thinktwice.errors import ThinktwiceWarning, UsageError
from thinktwice.sandbox.protocol import Limits
from thinktwice.testing import ScriptedSampler, run_virtual

INPUTS = [(3,), (0,), (-2,)]
DOUBLE = "```python\ndef f(x):\n    return 2 * x\n```"
SUM = "Simply add it:\n```python\ndef f(x):\n    y = x + x\n    return y\n```"
SQUARE = "```python\ndef f(x):\n    return x * x\n```"


def key(**options: object) -> Behaviour:
    return Behaviour(INPUTS, **{"entry_point": "f", "sandbox": Here(), **options})  # type: ignore[arg-type]


class TestKey:
    """Of one answer."""

    async def test_what_is_written_otherwise_and_does_the_same_is_the_same(self):
        """By values and types."""
        assert await key()(DOUBLE) == await key()(SUM) != await key()(SQUARE)
        assert await key()(DOUBLE) != await key()(DOUBLE.replace("2 *", "2.0 *"))

    async def test_an_input_without_a_value_is_a_difference(self):
        """Whatever the exception is."""
        first = DOUBLE.replace("return", "return 1 / 0 if x < 0 else")
        second = DOUBLE.replace("return", "return [][x] if x < 0 else")
        assert await key()(first) == await key()(second) != await key()(DOUBLE)

    @pytest.mark.parametrize(
        "answer",
        [
            "no program",
            "",
            None,
            "```python\ndef g(x):\n    return x\n```",
            "```python\ndef f(:\n```",
        ],
    )
    async def test_what_gives_no_value_at_all_abstains(self, answer):
        """Broken programs do not vote for each other."""
        assert await key()(answer) is None

    async def test_whole_programs(self):
        """By what they print."""
        inputs = Behaviour(["1\n", "2\n"], sandbox=Here())
        one = await inputs("```python\nprint(2 * int(input()))\n```")
        two = await inputs("```python\nx = int(input())\nprint(x + x, end='')\n```")
        assert one == two == ("2", "4")

    async def test_a_header(self):
        """As in HumanEval."""
        assert await key(header="def f(x):\n")("    return 2 * x") == await key()(DOUBLE)

    async def test_trouble_of_the_sandbox_abstains_and_is_said(self, fresh_remarks):
        """It says nothing of the program."""
        broken = key(sandbox=Here(status="error", reason="no disk"))
        with pytest.warns(ThinktwiceWarning, match="abstain from the vote: no disk"):
            assert await broken(DOUBLE) is None

    def test_it_goes_to_another_process(self):
        """With its inputs."""
        there = Behaviour(INPUTS, entry_point="f", limits=Limits(seconds=1))
        assert pickle.loads(pickle.dumps(there)) == there  # noqa: S301 - our own bytes

    @pytest.mark.parametrize(
        ("inputs", "entry_point"),
        [
            ([], "f"),
            ("3", None),
            ([3], "f"),
            ([(3,)], None),
            (["3"], "f"),
            ([(object(),)], "f"),
            ([(3,)], "f()"),
        ],
    )
    def test_what_are_no_inputs_is_refused(self, inputs, entry_point):
        """When it is made."""
        with pytest.raises(UsageError):
            Behaviour(inputs, entry_point=entry_point)

    @pytest.mark.parametrize("name", ["sandbox", "limits"])
    def test_where_nothing_can_run_is_refused(self, name):
        """By the parameter."""
        with pytest.raises(UsageError, match=f"^{name}=3"):
            key(**{name: 3})

    async def test_a_value_without_a_text_abstains(self):
        """It holds no program."""
        assert await key()(3) is None


class TestVote:
    """As the key of a strategy."""

    async def test_the_most_frequent_behaviour_wins(self):
        """Not the most frequent text."""
        answers = ScriptedSampler([SQUARE, DOUBLE, SUM, "no idea"])
        vote = Vote(4, key=key(), stop=AtMost(4), prefer="cost")
        result = await solve("Double it.", sampler=answers, strategy=vote)
        assert result.value == DOUBLE
        assert result.agreement == pytest.approx(2 / 3)
        assert [sample.answer is None for sample in result.samples] == [False, False, False, True]

    async def test_scores_of_the_same_behaviour_are_added_up(self):
        """In best-of-N."""
        answers = ScriptedSampler([SQUARE, DOUBLE, SUM])
        scores = {SQUARE: 0.6, DOUBLE: 0.4, SUM: 0.5}
        strategy = BestOfN(3, verifier=scores.__getitem__, key=key(), prefer="cost")
        result = await solve("Double it.", sampler=answers, strategy=strategy)
        assert result.value == SUM

    def test_a_sync_run_waits_for_it_too(self):
        """On its private loop."""
        answers = iter([DOUBLE, SUM])
        result = solve_sync(
            "Double it.", sampler=lambda _: next(answers), strategy=Vote(2, key=key())
        )
        assert result.agreement == 1

    def test_nobody_waits_while_it_runs(self):
        """Programs run at the same time as samples are drawn, and as each other."""

        class Slow(Here):
            async def execute(self, program, cases, *, limits):
                await asyncio.sleep(1)
                return await Here.execute(self, program, cases, limits=limits)

        async def timed():
            sampler = ScriptedSampler([DOUBLE] * 4, seconds=1.0)
            vote = Vote(4, key=key(sandbox=Slow()), stop=AtMost(4), prefer="latency")
            began = asyncio.get_running_loop().time()
            result = await solve("Double it.", sampler=sampler, strategy=vote)
            return asyncio.get_running_loop().time() - began, result

        seconds, result = run_virtual(timed())
        assert seconds == pytest.approx(2.0, abs=0.01)
        assert all(sample.seconds == pytest.approx(1.0) for sample in result.samples)

    def test_a_sample_whose_key_was_not_awaited_is_kept(self):
        """It is paid for: it abstains."""

        async def key_of(value):
            await asyncio.sleep(5 if value == "slow" else 0)
            return value

        async def run():
            sampler = ScriptedSampler(["slow", "a", "a", "b"])
            vote = Vote(4, key=key_of, prefer="latency", hedge=False)
            return await solve("?", sampler=sampler, strategy=vote)

        result = run_virtual(run())
        assert result.value == "a"
        assert [sample.value for sample in result.samples] == ["slow", "a", "a", "b"]
        assert result.samples[0].answer is None
        assert result.launched == 4


class TestAwaitedKeys:
    """Which a strategy takes, and nothing else."""

    async def test_a_plain_key_is_one_too(self):
        """By name, or a function."""
        assert await awaited_key("number")("it is 3") == 3
        assert await awaited_key(str.upper)("a") == "A"

    async def test_what_it_raises_or_returns_is_explained(self):
        """As for any key."""

        async def broken(value):
            raise KeyError(value)

        async def unhashable(value):
            return [value]

        async def no_number(value):
            return float("nan")

        with pytest.raises(UsageError, match="it raised KeyError"):
            await awaited_key(broken)("a")
        with pytest.raises(UsageError, match="hashable"):
            await awaited_key(unhashable)("a")
        assert await awaited_key(no_number)("a") is None

    def test_elsewhere_it_is_refused(self):
        """Where nobody awaits it."""
        with pytest.raises(UsageError, match="only strategies wait"):
            key_function(key())
        with pytest.raises(UsageError, match="key"):
            awaited_key("nothing of that name")

    async def test_one_that_cancels_itself_abstains(self):
        """And the run goes on."""

        async def cancelled(value):
            if value == "a":
                raise asyncio.CancelledError
            return value

        sampler = ScriptedSampler(["a", "b"])
        vote = Vote(2, key=cancelled, stop=AtMost(2), prefer="cost")
        result = await solve("?", sampler=sampler, strategy=vote)
        assert result.value == "b"
        assert len(result.samples) == 2
