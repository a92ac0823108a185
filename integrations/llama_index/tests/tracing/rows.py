"""The ways to call a door: each row calls one, and says what must come of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.base_selector import BaseSelector, MultiSelection, SingleSelection
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.evaluation import RelevancyEvaluator
from llama_index.core.query_engine import RouterQueryEngine, TransformQueryEngine
from llama_index.core.tools import QueryEngineTool
from llama_index_thinktwice.llm import StrategyLLM
from llama_index_thinktwice.query_engine.engine import StrategyQueryEngine
from llama_index_thinktwice.solver import AsyncDrawing, Solver
from llama_index_thinktwice.transforms.engine import AsyncTransformQueryEngine
from llama_index_thinktwice.transforms.named import VoteQueryTransform
from llama_index_thinktwice.verifiers.evaluators import EvaluatorVerifier

from integrations.llama_index.tests.tracing.state import unchanged
from thinktwice import AtMost, BestOfN, Price, Vote
from thinktwice.history import History

if TYPE_CHECKING:
    from collections.abc import Callable

PRICES = {"fake-1": Price(input="1", output="10")}
N = 3


@dataclass
class World:
    """What a row has at hand, and what it leaves to be checked.

    Attributes:
        scripted: Makes a scripted LLM.
        index: Documents.
        asks_tools: Makes a message with tool calls.
        issued: Tokens that LLMs reported, call by call.
        outside: Tokens of calls outside of strategies.
        samples: Spans of samples that there must be.
        verdicts: Spans of verdicts.
        leaks: The parties leave a span of theirs current.
        party: Who traces.
        roots: Of LlamaIndex's own tree; more than one where it is so with any LLM.
        traces: Where no span is around the request; likewise.
    """

    scripted: Callable[..., Any]
    index: Any
    asks_tools: Callable[..., Any]
    issued: list[int] = field(default_factory=list)
    outside: list[int] = field(default_factory=list)
    samples: int = N
    verdicts: int = 0
    leaks: bool = False
    party: str = "none"
    roots: int = 1
    traces: int = 1

    def llm(self, text: str = "a b", *, calls: list[int] | None = None, **settings: Any) -> Any:
        """An LLM of which each call takes another number of tokens."""
        issued = self.issued if calls is None else calls
        return self.scripted(lambda _: self.reply(ChatMessage(text), issued), **settings)

    def reply(self, message: ChatMessage, issued: list[int]) -> ChatResponse:
        """One more reply."""
        written = 5 + len(self.issued) + 17 * len(self.outside)
        issued.append(10 + written)
        usage = {"prompt_tokens": 10, "completion_tokens": written, "total_tokens": 10 + written}
        return ChatResponse(message=message, raw={"model": "fake-1", "usage": usage})

    def inner(self, **settings: Any) -> Any:
        """A query engine over the documents."""
        return self.index.as_query_engine(llm=self.llm(), **settings)

    def engine(self, inner: Any = None, n: int = N, **settings: Any) -> StrategyQueryEngine:
        """A vote on a query engine."""
        inner = self.inner() if inner is None else inner
        return StrategyQueryEngine(inner, all_of(n), prices=PRICES, **settings)

    async def on_a_thread(self, function: Callable[[], Any]) -> None:
        """Sync code, where no loop runs."""

        def run() -> None:
            with unchanged(leaks=self.leaks):
                read(function())

        await asyncio.to_thread(run)


def all_of(n: int) -> Vote:
    """A vote that draws all n at once."""
    return Vote(n, key=lambda _: "same", stop=AtMost(n), prefer="latency")


def read(response: Any) -> Any:
    """Streams are read to their ends."""
    return response.get_response() if isinstance(response, StreamingResponse) else response


async def aread(response: Any) -> Any:
    """Streams are read to their ends."""
    is_stream = isinstance(response, AsyncStreamingResponse)
    return await response.get_response() if is_stream else read(response)


# ---- query engines, directly ---------------------------------------------------------------------


async def aquery(w: World) -> None:
    await w.engine().aquery("capital?")


async def query(w: World) -> None:
    await w.on_a_thread(lambda: w.engine().query("capital?"))


async def query_in_loop(w: World) -> None:
    w.engine().query("capital?")


async def per_sample_aquery(w: World) -> None:
    await w.engine(retrieval="per_sample").aquery("capital?")


async def per_sample_query(w: World) -> None:
    await w.on_a_thread(lambda: w.engine(retrieval="per_sample").query("capital?"))


async def nested_aquery(w: World) -> None:
    w.samples = 2 + 2 * 2
    await w.engine(w.engine(n=2), 2, retrieval="per_sample").aquery("capital?")


async def nested_query(w: World) -> None:
    w.samples = 2 + 2 * 2
    engine = w.engine(w.engine(n=2), 2, retrieval="per_sample")
    await w.on_a_thread(lambda: engine.query("capital?"))


# ---- streams -------------------------------------------------------------------------------------


async def streaming_aquery(w: World) -> None:
    await aread(await w.engine(w.inner(streaming=True)).aquery("capital?"))


async def streaming_query(w: World) -> None:
    engine = w.engine(w.inner(streaming=True))
    await w.on_a_thread(lambda: engine.query("capital?"))


async def streaming_query_in_loop(w: World) -> None:
    read(w.engine(w.inner(streaming=True)).query("capital?"))


async def streaming_per_sample_aquery(w: World) -> None:
    engine = w.engine(w.inner(streaming=True), retrieval="per_sample")
    await aread(await engine.aquery("capital?"))


# ---- inside LlamaIndex's own ---------------------------------------------------------------------


class First(BaseSelector):
    """Selects the first."""

    def _get_prompts(self) -> dict[str, Any]:
        return {}

    def _update_prompts(self, prompts: Any) -> None:
        """Nothing."""

    def _select(self, choices: Any, query: Any) -> MultiSelection:
        return MultiSelection(selections=[SingleSelection(index=0, reason="first")])

    async def _aselect(self, choices: Any, query: Any) -> MultiSelection:
        return self._select(choices, query)


def _router(w: World) -> RouterQueryEngine:
    tool = QueryEngineTool.from_defaults(w.engine(), name="places", description="places")
    return RouterQueryEngine(First(), [tool], llm=w.llm(calls=w.outside), summarizer=object())


async def router_aquery(w: World) -> None:
    await _router(w).aquery("capital?")


async def router_query(w: World) -> None:
    await w.on_a_thread(lambda: _router(w).query("capital?"))


def _using(w: World, tool: Any, calls: list[int], *, streaming: bool) -> FunctionAgent:
    """An agent that uses a tool and then answers."""

    def reply(request: Any) -> ChatResponse:
        if request["given"][-1].role.value == "user":
            return w.reply(w.asks_tools((tool.metadata.name, {"input": "capital?"})), calls)
        return w.reply(ChatMessage("done now"), calls)

    llm = w.scripted(reply)
    return FunctionAgent(tools=[tool], llm=llm, streaming=streaming, timeout=None)


async def _agent_tool(w: World, *, streaming: bool) -> None:
    tool = QueryEngineTool.from_defaults(w.engine(), name="places", description="places")
    await _using(w, tool, w.outside, streaming=streaming).run("capital?")


async def agent_tool(w: World) -> None:
    await _agent_tool(w, streaming=False)


async def agent_tool_streaming(w: World) -> None:
    await _agent_tool(w, streaming=True)


async def _sampled_agent(w: World, *, streaming: bool) -> None:
    tool = QueryEngineTool.from_defaults(w.inner(), name="places", description="places")
    agent = _using(w, tool, w.issued, streaming=streaming)

    async def draw(_: object) -> str:
        return str(await agent.run("capital?"))

    await Solver(all_of(N), prices=PRICES).solve("capital?", AsyncDrawing(draw, History()))


async def sampled_agent(w: World) -> None:
    await _sampled_agent(w, streaming=False)


async def sampled_agent_streaming(w: World) -> None:
    await _sampled_agent(w, streaming=True)


# ---- the LLM -------------------------------------------------------------------------------------


def _strategy_llm(w: World, n: int = N) -> StrategyLLM:
    return StrategyLLM(llm=w.llm(), strategy=all_of(n), prices=PRICES)


async def llm_achat(w: World) -> None:
    await _strategy_llm(w).achat([ChatMessage("?")])


async def llm_chat(w: World) -> None:
    await w.on_a_thread(lambda: _strategy_llm(w).chat([ChatMessage("?")]))


async def llm_complete(w: World) -> None:
    await w.on_a_thread(lambda: _strategy_llm(w).complete("?"))


async def llm_astream_chat(w: World) -> None:
    [each async for each in await _strategy_llm(w).astream_chat([ChatMessage("?")])]


async def llm_stream_complete(w: World) -> None:
    await w.on_a_thread(lambda: list(_strategy_llm(w).stream_complete("?")))


async def llm_in_engine_aquery(w: World) -> None:
    await w.index.as_query_engine(llm=_strategy_llm(w)).aquery("capital?")


async def llm_in_engine_query(w: World) -> None:
    engine = w.index.as_query_engine(llm=_strategy_llm(w))
    await w.on_a_thread(lambda: engine.query("capital?"))


def _streaming(w: World) -> Any:
    """LlamaIndex asks the LLM when the stream is read; OpenInference keeps what was around."""
    w.roots = 1 if w.party in {"openinference", "both"} else 2
    w.traces = 2 if w.party == "observability" else 1
    return w.index.as_query_engine(llm=_strategy_llm(w), streaming=True)


async def llm_in_streaming_engine_aquery(w: World) -> None:
    engine = _streaming(w)
    await aread(await engine.aquery("capital?"))


async def llm_in_streaming_engine_query(w: World) -> None:
    engine = _streaming(w)
    await w.on_a_thread(lambda: engine.query("capital?"))


async def llm_in_sampled_engine(w: World) -> None:
    w.samples = 2 + 2 * 2
    await w.engine(w.index.as_query_engine(llm=_strategy_llm(w, 2)), 2).aquery("capital?")


# ---- transforms and verifiers --------------------------------------------------------------------


def _transform(w: World) -> VoteQueryTransform:
    return VoteQueryTransform(N, llm=w.llm(), stop=AtMost(N), prefer="latency", prices=PRICES)


async def transform_arun(w: World) -> None:
    await _transform(w).arun("capital?")


async def transform_run(w: World) -> None:
    await w.on_a_thread(lambda: _transform(w).run("capital?"))


async def transform_aquery(w: World) -> None:
    engine = w.index.as_query_engine(llm=w.llm(calls=w.outside))
    await AsyncTransformQueryEngine(engine, _transform(w)).aquery("capital?")


async def transform_query(w: World) -> None:
    engine = w.index.as_query_engine(llm=w.llm(calls=w.outside))
    await w.on_a_thread(lambda: TransformQueryEngine(engine, _transform(w)).query("capital?"))


def _judged(w: World) -> StrategyQueryEngine:
    w.samples = w.verdicts = 2
    verifier = EvaluatorVerifier(RelevancyEvaluator(llm=w.llm("YES")))
    strategy = BestOfN(2, verifier=verifier, stop=AtMost(2), prefer="latency")
    return StrategyQueryEngine(w.inner(), strategy, prices=PRICES)


async def judged_aquery(w: World) -> None:
    await _judged(w).aquery("capital?")


async def judged_query(w: World) -> None:
    await w.on_a_thread(lambda: _judged(w).query("capital?"))


ROWS = [
    *(aquery, query, query_in_loop, per_sample_aquery, per_sample_query),
    *(nested_aquery, nested_query),
    *(streaming_aquery, streaming_query, streaming_query_in_loop, streaming_per_sample_aquery),
    *(router_aquery, router_query, agent_tool, agent_tool_streaming),
    *(sampled_agent, sampled_agent_streaming),
    *(llm_achat, llm_chat, llm_complete, llm_astream_chat, llm_stream_complete),
    *(llm_in_engine_aquery, llm_in_engine_query, llm_in_sampled_engine),
    *(llm_in_streaming_engine_aquery, llm_in_streaming_engine_query),
    *(transform_arun, transform_run, transform_aquery, transform_query),
    *(judged_aquery, judged_query),
]
