"""LangGraph's stream of messages: the answer's, once, and no token of a loser's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import RunnableVerifier, best_of_n, vote
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from thinktwice.stop import AtMost

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

ASKED: Any = {"messages": [HumanMessage("?")]}


def full(bound, n=3, **more):
    """A vote that draws all n."""
    return vote(bound, n=n, stop=AtMost(n), **more)


def node_of(runnable, asynchronously):
    """A node that adds what a Runnable answers to the messages."""

    async def later(state):
        return {"messages": [await runnable.ainvoke(state["messages"])]}

    def now(state):
        return {"messages": [runnable.invoke(state["messages"])]}

    return later if asynchronously else now


def graph_of(node, **settings):
    """A graph of one node."""
    builder = StateGraph(MessagesState)
    builder.add_node("answer", node)
    builder.add_edge(START, "answer")
    return builder.compile(**settings)


async def texts(graph, asynchronously, *, subgraphs=False):
    """Text of each message or token in the stream of messages, in order."""
    settings: Any = {"stream_mode": "messages", "subgraphs": subgraphs}
    if asynchronously:
        chunks = [chunk async for chunk in graph.astream(ASKED, **settings)]
    else:
        chunks = await asyncio.to_thread(lambda: list(graph.stream(ASKED, **settings)))
    pairs = [chunk[1] if subgraphs else chunk for chunk in chunks]
    return [message.text for message, _ in pairs]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def asynchronously(request):
    """Whether the graph and its nodes run async."""
    return request.param


async def test_without_the_wrapper_a_model_streams_its_tokens(streamed, asynchronously):
    """What the tests below would see if it leaked."""
    graph = graph_of(node_of(streamed("abc"), asynchronously))
    assert [each for each in await texts(graph, asynchronously) if each] == ["a", "b", "c"]


@pytest.mark.parametrize("subgraphs", [False, True])
async def test_only_the_answer_comes_and_once(streamed, asynchronously, subgraphs):
    """When the node returns it."""
    wrapped = full(streamed("abc", "xyz", "abc"))
    graph = graph_of(node_of(wrapped, asynchronously))
    assert await texts(graph, asynchronously, subgraphs=subgraphs) == ["abc"]


async def test_a_chain_around_a_model_leaks_nothing(streamed, asynchronously):
    """Whatever stands in it."""
    chain = RunnableLambda(lambda messages: messages) | streamed("abc", "xyz", "abc")
    graph = graph_of(node_of(full(chain), asynchronously))
    assert await texts(graph, asynchronously) == ["abc"]


async def test_a_model_called_without_config_leaks_nothing(streamed, asynchronously):
    """As within a function, which gets its config from the context."""
    model = streamed("abc", "xyz", "abc")

    def ask(messages):
        return model.invoke(messages)

    now = RunnableLambda(ask)
    graph = graph_of(node_of(full(now), asynchronously))
    assert await texts(graph, asynchronously) == ["abc"]


async def test_a_judge_leaks_nothing(streamed, asynchronously):
    """Its tokens are no answer."""
    judge = streamed("1", "0", "1") | (lambda message: float(message.text))
    verifier = RunnableVerifier(judge, inputs=lambda value, _: value.text)
    wrapped = best_of_n(streamed("abc", "abc", "abc"), n=3, verifier=verifier)
    graph = graph_of(node_of(wrapped, asynchronously))
    assert await texts(graph, asynchronously, subgraphs=True) == ["abc"]


async def test_a_model_in_a_plain_verifier_leaks_nothing(streamed, asynchronously):
    """Which gets its config from the context as well."""
    judge = streamed("1")

    def check(value):
        return float(judge.invoke(value.text).text)

    wrapped = best_of_n(streamed("abc", "abc"), n=2, verifier=check)
    graph = graph_of(node_of(wrapped, asynchronously))
    assert await texts(graph, asynchronously, subgraphs=True) == ["abc"]


@pytest.mark.parametrize("subgraphs", [False, True])
async def test_a_sampled_graph_leaks_nothing(streamed, asynchronously, subgraphs):
    """Neither tokens nor the messages that its nodes return, also with `subgraphs=True`."""
    inner = graph_of(node_of(streamed("abc", "xyz", "abc"), asynchronously))
    wrapped = RunnableLambda(lambda messages: {"messages": messages})
    wrapped = wrapped | full(inner, repeatable=True) | (lambda state: state["messages"][-1])
    graph = graph_of(node_of(wrapped, asynchronously))
    assert await texts(graph, asynchronously, subgraphs=subgraphs) == ["abc"]


async def test_other_modes_show_nothing_of_a_sampled_graph(scripted, asynchronously):
    """Values, updates and custom chunks of its nodes stay inside; progress comes out."""

    def answer(state, writer):
        writer("secret")
        return {"messages": [AIMessage("x")]}

    wrapped = RunnableLambda(lambda messages: {"messages": messages})
    wrapped = wrapped | full(graph_of(answer), repeatable=True) | (lambda s: s["messages"][-1])
    graph = graph_of(node_of(wrapped, asynchronously))
    modes: Any = {"stream_mode": ["updates", "values", "custom"], "subgraphs": True}
    if asynchronously:
        chunks = [chunk async for chunk in graph.astream(ASKED, **modes)]
    else:
        chunks = await asyncio.to_thread(lambda: list(graph.stream(ASKED, **modes)))
    assert {namespace for namespace, _, _ in chunks} == {()}
    assert [mode for _, mode, _ in chunks if mode != "custom"] == ["values", "updates", "values"]
    custom = [chunk["event"] for _, mode, chunk in chunks if mode == "custom"]
    assert custom == ["thinktwice.sample"] * 3 + ["thinktwice.decided"]


async def test_a_wrapper_in_a_subgraph_streams_its_answer(streamed, asynchronously):
    """Where subgraphs are asked for."""
    inner = graph_of(node_of(full(streamed("abc", "xyz", "abc")), asynchronously))
    graph = graph_of(inner)
    assert await texts(graph, asynchronously, subgraphs=True) == ["abc"]
    assert await texts(graph, asynchronously) in ([], ["abc"])  # as LangGraph's version has it


async def test_samples_report_their_usage_while_messages_are_streamed(scripted):
    """LangGraph makes models stream then, and some report no usage of a stream."""
    wrapped = full(scripted("abc"), include_result=True)
    tokens = []

    async def answer(state):
        out = await wrapped.ainvoke(state["messages"])
        tokens.append(out["result"].ledger.total.usage.total_tokens)
        return {"messages": [out["value"]]}

    graph = graph_of(answer)
    assert await texts(graph, asynchronously=True) == ["abc"]
    assert tokens == [3 * (1 + 5)]


async def test_samples_are_not_made_to_stream(streamed):
    """The model's own `_generate` is called: nobody would see the tokens."""
    streams = []

    class Model(type(streamed("a"))):
        def _stream(self, *args, **kwargs):
            streams.append(1)
            yield from super()._stream(*args, **kwargs)

    model = Model(replies=["abc"], reports=False)
    graph = graph_of(node_of(full(model), asynchronously=True))
    assert await texts(graph, asynchronously=True) == ["abc"]
    assert not streams
    await texts(graph_of(node_of(model, asynchronously=True)), asynchronously=True)
    assert streams


@pytest.mark.filterwarnings("ignore:.*v3.*")
async def test_the_newest_event_stream_shows_no_loser(streamed):
    """`stream_events(version="v3")`, where the installed LangGraph has it."""
    graph = graph_of(node_of(full(streamed("abc", "xyz", "abc")), asynchronously=False))
    if not hasattr(graph, "stream_events"):
        pytest.skip("this LangGraph has no stream_events")

    def read():
        run = graph.stream_events(ASKED, version="v3")
        return [str(message.text) for message in run.messages], run.output

    shown, output = await asyncio.to_thread(read)
    assert shown == ["abc"]
    assert output["messages"][-1].text == "abc"


async def test_a_checkpointed_graph_streams_no_loser(streamed, asynchronously):
    """And keeps the answer alone."""
    saver = InMemorySaver()
    graph = graph_of(
        node_of(full(streamed("abc", "xyz", "abc")), asynchronously), checkpointer=saver
    )
    config: Any = {"configurable": {"thread_id": "1"}}
    if asynchronously:
        stream = graph.astream(ASKED, config, stream_mode="messages")
        shown = [message.text async for message, _ in stream]
    else:
        stream = graph.stream(ASKED, config, stream_mode="messages")
        shown = await asyncio.to_thread(lambda: [message.text for message, _ in stream])
    assert shown == ["abc"]
    kept = graph.get_state(config).values["messages"]
    assert [message.text for message in kept] == ["?", "abc"]
