"""Parties that trace, by name."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from opentelemetry import context

from integrations.llama_index.tests.tracing.columns import column


@pytest.fixture
def under():
    """Sets parties up for one test."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(column(name))


@pytest.fixture(autouse=True)
def nothing_current():
    """Two parties at once leave a span current where an index is made: not for the next test."""
    before = context.get_current()
    yield
    context.attach(before)
