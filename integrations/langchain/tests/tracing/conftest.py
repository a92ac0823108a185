"""Parties that trace, by name."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from integrations.langchain.tests.tracing.columns import column


@pytest.fixture
def under():
    """Sets parties up for one test."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(column(name))
