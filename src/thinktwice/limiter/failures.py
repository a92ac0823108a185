"""What an exception of a client says about the server behind it. Pure.

Clients are not imported: their exceptions are told by HTTP status, by the builtin exception at the
end of their chain of causes, and by the names that the types of httpx, aiohttp, requests, openai
and anthropic have.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from thinktwice.errors import http_status

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_PAUSE: Final = 60.0
"""Seconds of a `Retry-After` that are believed: whoever says an hour is asked again in a minute."""

_TOO_MANY_REQUESTS: Final = 429
_UNAVAILABLE: Final = 503
_REFUSING: Final = frozenset({502, _UNAVAILABLE})
_REQUEST_TIMEOUT: Final = 408
_SERVER_ERRORS: Final = range(500, 600)
_ERRORS: Final = range(400, 600)
_LINKS: Final = 8
_UNCONNECTED: Final = frozenset(
    {
        "ClientConnectorError",
        "ConnectError",
        "ConnectTimeout",
        "ConnectTimeoutError",
        "ConnectionTimeoutError",
        "NewConnectionError",
    }
)
_BROKEN: Final = frozenset(
    {"APIConnectionError", "ClientConnectionError", "Timeout", "TransportError"}
)
_OWN: Final = frozenset({"PoolTimeout"})  # the client's own pool of connections was too small


def is_congestion(error: BaseException) -> bool:
    """The server has too many requests (429)."""
    return http_status(error) == _TOO_MANY_REQUESTS


def is_down(error: BaseException) -> bool:
    """The server, or the way to it, failed: no connection, a timeout, 5xx. Not the caller's 4xx."""
    status = http_status(error)
    if status is not None:
        return status in _SERVER_ERRORS or status == _REQUEST_TIMEOUT
    links = list(_links(error))
    if any(_is_one(each, _OWN) for each in links):
        return False
    builtin = (ConnectionError, TimeoutError, socket.gaierror)
    return any(isinstance(each, builtin) or _is_one(each, _BROKEN) for each in links)


def is_unsent(error: BaseException) -> bool:
    """No server was reached: nothing can have been billed."""
    if http_status(error) is not None:
        return False
    builtin = (ConnectionRefusedError, socket.gaierror)
    return any(isinstance(each, builtin) or _is_one(each, _UNCONNECTED) for each in _links(error))


def is_unbilled(error: BaseException) -> bool:
    """No server was reached, or it refused (4xx, 5xx). A reply that nobody can read was made."""
    return is_unsent(error) or http_status(error) in _ERRORS


def is_refusal(error: BaseException) -> bool:
    """A gateway said that there is nobody behind it (502, 503): nothing was billed."""
    return http_status(error) in _REFUSING


def retry_after(error: BaseException) -> float | None:
    """Seconds for which the server asks to be left alone, by the header of a 429 or 503.

    Returns:
        From 0 to 60; None if it does not say.
    """
    if http_status(error) not in {_TOO_MANY_REQUESTS, _UNAVAILABLE}:
        return None
    with suppress(Exception):  # somebody's object, and somebody's header
        headers = _headers(error)
        milliseconds = _header(headers, "retry-after-ms")
        seconds = (
            _seconds(_header(headers, "retry-after"))
            if milliseconds is None
            else float(milliseconds) / 1000
        )
        if math.isfinite(seconds):
            return min(max(0.0, seconds), LONGEST_PAUSE)
    return None


def _headers(error: BaseException) -> Mapping[str, str]:
    response = getattr(error, "response", None)
    found = getattr(response, "headers", None) or getattr(error, "headers", None)
    return cast("Mapping[str, str]", found) if isinstance(found, Mapping) else {}


def _header(headers: Mapping[str, str], name: str) -> str | None:
    """A header by its name; clients have mappings that fold its case, and plain ones."""
    return next((value for key, value in headers.items() if key.lower() == name), None)


def _seconds(header: str | None) -> float:
    if header is None:
        return math.nan
    try:
        return float(header)
    except ValueError:
        from email.utils import parsedate_to_datetime  # seldom needed, and slow to import

        return parsedate_to_datetime(header).timestamp() - time.time()


def _links(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes."""
    for _ in range(_LINKS):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _is_one(error: BaseException, names: frozenset[str]) -> bool:
    return any(each.__name__ in names for each in type(error).__mro__)
