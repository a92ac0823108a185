"""Progress reaches whoever listens: callback handlers, event streams, a graph's custom stream."""

from __future__ import annotations

import asyncio
import json
from typing import Any, TypedDict

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import best_of_n, critique_repair, vote
from langchain_thinktwice.progress import EVENTS, watcher
from langchain_thinktwice.samples import TAG
from langgraph.graph import START, StateGraph

from thinktwice import Budget, BudgetExceeded, Vote
from thinktwice.stop import AtMost

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

PROMPT = ChatPromptTemplate.from_template("the secret is {x}")
SECRETS = ("secret", "ALPHA", "BETA")


class Heard(BaseCallbackHandler):
    """Keeps custom events: name, payload and run."""

    run_inline = True

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.runs: set[Any] = set()
        self.root: Any = None

    def on_chain_start(self, serialized, inputs, *, run_id, parent_run_id=None, **_):
        self.root = self.root or run_id

    def on_custom_event(self, name, data, *, run_id, **_):
        self.events.append((name, data))
        self.runs.add(run_id)


class HeardOnAThread(Heard):
    """The same, where LangChain calls handlers that do not say otherwise."""

    run_inline = False


class HeardLater(AsyncCallbackHandler):
    """The same, by a coroutine."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    async def on_custom_event(self, name, data, *, run_id, **_):
        await asyncio.sleep(0)
        self.events.append((name, data))


class State(TypedDict):
    """Of the graphs here."""

    x: str


def full(bound, n=3, **more):
    """A vote that draws all n, one after the other."""
    return vote(bound, n=n, stop=AtMost(n), prefer="cost", **more)


def names(events):
    """Short names of events, in order."""
    return [name.removeprefix("thinktwice.") for name, _ in events]


@pytest.mark.parametrize("handler", [Heard, HeardOnAThread, HeardLater])
async def test_a_handler_hears_each_sample_and_the_decision(scripted, call, handler):
    """By `invoke` and `ainvoke`, with a sync handler, in place or on a thread, or an async one."""
    heard = handler()
    wrapped = full(PROMPT | scripted("ALPHA", "BETA", "ALPHA"))
    await call(wrapped, {"x": 1}, {"callbacks": [heard]})
    assert names(heard.events) == ["sample", "sample", "sample", "decided"]
    payloads = [data for _, data in heard.events]
    assert [sum(each["tally"]) for each in payloads] == [1, 2, 3, 3]
    assert sorted(payloads[-1]["tally"]) == [1, 2]
    assert {each["name"] for each in payloads} == {wrapped.get_name()}
    assert len({each["run"] for each in payloads}) == 1
    assert [each["event"] for each in payloads] == [name for name, _ in heard.events]
    assert payloads[-1]["agreement"] == pytest.approx(2 / 3)


async def test_events_belong_to_the_run_of_the_wrapper(scripted, call):
    """So a tracer shows them there."""
    heard = Heard()
    await call(full(scripted("a")), "?", {"callbacks": [heard]})
    assert heard.runs == {heard.root}


async def test_a_sync_call_in_a_running_loop_is_heard(scripted):
    """Where the strategy runs on a thread of its own."""
    heard = Heard()
    full(scripted("a")).invoke("?", {"callbacks": [heard]})
    assert names(heard.events) == ["sample", "sample", "sample", "decided"]


async def test_verdicts_are_heard(scripted, call):
    """With what the verifier said, and nothing of what it said it about."""
    heard = Heard()
    wrapped = best_of_n(scripted("ALPHA", "BETA"), n=2, verifier=lambda m: m.text == "BETA")
    await call(wrapped, "?", {"callbacks": [heard]})
    verdicts = [data for name, data in heard.events if name == EVENTS["verdict"]]
    assert sorted(each["outcome"] for each in verdicts) == ["fail", "pass"]


async def test_rounds_of_a_repair_are_heard(scripted, call):
    """A revision is a sample that finished."""
    heard = Heard()
    wrapped = critique_repair(scripted("bad", "good"), lambda m: m.text == "good")
    await call(wrapped, "?", {"callbacks": [heard]})
    assert names(heard.events)[-1] == "decided"
    assert names(heard.events).count("sample") == 2


async def test_no_payload_has_content(scripted, call):
    """Neither prompt nor answer nor error text; all of it is JSON."""
    heard = Heard()
    model = scripted("ALPHA", ValueError("secret"), "BETA", "ALPHA")
    await call(full(PROMPT | model, n=4), {"x": "secret"}, {"callbacks": [heard]})
    text = json.dumps(heard.events)
    assert not any(secret in text for secret in SECRETS)
    statuses = [data["status"] for name, data in heard.events if name == EVENTS["sample"]]
    assert sorted(statuses) == ["error", "ok", "ok", "ok"]


async def test_a_handler_that_raises_changes_nothing(scripted, call):
    """LangChain logs it, as it does for all handlers."""

    class Broken(BaseCallbackHandler):
        def on_custom_event(self, *_, **__):
            raise ValueError("no")

    assert (await call(full(scripted("a")), "?", {"callbacks": [Broken()]})).text == "a"


async def test_one_that_insists_on_raising_changes_nothing_either(scripted, call):
    """What was paid for is returned."""

    class Insists(BaseCallbackHandler):
        raise_error = True
        run_inline = True

        def on_custom_event(self, *_, **__):
            raise ValueError("no")

    assert (await call(full(scripted("a")), "?", {"callbacks": [Insists()]})).text == "a"


def test_nobody_is_told_where_nobody_listens(scripted, runs):
    """A handler without `on_custom_event`, or one that ignores it, is none that listens."""

    class Deaf(Heard):
        ignore_custom_event = True

    told = []

    def look(_, config):
        told.append(watcher(config, scripted("a")))

    for handlers in ([], [runs], [Deaf()], [Heard()]):
        RunnableLambda(look).invoke("?", {"callbacks": handlers})
    assert [each is None for each in told] == [True, True, True, False]


async def test_runs_inside_say_where_they_are(scripted, call):
    """A screen that shows the outermost only leaves out what has `within`."""
    heard = Heard()
    inner = vote(scripted("a"), n=2, stop=AtMost(2), name="inner")
    outer = vote(inner, n=2, stop=AtMost(2), name="outer")
    await call(outer, "?", {"callbacks": [heard]})
    inside = [data for _, data in heard.events if "within" in data]
    outside = [data for _, data in heard.events if "within" not in data]
    assert {data["name"] for data in inside} == {"inner"}
    assert {data["within"] for data in inside} == {"sample:0", "sample:1"}
    assert [data["name"] for data in outside] == ["outer"] * 3
    assert len({data["run"] for data in inside}) == 2


async def test_a_budget_that_ends_it_is_told(scripted, call):
    """The decision names the cap, also where there is no answer."""
    heard = Heard()
    wrapped = full(scripted("a"), n=4, budget=Budget(calls=2))
    await call(wrapped, "?", {"callbacks": [heard]})
    assert "calls" in heard.events[-1][1]["stopped_by"]
    none = full(scripted("a"), budget=Budget(tokens=1), on_exhausted="raise")
    with pytest.raises(BudgetExceeded):
        await call(none, "?", {"callbacks": [heard]})
    assert names(heard.events)[-1] == "decided"


# ---- event streams of LangChain ------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:astream_events version='v1' is deprecated")
@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_an_event_stream_has_the_progress(scripted, version):
    """As custom events, before the answer, from wrappers in the middle of a chain, too."""
    chain = PROMPT | full(scripted("a", "b", "a")) | StrOutputParser()
    events = [event async for event in chain.astream_events({"x": 1}, version=version)]
    told = [event for event in events if event["name"].startswith("thinktwice.")]
    assert [event["event"] for event in told] == ["on_custom_event"] * len(told)
    if version == "v1":  # LangChain's first event stream knows no custom events
        assert told == []
    else:
        assert names((each["name"], 0) for each in told) == ["sample"] * 3 + ["decided"]
        assert sorted(told[-1]["data"]["tally"]) == [1, 2]
        last = [event["event"] for event in events].index("on_parser_stream")
        assert events.index(told[-1]) < last


async def test_samples_can_be_left_out_of_an_event_stream(streamed):
    """By their tag: models, parsers and prompts inside them; the progress and the answer stay."""
    chain = full(PROMPT | streamed("aa", "bb") | StrOutputParser())
    shown = chain.astream_events({"x": 1}, version="v2", exclude_tags=[TAG])
    kinds = [event["event"] async for event in shown]
    assert set(kinds) == {"on_chain_start", "on_custom_event", "on_chain_end"}
    everything = [event["event"] async for event in chain.astream_events({"x": 1}, version="v2")]
    assert "on_chat_model_stream" in everything


async def test_astream_yields_the_answer_once_it_is_decided(streamed):
    """One chunk, whole: no token before it, of whomever."""
    heard = Heard()
    chain = full(PROMPT | streamed("abc", "xyz", "abc") | StrOutputParser())
    chunks = []
    async for chunk in chain.astream({"x": 1}, {"callbacks": [heard]}):
        assert names(heard.events)[-1] == "decided"
        chunks.append(chunk)
    assert chunks == ["abc"]
    assert list(chain.stream({"x": 1})) == ["abc"]


# ---- LangGraph's custom stream -------------------------------------------------------------------


def graph_of(*nodes, saver=None):
    """A graph of nodes one after the other."""
    builder = StateGraph(State)
    for before, node in zip((START, *[each.__name__ for each in nodes]), nodes, strict=False):
        builder.add_node(node)
        builder.add_edge(before, node.__name__)
    return builder.compile(checkpointer=saver)


async def drained(graph, asynchronously, given=None, config=None, **settings):
    """All chunks of a graph's stream; the sync one is read on a thread."""
    given = {"x": "?"} if given is None else given
    if asynchronously:
        return [chunk async for chunk in graph.astream(given, config, **settings)]
    return await asyncio.to_thread(lambda: list(graph.stream(given, config, **settings)))


def nodes_of(wrapped, asynchronously, name="answer"):
    """A node that calls a wrapper with the text of the state."""

    async def later(state):
        return {"x": str(await wrapped.ainvoke(state["x"]))}

    def now(state):
        return {"x": str(wrapped.invoke(state["x"]))}

    node = later if asynchronously else now
    node.__name__ = name
    return node


@pytest.mark.parametrize("asynchronously", [False, True])
async def test_a_custom_stream_has_the_same_payload(scripted, asynchronously):
    """As the handlers of the same run hear."""
    heard = Heard()
    wrapped = full(scripted("a", "b", "a") | StrOutputParser())
    graph = graph_of(nodes_of(wrapped, asynchronously))
    config = {"callbacks": [heard]}
    chunks = await drained(graph, asynchronously, config=config, stream_mode="custom")
    assert chunks == [data for _, data in heard.events]
    assert [each["event"] for each in chunks] == [EVENTS["sample"]] * 3 + [EVENTS["decided"]]


async def test_a_sync_wrapper_in_an_async_graph_streams(scripted):
    """A sync node of an async graph runs on a thread."""
    wrapped = full(scripted("a") | StrOutputParser())
    graph = graph_of(nodes_of(wrapped, asynchronously=False))
    chunks = await drained(graph, asynchronously=True, stream_mode="custom")
    assert [each["event"] for each in chunks] == [EVENTS["sample"]] * 3 + [EVENTS["decided"]]


async def test_a_sync_wrapper_in_an_async_node_streams(scripted):
    """It blocks the loop, and all comes at its end."""
    wrapped = full(scripted("a") | StrOutputParser())

    async def answer(state):
        return {"x": wrapped.invoke(state["x"])}

    chunks = await drained(graph_of(answer), asynchronously=True, stream_mode="custom")
    assert len(chunks) == 4


@pytest.mark.parametrize("asynchronously", [False, True])
async def test_several_wrappers_in_a_graph_tell_themselves_apart(scripted, asynchronously):
    """By name and run; the stream says in which order."""
    first = full(scripted("a") | StrOutputParser(), n=1, name="first")
    second = full(scripted("b") | StrOutputParser(), n=1, name="second")
    graph = graph_of(
        nodes_of(first, asynchronously, "one"), nodes_of(second, asynchronously, "two")
    )
    chunks = await drained(graph, asynchronously, stream_mode="custom")
    assert [each["name"] for each in chunks] == ["first", "first", "second", "second"]
    assert len({each["run"] for each in chunks}) == 2


async def test_a_graph_that_nobody_streams_runs_as_ever(scripted):
    """The writer that LangGraph gives then drops it all."""
    wrapped = full(scripted("a") | StrOutputParser())
    assert await graph_of(nodes_of(wrapped, asynchronously=True)).ainvoke({"x": "?"}) == {"x": "a"}


@pytest.mark.parametrize("asynchronously", [False, True])
async def test_a_wrapper_as_a_node_streams(scripted, asynchronously):
    """And in a sequence that is one."""
    builder = StateGraph(State)
    chain = RunnableLambda(lambda state: state["x"]) | full(scripted("a")) | (lambda m: {"x": m})
    builder.add_node("answer", chain)
    builder.add_edge(START, "answer")
    chunks = await drained(builder.compile(), asynchronously, stream_mode="custom")
    assert [each["event"] for each in chunks] == [EVENTS["sample"]] * 3 + [EVENTS["decided"]]


async def test_a_subgraph_says_where_its_progress_comes_from(scripted):
    """With `subgraphs=True`, as all that it streams."""
    inner = graph_of(nodes_of(full(scripted("a") | StrOutputParser()), asynchronously=True))
    builder = StateGraph(State)
    builder.add_node("inside", inner)
    builder.add_edge(START, "inside")
    chunks = await drained(
        builder.compile(), asynchronously=True, stream_mode="custom", subgraphs=True
    )
    assert len(chunks) == 4
    assert all(namespace[0].startswith("inside:") for namespace, _ in chunks)


async def test_both_streams_of_a_graph_at_once(scripted):
    """`astream_events` of a graph has the events, its chunks have the same in `custom`."""
    graph = graph_of(nodes_of(full(scripted("a") | StrOutputParser()), asynchronously=True))
    custom, events = [], []
    async for event in graph.astream_events({"x": "?"}, version="v2", stream_mode="custom"):
        if event["event"] == "on_custom_event":
            events.append(event["data"])
        elif event["event"] == "on_chain_stream" and event["name"] == "LangGraph":
            custom.append(event["data"]["chunk"])
    assert custom == events
    assert len(custom) == 4


# ---- in an agent ---------------------------------------------------------------------------------


@pytest.mark.parametrize("asynchronously", [False, True])
async def test_each_step_of_an_agent_tells_its_progress(scripted, asynchronously):
    """In the custom stream of the agent and by custom events, one run for each step."""
    agents = pytest.importorskip("langchain.agents")
    from langchain_thinktwice.middleware import StrategyMiddleware

    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    called = AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "1"}])
    model = scripted(*[called] * 3, *["3"] * 3)
    strategy = Vote(3, stop=AtMost(3))
    agent = agents.create_agent(model, [add], middleware=[StrategyMiddleware(strategy)])
    heard, given = Heard(), {"messages": [("user", "1 + 2?")]}
    chunks = await drained(
        agent, asynchronously, given, config={"callbacks": [heard]}, stream_mode="custom"
    )
    assert chunks == [data for _, data in heard.events]
    step = ["sample"] * 3 + ["decided"]
    assert names(heard.events) == step * 2
    assert len({each["run"] for each in chunks}) == 2
    assert all("within" not in each for each in chunks)
