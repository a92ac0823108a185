"""Question in, reply out: what every door (sampler, chat model, server) is built on."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from .asking import REFUSAL, expression_in
from .engine import Alternatives, Engine, FinishReason, Generated, Request, shared_engine
from .options import Options


class Token(NamedTuple):
    """A token's text and its natural log-probability at temperature 1.

    `top` holds the most probable tokens in its place, with theirs, if they were asked for.
    """

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Reply:
    """A whole reply.

    Args:
        tokens: The tokens written; the end token is not among them and is not counted.
        finish_reason: ``"stop"`` or ``"length"``.
        input_tokens: Tokens the model read.
    """

    tokens: tuple[Token, ...]
    finish_reason: FinishReason
    input_tokens: int

    @property
    def text(self) -> str:
        """The tokens joined."""
        return "".join(token.text for token in self.tokens)

    @property
    def logprobs(self) -> tuple[float, ...]:
        """Log-probability of each token."""
        return tuple(token.logprob for token in self.tokens)

    @property
    def top_logprobs(self) -> tuple[tuple[float, ...], ...] | None:
        """Log-probabilities of the most probable tokens at each position; None if not asked for."""
        if not any(token.top for token in self.tokens):
            return None
        return tuple(tuple(logprob for _, logprob in token.top) for token in self.tokens)

    @property
    def output_tokens(self) -> int:
        """Tokens written."""
        return len(self.tokens)


class Assistant:
    """Answers plain questions.

    What holds no expression gets a refusal that the model did not write: its tokens are its
    characters and have log-probability 0, and it is counted as the prompt's characters read.

    Args:
        engine: Writes the replies; None takes the one this process shares.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine = shared_engine() if engine is None else engine

    @property
    def name(self) -> str:
        """Name the model goes by at every door."""
        return "arithmetic-lm"

    async def reply(self, prompt: str, options: Options | None = None, *, index: int = 0) -> Reply:
        """Write one reply. Cancelling the task takes it out of the batch.

        Args:
            prompt: A question such as ``"What is 37*8+56?"``.
            options: How to sample.
            index: Number of the choice, so that n choices of one seed differ.
        """
        options = options or Options()
        request = self._request(prompt, options, index)
        if request is None:
            return _refusal(prompt, options)
        return self._reply(request, await self.engine.generate(request))

    def reply_sync(self, prompt: str, options: Options | None = None, *, index: int = 0) -> Reply:
        """Like `reply`, for threads without an event loop."""
        options = options or Options()
        request = self._request(prompt, options, index)
        if request is None:
            return _refusal(prompt, options)
        return self._reply(request, self.engine.submit(request).result())

    def replies_sync(self, prompt: str, options: Options, count: int) -> list[Reply]:
        """Write `count` replies at the same time; waits for all of them."""
        requests = [self._request(prompt, options, index) for index in range(count)]
        futures = [None if r is None else self.engine.submit(r) for r in requests]
        return [
            _refusal(prompt, options) if r is None or f is None else self._reply(r, f.result())
            for r, f in zip(requests, futures, strict=True)
        ]

    async def stream(
        self, prompt: str, options: Options | None = None, *, index: int = 0
    ) -> AsyncGenerator[Token | Reply, None]:
        """Yield each token as it is written, then the whole reply."""
        options = options or Options()
        request = self._request(prompt, options, index)
        if request is None:
            for item in _pieces(_refusal(prompt, options)):
                yield item
            return
        loop, tokens = asyncio.get_running_loop(), asyncio.Queue[Token | None]()

        def tell(item: Token | None) -> None:
            # The loop may have been closed under a stream nobody reads any more.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(tokens.put_nowait, item)

        future = self.engine.submit(request, lambda n, p, top: tell(self._token(n, p, top)))
        future.add_done_callback(lambda _: tell(None))
        try:
            while (token := await tokens.get()) is not None:
                yield token
            yield self._reply(request, future.result())
        finally:
            future.cancel()

    def stream_sync(
        self, prompt: str, options: Options | None = None, *, index: int = 0
    ) -> Iterator[Token | Reply]:
        """Like `stream`, for threads without an event loop."""
        options = options or Options()
        request = self._request(prompt, options, index)
        if request is None:
            yield from _pieces(_refusal(prompt, options))
            return
        tokens: queue.SimpleQueue[Token | None] = queue.SimpleQueue()
        future = self.engine.submit(request, lambda n, p, top: tokens.put(self._token(n, p, top)))
        future.add_done_callback(lambda _: tokens.put(None))
        try:
            while (token := tokens.get()) is not None:
                yield token
            yield self._reply(request, future.result())
        finally:
            future.cancel()

    def _request(self, prompt: str, options: Options, index: int) -> Request | None:
        expression = expression_in(prompt)
        if expression is None:
            return None
        return Request(
            prompt=tuple(self.engine.model.vocabulary.prompt(expression)),
            temperature=options.temperature,
            seed=None if options.seed is None else (options.seed, index),
            max_tokens=options.max_tokens,
            stop=options.stop,
            top_logprobs=options.top_logprobs,
        )

    def _token(self, number: int, logprob: float, top: Alternatives) -> Token:
        texts = self.engine.model.vocabulary.tokens
        return Token(texts[number], logprob, tuple((texts[n], each) for n, each in top))

    def _reply(self, request: Request, written: Generated) -> Reply:
        top: Sequence[Alternatives] = written.top_logprobs or [()] * len(written.tokens)
        tokens = tuple(map(self._token, written.tokens, written.logprobs, top))
        return Reply(tokens, written.finish_reason, len(request.prompt))


def _refusal(prompt: str, options: Options) -> Reply:
    text = REFUSAL if options.max_tokens is None else REFUSAL[: options.max_tokens]
    tokens = tuple(Token(character, 0.0) for character in text)
    return Reply(tokens, "stop" if text == REFUSAL else "length", len(prompt))


def _pieces(reply: Reply) -> Iterator[Token | Reply]:
    yield from reply.tokens
    yield reply
