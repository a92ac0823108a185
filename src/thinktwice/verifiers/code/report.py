"""From what a program did on its tests to a verdict; what the program said is quoted with care."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from thinktwice.repair.asking import cleaned
from thinktwice.sample import Verdict
from thinktwice.sandbox.values import NoText, decode
from thinktwice.verifiers.code.expectation import EXACT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.sandbox.protocol import CaseRun, Execution
    from thinktwice.verifiers.code.case import CodeTest, Suite
    from thinktwice.verifiers.code.expectation import Comparison, Expectation

_VALUE: Final = 200
_SOURCE: Final = 500
_MOST_QUOTED: Final = 3
_MEND: Final = "Mend the program for all such inputs, not for this one alone."
_HIDDEN: Final = (
    "It passes the tests that may be shown, and fails others: it is wrong for some inputs. Read "
    "the task again, and think of edge cases."
)
_ENDED: Final = {
    "timeout": "does not end in time",
    "memory": "takes too much memory",
    "output": "writes too much",
    "exited": "ends the process",
    "no_result": "gives something that is no plain data",
    "not_run": "is not reached, as the process has ended",
}
NO_PROGRAM: Final = "There is no program in the answer: write one in a block that begins ```python."


@dataclass(frozen=True)
class Graded:
    """One test and what the program did on it.

    Attributes:
        test: The test.
        run: What came out of the sandbox.
        passed: That is what the test expects.
    """

    test: CodeTest
    run: CaseRun
    passed: bool

    def __str__(self) -> str:
        """What was expected and what came, in a sentence."""
        return f"{self._expected()} {self.got}."

    @property
    def got(self) -> str:
        """What came."""
        run = self.run
        if run.status == "raised":
            told = f"{run.error}: {run.message}" if run.message else str(run.error)
            return f"raises {_short(told, _SOURCE)}"
        if run.status != "ok":
            return _ENDED[run.status]
        if run.value is None:
            return f"prints {_shown(run.stdout)}"
        got = decode(run.value)
        return f"gives {_shown(got)}{self._of_type(got)}"

    def _expected(self) -> str:
        case, expected = self.test.case, self.test.expected
        if self.test.source:
            return f"The test `{_short(self.test.source, _SOURCE)}`"
        if case.stdin is not None:
            wanted = _shown(expected.value)
            return f"Given the input {_shown(case.stdin)}, it should print {wanted}, and"
        call, wanted = _short(case.expression or "", _VALUE), _wanted(expected)
        return f"`{call}` should give {wanted}, and"

    def _of_type(self, got: object) -> str:
        """The type, where it is all that differs."""
        alike = self.test.expected.operator == "==" and got == self.test.expected.value
        return f", which is of another type ({type(got).__name__})" if alike else ""


def graded(
    tests: Sequence[CodeTest], execution: Execution, comparison: Comparison
) -> list[Graded] | None:
    """Compare what came out with what was expected; None if it is not what a sandbox returns."""
    if len(execution.cases) != len(tests):
        return None
    try:
        return [
            Graded(test, run, _passed(test, run, comparison))
            for test, run in zip(tests, execution.cases, strict=True)
        ]
    except NoText:
        return None


def _passed(test: CodeTest, run: CaseRun, comparison: Comparison) -> bool:
    if run.status != "ok":
        return False
    if test.case.stdin is not None:
        return _same_output(run.stdout, str(test.expected.value), comparison)
    return run.value is not None and test.expected.holds(decode(run.value), comparison)


def _same_output(got: str, expected: str, comparison: Comparison) -> bool:
    """Line by line without trailing white space; with a tolerance, number by number."""
    left = [line.rstrip() for line in got.rstrip().split("\n")]
    right = [line.rstrip() for line in expected.rstrip().split("\n")]
    if left == right or comparison.tolerance == EXACT:
        return left == right
    return len(left) == len(right) and all(
        comparison.same(*map(_words, pair)) for pair in zip(left, right, strict=True)
    )


def _words(line: str) -> list[object]:
    return [_number_or_word(word) for word in line.split()]


def _number_or_word(word: str) -> object:
    try:
        return float(word)
    except ValueError:
        return word


def verdict_on(suite: Suite, execution: Execution, comparison: Comparison) -> Verdict:
    """The verdict on a program; tests that are held back are counted and never quoted.

    Args:
        suite: What was run.
        execution: What came of it.
        comparison: How values are compared.
    """
    if execution.status != "ok":
        return Verdict(outcome="error", evidence=(_short(execution.reason, _SOURCE),))
    results = graded(suite.tests, execution, comparison)
    if results is None:
        broken = f"{execution.sandbox} did not return one result a test"
        return Verdict(outcome="error", evidence=(broken,))
    failed = [each for each in results if not each.passed]
    if not failed:
        return Verdict(outcome="pass", evidence=_passing(suite, execution))
    quoted = _quoted([each for each in results[: suite.shown] if not each.passed])
    return Verdict(
        outcome="fail",
        score=1 - len(failed) / len(results),
        feedback=f"The program fails a test. {quoted[0]} {_MEND}" if quoted else _HIDDEN,
        evidence=quoted,
    )


def _quoted(failed: Sequence[Graded]) -> tuple[str, ...]:
    """The first failures, each another one; what was not reached says nothing new."""
    told = {each.got: each for each in reversed(failed)}
    kept = [each for each in failed if told[each.got] is each]
    kept.sort(key=lambda each: each.run.status == "not_run")
    return tuple(map(str, kept[:_MOST_QUOTED]))


def _passing(suite: Suite, execution: Execution) -> tuple[str, ...]:
    inside = sum(bool(test.source) for test in suite.tests)
    passed = f"{len(suite.tests)} tests pass in {execution.sandbox}"
    if not inside:
        return (passed,)
    return passed, f"{inside} of them evaluated in the sandbox: tamper-evident only"


def _shown(value: object) -> str:
    try:
        return f"`{_short(repr(value), _VALUE)}`"
    except ValueError:  # more digits than Python writes
        return "a very long number"


def _wanted(expected: Expectation) -> str:
    try:
        return _short(str(expected), _VALUE)
    except ValueError:
        return "a very long number"


def _short(text: str, most: int) -> str:
    return cleaned(text, most)
