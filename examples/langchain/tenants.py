"""Part of `service.py`, the tenants: their budgets, their bills, and which spans are theirs."""

from __future__ import annotations

import math
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from openai import APITimeoutError, RateLimitError
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from thinktwice import Budget, BudgetExceeded, budget_scope
from thinktwice.quota import Quota, QuotaStore, SqliteStore

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

    from thinktwice.lease import Sums
    from thinktwice.ledger import Ledger

TENANT = "tenant.id"


@dataclass(frozen=True)
class Tenant:
    """Who pays: what one request may spend, and what all requests of a day may.

    Attributes:
        name: In traces, and of its quota.
        request: Caps of one request.
        day: Caps of all requests of a day.
        store: Where the day is counted; several processes share one in a file.
    """

    name: str
    request: Budget
    day: Budget
    store: QuotaStore = field(default_factory=SqliteStore)

    @property
    def quota(self) -> Quota:
        """What all requests of a day spend from."""
        return Quota(f"tenant:{self.name}", self.day, per="day", store=self.store)


@contextmanager
def charged(tenant: Tenant) -> Generator[Ledger]:
    """A block that a tenant pays for: its budgets and its name are in the context."""
    token = context.attach(baggage.set_baggage(TENANT, tenant.name))
    spans = trace.get_tracer("service")
    try:
        with (
            tenant.quota.scope(),
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


def usage_of(tenant: Tenant) -> dict[str, Any]:
    """What the day has cost, what calls in flight may still take, and what is left of its caps.

    Charged is also what calls may have taken that nobody counted, as they were recalled.
    """
    quota, allowed = tenant.quota, tenant.day
    window = quota.window()
    spent, held = (each.sums() for each in tenant.store.totals(quota.counted_as, window))
    caps = {"calls": allowed.calls, "tokens": allowed.tokens, "cost": allowed.money}
    left = {
        kind: float(max(0, cap - getattr(spent, kind) - getattr(held, kind)))
        for kind, cap in caps.items()
        if cap is not None
    }
    return {
        **_plain(spent),
        "held": _plain(held),
        "remaining": left,
        "resets_in": max(1, math.ceil(window - time.time())),
    }


def _plain(sums: Sums) -> dict[str, Any]:
    return {"calls": sums.calls, "tokens": sums.tokens, "cost": float(sums.cost)}


def reason_of(error: Exception) -> tuple[int, str, dict[str, str]]:
    """HTTP status, reason and headers, without a text of the provider's.

    402 if the request asks for more than it may spend, 429 if the day's budget is used up, 504 if
    it took too long, 502 or 503 if the model's API failed.
    """
    if isinstance(error, BudgetExceeded):
        limit = error.limit
        if limit.renews_at is not None:  # of a quota
            wait = math.ceil(limit.renews_at.timestamp() - time.time())
            headers = {"Retry-After": str(max(1, wait))}
            return 429, f"the day's budget is used up: {limit}", headers
        if limit.kind == "seconds":
            return 504, f"no answer in time: {limit}", {}
        return 402, f"the request needs more than it may spend: {limit}", {}
    if isinstance(error, RateLimitError):
        return 503, "the model is overloaded", {}
    if isinstance(error, APITimeoutError):
        return 504, "the model did not answer in time", {}
    return 502, "the model failed", {}


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
