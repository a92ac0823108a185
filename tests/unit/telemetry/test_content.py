"""Prompts and completions: nowhere, unless the user has asked for them."""

from __future__ import annotations

import json
import warnings
from contextlib import suppress
from enum import Enum
from types import SimpleNamespace

import pytest

from tests.contracts.traced import (
    MARK,
    A,
    B,
    Native,
    Trace,
    collected,
    judge,
    model,
    refuses,
    said,
)
from thinktwice import BestOfN, Verdict, Vote, solve
from thinktwice.errors import ThinktwiceWarning
from thinktwice.stop import AtMost
from thinktwice.strategies.tool_check import ToolCheck
from thinktwice.telemetry import content
from thinktwice.telemetry.messages import LONGEST
from thinktwice.testing import run_virtual
from thinktwice.verifiers import Judge

pytestmark = pytest.mark.usefixtures("silent_remarks")


def traced(
    word: str | None, monkeypatch, values=("an answer",), prompt="a question", strategy=None
):
    """A run under a word of the environment."""
    if word is not None:
        monkeypatch.setenv(content.CAPTURE_VARIABLE, word)
    trace = Trace()
    sampler = model([said(v, finish_reason="stop") if isinstance(v, str) else v for v in values])
    with collected(trace):
        strategy = strategy or Vote(1, stop=AtMost(1))
        with suppress(KeyError):
            run_virtual(solve(prompt, sampler=sampler, strategy=strategy))
    return trace


def named(trace: Trace, name: str):
    return next(span.attributes for span in trace.spans if span.name == name)


def texts(messages) -> list[tuple[str, str]]:
    found = json.loads(messages) if isinstance(messages, str) else messages
    return [(each["role"], each["parts"][0]["content"]) for each in found]


@pytest.mark.parametrize("word", [None, "", "NO_CONTENT", "no_content", "false"])
def test_nothing_by_default(word, monkeypatch):
    """Neither in spans nor in events."""
    trace = traced(word, monkeypatch)
    assert trace.spans
    assert not trace.logs
    assert "question" not in trace.text
    assert "answer" not in json.dumps([dict(span.attributes) for span in trace.spans])


@pytest.mark.parametrize(
    ("word", "spans", "events"),
    [("SPAN_ONLY", True, False), ("event_only", False, True), ("SPAN_AND_EVENT", True, True)],
)
def test_where_it_is_written(word, spans, events, monkeypatch):
    """In leaves and the root, or in events on the span of the call."""
    trace = traced(word, monkeypatch)
    leaf, root = named(trace, "chat m"), named(trace, "invoke_workflow Vote")
    assert ("gen_ai.input.messages" in leaf) is spans
    assert ("input.value" in root) is spans
    assert bool(trace.logs) is events
    if spans:
        assert texts(leaf["gen_ai.input.messages"]) == [("user", "a question")]
        assert json.loads(leaf["gen_ai.output.messages"]) == [
            {
                "role": "assistant",
                "parts": [{"type": "text", "content": "an answer"}],
                "finish_reason": "stop",
            }
        ]
        assert (root["input.value"], root["output.value"]) == ("a question", "an answer")
        assert texts(root["gen_ai.output.messages"]) == [("assistant", "an answer")]
    if events:
        (record,) = [log.log_record for log in trace.logs]
        assert record.event_name == "gen_ai.client.inference.operation.details"
        assert texts(record.attributes["gen_ai.input.messages"]) == [("user", "a question")]
        assert texts(record.attributes["gen_ai.output.messages"]) == [("assistant", "an answer")]
        (called,) = [span for span in trace.spans if span.name == "chat m"]
        assert record.span_id == called.context.span_id


def test_samples_carry_none(monkeypatch):
    """It is on the leaf below."""
    sample = named(traced("SPAN_AND_EVENT", monkeypatch), "thinktwice.sample")
    assert "answer" not in json.dumps(dict(sample))


def test_a_call_that_failed_has_its_prompt(monkeypatch):
    """And nobody's error text."""
    trace = traced("SPAN_ONLY", monkeypatch, values=[KeyError(MARK)])
    leaf = named(trace, "chat m")
    assert texts(leaf["gen_ai.input.messages"]) == [("user", "a question")]
    assert "gen_ai.output.messages" not in leaf
    assert MARK not in trace.text


def test_a_verdict_is_explained(monkeypatch):
    """In its event, where events carry content."""
    best = BestOfN(1, verifier=Judge(judge(), rubric="good"))
    trace = traced("EVENT_ONLY", monkeypatch, strategy=best)
    told = [log.log_record for log in trace.logs]
    verdicts = [each for each in told if each.event_name == "gen_ai.evaluation.result"]
    assert [each.attributes["gen_ai.evaluation.explanation"] for each in verdicts] == [MARK]


@pytest.mark.parametrize(
    ("feedback", "told"),
    [("x" * (LONGEST + 5), "x" * LONGEST + "... [5 more characters]"), ("a\ud83d", "a?")],
)
def test_an_explanation_is_what_can_be_sent(feedback, told, monkeypatch):
    """As all that is captured: cut, and without half of an emoji."""
    best = BestOfN(1, verifier=lambda _: Verdict(outcome="fail", feedback=feedback))
    trace = traced("EVENT_ONLY", monkeypatch, strategy=best)
    found = [log.log_record.attributes.get("gen_ai.evaluation.explanation") for log in trace.logs]
    assert told in found


def test_all_choices_of_a_request_are_written(monkeypatch):
    """As many as it answers with, in order, with why each of them ended."""
    monkeypatch.setenv(content.CAPTURE_VARIABLE, "SPAN_ONLY")
    trace = Trace()
    with collected(trace):
        vote = Vote(3, stop=AtMost(3), prefer="latency")
        run_virtual(solve("q", sampler=Native(), strategy=vote))
    leaf = named(trace, "chat m")
    assert texts(leaf["gen_ai.output.messages"]) == [("assistant", each) for each in (A, B, B)]


def test_a_run_without_an_answer_has_no_output(monkeypatch):
    """And not the word None."""
    root = named(traced("SPAN_ONLY", monkeypatch, values=[said(None)]), "invoke_workflow Vote")
    assert root["input.value"] == "a question"
    assert "output.value" not in root
    assert "gen_ai.output.messages" not in root


@pytest.mark.parametrize("wrap", [dict, lambda message: SimpleNamespace(message=message)])
def test_the_answer_of_a_run_may_be_a_message(wrap):
    """Its text is the output, without its role in front of it; also in a response around it."""
    written = content.output_attributes(wrap({"role": "assistant", "content": "an answer"}))
    assert written["output.value"] == "an answer"
    assert texts(written["gen_ai.output.messages"]) == [("assistant", "an answer")]


def test_roles_of_a_prompt_are_words():
    """Where a framework has an enumeration for them, too."""
    role = Enum("MessageRole", {"USER": "user"})["USER"]
    written = content.input_attributes([SimpleNamespace(role=role, content="hello")])
    assert written["input.value"] == "user: hello"


def test_the_run_of_a_tool(monkeypatch):
    """What it checked and what it found, on its span; nothing of that by default."""
    strategy = ToolCheck(refuses, on_fail="reject")
    trace = traced("SPAN_ONLY", monkeypatch, strategy=strategy)
    told = named(trace, "execute_tool refuses")
    assert json.loads(told["gen_ai.tool.call.arguments"]) == {"value": "an answer"}
    result = json.loads(told["gen_ai.tool.call.result"])
    assert result == {"outcome": "fail", "score": 0.0, "feedback": f"{MARK} an answer"}
    quiet = named(traced("EVENT_ONLY", monkeypatch, strategy=strategy), "execute_tool refuses")
    assert not [name for name in quiet if "call" in name]


def test_what_cannot_be_sent_is_replaced(monkeypatch):
    """Half of a sign would keep a whole batch from being sent."""
    trace = traced("SPAN_ONLY", monkeypatch, values=["a\ud83d b\x00"], prompt="\udce9?")
    for span in trace.spans:
        for value in span.attributes.values():
            str(value).encode()
    root = named(trace, "invoke_workflow Vote")
    assert (root["input.value"], root["output.value"]) == ("??", "a? b\x00")


def test_an_unknown_word_captures_nothing(monkeypatch, fresh_remarks):
    """And is told of, once a process."""
    content._capture.cache_clear()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ThinktwiceWarning)
        trace = traced("everything", monkeypatch)
        traced("everything", monkeypatch)
    assert "question" not in trace.text
    (said,) = [str(each.message) for each in told if content.CAPTURE_VARIABLE in str(each.message)]
    assert "NO_CONTENT, " in said
    assert "everything" not in said  # it may be a key in the wrong place
