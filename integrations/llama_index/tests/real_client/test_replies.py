"""What is on the wire, and replies that are other than the API says."""

from __future__ import annotations

import pytest
from arithmetic_lm.failing import OTHER_MODEL
from llama_index.core.base.llms.types import ChatMessage
from llama_index_thinktwice.llm import StrategyLLM

from thinktwice import Budget, Price

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

NAME = "gpt-4o-mini"


async def test_a_vote(served, chat, all_of, door):
    """The ledger holds what the server sent, and the response the summary of it."""
    with served(lambda prompt, number: "four, or 4") as server:
        response, result = await door(chat(server), all_of(3))("2 + 2")
        sent = [record.output_tokens for record in server.log]
    entries = result.ledger.entries
    assert [entry.usage.output_tokens for entry in entries] == sent == [10, 10, 10]
    assert {entry.usage.source for entry in entries} == {"provider"}
    assert {(entry.model, entry.role, entry.status) for entry in entries} == {
        (NAME, "sample", "ok")
    }
    told = getattr(response, "metadata", None) or response.additional_kwargs
    assert told["thinktwice"]["tokens"] == result.ledger.total.usage.total_tokens
    assert told["thinktwice"]["launched"] == 3


async def test_samples_of_an_llm_tell_how_they_ended(served, chat, all_of, as_llm):
    """Finish reason, model and text come from the wire."""
    with served() as server:
        _, result = await as_llm(chat(server), all_of(2))("2 + 2")
    for sample in result.samples:
        assert (sample.finish_reason, sample.model, sample.text) == ("stop", NAME, "4")


async def test_a_reply_without_usage(served, chat, all_of, door):
    """Unknown is not zero: the call counts, and its cost is left open."""
    with served(schedule={2: "no usage"}) as server:
        prices = {NAME: Price(1, 1)}
        _, result = await door(chat(server), all_of(3), prices=prices)("2 + 2")
    sources = sorted(entry.usage.source for entry in result.ledger.entries)
    assert sources == ["missing", "provider", "provider"]
    assert result.ledger.total.unpriced == 1
    assert result.agreement == 1.0


async def test_a_cap_on_tokens_binds_where_no_reply_has_usage(served, chat, all_of, door):
    """By an estimate, which says that it is one."""
    capped = {"budget": Budget(tokens=300), "max_concurrency": 1}
    with served("four, I think", schedule={1: "no usage"}, sticky=True) as server:
        _, result = await door(chat(server, max_tokens=80), all_of(40), **capped)("2 + 2")
        assert 1 <= len(server.log) < 40
    assert result.ledger.estimated.calls == result.ledger.total.calls
    assert result.cut.kind == "tokens"


async def test_a_reply_of_another_model(served, chat, all_of, door):
    """It is booked, and priced, under the name that the provider gives."""
    with served(schedule={2: "other model"}) as server:
        prices = {NAME: Price(1, 1), OTHER_MODEL: Price(1000, 1000)}
        _, result = await door(chat(server), all_of(3), prices=prices)("2 + 2")
    costs = {entry.model: entry.cost for entry in result.ledger.entries}
    assert costs[OTHER_MODEL] == 1000 * costs[NAME]


@pytest.mark.parametrize("fault", ["choices twice", "one choice"])
async def test_another_number_of_choices_than_asked_for(served, chat, all_of, door, fault):
    """One of them is the sample, and the request's usage is counted once."""
    with served(schedule={1: fault}, sticky=True) as server:
        llm = chat(server, additional_kwargs={"n": 2})
        response, result = await door(llm, all_of(2))("2 + 2")
        sent = sum(record.output_tokens for record in server.log)
    assert "4" in str(response)
    assert result.ledger.total.calls == 2
    assert result.ledger.total.usage.output_tokens == sent


async def test_native_n_is_one_request(served, chat, all_of, call):
    """Several samples of one request, whose usage is counted once."""
    with served(lambda prompt, number: "4") as server:
        llm = StrategyLLM(llm=chat(server), strategy=all_of(4), native_n=True)
        response = await call(llm, "chat", [ChatMessage("2 + 2")])
        assert [record.n for record in server.log] == [4]
        sent = server.log[0].output_tokens
    told = response.additional_kwargs["thinktwice"]
    assert (told["launched"], told["tokens"]) == (4, len("2 + 2") + sent)


async def test_a_budget_refuses_before_the_request(served, chat, all_of, as_llm):
    """At the LLM; the server sees exactly what was allowed."""
    with served() as server:
        _, result = await as_llm(chat(server), all_of(8), budget=Budget(calls=3))("2 + 2")
        assert len(server.log) == 3
    assert result.cut.kind == "calls"
