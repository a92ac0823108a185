"""Programs chosen by tests that a model writes, and tests by programs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeVar, cast

from thinktwice.answers.programs import program_in
from thinktwice.ballot import Ballot
from thinktwice.errors import BudgetExceeded, UsageError, status_of
from thinktwice.prompting import is_conversation
from thinktwice.remarks import UNJUDGED
from thinktwice.result import Outcome
from thinktwice.sample import Verdict
from thinktwice.sampling import as_source
from thinktwice.sandbox.execution import check_execution, executed
from thinktwice.sandbox.protocol import Limits
from thinktwice.stop import AtMost
from thinktwice.stop.algebra import at_least_one
from thinktwice.strategy import Strategy, check_draws, check_inside, nested_calls, nested_draws
from thinktwice.verifiers.code.agreement import consensus_sets
from thinktwice.verifiers.code.expectation import Comparison
from thinktwice.verifiers.code.report import NO_PROGRAM, graded
from thinktwice.verifiers.code.writing import AssertWriter, as_writer
from thinktwice.verifiers.material import JudgePrompt

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from thinktwice.entry import Role
    from thinktwice.run import Run
    from thinktwice.sample import Sample
    from thinktwice.sandbox.protocol import Sandbox
    from thinktwice.verifiers.code.case import CodeTest

P = TypeVar("P")
T = TypeVar("T")
X = TypeVar("X")

_NO_TESTS: Final = "no test could be used, so the most frequent program was taken"
_NO_PROGRAMS: Final = "no answer holds a program, so the most frequent answer was taken"
_NO_AGREEMENT: Final = "no program passes any of the tests, so the most frequent one was taken"
_AS_PYTHON: Final = Comparison(strict=False)


@dataclass(frozen=True)
class CodeT(Strategy):
    """Draw n programs and tests for them, and return a program of the group that agrees most.

    Programs that pass the same tests form a group; its score is the root of their number times the
    number of those tests (Chen et al. 2022, arXiv:2207.10397). Most tests of a weak model are
    wrong, and so are most of its programs; but they are wrong in many ways, and right in one. The
    best score on such tests alone gets worse with more samples, this does not.

    Cost: n samples, and `writes` calls that write tests. No test of yours is needed.

    Example:
        ```python
        CodeT(20, entry_point="fib")
        CodeT(20, generate=AssertWriter(other_model, count=12), writes=5)
        ```

    Attributes:
        n: Programs.
        generate: The model that writes tests, or an `AssertWriter`; by default the one that writes
            the programs, if it takes a text or chat messages.
        writes: Calls that write tests; their tests are put together.
        entry_point: The function that tests call; also tells which block holds the program.
        header: What answers continue, as in HumanEval: see `program_in`.
        power: Of the number of programs in a group's score, see `consensus_sets`.
        sandbox: Where to run; by default what is there, see `auto`.
        limits: Of the run of one program on all tests together.
        of: The strategy inside: each program is then from a run of it.

    Raises:
        UsageError: n or writes below 1, or another unusable parameter.
    """

    n: int
    generate: AssertWriter | Callable[..., object] | None = field(default=None, kw_only=True)
    writes: int = field(default=4, kw_only=True)
    entry_point: str | None = field(default=None, kw_only=True)
    header: str = field(default="", kw_only=True)
    power: float = field(default=0.5, kw_only=True)
    sandbox: Sandbox | None = field(default=None, kw_only=True)
    limits: Limits = field(default=Limits(), kw_only=True)
    of: Strategy | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check every parameter."""
        check_draws(self.n)
        at_least_one("writes", self.writes)
        check_inside(self.of)
        check_execution(self.sandbox, self.limits, self.entry_point)
        if self.generate is not None:
            as_writer(self.generate)
        if not self.power > 0:
            raise UsageError("power", self.power, "give a number above 0, such as 0.5 or 1")

    @property
    def draws(self) -> int:
        """Its n, times that of the strategy inside."""
        return nested_draws(self.n, self.of)

    @property
    def calls(self) -> int | None:
        """One a draw, and those that write tests."""
        inside = nested_calls(self.n, self.of)
        return None if inside is None else inside + self.writes

    async def __call__(self, run: Run[P, T]) -> Outcome[T]:
        """Draw programs, have tests written, run each on all, then let them agree."""
        writer = self._writer(run)  # before anything is paid for
        ballot: Ballot[T] = Ballot(self.n)
        async with run.draws(self.n) as draws:
            async for sample, _ in draws:
                ballot.add(sample)
        most = Outcome(winner=ballot.winner(), agreement=ballot.agreement)
        run.offer(most)
        drawn = [sample for group in ballot.groups for sample in group.samples]
        judge = _Judge(self, await self._tests(run, writer))
        if judge.tests:
            await _all([run.verify(sample, judge) for sample in drawn])
        chosen = self._chosen(drawn, judge.passed)
        if chosen is None:
            run.warn(_why(judge, len(drawn)))
        ended = run.exhausted or AtMost(self.n)
        return replace(chosen or most, stopped_by=ended, used=ballot.tally().finished)

    def _chosen(
        self, drawn: Sequence[Sample[T]], passed: Mapping[int, Sequence[int]]
    ) -> Outcome[T] | None:
        """The shortest program of the best group; None if no test is passed at all."""
        best = next(iter(consensus_sets(passed, power=self.power)), None)
        if best is None or not best.score:
            return None
        members = [sample for sample in drawn if sample.index in best.programs]
        winner = min(members, key=lambda sample: (len(sample.text or ""), sample.index))
        return Outcome(winner=winner, agreement=len(members) / len(passed))

    async def _tests(self, run: Run[P, T], writer: AssertWriter) -> tuple[CodeTest, ...]:
        """What the calls wrote, each test once."""
        written = await _all([self._written(run, writer) for _ in range(self.writes)])
        found = {f"{t.case.expression} {t.expected}": t for tests in written for t in tests}
        return tuple(found.values())

    async def _written(self, run: Run[P, T], writer: AssertWriter) -> list[CodeTest]:
        """The tests of one call; none if it fails."""
        asked = writer.request(run.prompt, entry_point=self.entry_point)
        try:
            reply = await run.ask(writer.sampler, asked, role="verify", options=writer.options)
        except (BudgetExceeded, UsageError, *as_source(writer.sampler).passthrough):
            raise
        except Exception as error:  # noqa: BLE001 - fewer tests, and programs all the same
            run.warn(f"a call that was to write tests failed: {status_of(error)}")
            return []
        return writer.read(reply.value, entry_point=self.entry_point)

    def _writer(self, run: Run[P, T]) -> AssertWriter:
        if self.generate is not None:
            return as_writer(self.generate)
        sampler = cast("Callable[..., object]", run.sampler())
        if isinstance(run.prompt, str):
            return AssertWriter(sampler)
        if is_conversation(run.prompt):
            return AssertWriter(sampler, layout=JudgePrompt.messages)
        remedy = "give a model that takes a text: the input of this one is neither text nor chat"
        raise UsageError("generate", None, remedy)


def _why(judge: _Judge, drawn: int) -> str:
    """Why there is no group to choose from."""
    if judge.passed:
        return _NO_AGREEMENT
    if judge.tests and judge.empty == drawn:
        return _NO_PROGRAMS
    return UNJUDGED if judge.tests else _NO_TESTS


class _Judge:
    """Runs programs on the tests, and keeps what each passes."""

    name = "codet"
    exact = False
    role: Role = "tool"

    def __init__(self, strategy: CodeT, tests: tuple[CodeTest, ...]) -> None:
        self.strategy = strategy
        self.tests = tests
        self.passed: dict[int, list[int]] = {}
        self.empty = 0

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        del prompt
        of = self.strategy
        program = program_in(sample.value, entry_point=of.entry_point, header=of.header)
        if program is None:
            self.empty += 1
            return Verdict(outcome="fail", feedback=NO_PROGRAM)
        cases = [test.case for test in self.tests]
        execution = await executed(program, cases, sandbox=of.sandbox, limits=of.limits)
        results = graded(self.tests, execution, _AS_PYTHON) if execution.status == "ok" else None
        if results is None:
            return Verdict(outcome="error", evidence=(execution.reason,))
        passed = [number for number, each in enumerate(results) if each.passed]
        self.passed[sample.index] = passed
        return Verdict(outcome="scored", score=len(passed) / len(self.tests))


async def _all(works: Sequence[Coroutine[object, object, X]]) -> list[X]:
    """What is ready of all when all have ended; what a budget refused is missing."""
    ended = await asyncio.gather(*works, return_exceptions=True)
    for each in ended:
        if isinstance(each, BaseException) and not isinstance(each, BudgetExceeded):
            raise each
    return [each for each in ended if not isinstance(each, BaseException)]
