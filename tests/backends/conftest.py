"""Backends that are started once, and requests whose spans go to all of them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

from tests.backends.servers import Bill, MLflow, Phoenix, mlflow_server, phoenix_server, settled
from thinktwice.pricing import PriceFile
from thinktwice.pricing.phoenix import write_prices
from thinktwice.pricing.rates import quote

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from thinktwice import Result

PRICES = """
[models."acme-1"]
input = "1.25"
output = "10"
cache_read = "0.125"
cache_write = "1.5625"

[models."arithmetic-lm"]
input = "0.10"
output = "0.40"

[models."fake-1"]
input = "1"
output = "10"
cache_read = "0.1"
cache_write = "1.25"
"""
PATIENCE = 90  # seconds, for a backend under load to take a batch
NOTICED = 6  # seconds: Phoenix looks for new prices every 5


@pytest.fixture(scope="session")
def price_file(tmp_path_factory) -> PriceFile:
    """Prices that no list has."""
    path = tmp_path_factory.mktemp("prices") / "prices.toml"
    path.write_text(PRICES)
    return PriceFile(path)


@pytest.fixture(scope="session")
def phoenix(tmp_path_factory, price_file) -> Generator[Phoenix]:
    """A running one that has our prices."""
    with phoenix_server(tmp_path_factory.mktemp("phoenix")) as server:
        done = write_prices(server.url, [quote(name, price_file) for name in price_file.models])
        assert {each.done for each in done} == {"created"}
        time.sleep(NOTICED)
        yield server


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory) -> Generator[MLflow]:
    """A running one."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@pytest.fixture(scope="session", params=["phoenix", "mlflow"])
def backend(request) -> Phoenix | MLflow:
    """Each of them."""
    return request.getfixturevalue(request.param)


class Counting(OTLPSpanExporter):
    """Counts what it sends, all of which must arrive."""

    count = 0
    failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send them."""
        sent = super().export(spans)
        self.count += len(spans)
        self.failed |= sent is not SpanExportResult.SUCCESS
        return sent


@dataclass
class Project:
    """The spans of a few requests, in a backend.

    Attributes:
        backend: The backend.
        name: Of the project there.
        results: What came of the requests.
        spans: How many were sent.
    """

    backend: Phoenix | MLflow
    name: str
    results: list[Result[object]] = field(default_factory=list)
    spans: int = 0

    @property
    def endpoint(self) -> str:
        """Where spans are sent."""
        return f"{self.backend.url}/v1/traces"

    @property
    def tokens(self) -> int:
        """Those that providers reported, as the ledgers have them."""
        return sum(each.ledger.reported.usage.total_tokens or 0 for each in self.results)

    @property
    def cost(self) -> float | None:
        """What these cost, as the ledgers have it."""
        known = [each.ledger.reported.cost for each in self.results]
        amounts = [each for each in known if each is not None]
        return float(sum(amounts, Decimal(0))) if amounts else None

    def bill(self, *, cost: float | None, tokens: int | None = None, traces: int = 1) -> Bill:
        """What the backend makes of it, when that is this or time is up."""
        wanted = Bill(self.tokens if tokens is None else tokens, cost, traces)
        found = settled(lambda: self.backend.read(self.name, self.spans), wanted)
        assert found is not None, f"it has not got {self.spans} spans of such a project"
        return found

    def agrees(self, *, traces: int = 1) -> None:
        """Check that it has the tokens and the cost of the ledgers."""
        assert self.tokens > 0
        bill = self.bill(cost=self.cost, traces=traces)
        assert bill.tokens == self.tokens
        assert bill.cost == pytest.approx(self.cost, abs=1e-9)
        assert bill.traces == traces

    @contextmanager
    def sent(self, provider: TracerProvider | None = None) -> Generator[None]:
        """Send the spans of a block, through a provider or one that is set for it."""
        made = TracerProvider() if provider is None else provider
        headers = dict(self.backend.headers(self.name))
        exporter = Counting(self.endpoint, headers=headers, timeout=PATIENCE)
        batches = BatchSpanProcessor(exporter)
        made.add_span_processor(batches)
        try:
            with patch.object(trace, "_TRACER_PROVIDER", made):
                yield
        finally:
            batches.shutdown()  # sends what there is
        assert not exporter.failed
        self.spans += exporter.count


@pytest.fixture
def project(backend, request) -> Project:
    """An empty one, of which no other test has heard."""
    return Project(backend, request.node.nodeid.rpartition("/")[2])
