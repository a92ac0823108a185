"""What all tests share: one event loop backend, no network, recorded data, and runnable docs."""

from __future__ import annotations

import ast
import asyncio
import inspect
import ipaddress
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from sybil import Sybil
from sybil.evaluators.python import pad
from sybil.parsers.markdown import CodeBlockParser, SkipParser

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from sybil import Document, Example, Region

ROOT = Path(__file__).parent

# Timing says nothing on a shared machine, and CI must find the same thing twice.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio alone, as thinktwice does."""
    return "asyncio"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded samples of real models; tests of them skip without it."""
    folder = Path(os.environ.get("THINKTWICE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no recorded samples: set THINKTWICE_DATA to the folder that holds them")
    return folder


@pytest.fixture(autouse=True)
def _own_http_clients(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the async clients that `ChatOpenAI` caches by URL for a test, and not for the process.

    A later server may get the port of an earlier one, and with it a client of a loop that is
    closed; and a client that falls out of the cache is closed on whatever loop runs then.
    """
    module = sys.modules.get("langchain_openai.chat_models._client_utils")
    cached = getattr(module, "_cached_async_httpx_client", None)
    if cached is None:  # not imported, or of a version that caches none
        return
    is_async = "anyio_backend" in request.fixturenames
    clients: list[Any] = request.getfixturevalue("_clients_to_close") if is_async else []

    @lru_cache
    def kept(*settings: object) -> object:
        clients.append(cached.__wrapped__(*settings))
        return clients[-1]

    monkeypatch.setattr(module, cached.__name__, kept)


@pytest.fixture
async def _clients_to_close() -> AsyncGenerator[list[Any]]:
    """What is closed on the loop of a test, which ends after it."""
    clients: list[Any] = []
    yield clients
    for client in clients:
        await client.aclose()


def _is_loopback(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name in {None, "", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(str(name)).is_loopback
    except ValueError:
        return False


def _refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    """Fail whatever looks up or connects to another machine.

    An audit hook sees every socket, whoever opens it; the failure is no `Exception`, so that a
    client that retries or falls back cannot hide it.
    """
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in {"socket.connect", "socket.sendto"} and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if not _is_loopback(host):
        pytest.fail(f"tests stay on this machine, and something called {event} for {host!r}")


sys.addaudithook(_refuse_network)


def _run_fence(example: Example) -> None:
    """Run a fence; `await` at the top level is fine, and a page shares names and event loop."""
    source = pad(example.parsed, example.line + example.parsed.line_offset)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, example.path, "exec", flags=flags, dont_inherit=True)
    result = eval(code, example.namespace)  # noqa: S307 - our own documentation
    if inspect.iscoroutine(result):
        example.namespace["__runner__"].run(result)


class _ReasonedSkipParser(SkipParser):
    """`<!-- skip: next "needs an API key" -->`, and never without a reason."""

    def __call__(self, document: Document) -> Iterable[Region]:
        for region in super().__call__(document):
            action, reason = region.parsed
            if action != "end" and not reason:
                raise ValueError(f'{document.path}: say why, as in skip: {action} "needs a key"')
            yield region


def _open_page(namespace: dict[str, object]) -> None:
    namespace.update(__name__="__main__", __runner__=asyncio.Runner())


def _close_page(namespace: dict[str, object]) -> None:
    runner = namespace["__runner__"]
    assert isinstance(runner, asyncio.Runner)
    runner.close()


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser("python", _run_fence), _ReasonedSkipParser()],
    patterns=["*.md"],
    setup=_open_page,
    teardown=_close_page,
).pytest()
