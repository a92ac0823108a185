"""What variables of the environment may be: the SDK takes a mistake for nothing said, or fails."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from thinktwice.errors import TypeOf, UsageError
from thinktwice.telemetry.environment import variable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from thinktwice.telemetry.environment import Signal

_MOST: Final = 2**31 - 1


@dataclass(frozen=True)
class Rule:
    """What a variable may be.

    Attributes:
        takes: Whether it may be this.
        remedy: What to do otherwise.
        shown: It is nothing secret.
    """

    takes: Callable[[str], bool]
    remedy: str
    shown: bool = True

    def check(self, name: str, value: str) -> None:
        """Refuse what it may not be; empty is as if it were not set.

        Raises:
            UsageError: It names the variable.
        """
        if value and not self.takes(value):
            raise UsageError(name, value if self.shown else TypeOf(value), self.remedy)


def _one_of(*words: str, cased: bool = False) -> Rule:
    def takes(value: str) -> bool:
        return (value if cased else value.lower()) in words

    return Rule(takes, f"give one of {', '.join(words)}")


def _whole(least: int) -> Rule:
    def takes(value: str) -> bool:
        try:
            return least <= int(value) <= _MOST
        except ValueError:
            return False

    return Rule(takes, f"give a whole number, from {least} to {_MOST}")


def _number(takes: Callable[[float], bool], remedy: str) -> Rule:
    def taken(value: str) -> bool:
        try:
            return takes(float(value))
        except ValueError:
            return False

    return Rule(taken, remedy)


def _is_readable(path: str) -> bool:
    try:
        return Path(path).exists() and os.access(path, os.R_OK)
    except (OSError, ValueError):
        return False


def _is_pairs(value: str) -> bool:
    return all("=" in each for each in value.split(",") if each.strip())


_COUNT: Final = _whole(1)
_LIMIT: Final = _whole(0)
_TIME: Final = _number(lambda value: 0 < value <= _MOST, "give a number above 0")
_FILE: Final = Rule(_is_readable, "there is no such file, or it cannot be read", shown=False)
_BATCHES: Final[Mapping[str, Rule]] = {
    "SCHEDULE_DELAY": _COUNT,
    "EXPORT_TIMEOUT": _LIMIT,
    "MAX_QUEUE_SIZE": _COUNT,
    "MAX_EXPORT_BATCH_SIZE": _COUNT,
}
_USUAL: Final[Mapping[str, int]] = {"MAX_QUEUE_SIZE": 2048, "MAX_EXPORT_BATCH_SIZE": 512}
_BATCHED: Final[Mapping[Signal, str]] = {"traces": "OTEL_BSP_", "logs": "OTEL_BLRP_"}

_SENDING: Final[Mapping[str, Rule]] = {
    "TIMEOUT": _TIME,
    "COMPRESSION": _one_of("none", "gzip", "deflate"),
    "CERTIFICATE": _FILE,
    "CLIENT_KEY": _FILE,
    "CLIENT_CERTIFICATE": _FILE,
}
"""By the last word of `OTEL_EXPORTER_OTLP_*`, of all signals or of one."""

_COMMON: Final[Mapping[str, Rule]] = {
    "OTEL_SDK_DISABLED": _one_of("true", "false"),
    "OTEL_RESOURCE_ATTRIBUTES": Rule(
        _is_pairs, "give name=value, with commas between several", shown=False
    ),
    "OTEL_ATTRIBUTE_COUNT_LIMIT": _LIMIT,
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": _LIMIT,
    # Any exporter imports that of spans, which reads its limits at once.
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": _LIMIT,
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": _LIMIT,
    "OTEL_SPAN_EVENT_COUNT_LIMIT": _LIMIT,
    "OTEL_SPAN_LINK_COUNT_LIMIT": _LIMIT,
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": _LIMIT,
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": _LIMIT,
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT": _LIMIT,
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT": _LIMIT,
}
_OWN: Final[Mapping[Signal, Mapping[str, Rule]]] = {
    "traces": {
        "OTEL_TRACES_SAMPLER": _one_of(
            "always_on",
            "always_off",
            "traceidratio",
            "parentbased_always_on",
            "parentbased_always_off",
            "parentbased_traceidratio",
        ),
        "OTEL_TRACES_SAMPLER_ARG": _number(
            lambda value: 0 <= value <= 1, "give a share of the traces in [0, 1]"
        ),
    },
    "metrics": {
        "OTEL_METRIC_EXPORT_INTERVAL": _TIME,
        "OTEL_METRIC_EXPORT_TIMEOUT": _TIME,
        "OTEL_METRICS_EXEMPLAR_FILTER": _one_of(
            "trace_based", "always_on", "always_off", cased=True
        ),
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": _one_of(
            "cumulative", "delta", "lowmemory"
        ),
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": _one_of(
            "explicit_bucket_histogram", "base2_exponential_bucket_histogram", cased=True
        ),
    },
    "logs": {},
}


def check_variables(signals: Sequence[Signal]) -> None:
    """Refuse what the SDK would not take, of the variables of these signals.

    Raises:
        UsageError: It names the variable.
    """
    for signal in signals:
        for name, rule in {**_COMMON, **_OWN[signal]}.items():
            rule.check(name, os.environ.get(name, ""))
        for what, rule in _SENDING.items():
            rule.check(*variable(signal, what))
        if signal in _BATCHED:
            _check_batches(_BATCHED[signal])


def _check_batches(prefix: str) -> None:
    found = {what: os.environ.get(f"{prefix}{what}", "") for what in _BATCHES}
    for what, rule in _BATCHES.items():
        rule.check(f"{prefix}{what}", found[what])
    queue, batch = (int(found[what] or usual) for what, usual in _USUAL.items())
    if batch > queue:
        name = f"{prefix}MAX_EXPORT_BATCH_SIZE"
        raise UsageError(name, batch, f"give no more than {prefix}MAX_QUEUE_SIZE, which is {queue}")
