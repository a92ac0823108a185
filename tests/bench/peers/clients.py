"""The two clients that arms without one of their own are run over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from openai import AsyncOpenAI

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runner import Task

    Send = Callable[[str], Awaitable["Reply"]]

MODEL = "replay"


@dataclass(frozen=True)
class Reply:
    """What came back: the text, and the tokens of the prompt and of the text."""

    text: str
    read: int
    written: int


def over_openai(task: Task) -> Send:
    """OpenAI's client, which most have; it retries twice."""
    client = AsyncOpenAI(base_url=task.url, api_key="none", timeout=task.timeout)

    async def send(prompt: str) -> Reply:
        messages = [{"role": "user", "content": prompt}]
        body = await client.chat.completions.create(model=MODEL, messages=messages)
        used = body.usage
        return Reply(body.choices[0].message.content, used.prompt_tokens, used.completion_tokens)

    return send


def over_aiohttp(task: Task) -> Send:
    """aiohttp, as in its-hub; without retries."""
    client = aiohttp.ClientSession(
        raise_for_status=True, timeout=aiohttp.ClientTimeout(task.timeout)
    )

    async def send(prompt: str) -> Reply:
        asked = {"model": MODEL, "messages": [{"role": "user", "content": prompt}]}
        async with client.post(f"{task.url}/chat/completions", json=asked) as response:
            body = await response.json()
        used = body["usage"]
        text = body["choices"][0]["message"]["content"]
        return Reply(text, used["prompt_tokens"], used["completion_tokens"])

    return send
