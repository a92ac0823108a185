"""Many requests at once: 1,000 x 8 samples on scripted 50 ms samplers; errors and memory.

make bench-load
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
import tracemalloc

from thinktwice import AtMost, Completion, Limiter, Price, Usage, Vote, solve

SAMPLES = 8
USAGE = Usage(input_tokens=10, output_tokens=3, source="provider")


class Counted:
    """A sampler of 50 ms that knows how many of its calls are under way."""

    def __init__(self) -> None:
        self.live = 0
        self.most = 0
        self.memory = 0

    async def __call__(self, prompt: str) -> Completion[str]:
        """Wait and answer."""
        self.live += 1
        if self.live > self.most:
            self.most = self.live
            self.memory = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else 0
        await asyncio.sleep(0.05)
        self.live -= 1
        return Completion(value="x", usage=USAGE, model="fake")


async def flood(requests: int) -> tuple[Counted, float, int]:
    """All requests at once; returns the sampler, the seconds, and the errors."""
    sampler = Counted()
    strategy = Vote(SAMPLES, stop=AtMost(SAMPLES), prefer="latency")
    limiter = Limiter(requests * SAMPLES)
    started = time.perf_counter()
    done = await asyncio.gather(
        *(
            solve(
                "p",
                sampler=sampler,
                strategy=strategy,
                limiter=limiter,
                prices={"fake": Price("1", "2")},
            )
            for _ in range(requests)
        ),
        return_exceptions=True,
    )
    seconds = time.perf_counter() - started
    return sampler, seconds, sum(isinstance(each, BaseException) for each in done)


async def main(requests: int) -> None:
    """Print the figures."""
    await flood(2)
    sampler, seconds, errors = await flood(requests)
    print(f"{requests} requests x {SAMPLES} samples: {errors} errors, {seconds:.2f} s, ")
    print(f"{sampler.most} calls in flight at the most")
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    sampler, _, _ = await flood(requests)
    live = (sampler.memory - before) / sampler.most
    print(f"{live / 1000:.1f} kB a live sample (target 25)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    asyncio.run(main(parser.parse_args().requests))
