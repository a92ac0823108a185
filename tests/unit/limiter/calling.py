"""Calls through a limiter, and the errors of a server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from thinktwice.limiter.passage import Passage
from thinktwice.limiter.slots import Slots

if TYPE_CHECKING:
    from thinktwice import Limiter


class StatusError(Exception):
    """The server refused."""

    def __init__(self, status: int = 429, retry_after: float | None = None) -> None:
        super().__init__()
        self.status_code = status
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}


class Clock:
    """When calls left, by name."""

    def __init__(self) -> None:
        self.left: list[tuple[str, float]] = []

    async def call(self, limiter: Limiter, name: str, seconds: float = 0, tokens: int = 0) -> None:
        """One call on behalf of a request."""
        slots, passage = Slots([limiter], name), Passage([limiter], "m")
        await slots.take()
        try:
            await passage.leave(name, tokens)
            self.left.append((name, round(asyncio.get_running_loop().time(), 2)))
            await asyncio.sleep(seconds)
            passage.ended("ok", tokens)
        finally:
            slots.close()

    @property
    def times(self) -> list[float]:
        return [time for _, time in self.left]
