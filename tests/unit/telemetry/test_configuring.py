"""What is refused; what is sent is in the end-to-end tests."""

from __future__ import annotations

import subprocess
import sys
import threading

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
        ({"signals": []}, r"^signals=\[\]: give some of traces, metrics, logs, or leave it out"),
        ({"signals": 5}, r"^signals=5: give a list"),
        ({"signals": iter(["traces"])}, r"^signals=.*: give a list"),
        ({"dialects": 5}, r"^dialects=5: give a list"),
        ({"dialects": [["default"]]}, r"^dialects=\['default'\]: give some of"),
        ({"service_name": " "}, r"^service_name=' ': give a name such as 'shop', or leave it out"),
        ({"service_name": "\ud83d"}, r"^service_name=.*: give a name"),
        ({"signals": "traces"}, r"^signals='traces': give a list: signals=\['traces'\]"),
        ({"dialects": ["datadog"]}, r"^dialects='datadog': give some of"),
        ({"dialects": "default"}, r"^dialects='default': give a list"),
        ({"service_name": 5}, r"^service_name=5: give a name"),
        ({"headers": ["x-key"]}, r"^headers=a list: give a mapping"),
    ],
)
def test_mistakes(given, message):
    """By name, before anything is set up."""
    with pytest.raises(UsageError, match=message):
        telemetry.configure(**given)


@pytest.fixture
def free(monkeypatch):
    """The application has set up no provider, as in a new process."""
    monkeypatch.setattr(configuring, "_is_free", lambda *_, **__: True)
    before = trace.get_tracer_provider()
    yield
    assert trace.get_tracer_provider() is before


@pytest.mark.usefixtures("free")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_SAMPLER", "foo"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("THINKTWICE_COST_DIALECTS", "foo"),
        ("THINKTWICE_LLM_SPANS", "foo"),
    ],
)
def test_mistakes_in_the_environment(name, value, monkeypatch):
    """By name, before anything is set up."""
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=f"^{name}='{value}': give"):
        telemetry.configure()


@pytest.mark.usefixtures("free")
def test_what_the_sdk_does_not_take(monkeypatch):
    """Nothing is set up then, no thread is left, and what it said is the cause."""
    monkeypatch.setenv("OTEL_METRICS_EXEMPLAR_FILTER", "")  # which elsewhere is nothing said
    before = set(threading.enumerate())
    with pytest.raises(UsageError, match=r"^configure=a ValueError: the SDK does not") as raised:
        telemetry.configure()
    assert isinstance(raised.value.__cause__, ValueError)
    assert set(threading.enumerate()) <= before


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
