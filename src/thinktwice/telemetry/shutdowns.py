"""Tracer providers that are shut down while runs go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor

from thinktwice.remarks import tell_safely

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span


class ShutdownWatch(SpanProcessor):
    """Says once that spans of runs are lost since their provider was shut down.

    A provider tells nobody that it was, but its processors; and it goes on calling them.
    """

    def __init__(self) -> None:
        """Of a provider that is in use."""
        self._over = False

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Look whether one of ours can still be sent."""
        del parent_context
        scope = span.instrumentation_scope if self._over else None
        if scope is not None and scope.name == "thinktwice":
            self._over = False  # once is enough
            tell_safely(
                "the tracer provider was shut down: spans of runs from now on are lost to its "
                "exporters; shut it down when the last run has ended"
            )

    def shutdown(self) -> None:
        """Nothing more is sent."""
        self._over = True
