"""Judging a program by tests."""

from __future__ import annotations

import pickle

import pytest
from pydantic import BaseModel

from tests.unit.verifiers.code.fakes import Here, Scripted
from thinktwice import BestOfN, solve
from thinktwice.errors import UsageError
from thinktwice.protocols import Verifier
from thinktwice.sample import Sample
from thinktwice.sandbox.protocol import CaseRun, Limits
from thinktwice.testing import ScriptedSampler
from thinktwice.verifiers import as_verifier
from thinktwice.verifiers.code import AssertWriter, Code

PAIRS = [((1, 2), 3), ((0, 0), 0), ((-1, 1), 0), ((5, 5), 10), ((2, 2), 4), ((7, 0), 7)]
HIDDEN = (2, 5)
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"


def body(line: str) -> str:
    return f"```python\ndef add(a, b):\n    {line}\n```"


async def judged(value: object, tests: object = PAIRS, **options: object):
    options = {"sandbox": Here(), "entry_point": "add", **options}
    return await Code(tests, **options)(Sample(index=3, value=value), prompt="add two")  # type: ignore[arg-type]


class TestVerdict:
    """By tests of the user."""

    async def test_a_right_program_passes(self):
        """And it is said what ran."""
        verdict = await judged(RIGHT)
        assert (verdict.outcome, verdict.score, verdict.feedback) == ("pass", 1.0, None)
        assert verdict.evidence == ("6 tests pass in here",)
        assert (verdict.verifier, verdict.sample) == ("code", 3)

    async def test_a_wrong_program_fails_with_the_first_test(self):
        """Input, expected value and what came; the score is the share that pass."""
        verdict = await judged(body("return a - b"))
        assert verdict.outcome == "fail"
        assert verdict.score == pytest.approx(2 / 6)
        assert verdict.feedback is not None
        assert "`add(1, 2)` should give `3`, and gives `-1`." in verdict.feedback
        assert verdict.evidence[1] == "`add(5, 5)` should give `10`, and gives `0`."

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("raise ValueError('a\\x1b[0mb')", "raises ValueError: a[0mb."),
            ("return float(a + b)", "gives `3.0`, which is of another type (float)."),
            ("return a == 1 or a + b", "gives `True`."),
            ("return object()", "gives something that is no plain data."),
            ("exit()", "ends the process."),
            ("return (", "raises SyntaxError: "),
            ("return undefined", "raises NameError: name 'undefined' is not defined."),
            ("return 'x' * 10_000", "..."),
            ("return 10 ** 9000", "gives a very long number."),
        ],
    )
    async def test_what_came_is_told(self, line, told):
        """Short, and without control characters."""
        verdict = await judged(body(line))
        assert verdict.outcome == "fail"
        assert told in (verdict.feedback or "")
        assert len(verdict.feedback or "") < 800
        assert "\x1b" not in (verdict.feedback or "")

    @pytest.mark.parametrize(
        ("status", "told"),
        [
            ("timeout", "does not end in time"),
            ("memory", "takes too much memory"),
            ("output", "writes too much"),
        ],
    )
    async def test_limits_are_fails(self, status, told):
        """The program hit them; what was not reached comes last."""
        runs = [CaseRun(status="not_run"), CaseRun(status=status)]
        verdict = await judged(RIGHT, PAIRS[:2], sandbox=Scripted(*runs))
        assert verdict.outcome == "fail"
        assert told in (verdict.feedback or "")
        assert "not reached" in verdict.evidence[1]

    @pytest.mark.parametrize("answer", ["I cannot do that.", "", "```bash\nls\n```", None])
    async def test_an_answer_without_a_program_fails(self, answer):
        """It was asked for one."""
        verdict = await judged(answer)
        assert verdict.outcome == "fail"
        assert "no program" in (verdict.feedback or "")

    @pytest.mark.parametrize("answer", [3, b"def add(a, b): ...", {"n": 1}, [RIGHT], object()])
    async def test_a_value_without_a_text_fails(self, answer):
        """It is what the model gave in place of a program."""
        verdict = await judged(answer)
        assert verdict.outcome == "fail"
        assert "no program" in (verdict.feedback or "")

    async def test_the_program_may_stand_in_data(self):
        """As structured output has it."""

        class Solution(BaseModel):
            code: str
            why: str = "It adds."

        right = "def add(a, b):\n    return a + b"
        assert (await judged({"why": "add(1, 2)", "code": right})).outcome == "pass"
        assert (await judged(Solution(code=right))).outcome == "pass"
        assert (await judged(Solution(code=right.replace("+", "-")))).outcome == "fail"

    async def test_it_is_a_verifier(self):
        """Exact by tests of the user, and free."""
        code = Code(PAIRS, entry_point="add")
        assert isinstance(code, Verifier)
        assert as_verifier(code) is code
        assert (code.exact, code.calls, code.role) == (True, 0, "tool")

    async def test_it_goes_to_another_process(self):
        """With its tests."""
        written = pickle.dumps(Code(PAIRS, entry_point="add"))
        code = pickle.loads(written)  # noqa: S301 - our own bytes
        assert code == Code(PAIRS, entry_point="add")
        assert repr(code).startswith("Code(tests=[((1, 2), 3)")


class TestOnlyInputsGoIn:
    """The host compares."""

    async def test_no_expected_value_enters_the_sandbox(self):
        """Neither with the program nor with the cases."""
        here = Here()
        tests = [((1,), 987654), ((2,), "secret")]
        await judged(body("return 0"), tests, sandbox=here)
        assert "987654" not in repr((here.programs, here.cases))
        assert "secret" not in repr((here.programs, here.cases))
        await judged(body("return 0"), "assert add(1) == 987654", sandbox=here)
        assert "987654" not in repr((here.programs, here.cases))

    @pytest.mark.parametrize(
        "line",
        [
            "return type('A', (), {'__eq__': lambda self, other: True})()",
            "return type('A', (int,), {'__eq__': lambda self, other: True})()",
            "raise SystemExit(0)",
            "print('6 tests pass'); return 0",
        ],
    )
    async def test_a_program_cannot_claim_to_pass(self, line):
        """Whatever its values say of themselves."""
        assert (await judged(body(line))).outcome == "fail"

    async def test_asserts_in_the_sandbox_are_said_to_be_tamper_evident(self):
        """Where nothing else is possible."""
        tests = "assert add(1, 2) == 3\nassert isinstance(add(1, 2), int)"
        verdict = await judged(RIGHT, tests)
        assert verdict.outcome == "pass"
        assert verdict.evidence[1] == "1 of them evaluated in the sandbox: tamper-evident only"
        wrong = await judged(body("return '3'"), tests)
        assert "`assert isinstance(add(1, 2), int)`" in " ".join(wrong.evidence)


class TestHeldBack:
    """A part of the tests appears nowhere."""

    async def test_a_third_is_never_shown(self):
        """However many fail."""
        verdict = await judged(body("return None"))
        said = f"{verdict.feedback} {verdict.evidence}"
        for i, (arguments, _) in enumerate(PAIRS):
            assert (f"add{arguments}" in said) <= (i not in HIDDEN)

    async def test_a_program_that_learns_what_it_was_shown_fails(self):
        """And the feedback does not tell on which."""
        known = {arguments: value for i, (arguments, value) in enumerate(PAIRS) if i not in HIDDEN}
        verdict = await judged(body(f"return {known}.get((a, b), 99)"))
        assert verdict.outcome == "fail"
        assert verdict.score == pytest.approx(4 / 6)
        assert "may be shown, and fails others" in (verdict.feedback or "")
        assert verdict.evidence == ()

    async def test_a_program_cannot_tell_of_them(self):
        """It sees them after it was judged on what is shown."""
        spy = "seen = []\ndef add(a, b):\n    seen.append((a, b))\n    raise ValueError(str(seen))"
        verdict = await judged(f"```python\n{spy}\n```")
        said = f"{verdict.feedback} {verdict.evidence}"
        assert "(5, 5)" in said
        assert not any(str(PAIRS[i][0]) in said for i in HIDDEN)

    async def test_it_can_be_turned_off(self):
        """Then every test may be shown."""
        known = {arguments: value for i, (arguments, value) in enumerate(PAIRS) if i not in HIDDEN}
        line = f"return {known}.get((a, b), 99)"
        verdict = await judged(body(line), hold_back=0)
        assert "`add(-1, 1)` should give `0`, and gives `99`" in (verdict.feedback or "")


class TestTrouble:
    """Of the sandbox: it says nothing of the program."""

    @pytest.mark.parametrize("status", ["unsupported", "error"])
    async def test_it_is_an_error(self, status):
        """With the reason."""
        verdict = await judged(RIGHT, sandbox=Here(status=status, reason="no\x00 disk"))
        assert (verdict.outcome, verdict.score) == ("error", None)
        assert verdict.evidence == ("no disk",)

    @pytest.mark.parametrize(
        "runs",
        [
            [],
            [CaseRun(status="ok", value="3")] * 3,
            [CaseRun(status="ok", value="what?")] * 2,
        ],
    )
    async def test_results_that_are_none(self, runs):
        """Too few, too many, or no values."""
        verdict = await judged(RIGHT, PAIRS[:2], sandbox=Scripted(*runs))
        assert verdict.outcome == "error"
        assert "did not return one result a test" in verdict.evidence[0]

    @pytest.mark.usefixtures("silent_remarks")
    async def test_a_sandbox_that_raises(self):
        """In a run it is an error verdict, and the answer stands."""

        class Broken:
            name = "broken"

            async def execute(self, program, cases, *, limits):
                raise OSError("no space left")

        code = Code(PAIRS, entry_point="add", sandbox=Broken())
        strategy = BestOfN(1, verifier=code)
        result = await solve("add", sampler=ScriptedSampler([RIGHT]), strategy=strategy)
        assert result.value == RIGHT
        assert [verdict.outcome for verdict in result.verdicts] == ["error"]


class TestSettings:
    """What counts as equal, and what runs."""

    async def test_types_count_unless_told_otherwise(self):
        """As `==` has it."""
        line = "return float(a + b)"
        assert (await judged(body(line))).outcome == "fail"
        assert (await judged(body(line), strict=False)).outcome == "pass"

    async def test_tolerances(self):
        """For floats."""
        tests = [((1, 3), 1 / 3), ((2, 4), 0.5)]
        assert (await judged(body("return round(a / b, 3)"), tests)).outcome == "fail"
        verdict = await judged(body("return round(a / b, 3)"), tests, absolute=0.001)
        assert verdict.outcome == "pass"
        assert (await judged(body("return a / b + 0.1"), tests, relative=0.1)).outcome == "fail"

    async def test_whole_programs(self):
        """White space at the ends of lines does not count."""
        tests = [("1 2\n", "3\n"), ("4 5\n", "9")]
        code = "```python\na, b = map(int, input().split())\nprint(a + b, '')\n```"
        assert (await judged(code, tests, entry_point=None)).outcome == "pass"
        wrong = await judged(code.replace("+", "-"), tests, entry_point=None)
        told = "Given the input `'1 2\\n'`, it should print `'3\\n'`, and prints `'-1 \\n'`."
        assert told in (wrong.feedback or "")

    async def test_numbers_in_output_have_the_tolerance(self):
        """Word by word."""
        tests = [("", "x 0.3333\n1.5\n")]
        code = "```python\nprint('x', 1 / 3)\nprint(1.5)\n```"
        options = {"entry_point": None}
        assert (await judged(code, tests, **options)).outcome == "fail"
        assert (await judged(code, tests, absolute=0.001, **options)).outcome == "pass"

    async def test_a_header(self):
        """As in HumanEval: the answer goes on where it stops."""
        header = "def add(a, b):\n"
        assert (await judged("    return a + b", header=header)).outcome == "pass"

    async def test_limits_reach_the_sandbox(self):
        """As they are."""
        seen = []

        class Watching(Here):
            async def execute(self, program, cases, *, limits):
                seen.append(limits)
                return await Here.execute(self, program, cases, limits=limits)

        await judged(RIGHT, sandbox=Watching(), limits=Limits(seconds=1))
        assert seen == [Limits(seconds=1)]

    @pytest.mark.parametrize(
        "options",
        [
            {"tests": None},
            {"tests": PAIRS, "generate": ScriptedSampler([""])},
            {"generate": 3},
            {"hold_back": 1.5},
            {"hold_back": -1},
            {"hold_back": True},
            {"absolute": -1},
            {"relative": float("nan")},
            {"tests": "assert 1 = 2"},
            {"tests": "add(1, 2)"},
        ],
    )
    def test_what_is_wrong_is_said_when_it_is_made(self, options):
        """With the remedy."""
        given = {"tests": None if "generate" in options else PAIRS, "entry_point": "add", **options}
        with pytest.raises(UsageError):
            Code(**given)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("sandbox", 3),
            ("sandbox", Here),
            ("limits", 3),
            ("entry_point", "add it"),
            ("entry_point", 3),
        ],
    )
    def test_the_parameter_is_named(self, name, value):
        """Also with tests of a model, which come late."""
        for tests in ({"tests": "assert add(1, 2) == 3"}, {"generate": ScriptedSampler([""])}):
            with pytest.raises(UsageError, match=f"^{name}="):
                Code(**tests, **{name: value})


class TestGenerated:
    """By tests that a model wrote."""

    WRITTEN = "assert add(1, 2) == 3\nassert add(0, 0) == 1\nassert add(2, 2) == 4.0\nThat's all."

    async def judged(self, *values: object, writer: object = None):
        model = ScriptedSampler([self.WRITTEN] * 5)
        code = Code(generate=writer or model, entry_point="add", sandbox=Here())
        samples = [Sample(index=i, value=value) for i, value in enumerate(values)]
        return model, [await code(sample, prompt="Add.") for sample in samples]

    async def test_the_verdict_is_a_score(self):
        """The share that pass: a test may be wrong itself. Values compare as `==` has it."""
        _, (verdict,) = await self.judged(RIGHT)
        assert (verdict.outcome, verdict.score) == ("scored", pytest.approx(2 / 3))
        assert verdict.feedback is not None
        assert "The test may be wrong: go by the task." in verdict.feedback

    async def test_one_task_is_asked_about_once(self):
        """All programs of a task meet the same tests."""
        model, verdicts = await self.judged(RIGHT, body("return 0"), RIGHT)
        assert model.calls == 1
        assert verdicts[0].score == verdicts[2].score != verdicts[1].score

    async def test_the_task_is_data(self):
        """In a prompt that says what is wanted."""
        model, _ = await self.judged(RIGHT)
        asked = str(model.prompts[0])
        assert '"Add."' in asked
        assert "assert add(<arguments>) == <value>" in asked

    async def test_a_model_that_writes_nothing_useful_is_an_error(self):
        """It says nothing of the program."""
        _, (verdict,) = await self.judged(RIGHT, writer=ScriptedSampler(["I will not."]))
        assert verdict.outcome == "error"
        assert "no test" in verdict.evidence[0]

    async def test_it_is_not_exact_and_costs_a_call(self):
        """Which budgets know of."""
        writer = AssertWriter(ScriptedSampler([""]), count=3)
        code = Code(generate=writer, entry_point="add")
        assert (code.exact, code.calls, code.role) == (False, 1, "verify")
        assert code.sampler is writer.sampler
        assert "Write 3 tests of add" in str(code.request(Sample(index=0), prompt="Add."))

    async def test_it_is_on_the_bill(self):
        """Of the run whose sample it judged."""
        model = ScriptedSampler([self.WRITTEN])
        code = Code(generate=model, entry_point="add", sandbox=Here())
        answers = ScriptedSampler([body("return 0"), RIGHT, RIGHT])
        result = await solve("Add.", sampler=answers, strategy=BestOfN(3, verifier=code))
        assert result.value == RIGHT
        assert result.ledger.by_role["verify"].calls == 1


async def test_the_first_program_that_passes_ends_the_drawing():
    """The verifier judges what a strategy draws, and costs no call."""
    code = Code(PAIRS, entry_point="add", sandbox=Here())
    sampler = ScriptedSampler([body("return 0"), RIGHT, body("return 1")])
    result = await solve("add", sampler=sampler, strategy=BestOfN(3, verifier=code, prefer="cost"))
    assert result.value == RIGHT
    assert sampler.calls == 2
    assert result.ledger.total.calls == 2
