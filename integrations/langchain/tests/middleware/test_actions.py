"""What tells two proposals apart, and what becomes of a response: without an agent."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain.agents.middleware import ModelResponse
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_thinktwice.middleware.actions import (
    StepKey,
    StepMessage,
    refused,
    response_of,
    step_message,
)

from thinktwice.answers import default_key, text_in, with_text
from thinktwice.before import Action, Decision

ARGS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 3) | st.text(max_size=2), max_size=3)
CALLS = st.lists(st.tuples(st.sampled_from(["pay", "ask"]), ARGS), min_size=1, max_size=4)


def proposal(calls: list[tuple[str, Any]], first_id: int = 0, text: str = "") -> AIMessage:
    """A message with these calls, their ids counted from a number."""
    made = [
        {"name": name, "args": args, "id": f"call-{first_id + at}"}
        for at, (name, args) in enumerate(calls)
    ]
    return AIMessage(text, tool_calls=made)


def step(*messages: Any, structured: Any = None, **details: Any) -> StepMessage:
    """What a strategy sees of a response."""
    return step_message(ModelResponse(list(messages), structured), **details)


@given(calls=CALLS, data=st.data())
def test_an_action_is_its_calls_in_any_order(calls, data):
    """Ids and the order of calls and arguments change nothing."""
    mixed = [
        (name, dict(reversed(args.items()))) for name, args in data.draw(st.permutations(calls))
    ]
    assert default_key(step(proposal(calls))) == default_key(step(proposal(mixed, 50, text="Hm.")))


@given(calls=CALLS, other=CALLS)
def test_other_calls_are_another_action(calls, other):
    """Equal keys mean equal calls."""
    same = default_key(step(proposal(calls))) == default_key(step(proposal(other)))
    assert same == (sorted(map(repr, map(plain, calls))) == sorted(map(repr, map(plain, other))))


def plain(call: tuple[str, dict[str, Any]]) -> Any:
    """A call, with its arguments in one order."""
    return call[0], sorted(call[1].items())


def test_a_key_of_a_model_alone_is_that_of_its_step():
    """So that the same verifier or key serves a model and an agent."""
    for message in (AIMessage("It is 5."), proposal([("pay", {"to": "Ada"})])):
        assert default_key(step(message)) == default_key(message)


def test_calls_that_cannot_be_read_abstain():
    """As everywhere."""
    broken = {"name": "pay", "args": "{", "id": "1", "error": None}
    assert default_key(step(AIMessage("", invalid_tool_calls=[broken]))) is None


@pytest.mark.parametrize("key", ["number", "text", lambda message: "anything"])
async def test_what_is_invalid_abstains_under_any_key(key):
    """Refused, or structured output that could not be read."""
    message = proposal([("pay", {"euros": 5})])
    answer = ToolMessage("Error", tool_call_id="call-0")
    assert await StepKey(key)(step(message, refusals=("no",))) is None
    assert await StepKey(key)(step(message, answer)) is None


async def test_a_key_by_name_is_for_answers():
    """Tool calls and structured responses have the keys that they have without one."""
    calling, structured = (
        proposal([("pay", {"euros": 5})]),
        step(AIMessage(""), structured={"a": 1}),
    )
    assert await StepKey("number")(step(AIMessage("It is 5."))) == 5
    assert await StepKey("number")(step(calling)) == default_key(calling)
    assert await StepKey("number")(structured) == default_key(structured) is not None


def test_its_text_is_what_it_says_and_would_do():
    """For judges and for the draft that a repair shows."""
    message = proposal([("pay", {"to": "Ada", "euros": 5})], text="Well then.")
    assert text_in(step(message)) == 'Well then.\npay({"euros":5,"to":"Ada"})'
    assert text_in(step(AIMessage("Done."))) == "Done."


def test_a_response_comes_back_whole():
    """With what strategies noted on the message, and the answers to its structured output."""
    said, answer = proposal([("Debt", {"euros": 5})]), ToolMessage("ok", tool_call_id="call-0")
    message = step(said, answer, structured={"euros": 5})
    noted = message.model_copy(update={"response_metadata": {"thinktwice": {"launched": 3}}})
    response = response_of(noted)
    assert response.structured_response == {"euros": 5}
    assert response.result[1] is answer
    assert type(response.result[0]) is AIMessage
    assert response.result[0].response_metadata == {"thinktwice": {"launched": 3}}
    assert said.response_metadata == {}


def test_a_changed_text_comes_back():
    """As of a correction; the calls stay."""
    message = step(proposal([("pay", {})], text="2 + 2 = 5"))
    changed = with_text(message, "2 + 2 = 4")
    assert isinstance(changed, StepMessage)
    result = response_of(changed).result[0]
    assert (result.text, len(result.tool_calls)) == ("2 + 2 = 4", 1)


def test_an_id_of_the_conversation_is_not_taken_again():
    """It would replace the earlier message in the state."""
    message = step(AIMessage("Hi.", id="1"))
    assert response_of(message).result[0].id == "1"
    again = response_of(message, known=[HumanMessage("?", id="0"), AIMessage("Ho.", id="1")])
    assert again.result[0].id not in {"0", "1", None}


def test_a_response_without_a_message_of_the_model_abstains_and_stays_as_it_is():
    """Another middleware may have answered in the model's place."""
    response = ModelResponse([HumanMessage("?")])
    message = step_message(response)
    assert default_key(message) is None
    assert response_of(message) is response


def test_a_refusal_answers_every_open_call():
    """And leaves what was answered; the model's message itself is not touched."""
    said = proposal([("Debt", {}), ("pay", {"euros": 500}), ("ask", {})])
    said.tool_calls[2]["id"] = None
    before = copy.deepcopy(said)
    response = ModelResponse([said, ToolMessage("ok", tool_call_id="call-0")])
    decisions = [
        Decision(allowed=False, action=Action("pay", {}), reasons=("too much",)),
        Decision(allowed=True, action=Action("ask", {})),
    ]
    made = refused(response, decisions).result
    assert said == before
    calls, answers = made[0].tool_calls, made[1:]
    assert [each["id"] for each in calls] == [each.tool_call_id for each in answers]
    assert "too much" in answers[1].text
    assert [each.status for each in answers] == ["success", "error", "error"]


def test_it_knows_what_the_model_could_choose_from():
    """And why it was refused."""
    assert step(AIMessage("Hi.")).tools == ()
    assert step(AIMessage("Hi."), tools=[{"name": "web"}]).tools == [{"name": "web"}]
    assert step(AIMessage("Hi."), refusals=("no",)).refusals == ("no",)
