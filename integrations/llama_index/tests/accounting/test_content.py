"""Prompts and completions of LLM calls: only where the user has asked for them."""

from __future__ import annotations

import json

import pytest
from llama_index.core.base.llms import types
from llama_index.core.base.llms.types import ChatMessage, ChatResponse

from integrations.llama_index.tests.accounting.conftest import MESSAGES
from thinktwice.testing import captured_spans

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
METHODS = ["chat", "complete", "stream_chat", "stream_complete"]
pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


async def leaves(drawer, llm, method):
    """The attributes of the leaves."""
    with captured_spans() as spans:
        await drawer.ask(llm, method)
    return [span.attributes for span in spans if span.name.startswith("chat ")]


@pytest.mark.parametrize("method", METHODS)
async def test_off_by_default(drawer, one_method, method):
    """Nothing of them is anywhere."""
    found = await leaves(drawer, one_method(), method)
    assert len(found) == 2
    assert "Hello" not in str([*map(dict, found)])
    assert not [name for each in found for name in each if "messages" in name]


@pytest.mark.parametrize("method", METHODS)
async def test_on_the_leaf_of_each_call(drawer, one_method, method, monkeypatch):
    """What it was asked, and what it answered."""
    monkeypatch.setenv(CAPTURE, "SPAN_ONLY")
    found = await leaves(drawer, one_method(), method)
    assert len(found) == 2
    for leaf in found:
        (asked,) = json.loads(leaf["gen_ai.input.messages"])
        assert asked["role"] == "user"
        assert asked["parts"] == [{"type": "text", "content": MESSAGES[0].content}]
        (answered,) = json.loads(leaf["gen_ai.output.messages"])
        assert answered["parts"][0]["content"] == "a b"


@pytest.mark.skipif(not hasattr(types, "ToolCallBlock"), reason="of later releases")
async def test_tool_calls_are_written(drawer, scripted, monkeypatch):
    """As parts of the message, which has no text then."""
    monkeypatch.setenv(CAPTURE, "SPAN_ONLY")
    arguments = {"city": "Rome"}
    block = types.ToolCallBlock(tool_call_id="c1", tool_name="weather", tool_kwargs=arguments)
    message = ChatMessage(role="assistant", blocks=[block])
    leaf, *_ = await leaves(drawer, scripted(ChatResponse(message=message)), "chat")
    part = {"type": "tool_call", "id": "c1", "name": "weather", "arguments": '{"city": "Rome"}'}
    (answered,) = json.loads(leaf["gen_ai.output.messages"])
    assert (answered["role"], answered["parts"]) == ("assistant", [part])


async def test_a_call_that_fails_has_its_prompt(drawer, scripted, monkeypatch):
    """And no text of its error."""
    monkeypatch.setenv(CAPTURE, "SPAN_ONLY")
    found = await leaves(drawer, scripted(ConnectionResetError("secret"), "a"), "chat")
    (failed,) = [leaf for leaf in found if "error.type" in leaf]
    assert "Hello" in failed["gen_ai.input.messages"]
    assert "gen_ai.output.messages" not in failed
    assert "secret" not in str(dict(failed))
