"""Budgets of an LLM over samples: each call is reserved before it is sent."""

from __future__ import annotations

from contextlib import suppress

import hypothesis
import pytest
from hypothesis.strategies import booleans, integers, lists
from llama_index.core.base.llms import types
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.tools import FunctionTool
from llama_index_thinktwice.accounting.reading import reading
from llama_index_thinktwice.llm import StrategyLLM

from thinktwice import (
    AtMost,
    Budget,
    BudgetExceeded,
    Price,
    UsageError,
    Vote,
    budget_scope,
    collect,
)
from thinktwice.texts import has_media, text_of

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

PRICES = {"fake-1": Price(input="1", output="10")}


_FIXTURES = [hypothesis.HealthCheck.function_scoped_fixture]


def enforcement(response) -> dict[str, str]:
    return response.additional_kwargs["thinktwice"]["enforcement"]


async def test_calls_are_refused_before_they_are_sent(scripted, voting, ask):
    """Three are afforded, and three are sent."""
    inner = scripted("4")
    response = await ask(voting(inner, 8, budget=Budget(calls=3)))
    assert inner.calls == 3
    assert ask.text(response) == "4"
    assert "calls" in response.additional_kwargs["thinktwice"]["stopped_by"]
    assert enforcement(response)["calls"] == "exact"


async def test_nothing_affordable_raises(scripted, voting, ask):
    """With what it was."""
    inner = scripted("4", max_tokens=100)
    with pytest.raises(BudgetExceeded) as caught:
        await ask(voting(inner, budget=Budget(tokens=50)))
    assert caught.value.limit.kind == "tokens"
    assert inner.calls == 0


async def test_or_where_the_best_so_far_is_not_wanted(scripted, voting, question):
    """`on_exhausted="raise"` carries it."""
    llm = voting(scripted("4"), 8, budget=Budget(calls=2), on_exhausted="raise")
    with pytest.raises(BudgetExceeded) as caught:
        await llm.achat(question)
    assert caught.value.result.value.message.content == "4"


async def test_tokens_are_reserved_where_the_most_is_known(scripted, voting, question, call):
    """By the LLM's max_tokens, or that of the call; the cap is never passed."""
    for inner, given in ((scripted("4", max_tokens=5), {}), (scripted("4"), {"max_tokens": 5})):
        response = await call(voting(inner, 8, budget=Budget(tokens=60)), "chat", question, **given)
        assert 1 <= inner.calls < 8
        assert enforcement(response)["tokens"] == "reserved"
        assert response.additional_kwargs["thinktwice"]["tokens"] <= 60


async def test_cost_is_reserved_where_the_price_is_known(scripted, voting, question, call):
    """In dollars."""
    inner = scripted("4", max_tokens=5)
    budget = Budget(cost="0.0003")
    response = await call(voting(inner, 8, budget=budget, prices=PRICES), "chat", question)
    assert 1 <= inner.calls < 8
    assert enforcement(response)["cost"] == "reserved"
    assert response.additional_kwargs["thinktwice"]["cost"] <= 0.0003


async def test_strict_budgets_can_be_kept(scripted, voting, question, call):
    """What this door alone can do; they refuse what has no bound."""
    budget = Budget(tokens=200, strict=True)
    assert (await call(voting(scripted("4", max_tokens=5), budget=budget), "chat", question)).raw
    inner = scripted("4")
    with pytest.raises(UsageError, match="max tokens"):
        await call(voting(inner, budget=budget), "chat", question)
    assert inner.calls == 0


async def test_unknown_sizes_are_estimated(scripted, voting, question):
    """And the summary says so."""
    response = await voting(scripted("4"), budget=Budget(tokens=10_000)).achat(question)
    assert enforcement(response)["tokens"] == "estimated"


async def test_tools_count_as_what_is_read(scripted, voting, question):
    """A cap that the messages alone would fit into refuses the call."""

    def convert(amount: float, currency: str) -> str:
        """Convert an amount of money to another currency at the rate of the day."""
        return f"{amount} {currency}"

    tools = [FunctionTool.from_defaults(convert)]
    inner = scripted("4", max_tokens=5)
    llm = voting(inner, budget=Budget(tokens=100))
    await llm.achat(question)
    assert inner.calls
    sent = inner.calls
    with pytest.raises(BudgetExceeded):
        await llm.achat_with_tools(tools, chat_history=list(question))
    assert inner.calls == sent


async def test_images_have_no_bound(scripted, voting):
    """Their tokens are not those of their bytes, so a strict budget refuses them."""
    message = ChatMessage(blocks=[TextBlock(text="?"), ImageBlock(url="https://example.org/a.png")])
    llm = voting(scripted("4", max_tokens=5), budget=Budget(tokens=1000, strict=True))
    with pytest.raises(UsageError, match="strict"):
        await llm.achat([message])


def test_what_a_call_reads():
    """All of the messages, tool calls as well; what it is sent besides."""
    spoken = ChatMessage("Adding.", role="assistant")
    legacy = ChatMessage(None, role="assistant", additional_kwargs={"tool_calls": [{"id": "77"}]})
    read = reading([spoken, legacy], {"tools": [{"name": "add_tool"}], "temperature": 1})
    text = text_of(read)
    assert all(each in text for each in ("assistant: Adding.", "77", "add_tool"))
    assert "temperature" not in text
    assert not has_media(read)
    assert reading("2 + 2", {}) == "2 + 2"
    assert "schema" in text_of(reading("2 + 2", {"response_format": {"schema": {}}}))


@pytest.mark.skipif(not hasattr(types, "ToolCallBlock"), reason="of later releases")
def test_blocks_of_tool_calls_are_read():
    """Their names and arguments."""
    call = types.ToolCallBlock(tool_call_id="1", tool_name="add", tool_kwargs={"a": 1})
    spoken = ChatMessage(blocks=[TextBlock(text="Adding."), call], role="assistant")
    assert '"add"' in text_of(reading([spoken], {}))


async def test_the_budget_of_a_workflow_binds(scripted, voting, question, call):
    """All calls inside `budget_scope` together."""
    inner = scripted("4")
    with budget_scope(Budget(calls=4)) as scope:
        await call(voting(inner), "chat", question)
        await call(voting(inner), "chat", question)
    assert inner.calls == scope.total.calls == 4


@hypothesis.settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=_FIXTURES,
)
@hypothesis.given(
    n=integers(1, 9),
    cap=integers(1, 9),
    fails=lists(booleans(), min_size=1, max_size=5).filter(lambda each: not all(each)),
)
def test_the_books_have_each_call_once(scripted, voting, n, cap, fails):
    """However many fail: those that were sent, and no more than the cap."""
    inner = scripted(*(ConnectionError("down") if bad else "4" for bad in fails))
    with collect() as results, suppress(ConnectionError, BudgetExceeded):
        voting(inner, n, budget=Budget(calls=cap)).chat([ChatMessage("2 + 2")])
    [result] = results
    assert inner.calls == result.ledger.total.calls == len(result.ledger.entries)
    assert inner.calls <= min(n, cap)
    answered = [each for each in result.ledger.entries if each.status == "ok"]
    assert sum(each.usage.total_tokens for each in answered) == 10 * len(answered)


def test_a_budget_may_be_required(scripted, voting, question):
    """Then a request without one is refused."""
    with pytest.raises(UsageError, match="requires"):
        voting(scripted("4"), require_budget=True).chat(question)
    with budget_scope(Budget(calls=9)):
        assert voting(scripted("4"), require_budget=True).chat(question)


async def test_failed_calls_are_counted(scripted, question):
    """Their tokens are no fact."""
    inner = scripted("4", ConnectionError("down"))
    with collect() as results:
        await StrategyLLM(llm=inner, strategy=Vote(2, stop=AtMost(2))).achat(question)
    [result] = results
    assert {each.status for each in result.ledger.entries} == {"ok", "error"}
    assert result.ledger.total.calls == 2
    [failed] = [each for each in result.ledger.entries if each.status == "error"]
    assert failed.usage.source != "provider"


async def test_the_model_is_known_to_the_books(scripted, voting, question, call):
    """By its name, or that which the caller asks for."""
    with collect() as results:
        await call(voting(scripted("4", reports=False)), "chat", question)
        await call(voting(scripted("4", reports=False)), "chat", question, model="fake-2")
    asked = [{each.model for each in result.ledger.entries} for result in results]
    assert asked[0] == {"fake-1"}
