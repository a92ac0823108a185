"""The service with tenants, under load by a real client: what it answers, bills, traces, ends."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from thinktwice import Budget, Limiter, Vote
from thinktwice.quota import Quota, SqliteStore
from thinktwice.testing import captured_spans

if TYPE_CHECKING:
    from collections.abc import Iterator

httpx = pytest.importorskip("httpx")
faults = pytest.importorskip("arithmetic_lm.faults")
server = pytest.importorskip("arithmetic_lm.server")
for needed in ("fastapi", "uvicorn", "langchain", "langchain_openai"):
    pytest.importorskip(needed)

FOLDER = Path(__file__).parents[2] / "examples" / "langchain"
MINE = {"service", "tenants", "driving"}
PLENTY = Budget(cost="100")

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The script as a module: its folder comes first."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module("service")
    for name in MINE:
        sys.modules.pop(name, None)


@pytest.fixture
def _all_needed(example, monkeypatch):
    """No call is recalled: one that is may be on the bill before it is in the server's log."""
    monkeypatch.setattr(example, "Vote", partial(Vote, prefer="cost"))


@pytest.fixture
def serve(example):
    """Serves tenants over a scripted model; each gives a client, and the server's log."""

    @contextmanager
    def serving(tenants, *, reply="A:4", limiter=None, **bad) -> Iterator[tuple[str, Any]]:
        example.trace_tenants()
        make = reply if callable(reply) else lambda prompt, number: reply
        settings = {"reply": make, "faults": faults.Faults(**bad)}
        with server.ArithmeticServer.in_thread(**settings) as upstream:
            app = example.create_app(upstream.url, tenants, limiter=limiter, retries=0)
            with example.serving(app) as url:
                yield url, upstream

    return serving


@pytest.fixture
def tenant(example):
    """Makes a tenant; the key is the name."""

    def make(name, *, request=PLENTY, day=PLENTY, **more):
        return {name: example.Tenant(name, request, day, **more)}

    return make


async def asked(url: str, *keys: str) -> list[Any]:
    """One request by each key, all at once."""
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=httpx.Limits()) as client:
        return await asyncio.gather(*(one(client, key) for key in keys))


async def one(client: Any, key: str) -> Any:
    """One request; the question names who asks."""
    headers = {"X-API-Key": key}
    return await client.post("/ask", json={"question": f"I am {key}"}, headers=headers)


async def until(condition, seconds: float = 60.0) -> None:
    """Wait for what happens at the server."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it never happened"
        await asyncio.sleep(0.01)


class TestUnderLoad:
    """Many requests of several tenants at once."""

    @pytest.mark.slow
    @pytest.mark.usefixtures("_all_needed")
    async def test_bills_log_and_spans_agree(self, serve, tenant):
        """For each tenant, whatever it was answered; nobody spends or sees what is another's."""
        tenants = {
            **tenant("plenty"),
            **tenant("daily", day=Budget(calls=23)),
            **tenant("short", request=Budget(calls=2)),
            **tenant("none", request=Budget(tokens=10)),
        }
        limiter = Limiter(6)
        replies = {"plenty": "A:1", "daily": "A:2", "short": "A:3", "none": "A:4"}
        with (
            captured_spans() as spans,
            serve(
                tenants,
                reply=lambda prompt, number: replies[prompt.split()[-1]],
                limiter=limiter,
                latency=0.01,
                jitter=0.03,
            ) as (url, upstream),
        ):
            names = list(tenants) * 12
            several = await asked(url, *names)
            assert all(record.status == 200 for record in upstream.log)
            calls = len(upstream.log)
            usages = await asyncio.gather(*(usage(url, name) for name in tenants))
        bills: Counter[str] = Counter()
        for name, reply in zip(names, several, strict=True):
            bills[name] += reply.json()["bill"]["calls"]
            assert reply.json().get("answer") in {replies[name], None}
        assert sum(bills.values()) == calls
        assert {name: each["calls"] for name, each in zip(tenants, usages, strict=True)} == {
            name: bills[name] for name in tenants
        }
        leaves = Counter(
            (span.attributes or {})["tenant.id"] for span in spans if span.name.startswith("chat ")
        )
        assert leaves == +bills
        ours = [span for span in spans if span.instrumentation_scope.name == "thinktwice"]
        assert all((span.attributes or {}).get("tenant.id") for span in ours)
        requests = {span.context.trace_id for span in spans if span.name == "ask"}
        assert len(requests) == len(names)
        assert {span.context.trace_id for span in ours} <= requests
        statuses = {name: Counter(statuses_of(name, names, several)) for name in tenants}
        assert statuses["plenty"] == {200: 12}
        assert statuses["short"] == {200: 12}
        assert statuses["none"] == {402: 12}
        assert set(statuses["daily"]) == {200, 429}
        assert bills["daily"] == 23
        assert bills["short"] == 24
        assert bills["none"] == 0

    async def test_the_limiter_is_shared(self, serve, tenant):
        """By all tenants: the model never sees more calls at once."""
        tenants = {**tenant("a"), **tenant("b")}
        with serve(tenants, limiter=Limiter(3), latency=0.05) as (url, upstream):
            await asked(url, *["a", "b"] * 6)
            log = upstream.log
        moments = [(each.arrived, 1) for each in log] + [(each.finished, -1) for each in log]
        running = most = 0
        for _, change in sorted(moments, key=lambda each: (each[0], each[1])):
            running += change
            most = max(most, running)
        assert most == 3


def statuses_of(name: str, names: list[str], replies: list[Any]) -> Iterator[int]:
    """Statuses of the replies to one tenant."""
    return (r.status_code for each, r in zip(names, replies, strict=True) if each == name)


async def usage(url: str, key: str) -> dict[str, Any]:
    """What a tenant has spent."""
    async with httpx.AsyncClient(base_url=url) as client:
        return (await client.get("/usage", headers={"X-API-Key": key})).json()


class TestAnswers:
    """What a client gets."""

    @pytest.mark.usefixtures("_all_needed")
    async def test_an_answer_with_its_bill(self, serve, tenant):
        """And how many of the samples agree."""
        with serve(tenant("a")) as (url, upstream):
            [reply] = await asked(url, "a")
            body = reply.json()
            assert (body["answer"], body["agreement"]) == ("A:4", 1.0)
            assert body["bill"]["calls"] == len(upstream.log)
            assert body["bill"]["cost"] > 0

    async def test_who_is_unknown_asks_nothing(self, serve, tenant):
        """And a body that is no question is refused."""
        with serve(tenant("a")) as (url, upstream):
            [reply] = await asked(url, "b")
            assert reply.status_code == 401
            async with httpx.AsyncClient(base_url=url) as client:
                reply = await client.post("/ask", json={}, headers={"X-API-Key": "a"})
            assert reply.status_code == 422
            assert not upstream.log

    async def test_more_than_a_request_may_spend(self, serve, tenant):
        """402, before anything is sent."""
        with serve(tenant("a", request=Budget(tokens=10))) as (url, upstream):
            [reply] = await asked(url, "a")
            assert reply.status_code == 402
            assert "needs more than it may spend: budget of 10 tokens" in reply.json()["error"]
            assert not upstream.log

    async def test_the_day_is_used_up_and_begins_anew(self, serve, tenant, monkeypatch):
        """429 with the seconds to wait, after which it answers."""
        tonight = int(time.time()) + 300
        monkeypatch.setattr(Quota, "window", lambda *_: tonight)
        with serve(tenant("a", day=Budget(calls=3))) as (url, _):
            while (reply := (await asked(url, "a"))[0]).status_code == 200:
                pass
            assert reply.status_code == 429
            assert 1 <= int(reply.headers["Retry-After"]) <= 300
            assert "quota 'tenant:a' of 3 calls" in reply.json()["error"]
            assert reply.json()["bill"]["calls"] == 0
            monkeypatch.setattr(Quota, "window", lambda *_: tonight + 86_400)
            assert [each.status_code for each in await asked(url, "a")] == [200]

    async def test_the_day_is_one_for_all_processes_that_share_a_file(
        self, serve, tenant, tmp_path
    ):
        """What one of them has answered is not there for the other."""
        for status in (200, 429):
            store = SqliteStore(tmp_path / "quotas.db")
            with serve(tenant("a", day=Budget(calls=1), store=store)) as (url, _):
                assert [each.status_code for each in await asked(url, "a")] == [status]

    async def test_too_late(self, serve, tenant):
        """504 in time, with what was paid for; the calls upstream are cut off."""
        with serve(tenant("a", request=Budget(seconds=1.0)), latency=20.0) as (url, upstream):
            [reply] = await asked(url, "a")
            assert reply.status_code == 504
            bill = reply.json()["bill"]
            assert bill["calls"] == len(upstream.log) > 0
            assert bill["seconds"] < 15
            await until(lambda: all(each.disconnected for each in upstream.log))

    @pytest.mark.parametrize(("fault", "status"), [("429", 503), ("500", 502), ("reset", 502)])
    @pytest.mark.usefixtures("_all_needed")
    async def test_the_model_fails(self, serve, tenant, fault, status):
        """The client's own errors, with the bill and without the provider's text."""
        with serve(tenant("a"), schedule={1: fault}, sticky=True) as (url, upstream):
            [reply] = await asked(url, "a")
            assert reply.status_code == status
            assert reply.json()["error"].startswith("the model ")
            assert reply.json()["bill"]["calls"] == len(upstream.log)


class TestStream:
    """Server-sent events."""

    async def test_progress_then_the_answer(self, serve, tenant):
        """Votes as they come in, without content; the bill at the end."""
        with serve(tenant("a")) as (url, _):
            events = await streamed(url)
        kinds = [kind for kind, _ in events]
        assert kinds[-2:] == ["thinktwice.decided", "answer"]
        assert set(kinds[:-2]) == {"thinktwice.sample"}
        tallies = [data["tally"] for kind, data in events if kind == "thinktwice.sample"]
        assert tallies == [[count + 1] for count in range(len(tallies))]
        answer = events[-1][1]
        assert answer["answer"] == "A:4"
        assert answer["bill"]["calls"] >= len(tallies)
        assert "A:4" not in json.dumps(events[:-1])

    async def test_an_error_is_the_last_event(self, serve, tenant):
        """With the status that a plain request would get."""
        with serve(tenant("a", request=Budget(tokens=10))) as (url, _):
            *_, (kind, data) = await streamed(url)
        assert (kind, data["status"], data["bill"]["calls"]) == ("error", 402, 0)


async def streamed(url: str) -> list[tuple[str, dict[str, Any]]]:
    """All events of a request."""
    async with (
        httpx.AsyncClient(base_url=url, timeout=30) as client,
        client.stream(
            "POST", "/ask/stream", json={"question": "2 + 2"}, headers={"X-API-Key": "a"}
        ) as reply,
    ):
        text = "".join([part async for part in reply.aiter_text()])
    return [
        (kind, json.loads(data)) for kind, data in re.findall(r"event: (.*)\ndata: (.*)\n\n", text)
    ]


class TestEnds:
    """Who leaves, and what is left."""

    @pytest.mark.parametrize("path", ["/ask", "/ask/stream"])
    async def test_a_client_that_leaves(self, serve, tenant, path):
        """Cancels its calls upstream, and nobody else's."""
        tenants = {**tenant("a"), **tenant("b")}
        with serve(tenants, latency=1.5) as (url, upstream):
            async with httpx.AsyncClient(base_url=url, timeout=30) as client:
                headers = {"X-API-Key": "a"}
                given = {"json": {"question": "leaves"}, "headers": headers}
                leaving = asyncio.create_task(client.post(path, **given))
                await until(lambda: upstream.log)
                await asyncio.sleep(0.3)  # until all of them are sent
                left = len(upstream.log)
                leaving.cancel()
                await asyncio.gather(leaving, return_exceptions=True)
            staying = asyncio.create_task(asked(url, "b"))
            await until(lambda: all(each.disconnected for each in upstream.log[:left]))
            assert [each.status_code for each in await staying] == [200]
            assert not any(each.disconnected for each in upstream.log[left:])
            assert (await usage(url, "a"))["calls"] == left

    async def test_what_is_billed_may_not_arrive(self, serve, tenant):
        """Of clients that leave at any moment; each call of a bill is a span all the same."""
        with captured_spans() as spans, serve(tenant("a"), latency=0.2) as (url, upstream):
            async with httpx.AsyncClient(base_url=url, timeout=30) as client:
                for pause in (0.0, 0.01, 0.03, 0.1, 0.15):
                    leaving = asyncio.create_task(one(client, "a"))
                    await asyncio.sleep(pause)
                    leaving.cancel()
                    await asyncio.gather(leaving, return_exceptions=True)
            [last] = await asked(url, "a")
            assert last.status_code == 200
            billed = (await usage(url, "a"))["calls"]
        assert len(upstream.log) <= billed
        assert billed == sum(span.name.startswith("chat ") for span in spans)

    async def test_what_is_held_explains_what_is_left(self, serve, tenant):
        """While calls are in flight, and after a client has left."""
        with serve(tenant("a", day=Budget(calls=50, cost="1")), latency=1.0) as (url, upstream):
            asking = asyncio.create_task(asked(url, "a"))
            await until(lambda: upstream.log)
            during = await usage(url, "a")
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await until(lambda: all(each.disconnected for each in upstream.log))
            after = await usage(url, "a")
        assert during["held"]["calls"] > 0
        assert after["held"]["calls"] == 0
        for seen in (during, after):
            left = seen["remaining"], seen["held"]
            assert seen["calls"] + sum(each["calls"] for each in left) == 50
            costs = (seen["cost"] or 0.0), *(each["cost"] for each in left)
            assert sum(costs) == pytest.approx(1.0)

    def test_a_port_in_use(self, example):
        """Is said, with what to do."""
        taken = socket.create_server(("127.0.0.1", 0))
        with (
            taken,
            pytest.raises(SystemExit, match="in use; give another by --port"),
            example.serving(None, taken.getsockname()[1]),
        ):
            pass

    @pytest.mark.parametrize(
        "arguments",
        [["--port", "99999"], ["--requests", "-1"], ["--quotas", __file__], ["--quotas", ""]],
    )
    def test_an_argument_that_makes_no_sense(self, example, capsys, arguments):
        """Is said in one line, before anything is served."""
        with pytest.raises(SystemExit, match="2"):
            example.main(arguments)
        said = capsys.readouterr().err.splitlines()
        assert f"error: {arguments[0]}" in said[-1]

    @pytest.mark.slow
    def test_a_container_that_stops_it(self):
        """Is obeyed as Ctrl-C is, without a traceback."""
        command = [sys.executable, "-u", str(FOLDER / "service.py"), "--port", "0"]
        with subprocess.Popen(  # noqa: S603 - a script of ours
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as served:
            assert served.stdout is not None
            assert "curl" in served.stdout.readline()
            served.send_signal(signal.SIGTERM)
            assert (served.wait(30), served.stdout.read()) == (0, "")

    async def test_a_shutdown_leaves_nothing(self, serve, tenant):
        """No thread, no call upstream."""
        before = set(threading.enumerate())
        with serve(tenant("a"), latency=0.2) as (url, upstream):
            await asked(url, *["a"] * 5)
        assert all(each.finished is not None for each in upstream.log)
        await until(lambda: not [t for t in set(threading.enumerate()) - before if t.is_alive()])

    @pytest.mark.slow
    @pytest.mark.usefixtures("_all_needed")
    def test_the_demo(self, example, capsys, tmp_path):
        """Prints a row for each tenant; calls, spans and the server's count agree."""
        example.main(["--demo", "--requests", "6", "--quotas", str(tmp_path / "days.db")])
        assert (tmp_path / "days.db").stat().st_size
        printed = capsys.readouterr().out
        sent = int(re.search(r"(\d+) of them arrived", printed)[1])  # type: ignore[index]
        rows = [line.split() for line in printed.splitlines() if "$" in line]
        assert [row[0] for row in rows] == ["acme", "brook", "corner"]
        assert sum(int(row[6]) for row in rows) == sent
        assert all(row[6] == row[9] for row in rows)
        assert rows[2][3] == "6"
