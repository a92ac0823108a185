"""What an LLM is asked for a rewrite."""

from __future__ import annotations

import pytest
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate, RichPromptTemplate
from llama_index.core.prompts.default_prompts import DEFAULT_HYDE_PROMPT
from llama_index.core.schema import QueryBundle
from llama_index_thinktwice.transforms.prompting import (
    REWRITE_PROMPT,
    Revised,
    RewritePrompting,
    as_template,
    written,
)

from thinktwice import UsageError

QUESTION = QueryBundle("Who rules?", image_path="a.png", embedding=[1.0])
SHORT = PromptTemplate("Search for: {query_str}")


def test_a_chat_model_gets_messages_with_its_own_system_prompt(scripted):
    """As by `predict`."""
    messages = written(scripted("x", system_prompt="Be brief."), SHORT, QUESTION, {})
    assert [each.content for each in messages] == ["Be brief.", "Search for: Who rules?"]


def test_a_model_without_chat_gets_a_text_with_its_wrapper(scripted):
    """As by `predict`."""
    wrapper = PromptTemplate("<s>{query_str}</s>")
    llm = scripted("x", is_chat=False, query_wrapper_prompt=wrapper)
    assert written(llm, SHORT, QUESTION, {}) == "<s>Search for: Who rules?</s>"


def test_a_draft_and_its_feedback_are_turns_of_a_conversation(scripted):
    """The draft is what the model said."""
    revised = RewritePrompting().revise(QUESTION, "king", "Found nothing.")
    messages = written(scripted("x"), SHORT, revised, {})
    turns = [(each.role, each.content) for each in messages[1:]]
    assert turns == [(MessageRole.ASSISTANT, "king"), (MessageRole.USER, "Found nothing.")]


def test_a_draft_and_its_feedback_stand_behind_a_text(scripted):
    """Of a model without chat."""
    revised = RewritePrompting().revise(QUESTION, "king", "Found nothing.")
    text = written(scripted("x", is_chat=False), SHORT, revised, {})
    assert text.startswith("Search for: Who rules?\n\nDraft:\nking\n\nFeedback:\nFound nothing.")


def test_feedback_without_a_draft_shows_none(scripted):
    """As by reflexion."""
    revised = RewritePrompting().revise(QUESTION, None, "Think of queens.")
    assert len(written(scripted("x"), SHORT, revised, {})) == 2


def test_a_revised_question_keeps_all_but_the_embedding_object():
    """It is revised in a copy."""
    revised = RewritePrompting().revise(QUESTION, "king", "no")
    assert isinstance(revised, Revised)
    assert (revised.query_str, revised.image_path) == ("Who rules?", "a.png")
    assert RewritePrompting().revise(revised, "queen", "also no").draft == "queen"


def test_a_rewrite_cannot_be_gone_on_with():
    """Only a whole one is of use."""
    assert RewritePrompting().extend(QUESTION, "") is QUESTION
    with pytest.raises(UsageError, match="not written in parts"):
        RewritePrompting().extend(QUESTION, "ki")


def test_a_prompt_may_have_what_the_metadata_has(scripted):
    """Such as a summary of the index; what it does not name stays out."""
    template = PromptTemplate("{index_summary}: {query_str}")
    metadata = {"index_summary": "Kings", "llm": "none of its business"}
    assert written(scripted("x"), template, QUESTION, metadata)[0].content == "Kings: Who rules?"


@pytest.mark.parametrize(
    "prompt",
    [
        "Search: {query_str}",
        SHORT,
        ChatPromptTemplate([ChatMessage("Search: {query_str}")]),
        PromptTemplate("Search: {question}", template_var_mappings={"query_str": "question"}),
        RichPromptTemplate("Search: {{ query_str }}"),
    ],
)
def test_every_kind_of_template_with_a_place_for_the_question_will_do(prompt, scripted):
    """And its text alone."""
    messages = written(scripted("x"), as_template(prompt), QUESTION, {})
    assert messages[-1].content.endswith("Who rules?")


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        (7, "give a prompt template"),
        ("Search!", "no {query_str}"),
        (DEFAULT_HYDE_PROMPT, "no {query_str}"),
    ],
)
def test_a_prompt_without_a_place_for_the_question_is_refused(prompt, says):
    """All rewrites would be of nothing."""
    with pytest.raises(UsageError, match=says) as caught:
        as_template(prompt)
    assert caught.value.parameter == "prompt"


def test_the_prompt_of_ours_has_a_place_for_the_question():
    """It passes its own check."""
    assert as_template(REWRITE_PROMPT) is REWRITE_PROMPT
