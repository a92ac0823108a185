"""Where telemetry goes, by arguments and by variables."""

from __future__ import annotations

import pytest

from thinktwice import UsageError
from thinktwice.telemetry.environment import SIGNALS, Target, targets

KEY = "a-key"
OTLP = "OTEL_EXPORTER_OTLP_"


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """No variable of the machine's."""
    for what in ("ENDPOINT", "HEADERS", "PROTOCOL"):
        for whose in ("", "TRACES_", "METRICS_", "LOGS_"):
            monkeypatch.delenv(f"{OTLP}{whose}{what}", raising=False)
    for signal in SIGNALS:
        monkeypatch.delenv(f"OTEL_{signal.upper()}_EXPORTER", raising=False)
    monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)


def traces(endpoint: str | None = None, headers: dict[str, str] | None = None) -> Target:
    """Where traces go."""
    (target,) = targets(["traces"], endpoint, headers)
    return target


def test_without_anything_it_is_nearby():
    """All signals, each by its own path, without headers of ours."""
    assert [each.url for each in targets(SIGNALS, None, None)] == [
        f"http://localhost:4318/v1/{signal}" for signal in ("traces", "metrics", "logs")
    ]
    assert traces().headers == {}


def test_the_variable_of_a_signal_goes_over_the_common_one(monkeypatch):
    """Its endpoint is whole; an empty one says nothing."""
    monkeypatch.setenv(f"{OTLP}ENDPOINT", "http://common:1/otlp/")
    monkeypatch.setenv(f"{OTLP}TRACES_ENDPOINT", "http://own:2/whole?key=1")
    monkeypatch.setenv(f"{OTLP}METRICS_ENDPOINT", "")
    assert [each.url for each in targets(SIGNALS, None, None)] == [
        "http://own:2/whole?key=1",
        "http://common:1/otlp/v1/metrics",
        "http://common:1/otlp/v1/logs",
    ]


def test_an_argument_goes_over_both(monkeypatch):
    """For all signals."""
    monkeypatch.setenv(f"{OTLP}TRACES_ENDPOINT", "http://own:2/whole")
    assert traces("https://mine:3/").url == "https://mine:3/v1/traces"


def test_headers_are_those_of_the_environment_and_of_the_call(monkeypatch):
    """By name in any case; values as they are, or as in a URL."""
    monkeypatch.setenv(f"{OTLP}HEADERS", "Authorization=Basic%20abc==, x-tenant = t,")
    assert traces(headers={"X-Tenant": "mine"}).headers == {
        "authorization": "Basic abc==",
        "x-tenant": "mine",
    }
    monkeypatch.setenv(f"{OTLP}TRACES_HEADERS", "authorization=Bearer abc")
    assert traces().headers == {"authorization": "Bearer abc"}


def test_no_header_is_shown():
    """Nor a password or a key of the endpoint."""
    shown = repr(traces(f"http://user:{KEY}@h", {"x-key": KEY}))
    assert KEY not in shown


def test_a_plug_in_that_brings_credentials_opens_the_connections(monkeypatch):
    """For all signals, or for one."""
    name = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_"
    monkeypatch.setenv(f"{name}METRICS_CREDENTIAL_PROVIDER", "gcp")
    assert [each.credentials for each in targets(SIGNALS, None, None)] == [False, True, False]
    monkeypatch.setenv(f"{name}CREDENTIAL_PROVIDER", "gcp")
    assert all(each.credentials for each in targets(SIGNALS, None, None))


@pytest.mark.parametrize("word", ["none", " None "])
def test_a_signal_can_be_switched_off(word, monkeypatch):
    """And all of them."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", word)
    assert [each.signal for each in targets(SIGNALS, None, None)] == ["traces", "logs"]
    monkeypatch.setenv("OTEL_SDK_DISABLED", "TRUE")
    assert targets(SIGNALS, None, None) == []


@pytest.mark.parametrize("word", ["", "otlp", "otlp_proto_http"])
def test_what_it_does_anyway_can_be_said(word, monkeypatch):
    """By the exporter and by the protocol."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", word)
    monkeypatch.setenv(f"{OTLP}PROTOCOL", "http/protobuf" if word else "")
    assert traces().signal == "traces"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("OTEL_TRACES_EXPORTER", "console", "='console': give otlp or none"),
        (f"{OTLP}PROTOCOL", "grpc", "='grpc': only http/protobuf is spoken"),
        (f"{OTLP}TRACES_PROTOCOL", "http/json", "='http/json': only http/protobuf is spoken"),
        (f"{OTLP}ENDPOINT", "localhost:4318", "='localhost:4318': give a URL"),
        (f"{OTLP}ENDPOINT", f"ftp://u:{KEY}@h:1/", "='ftp://h:1/': give a URL"),
        (f"{OTLP}ENDPOINT", f"u:{KEY}@h:1", "='h:1': give a URL"),
        (f"{OTLP}TRACES_ENDPOINT", f"http://u:{KEY}@h:99999/", "='http://h:99999/': give a URL"),
        (f"{OTLP}ENDPOINT", f"http://u:{KEY}/{KEY}@h/", "='http://h/': give a URL"),
        (f"{OTLP}ENDPOINT", f"HTTP://u:{KEY}#{KEY}?@h/", "='HTTP://h/': give a URL"),
        (f"{OTLP}ENDPOINT", "http://", "='http://': give a URL"),
        (f"{OTLP}ENDPOINT", "http://[::1", "='http://.::1': give a URL"),
        (f"{OTLP}ENDPOINT", f"http://h/?key={KEY}", "='http://h/': give it without"),
        (f"{OTLP}HEADERS", KEY, "=a str: give name=value"),
        (f"{OTLP}TRACES_HEADERS", f"x-key={KEY},{KEY}", "=a str: give name=value"),
        (f"{OTLP}HEADERS", f"x-key={KEY}%E2%82%AC", ".'x-key'.=a str: give a str of one line"),
        (f"{OTLP}HEADERS", f"x-key={KEY}%0A{KEY}", ".'x-key'.=a str: give a str of one line"),
    ],
)
def test_mistakes_in_the_environment_are_told_by_the_variable(
    name, value, message, monkeypatch, caplog
):
    """Without a password or a key, also in the logs."""
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=f"^{name}{message}") as raised:
        targets(SIGNALS, None, None)
    assert KEY not in str(raised.value)
    assert not caplog.records


@pytest.mark.parametrize(
    ("endpoint", "headers", "message"),
    [
        ("localhost:4318", None, "^endpoint='localhost:4318': give a URL"),
        (b"http://h", None, "^endpoint=a bytes: give a URL"),
        (f"http://u:{KEY}@h h", None, "^endpoint='http://h h': give a URL"),
        (f"http://h#{KEY}", None, "^endpoint='http://h': give it without"),
        (None, f"x-key={KEY}", "^headers=a str: give a mapping"),
        (None, {f"x key {KEY}": "1"}, "^headers=a str: a name has letters"),
        (None, {1: KEY}, "^headers=an int: a name has letters"),
        (None, {"x-key": 1}, "^headers.'x-key'.=an int: give a str"),
        (None, {"x-key": f"{KEY}\n"}, "^headers.'x-key'.=a str: give a str of one line"),
        (None, {"x-key": f" {KEY}"}, "^headers.'x-key'.=a str: give a str of one line"),
        (None, {"x-key": f"{KEY}\ud83d"}, "^headers.'x-key'.=a str: give a str of one line"),
    ],
)
def test_mistakes_in_the_call_are_told_by_the_argument(endpoint, headers, message):
    """Likewise."""
    with pytest.raises(UsageError, match=message) as raised:
        targets(["traces"], endpoint, headers)
    assert KEY not in str(raised.value)
