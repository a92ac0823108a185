"""No library: a client alone, and a count of 16 answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from clients import over_aiohttp, over_openai
from runner import N, answer_of, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from clients import Send
    from runner import Ask, Task


def single(task: Task) -> Ask:
    """One request."""
    send = over_openai(task)

    async def ask(prompt: str) -> str:
        return (await send(prompt)).text

    return ask


def gather(task: Task, over: Callable[[Task], Send]) -> Ask:
    """16 requests at once, and the most frequent answer."""
    send = over(task)

    async def ask(prompt: str) -> str:
        replies = [each.text for each in await asyncio.gather(*(send(prompt) for _ in range(N)))]
        votes = Counter(map(answer_of, replies))
        votes.pop(None, None)
        winner = votes.most_common(1)[0][0] if votes else None
        return next(reply for reply in replies if answer_of(reply) == winner)

    return ask


if __name__ == "__main__":
    run(
        {
            "single sample": single,
            "gather 16": partial(gather, over=over_openai),
            "gather 16 (aiohttp)": partial(gather, over=over_aiohttp),
        }
    )
