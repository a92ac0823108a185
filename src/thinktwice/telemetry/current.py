"""Making a span the current one, at less cost than `opentelemetry.trace.use_span`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import context as otel
from opentelemetry import trace

from thinktwice.telemetry.describing import fail
from thinktwice.telemetry.harmless import end

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.trace import Span


class Current:
    """Makes a span the current one for a block, without ending it.

    A class, since the generators of `use_span` take longer than all that they do.

    Attributes:
        around: Where it is not: what was current before.
        context: Where it is current.
    """

    __slots__ = ("_on", "_token", "around", "context")

    def __init__(self, on: Span) -> None:
        """Of a span that has been started."""
        self._on = on
        self.around = otel.get_current()
        self.context = trace.set_span_in_context(on, self.around)

    def __enter__(self) -> Span:
        """Attach it."""
        self._token = otel.attach(self.context)
        return self._on

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Detach it."""
        otel.detach(self._token)
        self.left(error)

    def left(self, error: BaseException | None) -> None:
        """The block has ended; for those that do more about it.

        Args:
            error: What it raised.
        """


class Ending(Current):
    """Likewise, and ends it with the type of what was raised."""

    __slots__ = ()

    def left(self, error: BaseException | None) -> None:
        """End it."""
        if error is not None:
            fail(self._on, error)
        end(self._on)
