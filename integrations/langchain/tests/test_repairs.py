"""Checking a draft and putting it right, around Runnables."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_thinktwice import (
    RunnableRetriever,
    critique_repair,
    tool_check,
    vote,
    with_strategy,
)
from pydantic import BaseModel

from thinktwice import Budget, CritiqueRepair, ToolCheck, UsageError, Verdict, Vote
from thinktwice.verifiers.calculator import Calculator

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


def is_12(value):
    """A check that says what is wrong."""
    text = value if isinstance(value, str) else str(value.text)
    if "12" in text:
        return Verdict(outcome="pass")
    return Verdict(outcome="fail", feedback="3 * 4 is 12")


is_12.exact = True


@tool
def at_least_ten(text: str) -> bool:
    """Whether the number is at least 10."""
    return int(text) >= 10


async def test_a_wrong_draft_is_revised(call, scripted):
    """The model sees its draft and what was wrong with it, as turns."""
    model = scripted("13", "12")
    message = await call(critique_repair(model, is_12), "3 * 4?")
    assert message.text == "12"
    assert model.calls == 2
    assert model.log[1]["text"].endswith("13\n3 * 4 is 12") or "3 * 4 is 12" in str(model.log[1])


async def test_a_right_draft_costs_one_call(call, scripted):
    """And one verdict."""
    model = scripted("12", "never")
    out = await call(critique_repair(model, is_12, include_result=True), "3 * 4?")
    assert out["value"].text == "12"
    assert model.calls == 1
    assert out["result"].ledger.total.calls == 1
    assert [verdict.outcome for verdict in out["result"].verdicts] == ["pass"]


async def test_a_chain_with_a_place_for_feedback(call, scripted):
    """Its input and output types stay."""
    template = ChatPromptTemplate.from_messages(
        [("user", "{a} * {b}?"), MessagesPlaceholder("feedback", optional=True)]
    )
    model = scripted("13", "12")
    chain = critique_repair(template | model | StrOutputParser(), is_12)
    assert await call(chain, {"a": 3, "b": 4}) == "12"
    assert model.calls == 2


def test_a_chain_without_a_place_is_refused(scripted):
    """As it is wrapped, with the ways out."""
    chain = ChatPromptTemplate.from_template("{a} * {b}?") | scripted("12")
    with pytest.raises(UsageError, match="MessagesPlaceholder"):
        critique_repair(chain, is_12)
    with pytest.raises(UsageError, match="MessagesPlaceholder"):
        tool_check(chain, is_12)
    tool_check(chain, is_12, on_fail="reject")


async def test_an_input_without_a_place_is_refused_before_it_costs(call, scripted):
    """What stands behind a function cannot be seen earlier."""
    model = scripted("13", "12")
    chain = RunnableLambda(lambda given: given["q"]) | model
    with pytest.raises(UsageError, match="no place for feedback"):
        await call(critique_repair(chain, is_12), {"q": "3 * 4?"})
    assert model.calls == 0


async def test_the_model_of_the_chain_criticises_where_nobody_else_does(call, scripted):
    """Self-refine: the critic is the one chat model, and its calls are critiques."""
    model = scripted("13", '{"issue": "3 * 4 is 12"}', '{"issue": "3 * 4 is 12"}', "12")
    model.replies += ['{"issue": null}', '{"issue": null}']
    chain = model | StrOutputParser()
    out = await call(critique_repair(chain, include_result=True), "3 * 4?")
    assert out["value"] == "12"
    roles = out["result"].ledger.by_role
    assert roles["critique"].calls == model.calls - 2
    assert any("no gain" in warning for warning in out["result"].warnings)


async def test_another_model_can_be_the_critic(call, scripted):
    """Then the first one is asked for answers alone."""
    model, critic = scripted("13", "12"), scripted('{"issue": null}')
    chain = model | StrOutputParser()
    assert await call(critique_repair(chain, critic=critic), "3 * 4?") == "13"
    assert (model.calls, critic.calls) == (1, 1)


async def test_a_budget_ends_a_repair_with_the_draft(call, scripted):
    """What was paid for is returned."""
    chain = critique_repair(scripted("13", "12"), is_12, budget=Budget(calls=1))
    assert (await call(chain, "3 * 4?")).text == "13"


async def test_a_tool_of_langchain_checks(call, scripted):
    """It is a Runnable of the output."""
    model = scripted("7", "12")
    chain = tool_check(model | StrOutputParser(), at_least_ten)
    assert await call(chain, "3 * 4?") == "12"


async def test_a_computed_value_is_put_in(call, scripted):
    """And shown, in the text alone."""
    model = scripted("3 * 4 = 13\nThe answer is 13")
    chain = tool_check(
        model | StrOutputParser(), Calculator(), on_fail="inject", include_result=True
    )
    out = await call(chain, "3 * 4?")
    assert out["value"] == "3 * 4 = 12\nThe answer is 12"
    assert out["result"].changes
    assert model.calls == 1


async def test_a_message_keeps_its_type_where_a_value_is_put_in(call, scripted):
    """A correction of a message changes its text."""
    chain = tool_check(scripted("3 * 4 = 13"), Calculator(), on_fail="inject")
    message = await call(chain, "3 * 4?")
    assert isinstance(message, AIMessage)
    assert message.text == "3 * 4 = 12"


async def test_a_rejected_answer_is_none(call, scripted):
    """So that the caller cannot miss it."""
    chain = tool_check(scripted("13") | StrOutputParser(), is_12, on_fail="reject")
    assert await call(chain, "3 * 4?") is None


async def test_a_structured_answer_is_revised(call, scripted):
    """The draft is shown as data."""

    class Product(BaseModel):
        value: int

    def call_of(number):
        call = {"name": "Product", "args": {"value": number}, "id": "1"}
        return AIMessage("", tool_calls=[call])

    model = scripted(call_of(13), call_of(12))
    chain = critique_repair(model.with_structured_output(Product), lambda value: value.value == 12)
    assert (await call(chain, "3 * 4?")).value == 12


async def test_a_vote_of_repaired_samples(call, scripted):
    """Each vote is a run of the strategy inside."""
    model = scripted("13", "12")
    chain = with_strategy(model, Vote(3, prefer="cost", of=CritiqueRepair(is_12)))
    assert (await call(chain, "3 * 4?")).text == "12"


async def test_around_a_vote(call, scripted):
    """The draft is what was voted for."""
    model = scripted("13", "13", "13", "12", "12", "12")
    chain = critique_repair(vote(model, 3, prefer="cost"), is_12)
    assert (await call(chain, "3 * 4?")).text == "12"


async def test_messages_as_input(call, scripted):
    """They go on."""
    model = scripted("13", "12")
    given = [HumanMessage("3 * 4?")]
    assert (await call(critique_repair(model, is_12), given)).text == "12"


async def test_a_batch_is_a_repair_of_each(scripted):
    """As for every wrapper."""
    chain = critique_repair(RunnableLambda(lambda text: text[:2]), is_12)
    assert await chain.abatch(["12", "12"]) == ["12", "12"]


async def test_a_retriever_is_one_of_the_core(call):
    """It is called as the request came in."""
    from langchain_core.documents import Document

    found = RunnableRetriever(RunnableLambda(lambda query: [Document(query)]))
    assert [each.page_content for each in await found("x")] == ["x"]


async def test_a_key_is_set_on_whatever_strategy(call, scripted):
    """Also on one that takes its tools by place."""
    chain = with_strategy(scripted("x = 12"), ToolCheck(is_12), key="number", include_result=True)
    assert (await call(chain, "3 * 4?"))["result"].answer == 12


async def test_what_a_check_wants_stands_in_its_docstring(scripted, call):
    """And so in what the model is told."""
    model = scripted("4", "3")

    def in_stock(message) -> bool:
        """Order no more than 3 chairs.

        There are no more.
        """
        return message.text == "3"

    assert (await call(tool_check(model, in_stock), "How many?")).text == "3"
    assert model.log[1]["text"] == 'The check "in_stock" failed: Order no more than 3 chairs.'
