"""The parties that trace: each set up for a block, and taken away without a trace."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from langsmith import Client, run_trees
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

NAMES = ("none", "openinference", "openllmetry", "both", "langfuse", "langsmith", "environment")


@dataclass
class Column:
    """Who traces.

    Attributes:
        name: One of `NAMES`.
        exporter: Gets all spans.
        callbacks: Handlers that the user passes.
        posted: Runs that were sent to LangSmith, by id.
        shipped: Spans that Langfuse would be sent.
        flush: Lets the party finish what it does in the background.
    """

    name: str
    exporter: InMemorySpanExporter
    callbacks: list[Any] = field(default_factory=list)
    posted: dict[Any, dict[str, Any]] = field(default_factory=dict)
    shipped: InMemorySpanExporter | None = None
    flush: Callable[[], object] = lambda: None

    @property
    def ours(self) -> bool:
        """Nobody but us opens spans for model calls."""
        return self.name in ("none", "langsmith", "environment")

    @property
    def copies(self) -> int:
        """Spans for each model call."""
        return 2 if self.name == "both" else 1

    def clear(self) -> None:
        """Forget what was told."""
        self.flush()
        for exporter in filter(None, (self.exporter, self.shipped)):
            exporter.clear()
        self.posted.clear()


# What sets a party up, where it is a package of its own.
_PACKAGES = {
    "openinference": ("openinference.instrumentation.langchain",),
    "openllmetry": ("opentelemetry.instrumentation.langchain",),
    "langfuse": ("langfuse",),
}
_PACKAGES["both"] = _PACKAGES["openinference"] + _PACKAGES["openllmetry"]


@contextmanager
def column(name: str) -> Generator[Column]:
    """Set a party up; what asks for one that is not installed is skipped."""
    for package in _PACKAGES.get(name, ()):
        pytest.importorskip(package, reason=f"{package} is not installed")
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    made = Column(name, exporter)
    with ExitStack() as stack:
        stack.enter_context(patch.object(trace, "_TRACER_PROVIDER", provider))
        for part in ("openinference", "openllmetry") if name == "both" else (name,):
            setup = globals().get(f"_{part}")
            if setup is not None:
                stack.enter_context(setup(made, provider))
        yield made


@contextmanager
def _openinference(made: Column, provider: TracerProvider) -> Generator[None]:
    from openinference.instrumentation.langchain import LangChainInstrumentor

    with _instrumented(LangChainInstrumentor()):
        yield


@contextmanager
def _openllmetry(made: Column, provider: TracerProvider) -> Generator[None]:
    from opentelemetry.instrumentation.langchain import LangchainInstrumentor

    with _instrumented(LangchainInstrumentor()):
        yield


# What OpenLLMetry wraps: its own `uninstrument` does not find again what stands in a class.
_WRAPPED = {
    "langchain_core.callbacks:BaseCallbackManager": "__init__",
    "langgraph.pregel:Pregel": "stream astream",
    "langgraph.types:Command": "__init__",
    "langgraph.prebuilt.chat_agent_executor:": "create_react_agent",
    "langgraph.prebuilt:": "create_react_agent",
    "langchain.agents.factory:": "create_agent",
    "langchain.agents:": "create_agent",
    "langchain.agents.middleware.types:AgentMiddleware": " ".join(
        f"{kind}{when}_{what}"
        for kind in ("", "a")
        for when in ("before", "after")
        for what in ("model", "agent")
    ),
    "langchain_openai.llms.base:BaseOpenAI": "_generate _agenerate _stream _astream",
    "langchain_openai.chat_models.base:BaseChatOpenAI": "_generate _agenerate",
}


@contextmanager
def _instrumented(instrumentor: Any) -> Generator[None]:
    kept: list[tuple[Any, str, Any]] = []
    for place, names in _WRAPPED.items():
        module, _, name = place.partition(":")
        home = import_module(module)
        home = getattr(home, name) if name else home
        kept += [(home, each, vars(home)[each]) for each in names.split()]
    instrumentor.instrument()
    try:
        yield
    finally:
        instrumentor.uninstrument()
        for home, each, was in kept:
            setattr(home, each, was)


@contextmanager
def _langfuse(made: Column, provider: TracerProvider) -> Generator[None]:
    from langfuse import Langfuse
    from langfuse._client.resource_manager import LangfuseResourceManager
    from langfuse.langchain import CallbackHandler

    made.shipped = InMemorySpanExporter()
    client = Langfuse(
        public_key="pk-lf-test",
        secret_key="sk-lf-test",
        base_url="http://127.0.0.1:9",
        tracer_provider=provider,
        span_exporter=made.shipped,
    )
    made.flush = provider.force_flush
    made.callbacks.append(CallbackHandler(public_key="pk-lf-test"))
    try:
        yield
    finally:
        client.shutdown()
        provider.shutdown()
        LangfuseResourceManager._instances.pop("pk-lf-test", None)


class Posting(Client):
    """LangSmith's client, with a drawer for a mailbox."""

    def __init__(self, posted: dict[Any, dict[str, Any]]) -> None:
        super().__init__(api_url="http://127.0.0.1:9", api_key="none", auto_batch_tracing=False)
        self._posted = posted

    def create_run(self, name: str, inputs: Any, run_type: str, **run: Any) -> None:
        self._posted[run["id"]] = {"name": name, "run_type": run_type, **run}

    def update_run(self, run_id: Any, **run: Any) -> None:
        self._posted.setdefault(run_id, {}).update({k: v for k, v in run.items() if v is not None})


@contextmanager
def _langsmith(made: Column, provider: TracerProvider) -> Generator[None]:
    from langchain_core.tracers import LangChainTracer

    made.callbacks.append(LangChainTracer(client=Posting(made.posted)))
    yield


@contextmanager
def _environment(made: Column, provider: TracerProvider) -> Generator[None]:
    from langsmith import utils

    client = Posting(made.posted)
    with (
        patch.dict(os.environ, {"LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": "none"}),
        patch.object(run_trees, "_CLIENT", client),
    ):
        utils.get_env_var.cache_clear()
        yield
    utils.get_env_var.cache_clear()
