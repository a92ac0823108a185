"""What comes out: of the kind that went in, with a summary of the run."""

from __future__ import annotations

import json

import pytest
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    PydanticResponse,
    Response,
    StreamingResponse,
)
from llama_index_thinktwice.query_engine import StrategyQueryEngine
from pydantic import BaseModel

from thinktwice import BestOfN, FieldVote, ToolCheck, Vote, collect


class Price(BaseModel):
    """What something costs."""

    dollars: int


class Fruit(BaseModel):
    """Three fields."""

    name: str
    dollars: int
    ripe: bool


async def test_a_response_keeps_sources_and_metadata(call, engine, all_of):
    """Those of the winning sample; ours are under one key."""
    response = await call(StrategyQueryEngine(engine("3"), all_of(2)), "query", "apples?")
    assert type(response) is Response
    assert [each.text for each in response.source_nodes] == ["Apples cost 3 dollars."]
    assert set(response.metadata) == {"Apples cost 3 dollars.", "thinktwice"}


async def test_the_summary_is_fit_for_json(call, engine, all_of):
    """It says what was drawn, what it took, and how budgets are kept."""
    response = await call(StrategyQueryEngine(engine("3", "3", "4"), all_of(3)), "query", "apples?")
    told = json.loads(json.dumps(response.metadata["thinktwice"]))
    assert (told["launched"], told["used"]) == (3, 3)
    assert told["agreement"] == pytest.approx(2 / 3)
    assert told["tokens"] > 15


async def test_samples_are_not_marked(call, engine, all_of):
    """Only what comes out carries the summary."""
    with collect() as results:
        response = await call(StrategyQueryEngine(engine("3"), all_of(2)), "query", "apples?")
    assert all("thinktwice" not in each.value.metadata for each in results[0].samples)
    assert results[0].value is not response


async def test_a_response_without_metadata_gets_some(call, whole, all_of):
    """An engine need not have any."""
    response = await call(StrategyQueryEngine(whole("3"), all_of(2)), "query", "apples?")
    assert set(response.metadata) == {"thinktwice"}


async def test_pydantic_responses_are_voted_on_by_value(call, whole, all_of):
    """And come out as such."""
    replies = [PydanticResponse(Price(dollars=each)) for each in (3, 4, 3)]
    response = await call(StrategyQueryEngine(whole(*replies), all_of(3)), "query", "apples?")
    assert type(response) is PydanticResponse
    assert response.dollars == 3
    assert response.metadata["thinktwice"]["agreement"] == pytest.approx(2 / 3)


async def test_structured_output_of_a_real_synthesizer(call, engine, scripted, asks_tools, all_of):
    """`as_query_engine(output_cls=...)` over an LLM that calls functions."""
    replies = [asks_tools(("Price", {"dollars": each})) for each in (3, 3, 4)]
    inner = engine(llm=scripted(*replies), output_cls=Price)
    response = await call(StrategyQueryEngine(inner, all_of(3)), "query", "apples?")
    assert isinstance(response, PydanticResponse)
    assert response.response == Price(dollars=3)
    assert response.source_nodes


async def test_fields_of_structured_answers_can_be_voted_on(call, whole):
    """The object is put together of several, in a response with the sources of one."""
    wrong = {"name": "plum"}, {"dollars": 34}, {"ripe": False}
    right = {"name": "fig", "dollars": 12, "ripe": True}
    replies = [PydanticResponse(Fruit(**{**right, **each})) for each in wrong]
    response = await call(StrategyQueryEngine(whole(*replies), FieldVote(3)), "query", "apples?")
    assert type(response) is PydanticResponse
    assert response.response == Fruit(**right)


async def test_a_streaming_engine_streams(call, engine, all_of):
    """The winner, as one chunk; its samples were read to their end."""
    wrapped = StrategyQueryEngine(
        engine("It is 3", "It is 3", "It is 4", streaming=True), all_of(3)
    )
    response = await call(wrapped, "query", "apples?")
    assert response.source_nodes
    assert response.metadata["thinktwice"]["launched"] == 3
    if call.awaits:
        assert type(response) is AsyncStreamingResponse
        assert [each async for each in response.async_response_gen()] == ["It is 3"]
        assert (await response.get_response()).response == "It is 3"
    else:
        assert type(response) is StreamingResponse
        assert list(response.response_gen) == ["It is 3"]


async def test_a_stream_can_be_printed(call, engine, all_of, capsys):
    """As LlamaIndex's pages do."""
    wrapped = StrategyQueryEngine(engine("It is 3", streaming=True), all_of(2))
    response = await call(wrapped, "query", "apples?")
    printed = response.print_response_stream()
    if call.awaits:
        await printed
    assert capsys.readouterr().out.strip() == "It is 3"
    settled = response.get_response()
    assert str(await settled if call.awaits else settled) == "It is 3"


async def test_the_calls_of_streams_are_booked(call, engine, all_of):
    """Each with the usage that came at its end."""
    wrapped = StrategyQueryEngine(engine("It is 3", streaming=True), all_of(3))
    with collect() as results:
        await call(wrapped, "query", "apples?")
    entries = results[0].ledger.entries
    assert [entry.usage.output_tokens for entry in entries] == [5, 5, 5]


async def test_a_sync_stream_of_an_async_method_stays_one(whole, all_of):
    """Of a custom engine: the same kind comes out."""

    def words():
        yield from ("It ", "is 3")

    replies = [StreamingResponse(words()) for _ in range(2)]
    response = await StrategyQueryEngine(whole(*replies), all_of(2)).aquery("apples?")
    assert type(response) is StreamingResponse
    assert str(response) == "It is 3"


async def test_verifiers_see_what_a_stream_said(call, engine):
    """A response with text and sources, never a stream."""
    seen = []

    def good(response):
        seen.append(response)
        return response.response == "It is 4"

    inner = engine("It is 3", "It is 4", streaming=True)
    response = await call(StrategyQueryEngine(inner, BestOfN(2, verifier=good)), "query", "?")
    assert {type(each) for each in seen} == {Response}
    assert all(each.source_nodes for each in seen)
    settled = response.get_response()
    assert str(await settled if call.awaits else settled) == "It is 4"


@pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")
async def test_without_an_answer_the_response_is_none(call, engine):
    """With the sources that were found, so that callers see what there was."""
    wrapped = StrategyQueryEngine(engine("I cannot say."), Vote(3, key="number"))
    response = await call(wrapped, "query", "apples?")
    assert type(response) is Response
    assert response.response is None
    assert response.source_nodes
    assert response.metadata["thinktwice"]["launched"] >= 1


@pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")
async def test_a_rejected_structured_answer_is_a_structured_response(call, whole):
    """Its object is None."""
    inner = whole(PydanticResponse(Price(dollars=-3)))

    def positive(response):
        return response.dollars > 0

    wrapped = StrategyQueryEngine(inner, ToolCheck(positive, on_fail="reject"))
    response = await call(wrapped, "query", "apples?")
    assert type(response) is PydanticResponse
    assert response.response is None


@pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")
async def test_a_stream_without_an_answer_is_empty(call, engine):
    """It has no chunk."""
    wrapped = StrategyQueryEngine(engine("No idea", streaming=True), Vote(2, key="number"))
    response = await call(wrapped, "query", "apples?")
    settled = response.get_response()
    assert (await settled if call.awaits else settled).response == ""


async def test_nothing_retrieved_is_answered_as_the_engine_does(call, engine, retriever, all_of):
    """LlamaIndex's "Empty Response", without a call of the LLM."""
    inner = engine("3", over=retriever())
    response = await call(StrategyQueryEngine(inner, all_of(3)), "query", "apples?")
    assert str(response) == "Empty Response"
    assert inner._response_synthesizer._llm.calls == 0


async def test_a_corrected_answer_keeps_its_sources(call, engine):
    """A tool puts its result in the text of the response."""
    from thinktwice.verifiers import Calculator

    inner = engine("2 pears and 3 plums are 2 * 4 + 3 * 5 = 24 dollars.")
    wrapped = StrategyQueryEngine(inner, ToolCheck(Calculator(), on_fail="inject"))
    response = await call(wrapped, "query", "What is the sum?")
    assert "= 23" in response.response
    assert response.source_nodes
