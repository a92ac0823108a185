"""Which messages count as the same answer, and what a reply says of itself."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_thinktwice import vote
from langchain_thinktwice.messages import finish_reason

from thinktwice import AtMost
from thinktwice.answers import default_key, key_function, text_in

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


def _call(name: str, identity: str, **args: object) -> dict[str, object]:
    return {"name": name, "args": args, "id": identity}


def test_tool_calls_count_in_any_order_and_without_ids():
    """Name and arguments are what a tool call is."""
    one = AIMessage("", tool_calls=[_call("a", "1", x=1, y=2), _call("b", "2")], id="m1")
    other = AIMessage("", tool_calls=[_call("b", "3"), _call("a", "4", y=2, x=1)], id="m2")
    assert default_key(one) == default_key(other)
    assert default_key(one) != default_key(AIMessage("", tool_calls=[_call("a", "1", x=1, y=3)]))


def test_tool_calls_come_before_text():
    """What is said beside a call is no part of the action."""
    call = [_call("a", "1")]
    one, other = AIMessage("Let me see.", tool_calls=call), AIMessage("", tool_calls=call)
    assert default_key(one) == default_key(other)


def test_calls_that_do_not_parse_abstain():
    """Their arguments are no JSON."""
    bad = {"name": "a", "args": "{", "id": "1", "error": None, "type": "invalid_tool_call"}
    assert default_key(AIMessage("text", invalid_tool_calls=[bad])) is None


@pytest.mark.parametrize(
    "content",
    [
        "Paris.",
        " paris",
        [{"type": "text", "text": "Paris"}],
        [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "Paris"}],
    ],
    ids=str,
)
def test_text_counts_folded(content):
    """Whatever blocks it is in; an id does not count, nor does the class of the message."""
    assert default_key(AIMessage(content, id="x")) == "paris"
    assert default_key(AIMessageChunk(content)) == "paris"


def test_other_messages_count_by_text():
    """As where a chain ends in one."""
    assert default_key(HumanMessage("Yes.")) == "yes"
    assert default_key({"messages": [HumanMessage("?"), AIMessage("Yes")]}) == "yes"
    assert default_key(AIMessage("")) is None


def test_named_keys_read_messages():
    """The text of a message."""
    message = AIMessage([{"type": "text", "text": "It is 1,004."}])
    assert text_in(message) == "It is 1,004."
    assert key_function("number")(message) == key_function("number")("1004")


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"finish_reason": "stop"}, "stop"),
        ({"finish_reason": "length"}, "length"),
        ({"finish_reason": "MAX_TOKENS"}, "length"),
        ({"finish_reason": "SAFETY"}, "content_filter"),
        ({"stop_reason": "max_tokens"}, "length"),
        ({"stop_reason": "refusal"}, "refusal"),
        ({"stopReason": "guardrail_intervened"}, "content_filter"),
        ({"done_reason": "length"}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"finish_reason": None, "incomplete_details": None}, None),
        ({}, None),
    ],
    ids=str,
)
def test_reasons_to_end_have_one_spelling(metadata, reason):
    """Of all providers."""
    assert finish_reason(metadata) == reason


def _cut(text: str) -> AIMessage:
    tokens = [{"token": text, "logprob": -0.25}]
    metadata = {"finish_reason": "length", "logprobs": {"content": tokens}}
    return AIMessage(text, response_metadata=metadata)


async def test_a_reply_that_was_cut_short_abstains(scripted, call):
    """Also behind a parser, which drops the reason: the last reply of the sample tells it."""
    for chain in (scripted(_cut("b"), _cut("b"), "a"), scripted(_cut("b"), _cut("b"), "a")):
        answer = await call(vote(chain | StrOutputParser(), n=3, stop=AtMost(3)), "?")
        assert answer == "a"
        assert (await call(vote(chain, n=3, stop=AtMost(3)), "?")).text == "a"


async def test_logprobs_behind_a_parser(scripted, call):
    """Reach the sample, for weights and verifiers."""
    chain = vote(scripted(_cut("b")) | StrOutputParser(), n=1, include_result=True)
    [sample] = (await call(chain, "?"))["result"].samples
    assert sample.logprobs == (-0.25,)
    assert sample.text == "b"


async def test_all_abstain(scripted, call):
    """There is no answer, and no error."""
    assert await call(vote(scripted(_cut("b")), n=2), "?") is None
