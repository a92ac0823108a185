"""What fails costs one vote and no more, until all fail."""

from __future__ import annotations

import inspect
import json

import pytest
from llama_index.core.response_synthesizers import refine
from openai import APIConnectionError, BadRequestError, NotFoundError

from thinktwice import AllSamplesFailed, Budget

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

FAULTS = [
    "429",
    "500",
    "reset",
    "cut",
    "no choices",
]  # and "garbage", of which engines make nothing


@pytest.mark.parametrize("fault", FAULTS)
async def test_one_fault_among_many(served, chat, all_of, door, faults, fault):  # noqa: PLR0917
    """It is one failed sample, with the client's own exception."""
    with served(schedule={2: fault}, retry_after=None) as server:
        response, result = await door(chat(server), all_of(4))("2 + 2")
        assert len(server.log) == 4
    assert "4" in str(response)
    assert result.agreement == 1.0
    [failed] = [sample.error for sample in result.samples if sample.error is not None]
    assert isinstance(failed, faults[fault])
    assert result.ledger.total.calls == 4


async def test_a_reply_that_nobody_can_read(served, chat, all_of, as_llm):
    """Is one failed sample of an LLM."""
    with served(schedule={2: "garbage"}) as server:
        _, result = await as_llm(chat(server), all_of(4))("2 + 2")
    assert result.agreement == 1.0
    [failed] = [sample.error for sample in result.samples if sample.error is not None]
    assert isinstance(failed, json.JSONDecodeError)


@pytest.mark.skipif(
    "(ValidationError, ValueError" not in inspect.getsource(refine),
    reason="the synthesizers of this llama-index-core let a ValueError out",
)
async def test_what_an_engine_makes_nothing_of(served, chat, all_of, as_engine):
    """LlamaIndex takes such an error for an answer, "Empty Response": it does not vote."""
    with served(schedule={2: "garbage"}) as server:
        response, result = await as_engine(chat(server), all_of(4))("2 + 2")
    assert response.response == "4"
    assert result.agreement == 1.0
    assert [sample.answer for sample in result.samples].count(None) == 1
    assert sorted(entry.status for entry in result.ledger.entries) == ["error", *["ok"] * 3]
    with served(schedule={1: "garbage"}, sticky=True) as server:
        response, _ = await as_engine(chat(server), all_of(2))("2 + 2")
    assert response.response is None
    assert response.source_nodes


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_throughout(served, chat, all_of, door, faults, fault):  # noqa: PLR0917
    """The client's own exception arrives, with what was paid for attached."""
    with served(schedule={1: fault}, sticky=True, retry_after=None) as server:
        with pytest.raises(faults[fault]) as raised:
            await door(chat(server), all_of(2))("2 + 2")
        assert len(server.log) == 2
    assert raised.value.thinktwice_result.ledger.total.calls == 2


@pytest.mark.parametrize(
    ("fault", "billed"),
    [("429", False), ("500", False), ("reset", True), ("cut", True), ("garbage", True)],
)
async def test_what_a_failed_call_takes_of_a_budget(  # noqa: PLR0917 - fixtures
    served, chat, all_of, as_llm, fault, billed
):
    """A refusal nothing; a reply that was lost or that nobody can read, its worst case."""
    with served(schedule={2: fault}, retry_after=None) as server:
        capped = {"budget": Budget(tokens=1000), "max_concurrency": 1}
        _, result = await as_llm(chat(server, max_tokens=50), all_of(2), **capped)("2 + 2")
    failed = next(entry for entry in result.ledger.entries if entry.status == "error")
    assert (failed.usage.source == "estimated") == billed
    assert ((failed.usage.total_tokens or 0) >= 50) == billed


async def test_mixed_faults(served, chat, all_of, door):
    """Types and statuses, and no text of the provider's."""
    with (
        served(schedule={1: "500", 2: "429"}, retry_after=None) as server,
        pytest.raises(AllSamplesFailed) as raised,
    ):
        await door(chat(server), all_of(2))("2 + 2")
    assert "RateLimitError(429)" in str(raised.value)
    assert "Rate limit reached" not in str(raised.value)


async def test_a_model_that_does_not_exist(served, chat, all_of, door):
    """The refusal of the provider arrives, and nothing was billed."""
    with served() as server, pytest.raises(NotFoundError) as raised:
        await door(chat(server, model="gpt-4o"), all_of(2))("2 + 2")
    total = raised.value.thinktwice_result.ledger.total
    assert (total.calls, total.usage.total_tokens or 0) == (2, 0)


async def test_a_setting_that_the_server_refuses(served, chat, all_of, door):
    """Likewise."""
    with served() as server:
        with pytest.raises(BadRequestError):
            await door(chat(server, additional_kwargs={"n": 999}), all_of(2))("2 + 2")
        assert [record.status for record in server.log] == [400, 400]


async def test_no_server(served, chat, all_of, door):
    """What was never sent is not billed."""
    with served() as server:
        llm = chat(server, max_tokens=50)
    with pytest.raises(APIConnectionError) as raised:
        await door(llm, all_of(2), budget=Budget(tokens=1000))("2 + 2")
    assert not raised.value.thinktwice_result.ledger.total.usage.total_tokens


async def test_a_seeded_storm(served, chat, all_of, door):
    """Half of the requests fail, in five ways: the answer is that of those which did not."""
    with served(rates=dict.fromkeys(FAULTS, 1 / 10), seed=1, retry_after=None) as server:
        response, result = await door(chat(server), all_of(24))("2 + 2")
        failing = sum(record.fault is not None for record in server.log)
        assert len(server.log) == 24
    assert sum(sample.error is not None for sample in result.samples) == failing > 6
    assert "4" in str(response)
    assert result.ledger.total.calls == 24
