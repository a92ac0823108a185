"""Servers of others on loopback: started, waited for, and ended with all that they started."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

ROOT = Path(__file__).parents[2]
STARTING = 240  # seconds: each imports hundreds of modules, and makes a database
ENDING = 20  # seconds
ATTEMPTS = 3  # somebody else may take a port between our look at it and the server's
# What goes with us, however we end: it waits for the end of its input, of which we hold the other
# side. A server that is told to end leaves its own children to end by themselves.
KEEPER = """exec 3<&0
{ trap '' TERM; cat <&3 >/dev/null; kill -TERM 0; sleep 20; kill -KILL 0; } &
exec "$@" 3<&- </dev/null"""
_opener = build_opener(ProxyHandler({}))


def ask(url: str, body: object | None = None) -> Any:
    """Get, or post JSON; reads JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"content-type": "application/json"})  # noqa: S310 - ours
    with _opener.open(request, timeout=60) as reply:
        text = reply.read()
    return json.loads(text) if text[:1] in (b"{", b"[") else text


def program_of(backend: str, name: str) -> str:
    """A program in the environment of a backend; skips where that is not installed."""
    home = ROOT / f".venv-backend-{backend}"
    if not (home / ".made").is_file():
        pytest.skip(f"{backend} is not installed: make test-backends installs it")
    return str(home / "bin" / name)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def running(
    command_at: Callable[[int, int], list[str]],
    settings_at: Callable[[int, int], Mapping[str, str]],
    folder: Path,
    path: str,
) -> Generator[str]:
    """A server and its children, from when it answers to the end of the block; gives its address.

    Args:
        command_at: What starts it at a port, with another one to spare.
        settings_at: Its environment variables there.
        folder: Where it works; its log is there.
        path: What it answers at as soon as it can.
    """
    for attempt in range(1, ATTEMPTS + 1):
        port, other = free_ports(2)
        url, log = f"http://127.0.0.1:{port}", folder / f"server-{attempt}.log"
        with _started(command_at(port, other), settings_at(port, other), log) as process:
            if _answers(process, f"{url}{path}"):
                yield url
                return
        said = log.read_text(errors="replace")
        if "address already in use" not in said.lower():
            break
    pytest.fail(f"it does not answer at {url}{path}:\n{said[-6000:]}", pytrace=False)


@contextmanager
def _started(
    command: list[str], settings: Mapping[str, str], log: Path
) -> Generator[subprocess.Popen[bytes]]:
    """A process in a group of its own, none of which is left afterwards."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - out of our own environments
            ["/bin/sh", "-c", KEEPER, "keeper", *command],
            env={**kept, **settings},
            cwd=log.parent,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(ENDING)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until it does; False if it ended, or did not in time."""
    end = time.monotonic() + STARTING
    while time.monotonic() < end and process.poll() is None:
        try:
            ask(url)
        except (URLError, OSError):
            time.sleep(0.25)
        else:
            return True
    return False
