"""Question in, reply out: what every door (sampler, chat model, server) is built on."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from .asking import REFUSAL, Asked, Turn, asked_in, expression_in
from .countdown import read_countdown
from .engine import (
    Alternatives,
    Engine,
    FinishReason,
    Generated,
    Request,
    name_of,
    shared_engine,
    size_of,
)
from .options import Effort, Options
from .skills import check_tokens, revise_tokens
from .vocabulary import HIGH, LOW, SOLVE

Prompt = str | Sequence[Turn]
"""A text, or the turns of a conversation."""

EFFORTS: dict[Effort, str] = {"low": LOW, "medium": SOLVE, "high": HIGH}
"""The control token of each effort."""


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
    """Answers plain questions, and with a model that has skills, checks and revises drafts.

    What holds no question that the model knows gets a refusal that the model did not write: its
    tokens are its characters and have log-probability 0, and it is counted as the prompt's
    characters read.

    Args:
        engine: Writes the replies; None takes the one this process shares.
        model: Which model, by the name of its weights or that of the doors, if there is no engine.

    Raises:
        ValueError: There is no such model.
    """

    def __init__(self, engine: Engine | None = None, *, model: str = "small") -> None:
        self.engine = shared_engine(size_of(model)) if engine is None else engine

    @property
    def name(self) -> str:
        """Name the model goes by at every door."""
        return name_of(self.engine.model.name)

    def check(self, options: Options) -> None:
        """Refuse options that the model does not know.

        Raises:
            ValueError: It has learnt no efforts.
        """
        if options.effort != "medium" and not self.engine.model.vocabulary.has_skills:
            raise ValueError(f"{self.name} knows no effort but medium, not {options.effort!r}")

    async def reply(
        self, prompt: Prompt, options: Options | None = None, *, index: int = 0
    ) -> Reply:
        """Write one reply. Cancelling the task takes it out of the batch.

        Args:
            prompt: A question such as ``"What is 37*8+56?"``; or what `asked_in` understands.
            options: How to sample.
            index: Number of the choice, so that n choices of one seed differ.

        Raises:
            ValueError: The model has not learnt the effort.
        """
        options = options or Options()
        request = self._request(prompt, options, index)
        if request is None:
            return _refusal(prompt, options)
        return self._reply(request, await self.engine.generate(request))

    def reply_sync(
        self, prompt: Prompt, options: Options | None = None, *, index: int = 0
    ) -> Reply:
        """Like `reply`, for threads without an event loop."""
        options = options or Options()
        request = self._request(prompt, options, index)
        if request is None:
            return _refusal(prompt, options)
        return self._reply(request, self.engine.submit(request).result())

    def replies_sync(self, prompt: Prompt, options: Options, count: int) -> list[Reply]:
        """Write `count` replies at the same time; waits for all of them."""
        requests = [self._request(prompt, options, index) for index in range(count)]
        futures = [None if r is None else self.engine.submit(r) for r in requests]
        return [
            _refusal(prompt, options) if r is None or f is None else self._reply(r, f.result())
            for r, f in zip(requests, futures, strict=True)
        ]

    async def stream(
        self, prompt: Prompt, options: Options | None = None, *, index: int = 0
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
        self, prompt: Prompt, options: Options | None = None, *, index: int = 0
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

    def _request(self, prompt: Prompt, options: Options, index: int) -> Request | None:
        self.check(options)
        tokens = self._tokens(prompt, options)
        if tokens is None or len(tokens) >= self.engine.model.shape.context:
            return None
        return Request(
            prompt=tuple(tokens),
            temperature=options.temperature,
            seed=None if options.seed is None else (options.seed, index),
            max_tokens=options.max_tokens,
            stop=options.stop,
            top_logprobs=options.top_logprobs,
        )

    def _tokens(self, prompt: Prompt, options: Options) -> list[int] | None:
        """Return what the model reads; None if there is nothing that it knows."""
        vocabulary = self.engine.model.vocabulary
        if not vocabulary.has_words:
            expression = expression_in(last_of(prompt))
            return None if expression is None else vocabulary.prompt(expression)
        asked = asked_in(prompt if vocabulary.has_skills else last_of(prompt))
        if asked is None:
            return None
        if asked.kind == "solve" or not vocabulary.has_skills:
            return vocabulary.prompt(asked.question, skill=_effort(asked.question, options))
        return self._with_draft(asked)

    def _with_draft(self, asked: Asked) -> list[int] | None:
        vocabulary = self.engine.model.vocabulary
        if not vocabulary.knows(asked.draft):
            # It cannot read the draft: a revision is a new start, and a check is not possible.
            return vocabulary.prompt(asked.question) if asked.kind == "revise" else None
        if asked.kind == "check":
            return check_tokens(vocabulary, asked.question, asked.draft)
        return revise_tokens(vocabulary, asked.question, asked.draft, asked.line)

    def _token(self, number: int, logprob: float, top: Alternatives) -> Token:
        texts = self.engine.model.vocabulary.tokens
        return Token(texts[number], logprob, tuple((texts[n], each) for n, each in top))

    def _reply(self, request: Request, written: Generated) -> Reply:
        top: Sequence[Alternatives] = written.top_logprobs or [()] * len(written.tokens)
        tokens = tuple(map(self._token, written.tokens, written.logprobs, top))
        return Reply(tokens, written.finish_reason, len(request.prompt))


def _effort(question: str, options: Options) -> str:
    """Return the control token; of a countdown the operations are the answer, even at once."""
    low = options.effort == "low"
    return SOLVE if low and read_countdown(question) else EFFORTS[options.effort]


def last_of(prompt: Prompt) -> str:
    """Return the text of the user's last turn, or of the last if there is none of a user."""
    if isinstance(prompt, str):
        return prompt
    return ([turn for turn in prompt if turn.role == "user"] or list(prompt))[-1].text


def _refusal(prompt: Prompt, options: Options) -> Reply:
    text = REFUSAL if options.max_tokens is None else REFUSAL[: options.max_tokens]
    tokens = tuple(Token(character, 0.0) for character in text)
    return Reply(tokens, "stop" if text == REFUSAL else "length", len(last_of(prompt)))


def _pieces(reply: Reply) -> Iterator[Token | Reply]:
    yield from reply.tokens
    yield reply
