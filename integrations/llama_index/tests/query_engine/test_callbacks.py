"""What LlamaIndex's instrumentation and callback managers hear of a wrapped engine."""

from __future__ import annotations

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.query import QueryEndEvent, QueryStartEvent
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index_thinktwice.query_engine import StrategyQueryEngine


class Heard(BaseEventHandler):
    """Keeps the events of queries."""

    events: list

    def handle(self, event, **kwargs):
        if isinstance(event, QueryStartEvent | QueryEndEvent):
            self.events.append(event)


@pytest.fixture
def heard():
    """The events of queries so far."""
    handler, root = Heard(events=[]), get_dispatcher()
    root.add_event_handler(handler)
    yield handler.events
    root.event_handlers.remove(handler)


async def test_a_query_starts_and_ends_once(call, engine, all_of, heard):
    """Shared retrieval makes no queries inside."""
    response = await call(StrategyQueryEngine(engine("3"), all_of(3)), "query", "apples?")
    assert [type(each) for each in heard] == [QueryStartEvent, QueryEndEvent]
    assert heard[0].query == "apples?"
    assert heard[1].response is response


async def test_the_callback_manager_is_that_of_the_engine(engine, all_of):
    """Unless another is given."""
    inner, other = engine("3"), CallbackManager([])
    assert StrategyQueryEngine(inner, all_of(2)).callback_manager is inner.callback_manager
    wrapped = StrategyQueryEngine(inner, all_of(2), callback_manager=other)
    assert wrapped.callback_manager is other


async def test_callbacks_hear_one_query_and_each_synthesis(call, engine, all_of):
    """With question and response."""
    plain, debug = engine("3"), LlamaDebugHandler(print_trace_on_end=False)
    manager = CallbackManager([debug])
    synthesizer = plain._response_synthesizer
    synthesizer.callback_manager = manager
    inner = RetrieverQueryEngine(plain.retriever, synthesizer, callback_manager=manager)
    response = await call(StrategyQueryEngine(inner, all_of(3)), "query", "apples?")
    (query,) = debug.get_event_pairs(CBEventType.QUERY)
    assert query[0].payload["query_str"] == "apples?"
    assert query[1].payload["response"] is response
    assert len(debug.get_event_pairs(CBEventType.SYNTHESIZE)) == 3


async def test_callbacks_hear_of_a_failure(call, engine, all_of):
    """Its query ends."""
    plain, debug = engine(RuntimeError("away")), LlamaDebugHandler(print_trace_on_end=False)
    manager = CallbackManager([debug])
    wrapped = StrategyQueryEngine(plain, all_of(2), callback_manager=manager)
    with pytest.raises(RuntimeError, match="away"):
        await call(wrapped, "query", "apples?")
    assert [len(pair) for pair in debug.get_event_pairs(CBEventType.QUERY)] == [2]
