"""A service with tenants: an agent that votes, budgets, a shared limiter, traces by tenant.

`python examples/langchain/service.py` serves on the loopback interface; with `--demo` it sends
itself requests of three tenants and prints what became of them. The model is embedded, and served
from this machine by an OpenAI-compatible server; no key and no network are needed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest

import argparse
import asyncio
import json
import logging
import signal
import socket
import threading
import time
import warnings
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import uvicorn
from arithmetic_lm.server import ArithmeticServer
from driving import drive, table_of
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from langchain_thinktwice import BudgetMiddleware, StrategyMiddleware
from openai import APIError
from pydantic import BaseModel
from rich.console import Console
from starlette.requests import ClientDisconnect
from tenants import Tenant, bill_of, charged, reason_of, trace_tenants, usage_of

from thinktwice import Budget, BudgetExceeded, Limiter, Price, RunError, Vote
from thinktwice.errors import ThinktwiceWarning, UsageError
from thinktwice.quota import QuotaStore, SqliteStore
from thinktwice.testing import captured_spans

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Generator, Mapping, Sequence

    from langgraph.graph.state import CompiledStateGraph

PRICES = {"arithmetic-lm": Price("0.10", "0.40")}  # made up: USD per million tokens, in and out
MOST = Budget(calls=50, seconds=60)  # of one request, whoever makes it
FAILURES = (BudgetExceeded, APIError, RunError)
WIDTH = 100  # columns of the table
PORTS = range(1 << 16)

router = APIRouter()


class Question(BaseModel):
    """What a tenant asks."""

    question: str


def create_app(
    base_url: str,
    tenants: Mapping[str, Tenant],
    *,
    limiter: Limiter | None = None,
    retries: int = 2,
) -> FastAPI:
    """The service.

    Args:
        base_url: Of the model's API.
        tenants: By API key.
        limiter: Of all calls of this process; 16 at once by default.
        retries: Of the client, for each call. The bill counts a call once.
    """
    model = ChatOpenAI(
        base_url=base_url,
        api_key="none",  # type: ignore[arg-type]
        model="arithmetic-lm",
        temperature=0.7,
        max_tokens=128,
        max_retries=retries,
        stream_usage=True,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        yield
        await model.root_async_client.close()

    app = FastAPI(title="thinktwice", lifespan=lifespan)
    app.state.tenants, app.state.agent = tenants, agent_over(model, limiter or Limiter(16))
    app.include_router(router)
    return app


def agent_over(model: ChatOpenAI, limiter: Limiter) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The agent: it votes on each step, and may spend what `MOST` and its caller allow."""
    budget = BudgetMiddleware(MOST, exit_behavior="error", prices=PRICES, limiter=limiter)
    return create_agent(model, middleware=[budget, StrategyMiddleware(Vote(5, key="number"))])


def known(request: Request, x_api_key: Annotated[str, Header()] = "") -> Tenant:
    """Who pays for a request."""
    tenants: Mapping[str, Tenant] = request.app.state.tenants
    if x_api_key not in tenants:
        raise HTTPException(401, "unknown API key")
    return tenants[x_api_key]


Paying = Annotated[Tenant, Depends(known)]


@router.post("/ask")
async def ask(asked: Question, request: Request, tenant: Paying) -> Response:
    """The answer with its bill, or why there is none, with its bill."""
    with charged(tenant) as ledger:
        try:
            state = await while_connected(request, request.app.state.agent.ainvoke(given(asked)))
        except ClientDisconnect:
            return Response(status_code=499)  # for logs: nobody reads it
        except FAILURES as error:
            status, reason, headers = reason_of(error)
            body = {"error": reason, "bill": bill_of(ledger)}
            return JSONResponse(body, status, headers)
        return JSONResponse({**answer_of(state), "bill": bill_of(ledger)})


@router.post("/ask/stream")
async def stream(asked: Question, request: Request, tenant: Paying) -> Response:
    """Server-sent events: the progress of the votes, then the answer or why there is none."""
    events = streamed(request, given(asked), tenant)
    return StreamingResponse(events, media_type="text/event-stream")


@router.get("/usage")
async def usage(tenant: Paying) -> dict[str, Any]:
    """What the day has cost so far, and what is left of it."""
    return usage_of(tenant)


def given(asked: Question) -> dict[str, Any]:
    """The input of the agent."""
    return {"messages": [("user", asked.question)]}


def answer_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """The answer, and which share of the samples agrees."""
    last = state["messages"][-1]
    summary = last.response_metadata.get("thinktwice", {})
    return {"answer": last.text, "agreement": summary.get("agreement")}


async def while_connected(request: Request, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - of the work
    """Await some work, and cancel it if the client leaves: what is in flight upstream ends.

    Raises:
        ClientDisconnect: It has left.
    """
    task, gone = asyncio.create_task(work), asyncio.create_task(disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        for each in (task, gone):
            each.cancel()  # once: another cancel would break the clean-up of the agent
        await asyncio.wait({task, gone})


async def disconnected(request: Request) -> None:
    """Return when the client has left; the body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def streamed(
    request: Request, asked: Mapping[str, Any], tenant: Tenant
) -> AsyncGenerator[str]:
    """The events of a request."""
    queue: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue()

    async def work() -> None:
        with charged(tenant) as ledger:
            state: Mapping[str, Any] = {}
            try:
                modes = ["custom", "values"]
                async for mode, part in request.app.state.agent.astream(asked, stream_mode=modes):
                    if mode == "values":
                        state = part
                    else:
                        queue.put_nowait((part["event"], part))
                last = "answer", {**answer_of(state), "bill": bill_of(ledger)}
            except FAILURES as error:
                status, reason, _ = reason_of(error)
                last = "error", {"status": status, "error": reason, "bill": bill_of(ledger)}
            queue.put_nowait(last)

    def ended(task: asyncio.Task[None]) -> None:
        queue.put_nowait(None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logging.getLogger("service").info("a stream ended by %s", type(error).__name__)

    task = asyncio.create_task(while_connected(request, work()))
    task.add_done_callback(ended)
    try:
        while (item := await queue.get()) is not None:
            event, data = item
            yield f"event: {event}\ndata: {json.dumps(data)}\n\n"
    finally:
        task.cancel()  # and not awaited: whoever closes this may cancel it again and again


# ---- serving it ---------------------------------------------------------------------------------


@contextmanager
def serving(app: FastAPI, port: int = 0) -> Generator[str]:
    """Serve from a thread, and wait for its end; the URL."""
    try:
        listening = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise SystemExit(
            f"port {port}: {os.strerror(error.errno or 0)}; give another by --port"
        ) from None
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    run = partial(server.run, sockets=[listening])
    thread = threading.Thread(target=run, name="service", daemon=True)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join()


def made_up(store: QuotaStore) -> dict[str, Tenant]:
    """Tenants by API key: one with plenty, one short of calls a day, one of tokens a request."""
    return {
        "key-a": Tenant("acme", Budget(calls=10, seconds=20), Budget(cost="1"), store),
        "key-b": Tenant("brook", Budget(calls=10, seconds=20), Budget(calls=50), store),
        "key-c": Tenant("corner", Budget(tokens=100, seconds=20), Budget(cost="1"), store),
    }


def demo(requests: int, store: QuotaStore) -> None:
    """Serve, send requests, and print what became of them."""
    tenants = made_up(store)
    with ArithmeticServer.in_thread() as upstream, captured_spans() as spans:
        with serving(create_app(upstream.url, tenants)) as url:
            tallies = asyncio.run(drive(url, list(tenants), requests))
        sent = len(upstream.log)
    console = Console()
    console.width = max(console.width, WIDTH)
    billed = sum(tally.calls for tally in tallies.values())
    said = f"{requests} requests of each tenant; {billed} calls billed, {sent} of them arrived"
    console.print(said)
    console.print(table_of(tenants, tallies, spans))


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted, or show it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", action="store_true", help="send requests and print a table")
    parser.add_argument("--requests", type=int, default=20, help="of each tenant in the demo")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--quotas", default=":memory:", help="file to count the days in")
    chosen = parser.parse_args(arguments)
    if chosen.requests < 1:
        parser.error(f"--requests {chosen.requests}: give a number of at least 1")
    if chosen.port not in PORTS:
        parser.error(f"--port {chosen.port}: give a number from 0, for any, to {PORTS[-1]}")
    try:
        store = SqliteStore(chosen.quotas)
    except UsageError as error:
        parser.error(f"--quotas: {error}")
    warnings.simplefilter("ignore", ThinktwiceWarning)
    trace_tenants()
    if chosen.demo:
        demo(chosen.requests, store)
        return
    for each in (signal.SIGINT, signal.SIGTERM):  # a container is stopped by the latter
        signal.signal(each, signal.default_int_handler)
    with (
        ArithmeticServer.in_thread() as upstream,
        serving(create_app(upstream.url, made_up(store)), chosen.port) as url,
        suppress(KeyboardInterrupt),
    ):
        headers = "-H 'X-API-Key: key-a' -H 'Content-Type: application/json'"
        print(f"""curl -N {url}/ask/stream {headers} -d '{{"question": "17*23"}}'""")
        threading.Event().wait()


if __name__ == "__main__":
    main()
