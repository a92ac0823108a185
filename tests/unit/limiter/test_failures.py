"""What an exception of a client says about the server."""

from __future__ import annotations

import asyncio
import email.utils
import socket
import time

import aiohttp
import httpx
import openai
import pytest

from thinktwice.limiter.failures import (
    LONGEST_PAUSE,
    is_congestion,
    is_down,
    is_refusal,
    is_unbilled,
    is_unsent,
    retry_after,
)

REQUEST = httpx.Request("POST", "http://127.0.0.1/")


def answered(status: int, **headers: str) -> httpx.HTTPStatusError:
    """As httpx raises it: the status is on the response."""
    response = httpx.Response(status, headers=headers, request=REQUEST)
    return httpx.HTTPStatusError("sk-secret", request=REQUEST, response=response)


def named(error: BaseException) -> str:
    status = getattr(getattr(error, "response", None), "status_code", "")
    cause = f" of {type(error.__cause__).__name__}" if error.__cause__ else ""
    return f"{type(error).__name__}{status}{cause}"


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def by_name(*names: str) -> Exception:
    """An exception of a client that is not imported here."""
    kind: type = Exception
    for name in reversed(names):
        kind = type(name, (kind,), {})
    return kind()


CONNECTIONS = [
    ConnectionRefusedError(),
    socket.gaierror(),
    httpx.ConnectError("no"),
    httpx.ConnectTimeout("no"),
    caused(openai.APIConnectionError(request=REQUEST), httpx.ConnectError("no")),
    by_name("ClientConnectorError", "ClientConnectionError"),
    caused(by_name("ConnectionError"), caused(ValueError(), ConnectionRefusedError())),
]
LOST = [
    TimeoutError(),
    ConnectionResetError(),
    httpx.ReadTimeout("no"),
    httpx.RemoteProtocolError("no"),
    aiohttp.ServerDisconnectedError(),
    openai.APITimeoutError(request=REQUEST),
    answered(500),
    answered(529),
    answered(408),
]
OTHERS = [
    ValueError(),
    KeyError("sk-secret"),
    FileNotFoundError(),
    asyncio.CancelledError(),
    httpx.PoolTimeout("the client's own"),
    answered(400),
    answered(404),
    answered(429),
]


@pytest.mark.parametrize("error", CONNECTIONS, ids=named)
def test_no_server_was_reached(error: Exception):
    """It is down, and nothing can have been billed."""
    assert is_unsent(error)
    assert is_down(error)


@pytest.mark.parametrize("error", LOST, ids=named)
def test_a_server_failed_with_the_call(error: Exception):
    """It may have been billed."""
    assert is_down(error)
    assert not is_unsent(error)


@pytest.mark.parametrize("error", OTHERS, ids=named)
def test_what_is_no_fault_of_the_server(error: BaseException):
    """Nor of the way to it."""
    assert not is_down(error)
    assert not is_unsent(error)


def test_a_refused_connection_beneath_an_answer_is_none():
    """The status says that somebody answered."""
    assert not is_unsent(caused(answered(400), ConnectionRefusedError()))


def test_causes_in_a_ring_end():
    """Nobody should make one, and nobody should hang on it."""
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert not is_unsent(first)


@pytest.mark.parametrize(
    ("status", "congestion", "refusal"),
    [(429, True, False), (502, False, True), (503, False, True), (500, False, False)],
)
def test_statuses(status: int, *, congestion: bool, refusal: bool):
    """Too many requests, and a gateway without a server."""
    assert is_congestion(answered(status)) == congestion
    assert is_refusal(answered(status)) == refusal


@pytest.mark.parametrize(
    ("status", "unbilled"), [(429, True), (400, True), (500, True), (200, False), (302, False)]
)
def test_a_refusal_is_unbilled_and_an_unreadable_reply_is_not(status: int, *, unbilled: bool):
    """Clients attach the status of a reply to what they raise when they cannot read it."""
    assert is_unbilled(answered(status)) == unbilled


def test_without_a_status_it_is_unbilled_if_it_was_not_sent():
    """What was lost on the way may have been billed."""
    assert is_unbilled(ConnectionRefusedError())
    assert not is_unbilled(ConnectionResetError())
    assert not is_unbilled(ValueError())


class TestRetryAfter:
    """How long the server asks to be left alone."""

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"Retry-After": "7"}, 7),
            ({"retry-after": "0.5"}, 0.5),
            ({"Retry-After-Ms": "1500", "Retry-After": "9"}, 1.5),
            ({"Retry-After": "3600"}, LONGEST_PAUSE),
            ({"Retry-After": "-3"}, 0),
            ({"Retry-After": "nan"}, None),
            ({"Retry-After": "soon"}, None),
            ({"Retry-After": ""}, None),
            ({}, None),
        ],
    )
    def test_by_header(self, headers: dict[str, str], seconds: float | None):
        """In seconds or milliseconds; what makes no sense says nothing."""
        assert retry_after(answered(429, **headers)) == seconds

    def test_as_a_date(self):
        """By the wall clock."""
        date = email.utils.formatdate(time.time() + 20, usegmt=True)
        seconds = retry_after(answered(429, **{"Retry-After": date}))
        assert seconds is not None
        assert 18 < seconds <= 20

    def test_a_date_in_the_past(self):
        """It is over."""
        date = email.utils.formatdate(time.time() - 20, usegmt=True)
        assert retry_after(answered(429, **{"Retry-After": date})) == 0

    @pytest.mark.parametrize(("status", "seconds"), [(503, 7), (500, None), (200, None)])
    def test_other_statuses(self, status: int, seconds: float | None):
        """A server that is unavailable may ask for it as well."""
        assert retry_after(answered(status, **{"Retry-After": "7"})) == seconds

    def test_headers_on_the_exception(self):
        """As aiohttp has them, in a plain mapping."""
        error = aiohttp.ClientResponseError(None, (), status=429, headers={"Retry-After": "2"})
        assert retry_after(error) == 2

    def test_openai(self):
        """Its exceptions carry the response."""
        response = httpx.Response(429, headers={"retry-after": "3"}, request=REQUEST)
        assert retry_after(openai.RateLimitError("no", response=response, body=None)) == 3

    def test_an_exception_that_breaks_says_nothing(self):
        """It is somebody's object."""

        class BrokenError(Exception):
            status_code = 429

            @property
            def response(self) -> object:
                raise RuntimeError("sk-secret")

        assert retry_after(BrokenError()) is None
