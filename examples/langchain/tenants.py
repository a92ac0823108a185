"""Part of `service.py`, the tenants: their budgets, their bills, and which spans are theirs."""

from __future__ import annotations

import math
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from openai import APITimeoutError, RateLimitError
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from thinktwice import Budget, BudgetExceeded, budget_scope
from thinktwice.ledger import Ledger
from thinktwice.workflow import spend_from

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

TENANT = "tenant.id"


@dataclass
class Tenant:
    """Who pays: what one request may spend, and what all requests of a day may.

    The day is counted in memory: of several processes, each would allow it.

    Attributes:
        name: In traces.
        request: Caps of one request.
        day: Caps of all requests of a day.
        seconds: Length of a day, which begins with the first request after the last one.
    """

    name: str
    request: Budget
    day: Budget
    seconds: float = 86_400.0
    _ledger: Ledger | None = field(default=None, repr=False)
    _ends: float = 0.0

    def ledger(self) -> Ledger:
        """What the running day's requests spend from."""
        if self._ledger is None or time.monotonic() >= self._ends:
            self._ledger, self._ends = Ledger(self.day), time.monotonic() + self.seconds
        return self._ledger

    @property
    def wait(self) -> int:
        """Seconds until the next day."""
        return max(1, math.ceil(self._ends - time.monotonic()))


@contextmanager
def charged(tenant: Tenant) -> Generator[Ledger]:
    """A block that a tenant pays for: its budgets and its name are in the context."""
    token = context.attach(baggage.set_baggage(TENANT, tenant.name))
    spend_from(tenant.ledger())
    spans = trace.get_tracer("service")
    try:
        with (
            budget_scope(tenant.request) as ledger,
            spans.start_as_current_span("ask", record_exception=False),
        ):
            yield ledger
    finally:
        context.detach(token)


def bill_of(ledger: Ledger) -> dict[str, Any]:
    """What was spent so far."""
    total = ledger.total
    return {
        "calls": total.calls,
        "tokens": total.usage.total_tokens,
        "cost": None if total.cost is None else float(total.cost),
        "seconds": round(ledger.seconds, 3),
    }


def balance_of(tenant: Tenant) -> dict[str, Any]:
    """What is left of the day, and what is held of it besides what the bill says was spent.

    Held is what calls in flight may still take, and what was charged for calls that nobody counted,
    as they were recalled. Bill, held and remaining add up to the cap.
    """
    ledger, allowed = tenant.ledger(), tenant.day
    remaining, total = ledger.remaining, ledger.total
    caps = {"calls": allowed.calls, "tokens": allowed.tokens, "cost": allowed.money}
    spent = {"calls": total.calls, "tokens": total.usage.total_tokens, "cost": total.cost}
    held = {
        kind: max(0.0, float(cap - (spent[kind] or 0) - Decimal(remaining[kind])))
        for kind, cap in caps.items()
        if cap is not None
    }
    return {"remaining": {kind: float(left) for kind, left in remaining.items()}, "held": held}


def reason_of(error: Exception, tenant: Tenant) -> tuple[int, str]:
    """HTTP status and reason, without a text of the provider's.

    402 if the request asks for more than it may spend, 429 if the day's budget is used up, 504 if
    it took too long, 502 or 503 if the model's API failed.
    """
    if isinstance(error, BudgetExceeded):
        if tenant.ledger().bound_by(error.limit):
            return 429, f"the day's budget is used up: {error.limit}"
        if error.limit.kind == "seconds":
            return 504, f"no answer in time: {error.limit}"
        return 402, f"the request needs more than it may spend: {error.limit}"
    if isinstance(error, RateLimitError):
        return 503, "the model is overloaded"
    if isinstance(error, APITimeoutError):
        return 504, "the model did not answer in time"
    return 502, "the model failed"


# ---- traces -------------------------------------------------------------------------------------


class TenantSpans(SpanProcessor):
    """Writes on every span whose tenant it is for, wherever in the process it is opened.

    The tenant travels as baggage, so libraries need not know of it. Instrumented HTTP clients send
    baggage on: strip it there where the provider of the model must not see the name.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Copy it from the baggage."""
        name = baggage.get_baggage(TENANT, parent_context)
        if isinstance(name, str):
            span.set_attribute(TENANT, name)


def trace_tenants() -> None:
    """Set traces up, if nobody has: to `OTEL_EXPORTER_OTLP_ENDPOINT`, where there is one."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    _trace_tenants(provider)


@lru_cache(maxsize=8)
def _trace_tenants(provider: TracerProvider) -> None:
    provider.add_span_processor(TenantSpans())
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
