"""A store of its own for each test, and no provider of another's."""

from __future__ import annotations

import pytest
from opentelemetry import trace

from thinktwice.store import observe


@pytest.fixture
def no_provider(monkeypatch):
    """No tracer provider is set; one that a test sets is gone after it."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", type(trace._TRACER_PROVIDER_SET_ONCE)())


@pytest.fixture
def observer(tmp_path, no_provider):
    """Observes into a file of the test's."""
    made = observe(tmp_path / "spans.db")
    yield made
    made.close()
