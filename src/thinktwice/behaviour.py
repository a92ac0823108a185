"""Programs that do the same are the same answer, however they are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from thinktwice.answers.literals import call_expression
from thinktwice.answers.programs import program_in
from thinktwice.errors import UsageError
from thinktwice.remarks import tell_once
from thinktwice.sandbox.execution import check_execution, executed
from thinktwice.sandbox.protocol import Case, Limits

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from thinktwice.sandbox.protocol import CaseRun, Sandbox


_TROUBLE: Final = "programs that could not be run abstain from the vote"


@dataclass(frozen=True)
class Behaviour:
    r"""An answer key for votes over programs: what they give on inputs alone.

    Two programs are the same answer if they give the same values, of the same types, on all inputs
    (AlphaCode, Li et al. 2022, arXiv:2203.07814). Nobody has to know the right values. An input
    on which a program gives no value, as it raises or does not end, is one on which it differs from
    those that do. A program that gives a value on no input abstains, and so does an answer without
    a program, or whose sandbox is in trouble; the last is said in a Python warning.

    It is an async key: strategies await it for each sample, and the event loop goes on meanwhile.

    Cost: no model call; one execution a sample.

    Example:
        ```python
        Vote(8, key=Behaviour([(3,), (10,), (0,)], entry_point="fib"))
        Vote(8, key=Behaviour(["3 4\n", "0 0\n"]))  # standard input of whole programs
        ```

    Attributes:
        inputs: A tuple of arguments each, with an entry point; or standard inputs, without.
        entry_point: The function that is called.
        header: What answers continue, as in HumanEval: see `program_in`.
        sandbox: Where to run; by default what is there, see `auto`.
        limits: Of the run on all inputs together.

    Raises:
        UsageError: There are no inputs, or they are neither tuples of plain data nor texts.
    """

    inputs: Sequence[tuple[object, ...]] | Sequence[str]
    entry_point: str | None = field(default=None, kw_only=True)
    header: str = field(default="", kw_only=True)
    sandbox: Sandbox | None = field(default=None, kw_only=True)
    limits: Limits = field(default=Limits(), kw_only=True)
    _cases: tuple[Case, ...] = field(default=(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the inputs."""
        check_execution(self.sandbox, self.limits, self.entry_point)
        if isinstance(self.inputs, str) or not self.inputs:
            raise UsageError("inputs", self.inputs, "give a list of at least one input")
        cases = tuple(_case(each, self.entry_point) for each in self.inputs)
        object.__setattr__(self, "_cases", cases)

    async def __call__(self, value: object) -> Hashable | None:
        """What the program of an answer gives on each input; None abstains."""
        program = program_in(value, entry_point=self.entry_point, header=self.header)
        if program is None:
            return None
        execution = await executed(program, self._cases, sandbox=self.sandbox, limits=self.limits)
        if execution.status != "ok":
            tell_once(f"{_TROUBLE}: {execution.reason}")
            return None
        given = tuple(map(_given, execution.cases))
        return given if any(each is not None for each in given) else None


def _case(given: object, entry_point: str | None) -> Case:
    if entry_point is None and isinstance(given, str):
        return Case(stdin=given)
    if entry_point is None or not isinstance(given, tuple):
        remedy = "give a tuple of arguments each, with entry_point=; or texts for standard input"
        raise UsageError("inputs", given, remedy)
    return Case(call_expression(entry_point, cast("tuple[object, ...]", given)))


def _given(run: CaseRun) -> str | None:
    """The value or the output; None where there is none."""
    if run.status != "ok":
        return None
    return run.stdout.rstrip() if run.value is None else run.value
