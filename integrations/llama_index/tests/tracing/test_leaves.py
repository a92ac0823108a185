"""What our span of an LLM call says of the response, and of the request."""

from __future__ import annotations

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index_thinktwice.llm import StrategyLLM
from llama_index_thinktwice.query_engine.engine import StrategyQueryEngine

from tests.contracts.walking import Walk
from thinktwice import AtMost, Vote
from thinktwice.testing import captured_spans

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")
ALL = Vote(2, stop=AtMost(2))


def reply(**raw):
    return ChatResponse(message=ChatMessage("a b"), raw=raw)


def leaves(spans):
    """Attributes of the calls."""
    walk = Walk(spans)
    walk.hold()
    return [span.attributes for span in walk.of("call")]


@pytest.mark.parametrize("door", ["engine", "llm"])
async def test_how_it_ended_and_its_id(door, scripted, index):
    """As the provider's own response has them."""
    llm = scripted(reply(id="r-1", choices=[{"finish_reason": "stop"}]), temperature=0.5)
    with captured_spans() as spans:
        if door == "engine":
            engine = StrategyQueryEngine(index.as_query_engine(llm=llm), ALL)
            await engine.aquery("capital?")
        else:
            await StrategyLLM(llm=llm, strategy=ALL).achat([ChatMessage("?")])
    found = leaves(spans)
    assert len(found) == 2
    for leaf in found:
        assert leaf["gen_ai.response.finish_reasons"] == ("stop",)
        assert leaf["gen_ai.response.id"] == "r-1"
        assert "gen_ai.request.stream" not in leaf


async def test_streams(scripted, index):
    """They are told by the method that is called."""
    inner = index.as_query_engine(llm=scripted("a b"), streaming=True)
    with captured_spans() as spans:
        response = await StrategyQueryEngine(inner, ALL).aquery("capital?")
        if hasattr(response, "get_response"):
            await response.get_response()
    found = leaves(spans)
    assert [leaf["gen_ai.request.stream"] for leaf in found] == [True, True]
    assert not [leaf for leaf in found if "gen_ai.response.id" in leaf]
