"""A verifier that runs the program of an answer on tests."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from thinktwice.answers.programs import program_in
from thinktwice.calls import call
from thinktwice.errors import UsageError, is_number
from thinktwice.sample import Verdict
from thinktwice.sandbox.execution import check_execution, executed
from thinktwice.sandbox.protocol import Limits
from thinktwice.texts import text_of
from thinktwice.tool_runs import tool_span
from thinktwice.verifiers.code.case import Suite
from thinktwice.verifiers.code.expectation import Comparison, Tolerance
from thinktwice.verifiers.code.forms import suite_of
from thinktwice.verifiers.code.report import NO_PROGRAM, verdict_on
from thinktwice.verifiers.code.writing import AssertWriter, Remembered, as_writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from thinktwice.entry import Role
    from thinktwice.protocols import Sampler
    from thinktwice.sample import Sample
    from thinktwice.sandbox.protocol import Sandbox
    from thinktwice.verifiers.code.case import CodeTest
    from thinktwice.verifiers.code.forms import Tests


@dataclass(frozen=True)
class Code:
    r"""Runs the program of an answer in a sandbox, on tests of yours or of a model.

    With tests of yours a pass is proof, as far as the tests go, and a fail quotes the first test
    that fails. Only inputs enter the sandbox: what comes out is compared here, with types, so a
    program can neither read an expected value nor claim to have passed. It can still learn tests
    that it was shown; so a part of them is held back from every feedback. Trouble of the sandbox
    is an "error" verdict; an answer without a program fails.

    With `generate` the verdict is a score: the share of a model's own asserts that hold. A wrong
    program passes wrong asserts, so the best score of many samples gets worse with their number:
    weigh groups of answers by it, or use `CodeT`.

    Cost: no model call with tests of yours; with `generate` one a task.

    Example:
        ```python
        Code([((1, 2), 3), ((0, 0), 0), ((-1, 1), 0)], entry_point="add")
        Code("assert add(1, 2) == 3")
        Code([("1 2\n", "3\n")])  # standard input and output of a whole program
        Code(generate=model, entry_point="add")
        ```

    Attributes:
        tests: See `suite_of`: pairs, asserts, a pytest file, or inputs and outputs.
        generate: A model that writes tests, or an `AssertWriter`.
        entry_point: The function that pairs are the arguments of; also tells which block of an
            answer holds the program.
        header: What the answer continues, as in HumanEval: see `program_in`.
        sandbox: Where to run; by default what is there, see `auto`.
        limits: Of the run on all tests together.
        hold_back: Share of the tests that no feedback shows; counts from three tests on.
        strict: Types must be the same, see `Comparison`. False compares as `==` does.
        absolute: Most by which a number may differ from an expected float, in its unit.
        relative: The same as a share of what is expected; the larger of the two counts.
        name: Shown in verdicts and spans.

    Raises:
        UsageError: Not one of tests and generate, tests in no known form, or another unusable
            parameter.
    """

    tests: Tests | None = None
    generate: AssertWriter | Callable[..., object] | None = field(default=None, kw_only=True)
    entry_point: str | None = field(default=None, kw_only=True)
    header: str = field(default="", kw_only=True)
    sandbox: Sandbox | None = field(default=None, kw_only=True)
    limits: Limits = field(default=Limits(), kw_only=True)
    hold_back: float = field(default=1 / 3, kw_only=True)
    strict: bool = field(default=True, kw_only=True)
    absolute: float = field(default=0.0, kw_only=True)
    relative: float = field(default=0.0, kw_only=True)
    name: str = field(default="code", kw_only=True)
    _suite: Suite | None = field(default=None, init=False, repr=False, compare=False)
    _written: Remembered = field(default_factory=Remembered, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the tests."""
        if (self.tests is None) == (self.generate is None):
            remedy = "give tests=, or generate= with a model that writes them: one of the two"
            raise UsageError("tests", self.tests, remedy)
        check_execution(self.sandbox, self.limits, self.entry_point)
        for name, least, most in (
            ("hold_back", 0, 1),
            ("absolute", 0, None),
            ("relative", 0, None),
        ):
            _check_number(name, getattr(self, name), least, most)
        if self.tests is not None:
            suite = suite_of(self.tests, entry_point=self.entry_point)
            object.__setattr__(self, "_suite", suite.holding_back(self.hold_back))
        else:
            _ = self.writer

    @property
    def exact(self) -> bool:
        """A pass is proof as far as the tests go; tests that a model wrote prove nothing."""
        return self.generate is None

    @property
    def calls(self) -> int:
        """Model calls per verdict at the most."""
        return int(self.generate is not None)

    @property
    def role(self) -> Role:
        """What its calls are for."""
        return "tool" if self.generate is None else "verify"

    @property
    def writer(self) -> AssertWriter | None:
        """What asks the model for tests."""
        return None if self.generate is None else as_writer(self.generate)

    @property
    def sampler(self) -> Callable[..., object] | None:
        """The model that writes tests, for budgets."""
        return None if self.writer is None else self.writer.sampler

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Find the program, run it, compare.

        Raises:
            Exception: What the model that writes tests raises; in a run this becomes an "error"
                verdict.
        """
        verdict = await self._judged(sample, prompt)
        return replace(verdict, verifier=self.name, sample=sample.index)

    def request(self, sample: Sample[object], /, *, prompt: object) -> object:
        """What the model that writes tests is asked; a run keeps so much back for it."""
        del sample
        return None if self.writer is None else self._asked(self.writer, prompt)

    async def _judged(self, sample: Sample[object], prompt: object) -> Verdict:
        program = program_in(sample.value, entry_point=self.entry_point, header=self.header)
        if program is None:
            return Verdict(outcome="fail", feedback=NO_PROGRAM)
        suite = self._suite or await self._generated(prompt)
        if not suite.tests:
            nothing = "the model wrote no test that could be used"
            return Verdict(outcome="error", evidence=(nothing,))
        whole = f"{program}\n\n{suite.support}\n" if suite.support else program
        cases = [test.case for test in suite.tests]
        with nullcontext() if self.exact else tool_span(self.name):  # else all of it is the tool's
            execution = await executed(whole, cases, sandbox=self.sandbox, limits=self.limits)
        verdict = verdict_on(suite, execution, self._comparison)
        return verdict if self.exact else _as_score(verdict)

    async def _generated(self, prompt: object) -> Suite:
        """Tests for a task, the same for all its programs."""
        writer = cast("AssertWriter", self.writer)

        async def write() -> list[CodeTest]:
            model = cast("Sampler[object, object]", writer.sampler)
            asked = self._asked(writer, prompt)
            reply = await call(model, asked, role="verify", options=writer.options)
            return writer.read(reply.value, entry_point=self.entry_point)

        tests = await self._written.get(text_of(prompt), write)
        return Suite(tests=tuple(tests)).holding_back(self.hold_back)

    def _asked(self, writer: AssertWriter, prompt: object) -> object:
        return writer.request(prompt, entry_point=self.entry_point)

    @property
    def _comparison(self) -> Comparison:
        tolerance = Tolerance(absolute=self.absolute, relative=self.relative)
        return Comparison(strict=self.strict and self.exact, tolerance=tolerance)


def _check_number(name: str, value: object, least: float, most: float | None) -> None:
    if not is_number(value) or not value >= least or (most is not None and value > most):
        remedy = f"give a number from {least} to {most}" if most else f"give {least} or more"
        raise UsageError(name, value, remedy)


def _as_score(verdict: Verdict) -> Verdict:
    """Of tests that may be wrong themselves."""
    if verdict.outcome not in {"pass", "fail"}:
        return verdict
    said = verdict.feedback and f"{verdict.feedback} The test may be wrong: go by the task."
    return replace(verdict, outcome="scored", feedback=said)
