"""Shared fixtures."""

from __future__ import annotations

import pytest

from arithmetic_lm.engine import Engine
from arithmetic_lm.model import Model, load_model


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def model() -> Model:
    return load_model()


@pytest.fixture(scope="session")
def engine(model: Model) -> Engine:
    return Engine(model, slots=16)
