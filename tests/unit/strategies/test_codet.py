"""Programs and tests of a model that choose each other."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from tests.unit.verifiers.code.fakes import Here
from thinktwice import Budget, Vote, solve
from thinktwice.errors import UsageError
from thinktwice.strategies.codet import CodeT
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.verifiers.code import AssertWriter

RIGHT = "```python\ndef f(x):\n    return 2 * x\n```"
ALSO = "```python\ndef f(x):\n    return x + x\n```"
SQUARE = "```python\ndef f(x):\n    return x * x\n```"
ZERO = "```python\ndef f(x):\n    return 0\n```"
THREE = "```python\ndef f(x):\n    return 3 * x\n```"

TESTS = "assert f(3) == 6\nassert f(1) == 2\nassert f(4) == 16"
MORE = "assert f(1) == 2\nassert f(-1) == -2\nassert f(5) == 0"


def codet(n: int, **options: object) -> CodeT:
    fixed = {"entry_point": "f", "sandbox": Here(), "writes": 2}
    return CodeT(n, **{**fixed, "generate": ScriptedSampler([TESTS, MORE]), **options})  # type: ignore[arg-type]


async def solved(programs: list[str], budget: Budget | None = None, **options: object):
    sampler = ScriptedSampler(programs)
    strategy = codet(len(programs), **options)
    return await solve("Double it.", sampler=sampler, strategy=strategy, budget=budget)


class TestChoice:
    """Of a program."""

    async def test_the_group_that_agrees_most_wins(self):
        """Two programs pass three tests; the most frequent one passes one that is wrong."""
        result = await solved([ZERO, RIGHT, ZERO, SQUARE, ALSO, ZERO])
        assert result.value == min([RIGHT, ALSO], key=len)
        assert result.agreement == pytest.approx(2 / 6)
        scores = [verdict.score for verdict in result.verdicts]
        assert scores == pytest.approx([1 / 5, 3 / 5, 1 / 5, 1 / 5, 3 / 5, 1 / 5])

    async def test_the_power_weighs_programs(self):
        """Five that pass one test go before one that passes three."""
        programs = [ZERO, RIGHT, ZERO, ZERO, ZERO, ZERO]
        assert (await solved(programs)).value == RIGHT
        assert (await solved(programs, power=1.0)).value == ZERO

    async def test_answers_without_a_program_take_no_part(self):
        """They fail."""
        result = await solved(["I cannot.", RIGHT, "Nor I."])
        assert result.value == RIGHT
        assert result.agreement == 1
        assert [verdict.outcome for verdict in result.verdicts] == ["fail", "scored", "fail"]

    async def test_each_test_counts_once(self):
        """However many calls write it."""
        result = await solved([RIGHT, SQUARE], generate=ScriptedSampler([TESTS] * 2))
        assert [verdict.score for verdict in result.verdicts] == pytest.approx([2 / 3, 1 / 3])

    async def test_only_calls_go_into_the_sandbox(self):
        """What the tests expect is compared outside."""
        here = Here()
        await solved([RIGHT], sandbox=here, generate=ScriptedSampler(["assert f(3) == 987"] * 2))
        assert "f(3)" in repr(here.cases)
        assert "987" not in repr((here.cases, here.programs))


class TestBill:
    """What it costs."""

    async def test_calls_that_write_tests_are_on_it(self):
        """As verification; runs in the sandbox as tools."""
        result = await solved([RIGHT, SQUARE, ZERO])
        assert result.ledger.by_role["sample"].calls == 3
        assert result.ledger.by_role["verify"].calls == 2
        assert result.ledger.total.tools == 3
        assert codet(3).calls == 5
        assert codet(3, of=Vote(4)).calls == 14

    async def test_the_model_itself_writes_tests(self):
        """If it takes a text or chat messages."""
        sampler = ScriptedSampler([SQUARE, RIGHT, RIGHT, TESTS])
        strategy = codet(3, generate=None, writes=1)
        result = await solve("Double it.", sampler=sampler, strategy=strategy)
        assert result.value == RIGHT
        assert "assert f(<arguments>)" in str(sampler.prompts[-1])
        chat = ScriptedSampler([SQUARE, RIGHT, RIGHT, TESTS])
        await solve([{"role": "user", "content": "Double."}], sampler=chat, strategy=strategy)
        assert [each["role"] for each in chat.prompts[-1]] == ["system", "user"]
        with pytest.raises(UsageError, match="generate"):
            await solve(3, sampler=chat, strategy=strategy)

    async def test_it_runs_programs_of_a_strategy_inside(self):
        """Each is then one run of it."""
        strategy = codet(2, of=Vote(3, prefer="cost"))
        sampler = ScriptedSampler([SQUARE, SQUARE, RIGHT, RIGHT])
        result = await solve("Double it.", sampler=sampler, strategy=strategy)
        assert result.value == RIGHT


@pytest.mark.usefixtures("silent_remarks")
class TestTrouble:
    """What is paid for is not lost."""

    async def test_without_tests_the_most_frequent_program_wins(self):
        """And it is said."""
        result = await solved([SQUARE, RIGHT, RIGHT], generate=ScriptedSampler(["no"] * 2))
        assert result.value == RIGHT
        assert any("no test could be used" in each for each in result.warnings)
        assert result.agreement == pytest.approx(2 / 3)

    async def test_where_no_program_passes_a_test(self):
        """The same."""
        result = await solved(
            [SQUARE, THREE, THREE], generate=ScriptedSampler(["assert f(1) == 9"] * 2)
        )
        assert result.value == THREE
        assert any("passes any" in each for each in result.warnings)

    async def test_a_call_that_fails_costs_its_tests(self):
        """The others stand."""

        class Half:
            calls = 0

            async def __call__(self, prompt):
                self.calls += 1
                if self.calls == 1:
                    raise ConnectionError
                return TESTS

        result = await solved([SQUARE, RIGHT, ALSO], generate=Half())
        assert result.value in {RIGHT, ALSO}
        assert any("ConnectionError" in each for each in result.warnings)

    async def test_a_sandbox_in_trouble(self):
        """Is an error of each check, and the vote decides."""
        result = await solved(
            [SQUARE, RIGHT, RIGHT], sandbox=Here(status="error", reason="no disk")
        )
        assert result.value == RIGHT
        assert {verdict.outcome for verdict in result.verdicts} == {"error"}
        assert any("could be judged" in each for each in result.warnings)
        assert result.verdicts[0].evidence == ("no disk",)

    async def test_answers_without_any_program(self):
        """They failed, and no verifier is in trouble."""
        result = await solved(["I cannot.", "No.", "No."])
        assert result.value == "No."
        assert {verdict.outcome for verdict in result.verdicts} == {"fail"}
        assert [each for each in result.warnings if "holds a program" in each]
        assert not [each for each in result.warnings if "could be judged" in each]

    async def test_some_without_a_program_and_a_sandbox_in_trouble(self):
        """The trouble is what is said."""
        result = await solved(["No.", "No.", RIGHT], sandbox=Here(status="error", reason="full"))
        assert [each for each in result.warnings if "could be judged" in each]
        assert not [each for each in result.warnings if "holds a program" in each]

    async def test_a_budget_that_ends_before_the_tests(self):
        """What was drawn is voted on."""
        result = await solved([SQUARE, RIGHT, RIGHT, RIGHT], budget=Budget(calls=3))
        assert result.value == RIGHT
        assert result.launched == 3
        assert result.cut is not None
        assert result.cut.kind == "calls"

    async def test_a_budget_that_ends_among_the_tests(self):
        """Those that were written are used."""
        result = await solved([ZERO, RIGHT, ZERO], budget=Budget(calls=4))
        assert result.value == RIGHT

    def test_time_that_ends_while_programs_run(self):
        """The best answer so far is returned."""

        class Slow(Here):
            async def execute(self, program, cases, *, limits):
                await asyncio.sleep(100)
                return await Here.execute(self, program, cases, limits=limits)

        result = run_virtual(solved([SQUARE, RIGHT, RIGHT], Budget(seconds=9), sandbox=Slow()))
        assert result.value == RIGHT
        assert result.cut is not None


@pytest.mark.parametrize(
    "options",
    [
        {"n": 0},
        {"writes": 0},
        {"generate": 3},
        {"power": 0},
        {"of": 3},
        {"sandbox": 3},
        {"limits": 3},
        {"entry_point": "f g"},
    ],
)
def test_what_is_wrong_is_said_when_it_is_made(options):
    """With the remedy."""
    (name,) = options
    told = {"generate": "sampler"}.get(name, name)
    with pytest.raises(UsageError, match=f"^{told}="):
        codet(**{"n": 3, **options})


def test_it_is_a_value():
    """It compares, prints as it is written, and goes to another process."""
    strategy = CodeT(3, generate=AssertWriter(print), entry_point="f")
    assert pickle.loads(pickle.dumps(strategy)) == strategy  # noqa: S301 - our own bytes
    assert repr(strategy).startswith("CodeT(n=3, generate=AssertWriter(")
