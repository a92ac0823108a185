"""A server that speaks OpenAI's chat completions and replays recorded samples.

It differs from the server of `examples/arithmetic_lm` in what the comparison needs: every sample
has its own text, length and latency, `n` choices are n samples, and what a client was sent and what
it broke off is counted for each run.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from aiohttp import web

if TYPE_CHECKING:
    from recordings import Question, Sample

MODEL = "replay"
BASE_SECONDS = 0.02
SECONDS_PER_TOKEN = 0.00025
STRAGGLER_SECONDS = 2.0
RETRY_AFTER = 1
FAULTS = ("500", "429", "garbage", "hang")
NUMBER = re.compile(r"^\[(\d+)\] ", re.MULTILINE)


@dataclass(frozen=True)
class Weather:
    """What goes wrong, by the number of a request for a question: alike for all peers.

    Attributes:
        stragglers: Share of requests that take 2 seconds longer.
        fault: What other requests meet: "500", "429", "garbage" or "hang".
        share: Share of requests that meet it.
        seed: Of the draws.
    """

    stragglers: float = 0.0
    fault: str | None = None
    share: float = 0.0
    seed: int = 0

    def of(self, question: int, number: int) -> tuple[float, str | None]:
        """Extra seconds and fault of a request."""
        chance = random.Random(f"{self.seed} {question} {number}")
        late = chance.random() < self.stragglers
        fault = self.fault if chance.random() < self.share else None
        return STRAGGLER_SECONDS if late else 0.0, fault


CALM = Weather()
"""Nothing goes wrong."""


@dataclass
class Count:
    """What one question of a run took.

    Attributes:
        requests: Requests, whatever became of them.
        samples: Samples that were begun for them.
        prompt_tokens: Tokens of the prompts of all requests that were not refused.
        output_tokens: Tokens written, up to where a client went away.
        disconnected: Requests that the client broke off.
        faults: Requests that met a fault.
        flying: Requests in flight.
        peak: The most that were.
    """

    requests: int = 0
    samples: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    disconnected: int = 0
    faults: int = 0
    flying: int = 0
    peak: int = 0


@dataclass
class Replay:
    """One run: the questions, the weather, and what was counted.

    Attributes:
        questions: Whose samples are served.
        weather: What goes wrong.
        counts: What each question took.
    """

    questions: tuple[Question, ...]
    weather: Weather = CALM
    counts: dict[int, Count] = field(default_factory=dict)

    def next_samples(self, number: int, n: int) -> list[Sample]:
        """The next n of a question, in the order that is the same for all runs."""
        count, samples = self.counts[number], self.questions[number].samples
        begun = range(count.samples, count.samples + n)
        count.samples += n
        return [samples[index % len(samples)] for index in begun]


class ReplayServer:
    """Serves runs on the loopback interface, each at a base URL of its own."""

    def __init__(self) -> None:
        self._runs: dict[str, Replay] = {}
        self._port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{run}/v1/chat/completions", self._complete)
        # Without handler_cancellation a handler would not notice that its client has gone.
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.2
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1024).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def open(self, replay: Replay) -> str:
        """The base URL of a new run."""
        name = f"run{len(self._runs)}"
        self._runs[name] = replay
        return f"http://127.0.0.1:{self._port}/{name}/v1"

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        replay = self._runs[request.match_info["run"]]
        body = json.loads(await request.text())
        texts = [message["content"] for message in body["messages"]]
        asked = NUMBER.search(texts[-1])
        assert asked is not None
        question = int(asked[1])
        count = replay.counts.setdefault(question, Count())
        delay, fault = replay.weather.of(question, count.requests)
        count.requests += 1
        count.faults += fault is not None
        count.flying += 1
        count.peak = max(count.peak, count.flying)
        try:
            if fault in {"500", "429"}:
                await asyncio.sleep(BASE_SECONDS)
                return _refusal(int(fault))
            count.prompt_tokens += tokens_in(texts)
            if fault == "hang":
                await asyncio.Event().wait()
            samples = replay.next_samples(question, body.get("n") or 1)
            await _write(samples, count, delay)
        except asyncio.CancelledError:  # the client has gone
            count.disconnected += 1
            raise
        finally:
            count.flying -= 1
        if fault == "garbage":
            return web.Response(text='{"id": "chatcmpl-', content_type="application/json")
        return web.json_response(_completion(samples, texts))


def tokens_in(texts: list[str]) -> int:
    """Tokens of a prompt: a quarter of its characters."""
    return max(1, sum(map(len, texts)) // 4)


async def _write(samples: list[Sample], count: Count, delay: float) -> None:
    """Take the time that samples take, side by side; count what is written until the end."""
    longest = max(sample.tokens for sample in samples)
    began = time.perf_counter()
    try:
        await asyncio.sleep(delay + BASE_SECONDS + longest * SECONDS_PER_TOKEN)
        written = longest
    except asyncio.CancelledError:
        spent = time.perf_counter() - began - delay - BASE_SECONDS
        written = max(0, int(spent / SECONDS_PER_TOKEN))
        raise
    finally:
        count.output_tokens += sum(min(sample.tokens, written) for sample in samples)


def _refusal(status: int) -> web.Response:
    body = {"error": {"message": "no", "type": "server_error", "param": None, "code": None}}
    headers = {"Retry-After": str(RETRY_AFTER)} if status == 429 else {}
    return web.json_response(body, status=status, headers=headers)


def _completion(samples: list[Sample], texts: list[str]) -> dict[str, object]:
    """The body of a reply, in the form that the prompt asks for."""
    named = any("[[ ## answer ## ]]" in text for text in texts)
    contents = [sample.fields if named else sample.reply for sample in samples]
    read, written = tokens_in(texts), sum(sample.tokens for sample in samples)
    return {
        "id": "chatcmpl-replay",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL,
        "choices": [
            {
                "index": index,
                "finish_reason": "stop",
                "logprobs": None,
                "message": {"role": "assistant", "content": content, "refusal": None},
            }
            for index, content in enumerate(contents)
        ],
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        },
    }
