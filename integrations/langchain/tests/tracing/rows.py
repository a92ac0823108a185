"""The ways to call a wrapper: each row calls one, and says what must come of it."""

from __future__ import annotations

import asyncio
import operator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_thinktwice import best_of_n, critique_repair, vote
from langchain_thinktwice.middleware.strategy import StrategyMiddleware
from opentelemetry import trace

from integrations.langchain.tests.tracing.state import unchanged
from thinktwice import AtMost, Price, Verdict, Vote

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

PROMPT = ChatPromptTemplate.from_template("{x}")
PRICES = {"fake-1": Price(input="1", output="10")}
N = 3


@dataclass
class World:
    """What a row has at hand, and what it leaves to be checked.

    Attributes:
        scripted: Makes a scripted model.
        callbacks: Those of the request.
        leaks: The party itself leaves its context behind in the caller's task.
        issued: Tokens that models reported, call by call.
        outside: Tokens of calls outside wrappers.
        requests: Roots that there are without an outer span.
        samples: Spans of samples that there must be.
        priced: The ledger knows what it cost.
    """

    scripted: Callable[..., Any]
    callbacks: list[Any]
    leaks: bool = False
    issued: list[int] = field(default_factory=list)
    outside: list[int] = field(default_factory=list)
    requests: int = 1
    samples: int = N
    priced: bool = True

    @property
    def config(self) -> dict[str, Any]:
        """Of a request."""
        return {"callbacks": list(self.callbacks)}

    def model(self, text: str = "a") -> Any:
        """A model of which each call takes another number of tokens."""
        return self.scripted(lambda _: self.reply(text, self.issued))

    def reply(self, text: str, issued: list[int], **fields: Any) -> AIMessage:
        """One more message."""
        written = 5 + len(self.issued) + 17 * len(self.outside)
        issued.append(10 + written)
        usage = {"input_tokens": 10, "output_tokens": written, "total_tokens": 10 + written}
        return AIMessage(text, usage_metadata=usage, **fields)

    def chain(self, n: int = N) -> Any:
        """A vote on a chain."""
        return self.vote(PROMPT | self.model() | StrOutputParser(), n)

    def vote(self, runnable: Any, n: int = N, **settings: Any) -> Any:
        """A vote that draws all n at once."""
        return vote(runnable, n=n, stop=AtMost(n), prefer="latency", prices=PRICES, **settings)

    async def on_a_thread(self, function: Callable[[], Any]) -> None:
        """Sync code, where no loop runs."""

        def run() -> None:
            with unchanged(leaks=self.leaks):
                function()

        await asyncio.to_thread(run)


# ---- direct calls --------------------------------------------------------------------------------


async def ainvoke(w: World) -> None:
    await w.chain().ainvoke({"x": "?"}, w.config)


async def invoke(w: World) -> None:
    await w.on_a_thread(lambda: w.chain().invoke({"x": "?"}, w.config))


async def invoke_in_loop(w: World) -> None:
    w.chain().invoke({"x": "?"}, w.config)


async def bare_ainvoke(w: World) -> None:
    await w.vote(w.model()).ainvoke("?", w.config)


async def bare_invoke(w: World) -> None:
    await w.on_a_thread(lambda: w.vote(w.model()).invoke("?", w.config))


async def abatch(w: World) -> None:
    w.requests, w.samples = 2, 2 * N
    await w.chain().abatch([{"x": "?"}, {"x": "!"}], w.config)


async def batch(w: World) -> None:
    w.requests, w.samples = 2, 2 * N
    await w.on_a_thread(lambda: w.chain().batch([{"x": "?"}, {"x": "!"}], w.config))


async def events(w: World) -> None:
    async for _ in w.chain().astream_events({"x": "?"}, w.config, version="v2"):
        pass


async def implicit_ainvoke(w: World) -> None:
    await w.vote(_implicit(w)).ainvoke("?", w.config)


async def implicit_invoke(w: World) -> None:
    await w.on_a_thread(lambda: w.vote(_implicit(w)).invoke("?", w.config))


def _implicit(w: World) -> Any:
    """A step that calls a model without a config, in a span of its own."""
    model, tracer = w.model(), trace.get_tracer("test")

    def step(text: str) -> str:
        with tracer.start_as_current_span("own"):
            return model.invoke(text).text

    async def astep(text: str) -> str:
        with tracer.start_as_current_span("own"):
            return (await model.ainvoke(text)).text

    return RunnableLambda(step, astep)


# ---- inside other Runnables ----------------------------------------------------------------------


def _sequence(w: World) -> Any:
    return RunnableLambda(lambda x: {"x": x}) | w.chain() | RunnableLambda(str.upper)


async def sequence_ainvoke(w: World) -> None:
    await _sequence(w).ainvoke("?", w.config)


async def sequence_invoke(w: World) -> None:
    await w.on_a_thread(lambda: _sequence(w).invoke("?", w.config))


async def sequence_invoke_in_loop(w: World) -> None:
    _sequence(w).invoke("?", w.config)


async def sequence_stream(w: World) -> None:
    await w.on_a_thread(lambda: list(_sequence(w).stream("?", w.config)))


async def sequence_events(w: World) -> None:
    async for _ in _sequence(w).astream_events("?", w.config, version="v2"):
        pass


def _own_span(w: World) -> Any:
    chain, tracer = w.chain(), trace.get_tracer("test")

    def step(x: str) -> str:
        with tracer.start_as_current_span("own"):
            return chain.invoke({"x": x})

    async def astep(x: str) -> str:
        with tracer.start_as_current_span("own"):
            return await chain.ainvoke({"x": x})

    return RunnableLambda(step, astep)


async def own_span_ainvoke(w: World) -> None:
    await _own_span(w).ainvoke("?", w.config)


async def own_span_invoke(w: World) -> None:
    await w.on_a_thread(lambda: _own_span(w).invoke("?", w.config))


async def nested_ainvoke(w: World) -> None:
    w.samples = 2 + 2 * 2
    await w.vote(w.chain(2) | StrOutputParser(), 2).ainvoke({"x": "?"}, w.config)


async def nested_invoke(w: World) -> None:
    w.samples = 2 + 2 * 2
    outer = RunnableLambda(lambda x: {"x": x}) | w.vote(w.chain(2) | StrOutputParser(), 2)
    await w.on_a_thread(lambda: outer.invoke("?", w.config))


# ---- with judges and repairs ---------------------------------------------------------------------


def _scoring(w: World, verdict: Callable[[Any], object]) -> Any:
    """A judge: a chain with a model in it."""
    return RunnableLambda(operator.attrgetter("text")) | w.model(".9") | RunnableLambda(verdict)


def _judged(w: World) -> Any:
    w.samples = 2
    judge = _scoring(w, lambda message: float(message.text))
    return best_of_n(w.model(), n=2, verifier=judge, stop=AtMost(2), prices=PRICES)


async def judged_ainvoke(w: World) -> None:
    await _judged(w).ainvoke("?", w.config)


async def judged_invoke(w: World) -> None:
    await w.on_a_thread(lambda: _judged(w).invoke("?", w.config))


def _repaired(w: World) -> Any:
    """Its draft fails, a critic says why, and its revision passes."""
    w.samples = 2
    outcomes = iter(["fail", "fail", "pass", "pass"])  # each is asked twice
    check = _scoring(w, lambda _: Verdict(outcome=next(outcomes), feedback="wrong"))
    model = w.scripted(lambda request: w.reply(f"a{request['index']}", w.issued))
    return critique_repair(
        model, check, mode="reflexion", critic=w.model("wrong"), rounds=1, prices=PRICES
    )


async def repaired_ainvoke(w: World) -> None:
    await _repaired(w).ainvoke("?", w.config)


async def repaired_invoke(w: World) -> None:
    await w.on_a_thread(lambda: _repaired(w).invoke("?", w.config))


# ---- LangGraph and agents ------------------------------------------------------------------------


class State(TypedDict):
    said: Annotated[list[str], operator.add]


def _graph(node: Any, name: str = "node") -> Any:
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(State)
    graph.add_node(name, node)
    graph.add_edge(START, name)
    graph.add_edge(name, END)
    return graph.compile()


async def node_ainvoke(w: World) -> None:
    chain = w.chain()

    async def node(state: State) -> State:
        return {"said": [await chain.ainvoke({"x": "?"})]}

    await _graph(node).ainvoke({"said": []}, w.config)


async def node_invoke(w: World) -> None:
    chain = w.chain()

    def node(state: State, config: Any) -> State:
        return {"said": [chain.invoke({"x": "?"}, config)]}

    node.__annotations__["config"] = _config_type()
    graph = _graph(node)
    await w.on_a_thread(lambda: graph.invoke({"said": []}, w.config))


def _config_type() -> type:
    from langchain_core.runnables import RunnableConfig

    return RunnableConfig


def _agent(w: World) -> Any:
    from langchain.agents import create_agent

    chain = w.chain()

    @tool
    def think(question: str) -> str:
        """Think."""
        return chain.invoke({"x": question})

    async def athink(question: str) -> str:
        return await chain.ainvoke({"x": question})

    think.coroutine = athink
    called = {"name": "think", "args": {"question": "?"}, "id": "1"}
    said = iter([{"tool_calls": [called]}, {}])
    model = w.scripted(lambda _: w.reply("so", w.outside, **next(said)))
    return create_agent(model, [think])


ASKED: Any = {"messages": [("user", "?")]}


async def agent_ainvoke(w: World) -> None:
    await _agent(w).ainvoke(ASKED, w.config)


async def agent_invoke(w: World) -> None:
    agent = _agent(w)
    await w.on_a_thread(lambda: agent.invoke(ASKED, w.config))


async def agent_astream(w: World) -> None:
    async for _ in _agent(w).astream(ASKED, w.config, stream_mode="messages"):
        pass


async def sampled_agent_ainvoke(w: World) -> None:
    from langchain.agents import create_agent

    agent = create_agent(w.model(), [])
    await w.vote(agent, repeatable=True).ainvoke(ASKED, w.config)


async def sampled_agent_invoke(w: World) -> None:
    from langchain.agents import create_agent

    agent = create_agent(w.model(), [])
    await w.on_a_thread(lambda: w.vote(agent, repeatable=True).invoke(ASKED, w.config))


def _stepping_agent(w: World) -> Any:
    """Its model steps are voted on."""
    from langchain.agents import create_agent

    strategy = Vote(N, stop=AtMost(N), prefer="latency")
    return create_agent(w.model(), [], middleware=[StrategyMiddleware(strategy, prices=PRICES)])


async def middleware_ainvoke(w: World) -> None:
    await _stepping_agent(w).ainvoke(ASKED, w.config)


async def middleware_invoke(w: World) -> None:
    agent = _stepping_agent(w)
    await w.on_a_thread(lambda: agent.invoke(ASKED, w.config))


# ---- a real client -------------------------------------------------------------------------------


@asynccontextmanager
async def _chat(w: World, **settings: Any) -> AsyncGenerator[Any]:
    """A client of a server here, with connections of its own that end with the row."""
    from arithmetic_lm.server import ArithmeticServer
    from httpx import AsyncClient, Client
    from langchain_openai import ChatOpenAI

    w.priced = False
    server = ArithmeticServer.in_thread(reply=lambda prompt, number: "4" * (number + 1))
    plain = {"verify": False}  # certificates take long to load
    with server as served, Client(**plain) as blocking:
        async with AsyncClient(**plain) as waiting:
            yield ChatOpenAI(
                base_url=served.url,
                model="arithmetic-lm",
                api_key="none",
                max_retries=0,
                http_client=blocking,
                http_async_client=waiting,
                **settings,
            )


async def openai_invoke(w: World) -> None:
    async with _chat(w) as model:
        await w.on_a_thread(lambda: w.vote(model).invoke("2 + 2", w.config))


async def openai_sequence_ainvoke(w: World) -> None:
    async with _chat(w) as model:
        await (PROMPT | w.vote(model)).ainvoke({"x": "2 + 2"}, w.config)


async def openai_events(w: World) -> None:
    async with _chat(w, stream_usage=True) as model:
        async for _ in w.vote(model).astream_events("2 + 2", w.config, version="v2"):
            pass


ROWS = [
    *(ainvoke, invoke, invoke_in_loop, bare_ainvoke, bare_invoke, abatch, batch, events),
    *(implicit_ainvoke, implicit_invoke, sequence_ainvoke, sequence_invoke),
    *(sequence_invoke_in_loop, sequence_stream, sequence_events),
    *(own_span_ainvoke, own_span_invoke, nested_ainvoke, nested_invoke),
    *(judged_ainvoke, judged_invoke, repaired_ainvoke, repaired_invoke),
    *(node_ainvoke, node_invoke, agent_ainvoke, agent_invoke, agent_astream),
    *(sampled_agent_ainvoke, sampled_agent_invoke, middleware_ainvoke, middleware_invoke),
    *(openai_invoke, openai_sequence_ainvoke, openai_events),
]
