"""A chat model over samples where applications use one: in agents, and over a real client."""

from __future__ import annotations

from itertools import product

import pytest
from arithmetic_lm.faults import Faults
from arithmetic_lm.server import ArithmeticServer
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langchain_thinktwice.chat_model import StrategyChatModel
from pydantic import BaseModel

from thinktwice import AtMost, Budget, Vote

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


class Answer(BaseModel):
    value: int


def of(model, n=3, **settings):
    """Exactly n samples, and the most frequent answer."""
    return StrategyChatModel(model, Vote(n, stop=AtMost(n)), **settings)


class TestAgents:
    """It is what `create_agent` takes."""

    async def test_an_agent(self, scripted, call):
        """Votes on each action; the ids of calls and messages fit together."""
        agents = pytest.importorskip("langchain.agents")

        @tool
        def add(a: int, b: int) -> int:
            """Add."""
            return a + b

        def call_of(b, id_):
            args = {"a": 2, "b": b}
            return AIMessage("", tool_calls=[{"name": "add", "args": args, "id": id_}])

        acts = [call_of(2, "x"), call_of(3, "y"), call_of(2, "z")]
        model = scripted(*acts, "It is 4.", "It is 4.", "It is 5.")
        agent = agents.create_agent(of(model, prices={}), [add])
        state = await call(agent, {"messages": [("user", "2 + 2")]})
        kinds = [message.type for message in state["messages"]]
        assert kinds == ["human", "ai", "tool", "ai"]
        assert state["messages"][2].text == "4"
        assert state["messages"][-1].text == "It is 4."
        assert model.calls == 6

    @pytest.mark.parametrize("settings", [{}, {"trace_samples": True}, {"shadow": 1.0}])
    async def test_a_budget_of_the_agent(self, scripted, call, settings):
        """`BudgetMiddleware` counts every sample, and once; in a shadow, the one call."""
        agents = pytest.importorskip("langchain.agents")
        from langchain_thinktwice.middleware import BudgetMiddleware

        model = of(scripted("4"), **settings)
        agent = agents.create_agent(model, [], middleware=[BudgetMiddleware(Budget(calls=5))])
        state = await call(agent, {"messages": [("user", "?")]})
        spent = state["thinktwice_spent"]
        assert spent["calls"] == (1 if "shadow" in settings else 3)
        assert spent["output_tokens"] == 5 * spent["calls"]

    async def test_streams_of_a_graph(self, scripted):
        """The answer comes once, under the id that the state has; losers' tokens do not."""
        agents = pytest.importorskip("langchain.agents")
        for blocking, traced in product([False, True], repeat=2):
            model = of(scripted("yes", "no", "yes"), trace_samples=traced)
            agent = agents.create_agent(model, [])
            given, modes = {"messages": [("user", "?")]}, ["messages", "values", "custom"]
            if blocking:
                told = list(agent.stream(given, stream_mode=modes))
            else:
                told = [each async for each in agent.astream(given, stream_mode=modes)]
            chunks = [part[0] for mode, part in told if mode == "messages"]
            final = [part for mode, part in told if mode == "values"][-1]["messages"][-1]
            assert [chunk.text for chunk in chunks] == ["yes"]
            assert chunks[0].id == final.id
            events = [part["event"] for mode, part in told if mode == "custom"]
            assert events == ["thinktwice.sample"] * 3 + ["thinktwice.decided"]

    async def test_responses_of_a_schema(self, scripted, call):
        """The agent's own way to structured output works on it."""
        agents = pytest.importorskip("langchain.agents")
        calls = [{"name": "Answer", "args": {"value": 4}, "id": "1"}]
        model = of(scripted(AIMessage("", tool_calls=calls)))
        agent = agents.create_agent(model, [], response_format=Answer)
        state = await call(agent, {"messages": [("user", "2 + 2")]})
        assert state["structured_response"] == Answer(value=4)


class TestARealClient:
    """`ChatOpenAI` against a server on this machine."""

    async def test_a_vote(self, call):
        """Usage comes from the wire; a fault is one failed sample."""
        with served(schedule={2: "500"}) as server:
            message = await call(of(chat(server)), "2 + 2")
            assert len(server.log) == 3
        assert message.text == "4"
        assert message.usage_metadata["output_tokens"] == 2
        assert message.id.startswith("chatcmpl") or message.id.startswith("lc_run")
        assert message.response_metadata["finish_reason"] == "stop"

    # An older client dumps the parsed answer by a schema that has none.
    @pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning:pydantic.main")
    async def test_its_own_method_of_structured_output(self, call):
        """The schema is on the wire as the client sends it, and the parser is the client's."""
        with served('{"value": 4}') as server:
            made = of(chat(server)).with_structured_output(Answer, method="json_schema")
            assert await call(made, "2 + 2") == Answer(value=4)
            assert len(server.log) == 3

    async def test_faults_throughout(self, call):
        """The client's own exception arrives."""
        openai = pytest.importorskip("openai")
        with (
            served(schedule={1: "429"}, sticky=True, retry_after=None) as server,
            pytest.raises(openai.RateLimitError),
        ):
            await call(of(chat(server)), "2 + 2")


def served(reply="4", **faults):
    """A server on a thread."""
    return ArithmeticServer.in_thread(reply=lambda prompt, number: reply, faults=Faults(**faults))


def chat(server):
    """A client that does not retry."""
    client = pytest.importorskip("langchain_openai").ChatOpenAI
    return client(model="arithmetic-lm", api_key="none", max_retries=0, base_url=server.url)
