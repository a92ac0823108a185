"""Limits under load, over real sockets: rates, fairness, replicas, and what a limiter costs.

    make bench-limits

A server in a process of its own enforces 30 requests/s: 429 above that, in sliding windows of one
second and of one minute, refused requests counted. 100 requests of 8 calls each come at once.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import time
import tracemalloc
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

from thinktwice import AtMost, Completion, Limiter, Usage, Vote, solve
from thinktwice.limiter.passage import Passage
from thinktwice.limiter.slots import Slots
from thinktwice.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from thinktwice import Result

RATE = 30  # requests a second
REQUESTS, SAMPLES = 100, 8
USAGE = Usage(input_tokens=10, output_tokens=3, source="provider")


class StatusError(Exception):
    """The server refused."""

    def __init__(self, status: int) -> None:
        """Keep the status, as clients do."""
        super().__init__()
        self.status_code = status


class Window:
    """Counts what came in the last so many seconds."""

    def __init__(self, seconds: float, most: int) -> None:
        """Nothing came yet."""
        self.seconds, self.most = seconds, most
        self.came: deque[float] = deque()

    def full(self, at: float) -> bool:
        """Count one more; whether that is too many."""
        while self.came and self.came[0] <= at - self.seconds:
            self.came.popleft()
        self.came.append(at)
        return len(self.came) > self.most


async def serve(rate: float, seconds: float) -> None:
    """Answer after a time, or with a 429 above the rate, until the process is ended."""
    windows = [Window(1, int(rate)), Window(60, int(60 * rate))] if rate else []

    async def answer(request: web.Request) -> web.Response:
        at = time.monotonic()
        if sum(window.full(at) for window in windows):
            return web.Response(status=429)
        await request.read()
        await asyncio.sleep(seconds * random.uniform(0.5, 1.5))
        return web.Response(text="391")

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


@contextmanager
def served(rate: float = 0, seconds: float = 0.2) -> Generator[str]:
    """A server in a process of its own."""
    command = [sys.executable, __file__, "--serve", str(rate), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/"
    finally:
        process.kill()
        process.wait()


def sampler(client: aiohttp.ClientSession, url: str) -> Callable[[str], Awaitable[Completion[str]]]:
    """A model behind HTTP."""

    async def ask(prompt: str) -> Completion[str]:
        async with client.post(url, data=prompt) as response:
            if response.status != 200:
                raise StatusError(response.status)
            return Completion(value=await response.text(), usage=USAGE, model="m")

    return ask


def session() -> aiohttp.ClientSession:
    """A client without a cap on connections."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


async def vote(ask: object, n: int, limiter: Limiter | None = None) -> Result[str] | Exception:
    """One request; what it raised, if all its samples failed."""
    strategy = Vote(n, stop=AtMost(n), prefer="latency")
    try:
        return await solve(
            "q", sampler=ask, strategy=strategy, limiter=limiter, max_concurrency=n, prices={}
        )
    except Exception as error:  # noqa: BLE001 - it is counted
        return error


def errors_of(done: Result[str] | Exception) -> int:
    """Failed samples of a request."""
    if isinstance(done, Exception):
        done = done.thinktwice_result
    return sum(sample.error is not None for sample in done.samples)


async def rates(limiter: Limiter | None) -> tuple[int, float]:
    """Calls that got a 429, and answered calls for each second from the first to the last."""
    left: list[float] = []
    with served(RATE) as url:
        async with session() as client:
            model = sampler(client, url)

            async def ask(prompt: str) -> Completion[str]:
                left.append(time.perf_counter())
                return await model(prompt)

            done = await asyncio.gather(*(vote(ask, SAMPLES, limiter) for _ in range(REQUESTS)))
    refused = sum(map(errors_of, done))
    return refused, (len(left) - refused) / (left[-1] - left[0])


async def fairness() -> tuple[float, float]:
    """Seconds in the queue of a request of 1 call that comes behind one of 64; and of the last."""
    limiter = Limiter(64, requests_per_minute=60 * RATE)
    with served(RATE) as url:
        async with session() as client:
            ask = sampler(client, url)
            large = asyncio.ensure_future(vote(ask, 64, limiter))
            await asyncio.sleep(0.1)
            small = await vote(ask, 1, limiter)
            big = await large
    return small.ledger.total.queued, max(entry.queued for entry in big.ledger.entries)


async def one_dead() -> tuple[int, int, float]:
    """Failed requests and samples of 8 x 8 over three replicas, one dead; seconds."""
    with served() as first, served() as second:
        async with session() as client:
            urls = (first, second, "http://127.0.0.1:9/")
            pool = Pool([sampler(client, url) for url in urls])
            started = time.perf_counter()
            done = await asyncio.gather(*(vote(pool, SAMPLES) for _ in range(8)))
            seconds = time.perf_counter() - started
    return sum(isinstance(each, Exception) for each in done), sum(map(errors_of, done)), seconds


async def overhead() -> dict[str, float]:
    """Microseconds of processor time that a limiter takes for a call that need not wait."""

    async def per_call(limiter: Limiter, calls: int = 2000) -> float:
        started = time.process_time()
        for _ in range(calls):
            slots, passage = Slots([limiter]), Passage([limiter], "m")
            await slots.take()
            if not passage.leave_at_once():
                await passage.leave(None, 13)
            passage.ended("ok", 13)
            slots.close()
        return (time.process_time() - started) / calls * 1e6

    kinds = {
        "concurrency": Limiter(64),
        "concurrency and rates": Limiter(64, requests_per_minute=1e9, tokens_per_minute=1e12),
    }
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(50):  # they take turns, and the quickest round of each counts
        for name, limiter in kinds.items():
            times[name].append(await per_call(limiter))
    return {name: min(rounds) for name, rounds in times.items()}


async def memory(waiting: int = 10_000) -> float:
    """Bytes for each call that waits for a slot, its task included."""
    limiter = Limiter(1)
    await limiter.acquire()
    tracemalloc.start()
    tasks = [asyncio.ensure_future(limiter.acquire(number // SAMPLES)) for number in range(waiting)]
    await asyncio.sleep(0)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return taken / waiting


async def main() -> None:
    """Print the figures."""
    calls = REQUESTS * SAMPLES
    refused, _ = await rates(None)
    print(f"{REQUESTS} requests x {SAMPLES} calls, a server of {RATE} requests/s")
    print("                429s    answered/s    of the limit")
    print(f"  no limiter  {refused / calls:>6.1%}")
    refused, rate = await rates(Limiter(64, requests_per_minute=60 * RATE))
    print(f"  Limiter     {refused / calls:>6.1%}{rate:>14.1f}{rate / RATE:>16.0%}")
    small, large = await fairness()
    print(f"1 call behind a request of 64: {small:.2f} s in the queue (its last: {large:.2f} s)")
    failed, samples, seconds = await one_dead()
    print(
        f"8 requests x 8 over 3 replicas, one dead: {failed} requests and {samples} samples ",
        end="",
    )
    print(f"failed, {seconds:.2f} s")
    for name, micro in (await overhead()).items():
        print(f"a limiter of {name}: {micro:.0f} us of processor time a call")
    print(f"{await memory():.0f} bytes for each call that waits, its task included")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", nargs=2, type=float, metavar=("RATE", "SECONDS"))
    asked = parser.parse_args()
    asyncio.run(serve(*asked.serve) if asked.serve else main())
