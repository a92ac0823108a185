"""Responses that are read to their end, and marked with what they took."""

from __future__ import annotations

import json

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    PydanticResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index_thinktwice.responses import annotated, asettled, settled, summary

from thinktwice import Budget, BudgetExceeded, Vote, budget_scope, solve
from thinktwice.testing import ScriptedSampler

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")
NODES = [NodeWithScore(node=TextNode(text="x"), score=0.5)]


async def voted(**settings):
    sampler = ScriptedSampler(["a"])
    return await solve("q", sampler=sampler, strategy=Vote(3, prefer="cost"), **settings)


class TestSummary:
    async def test_is_numbers_fit_for_json(self):
        """What was launched, decided and spent, and how caps were kept."""
        told = summary(await voted(budget=Budget(calls=5)))
        assert json.loads(json.dumps(told)) == told
        assert told["launched"] == told["used"] == 2
        assert told["agreement"] == 1.0
        assert told["enforcement"]["calls"] == "exact"

    async def test_says_what_ended_it(self):
        """A rule as it is written, a cap by its kind."""
        assert summary(await voted())["stopped_by"] == "Certain()"
        assert summary(await voted(budget=Budget(calls=1)))["stopped_by"] == "calls"

    async def test_of_nothing_launched_is_all_zero(self):
        """As where a budget around it refused the first call."""
        with budget_scope(Budget(calls=1)):
            await voted()
            with pytest.raises(BudgetExceeded) as caught:
                await voted()
        told = summary(caught.value.result)
        assert (told["launched"], told["tokens"], told["cost"]) == (0, 0, 0.0)
        assert told["stopped_by"] == "calls"

    @pytest.mark.parametrize("metadata", [None, {"node": {"k": 1}}])
    async def test_is_added_to_a_copy(self, metadata):
        """Under one key; the sample stays as it was."""
        result = await voted()
        for made in (
            Response("a", NODES, metadata),
            PydanticResponse(None, NODES, metadata),
            AgentChatResponse("a", source_nodes=NODES, metadata=metadata),
        ):
            marked = annotated(made, result)
            assert type(marked) is type(made)
            assert made.metadata == metadata
            assert marked.metadata == {**(metadata or {}), "thinktwice": summary(result)}
            assert marked.source_nodes == NODES

    async def test_of_an_llm_stands_in_its_additional_kwargs(self):
        """Beside what its provider says there."""
        result = await voted()
        for made in (
            ChatResponse(message=ChatMessage("a"), additional_kwargs={"k": 1}),
            CompletionResponse(text="a", additional_kwargs={"k": 1}),
        ):
            marked = annotated(made, result)
            assert marked.additional_kwargs == {"k": 1, "thinktwice": summary(result)}
            assert made.additional_kwargs == {"k": 1}

    async def test_other_values_stay_as_they_are(self):
        """There is no place in them."""
        value = object()
        assert annotated(value, await voted()) is value


class TestStreams:
    async def test_are_read_to_their_end(self):
        """With their sources and their metadata."""

        def words():
            yield from ("a ", "b")

        async def awaited():
            for word in words():
                yield word

        whole = Response("a b", NODES, {"k": 1})
        assert settled(StreamingResponse(words(), NODES, {"k": 1})) == whole
        assert await asettled(StreamingResponse(words(), NODES, {"k": 1})) == whole
        assert await asettled(AsyncStreamingResponse(awaited(), NODES, {"k": 1})) == whole

    async def test_others_stay_as_they_are(self):
        """They have ended."""
        whole = Response("a")
        assert settled(whole) is whole
        assert await asettled(whole) is whole
