"""What a request takes that is answered as it would be without thinktwice."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler

from langchain_thinktwice.accounting.booking import asked
from langchain_thinktwice.accounting.usage import read_reply, serving
from langchain_thinktwice.composite import is_composite
from thinktwice import Usage
from thinktwice.entry import ZERO, Entry, Total
from thinktwice.shadow import Spend

if TYPE_CHECKING:
    from uuid import UUID

    from langchain_core.outputs import LLMResult

    from langchain_thinktwice.accounting.usage import Reply
    from thinktwice.protocols import PriceSource


class Meter(BaseCallbackHandler):
    """Looks on: it counts model calls and takes the time, and changes nothing.

    Attributes:
        last: The call that finished last.
    """

    run_inline = True

    def __init__(self) -> None:
        """Start the clock; the first event starts it anew."""
        self.last: Reply | None = None
        self._begun = False
        self._started = self._ended = time.perf_counter()
        self._asked: dict[UUID, tuple[str | None, str | None]] = {}
        self._composites: set[UUID] = set()  # whose calls are counted one by one, below them
        self._replies: list[tuple[Reply, str | None, str | None]] = []

    def finish(self) -> None:
        """Stop the clock, where no event has."""
        if not self._begun:
            self._ended = time.perf_counter()

    def spend(self, prices: PriceSource) -> Spend:
        """What the request took."""
        entries = [_entry(*each, prices) for each in self._replies]
        return Spend.of(Total.of(entries), self._ended - self._started)

    def on_chain_start(self, *_: Any, **__: Any) -> None:
        """Take the time."""
        if not self._begun:
            self._begun, self._started = True, time.perf_counter()

    def on_chain_end(self, *_: Any, **__: Any) -> None:
        """Take the time."""
        self._ended = time.perf_counter()

    def on_chat_model_start(self, *_: Any, run_id: UUID, **details: Any) -> None:
        """Remember who is asked."""
        self.on_chain_start()
        if is_composite(details):
            self._composites.add(run_id)
        else:
            self._asked[run_id] = asked(details)

    def on_llm_start(self, *_: Any, run_id: UUID, **details: Any) -> None:
        """Remember who is asked."""
        self.on_chat_model_start(run_id=run_id, **details)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Read what the call took."""
        self.on_chain_end()
        self.last = reply = read_reply(response, run_id)
        if run_id not in self._composites:
            self._replies.append((reply, *self._asked.get(run_id, (None, None))))


def _entry(reply: Reply, model: str | None, provider: str | None, prices: PriceSource) -> Entry:
    if reply.cached:
        free = Usage(input_tokens=0, output_tokens=0, source="provider")
        return Entry(role="sample", status="ok", usage=free, cost=ZERO)
    model, provider = reply.model or model, serving(provider, reply.provider)
    usage, cost = reply.usage or Usage(), None
    if reply.usage is not None:
        cost = prices.price(usage, model=model, provider=provider)
    return Entry(role="sample", status="ok", usage=usage, cost=cost)
