from __future__ import annotations

import asyncio
import json
import urllib.request
from contextlib import suppress

import aiohttp
import pytest

from arithmetic_lm.asking import REFUSAL
from arithmetic_lm.engine import Engine
from arithmetic_lm.faults import Faults
from arithmetic_lm.problems import final_answer
from arithmetic_lm.server import ArithmeticServer, ToolCall, echo

pytestmark = pytest.mark.anyio


def _body(question="37*8+56", **kwargs):
    messages = [{"role": "system", "content": "1+1"}, {"role": "user", "content": question}]
    return {"model": "arithmetic-lm", "messages": messages, "seed": 1, **kwargs}


async def _post(server, **kwargs):
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.url}/chat/completions", json=_body(**kwargs)) as response,
    ):
        return response.status, dict(response.headers), await response.text()


async def _events(server, **kwargs):
    _, _, text = await _post(server, stream=True, **kwargs)
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def test_a_completion(engine):
    async with ArithmeticServer(engine=engine) as server:
        status, _, text = await _post(server, logprobs=True)
    body = json.loads(text)
    choice = body["choices"][0]
    content = choice["message"]["content"]
    assert (status, choice["finish_reason"]) == (200, "stop")
    assert final_answer(content) is not None
    assert body["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": len(content),
        "total_tokens": 10 + len(content),
    }
    assert "".join(item["token"] for item in choice["logprobs"]["content"]) == content


async def test_the_most_probable_tokens(engine):
    async with ArithmeticServer(engine=engine) as server:
        plain = json.loads((await _post(server, logprobs=True))[2])
        _, _, text = await _post(server, logprobs=True, top_logprobs=3, temperature=0)
        events = await _events(server, logprobs=True, top_logprobs=3, temperature=0)
    assert all(not item["top_logprobs"] for item in plain["choices"][0]["logprobs"]["content"])
    content = json.loads(text)["choices"][0]["logprobs"]["content"]
    for item in content:
        assert len(item["top_logprobs"]) == 3
        first = item["top_logprobs"][0]
        assert {key: first[key] for key in ("token", "logprob", "bytes")} == {
            key: item[key] for key in ("token", "logprob", "bytes")
        }
    chunks = [event["choices"][0]["logprobs"] for event in events]
    streamed = [item for chunk in chunks if chunk for item in chunk["content"]]
    assert [item["top_logprobs"][1]["token"] for item in streamed] == [
        item["top_logprobs"][1]["token"] for item in content
    ]


@pytest.mark.parametrize(
    "asked",
    [
        {"top_logprobs": 3},
        {"top_logprobs": 3, "logprobs": False},
        {"top_logprobs": 21, "logprobs": True},
        {"top_logprobs": -1, "logprobs": True},
        {"top_logprobs": "3", "logprobs": True},
        {"top_logprobs": True, "logprobs": True},
    ],
    ids=str,
)
async def test_bad_requests_for_log_probabilities(engine, asked):
    async with ArithmeticServer(engine=engine) as server:
        status, _, text = await _post(server, **asked)
    assert status == 400
    assert "top_logprobs" in json.loads(text)["error"]["message"]


async def test_n_choices_count_the_prompt_once(engine):
    async with ArithmeticServer(engine=engine) as server:
        _, _, text = await _post(server, n=4, temperature=2.0)
    body = json.loads(text)
    contents = [choice["message"]["content"] for choice in body["choices"]]
    assert len(set(contents)) > 1
    assert body["usage"]["prompt_tokens"] == 10
    assert body["usage"]["completion_tokens"] == sum(map(len, contents))
    assert server.log[0].n == 4


async def test_a_stream_holds_the_same_text(engine):
    async with ArithmeticServer(engine=engine) as server:
        _, _, text = await _post(server)
        events = await _events(server, logprobs=True, stream_options={"include_usage": True})
    whole = json.loads(text)
    *chunks, last = events
    deltas = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
    assert "".join(deltas) == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[0]["choices"][0]["logprobs"]["content"][0]["token"] == deltas[0]
    assert (last["choices"], last["usage"]) == ([], whole["usage"])
    assert server.log[1].output_tokens == whole["usage"]["completion_tokens"]


async def test_a_stream_of_several_choices(engine):
    async with ArithmeticServer(engine=engine) as server:
        events = await _events(server, n=3)
    assert {event["choices"][0]["index"] for event in events} == {0, 1, 2}
    assert "usage" not in events[-1]


async def test_max_tokens_and_refusals(engine):
    async with ArithmeticServer(engine=engine) as server:
        short = json.loads((await _post(server, max_completion_tokens=3))[2])
        refused = json.loads((await _post(server, question="Who are you?"))[2])
    assert short["choices"][0]["finish_reason"] == "length"
    assert short["usage"]["completion_tokens"] == 3
    assert refused["choices"][0]["message"]["content"] == REFUSAL


async def test_models():
    async with (
        ArithmeticServer(reply=echo) as server,
        aiohttp.ClientSession() as session,
        session.get(f"{server.url}/models") as response,
    ):
        assert (await response.json())["data"][0]["id"] == "arithmetic-lm"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ("{", 400),
        ("[]", 400),
        ("{}", 400),
        (json.dumps({"model": "arithmetic-lm"}), 400),
        (json.dumps({"model": "arithmetic-lm", "messages": []}), 400),
        (json.dumps({"model": "arithmetic-lm", "messages": [{"role": "user"}]}), 400),
        (json.dumps(_body(n=0)), 400),
        (json.dumps(_body(temperature=-1)), 400),
        (json.dumps(_body(seed="x")), 400),
        (json.dumps({**_body(), "model": "gpt-x"}), 404),
    ],
)
async def test_bad_requests(data, status):
    async with (
        ArithmeticServer(reply=echo) as server,
        aiohttp.ClientSession() as session,
        session.post(f"{server.url}/chat/completions", data=data) as response,
    ):
        assert response.status == status
        error = (await response.json())["error"]
    assert error["message"]
    assert error["type"] == "invalid_request_error"
    assert server.log[0].status == status


async def test_content_parts_are_read():
    async with ArithmeticServer(reply=echo) as server:
        parts = [{"type": "text", "text": "1+"}, {"type": "text", "text": "2"}]
        _, _, text = await _post(server, question=parts)
    assert json.loads(text)["choices"][0]["message"]["content"] == "1+2"


async def test_faults_of_the_schedule():
    faults = Faults(schedule={2: "500", 3: "429", 4: "reset", 5: "garbage"}, retry_after=0.5)
    async with ArithmeticServer(faults=faults, reply=echo) as server:
        assert (await _post(server))[0] == 200
        status, _, text = await _post(server)
        assert (status, json.loads(text)["error"]["type"]) == (500, "server_error")
        status, headers, text = await _post(server)
        assert (status, headers["Retry-After"]) == (429, "0.5")
        assert json.loads(text)["error"]["code"] == "rate_limit_exceeded"
        with pytest.raises(aiohttp.ClientConnectionError):
            await _post(server)
        status, _, text = await _post(server)
        with pytest.raises(ValueError):
            json.loads(text)
        assert (await _post(server))[0] == 200
    assert [r.status for r in server.log] == [200, 500, 429, None, 200, 200]
    assert [r.fault for r in server.log] == [None, "500", "429", "reset", "garbage", None]
    assert [r.disconnected for r in server.log] == [False] * 3 + [True] + [False] * 2


async def test_a_hang_ends_when_the_client_leaves():
    faults = Faults(schedule={1: "hang"})
    async with ArithmeticServer(faults=faults, reply=echo) as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await _post(server)
        await _until(lambda: server.log[0].finished is not None)
    assert (server.log[0].status, server.log[0].disconnected) == (None, True)


async def test_a_client_that_leaves_frees_the_engine(engine):
    faults = Faults(schedule={}, latency=0.0)
    async with (
        ArithmeticServer(engine=engine, faults=faults) as server,
        aiohttp.ClientSession() as session,
    ):
        body = _body(n=100, stream=True)
        response = await session.post(f"{server.url}/chat/completions", json=body)
        await response.content.readany()
        response.close()
        await _until(lambda: server.log[0].finished is not None)
        await _until(lambda: engine.running == 0)
    assert server.log[0].disconnected


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_of_the_engine_ends_the_request(model, monkeypatch, stream):
    def broken(self, *_):
        raise FloatingPointError("broken")

    monkeypatch.setattr(type(model), "step", broken)
    async with ArithmeticServer(engine=Engine(model)) as server:
        async with asyncio.timeout(5):
            with suppress(aiohttp.ClientError):
                await _post(server, stream=stream, n=2)
            await _until(lambda: server.log[0].finished is not None)
    assert server.log[0].status == 500


async def test_disconnects_while_waiting_are_logged():
    async with ArithmeticServer(faults=Faults(latency=30.0), reply=echo) as server:
        task = asyncio.create_task(_post(server))
        await _until(lambda: len(server.log) == 1)
        task.cancel()
        await _until(lambda: server.log[0].disconnected)


async def test_a_server_with_hung_requests_still_closes():
    async with asyncio.timeout(5):
        async with ArithmeticServer(faults=Faults(schedule={1: "hang"}), reply=echo) as server:
            task = asyncio.create_task(_post(server))
            await _until(lambda: len(server.log) == 1)
        with pytest.raises(aiohttp.ClientError):
            await task


async def test_latency_is_waited_for():
    async with ArithmeticServer(faults=Faults(latency=0.1), reply=echo) as server:
        await asyncio.gather(*(_post(server) for _ in range(5)))
    for record in server.log:
        assert 0.1 <= record.finished - record.arrived < 0.6


def test_from_a_thread():
    with ArithmeticServer.in_thread(reply=lambda prompt, number: f"{number}:{prompt}") as server:
        request = urllib.request.Request(
            f"{server.url}/chat/completions",
            json.dumps(_body("5")).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            body = json.load(response)
    assert body["choices"][0]["message"]["content"] == "1:5"
    with pytest.raises(RuntimeError):
        _ = server.url


def test_faults_are_seeded_by_request():
    faults = Faults(rates={"500": 0.3, "429": 0.2}, jitter=1.0, straggler_share=0.1, seed=3)
    drawn = [faults.fault(k) for k in range(1, 2001)]
    assert drawn == [faults.fault(k) for k in range(1, 2001)]
    assert 0.26 < drawn.count("500") / 2000 < 0.34
    assert 0.16 < drawn.count("429") / 2000 < 0.24
    assert faults.delay(4) == faults.delay(4) != faults.delay(5)


def test_stragglers():
    faults = Faults(latency=0.1, straggler_share=0.2, straggler_seconds=5.0)
    slow = sum(faults.delay(k) > 5 for k in range(1, 1001))
    assert 150 < slow < 250
    assert {round(faults.delay(k), 6) for k in range(1, 1001)} == {0.1, 5.1}


def test_sticky_faults_last_until_the_next():
    faults = Faults(schedule={2: "429", 4: "500"}, sticky=True)
    assert [faults.fault(k) for k in range(1, 7)] == [None, "429", "429", "500", "500", "500"]


def test_bad_faults():
    with pytest.raises(ValueError, match="unknown faults"):
        Faults(schedule={1: "explode"})
    with pytest.raises(ValueError, match="more than 1"):
        Faults(rates={"500": 0.6, "429": 0.6})


async def _until(condition, seconds=3.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


WRONG = "37*8=297\n297+56=353\nA:353"


async def test_the_model_is_chosen_by_its_name():
    async with ArithmeticServer() as server, aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}/models") as response:
            names = [card["id"] for card in (await response.json())["data"]]
        _, _, text = await _post(server, model="arithmetic-lm-tiny")
    assert names == ["arithmetic-lm", "arithmetic-lm-skilled", "arithmetic-lm-tiny"]
    assert json.loads(text)["model"] == "arithmetic-lm-tiny"
    assert final_answer(json.loads(text)["choices"][0]["message"]["content"]) is not None


async def test_reasoning_effort():
    async with ArithmeticServer() as server:
        asked = {"model": "arithmetic-lm-skilled", "question": "37*8+56"}
        low = json.loads((await _post(server, reasoning_effort="low", **asked))[2])
        high = json.loads((await _post(server, reasoning_effort="high", **asked))[2])
        refused = [
            await _post(server, reasoning_effort="low"),
            await _post(server, reasoning_effort="extreme", **asked),
            await _post(server, reasoning_effort="low", stream=True),
        ]
    assert low["usage"]["completion_tokens"] < 8 < high["usage"]["completion_tokens"]
    assert [status for status, _, _ in refused] == [400] * 3
    assert "effort" in json.loads(refused[0][2])["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_feedback_on_a_draft_makes_a_new_one(stream):
    messages = [
        {"role": "user", "content": "What is 37*8+56?"},
        {"role": "assistant", "content": WRONG},
        {"role": "user", "content": "Line 1 is wrong."},
    ]
    asked = {"model": "arithmetic-lm-skilled", "messages": messages}
    async with ArithmeticServer() as server:
        if stream:
            events = await _events(server, stream_options={"include_usage": True}, **asked)
            usage = events[-1]["usage"]
        else:
            usage = json.loads((await _post(server, **asked))[2])["usage"]
    assert usage["prompt_tokens"] == len(f"37*8+56=\n{WRONG}\n!1\n") + 1


async def test_small_takes_the_last_message_for_the_question(engine):
    messages = [
        {"role": "user", "content": "What is 37*8+56?"},
        {"role": "assistant", "content": None},
        {"role": "user", "content": "24*7+31"},
    ]
    async with ArithmeticServer(engine=engine) as server:
        usage = json.loads((await _post(server, messages=messages))[2])["usage"]
    assert usage["prompt_tokens"] == len("24*7+31=\n") + 1


async def test_a_client_that_takes_certain_names_only():
    async with (
        ArithmeticServer(names=["gpt-4o-mini"]) as server,
        aiohttp.ClientSession() as session,
    ):
        async with session.get(f"{server.url}/models") as response:
            names = [card["id"] for card in (await response.json())["data"]]
        _, _, text = await _post(server, model="gpt-4o-mini")
        unknown, _, _ = await _post(server, model="gpt-4o")
    assert (names[0], names[-1]) == ("arithmetic-lm", "gpt-4o-mini")
    assert json.loads(text)["model"] == "gpt-4o-mini"
    assert final_answer(json.loads(text)["choices"][0]["message"]["content"]) is not None
    assert unknown == 404


@pytest.mark.parametrize("stream", [False, True])
async def test_a_scripted_reply_calls_a_tool(stream):
    def reply(prompt, number):
        return ToolCall("look_up", {"name": "fig"})

    async with ArithmeticServer(reply=reply) as server:
        _, _, text = await _post(server, stream=stream)
    if stream:
        events = text.removeprefix("data: ").split("\n\ndata: ")
        choice = json.loads(events[0])["choices"][0]
        said = choice["delta"]
        assert len(events) == 2
    else:
        choice = json.loads(text)["choices"][0]
        said = choice["message"]
        assert json.loads(text)["usage"]["completion_tokens"] == len('look_up{"name": "fig"}')
    assert choice["finish_reason"] == "tool_calls"
    assert said["content"] is None
    function = said["tool_calls"][0]["function"]
    assert (function["name"], json.loads(function["arguments"])) == ("look_up", {"name": "fig"})
    assert server.log[0].output_tokens == len('look_up{"name": "fig"}')
