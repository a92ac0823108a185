"""Where to send telemetry: the arguments of a call over the standard environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast
from urllib.parse import urlsplit

from thinktwice.addresses import is_address, without_secrets
from thinktwice.errors import TypeOf, UsageError
from thinktwice.telemetry.troubles import muted

if TYPE_CHECKING:
    from collections.abc import Sequence

Signal: TypeAlias = Literal["traces", "metrics", "logs"]

SIGNALS: Final[tuple[Signal, ...]] = ("traces", "metrics", "logs")
_OTLP: Final = "OTEL_EXPORTER_OTLP_"
_HTTP: Final = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_"
_PROTOCOL: Final = "http/protobuf"
_EXPORTERS: Final = ("otlp", "otlp_proto_http")
_NEARBY: Final = "http://localhost:4318"
_LATIN: Final = 256  # signs of Latin-1, which is what goes over the wire
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"(\S[^\r\n\0]*)?")


@dataclass(frozen=True)
class Target:
    """Where a signal goes.

    Attributes:
        signal: Which.
        url: The whole of it.
        headers: Of each request.
        credentials: A plug-in of the SDK's opens the connections, for its credentials.
    """

    signal: Signal
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    credentials: bool = False


def targets(
    signals: Sequence[Signal], endpoint: str | None, headers: Mapping[str, str] | None
) -> list[Target]:
    """Where signals go; those that the environment switches off are left out.

    Raises:
        UsageError: An argument or a variable makes no sense; it shows neither key nor password.
    """
    if endpoint is not None:
        _checked("endpoint", endpoint, whole=False)
    given = _lower("headers", {} if headers is None else headers)
    if sdk_disabled():
        return []
    return [
        Target(each, _url(each, endpoint), {**_said_headers(each), **given}, _has_plug_in(each))
        for each in signals
        if _is_sent(each)
    ]


def sdk_disabled() -> bool:
    """Whether the user has switched the SDK off."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _has_plug_in(signal: Signal) -> bool:
    names = (f"{_HTTP}CREDENTIAL_PROVIDER", f"{_HTTP}{signal.upper()}_CREDENTIAL_PROVIDER")
    return any(map(os.environ.get, names))


def _is_sent(signal: Signal) -> bool:
    name = f"OTEL_{signal.upper()}_EXPORTER"
    word = os.environ.get(name, "").strip().lower() or "otlp"
    if word == "none":
        return False
    if word not in _EXPORTERS:
        raise UsageError(name, word, "give otlp or none, or set that exporter up by the SDK")
    name, protocol = variable(signal, "PROTOCOL")
    if protocol not in ("", _PROTOCOL):
        raise UsageError(name, protocol, f"only {_PROTOCOL} is spoken here: port 4318, mostly")
    return True


def variable(signal: Signal, what: str) -> tuple[str, str]:
    """The variable of a signal, or else the one of all: its name and its value, empty if none.

    Args:
        signal: Which.
        what: Its last word, such as "ENDPOINT".
    """
    own, common = f"{_OTLP}{signal.upper()}_{what}", f"{_OTLP}{what}"
    name = own if os.environ.get(own, "").strip() else common
    return name, os.environ.get(name, "").strip()


def _url(signal: Signal, endpoint: str | None) -> str:
    name, said = variable(signal, "ENDPOINT")
    whole = name != f"{_OTLP}ENDPOINT"
    if endpoint is None and said:
        _checked(name, said, whole=whole)
        if whole:
            return said
    return f"{(endpoint or said or _NEARBY).rstrip('/')}/v1/{signal}"


def _checked(name: str, url: object, *, whole: bool) -> None:
    remedy = "give a URL such as 'http://localhost:4318'"
    if not isinstance(url, str):
        raise UsageError(name, TypeOf(url), remedy)
    shown = without_secrets(url)
    if not is_address(url):
        raise UsageError(name, shown, remedy)
    place = urlsplit(url)
    if not whole and (place.query or place.fragment):
        raise UsageError(name, shown, "give it without '?' and '#': a key goes into the headers")


def _said_headers(signal: Signal) -> Mapping[str, str]:
    from opentelemetry.util.re import parse_env_headers

    name, said = variable(signal, "HEADERS")
    found: dict[str, str] = {}
    for each in filter(None, map(str.strip, said.split(","))):
        with muted("opentelemetry.util.re"):  # it would log what it cannot read: a key
            read = parse_env_headers(each, liberal=True)
        if not read:
            raise UsageError(name, TypeOf(said), "give name=value, with commas between several")
        found |= read
    return _lower(name, found)


def _lower(parameter: str, headers: object) -> Mapping[str, str]:
    """Headers as they can be sent, by their names in small letters."""
    if not isinstance(headers, Mapping):
        raise UsageError(parameter, TypeOf(headers), "give a mapping such as {'x-api-key': ...}")
    found: dict[str, str] = {}
    for name, value in cast("Mapping[object, object]", headers).items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(parameter, TypeOf(name), "a name has letters, digits and '-' alone")
        if not isinstance(value, str) or not _is_value(value):
            remedy = "give a str of one line, in Latin-1, that does not begin with a space"
            raise UsageError(f"{parameter}[{name!r}]", TypeOf(value), remedy)
        found[name.lower()] = value
    return found


def _is_value(value: str) -> bool:
    return bool(_VALUE.fullmatch(value)) and all(ord(each) < _LATIN for each in value)
