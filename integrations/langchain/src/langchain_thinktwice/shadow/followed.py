"""One request that a shadow follows: what it was given, what it was answered, what that took."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.messages import AIMessageChunk, BaseMessageChunk, message_chunk_to_message
from langchain_core.runnables import RunnableConfig, ensure_config

from langchain_thinktwice.accounting.meter import Meter
from langchain_thinktwice.samples import completion
from thinktwice import Sample

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from langchain_core.callbacks import Callbacks

    from thinktwice.protocols import PriceSource
    from thinktwice.shadow import Spend

X = TypeVar("X")

SHADOW_TAG = "thinktwice:shadow"
"""On all runs in the shadow of a request."""

_INTERNAL = "__"  # begins what frameworks keep in `configurable` for themselves: streams, stores
_KEPT = frozenset({"max_concurrency", "metadata", "recursion_limit"})


class Followed:
    """A call of a wrapper that was chosen.

    Attributes:
        config: What the bound Runnable is called with: the caller's config as it is, and a meter.
        apart: What is left of it in the shadow: nothing that belongs to the caller's run.
        kwargs: Passed to each call.
        blocks: The call came in by `invoke` or the like.
        given: Tells the input, in a copy that nobody else changes.
        output: Tells what the caller got, likewise.
    """

    def __init__(
        self,
        given: object,
        config: RunnableConfig | None,
        kwargs: Mapping[str, Any],
        follow: Callable[[Followed, Callable[[], None]], None],
        *,
        blocks: bool,
    ) -> None:
        """Keep what the call will take.

        Args:
            given: Its input.
            config: Its config.
            kwargs: Its further arguments.
            follow: Called once it is answered, with what copies the answer.
            blocks: It came in by `invoke` or the like.
        """
        copy = deepcopy(given)
        self.given: Callable[[], Any] = lambda: copy
        self.output: Callable[[], Any] = lambda: None
        self.kwargs = dict(kwargs)
        self.blocks = blocks
        self._meter = Meter()
        self._follow = follow
        full = ensure_config(config)
        self.config: RunnableConfig = {**(config or {}), "callbacks": _metered(full, self._meter)}
        self.apart = _apart(full)

    def answered(self, output: object) -> None:
        """The caller gets this."""

        def keep() -> None:
            copy = deepcopy(output)
            self.output = lambda: copy

        self._end(keep)

    def streamed(self, chunks: Sequence[object]) -> None:
        """The caller has got these."""

        def keep() -> None:
            self.output = partial(_whole, chunks)

        self._end(keep)

    def _end(self, keep: Callable[[], None]) -> None:
        self._meter.finish()
        self.config = RunnableConfig()  # the run of the caller may be let go
        self._follow(self, keep)

    def single(self, prices: PriceSource) -> tuple[Sample[Any], Spend]:
        """The answer as a sample, and what it took."""
        value = self.output()
        told = completion(value, self._meter.last)
        sample = Sample(
            index=0,
            value=value,
            text=value if isinstance(value, str) else told.text,
            finish_reason=told.finish_reason,
            logprobs=told.logprobs,
        )
        return sample, self._meter.spend(prices)


def keeping(chunks: Iterator[X], request: Followed | None) -> Iterator[X]:
    """Pass the chunks of an input on."""
    if request is None:
        return chunks
    kept = list[X]()
    request.given = partial(_whole, kept)
    return _kept(chunks, kept)


def akeeping(chunks: AsyncIterator[X], request: Followed | None) -> AsyncIterator[X]:
    """Pass the chunks of an input on."""
    if request is None:
        return chunks
    kept = list[X]()
    request.given = partial(_whole, kept)
    return _akept(chunks, kept)


def streaming(chunks: Iterator[X], request: Followed | None) -> Iterator[X]:
    """Pass the chunks of an output on; a stream that ends early is no answer."""
    kept = list[X]()
    yield from chunks if request is None else _kept(chunks, kept)
    if request is not None:
        request.streamed(kept)


async def astreaming(chunks: AsyncIterator[X], request: Followed | None) -> AsyncIterator[X]:
    """Pass the chunks of an output on; a stream that ends early is no answer."""
    kept = list[X]()
    try:
        async for each in chunks:
            if request is not None:
                kept.append(each)
            yield each
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
    if request is not None:
        request.streamed(kept)


def _kept(chunks: Iterator[X], kept: list[X]) -> Iterator[X]:
    for each in chunks:
        kept.append(each)
        yield each


async def _akept(chunks: AsyncIterator[X], kept: list[X]) -> AsyncIterator[X]:
    async for each in chunks:
        kept.append(each)
        yield each


def _whole(chunks: Sequence[Any]) -> object:
    """What chunks amount to, as LangChain adds them up."""
    if not chunks:
        return None
    whole, *others = chunks
    if others and all(isinstance(each, AIMessageChunk) for each in chunks):
        whole, others = whole + others, []  # at once: one by one is quadratic
    for each in others:
        try:
            whole = whole + each
        except TypeError:
            whole = each
    return message_chunk_to_message(whole) if isinstance(whole, BaseMessageChunk) else whole


def _metered(config: RunnableConfig, meter: Meter) -> Callbacks:
    """The callbacks of a config, and one that looks on."""
    callbacks = config.get("callbacks")
    if not isinstance(callbacks, BaseCallbackManager):
        return [*(callbacks or ()), meter]
    manager = callbacks.copy()
    manager.add_handler(meter, inherit=True)
    return manager


def _apart(config: RunnableConfig) -> RunnableConfig:
    """What is left of a config in the shadow."""
    kept = cast("RunnableConfig", {name: each for name, each in config.items() if name in _KEPT})
    asked = config.get("configurable", {})
    kept["configurable"] = {k: v for k, v in asked.items() if not k.startswith(_INTERNAL)}
    kept["tags"] = [*config.get("tags", ()), SHADOW_TAG]
    return kept
