"""Nodes of LangGraph that call a wrapper, and what steers a graph from inside a sample."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_thinktwice import vote

from thinktwice import AtMost

pytest.importorskip("langgraph")

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphBubbleUp, GraphRecursionError
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt

# langgraph-checkpoint asks for a setting of langchain-core's that is new.
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")


class State(TypedDict):
    messages: Annotated[list[Any], add_messages]


def _graph(step, acheck=None):
    builder = StateGraph(State)
    builder.add_node("step", step)
    builder.add_edge(START, "step")
    builder.add_edge("step", END)
    return builder


async def test_a_node_that_calls_a_wrapper(door, call, scripted, runs):
    """With the config or, from Python 3.11 on, without: the answer is one message, with one id."""
    model = scripted("so")
    wrapped = door(model)

    def step(state: State, config: RunnableConfig):
        return {"messages": [wrapped.invoke(state["messages"], config)]}

    async def astep(state: State):
        return {"messages": [await wrapped.ainvoke(state["messages"])]}

    graph = _graph(RunnableLambda(step, astep)).compile()
    state = await call(graph, {"messages": [HumanMessage("?")]}, {"callbacks": [runs]})
    assert [each.text for each in state["messages"]] == ["?", "so"]
    assert len({each.id for each in state["messages"]}) == 2
    samples = runs.named("sample")
    assert len(samples) == model.calls
    assert all("LangGraph" in runs.path(each) for each in samples)


async def test_a_wrapper_as_a_node(door, call, scripted):
    """Its input is the state."""
    reading = RunnableLambda(lambda state: state["messages"])
    node = door(reading | scripted("so"), key=lambda message: message.text)
    writing = node | (lambda message: {"messages": [message]})
    graph = _graph(writing).compile()
    state = await call(graph, {"messages": [HumanMessage("?")]})
    assert state["messages"][-1].text == "so"


async def test_an_interrupt_before_the_wrapper_pays_once(door, call, scripted):
    """The node runs again after the resume, and only then asks the model."""
    model = scripted("so")
    wrapped = door(model | StrOutputParser())

    def step(state: State):
        asked = interrupt("go on?")
        return {"messages": [wrapped.invoke(asked)]}

    async def astep(state: State):
        asked = interrupt("go on?")
        return {"messages": [await wrapped.ainvoke(asked)]}

    graph = _graph(RunnableLambda(step, astep)).compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    paused = await call(graph, {"messages": [HumanMessage("?")]}, config)
    assert paused["__interrupt__"][0].value == "go on?"
    assert model.calls == 0
    state = await call(graph, Command(resume="yes"), config)
    assert state["messages"][-1].text == "so"
    assert {each["text"] for each in model.log} == {"yes"}


async def test_what_steers_a_graph_passes_through(way):
    """From inside a sample, unwrapped; it is no failed sample."""
    door, style = way

    def ask(given: object):
        raise GraphBubbleUp

    with pytest.raises(GraphBubbleUp):
        await style(door(RunnableLambda(ask)), "?")


async def test_an_interrupt_inside_a_sample_reaches_the_graph(call, scripted):
    """The caller is asked, as without the wrapper."""

    def ask(message):
        return interrupt(message.text)

    wrapped = vote(scripted("sure?") | ask, n=1)

    def step(state: State):
        return {"messages": [wrapped.invoke("?")]}

    async def astep(state: State):
        return {"messages": [await wrapped.ainvoke("?")]}

    graph = _graph(RunnableLambda(step, astep)).compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    paused = await call(graph, {"messages": [HumanMessage("?")]}, config)
    assert [each.value for each in paused["__interrupt__"]] == ["sure?"]
    state = await call(graph, Command(resume="yes"), config)
    assert state["messages"][-1].text == "yes"


async def test_the_recursion_limit_reaches_a_graph_inside(call):
    """Its error is the one that arrives."""
    builder = StateGraph(State)
    builder.add_node("again", lambda state: {"messages": [HumanMessage("more")]})
    builder.add_edge(START, "again")
    builder.add_edge("again", "again")
    chain = vote(builder.compile(), n=2, stop=AtMost(2), repeatable=True)
    with pytest.raises(GraphRecursionError, match="limit of 5"):
        await call(chain, {"messages": []}, {"recursion_limit": 5})
