"""Running the program of an answer."""

from __future__ import annotations

from tests.unit.verifiers.code.fakes import Here
from thinktwice.errors import UsageError
from thinktwice.sample import Sample
from thinktwice.sandbox import execution
from thinktwice.sandbox.execution import executed
from thinktwice.sandbox.protocol import Case, Limits
from thinktwice.verifiers.code import Code

CASES = (Case("f(1)"),)


async def test_a_sandbox_that_is_given_runs_it():
    """And no other is looked for."""
    here = Here()
    ran = await executed("def f(x): return x", CASES, sandbox=here, limits=Limits())
    assert (ran.status, ran.sandbox, ran.cases[0].value) == ("ok", "here", "1")


async def test_one_that_raises_is_an_error():
    """And no fault of the program."""

    class Full:
        name = "full"

        async def execute(self, program, cases, *, limits):
            raise OSError("no space left")

    ran = await executed("def f(x): return x", CASES, sandbox=Full(), limits=Limits())
    assert (ran.status, ran.sandbox, ran.reason) == ("error", "full", "it raised OSError")


async def test_without_any_it_is_an_error_that_says_what_to_install(monkeypatch):
    """Never a fail of the program."""

    def none():
        raise UsageError("sandbox", None, "install something")

    monkeypatch.setattr(execution, "auto", none)
    ran = await executed("def f(x): return x", CASES, sandbox=None, limits=Limits())
    assert (ran.status, ran.sandbox, ran.reason) == ("error", "none", "install something")
    code = Code("assert f(1) == 1")
    verdict = await code(Sample(index=0, value="def f(x): return x"), prompt="")
    assert (verdict.outcome, verdict.evidence) == ("error", ("install something",))
