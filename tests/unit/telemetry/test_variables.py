"""What variables of the environment may be, by signal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from thinktwice import UsageError
from thinktwice.telemetry.environment import SIGNALS
from thinktwice.telemetry.variables import check_variables

KEY = "a-key"
OTLP = "OTEL_EXPORTER_OTLP_"


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """No variable of the machine's."""
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


def test_nothing_said_is_no_mistake():
    """Nor is a variable that is empty."""
    check_variables(SIGNALS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_SDK_DISABLED", "False"),
        ("OTEL_TRACES_SAMPLER", "ParentBased_TraceIdRatio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", " 512"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2048"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", ""),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0.5"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "always_off"),
        (f"{OTLP}METRICS_TEMPORALITY_PREFERENCE", "Delta"),
        (f"{OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "2147483647"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", ""),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=a, shop=b=c,"),
        (f"{OTLP}TIMEOUT", "2.5"),
        (f"{OTLP}COMPRESSION", "GZIP"),
        (f"{OTLP}CERTIFICATE", __file__),
        (f"{OTLP}LOGS_CERTIFICATE", str(Path(__file__).parent)),
    ],
)
def test_what_the_sdk_takes_is_taken(name, value, monkeypatch):
    """In any case where it is so there, and at the bounds."""
    monkeypatch.setenv(name, value)
    check_variables(SIGNALS)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("OTEL_SDK_DISABLED", "1", "='1': give one of true, false"),
        ("OTEL_TRACES_SAMPLER", "foo", "='foo': give one of always_on, always_off"),
        ("OTEL_TRACES_SAMPLER_ARG", "abc", "='abc': give a share of the traces in .0, 1."),
        ("OTEL_TRACES_SAMPLER_ARG", "7", "='7': give a share"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan", "='nan': give a share"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "abc", "='abc': give a whole number, from 1 to"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1", "='-1': give a whole number"),
        ("OTEL_BSP_SCHEDULE_DELAY", "x", "='x': give a whole number"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1" + "0" * 20, "='10+': give a whole number"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "1.5", "='1.5': give a whole number, from 0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100000", "=100000: give no more than OTEL_BSP_MAX_Q"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "100", "^OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=512: give no more"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "0", "='0': give a whole number, from 1"),
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "x", "='x': give a whole number"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "='0': give a number above 0"),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "soon", "='soon': give a number"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "foo", "='foo': give one of trace_based"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "Always_On", "='Always_On': give one of"),
        (f"{OTLP}METRICS_TEMPORALITY_PREFERENCE", "foo", "='foo': give one of cumulative"),
        (f"{OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "foo", "='foo': give one of explicit"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "x", "='x': give a whole number, from 0"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "-3", "='-3': give a whole number"),
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "x", "='x': give a whole number"),
        ("OTEL_RESOURCE_ATTRIBUTES", f"a=b,{KEY}", "=a str: give name=value, with commas"),
        (f"{OTLP}TIMEOUT", "abc", "='abc': give a number above 0"),
        (f"{OTLP}TIMEOUT", "-1", "='-1': give a number"),
        (f"{OTLP}TIMEOUT", "0", "='0': give a number"),
        (f"{OTLP}LOGS_TIMEOUT", "inf", "='inf': give a number"),
        (f"{OTLP}COMPRESSION", "lzma", "='lzma': give one of none, gzip, deflate"),
        (f"{OTLP}TRACES_COMPRESSION", "lzma", "='lzma': give one of"),
        (f"{OTLP}CERTIFICATE", "/nope", "=a str: there is no such file"),
        (f"{OTLP}METRICS_CERTIFICATE", "/nope", "=a str: there is no such file"),
        (f"{OTLP}CLIENT_KEY", f"-----BEGIN {KEY}\n" * 999, "=a str: there is no such file"),
        (f"{OTLP}LOGS_CLIENT_CERTIFICATE", "/nope", "=a str: there is no such file"),
    ],
)
def test_mistakes_are_told_by_the_variable(name, value, message, monkeypatch):
    """Without what may be a key."""
    monkeypatch.setenv(name, value)
    shown = message if message.startswith("^") else f"^{name}{message}"
    with pytest.raises(UsageError, match=shown) as raised:
        check_variables(SIGNALS)
    assert KEY not in str(raised.value)


def test_the_variable_of_a_signal_goes_over_a_mistake_in_the_common_one(monkeypatch):
    """Where all of them have one of their own."""
    monkeypatch.setenv(f"{OTLP}TIMEOUT", "abc")
    monkeypatch.setenv(f"{OTLP}TRACES_TIMEOUT", "5")
    check_variables(["traces"])
    with pytest.raises(UsageError, match=f"^{OTLP}TIMEOUT='abc'"):
        check_variables(["metrics"])


@pytest.mark.parametrize(
    ("name", "value", "signal"),
    [
        ("OTEL_TRACES_SAMPLER", "xray", "metrics"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "x", "logs"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "x", "traces"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "traces"),
    ],
)
def test_what_is_for_another_signal_is_the_applications_own(name, value, signal, monkeypatch):
    """Which may take more than the SDK does: a sampler of a plug-in, for one."""
    monkeypatch.setenv(name, value)
    check_variables([signal])
