"""Which sandbox runs a program."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from thinktwice.errors import UsageError
from thinktwice.sandbox import auto as module
from thinktwice.sandbox.auto import FirstOf, auto
from thinktwice.sandbox.bubblewrap import Bubblewrap
from thinktwice.sandbox.monty import Monty
from thinktwice.sandbox.protocol import Case, CaseRun, Execution, Limits
from thinktwice.sandbox.unsafe import UnsafeSubprocess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.sandbox.protocol import ExecutionStatus


@dataclass
class Scripted:
    """Says the same of every program."""

    name: str
    status: ExecutionStatus
    asked: list[str] = field(default_factory=list)

    async def execute(self, program: str, cases: Sequence[Case], *, limits: Limits) -> Execution:
        """Remember the program."""
        self.asked.append(program)
        runs = (CaseRun(status="ok", value="1"),) if self.status == "ok" else ()
        reason = "" if self.status == "ok" else f"{self.name} cannot"
        return Execution(
            status=self.status, sandbox=self.name, cases=runs, reason=reason, seconds=1.0
        )


async def execute(*sandboxes: Scripted, remedy: str = "") -> Execution:
    """One program, in the first that can."""
    first_of = FirstOf(sandboxes, remedy=remedy)
    return await first_of.execute("x", [Case("1")], limits=Limits())


async def test_the_first_that_says_something_decides() -> None:
    """Those behind it are not asked."""
    last = Scripted("c", "ok")
    execution = await execute(Scripted("a", "unsupported"), Scripted("b", "ok"), last)
    assert (execution.status, execution.sandbox) == ("ok", "b")
    assert last.asked == []


@pytest.mark.parametrize("trouble", ["unsupported", "error"])
async def test_what_one_cannot_run_the_next_gets(trouble: ExecutionStatus) -> None:
    """Whether it lacks something or is broken."""
    assert (await execute(Scripted("a", trouble), Scripted("b", "ok"))).sandbox == "b"


async def test_where_none_can_the_reasons_of_all_are_given() -> None:
    """With what helps; trouble of one is trouble of all."""
    execution = await execute(
        Scripted("a", "error"), Scripted("b", "unsupported"), remedy="install c"
    )
    assert (execution.status, execution.sandbox, execution.cases) == ("error", "b", ())
    assert execution.reason == "a: a cannot; b: b cannot; install c"
    assert execution.seconds == 2.0
    assert (await execute(Scripted("a", "unsupported"))).status == "unsupported"


class Broken(Scripted):
    """Raises, with text that nobody should see."""

    async def execute(self, program: str, cases: Sequence[Case], *, limits: Limits) -> Execution:
        """As a remote service does that is down."""
        raise ConnectionError("sk-secret")


async def test_one_that_raises_is_an_error_and_the_next_gets_the_program() -> None:
    """Its type is named, and its text is not."""
    assert (await execute(Broken("a", "ok"), Scripted("b", "ok"))).sandbox == "b"
    execution = await execute(Broken("a", "ok"))
    assert (execution.status, execution.reason) == ("error", "a: it raised ConnectionError")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """What this machine has."""
    parts: set[str] = request.param
    monkeypatch.setattr(module, "find_spec", lambda name: name if "monty" in parts else None)
    monkeypatch.setattr(module.shutil, "which", lambda name: name if "bwrap" in parts else None)


def names(*sandboxes: Scripted, **options: bool) -> str:
    """In which order."""
    return auto(*sandboxes, **options).name


@pytest.mark.parametrize("here", [{"monty", "bwrap"}], indirect=True)
@pytest.mark.usefixtures("here")
def test_the_quick_one_comes_first_and_ones_own_after_those_of_this_machine() -> None:
    """And the unsafe one last, if it must be."""
    own = Scripted("own", "ok")
    assert names() == "monty, bubblewrap"
    assert names(own) == "monty, bubblewrap, own"
    assert names(own, allow_unsafe=True) == "monty, bubblewrap, own, unsafe_subprocess"


@pytest.mark.parametrize("here", [{"monty"}], indirect=True)
@pytest.mark.usefixtures("here")
def test_the_quick_one_is_patient_where_it_is_alone() -> None:
    """A loop without end is then out of time, and not unsupported."""
    assert auto() == FirstOf((Monty(),), remedy=module._REMEDY)
    behind = auto(Scripted("own", "ok"))
    assert isinstance(behind, FirstOf)
    assert behind.sandboxes[0] == Monty(patience=0.5)


@pytest.mark.parametrize("here", [{"bwrap"}], indirect=True)
@pytest.mark.usefixtures("here")
def test_bubblewrap_is_enough() -> None:
    """It runs all that there is."""
    assert auto() == FirstOf((Bubblewrap(),))


@pytest.mark.parametrize("here", [set[str]()], indirect=True)
@pytest.mark.usefixtures("here")
def test_nothing_is_refused_and_never_replaced_by_a_plain_process() -> None:
    """The error says what to install."""
    with pytest.raises(UsageError, match=r"pip install .*, install bubblewrap"):
        auto()
    assert auto(allow_unsafe=True) == FirstOf(
        (UnsafeSubprocess(allow_unsafe=True),), remedy=module._REMEDY
    )


def test_there_must_be_one() -> None:
    """None is a mistake."""
    with pytest.raises(UsageError, match="nothing here runs model-written code"):
        FirstOf(())
