"""Evaluators whose LLMs and embeddings are called as the running request came in.

An evaluator of LlamaIndex has one way to work, `aevaluate`, which awaits its LLM. A sync request
has a loop of its own, and a client that the application shares would be bound to a loop that is
gone: every other call then fails with "Event loop is closed". So the evaluator that works is a
copy, whose LLM hands each async call on: to the async method of the user's LLM, or in a sync
request to the sync one, on a thread. Either way the call is booked before it is sent. What an
evaluation sets on its LLM stays with the copy.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from types import new_class
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.evaluation import BaseEvaluator
from llama_index.core.llms import LLM

from llama_index_thinktwice.llm.calls import AsyncCalls, BlockingCalls
from llama_index_thinktwice.sampler import by_threads
from thinktwice.calls import call
from thinktwice.errors import status_of
from thinktwice.history import History
from thinktwice.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator

X = TypeVar("X", LLM, BaseEmbedding)

_ASKING: Final = {"chat": "messages", "complete": "prompt"}
_STREAMS: Final = ("stream_chat", "stream_complete")
_EMBEDDING: Final = ("get_query_embedding", "get_text_embedding", "get_text_embedding_batch")
_INSIDE: Final = "_thinktwice_inside"
failures: Final[ContextVar[list[str] | None]] = ContextVar(
    "llama_index_thinktwice_failures", default=None
)
"""Types and statuses of what calls in the running verdict have raised."""
_TRACED: Final = "__dispatcher_span_decorated__"
"""On a method that LlamaIndex is not to trace: the method that it hands on to is traced."""


def routed(evaluator: BaseEvaluator) -> BaseEvaluator:
    """A copy of an evaluator, and of those inside, whose calls go as the request came in."""
    working = copy.copy(evaluator)
    for name, value in vars(evaluator).items():
        if isinstance(value, LLM | BaseEmbedding):
            setattr(working, name, _routed_calls(value))
        elif isinstance(value, BaseEvaluator):
            setattr(working, name, routed(value))
    return working


def llms_in(evaluator: BaseEvaluator) -> Iterator[LLM]:
    """The LLMs that it holds."""
    for value in vars(evaluator).values():
        if isinstance(value, LLM):
            yield value
        elif isinstance(value, BaseEvaluator):
            yield from llms_in(value)


def _routed_calls(model: X) -> X:
    """A copy of an LLM or embedding that hands calls on, and is else what it is a copy of."""
    working = copy.copy(model)
    object.__setattr__(working, _INSIDE, model)  # not a field, which pydantic would look for
    object.__setattr__(working, "__class__", _handing_on(type(model)))
    return working


@cache
def _handing_on(kind: type[LLM | BaseEmbedding]) -> type[LLM | BaseEmbedding]:
    """A subclass of the same name whose calls go to the model inside."""
    if issubclass(kind, LLM):
        methods: dict[str, Any] = {f"a{name}": _ask(prompt) for name, prompt in _ASKING.items()}
        methods |= {f"a{name}": _stream(name) for name in _STREAMS}
    else:
        methods = {f"a{name}": _embed(name) for name in _EMBEDDING}
    methods |= {name: _hand_on(name) for name in (each[1:] for each in tuple(methods))}
    for method in methods.values():
        setattr(method, _TRACED, True)
    if hasattr(kind, "__del__"):
        methods["__del__"] = lambda _: None  # a copy must not close what it shares
    named = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, **methods}
    made = new_class(kind.__name__, (kind,), exec_body=lambda space: space.update(named))
    return cast("type[LLM | BaseEmbedding]", made)


def _hand_on(name: str) -> Callable[..., Any]:
    """A sync method that calls the model inside, whose client is the one that is shared."""

    def call_inside(self: object, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - LlamaIndex's types
        with _noting_failures():
            return getattr(getattr(self, _INSIDE), name)(*args, **kwargs)

    return call_inside


@contextmanager
def _noting_failures() -> Generator[None]:
    """What a call raises is noted: synthesizers of LlamaIndex swallow a ValueError."""
    try:
        yield
    except Exception as error:
        if (noted := failures.get()) is not None:
            noted.append(status_of(error))
        raise


def _ask(prompt: str) -> Callable[..., Awaitable[Any]]:
    """An async method that asks the LLM inside, on the account of the running verdict.

    Args:
        prompt: What its first parameter is called.
    """

    async def ask(self: object, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - LlamaIndex's types
        llm = getattr(self, _INSIDE)
        kwargs |= dict(zip((prompt, "formatted"), args, strict=False))
        asked = kwargs.pop(prompt)
        kind = BlockingCalls if by_threads(llm) else AsyncCalls
        with _noting_failures():
            return (await call(kind(llm, kwargs, History()), asked, role="verify")).value

    return ask


def _embed(name: str) -> Callable[..., Awaitable[Any]]:
    """An async method that calls the embedding inside."""

    async def embed(self: object, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as above
        model = getattr(self, _INSIDE)
        if by_threads(model):
            return await in_thread(partial(getattr(model, name), *args, **kwargs))
        return await getattr(model, f"a{name}")(*args, **kwargs)

    return embed


def _stream(name: str) -> Callable[..., Awaitable[AsyncGenerator[Any, None]]]:
    """An async method that streams what the model inside does; on a thread, when it has ended."""

    async def stream(self: object, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        model = getattr(self, _INSIDE)
        if not by_threads(model):
            return await getattr(model, f"a{name}")(*args, **kwargs)
        sync = getattr(model, name)
        chunks = await in_thread(lambda: list(sync(*args, **kwargs)))

        async def replayed() -> AsyncGenerator[Any, None]:
            for each in chunks:
                yield each

        return replayed()

    return stream
