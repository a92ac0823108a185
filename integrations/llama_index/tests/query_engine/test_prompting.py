"""How a query is revised, and what is then retrieved by."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index_thinktwice.query_engine import QueryPrompting, StrategyQueryEngine
from llama_index_thinktwice.query_engine.question import Question, as_question, united
from pydantic import BaseModel

from thinktwice.repair import Feedback


def nodes_of(*texts):
    """Nodes whose ids are their texts."""
    return [NodeWithScore(node=TextNode(text=each, id_=each)) for each in texts]


def test_a_revision_shows_question_draft_and_feedback():
    """To the synthesizer, in that order."""
    revised = QueryPrompting().revise(QueryBundle("apples?"), Response("4"), "It is not 4.")
    text = revised.query_str
    assert text.index("apples?") < text.index("\n4\n") < text.index("It is not 4.")


def test_the_user_s_words_are_what_is_retrieved_by():
    """Also where strings to embed were given, and an image."""
    asked = QueryBundle("apples?", "a.png", ["fruit"], [1.0])
    revised = QueryPrompting().revise(asked, Response("4"), "no")
    assert revised.sought == asked
    whole = revised.asked
    assert (whole.embedding_strs, whole.embedding, whole.image_path) == (["fruit"], None, "a.png")
    assert whole.query_str == revised.query_str


def test_what_is_missing_is_looked_for_as_well():
    """In the query, and in strings to embed where there are any."""
    feedback = Feedback("Nothing says it.", missing=("The price of pears.",))
    revised = QueryPrompting().revise(QueryBundle("apples?"), Response("4"), feedback)
    assert revised.sought == QueryBundle("apples?\nThe price of pears.")
    assert revised.asked.embedding_strs == ["apples?\nThe price of pears."]
    embedded = QueryPrompting().revise(
        QueryBundle("apples?", custom_embedding_strs=["fruit"]), Response("4"), feedback
    )
    assert embedded.sought.embedding_strs == ["fruit", "The price of pears."]


def test_an_earlier_embedding_is_not_kept_for_another_query():
    """It would hide what is missing."""
    asked = QueryBundle("apples?", embedding=[1.0])
    revised = QueryPrompting().revise(asked, Response("4"), Feedback("no", missing=("pears",)))
    assert revised.sought.embedding is None
    assert revised.asked.embedding is None


def test_without_a_draft_only_the_feedback_is_shown():
    """A reflection on attempts that are not."""
    revised = QueryPrompting().revise(QueryBundle("apples?"), None, "Be careful.")
    assert "Be careful." in revised.query_str
    assert "earlier answer" not in revised.query_str


class Price(BaseModel):
    """What something costs."""

    dollars: int


def test_a_structured_draft_is_shown_as_json():
    """Not by the name of its class."""
    revised = QueryPrompting().revise(QueryBundle("?"), PydanticResponse(Price(dollars=4)), "no")
    assert '{"dollars":4}' in revised.query_str


def test_braces_in_a_draft_are_no_variables():
    """Of the template."""
    revised = QueryPrompting().revise(QueryBundle("{a}?"), Response("{draft} {x"), "{feedback}")
    assert "{a}?" in revised.query_str
    assert "{draft} {x" in revised.query_str


def test_the_template_can_be_another():
    """Of the same variables."""
    prompting = QueryPrompting(PromptTemplate("{feedback} | {query_str}"))
    assert prompting.revise(QueryBundle("q"), Response("d"), "f").query_str == "f | q"


def test_an_extension_has_the_partial_answer_behind_it():
    """And retrieves by the query."""
    extended = QueryPrompting().extend(QueryBundle("q"), "It is")
    assert extended.query_str == "qIt is"
    assert extended.sought == QueryBundle("q")
    assert QueryPrompting().extend(QueryBundle("q"), "") == Question("q", words=QueryBundle("q"))


def test_a_second_revision_goes_on_from_what_the_draft_was_made_from():
    """What was found for it stays, though the feedback no longer misses it."""
    first, found = nodes_of("a"), nodes_of("a", "b")
    question = replace(as_question(QueryBundle("q")), nodes=first)
    assert question.revision("r", Response("d", source_nodes=found), ()).nodes == found
    others = nodes_of("part 1 of a")  # an engine that cuts its nodes
    assert question.revision("r", Response("d", source_nodes=others), ()).nodes is first
    assert question.revision("r", "d", ()).nodes is first


def test_sources_that_the_synthesizer_never_read_are_not_gone_on_from():
    """They only stand in the response."""
    first, more = nodes_of("a"), nodes_of("catalogue")
    question = replace(as_question(QueryBundle("q")), nodes=first, additional=more)
    revised = question.revision("r", Response("d", source_nodes=[*first, *more]), ())
    assert [each.text for each in revised.nodes] == ["a"]


def test_a_question_in_a_question_keeps_the_first_words():
    """A repair inside a repair."""
    once = QueryPrompting().revise(QueryBundle("apples?"), Response("4"), "no")
    twice = QueryPrompting().revise(once, Response("5"), "no")
    assert as_question(twice).words == QueryBundle("apples?")


@dataclass
class TenantQuery(QueryBundle):
    """A query that says who asks."""

    tenant: str = ""


def test_a_query_of_one_s_own_class_stays_one():
    """Whatever a retriever reads of it is there, also where evidence is missing."""
    asked = TenantQuery("apples?", tenant="shop")
    question = as_question(asked)
    assert question.asked == question.sought == asked
    revised = QueryPrompting().revise(asked, Response("4"), Feedback("no", missing=("pears",)))
    assert revised.sought == TenantQuery("apples?\npears", tenant="shop")
    assert (type(revised.asked), revised.asked.tenant) == (TenantQuery, "shop")


def test_an_edited_query_is_asked_as_it_was_edited():
    """By a strategy that varies it; the embedding of the first words is gone."""
    question = as_question(QueryBundle("apples?", embedding=[1.0]))
    edited = replace(question, query_str="APPLES?")
    assert edited.asked == edited.sought == QueryBundle("APPLES?")


texts = st.lists(st.sampled_from("abcdef"), max_size=6, unique=True)


@given(texts, texts)
def test_united_nodes_keep_the_order_and_come_once(before, more):
    """Those of before first."""
    joined = [each.text for each in united(nodes_of(*before), nodes_of(*more))]
    assert joined[: len(before)] == before
    assert sorted(joined) == sorted({*before, *more})


# ---- as prompts of the engine -------------------------------------------------------------------


def test_prompts_are_seen_with_those_of_the_engine(engine, all_of):
    """By nested names."""
    names = set(StrategyQueryEngine(engine("3"), all_of(2)).get_prompts())
    assert {"revise_prompt", "query_engine:response_synthesizer:text_qa_template"} <= names


def test_nested_prompts_can_be_updated(engine, all_of):
    """Which LlamaIndex's own `update_prompts` cannot, one level deep."""
    inner = engine("3")
    outer = StrategyQueryEngine(StrategyQueryEngine(inner, all_of(2)), all_of(2))
    own, deep = PromptTemplate("{query_str} {draft} {feedback}"), PromptTemplate("{query_str}!")
    name = "query_engine:query_engine:response_synthesizer:text_qa_template"
    outer.update_prompts({"revise_prompt": own, name: deep})
    assert outer.get_prompts()["revise_prompt"].template == own.template
    assert inner.get_prompts()["response_synthesizer:text_qa_template"].template == deep.template


def test_an_unknown_module_is_refused_as_elsewhere(engine, all_of):
    """By LlamaIndex's own error."""
    wrapped = StrategyQueryEngine(engine("3"), all_of(2))
    with pytest.raises(ValueError, match="Module retriever not found"):
        wrapped.update_prompts({"retriever:x": PromptTemplate("")})


class OwnPrompting:
    """Revises by a word."""

    def revise(self, prompt, draft, feedback):
        return QueryBundle(f"again: {prompt.query_str}")

    def extend(self, prompt, partial):
        return prompt


def test_a_prompting_of_one_s_own_has_no_prompt_to_show(engine, all_of):
    """What it says is its own business."""
    wrapped = StrategyQueryEngine(engine("3"), all_of(2), prompting=OwnPrompting())
    assert "revise_prompt" not in wrapped.get_prompts()
    wrapped.update_prompts({"revise_prompt": PromptTemplate("x")})
    assert isinstance(wrapped._prompting, OwnPrompting)
