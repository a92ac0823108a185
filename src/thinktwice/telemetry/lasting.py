"""The span of what is entered block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import context as otel
from opentelemetry import trace

from thinktwice.telemetry.attributes import (
    AGENT,
    KIND,
    OPERATION,
    RUN_ID,
)
from thinktwice.telemetry.current import Current
from thinktwice.telemetry.describing import fail, ledger_attributes
from thinktwice.telemetry.harmless import end, harmless
from thinktwice.telemetry.leaves import NO_SPAN

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Span

    from thinktwice.ledger import Ledger
    from thinktwice.telemetry.recording import Recorder


class Lasting:
    """The span of what is entered block by block, such as an agent; each time it may be the last.

    It is opened for the first block, and ended when a block fails or all is over. A block after
    that opens another one below it. Where somebody else traces model calls it does nothing.
    """

    def __init__(self, recorder: Recorder, name: str, run_id: str, *, emitted: bool | None) -> None:
        """Open nothing yet, but remember what is around.

        Args:
            recorder: Opens it.
            name: What it is for, of which there are few.
            run_id: Of the session.
            emitted: As for `Recorder.leaf`.
        """
        wanted = recorder.tracer is not None and recorder.wanted(emitted=emitted)
        self._tracer = recorder.tracer if wanted else None
        self._name, self._run_id = name, run_id
        self._around = otel.get_current()
        self._on: Span | None = None

    def current(self) -> AbstractContextManager[object, bool | None]:
        """Make it the current span for a block, without ending it."""
        if self._tracer is None:
            return NO_SPAN
        if self._on is None:
            attributes = {
                OPERATION: "invoke_agent",
                AGENT: self._name,
                KIND: "AGENT",
                RUN_ID: self._run_id,
            }
            name = f"invoke_agent {self._name}"
            self._on = self._tracer.start_span(name, self._around, attributes=attributes)
            self._around = trace.set_span_in_context(self._on, self._around)
        return Current(self._on)

    @harmless
    def end(self, ledger: Ledger, error: BaseException | None) -> None:
        """Write what was spent, and close the span."""
        on, self._on = self._on, None
        if on is None:
            return
        if on.is_recording():
            on.set_attributes(ledger_attributes(ledger))
            if error is not None:
                fail(on, error)
        end(on)
