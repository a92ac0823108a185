"""Structured output of an LLM over samples: votes on what is parsed."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index_thinktwice.llm import StrategyLLM
from pydantic import BaseModel

from thinktwice import AtMost, BestOfN, Vote, collect

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


class Sum(BaseModel):
    """A sum."""

    total: int
    currency: str = "EUR"


def prompt() -> PromptTemplate:
    """A new one: LlamaIndex leaves its output parser on what it is given."""
    return PromptTemplate("What is {x}?")


async def test_by_tool_calls(scripted, voting, asks_tools, call):
    """Those that come to the same object are the same answer; the others are outvoted."""
    replies = [
        asks_tools(("Sum", {"total": 4, "currency": "USD"})),
        asks_tools(("Sum", {"total": 5})),
        asks_tools(("Sum", {"currency": "EUR", "total": "5"})),  # by default, and from a text
    ]
    inner = scripted(*replies)
    with collect() as results:
        made = await call(voting(inner), "structured_predict", Sum, prompt(), x="2 + 3")
    assert made == Sum(total=5)
    assert results[0].agreement == pytest.approx(2 / 3)
    assert len(inner.log) == 3
    assert inner.log[0]["kwargs"]["tools"][0]["function"]["name"] == "Sum"


async def test_calls_that_are_no_object_abstain(scripted, voting, asks_tools, call):
    """Though they are the most."""
    broken = asks_tools(("Sum", {"total": "many"}))
    inner = scripted(broken, broken, asks_tools(("Sum", {"total": 5})))
    made = await call(voting(inner), "structured_predict", Sum, prompt(), x="2 + 3")
    assert made == Sum(total=5)


@pytest.mark.parametrize("is_chat", [True, False])
async def test_by_texts(scripted, voting, call, is_chat):
    """Of an LLM that calls no functions: as JSON, whatever is written around it."""
    inner = scripted(
        '{"total": 4}',
        '{"total": 5, "currency": "EUR"}',
        'Here:\n```json\n{"currency":"EUR",\n "total":5}\n```',
        function_calling=False,
        is_chat=is_chat,
    )
    llm = voting(inner)
    assert not llm.metadata.is_function_calling_model
    assert await call(llm, "structured_predict", Sum, prompt(), x="2 + 3") == Sum(total=5)
    assert {each["method"].removeprefix("a") for each in inner.log} == {
        "chat" if is_chat else "complete"
    }


async def test_streams_have_the_whole_object(scripted, voting, asks_tools):
    """At once, and in the end."""
    llm = voting(scripted(asks_tools(("Sum", {"total": 5}))))
    assert [m.total for m in llm.stream_structured_predict(Sum, prompt(), x="?")] == [5]
    stream = await llm.astream_structured_predict(Sum, prompt(), x="?")
    assert [made.total async for made in stream] == [5]


async def test_as_a_structured_llm(scripted, voting, asks_tools, question, call):
    """Its answers are objects, and JSON of them."""
    llm = voting(scripted(asks_tools(("Sum", {"total": 5})))).as_structured_llm(Sum)
    response = await call(llm, "chat", question)
    assert response.raw == Sum(total=5)
    assert response.message.content == '{"total":5,"currency":"EUR"}'


async def test_a_key_of_the_user_stays(scripted, asks_tools, call):
    """What tells answers apart is theirs to say."""
    seen = []

    def by_currency(response: Any) -> str:
        seen.append(response)
        return response.message.additional_kwargs["tool_calls"][0]["function"]["arguments"][-6:]

    inner = scripted(asks_tools(("Sum", {"total": 4})), asks_tools(("Sum", {"total": 5})))
    strategy = Vote(2, stop=AtMost(2), key=by_currency)
    llm = StrategyLLM(llm=inner, strategy=strategy)
    assert await call(llm, "structured_predict", Sum, prompt(), x="?")
    assert len(seen) >= 2


async def test_verifiers_get_the_response(scripted, asks_tools, call):
    """With the calls in it."""

    def largest(response: Any) -> float:
        arguments = response.message.additional_kwargs["tool_calls"][0]["function"]["arguments"]
        return 0.9 if "5" in arguments else 0.1

    inner = scripted(asks_tools(("Sum", {"total": 4})), asks_tools(("Sum", {"total": 5})))
    llm = StrategyLLM(llm=inner, strategy=BestOfN(2, verifier=largest))
    assert await call(llm, "structured_predict", Sum, prompt(), x="?") == Sum(total=5)


async def test_nothing_of_the_caller_is_changed(scripted, voting, asks_tools, call):
    """Neither keyword arguments nor the LLM or the strategy."""
    inner = scripted(asks_tools(("Sum", {"total": 5})))
    llm = voting(inner)
    given, strategy = {"temperature": 0.5}, llm.strategy
    await call(llm, "structured_predict", Sum, prompt(), given, x="?")
    assert given == {"temperature": 0.5}
    assert inner.log[0]["kwargs"]["temperature"] == 0.5
    assert llm.strategy is strategy
    assert strategy.key is None
    assert not {"chat", "achat"} & set(vars(inner))


async def test_prompts_of_messages_and_a_system_prompt(scripted, asks_tools, voting, call):
    """That of the LLM goes before."""
    inner = scripted(asks_tools(("Sum", {"total": 5})), function_calling=False)
    inner.system_prompt = "Be brief."
    inner.replies = ['{"total": 5}']
    chat = ChatPromptTemplate.from_messages([("user", "What is {x}?")])
    await call(voting(inner), "structured_predict", Sum, chat, x="2 + 3")
    roles = [each.role.value for each in inner.log[0]["given"]]
    assert roles == ["system", "user"]


async def test_predict_uses_the_prompts_of_the_llm(scripted, voting, call):
    """Its system prompt, and its output parser."""
    inner = scripted("4")
    inner.system_prompt = "Be brief."
    assert await call(voting(inner), "predict", prompt(), x="2 + 2") == "4"
    assert [each.content for each in inner.log[0]["given"]] == ["Be brief.", "What is 2 + 2?"]
