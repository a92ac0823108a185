"""Own cost of a sample: CPU time over calling the sampler, or the chain, without thinktwice.

    make bench-overhead

Each figure is the median of several rounds; bare calls and sampled calls take turns, so that a
change in the machine's speed meets both. Processor time, not wall time: the machine may be busy.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from statistics import median
from typing import TYPE_CHECKING

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_thinktwice import vote
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from thinktwice import AtMost, Completion, Price, Usage, Vote, solve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

N = 16
PRICES = {"fake": Price("1", "2")}
USAGE = Usage(input_tokens=10, output_tokens=3, source="provider")


class Fake(BaseChatModel):
    """Answers at once."""

    @property
    def _llm_type(self) -> str:
        return "fake"

    def _generate(self, messages: list[BaseMessage], *args: object, **kwargs: object) -> ChatResult:
        message = AIMessage(
            "x",
            usage_metadata={"input_tokens": 10, "output_tokens": 3, "total_tokens": 13},
            response_metadata={"model_name": "fake"},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self, messages: list[BaseMessage], *args: object, **kwargs: object
    ) -> ChatResult:
        return self._generate(messages)


async def sampler(prompt: str) -> Completion[str]:
    """Answers at once."""
    return Completion(value="x", usage=USAGE, model="fake")


async def per_sample(work: Callable[[], Awaitable[object]], times: int) -> float:
    """Microseconds of processor time for each of the N samples of `work`."""
    started = time.process_time()
    for _ in range(times):
        await work()
    return (time.process_time() - started) / times / N * 1e6


async def core() -> object:
    """One request through the core."""
    return await solve("p", sampler=sampler, strategy=Vote(N, stop=AtMost(N)), prices=PRICES)


async def bare_core() -> None:
    """The same calls without it."""
    await asyncio.gather(*(sampler("p") for _ in range(N)))


MODEL = Fake()
VOTING = vote(MODEL, n=N, stop=AtMost(N), prices=PRICES)


async def adapter() -> object:
    """One request through the LangChain adapter."""
    return await VOTING.ainvoke("p")


async def bare_adapter() -> None:
    """The same calls without it."""
    await asyncio.gather(*(MODEL.ainvoke("p") for _ in range(N)))


async def measured(
    work: Callable[[], Awaitable[object]], bare: Callable[[], Awaitable[object]], rounds: int
) -> tuple[float, float]:
    """Medians of the cost over the bare calls, and of the bare calls."""
    await per_sample(work, 3)
    extra, alone = [], []
    for _ in range(rounds):
        alone.append(await per_sample(bare, 20))
        extra.append(await per_sample(work, 20) - alone[-1])
    return median(extra), median(alone)


async def main(rounds: int) -> None:
    """Print a table."""
    print(f"{'':34}{'us a sample':>12}{'bare call':>12}{'target':>10}")
    rows = [
        ("core, no SDK", core, bare_core, 80),
        ("LangChain, no SDK", adapter, bare_adapter, 500),
    ]
    before: dict[str, float] = {}
    for name, work, bare, target in rows:
        extra, alone = await measured(work, bare, rounds)
        before[name.split(",")[0]] = extra
        print(f"{name:34}{extra:12.0f}{alone:12.0f}{target:>10}")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    trace.set_tracer_provider(provider)
    for name, work, bare, _ in rows:
        place = name.split(",")[0]
        extra, alone = await measured(work, bare, rounds)
        more = extra - before[place]
        print(f"{place + ', SDK and batch export: more':34}{more:12.0f}{alone:12.0f}{300:>10}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    asyncio.run(main(parser.parse_args().rounds))
