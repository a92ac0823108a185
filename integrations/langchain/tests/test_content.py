"""Prompts and completions of model calls inside chains: only where the user has asked for them."""

from __future__ import annotations

import json

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
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


async def test_a_call_that_fails_has_its_prompt(scripted, call, monkeypatch):
    """And no text of its error."""
    monkeypatch.setenv(CAPTURE, "SPAN_ONLY")
    leaves, _ = await captured(call, scripted(ConnectionResetError("secret"), "an answer"))
    (failed,) = [leaf for leaf in leaves if "error.type" in leaf]
    assert "a question" in failed["gen_ai.input.messages"]
    assert "gen_ai.output.messages" not in failed
    assert "secret" not in str(dict(failed))
