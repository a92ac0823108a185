"""The micro-batching scheduler: one thread that advances every running request together."""

from __future__ import annotations

import asyncio
import functools
import threading
import zlib
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .model import WEIGHTS, Cache, Floats, Model, load_model, log_softmax

FinishReason = Literal["stop", "length"]
Alternatives = tuple[tuple[int, float], ...]
"""Token numbers with their log-probabilities, the most probable first."""

OnToken = Callable[[int, float, Alternatives], None]

_IDLE_SECONDS = 2.0
_PREFIXES = 256
_PREFIX_TOKENS = 8192


@dataclass(frozen=True)
class Request:
    """One sequence to write.

    Args:
        prompt: Token numbers the model reads.
        temperature: 0 is greedy; 1 samples the model's own distribution.
        seed: Same prompt, temperature and seed, same text, whatever else is in the batch (up to
            the rounding of float32 sums). None takes fresh entropy.
        max_tokens: Most tokens to write; cut to what the context holds.
        stop: Texts that end the writing; they are not part of the result.
        top_logprobs: How many of the most probable tokens to report at each position; at most as
            many as the model can write.
    """

    prompt: tuple[int, ...]
    temperature: float = 0.8
    seed: int | tuple[int, ...] | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int = 0


@dataclass(frozen=True)
class Generated:
    """What was written.

    Args:
        tokens: Token numbers, without the prompt and the end token.
        logprobs: Natural log-probability of each token under the model's own distribution,
            that is at temperature 1 whatever the sampling temperature was.
        finish_reason: ``"length"`` when `max_tokens` or the context ended the text.
        top_logprobs: The most probable tokens at each position; empty if none were asked for.
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    top_logprobs: tuple[Alternatives, ...] = ()


@dataclass(eq=False)
class _Stream:
    request: Request
    future: Future[Generated]
    on_token: OnToken | None
    limit: int
    noise: NDArray[np.float64]
    tokens: list[int] = field(default_factory=list[int])
    logprobs: list[float] = field(default_factory=list[float])
    top: list[Alternatives] = field(default_factory=list[Alternatives])
    text: str = ""
    told: int = 0

    def add(
        self, token: int, logprob: float, top: Alternatives, character: str
    ) -> FinishReason | None:
        """Take the next token; return why the text is finished, if it is."""
        if not character:
            return "stop"
        self.tokens.append(token)
        self.logprobs.append(logprob)
        self.top.append(top)
        if self.request.stop:
            self.text += character
            if found := next((s for s in self.request.stop if self.text.endswith(s)), None):
                del self.tokens[-len(found) :], self.logprobs[-len(found) :]
                del self.top[-len(found) :]
                return "stop"
        self.tell(held=max(map(len, self.request.stop), default=1) - 1)
        return "length" if len(self.tokens) >= self.limit else None

    def tell(self, held: int = 0) -> None:
        """Pass new tokens on, but for the last `held`, which a stop text may yet take back."""
        if self.on_token is not None:
            for i in range(self.told, len(self.tokens) - held):
                self.on_token(self.tokens[i], self.logprobs[i], self.top[i])
                self.told = i + 1

    def finish(self, reason: FinishReason) -> None:
        """Settle the future, unless the caller has gone."""
        if self.future.set_running_or_notify_cancel():
            self.tell()
            top = tuple(self.top) if self.request.top_logprobs else ()
            self.future.set_result(Generated(tuple(self.tokens), tuple(self.logprobs), reason, top))


class Engine:
    """Writes many sequences at once with one model.

    Any thread and any event loop may submit. A request joins the batch at the next step and leaves
    it at the next step after it ends or its future is cancelled. The thread starts with the first
    request and ends when there has been nothing to do for two seconds.

    Args:
        model: The model; None loads the one shipped.
        slots: Most sequences in a batch; more wait their turn.
    """

    def __init__(self, model: Model | None = None, *, slots: int = 64) -> None:
        self.model = load_model() if model is None else model
        self.slots = slots
        self._wake = threading.Condition()
        self._waiting: deque[_Stream] = deque()
        self._running: list[_Stream] = []
        self._thread: threading.Thread | None = None
        self._cache: Cache = self.model.cache(slots)
        self._logits: Floats = np.zeros((slots, len(self.model.vocabulary)), np.float32)
        self._prefixes: OrderedDict[tuple[int, ...], tuple[Floats, Floats, Floats]] = OrderedDict()
        self._prefix_tokens = 0
        tokens = self.model.vocabulary.tokens
        self._characters = [t if len(t) == 1 else "" for t in tokens]
        self._writable = len(tokens) - len(self.model.vocabulary.silent)

    @property
    def running(self) -> int:
        """Number of sequences in the batch at this moment."""
        return len(self._running)

    def submit(self, request: Request, on_token: OnToken | None = None) -> Future[Generated]:
        """Queue a request; cancelling the future takes it out of the batch.

        Args:
            request: What to write.
            on_token: Called from the engine's thread with each token, its log-probability, and the
                most probable tokens in its place.

        Raises:
            ValueError: The prompt leaves no room, or the temperature or `max_tokens` is no good.
        """
        room = self.model.shape.context - len(request.prompt)
        limit = room if request.max_tokens is None else min(room, request.max_tokens)
        if not request.prompt or limit < 1:
            raise ValueError(f"no room to write: {len(request.prompt)} prompt tokens, {limit=}")
        if not 0 <= request.temperature < float("inf"):
            raise ValueError(f"temperature must be at least 0, not {request.temperature}")
        if request.top_logprobs < 0:
            raise ValueError(f"top_logprobs must be at least 0, not {request.top_logprobs}")
        future: Future[Generated] = Future()
        stream = _Stream(request, future, on_token, limit, _noise(request, limit))
        with self._wake:
            self._waiting.append(stream)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="arithmetic-lm", daemon=True)
                self._thread.start()
            self._wake.notify()
        return future

    async def generate(self, request: Request, on_token: OnToken | None = None) -> Generated:
        """Like `submit`, for a coroutine: cancelling the task takes the request out."""
        return await asyncio.wrap_future(self.submit(request, on_token))

    def _run(self) -> None:
        while self._admit():
            try:
                self._advance()
            except Exception as error:
                self._fail(error)

    def _admit(self) -> bool:
        """Move waiting requests into free slots; False ends the thread."""
        with self._wake:
            while not self._waiting and not self._running:
                if not self._wake.wait(_IDLE_SECONDS) and not self._waiting:
                    self._thread = None
                    return False
            free = min(self.slots - len(self._running), len(self._waiting))
            joining = [self._waiting.popleft() for _ in range(free)]
        for stream in joining:
            try:
                if not stream.future.cancelled():
                    self._prefill(stream)
            except Exception as error:
                _hand_over(error, stream)
        return True

    def _prefill(self, stream: _Stream) -> None:
        """Read a prompt into the next free slot; repeated prompts are read once."""
        prompt, slot = stream.request.prompt, len(self._running)
        if prompt not in self._prefixes:
            logits, keys, values = self.model.forward(np.array([prompt]))
            self._prefixes[prompt] = logits[0, -1], keys[:, 0], values[:, 0]
            self._prefix_tokens += len(prompt)
            while len(self._prefixes) > _PREFIXES or self._prefix_tokens > _PREFIX_TOKENS:
                oldest, _ = self._prefixes.popitem(last=False)
                self._prefix_tokens -= len(oldest)
        self._prefixes.move_to_end(prompt)
        self._logits[slot], keys, values = self._prefixes[prompt]
        self._cache.keys[:, slot, :, :, : len(prompt)] = keys
        self._cache.values[:, slot, :, : len(prompt)] = values
        self._running.append(stream)

    def _advance(self) -> None:
        """Sample one token for every sequence, drop the finished, and step the rest."""
        if not self._running:
            return
        tokens, logprobs, top = self._sample()
        for slot in range(len(self._running) - 1, -1, -1):
            stream, token = self._running[slot], tokens[slot]
            reason = stream.add(token, logprobs[slot], top[slot], self._characters[token])
            if reason is not None or stream.future.cancelled():
                self._drop(slot)
            if reason is not None:
                stream.finish(reason)
        if self._running:
            last = np.array([stream.tokens[-1] for stream in self._running])
            at = [len(s.request.prompt) + len(s.tokens) - 1 for s in self._running]
            self._logits[: len(last)] = self.model.step(self._cache, last, np.array(at))

    def _sample(self) -> tuple[list[int], list[float], list[Alternatives]]:
        """Return a token per sequence, its log-probability, and the most probable tokens."""
        logits = self._logits[: len(self._running)]
        temperatures = np.array([s.request.temperature for s in self._running])
        uniforms = np.array([s.noise[len(s.tokens)] for s in self._running])
        tokens = sample(logits, temperatures, uniforms)
        table = log_softmax(logits)
        logprobs = table[np.arange(len(tokens)), tokens]
        wanted = [min(s.request.top_logprobs, self._writable) for s in self._running]
        return tokens.tolist(), logprobs.tolist(), _most_probable(table, wanted)

    def _drop(self, slot: int) -> None:
        """Free a slot by moving the last sequence into it."""
        last = self._running.pop()
        if slot < len(self._running):
            self._running[slot] = last
            self._cache.move(len(self._running), slot)

    def _fail(self, error: Exception) -> None:
        """Hand an unexpected error to every caller rather than leave them waiting."""
        failed, self._running = self._running, []
        for stream in failed:
            _hand_over(error, stream)


def _hand_over(error: Exception, stream: _Stream) -> None:
    if not stream.future.done() and stream.future.set_running_or_notify_cancel():
        stream.future.set_exception(error)


def _noise(request: Request, length: int) -> NDArray[np.float64]:
    """Return the uniform numbers of a request, its own whatever runs beside it."""
    if request.seed is None:
        return np.random.default_rng().random(length)
    seeds = (request.seed,) if isinstance(request.seed, int) else request.seed
    # The prompt takes part, so that one seed used for many questions gives unrelated draws.
    entropy = [zlib.crc32(bytes(request.prompt)), *(seed % 2**64 for seed in seeds)]
    return np.random.default_rng(entropy).random(length)


def sample(
    logits: Floats, temperatures: NDArray[np.float64], uniforms: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Pick a token per row by inverting the distribution function.

    Args:
        logits: Shape (batch, tokens).
        temperatures: Shape (batch,); 0 picks the most probable token.
        uniforms: Shape (batch,), in [0, 1).
    """
    greedy = temperatures == 0
    scaled = logits.astype(np.float64) / np.where(greedy, 1.0, temperatures)[:, None]
    cumulated = np.exp(scaled - scaled.max(-1, keepdims=True)).cumsum(-1)
    below = cumulated[:, :-1] <= (uniforms * cumulated[:, -1])[:, None]
    picked: NDArray[np.intp] = below.sum(-1, dtype=np.intp)
    picked[greedy] = logits[greedy].argmax(-1)
    return picked


def _most_probable(table: Floats, wanted: Sequence[int]) -> list[Alternatives]:
    """Return as many of the most probable tokens of each row as are wanted of it."""
    if not any(wanted):
        return [()] * len(wanted)
    order = np.argsort(-table, axis=-1, kind="stable")[:, : max(wanted)]
    values = np.take_along_axis(table, order, -1)
    rows = zip(order.tolist(), values.tolist(), wanted, strict=True)
    return [tuple(zip(numbers[:k], logs[:k], strict=True)) for numbers, logs, k in rows]


NAME = "arithmetic-lm"
"""What `small` is called at every door; the other models have their size behind it."""


def name_of(size: str) -> str:
    """Return what a model is called at the doors: ``"arithmetic-lm-skilled"`` for `skilled`."""
    return NAME if size == "small" else f"{NAME}-{size}"


def size_of(model: str) -> str:
    """Return the name of a model's weights from either name of it.

    Raises:
        ValueError: There is no such model.
    """
    names = {name_of(size): size for size in sizes()} | {size: size for size in sizes()}
    if model not in names:
        raise ValueError(f"no model {model!r}: there are {', '.join(sizes())}")
    return names[model]


def sizes() -> list[str]:
    """Return the names of the weights that are shipped."""
    return sorted(path.stem for path in WEIGHTS.glob("*.npz") if path.stem.isalpha())


def shared_engine(size: str = "small") -> Engine:
    """Return the engine that every door of this process shares, so that calls batch together."""
    return _engine_of(size)


@functools.cache
def _engine_of(size: str) -> Engine:  # so that a default and its name share one entry
    return Engine(load_model(size))
