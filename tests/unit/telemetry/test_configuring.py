"""What is refused; what is sent is in the end-to-end tests."""

from __future__ import annotations

import subprocess
import sys

import pytest
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from thinktwice import UsageError, telemetry
from thinktwice.telemetry import configuring


@pytest.fixture(autouse=True)
def untouched():
    """Nothing here sets anything up."""
    yield
    assert configuring._configured is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"endpoint": "localhost:4318"}, r"^endpoint='localhost:4318': give a URL"),
        ({"signals": ["spans"]}, r"^signals='spans': give some of traces, metrics, logs"),
        ({"dialects": ["datadog"]}, r"^dialects='datadog': give some of"),
    ],
)
def test_mistakes(given, message):
    """By name, before anything is set up."""
    with pytest.raises(UsageError, match=message):
        telemetry.configure(**given)


def test_another_protocol_is_not_spoken(monkeypatch):
    """It says which one is."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(UsageError, match=r"PROTOCOL='grpc': only http/protobuf"):
        telemetry.configure()


@pytest.mark.parametrize(
    ("signal", "module", "name", "provider"),
    [
        ("traces", trace, "get_tracer_provider", TracerProvider(shutdown_on_exit=False)),
        ("metrics", metrics, "get_meter_provider", MeterProvider(shutdown_on_exit=False)),
        ("logs", _logs, "get_logger_provider", LoggerProvider(shutdown_on_exit=False)),
    ],
)
def test_a_provider_of_the_application_stays(signal, module, name, provider, monkeypatch):
    """It says what to do instead."""
    monkeypatch.setattr(module, name, lambda: provider)
    with pytest.raises(UsageError, match=f"^signals=.{signal}.*add an OTLP exporter to it"):
        telemetry.configure(signals=[signal])


WITHOUT = """
import sys
sys.modules["opentelemetry.{name}"] = None
from thinktwice import UsageError, telemetry
try:
    telemetry.configure()
except UsageError as error:
    print(error)
from opentelemetry import trace
print(type(trace.get_tracer_provider()).__name__)
"""


@pytest.mark.parametrize("name", ["sdk", "sdk.resources", "exporter.otlp.proto.http"])
def test_without_the_extra(name):
    """It says what to install, and has set nothing up."""
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", WITHOUT.format(name=name)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    said, provider = done.stdout.splitlines()
    assert said.endswith("pip install 'thinktwice[otel]'")
    assert provider == "ProxyTracerProvider"
