"""Prompts and completions of model calls inside chains: only where the user has asked for them."""

from __future__ import annotations

import json

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_thinktwice import vote

from thinktwice import AtMost
from thinktwice.testing import captured_spans

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
MESSAGES = [SystemMessage("be brief"), HumanMessage("a question")]
pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


async def captured(call, model, messages=MESSAGES):
    """The attributes of the leaves and of the root."""
    chain = vote(model | StrOutputParser(), n=2, stop=AtMost(2))
    with captured_spans() as spans:
        await call(chain, messages)
    leaves = [span.attributes for span in spans if span.name.startswith("chat ")]
    return leaves, spans[-1].attributes


async def test_off_by_default(scripted, call):
    """Nothing of them is anywhere."""
    leaves, root = await captured(call, scripted("an answer"))
    assert len(leaves) == 2
    assert not [name for each in (*leaves, root) for name in each if "messages" in name]
    assert "question" not in str([*map(dict, leaves), dict(root)])


async def test_on_the_leaf_of_each_call(scripted, call, monkeypatch):
    """By role, as the model got them; and what it answered."""
    monkeypatch.setenv(CAPTURE, "SPAN_ONLY")
    leaves, root = await captured(call, scripted("an answer"))
    assert len(leaves) == 2
    for leaf in leaves:
        asked = json.loads(leaf["gen_ai.input.messages"])
        assert [(each["role"], each["parts"][0]["content"]) for each in asked] == [
            ("system", "be brief"),
            ("user", "a question"),
        ]
        (answered,) = json.loads(leaf["gen_ai.output.messages"])
        assert answered["parts"] == [{"type": "text", "content": "an answer"}]
    assert root["output.value"] == "an answer"


async def test_tool_calls_are_written(scripted, call, monkeypatch):
    """As parts of the message, and so are their results; the answer of the run is one, too."""
    monkeypatch.setenv(CAPTURE, "SPAN_ONLY")
    wanted = {"name": "weather", "args": {"city": "Rome"}, "id": "c1"}
    asked = [*MESSAGES, AIMessage("", tool_calls=[wanted]), ToolMessage("rain", tool_call_id="c1")]
    chain = vote(scripted(AIMessage("", tool_calls=[wanted])), n=2, stop=AtMost(2))
    with captured_spans() as spans:
        await call(chain, asked)
    part = {"type": "tool_call", "id": "c1", "name": "weather", "arguments": '{"city": "Rome"}'}
    leaf, root = (next(s for s in spans if s.name.startswith(n)) for n in ("chat", "invoke"))
    for written in (leaf.attributes, root.attributes):
        *_, call_, result = json.loads(written["gen_ai.input.messages"])
        assert (call_["role"], call_["parts"]) == ("assistant", [part])
        assert result["parts"] == [{"type": "tool_call_response", "id": "c1", "response": "rain"}]
        (answered,) = json.loads(written["gen_ai.output.messages"])
        assert (answered["role"], answered["parts"]) == ("assistant", [part])


async def test_the_answer_of_a_run_is_its_text(scripted, call, monkeypatch):
    """Without its role in front of it."""
    monkeypatch.setenv(CAPTURE, "SPAN_ONLY")
    with captured_spans() as spans:
        await call(vote(scripted("an answer"), n=2, stop=AtMost(2)), MESSAGES)
    root = spans[-1].attributes
    assert root["output.value"] == "an answer"
    (answered,) = json.loads(root["gen_ai.output.messages"])
    assert answered["parts"] == [{"type": "text", "content": "an answer"}]


async def test_a_call_that_fails_has_its_prompt(scripted, call, monkeypatch):
    """And no text of its error."""
    monkeypatch.setenv(CAPTURE, "SPAN_ONLY")
    leaves, _ = await captured(call, scripted(ConnectionResetError("secret"), "an answer"))
    (failed,) = [leaf for leaf in leaves if "error.type" in leaf]
    assert "a question" in failed["gen_ai.input.messages"]
    assert "gen_ai.output.messages" not in failed
    assert "secret" not in str(dict(failed))
