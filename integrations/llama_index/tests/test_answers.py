"""LlamaIndex's types as answers."""

from __future__ import annotations

from typing import Any

import llama_index_thinktwice.answers  # noqa: F401 - what is tested registers itself
import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ImageBlock,
    MessageRole,
    TextBlock,
)
from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from pydantic import BaseModel

from thinktwice.answers import awaited_key, default_key, text_in, with_text


class City(BaseModel):
    """An object to answer with."""

    name: str
    inhabitants: int = 1


def spoken(text: str) -> ChatResponse:
    return ChatResponse(message=ChatMessage(text, role=MessageRole.ASSISTANT))


def says(text: str) -> list[Any]:
    return [
        Response(text),
        AgentChatResponse(text),
        CompletionResponse(text=text),
        spoken(text),
        spoken(text).message,
        QueryBundle(text),
    ]


class TestText:
    @pytest.mark.parametrize("at", range(6))
    def test_case_space_and_the_final_stop_do_not_tell_answers_apart(self, at):
        """As of any text."""
        assert default_key(says("The  Seine.")[at]) == default_key(says("the seine")[at])
        assert default_key(says("Seine")[at]) != default_key(says("Spree")[at])

    @pytest.mark.parametrize("at", range(6))
    def test_is_read_by_keys_that_read_texts(self, at):
        """`key="number"` and the like."""
        assert text_in(says("It is 42.")[at]) == "It is 42."

    @pytest.mark.parametrize("at", range(5))
    def test_an_empty_one_abstains(self, at):
        """Nothing was said."""
        assert default_key(says("")[at]) is None

    def test_no_response_abstains(self):
        """LlamaIndex's "Empty Response" is a text; None is none."""
        assert default_key(Response(None)) is None
        assert text_in(Response(None)) is None

    def test_what_a_synthesizer_made_nothing_of_abstains(self):
        """It says so of a reply that it could not read; where nothing was found it is an answer."""
        node = NodeWithScore(node=TextNode(text="x"), score=0.5)
        assert default_key(Response("Empty Response", [node])) is None
        assert default_key(Response("Empty Response")) == "empty response"

    async def test_named_keys(self):
        """Work on responses as on texts."""
        key = awaited_key("number")
        assert await key(Response("It is 42, I think.")) == await key(spoken("42"))

    def test_sources_and_metadata_are_no_part_of_the_answer(self):
        """Two samples that found other passages may say the same."""
        node = NodeWithScore(node=TextNode(text="x"), score=0.5)
        assert default_key(Response("a", [node], {"k": 1})) == default_key(Response("a"))


class TestObjects:
    def test_are_compared_by_content(self):
        """And not by how they print."""
        assert default_key(PydanticResponse(City(name="Paris"))) == default_key(
            PydanticResponse(City(name="Paris", inhabitants=1), metadata={"k": 1})
        )
        assert default_key(PydanticResponse(City(name="Paris"))) != default_key(
            PydanticResponse(City(name="Rome"))
        )

    def test_none_abstains(self):
        """Its parser found nothing."""
        assert default_key(PydanticResponse(None)) is None
        assert text_in(PydanticResponse(None)) is None

    def test_have_their_json_as_text(self):
        """For verifiers that read texts."""
        assert text_in(PydanticResponse(City(name="Paris"))) == '{"name":"Paris","inhabitants":1}'


class TestToolCalls:
    def test_vote_by_name_and_arguments(self, asks_tools):
        """In any order, without ids, whatever is said beside them."""
        one = asks_tools(("add", {"a": 1, "b": 2}), ("sub", {"a": 3}))
        other = asks_tools(("sub", {"a": 3}), ("add", {"b": 2, "a": 1}), text="Well, ")
        assert default_key(one) == default_key(other)
        assert default_key(one) != default_key(asks_tools(("add", {"a": 1, "b": 3})))
        assert default_key(ChatResponse(message=one)) == default_key(one)

    def test_in_blocks(self):
        """Where later releases have them; as text or as data."""
        types = pytest.importorskip("llama_index.core.base.llms.types")
        block = getattr(types, "ToolCallBlock", None)
        if block is None:
            pytest.skip("this llama-index-core has no ToolCallBlock")

        def calling(arguments: object) -> ChatMessage:
            made = block(tool_call_id="x", tool_name="add", tool_kwargs=arguments)
            return ChatMessage(role=MessageRole.ASSISTANT, blocks=[made])

        assert default_key(calling({"a": 1})) == default_key(calling('{"a": 1}'))
        assert default_key(calling('{"a": 1')) is None

    def test_arguments_that_are_no_json_abstain(self):
        """A call that cannot be made is no answer."""
        call = {"id": "1", "function": {"name": "add", "arguments": '{"a": '}}
        assert default_key(ChatMessage(additional_kwargs={"tool_calls": [call]})) is None


class TestOtherText:
    @pytest.mark.parametrize("at", range(6))
    def test_is_put_into_a_copy(self, at):
        """As a repair by a tool does."""
        value = says("It is 41.")[at]
        changed = with_text(value, "It is 42.")
        assert type(changed) is type(value)
        assert text_in(changed) == "It is 42."
        assert text_in(value) == "It is 41."

    def test_sources_stay(self):
        """Of a response."""
        node = NodeWithScore(node=TextNode(text="x"), score=0.5)
        changed = with_text(Response("a", [node], {"k": 1}), "b")
        assert changed == Response("b", [node], {"k": 1})

    def test_a_picture_beside_it_stays(self):
        """The only block of text is replaced; among several nobody knows which."""
        picture = ImageBlock(image=b"png")
        both = ChatMessage([TextBlock(text="a"), picture])
        assert with_text(both, "b").blocks == [TextBlock(text="b"), picture]
        assert with_text(ChatMessage([TextBlock(text="a"), TextBlock(text="b")]), "c") is None

    def test_a_query_loses_its_embedding(self):
        """It was that of the old text."""
        query = QueryBundle("a", custom_embedding_strs=["a"], embedding=[1.0])
        changed = with_text(query, "b")
        assert (changed.embedding, changed.embedding_strs) == (None, ["b"])
