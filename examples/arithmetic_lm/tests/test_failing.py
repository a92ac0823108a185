"""Replies that go wrong on their way, as a client without a library sees them."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from arithmetic_lm.failing import OTHER_MODEL
from arithmetic_lm.faults import Faults
from arithmetic_lm.server import ArithmeticServer

pytestmark = pytest.mark.anyio

TEXT = "one and two"


def _serving(fault):
    return ArithmeticServer(faults=Faults(schedule={1: fault}), reply=lambda prompt, number: TEXT)


async def _post(server, **settings):
    body = {
        "model": "arithmetic-lm",
        "messages": [{"role": "user", "content": "1+2"}],
        "stream_options": {"include_usage": True},
        **settings,
    }
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.url}/chat/completions", json=body) as response,
    ):
        return await response.text()


def _events(text):
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cut_reply(stream):
    """The client has a part of it, and no end."""
    async with _serving("cut") as server:
        with pytest.raises(aiohttp.ClientError):
            await _post(server, stream=stream)
        assert (server.log[0].status, server.log[0].disconnected) == (200, True)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_trickling_reply(stream):
    """It is whole in the end, unless the client leaves."""
    async with _serving("trickle") as server:
        text = await _post(server, stream=stream)
        events = _events(text) if stream else [json.loads(text)]
        assert len(events) == (len(TEXT) + 2 if stream else 1)
        server.log.clear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await _post(server, stream=stream)
        async with asyncio.timeout(5):
            while not server.log[0].disconnected:
                await asyncio.sleep(0.01)


async def test_garbage_in_a_stream():
    """One event is no JSON."""
    async with _serving("garbage") as server:
        text = await _post(server, stream=True)
    with pytest.raises(ValueError):
        _events(text)


@pytest.mark.parametrize("stream", [False, True])
async def test_replies_unlike_what_was_asked_for(stream):
    """Each fault changes one thing."""

    async def replies(fault, **settings):
        async with _serving(fault) as server:
            text = await _post(server, stream=stream, **settings)
        return _events(text) if stream else [json.loads(text)]

    def choices(bodies):
        return [len(body["choices"]) for body in bodies]

    assert not any(body.get("usage") for body in await replies("no usage"))
    assert set(choices(await replies("no choices"))) == {0}
    assert max(choices(await replies("choices twice"))) == 2
    assert {body["model"] for body in await replies("other model")} == {OTHER_MODEL}
    indices = {
        choice["index"] for body in await replies("one choice", n=3) for choice in body["choices"]
    }
    assert indices == {0}
