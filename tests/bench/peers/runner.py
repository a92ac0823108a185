"""What the runners share: each runs one arm of one peer, in that peer's own environment.

Standard library only. A line on standard input is a task in JSON, or the number of a question of
the last task. A question is answered with a line of JSON.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TextIO

    Ask = Callable[[str], str | Awaitable[str]]

MARK = "The answer is "
N = 16


@dataclass(frozen=True)
class Task:
    """What a runner is to do.

    Attributes:
        arm: Name of the arm.
        url: Base URL of the server.
        prompts: The questions.
        timeout: Seconds that a client waits for one reply, where the peer lets one say so.
        limit: Seconds after which a question is given up.
        scores: What a reward function says of each reply to a prompt.
    """

    arm: str
    url: str
    prompts: list[str]
    timeout: float
    limit: float
    scores: dict[str, dict[str, float]]

    def score(self, prompt: str, reply: str) -> float:
        """The recorded score of a reply."""
        return self.scores[prompt][folded(reply)]


def folded(text: str) -> str:
    """White space made equal: some peers strip what they return."""
    return " ".join(text.split())


def answer_of(reply: str) -> str | None:
    """The answer that a reply names in its last line; what every arm votes by that can be told."""
    last = reply.rstrip().rpartition("\n")[2]
    return last.removeprefix(MARK) if last.startswith(MARK) else None


def run(arms: dict[str, Callable[[Task], Ask]]) -> None:
    """Do what standard input says, then end the process."""
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # some peers print
    asyncio.run(_measure(arms, lines))


async def _measure(arms: dict[str, Callable[[Task], Ask]], lines: TextIO) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(64))
    reading = ThreadPoolExecutor(1)
    while line := await loop.run_in_executor(reading, sys.stdin.readline):
        if line.startswith("{"):
            task = Task(**json.loads(line))
            ask = arms[task.arm](task)
        else:
            done = await _timed(ask, task.prompts[int(line)], task.limit)
            print(json.dumps(done), file=lines, flush=True)
    os._exit(0)  # what was given up may never end


async def _timed(ask: Ask, prompt: str, limit: float) -> dict[str, object]:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(limit):
            if inspect.iscoroutinefunction(ask):
                reply = await ask(prompt)
            else:
                reply = await asyncio.to_thread(ask, prompt)
        error = None
    except Exception as caught:  # noqa: BLE001 - it is what is measured
        reply, error = None, type(caught).__name__
    seconds = time.perf_counter() - began
    if error and seconds >= limit:
        error = "given up"
    return {"seconds": seconds, "reply": reply, "error": error}
