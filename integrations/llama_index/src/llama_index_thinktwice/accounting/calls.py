"""LLM calls under way: which of them count, and how each of them ends.

An LLM may answer by another of its methods (`chat` through `complete`): that is one call. Or it
asks other LLMs: then it is none itself, and those are.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Generator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from weakref import finalize, ref

from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.base.llms.types import ChatResponse
from llama_index.core.llms.structured_llm import StructuredLLM

from llama_index_thinktwice.accounting.asking import given_to, model_of, options_of, provider_of
from llama_index_thinktwice.accounting.reading import reading
from llama_index_thinktwice.accounting.troubles import note
from llama_index_thinktwice.accounting.usage import read_reply, read_usage
from llama_index_thinktwice.tracing import emitted
from thinktwice.booking import current_booking
from thinktwice.scope import current_scope
from thinktwice.tokens import estimate_usage

if TYPE_CHECKING:
    from types import FrameType

    from llama_index_thinktwice.accounting.asking import Given
    from thinktwice import Usage
    from thinktwice.booking import Booking
    from thinktwice.entry import Status
    from thinktwice.scope import Scope

    _Stream: TypeAlias = Generator[Any, Any, Any] | AsyncGenerator[Any, Any]

METHODS: Final = frozenset(
    f"{awaited}{stream}{kind}"
    for awaited in ("", "a")
    for stream in ("", "stream_")
    for kind in ("chat", "complete")
)
"""Methods of an LLM that are calls."""

_inside: ContextVar[Call | None] = ContextVar("llama_index_thinktwice_call", default=None)
_streams: Final[dict[str, Call]] = {}
"""Those that have returned a stream which has not ended, by the ids of their nodes; until nobody
has the stream any more."""


class Call:
    """An LLM call under way.

    Attributes:
        scope: The sample or verdict that it is made for.
        llm: Who is asked.
    """

    def __init__(self, node: str, llm: object, scope: Scope, arguments: Given) -> None:
        """Book it.

        Args:
            node: Id of its node in LlamaIndex's tree.
            llm: Who is asked.
            scope: The sample or verdict that it is made for.
            arguments: Of the method.
        """
        self.scope = scope
        self.llm = llm
        self._node = node
        self._outer: Call | None = None
        self._heard: Usage | None = None
        self._stream: ref[Any] | None = None
        self._forgotten: finalize[Any, Any] | None = None
        asked = given_to(arguments)
        self._asked = asked if scope.ledger.capped else None  # to estimate by
        self._booking: Booking | None = scope.witness(
            model=model_of(llm),
            provider=provider_of(llm),
            options={**options_of(llm, asked[1]), "stream": "stream" in method_of(node)},
            emitted=emitted(llm),
        )
        self._booking.ask(asked[0])

    # ---- where the running code is --------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether it is a call, and has not ended."""
        return self._booking is not None

    def begin(self) -> None:
        """The code that runs from now on is inside it."""
        self._outer = _inside.get()
        _inside.set(self)

    def leave(self, node: str) -> bool:
        """The code that runs is no longer inside, if that is the node which ends."""
        if node != self._node:
            return False
        _inside.set(self._outer)
        self._outer = None
        return True

    @property
    def frame(self) -> FrameType | None:
        """Where its stream stands."""
        stream = None if self._stream is None else self._stream()
        frame = getattr(stream, "ag_frame", None)
        return getattr(stream, "gi_frame", None) if frame is None else frame

    # ---- how it ends ----------------------------------------------------------------------------

    def streams(self, stream: _Stream) -> None:
        """It has returned a stream, and ends as that does; else with its sample."""
        if self.open:
            self._stream = ref(stream)
            self._forgotten = finalize(stream, _streams.pop, self._node, None)
            self._forgotten.atexit = False
            _streams[self._node] = self

    def hear(self, response: object) -> None:
        """Note the usage of a part of it: a chunk, or a method that it goes through."""
        self._heard = read_usage(response) or self._heard

    def succeed(self, response: object) -> None:
        """It has ended with a response, or with the last chunk of its stream."""
        reply = read_reply(response)
        if self._booking is not None:
            said = response.message if isinstance(response, ChatResponse) else reply.text
            self._booking.hear([] if said is None else [said], [reply.finish_reason])
            self._booking.tell([reply.finish_reason], response_id=reply.response_id)
        usage = reply.usage or self._heard
        if usage is None and self._asked is not None:  # a cap must bind even where nobody counts
            model = reply.model or model_of(self.llm)
            usage = estimate_usage(reading(*self._asked), reply.text or "", model)
        self._settle("ok", usage=usage, model=reply.model)

    def fail(self, error: BaseException | None) -> None:
        """It has failed, or was cancelled: nobody knows what it took."""
        if not isinstance(error, GeneratorExit):
            cut = isinstance(error, asyncio.CancelledError)
            self._settle("cancelled" if cut else "error", error=error)
        # Else a stream is given up, maybe by the garbage collector in the middle of anything: of
        # settling another call, say, when the ledger is locked. The sample settles it at its end.

    def withdraw(self) -> None:
        """It asks another LLM, and is none of the calls itself."""
        if (booking := self._taken()) is not None:
            booking.withdraw()

    def _settle(
        self,
        status: Status,
        *,
        usage: Usage | None = None,
        model: str | None = None,
        error: BaseException | None = None,
    ) -> None:
        if (booking := self._taken()) is not None:
            try:
                booking.settle(status=status, usage=usage, model=model, error=error)
            except Exception as trouble:  # noqa: BLE001 - of the user's prices
                note(trouble)

    def _taken(self) -> Booking | None:
        """Its booking, once."""
        booking, self._booking = self._booking, None
        _streams.pop(self._node, None)
        if self._forgotten is not None:
            self._forgotten.detach()
        return booking


# ---- what happens -------------------------------------------------------------------------------


def entered(node: str, llm: object, arguments: Given) -> None:
    """A method begins: a call, if it is one of an LLM's that no other call goes through."""
    scope = current_scope()
    if scope is None or not isinstance(llm, BaseLLM) or method_of(node) not in METHODS:
        return
    around = _around(scope)
    if around is not None:
        if around.llm is llm:
            return
        around.withdraw()
    if not (is_composite(llm) or _is_booked(scope)):
        Call(node, llm, scope, arguments).begin()


def exited(node: str, llm: object, result: object) -> None:
    """A method has returned."""
    call = _inside.get()
    if call is None:
        return
    if not call.leave(node):
        if call.llm is llm:
            call.hear(result)
    elif isinstance(result, Generator | AsyncGenerator):
        call.streams(cast("_Stream", result))
    else:
        call.succeed(result)


def dropped(node: str, error: BaseException | None) -> None:
    """A method has raised."""
    call = _inside.get()
    if call is not None and call.leave(node):
        call.fail(error)


def streaming(node: str | None) -> Call | None:
    """The call of a stream that has not ended."""
    return _streams.get(node) if node else None


def method_of(node: str) -> str:
    """The method that a node is of: it is called "Class.method-<uuid>"."""
    return node.partition("-")[0].rpartition(".")[2]


def is_composite(llm: object) -> bool:
    """Whether it is no model, but asks one: those calls are booked."""
    return hasattr(llm, "thinktwice_composite") or isinstance(llm, StructuredLLM)


def _is_booked(scope: Scope) -> bool:
    """Whether whoever made the call has booked it."""
    booking = current_booking()
    return booking is not None and booking.scope is scope


def _around(scope: Scope) -> Call | None:
    """The call of a scope that the running code is inside of."""
    call = _inside.get()
    if call is not None and call.scope is scope and call.open:
        return call
    # What a stream does happens after the method that made it has returned.
    open_here = [each for each in tuple(_streams.values()) if each.scope is scope]
    frames = {each.frame: each for each in open_here} if open_here else {}
    frame = sys._getframe() if frames else None  # pyright: ignore[reportPrivateUsage]
    while frame is not None and frame not in frames:
        frame = frame.f_back
    return None if frame is None else frames[frame]
