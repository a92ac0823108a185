"""The sandboxes that are here."""

from __future__ import annotations

import asyncio

import pytest

from thinktwice.sandbox.bubblewrap import Bubblewrap
from thinktwice.sandbox.monty import Monty


@pytest.fixture(scope="session")
def bubblewrap() -> Bubblewrap:
    """Bubblewrap, where it is installed and allowed."""
    reason = asyncio.run(Bubblewrap().unusable())
    if reason:
        pytest.skip(f"bubblewrap: {reason}")
    return Bubblewrap()


@pytest.fixture(scope="session")
def monty() -> Monty:
    """pydantic-monty, where it is installed."""
    pytest.importorskip("pydantic_monty", reason="pydantic-monty is not installed")
    return Monty()
