"""What is on the wire, and replies that are other than the API says."""

from __future__ import annotations

import json

import httpx
import pytest
from arithmetic_lm.failing import OTHER_MODEL
from langchain_core.output_parsers import StrOutputParser
from langchain_thinktwice import vote
from pydantic import BaseModel

from thinktwice import Budget, Price, collect

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


class Answer(BaseModel):
    """What is asked for."""

    value: int


async def test_a_vote(served, chat, drawing, call):
    """Usage, finish reason, model name and log-probabilities come from the wire."""
    with served() as server:
        result = (await call(drawing(chat(server, logprobs=True), 3), "2 + 2"))["result"]
        assert len(server.log) == 3
    assert result.value.text == "4"
    assert result.ledger.total.usage.source == "provider"
    assert result.ledger.total.usage.output_tokens == 3
    [sample, *_] = result.samples
    assert sample.model == "arithmetic-lm"
    assert sample.finish_reason == "stop"
    assert sample.logprobs == (0.0,)


async def test_options_on_the_wire(served, chat, drawing, call):
    """They are in the request, and several choices of one request are one call."""
    with served() as server:
        chain = chat(server) | StrOutputParser()
        options = {"temperature": 0.7, "n": 2}
        result = (await call(drawing(chain, 2, options=options), "2 + 2"))["result"]
        assert [record.n for record in server.log] == [2, 2]
    assert result.ledger.total.calls == 2


async def test_structured_output(served, chat, drawing, call):
    """As the client parses it."""
    with served(json.dumps({"value": 4})) as server:
        model = chat(server).with_structured_output(Answer, method="json_mode", include_raw=True)
        answer = await call(drawing(model, 2), "2 + 2 in JSON")
    assert answer["value"]["parsed"] == Answer(value=4)


async def test_structured_output_of_another_shape_abstains(served, chat, drawing, call):
    """It is paid for, and has no vote."""

    def reply(prompt, number):
        return json.dumps({"value": 4} if number != 2 else {"sum": 5})

    with served(reply) as server:
        model = chat(server).with_structured_output(Answer, method="json_mode", include_raw=True)
        result = (await call(drawing(model, 3), "2 + 2 in JSON"))["result"]
    assert sorted(sample.answer is None for sample in result.samples) == [False, False, True]
    assert result.ledger.total.usage.input_tokens == 3 * len("2 + 2 in JSON")


async def test_calls_refused_on_the_wire(served, chat, drawing, call):
    """What the budget does not afford is never sent."""
    with served() as server:
        chain = chat(server, max_tokens=20) | StrOutputParser() | chat(server, max_tokens=20)
        capped = drawing(chain, 3, budget=Budget(calls=3), max_concurrency=1)
        result = (await call(capped, "2 + 2"))["result"]
        assert len(server.log) == 3
    assert result.cut is not None


async def test_a_reply_without_usage(served, chat, drawing, call):
    """Unknown is not zero: the call counts, and its cost is left open."""
    with served(schedule={2: "no usage"}) as server:
        prices = {"arithmetic-lm": Price(1, 1)}
        result = (await call(drawing(chat(server), 3, prices=prices), "2 + 2"))["result"]
    sources = sorted(entry.usage.source for entry in result.ledger.entries)
    assert sources == ["missing", "provider", "provider"]
    assert result.ledger.total.unpriced == 1
    assert result.agreement == 1.0


async def test_a_cap_on_tokens_binds_where_no_reply_has_usage(served, chat, drawing, call):
    """By an estimate, which says that it is one."""
    with served("four, I think", schedule={1: "no usage"}, sticky=True) as server:
        capped = drawing(chat(server), 8, budget=Budget(tokens=30))
        result = (await call(capped, "2 + 2"))["result"]
        assert 1 <= len(server.log) < 8
    assert result.ledger.estimated.calls == result.ledger.total.calls
    assert result.cut.kind == "tokens"


async def test_a_reply_of_another_model(served, chat, drawing, call):
    """It is booked, and priced, under the name that the provider gives."""
    with served(schedule={2: "other model"}) as server:
        prices = {"arithmetic-lm": Price(1, 1), OTHER_MODEL: Price(1000, 1000)}
        result = (await call(drawing(chat(server), 3, prices=prices), "2 + 2"))["result"]
    costs = {entry.model: entry.cost for entry in result.ledger.entries}
    assert costs[OTHER_MODEL] == 1000 * costs["arithmetic-lm"]
    assert sorted(sample.model for sample in result.samples) == [
        OTHER_MODEL,
        *["arithmetic-lm"] * 2,
    ]


@pytest.mark.parametrize("fault", ["choices twice", "one choice"])
async def test_another_number_of_choices_than_asked_for(served, chat, drawing, call, fault):
    """One of them is the sample, and the request's usage is counted once."""
    with served(schedule={1: fault}, sticky=True) as server:
        asked = drawing(chat(server).bind(n=2), 2)
        result = (await call(asked, "2 + 2"))["result"]
        sent = sum(record.output_tokens for record in server.log)
    assert [sample.answer for sample in result.samples] == ["4", "4"]
    assert result.ledger.total.calls == 2
    assert result.ledger.total.usage.output_tokens == sent


async def test_a_reply_without_choices(served, chat, drawing, call):
    """It is a failed sample, and paid for."""
    with served(schedule={2: "no choices"}) as server:
        result = (await call(drawing(chat(server), 3), "2 + 2"))["result"]
    assert [type(s.error) for s in result.samples if s.error] == [IndexError]
    assert result.ledger.total.usage.output_tokens == 3
    assert result.value.text == "4"


@pytest.mark.parametrize("streamed", [False, True])
async def test_azure_has_prices_of_its_own(served, streamed):
    """Its messages are in OpenAI's format, and say so; discounts are agreed on with who serves."""
    azure = pytest.importorskip("langchain_openai").AzureChatOpenAI

    async def route(request):
        request.url = request.url.copy_with(path="/v1/chat/completions")

    hooks = {"request": [route]}
    prices = {"azure/*": Price(1, 2), "openai/*": Price(100, 200)}
    with served() as server, collect() as results:
        async with httpx.AsyncClient(event_hooks=hooks) as client:
            settings = {"azure_endpoint": server.url, "api_key": "none", "api_version": "1"}
            model = azure(model="arithmetic-lm", http_async_client=client, **settings)
            drawn = vote(model, n=1, prices=prices)
            if streamed:
                [chunk async for chunk in drawn.astream("2 + 2")]
            else:
                await drawn.ainvoke("2 + 2")
    (entry,) = results[0].ledger.entries
    assert entry.provider == "azure"
    assert entry.cost == prices["azure/*"].of(entry.usage)
