"""What an exporter sends by."""

from __future__ import annotations

import errno
import gc
import os
from io import BytesIO
from weakref import ref

import pytest
import requests

from thinktwice.telemetry.connection import Connection, reason

SECRET = "a-key"


def test_it_names_the_place_without_the_password():
    """Host and port alone."""
    url = f"https://user:{SECRET}@backend:4318/v1/traces?key={SECRET}"
    assert Connection(url).place == "backend:4318"


def test_a_forked_process_does_not_use_the_connections_of_its_parent():
    """Nor does it close them: its parent goes on with them."""
    connection = Connection("http://backend")
    before = connection.get_adapter("http://backend")
    connection._renew()
    after = connection.get_adapter("http://backend")
    assert after is not before
    assert connection.get_adapter("https://backend") is not after
    assert connection._inherited[0]["http://"] is before


def test_one_that_was_made_in_vain_is_not_kept():
    """As by a `configure()` that fails."""
    connection = ref(Connection("http://backend"))
    gc.collect()
    assert connection() is None


def test_a_certificate_for_the_backend_goes_over_one_for_all(monkeypatch):
    """As companies set one for whatever uses `requests`."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/all.pem")
    used: list[object] = []

    def sent(_: object, request: object, **options: object) -> requests.Response:
        used.append(options["verify"])
        response = requests.Response()
        response.status_code, response.raw = 200, BytesIO()
        return response

    monkeypatch.setattr(requests.Session, "send", sent)
    for verify in (True, "/backend.pem"):
        connection = Connection("https://backend")
        connection.verify = verify
        connection.post("https://backend")
    assert used == ["/all.pem", "/backend.pem"]


def raised(outer: Exception, inner: Exception) -> Exception:
    """One that was raised while another one was handled."""
    outer.__context__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            raised(
                requests.ConnectionError(SECRET), ConnectionRefusedError(errno.ECONNREFUSED, "No")
            ),
            "No",
        ),
        (raised(requests.ReadTimeout(SECRET), TimeoutError(SECRET)), "ReadTimeout"),
        (requests.exceptions.InvalidHeader(SECRET), "InvalidHeader"),
        (ValueError(SECRET), "ValueError"),
    ],
)
def test_the_reason_is_what_the_system_says_or_the_type(error, said):
    """Never a text, which may have a key in it."""
    assert reason(error) == said


def test_trouble_is_of_the_last_request(monkeypatch):
    """A status that is no success, also a redirection; nothing where it was taken."""
    connection = Connection("http://backend")
    answers = iter([503, 302, 200])

    def answered(_: object, *given: object, **options: object) -> requests.Response:
        assert options["allow_redirects"] is False
        response = requests.Response()
        response.status_code, response.raw = next(answers), BytesIO()
        return response

    monkeypatch.setattr(requests.Session, "request", answered)
    seen: list[str | None] = []
    for _ in range(3):
        connection.post("http://backend")
        seen.append(connection.trouble)
    assert seen == ["HTTP 503", "HTTP 302", None]


@pytest.mark.parametrize(
    ("kind", "said", "taken"),
    [
        ("text/html; charset=utf-8", b"<html>log in</html>", False),
        ("text/html", b"", True),  # of small collectors, which say nothing
        ("application/x-protobuf", b"\n\x00", True),
        ("application/json", b"{}", True),
    ],
)
def test_a_web_page_takes_nothing(monkeypatch, kind, said, taken):
    """Whoever gives the address of a user interface is answered 200 by it."""

    def answered(_: object, *given: object, **options: object) -> requests.Response:
        response = requests.Response()
        response.status_code, response.raw = 200, BytesIO(said)
        response.headers["Content-Type"] = kind
        return response

    monkeypatch.setattr(requests.Session, "request", answered)
    connection = Connection("http://backend")
    connection.post("http://backend")
    assert (connection.trouble is None) == taken


def test_the_reason_is_the_systems_own_word():
    """As `os.strerror` has it."""
    refused = OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
    assert reason(refused) == os.strerror(errno.ENETUNREACH)
