"""How a sample is judged, and how a strategy asks a model for itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from thinktwice import telemetry
from thinktwice.account import now
from thinktwice.calls import call_in
from thinktwice.entry import ZERO, Entry
from thinktwice.errors import TypeOf, UsageError, status_of
from thinktwice.instrumentation import noded
from thinktwice.nursery import recalled
from thinktwice.sample import NO_USAGE, Verdict
from thinktwice.state import State
from thinktwice.tool_runs import verdict_by
from thinktwice.workflow import entered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thinktwice.account import Lease
    from thinktwice.entry import Role, Status
    from thinktwice.protocols import Options, Verifier
    from thinktwice.sample import Completion, Sample
    from thinktwice.sampling import Source

P = TypeVar("P")
T = TypeVar("T")
X = TypeVar("X")
Y = TypeVar("Y")


class Judging(State[P, T]):
    """The calls of a run that are no draws."""

    async def _ask(
        self, source: Source[X, Y], prompt: X, role: Role, options: Options
    ) -> Completion[Y]:
        scope = self._scope(role, None)
        attributes = {telemetry.WORKFLOW: self._setting.strategy, telemetry.ROLE: role}
        span = self.recorder.span(f"thinktwice.{role}", "CHAIN", attributes)
        with entered(scope), span as on, noded(scope):
            status: Status = "error"
            try:
                completion = await call_in(scope, source, prompt, options)
                status = "ok"
            except asyncio.CancelledError:
                status = "cancelled"
                raise
            finally:
                telemetry.describe_recalled(on, status, self._end(scope, status, None))
        return completion

    async def _verify(
        self, sample: Sample[T], verifier: Verifier[P], prompt: P, share: Sequence[Lease]
    ) -> Verdict:
        scope = self._scope(getattr(verifier, "role", "verify"), sample.index, share)
        started = now()
        attributes = {
            telemetry.EVALUATION_NAME: verifier.name,
            telemetry.VERIFIER: verifier.name,
            telemetry.INDEX: sample.index,
            telemetry.ROLE: scope.role,
        }
        name = f"thinktwice.verify {verifier.name}"
        span = self.recorder.span(name, "EVALUATOR", attributes)
        with entered(scope), span as on, noded(scope):
            error = None
            try:
                verdict = _checked(await verdict_by(verifier, sample, prompt=prompt))
            except asyncio.CancelledError as cancelled:
                if recalled():
                    total = self._end(scope, "cancelled", cancelled)
                    telemetry.describe_recalled(on, "cancelled", total)
                    raise
                error = RuntimeError("the verifier cancelled itself")
                verdict = Verdict(outcome="error", evidence=(status_of(error),))
            except BaseException as raised:
                if not isinstance(raised, Exception) or self._leaves(raised, None):
                    telemetry.describe_recalled(on, "error", self._end(scope, "error", raised))
                    raise
                error = raised
                verdict = Verdict(outcome="error", evidence=(status_of(raised),))
            total = self._end(scope, "error" if error else "ok", error)
            if not total.calls:
                self._note_tool(verdict, sample.index, error, now() - started)
            verdict = replace(verdict, verifier=verifier.name, sample=sample.index)
            self.verdicts[sample.index] = verdict
            telemetry.describe_verdict(on, verdict, total, error)
            self.recorder.tell_verdict(verdict, error)
        await self.report.of_verdict(self, verdict)
        return verdict

    def _note_tool(
        self, verdict: Verdict, index: int, error: Exception | None, seconds: float
    ) -> None:
        """In the ledger, so that a check that broke can be told from one that never ran."""
        self.ledger.note(
            Entry(
                role="tool",
                status="error" if verdict.outcome == "error" else "ok",
                usage=NO_USAGE,
                cost=ZERO,
                seconds=seconds,
                sample=index,
                called=False,
                error=None if error is None else status_of(error),
            )
        )


def _checked(verdict: object) -> Verdict:
    """What a verifier must return."""
    if not isinstance(verdict, Verdict):
        raise UsageError("verifier", TypeOf(verdict), "return a Verdict, or wrap it by as_verifier")
    return verdict
