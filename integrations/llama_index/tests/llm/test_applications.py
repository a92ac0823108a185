"""An LLM over samples where LlamaIndex takes an LLM."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import FunctionTool
from llama_index_thinktwice.llm import StrategyLLM
from pydantic import BaseModel

from thinktwice import Budget, Vote, budget_scope, collect

pytestmark = [
    pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning"),
    # Of LlamaIndex's own ReActAgent.
    pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning"),
]


def memory() -> ChatMemoryBuffer:
    """One without a database, which LlamaIndex's default leaves open."""
    return ChatMemoryBuffer.from_defaults(tokenizer_fn=str.split)


class City(BaseModel):
    """A city."""

    name: str


@pytest.fixture
def adding():
    """A tool that keeps count of its calls."""
    made: list[tuple[int, int]] = []

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        made.append((a, b))
        return a + b

    tool = FunctionTool.from_defaults(add)
    return tool, made


class TestQueryEngines:
    """`as_query_engine(llm=...)`."""

    async def test_answers_by_vote(self, scripted, voting, index, call):
        """Each synthesis is a vote; retrieval is made once."""
        inner = scripted("Paris", "Rome", "Paris")
        engine = index.as_query_engine(llm=voting(inner), similarity_top_k=1)
        response = await call(engine, "query", "Where is the Eiffel tower?")
        assert str(response) == "Paris"
        assert len(response.source_nodes) == 1
        assert inner.calls == 3
        assert "Eiffel" in inner.log[0]["text"]

    def test_streams(self, scripted, voting, index):
        """One chunk, by the sync and by the async interface."""
        engine = index.as_query_engine(llm=voting(scripted("Paris")), streaming=True)
        assert list(engine.query("Where?").response_gen) == ["Paris"]

    async def test_streams_awaited(self, scripted, voting, index):
        """Likewise."""
        engine = index.as_query_engine(llm=voting(scripted("Paris")), streaming=True)
        response = await engine.aquery("Where?")
        assert [text async for text in response.async_response_gen()] == ["Paris"]

    @pytest.mark.parametrize("mode", ["refine", "compact", "tree_summarize", "simple_summarize"])
    async def test_response_modes(self, scripted, voting, index, call, mode):
        """All of them ask it."""
        inner = scripted("Paris")
        engine = index.as_query_engine(llm=voting(inner), response_mode=mode, similarity_top_k=2)
        assert str(await call(engine, "query", "Where?")) == "Paris"
        assert inner.calls % 3 == 0

    async def test_output_classes(self, scripted, voting, asks_tools, index, call):
        """The object that most samples come to."""
        replies = [asks_tools(("City", {"name": name})) for name in ("Rome", "Paris", "Paris")]
        engine = index.as_query_engine(llm=voting(scripted(*replies)), output_cls=City)
        response = await call(engine, "query", "Where?")
        assert response.response == City(name="Paris")

    async def test_retrievers_that_write_queries(self, scripted, voting, index, call):
        """Query fusion asks it for its queries."""
        from llama_index.core.retrievers import QueryFusionRetriever

        inner = scripted("Eiffel tower")
        retriever = QueryFusionRetriever(
            [index.as_retriever(similarity_top_k=1)],
            llm=voting(inner),
            num_queries=2,
            use_async=False,
        )
        nodes = await call(retriever, "retrieve", "Where is it?")
        assert nodes
        assert inner.calls == 3


class TestChatEngines:
    """With memory."""

    async def test_a_simple_one(self, scripted, voting, call):
        """The history has the winner alone."""
        inner = scripted("4", "5", "4")
        engine = SimpleChatEngine.from_defaults(llm=voting(inner), memory=memory())
        assert str(await call(engine, "chat", "2 + 2")) == "4"
        assert [each.content for each in engine.chat_history] == ["2 + 2", "4"]

    @pytest.mark.parametrize("mode", ["context", "condense_question", "condense_plus_context"])
    async def test_over_an_index(self, scripted, voting, index, call, mode):
        """Also those that condense."""
        engine = index.as_chat_engine(
            chat_mode=mode, llm=voting(scripted("Paris")), memory=memory()
        )
        assert str(await call(engine, "chat", "Where is the Eiffel tower?")) == "Paris"
        assert str(await call(engine, "chat", "And now?")) == "Paris"

    async def test_streams(self, scripted, voting, index):
        """One chunk."""
        engine = index.as_chat_engine(
            chat_mode="context", llm=voting(scripted("Paris")), memory=memory()
        )
        assert list(engine.stream_chat("Where?").response_gen) == ["Paris"]
        response = await engine.astream_chat("Where?")
        assert [text async for text in response.async_response_gen()] == ["Paris"]


@pytest.mark.parametrize("streaming", [True, False])
class TestAgents:
    """Each step is a vote; the tool of the winner runs once."""

    async def test_a_function_agent(self, scripted, asks_tools, adding, voting, streaming):
        """Tool calls are voted by value."""
        tool, made = adding
        wrong, right = {"a": 2, "b": 9}, {"a": 2, "b": 3}
        inner = scripted(
            *(asks_tools(("add", given)) for given in (right, wrong, right)),
            *("It is 5.", "It is 6.", "It is 5."),
        )
        agent = FunctionAgent(tools=[tool], llm=voting(inner), streaming=streaming)
        output = await agent.run("2 + 3", memory=memory())
        assert made == [(2, 3)]
        assert str(output) == "It is 5."
        assert inner.calls == 6

    async def test_concurrent_runs_of_one_agent(self, scripted, voting, streaming):
        """Their samples stay apart."""
        inner = scripted(lambda request: request["text"], seconds=0.01)
        agent = FunctionAgent(tools=[], llm=voting(inner), streaming=streaming)
        outputs = await asyncio.gather(
            *(agent.run(each, memory=memory()) for each in ("one", "two", "three"))
        )
        assert [str(each) for each in outputs] == ["one", "two", "three"]

    async def test_a_react_agent(self, scripted, adding, voting, streaming):
        """Its steps are texts."""
        tool, made = adding
        step = 'Thought: add.\nAction: add\nAction Input: {"a": 2, "b": 3}'
        done = "Thought: I can answer without using any more tools.\nAnswer: 5"
        inner = scripted(step, step, step, done)
        agent = ReActAgent(tools=[tool], llm=voting(inner), streaming=streaming)
        inner.replies = [step] * 3 + [done] * 3
        assert str(await agent.run("2 + 3", memory=memory())) == "5"
        assert made == [(2, 3)]

    async def test_a_workflow_of_two_agents(self, scripted, asks_tools, adding, voting, streaming):
        """The handoff is voted on as any tool call."""
        tool, made = adding
        handoff = asks_tools(("handoff", {"to_agent": "second", "reason": "sums"}))
        add = asks_tools(("add", {"a": 2, "b": 3}))
        inner = scripted(*[handoff] * 3, *[add] * 3, *["5"] * 3)
        llm = voting(inner)
        first = FunctionAgent(
            name="first",
            description="asks",
            tools=[],
            llm=llm,
            can_handoff_to=["second"],
            streaming=streaming,
        )
        second = FunctionAgent(
            name="second", description="adds", tools=[tool], llm=llm, streaming=streaming
        )
        flow = AgentWorkflow(agents=[first, second], root_agent="first")
        output = await flow.run(user_msg="2 + 3", memory=memory())
        assert str(output) == "5"
        assert output.current_agent_name == "second"
        assert made == [(2, 3)]
        assert inner.calls == 9

    async def test_a_budget_around_the_run(self, scripted, asks_tools, adding, voting, streaming):
        """Calls that it does not afford are not sent, in whatever step."""
        tool, made = adding
        inner = scripted(*[asks_tools(("add", {"a": 2, "b": 3}))] * 3, "5")
        agent = FunctionAgent(tools=[tool], llm=voting(inner), streaming=streaming)
        with budget_scope(Budget(calls=4)):
            output = await agent.run("2 + 3", memory=memory())
        assert inner.calls == 4
        assert str(output) == "5"
        assert made == [(2, 3)]


def test_without_functions_there_is_no_function_agent(scripted, voting):
    """As with the LLM itself."""
    llm = voting(scripted("4", function_calling=False))
    with pytest.raises(ValueError, match="FunctionCallingLLM"):
        asyncio.run(_run(FunctionAgent(tools=[], llm=llm)))
    workflow = AgentWorkflow.from_tools_or_functions([], llm=llm)
    assert isinstance(next(iter(workflow.agents.values())), ReActAgent)


async def _run(agent: Any) -> Any:
    return await agent.run("?", memory=memory())


def test_tools_are_prepared_by_the_llm(adding, voting):
    """In its own format, and with what only it knows."""
    module = pytest.importorskip("llama_index.llms.openai")
    tool, _made = adding
    inner = module.OpenAI(model="gpt-4o-mini", api_key="none", temperature=0.8)
    llm = voting(inner)
    for required, choice in ((True, "required"), (False, "auto")):
        asked = {"tools": [tool], "user_msg": "2 + 3", "tool_required": required}
        made = llm._prepare_chat_with_tools_compat(**asked)
        assert made == inner._prepare_chat_with_tools(**asked)
        assert made["tool_choice"] == choice
        assert made["tools"][0]["function"]["name"] == "add"


async def test_surplus_tool_calls_are_taken_out_by_the_llm(scripted, adding, asks_tools, call):
    """Of the answer alone: samples stay as they came."""
    tool, _made = adding

    def one(response: Any) -> Any:
        response.message.additional_kwargs["tool_calls"] = response.message.additional_kwargs[
            "tool_calls"
        ][:1]
        return response

    class Single(type(scripted("4"))):
        def _validate_chat_with_tools_response(self, response: Any, *_: Any, **__: Any) -> Any:
            return one(response)

    inner = Single(replies=[asks_tools(("add", {"a": 1, "b": 1}), ("add", {"a": 2, "b": 2}))])
    with collect() as results:
        llm = StrategyLLM(llm=inner, strategy=Vote(2))
        response = await call(llm, "chat_with_tools", [tool], "?")
    assert len(response.message.additional_kwargs["tool_calls"]) == 1
    kept = results[0].winner.value.message.additional_kwargs["tool_calls"]
    assert len(kept) == 2


async def test_predict_and_call(scripted, asks_tools, adding, voting, call):
    """The tool of the most frequent call runs once."""
    tool, made = adding
    llm = voting(scripted(asks_tools(("add", {"a": 2, "b": 3}))))
    response = await call(llm, "predict_and_call", [tool], "2 + 3")
    assert response.response == "5"
    assert made == [(2, 3)]


async def test_as_settings_llm(scripted, voting, index, call, monkeypatch):
    """It is what an engine takes by default."""
    monkeypatch.setattr(Settings, "_llm", None)
    inner = scripted("Paris")
    Settings.llm = voting(inner, budget=Budget(calls=9))
    assert str(await call(index.as_query_engine(), "query", "Where?")) == "Paris"
    assert inner.calls == 3


def test_a_default_strategy_stops_early(scripted, index):
    """Samples that cannot change the outcome are not drawn."""
    inner = scripted("Paris")
    llm = StrategyLLM(llm=inner, strategy=Vote(9))
    assert str(index.as_query_engine(llm=llm).query("Where?")) == "Paris"
    assert inner.calls < 9
