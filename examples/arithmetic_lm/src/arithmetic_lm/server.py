"""An OpenAI-compatible server on the loopback interface, with faults to order."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web

from .assistant import Assistant, Reply, Token
from .engine import NAME, Engine, name_of, shared_engine, size_of, sizes
from .failing import Cut, altered, disturb, instead, sent
from .faults import Fault, Faults
from .scripted import Calling, ReplyTo, scripted
from .scripted import ToolCall as ToolCall
from .scripted import echo as echo
from .wire import (
    JSON,
    BadRequest,
    ChatRequest,
    chunk_body,
    completion_body,
    event,
    read_request,
    usage_of,
)

MODEL = NAME


@dataclass
class Record:
    """What became of one request for a completion.

    Args:
        index: Number in order of arrival, from 1.
        arrived: Seconds after the server started.
        n: Choices asked for; None if the request could not be read.
        stream: Whether a stream was asked for.
        fault: The fault it met.
        status: HTTP status sent; None when nothing was.
        disconnected: Whether the client left, or was cut off, before the end.
        finished: Seconds after the server started at which it ended; None while it runs.
        output_tokens: Tokens sent.
    """

    index: int
    arrived: float
    n: int | None = None
    stream: bool = False
    fault: Fault | None = None
    status: int | None = None
    disconnected: bool = False
    finished: float | None = None
    output_tokens: int = 0


@dataclass(frozen=True)
class _Job:
    """A request being answered."""

    request: web.Request
    record: Record
    asked: ChatRequest
    assistant: Assistant | None
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def choices(self) -> int:
        """How many are made."""
        return 1 if self.record.fault == "one choice" else self.asked.n


class ArithmeticServer:
    """Serves chat completions on 127.0.0.1.

    Use it as ``async with ArithmeticServer() as server`` and call ``server.url``, or in tests
    without an event loop as ``with ArithmeticServer.in_thread() as server``.

    Args:
        faults: Delays and faults.
        port: Port to listen on; 0 takes a free one.
        engine: Writes the replies of `arithmetic-lm`; None takes the one this process shares.
        reply: Makes the replies instead of the model, for measurements of a client alone.
        names: Further names of `arithmetic-lm`, for clients that take certain names only.
    """

    def __init__(
        self,
        *,
        faults: Faults | None = None,
        port: int = 0,
        engine: Engine | None = None,
        reply: ReplyTo | None = None,
        names: Sequence[str] = (),
    ) -> None:
        self.faults = faults or Faults()
        self.log: list[Record] = []
        self._port = port
        self._engine = engine
        self._reply = reply
        self._aliases = tuple(names)
        self._runner: web.AppRunner | None = None
        self._started = time.monotonic()

    @property
    def url(self) -> str:
        """Base URL for a client, ending in ``/v1``.

        Raises:
            RuntimeError: The server is not running.
        """
        if self._runner is None:
            raise RuntimeError("the server is not running")
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        # Without handler_cancellation a handler would not notice that its client has gone.
        runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.2
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._port).start()
        self._runner, self._started = runner, time.monotonic()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @classmethod
    @contextmanager
    def in_thread(
        cls,
        *,
        faults: Faults | None = None,
        port: int = 0,
        engine: Engine | None = None,
        reply: ReplyTo | None = None,
        names: Sequence[str] = (),
    ) -> Generator[Self]:
        """Serve from a thread with an event loop of its own."""
        server = cls(faults=faults, port=port, engine=engine, reply=reply, names=names)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="arithmetic-server", daemon=True)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
            yield server
        finally:
            asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _models(self, request: web.Request) -> web.Response:
        card: JSON = {"object": "model", "created": 0, "owned_by": "local"}
        cards = [{"id": name, **card} for name in self._names()]
        return web.json_response({"object": "list", "data": cards})

    def _names(self) -> list[str]:
        """Return the names of the models, `arithmetic-lm` first."""
        return [*sorted(map(name_of, sizes())), *self._aliases]

    def _assistant(self, model: str) -> Assistant | None:
        """Return who answers as `model`; None if `reply` does."""
        if self._reply is not None:
            return None
        if model in (MODEL, *self._aliases):
            return Assistant(self._engine)
        return Assistant(shared_engine(size_of(model)))

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        record = Record(len(self.log) + 1, time.monotonic() - self._started)
        self.log.append(record)
        record.fault = self.faults.fault(record.index)
        try:
            return await self._answer(request, record)
        except BadRequest as error:
            record.status = error.status
            return web.json_response(error.body, status=error.status)
        except Cut:
            record.disconnected = True
            return web.Response()
        except (asyncio.CancelledError, ConnectionError):
            record.disconnected = True
            raise
        except Exception:
            record.status = 500
            raise
        finally:
            record.finished = time.monotonic() - self._started

    async def _answer(self, request: web.Request, record: Record) -> web.StreamResponse:
        asked = read_request(await request.text(), self._names())
        assistant = self._assistant(asked.model)
        if assistant is not None:
            try:
                assistant.check(asked.options)
            except ValueError as error:
                raise BadRequest(str(error)) from None
        record.n, record.stream = asked.n, asked.stream
        await asyncio.sleep(self.faults.delay(record.index))
        failure = await instead(request, record.fault, self.faults)
        if failure is not None:
            record.status = failure.status
            return failure
        job = _Job(request, record, asked, assistant)
        return await (self._stream(job) if asked.stream else self._whole(job))

    async def _whole(self, job: _Job) -> web.StreamResponse:
        asked, fault = job.asked, job.record.fault
        if job.assistant is None:
            replies = [self._scripted(job)] * job.choices
        else:
            one = job.assistant.reply
            replies = await asyncio.gather(
                *(one(asked.turns, asked.options, index=i) for i in range(job.choices))
            )
        job.record.status = 200
        job.record.output_tokens = sum(reply.output_tokens for reply in replies)
        body = completion_body(
            replies, id=job.id, created=job.created, model=asked.model, logprobs=asked.logprobs
        )
        return await sent(job.request, json.dumps(altered(body, fault)), fault)

    async def _stream(self, job: _Job) -> web.StreamResponse:
        asked, record = job.asked, job.record
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(job.request)
        record.status = 200
        replies: list[Reply] = []
        async with aclosing(self._merged(job)) as items:
            async for index, item in items:
                if isinstance(item, Token):
                    record.output_tokens += 1
                else:
                    replies.append(item)
                    record.output_tokens += isinstance(item, Calling) and item.output_tokens
                body = chunk_body(
                    item,
                    index,
                    id=job.id,
                    created=job.created,
                    model=asked.model,
                    logprobs=asked.logprobs,
                )
                await disturb(job.request, response, body, record.fault)
        if asked.include_usage and record.fault != "no usage":
            head: JSON = {"id": job.id, "object": "chat.completion.chunk", "created": job.created}
            usage: JSON = {"choices": [], "usage": usage_of(replies)}
            body = altered({**head, "model": asked.model, **usage}, record.fault)
            await response.write(event(body))
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    async def _merged(self, job: _Job) -> AsyncGenerator[tuple[int, Token | Reply], None]:
        """Yield the tokens of all choices as they come, each with the number of its choice."""
        asked, items = job.asked, asyncio.Queue[tuple[int, Token | Reply | Exception]]()

        async def pump(index: int) -> None:
            if job.assistant is None:
                reply = self._scripted(job)
                for item in (*reply.tokens, reply):
                    items.put_nowait((index, item))
                return
            try:
                async for item in job.assistant.stream(asked.turns, asked.options, index=index):
                    items.put_nowait((index, item))
            except Exception as error:
                items.put_nowait((index, error))

        tasks = [asyncio.create_task(pump(index)) for index in range(job.choices)]
        try:
            left = job.choices
            while left:
                index, item = await items.get()
                if isinstance(item, Exception):
                    raise item
                left -= isinstance(item, Reply)
                yield index, item
        finally:
            for task in tasks:
                task.cancel()

    def _scripted(self, job: _Job) -> Reply:
        assert self._reply is not None
        return scripted(self._reply, job.asked.prompt, job.record.index)
