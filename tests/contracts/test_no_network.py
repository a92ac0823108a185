"""The guard in conftest.py: no test reaches another machine, and none hides that it tried."""

from __future__ import annotations

import contextlib
import socket

import pytest

ELSEWHERE = "192.0.2.1"  # reserved for documentation: nobody answers


def test_connecting_elsewhere_fails_even_where_errors_are_swallowed():
    with (
        socket.socket() as client,
        pytest.raises(pytest.fail.Exception, match=ELSEWHERE),
        contextlib.suppress(Exception),
    ):
        client.connect((ELSEWHERE, 80))


def test_looking_up_a_name_fails():
    with pytest.raises(pytest.fail.Exception, match=r"example\.invalid"):
        socket.getaddrinfo("example.invalid", 443)


def test_loopback_is_open():
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        with socket.create_connection((host, port), timeout=5):
            connection, _ = server.accept()
            connection.close()


async def test_async_tests_need_no_marker(anyio_backend_name: str):
    assert anyio_backend_name == "asyncio"
