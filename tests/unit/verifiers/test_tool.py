"""Any callable as a check."""

from __future__ import annotations

import asyncio
import pickle
import sys
import threading
from functools import partial

import pytest

from thinktwice.budget import Limit
from thinktwice.errors import BudgetExceeded, UsageError
from thinktwice.protocols import Verifier
from thinktwice.sample import Sample, Verdict
from thinktwice.testing import run_virtual
from thinktwice.verifiers.tool import Tool

SAMPLE = Sample(index=3, value="x")


def short(value: object) -> bool:
    """The answer is one letter.

    No more than that.
    """
    return len(str(value)) == 1


async def verdict(tool: Tool) -> Verdict:
    return await tool(SAMPLE, prompt="p")


class TestMaking:
    """What it is."""

    def test_it_is_a_verifier_of_its_functions_name(self):
        """Which says what it costs."""
        tool = Tool(short)
        assert isinstance(tool, Verifier)
        assert (tool.name, tool.exact, tool.calls, tool.role) == ("short", False, 0, "tool")
        assert Tool(short, name="mine").name == "mine"

    def test_it_costs_what_its_function_says(self):
        """A function that asks a model declares it."""

        def asks(value: object) -> bool:
            return bool(value)

        asks.calls = 2  # type: ignore[attr-defined]
        assert Tool(asks).calls == 2

    def test_it_compares_and_pickles(self):
        """As data does."""
        tool = Tool(short, timeout=1, exact=True)
        assert pickle.loads(pickle.dumps(tool)) == tool  # noqa: S301 - our own
        assert tool != Tool(short, timeout=2, exact=True)

    @pytest.mark.parametrize(
        ("parameter", "given"),
        [
            ("function", {"function": "f"}),
            ("applies", {"applies": True}),
            ("timeout", {"timeout": 0}),
            ("timeout", {"timeout": "10"}),
            ("timeout", {"timeout": float("inf")}),
            ("timeout", {"timeout": float("nan")}),
        ],
    )
    def test_what_is_unusable_is_refused_by_name(self, parameter: str, given: dict[str, object]):
        """When it is made."""
        with pytest.raises(UsageError, match=f"^{parameter}="):
            Tool(**{"function": short, **given})  # type: ignore[arg-type]


class TestSaying:
    """What becomes of what it returns."""

    @pytest.mark.parametrize(
        ("said", "outcome"),
        [(True, "pass"), (False, "fail"), (0.5, "scored"), (Verdict(outcome="fail"), "fail")],
        ids=repr,
    )
    async def test_verdicts(self, said: object, outcome: str):
        """As for any callable, under its name."""
        found = await verdict(Tool(lambda _: said, name="mine"))
        assert (found.outcome, found.verifier, found.sample) == (outcome, "mine", 3)

    async def test_a_fail_without_words_says_what_was_checked(self):
        """By the docstring, or as it was told; its own words stay."""
        failing = Tool(lambda _: False, name="mine")
        assert (await verdict(failing)).feedback == 'The check "mine" failed.'
        found = await Tool(short)(Sample(index=0, value="long"), prompt="p")
        assert found.feedback == 'The check "short" failed: The answer is one letter.'
        told = Tool(short, feedback="Give one letter.")
        found = await told(Sample(index=0, value="long"), prompt="p")
        assert found.feedback == "Give one letter."
        own = Tool(lambda _: Verdict(outcome="fail", feedback="own"), feedback="other")
        assert (await verdict(own)).feedback == "own"

    async def test_the_docstring_of_a_class_is_none_of_its_check(self):
        """That of `partial` says what a partial function is."""
        found = await verdict(Tool(partial(short, 10)))
        assert found.outcome == "error"  # called with too many arguments
        found = await verdict(Tool(partial(lambda _, __: False, 1), name="p"))
        assert found.feedback == 'The check "p" failed.'

    @pytest.mark.parametrize("said", [None, "secret", 7, float("nan"), object(), {"outcome": 1}])
    async def test_nonsense_is_an_error(self, said: object):
        """Never a fail, never a pass, and without the content."""
        found = await verdict(Tool(lambda _: said))
        assert (found.outcome, found.score, found.feedback) == ("error", None, None)
        assert found.evidence
        assert "secret" not in str(found.evidence)

    async def test_a_verdict_that_there_is_not_is_an_error(self):
        """It is refused where the function makes it."""
        found = await verdict(Tool(lambda _: Verdict(outcome="maybe")))  # type: ignore[arg-type]
        assert found.outcome == "error"
        assert "give one of pass" in found.evidence[0]

    async def test_what_does_not_apply_is_not_called(self):
        """By a sync or an async function of the value."""

        async def never(value: object) -> object:
            return value == "y"

        for applies in (lambda value: value == "y", never):
            found = await verdict(Tool(_unreachable, applies=applies))
            assert (found.outcome, found.verifier) == ("not_applicable", "_unreachable")
        assert (await verdict(Tool(short, applies=lambda value: value))).outcome == "pass"


def _unreachable(_: object) -> bool:
    raise AssertionError


class TestFaults:
    """A tool that breaks says nothing of the sample."""

    @pytest.mark.parametrize(
        "error", [ValueError("secret"), TimeoutError("secret"), SystemExit(1), RecursionError()]
    )
    @pytest.mark.parametrize("broken", ["function", "applies"])
    async def test_raising_is_an_error(self, error: BaseException, broken: str):
        """By type, without its text."""

        def breaks(_: object) -> bool:
            raise error

        given = {"function": short, broken: breaks}
        found = await verdict(Tool(**given))  # type: ignore[arg-type]
        assert (found.outcome, found.evidence) == ("error", (type(error).__name__,))

    async def test_a_program_that_exits_is_an_error(self):
        """`sys.exit` on a thread does not end the interpreter, nor the loop."""
        assert (await verdict(Tool(lambda _: sys.exit(3)))).outcome == "error"

    def test_an_async_hang_is_cut_off(self):
        """After its seconds, on the clock of the loop."""

        async def hangs(_: object) -> bool:
            await asyncio.Event().wait()
            return True

        async def timed() -> tuple[Verdict, float]:
            found = await verdict(Tool(hangs, timeout=2.5))
            return found, asyncio.get_running_loop().time()

        found, seconds = run_virtual(timed())
        assert (found.outcome, found.evidence) == ("error", ("timed out after 2.5 s",))
        assert seconds == 2.5

    async def test_a_sync_hang_is_abandoned(self):
        """Nobody waits for its thread, which may end when it likes."""
        gate, ended = threading.Event(), threading.Event()

        def hangs(_: object) -> bool:
            gate.wait(20)
            ended.set()
            return True

        found = await verdict(Tool(hangs, timeout=0.02))
        assert (found.outcome, ended.is_set()) == ("error", False)
        gate.set()
        assert ended.wait(5)

    def test_without_a_limit_it_takes_its_time(self):
        """None is no limit."""

        async def slow(_: object) -> bool:
            await asyncio.sleep(10_000)
            return True

        assert run_virtual(verdict(Tool(slow, timeout=None))).outcome == "pass"

    async def test_a_budget_that_ends_a_call_inside_ends_more_than_the_check(self):
        """It is no fault of the tool."""

        def broke(_: object) -> bool:
            raise BudgetExceeded(Limit(kind="calls", allowed=1, spent=1))

        with pytest.raises(BudgetExceeded):
            await verdict(Tool(broke))

    async def test_who_waits_can_be_cancelled(self):
        """The cancellation leaves; it is no error of the tool."""

        async def hangs(_: object) -> bool:
            await asyncio.Event().wait()
            return True

        task = asyncio.create_task(verdict(Tool(hangs)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
