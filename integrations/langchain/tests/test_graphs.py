"""Whole graphs as samples: each on a copy of the caller's thread, which stays as it was."""

from __future__ import annotations

import asyncio
import operator
from collections import OrderedDict
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import best_of_n, vote
from langchain_thinktwice.graphs import sampling as graphs
from langchain_thinktwice.graphs.checkpoints import MARK
from langchain_thinktwice.graphs.sampling import GraphSample
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphInterrupt, GraphRecursionError
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, interrupt

from thinktwice import UsageError, collect, remarks
from thinktwice.stop import AtMost

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

THREAD: Any = {"configurable": {"thread_id": "t"}}


class Seen:
    """Nodes, and what they saw when they ran."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.lengths: list[int] = []

    def answer(self, state, config):
        """How many messages there were."""
        self.threads.append(config["configurable"].get("thread_id"))
        self.lengths.append(len(state["messages"]))
        return {"messages": [AIMessage(f"after {len(state['messages'])}")]}


def chain_of(*nodes, schema: Any = MessagesState, **settings):
    """A graph of nodes one after the other."""
    builder = StateGraph(schema)
    before = START
    for node in nodes:
        builder.add_node(node.__name__, node)
        builder.add_edge(before, node.__name__)
        before = node.__name__
    return builder.compile(**settings)


def said(text):
    """An input of one message."""
    return {"messages": [HumanMessage(text)]}


def full(bound, n=3, **more):
    """A vote that draws all n of something that may be repeated."""
    return vote(bound, n=n, stop=AtMost(n), repeatable=True, **more)


@pytest.fixture
def seen():
    """A record of what nodes saw."""
    return Seen()


@pytest.fixture
def saver():
    """A checkpointer."""
    return InMemorySaver()


def kept(saver):
    """Threads that have checkpoints."""
    return {each.config["configurable"]["thread_id"] for each in saver.list(None)}


async def until(what):
    """Wait for something that a thread is about to do."""
    for _ in range(100):
        if what():
            return
        await asyncio.sleep(0.01)
    assert what()


@pytest.fixture
def fresh_remarks(monkeypatch):
    """Warnings that are said once a process are said again."""
    monkeypatch.setattr(remarks, "_told", set())


# ---- threads -------------------------------------------------------------------------------------


async def test_each_sample_has_a_thread_of_its_own(call, seen, saver):
    """Made of the caller's, the run and the sample."""
    await call(full(chain_of(seen.answer, checkpointer=saver)), said("a"), THREAD)
    assert len(set(seen.threads)) == 3
    assert all(each.startswith(f"t{MARK}") for each in seen.threads)
    assert {each.rpartition(":")[2] for each in seen.threads} == {"0", "1", "2"}
    again = seen.threads[:]
    await call(full(chain_of(seen.answer, checkpointer=saver)), said("a"), THREAD)
    assert not set(again) & set(seen.threads[3:])


async def test_samples_see_the_history_of_the_thread(call, seen, saver):
    """Each goes on from where the caller's thread is, and none sees another."""
    graph = chain_of(seen.answer, checkpointer=saver)
    await call(graph, said("a"), THREAD)
    state = await call(full(graph), said("b"), THREAD)
    assert seen.lengths == [1, 3, 3, 3]
    assert [each.text for each in state["messages"]] == ["a", "after 1", "b", "after 3"]


async def test_nothing_is_written_back_and_nothing_stays(call, seen, saver):
    """Neither in the caller's thread nor in others."""
    graph = chain_of(seen.answer, checkpointer=saver)
    await call(graph, said("a"), THREAD)
    before = [each.checkpoint["id"] for each in saver.list(None)]
    await call(full(graph), said("b"), THREAD)
    assert [each.checkpoint["id"] for each in saver.list(None)] == before


async def test_the_winner_can_be_written_to_the_thread(call, seen, saver):
    """By the graph's own method; messages have ids, so that none comes twice."""
    graph = chain_of(seen.answer, checkpointer=saver)
    await call(graph, said("a"), THREAD)
    state = await call(full(graph), said("b"), THREAD)
    graph.update_state(THREAD, state)
    assert graph.get_state(THREAD).values == state
    await call(graph, said("c"), THREAD)
    assert seen.lengths[-1] == 5


async def test_what_a_subgraph_remembers_is_copied(call, seen, saver):
    """One with `checkpointer=True` has a history of its own in the thread."""
    inner = chain_of(seen.answer, checkpointer=True)

    def clear(state):
        return {"messages": [RemoveMessage(REMOVE_ALL_MESSAGES), *state["messages"][-1:]]}

    builder = StateGraph(MessagesState)
    builder.add_node("clear", clear)
    builder.add_node("inner", inner)
    builder.add_edge(START, "clear")
    builder.add_edge("clear", "inner")
    graph = builder.compile(checkpointer=saver)
    await call(graph, said("a"), THREAD)
    await call(graph, said("b"), THREAD)
    plain = seen.lengths[-1]
    assert plain > 1
    before = [each.checkpoint["id"] for each in saver.list(None)]
    await call(full(graph), said("c"), THREAD)
    assert seen.lengths[2:] == [plain + 2] * 3
    assert [each.checkpoint["id"] for each in saver.list(None)] == before


async def test_an_earlier_checkpoint_is_where_they_start_if_asked(call, seen, saver):
    """With `checkpoint_id`, as the graph itself would."""
    graph = chain_of(seen.answer, checkpointer=saver)
    await call(graph, said("a"), THREAD)
    first = graph.get_state(THREAD).config
    await call(graph, said("b"), THREAD)
    state = await call(full(graph), said("c"), first)
    assert [each.text for each in state["messages"]] == ["a", "after 1", "c", "after 3"]


async def test_values_without_a_reducer_are_copied_too(call, saver):
    """All channels of the state."""

    class State(TypedDict):
        total: Annotated[int, operator.add]
        last: str

    def add(state):
        return {"total": 1, "last": f"{state.get('last', '')}+"}

    graph = chain_of(add, schema=State, checkpointer=saver)
    await call(graph, {"total": 5}, THREAD)
    assert await call(full(graph), {"total": 1}, THREAD) == {"total": 8, "last": "++"}
    assert graph.get_state(THREAD).values == {"total": 6, "last": "+"}


async def test_channels_that_keep_changes_alone_are_copied_whole(call, saver):
    """Their value is made of all checkpoints before."""
    delta = pytest.importorskip("langgraph.channels.delta", reason="this LangGraph has none")
    from langgraph.graph.message import _messages_delta_reducer

    channel = delta.DeltaChannel(_messages_delta_reducer)
    schema: Any = TypedDict("Deltas", {"messages": Annotated[list, channel]})

    def answer(state):
        return {"messages": [AIMessage(f"after {len(state['messages'])}")]}

    graph = chain_of(answer, schema=schema, checkpointer=saver)
    for turn in ("a", "b"):
        await call(graph, said(turn), THREAD)
    state = await call(full(graph), said("c"), THREAD)
    assert [each.text for each in state["messages"]][-2:] == ["c", "after 5"]
    assert kept(saver) == {"t"}


def test_a_sync_checkpointer_on_disk(seen, tmp_path):
    """SQLite's, where it is installed."""
    sqlite = pytest.importorskip("langgraph.checkpoint.sqlite", reason="no SQLite checkpointer")
    with sqlite.SqliteSaver.from_conn_string(str(tmp_path / "a.db")) as saver:
        graph = chain_of(seen.answer, checkpointer=saver)
        graph.invoke(said("a"), THREAD)
        full(graph).invoke(said("b"), THREAD)
        assert seen.lengths == [1, 3, 3, 3]
        assert kept(saver) == {"t"}


async def test_an_async_checkpointer_on_disk(seen, tmp_path):
    """SQLite's as well, whose sync methods may not be called from a loop."""
    sqlite = pytest.importorskip("langgraph.checkpoint.sqlite.aio", reason="no SQLite checkpointer")
    async with sqlite.AsyncSqliteSaver.from_conn_string(str(tmp_path / "a.db")) as saver:
        graph = chain_of(seen.answer, checkpointer=saver)
        await graph.ainvoke(said("a"), THREAD)
        await full(graph).ainvoke(said("b"), THREAD)
        assert seen.lengths == [1, 3, 3, 3]
        threads = [each.config["configurable"]["thread_id"] async for each in saver.alist(None)]
        assert set(threads) == {"t"}


async def test_a_thread_set_by_with_config_counts(call, seen, saver):
    """Wherever the caller put it."""
    graph = chain_of(seen.answer, checkpointer=saver).with_config(configurable={"thread_id": "u"})
    await call(full(graph), said("a"))
    assert len(set(seen.threads)) == 3
    assert all(each.startswith(f"u{MARK}") for each in seen.threads)


async def test_a_graph_inside_a_chain_has_its_thread(call, seen, saver):
    """The copy is made around the sample, whatever is sampled."""
    chain = RunnableLambda(said) | chain_of(seen.answer, checkpointer=saver)
    chain = chain | (lambda state: state["messages"][-1].text)
    assert await call(full(chain), "a", THREAD) == "after 1"
    assert len(set(seen.threads)) == 3
    assert not kept(saver)


async def test_nested_wrappers_have_a_thread_for_each_innermost_sample(call, seen, saver):
    """The inner wrapper alone sees to it."""
    graph = chain_of(seen.answer, checkpointer=saver)
    await call(full(full(graph, n=2), n=2), said("a"), THREAD)
    assert len(set(seen.threads)) == 4
    assert not kept(saver)


async def test_a_graph_that_remembers_nothing_keeps_the_callers_thread(call, seen):
    """There is nothing to keep apart."""
    await call(full(chain_of(seen.answer)), said("a"), THREAD)
    assert seen.threads == ["t"] * 3


async def test_a_graph_with_a_store_alone_gets_threads(call, seen):
    """Its nodes may store by thread."""
    store = InMemoryStore()

    def note(state, config, *, store):
        store.put(("seen",), config["configurable"]["thread_id"], {"x": 1})
        return seen.answer(state, config)

    await call(full(chain_of(note, store=store)), said("a"), THREAD)
    assert {each.key for each in store.search(("seen",))} == set(seen.threads)
    assert len(set(seen.threads)) == 3


async def test_without_a_thread_a_graph_says_so_itself(call, seen, saver):
    """As it does without the wrapper."""
    with pytest.raises(ValueError, match="thread_id"):
        await call(full(chain_of(seen.answer, checkpointer=saver)), said("a"))


def test_one_memory_for_all_is_refused(seen):
    """Samples would write into it, one over the other."""
    graph = chain_of(seen.answer, checkpointer=True)
    with pytest.raises(UsageError, match="checkpointer=True"):
        full(graph)


def test_a_thread_that_moves_on_has_no_shadow(seen, saver):
    """What a shadow would see is not what the caller's call saw."""
    with pytest.raises(UsageError, match="the caller's answer") as raised:
        full(chain_of(seen.answer, checkpointer=saver), shadow=0.5)
    assert raised.value.parameter == "shadow"
    assert full(chain_of(seen.answer), shadow=0.5)


def test_what_has_no_graph_is_sampled_as_it_is(scripted, seen):
    """No wrapper around it, and so no cost."""
    model = scripted("a")
    assert full(model)._sampled() is model
    assert isinstance(full(chain_of(seen.answer))._sampled(), GraphSample)
    assert full(chain_of(seen.answer)).get_name() == "Vote[LangGraph]"


async def test_a_checkpointer_that_cannot_delete_loses_no_sample(call, seen):
    """It warns, once, and says how to find what stays."""

    class Keeps(InMemorySaver):
        def delete_thread(self, thread_id):
            raise NotImplementedError

        async def adelete_thread(self, thread_id):
            raise NotImplementedError

    saver = Keeps()
    state = await call(full(chain_of(seen.answer, checkpointer=saver)), said("a"), THREAD)
    assert state["messages"][-1].text == "after 1"
    assert kept(saver) == set(seen.threads)


async def test_cancelled_samples_leave_nothing(saver):
    """Their threads go with them."""
    begun = asyncio.Event()

    async def slow(state):
        begun.set()
        await asyncio.sleep(60)
        return {}

    async def first(state):
        return {"messages": [AIMessage("a")]}

    graph = chain_of(first, slow, checkpointer=saver)
    task = asyncio.create_task(full(graph).ainvoke(said("a"), THREAD))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not kept(saver)


async def test_failed_samples_leave_nothing(call, saver):
    """And their error arrives."""

    def fail(state):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await call(full(chain_of(fail, checkpointer=saver)), said("a"), THREAD)
    assert not kept(saver)


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_every_durability_works(call, seen, saver, durability):
    """It is passed on, as are the other arguments of a graph."""
    graph = chain_of(seen.answer, checkpointer=saver)
    await call(graph, said("a"), THREAD, durability=durability)
    state = await call(full(graph), said("b"), THREAD, durability=durability)
    assert state["messages"][-1].text == "after 3"
    assert kept(saver) == {"t"}


async def test_context_and_output_keys_reach_the_graph(call):
    """Arguments of `invoke` are passed to each sample."""

    class Context(TypedDict):
        who: str

    class State(TypedDict):
        a: str
        b: str

    def greet(state, runtime):
        return {"a": runtime.context["who"], "b": "-"}

    builder = StateGraph(State, context_schema=Context)
    builder.add_node("greet", greet)
    builder.add_edge(START, "greet")
    wrapped = full(builder.compile())
    assert await call(wrapped, {"a": ""}, context={"who": "me"}, output_keys=["a"]) == {"a": "me"}


async def test_the_recursion_limit_passes(call, seen, saver):
    """And its error arrives as itself."""

    def again(state):
        return Command(goto="again")

    graph = chain_of(again, checkpointer=saver)
    with pytest.raises(GraphRecursionError):
        await call(full(graph), said("a"), {**THREAD, "recursion_limit": 3})


async def test_best_of_n_judges_the_final_state(call, saver):
    """The verifier gets all of it, and the best state is returned whole."""
    drafts = iter(["short", "a longer one", "mid size"])

    def draft(state):
        return {"messages": [AIMessage(next(drafts))]}

    def length(state):
        return min(len(state["messages"][-1].text) / 20, 1.0)

    wrapped = best_of_n(
        chain_of(draft, checkpointer=saver), n=3, verifier=length, repeatable=True, prefer="latency"
    )
    state = await call(wrapped, said("?"), THREAD)
    assert [each.text for each in state["messages"]] == ["?", "a longer one"]


# ---- interrupts ----------------------------------------------------------------------------------


def asking(calls):
    """A graph that works, asks a human, and answers."""

    def work(state):
        calls.append("work")
        return {"messages": [AIMessage("draft")]}

    def ask(state):
        calls.append("ask")
        return {"messages": [AIMessage(f"final {interrupt('well?')}")]}

    return work, ask


async def test_a_sample_that_asks_a_human_ends_the_request(call, saver):
    """A sample cannot wait: the interrupt arrives as LangGraph raises it."""
    graph = chain_of(*asking([]), checkpointer=saver)
    with collect() as results, pytest.raises(GraphInterrupt) as raised:
        await call(full(graph), said("a"), THREAD)
    assert raised.value.args[0][0].value == "well?"
    assert len(results) == 1
    await until(lambda: not kept(saver))  # samples that are abandoned on threads end by themselves


async def test_an_interrupted_thread_is_resumed_in_each_sample(call, saver):
    """From where it waits: what came before it is not done again. The thread itself still waits."""
    calls = []
    graph = chain_of(*asking(calls), checkpointer=saver)
    await call(graph, said("a"), THREAD)
    calls.clear()
    state = await call(full(graph), Command(resume="yes"), THREAD)
    assert [each.text for each in state["messages"]] == ["a", "draft", "final yes"]
    assert calls == ["ask"] * 3
    assert graph.get_state(THREAD).next == ("ask",)
    assert kept(saver) == {"t"}


async def test_a_subgraph_that_waits_is_resumed_in_each_sample(call, saver):
    """With the checkpoints of its own namespace."""
    calls = []
    inner = chain_of(*asking(calls))
    builder = StateGraph(MessagesState)
    builder.add_node("inner", inner)
    builder.add_edge(START, "inner")
    graph = builder.compile(checkpointer=saver)
    await call(graph, said("a"), THREAD)
    calls.clear()
    state = await call(full(graph), Command(resume="yes"), THREAD)
    assert state["messages"][-1].text == "final yes"
    assert calls == ["ask"] * 3
    assert graph.get_state(THREAD).next == ("inner",)


async def test_a_thread_that_stopped_before_a_node_goes_on_in_each_sample(call, seen, saver):
    """With None as the input, as LangGraph has it."""

    def work(state):
        return {"messages": [AIMessage("draft")]}

    graph = chain_of(work, seen.answer, checkpointer=saver, interrupt_before=["answer"])
    await call(graph, said("a"), THREAD)
    state = await call(full(graph), None, THREAD)
    assert [each.text for each in state["messages"]] == ["a", "draft", "after 2"]
    assert graph.get_state(THREAD).next == ("answer",)


# ---- in a node of another graph ------------------------------------------------------------------


def outer_of(wrapped, asynchronously, *, before=None, after=None, **settings):
    """A graph whose node asks a human before or after it calls a wrapper with its state."""

    def begin():
        return interrupt(before) if before else None

    def end(state):
        last = state["messages"][-1]
        return {"messages": [AIMessage(f"{last.text} {interrupt(after)}") if after else last]}

    async def later(state):
        begin()
        return end(await wrapped.ainvoke({"messages": state["messages"]}))

    def now(state):
        begin()
        return end(wrapped.invoke({"messages": state["messages"]}))

    node = later if asynchronously else now
    node.__name__ = "outer"
    return chain_of(node, **settings)


async def run(graph, given, asynchronously, config=THREAD):
    """Run a graph, sync on a thread."""
    if asynchronously:
        return await graph.ainvoke(given, config)
    return await asyncio.to_thread(graph.invoke, given, config)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def asynchronously(request):
    """Whether graph and node run async."""
    return request.param


@pytest.mark.parametrize("outer", [None, "saver"])
@pytest.mark.parametrize("inner", [None, "saver"])
async def test_a_subgraph_is_sampled_in_a_node(asynchronously, seen, saver, outer, inner):
    """LangGraph gives each call a namespace; the state of the caller's thread has the winner."""
    own = InMemorySaver()
    wrapped = full(chain_of(seen.answer, checkpointer=own if inner else None))
    graph = outer_of(wrapped, asynchronously, checkpointer=saver if outer else None)
    for turn in (1, 2):
        state = await run(graph, said("a"), asynchronously)
        length = 2 * turn if outer else 2
        assert len(state["messages"]) == length
    assert seen.lengths == ([1, 1, 1, 3, 3, 3] if outer else [1] * 6)
    assert not kept(own)
    assert kept(saver) == ({"t"} if outer else set())


async def test_interrupts_of_samples_are_answered_one_by_one(asynchronously, saver):
    """Each sample asks; what it did before it asked is kept, and not done again."""
    calls = []
    graph = outer_of(full(chain_of(*asking(calls)), n=2), asynchronously, checkpointer=saver)
    state = await run(graph, said("a"), asynchronously)
    asked = 0
    while "__interrupt__" in state:
        assert state["__interrupt__"][0].value == "well?"
        asked += 1
        state = await run(graph, Command(resume="yes"), asynchronously)
    assert asked == 2
    assert state["messages"][-1].text == "final yes"
    assert calls.count("work") == 2


async def test_an_interrupt_before_the_vote_costs_nothing_twice(asynchronously, scripted, saver):
    """The node runs again, and comes to the vote once."""
    model = scripted("a")
    wrapped = full(RunnableLambda(lambda state: state["messages"]) | model | _as_state)
    graph = outer_of(wrapped, asynchronously, before="go?", checkpointer=saver)
    await run(graph, said("?"), asynchronously)
    assert model.calls == 0
    state = await run(graph, Command(resume="yes"), asynchronously)
    assert model.calls == 3
    assert state["messages"][-1].text == "a"


def _as_state(message):
    return {"messages": [message]}


@pytest.mark.usefixtures("fresh_remarks")
@pytest.mark.filterwarnings("default::thinktwice.errors.ThinktwiceWarning")
async def test_an_interrupt_behind_the_vote_draws_again_and_says_so(
    asynchronously, saver, scripted
):
    """LangGraph runs a node again from its start: what it drew is paid for twice."""
    model = scripted("a")
    wrapped = full(RunnableLambda(lambda state: state["messages"]) | model | _as_state)
    graph = outer_of(wrapped, asynchronously, after="ok?", checkpointer=saver)
    await run(graph, said("?"), asynchronously)
    with pytest.warns(UserWarning, match="node of its own"):
        state = await run(graph, Command(resume="yes"), asynchronously)
    assert model.calls == 6
    assert state["messages"][-1].text == "a yes"


@pytest.mark.usefixtures("fresh_remarks")
@pytest.mark.filterwarnings("error::thinktwice.errors.ThinktwiceWarning")
async def test_a_vote_in_a_node_of_its_own_is_kept(asynchronously, saver, scripted):
    """The remedy: the checkpoint has the answer, and the node that asks runs again alone."""
    model = scripted("a")
    wrapped = full(RunnableLambda(lambda state: state["messages"]) | model)

    def answer(state):
        return {"messages": [wrapped.invoke(state)]}

    def ask(state):
        return {"messages": [AIMessage(f"{state['messages'][-1].text} {interrupt('ok?')}")]}

    graph = chain_of(answer, ask, checkpointer=saver)
    await run(graph, said("?"), asynchronously)
    state = await run(graph, Command(resume="yes"), asynchronously)
    assert model.calls == 3
    assert state["messages"][-1].text == "a yes"


@pytest.mark.usefixtures("fresh_remarks")
@pytest.mark.filterwarnings("error::thinktwice.errors.ThinktwiceWarning")
async def test_a_sampled_graph_is_kept_through_an_interrupt(asynchronously, seen, saver):
    """Its checkpoints have what each sample came to."""
    graph = outer_of(full(chain_of(seen.answer)), asynchronously, after="ok?", checkpointer=saver)
    await run(graph, said("?"), asynchronously)
    state = await run(graph, Command(resume="yes"), asynchronously)
    assert len(seen.lengths) == 3
    assert state["messages"][-1].text == "after 1 yes"


async def test_what_is_remembered_of_paid_steps_is_bounded(scripted, saver, monkeypatch):
    """The oldest go first; a service may run for months."""
    monkeypatch.setattr(graphs, "_paid", OrderedDict())
    monkeypatch.setattr(graphs, "_REMEMBERED", 2)
    wrapped = full(RunnableLambda(lambda state: state["messages"]) | scripted("a"), n=1)

    async def answer(state):
        return {"messages": [await wrapped.ainvoke(state)]}

    graph = chain_of(answer, checkpointer=saver)
    for thread in ("1", "2", "3"):
        await graph.ainvoke(said("?"), {"configurable": {"thread_id": thread}})
    assert [thread for thread, _, _ in graphs._paid] == ["2", "3"]


@pytest.mark.usefixtures("fresh_remarks")
@pytest.mark.filterwarnings("error::thinktwice.errors.ThinktwiceWarning")
async def test_calling_a_wrapper_twice_in_a_node_is_nothing_to_warn_of(scripted, saver):
    """Nor is a second turn, or a second thread."""
    wrapped = full(RunnableLambda(lambda state: state["messages"]) | scripted("a"))

    def twice(state):
        wrapped.invoke(state)
        return {"messages": [wrapped.invoke(state)]}

    graph = chain_of(twice, checkpointer=saver)
    for thread in ("1", "1", "2"):
        await run(graph, said("?"), asynchronously, {"configurable": {"thread_id": thread}})


async def test_a_command_to_the_parent_leaves_the_wrapper(asynchronously, saver):
    """Control flow is no failed sample: the first that hands over decides."""

    def hand_over(state):
        return Command(graph=Command.PARENT, goto="other", update=said("over"))

    def other(state):
        return {"messages": [AIMessage("done")]}

    wrapped = full(chain_of(hand_over))

    def first(state):
        return wrapped.invoke(state)

    async def later(state):
        return await wrapped.ainvoke(state)

    builder = StateGraph(MessagesState)
    builder.add_node("first", later if asynchronously else first, destinations=("other",))
    builder.add_node("other", other)
    builder.add_edge(START, "first")
    state = await run(builder.compile(checkpointer=saver), said("a"), asynchronously)
    assert [each.text for each in state["messages"]][-2:] == ["over", "done"]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_each_durability_keeps_what_a_node_voted(scripted, saver, durability):
    """And the bill of it, in the message."""
    wrapped = full(RunnableLambda(lambda state: state["messages"]) | scripted("a"))

    async def answer(state):
        return {"messages": [await wrapped.ainvoke(state)]}

    graph = chain_of(answer, checkpointer=saver)
    await graph.ainvoke(said("?"), THREAD, durability=durability)
    last = graph.get_state(THREAD).values["messages"][-1]
    assert last.response_metadata["thinktwice"]["launched"] == 3
