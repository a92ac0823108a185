"""What the LangChain adapter costs in time, and whether it holds under many requests.

    make bench-langchain

First the processor time of a sample over a bare `ainvoke`, then requests side by side, then a real
client on this machine. Bare calls and samples take turns, so that a change in the machine's speed
meets both; the minimum is what they cost on a machine that does nothing else. Not `langchain.py`:
that would stand before the package of this name.
"""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
import warnings
from statistics import median
from typing import TYPE_CHECKING, Any

from arithmetic_lm.server import ArithmeticServer
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai import ChatOpenAI
from langchain_thinktwice import vote
from overhead import MODEL, PRICES, VOTING, Fake, N, adapter, bare_adapter, per_sample

from thinktwice import AtMost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable, RunnableConfig

SAMPLES = 8
SECONDS = 0.05


class Listening(BaseCallbackHandler):
    """Hears of every run, at once."""

    run_inline = True

    def __init__(self) -> None:
        self.heard = 0

    def on_chain_start(self, *_: object, **__: object) -> None:
        """Count."""
        self.heard += 1

    on_chain_end = on_chat_model_start = on_llm_end = on_chain_start


class Slow(Fake):
    """Answers with what it was asked, after 50 ms."""

    def _generate(self, messages: list[BaseMessage], *args: object, **kwargs: object) -> ChatResult:
        time.sleep(SECONDS)
        return _echo(messages)

    async def _agenerate(
        self, messages: list[BaseMessage], *args: object, **kwargs: object
    ) -> ChatResult:
        await asyncio.sleep(SECONDS)
        return _echo(messages)


def _echo(messages: list[BaseMessage]) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=AIMessage(messages[-1].text))])


async def side_by_side(
    work: Callable[[], Awaitable[object]], bare: Callable[[], Awaitable[object]], rounds: int
) -> str:
    """Extra microseconds of a sample, alone and as a share of the bare call."""
    await per_sample(work, 3)
    alone, ours = [], []
    for _ in range(rounds):
        alone.append(await per_sample(bare, 2))
        ours.append(await per_sample(work, 2))
    extra = median(b - a for a, b in zip(alone, ours, strict=True))
    ratio = median(b / a for a, b in zip(alone, ours, strict=True))
    least = min(ours) - min(alone)
    return f"{least:9.0f}{extra:9.0f}{min(alone):11.0f}{median(alone):9.0f}{ratio:9.2f}"


async def cost(rounds: int) -> None:
    """A table of the cost of a sample, without and with a callback handler."""
    handler = Listening()
    config: RunnableConfig = {"callbacks": [handler]}

    async def heard() -> object:
        return await VOTING.ainvoke("p", config)

    async def bare_heard() -> None:
        await asyncio.gather(*(MODEL.ainvoke("p", config) for _ in range(N)))

    print("microseconds of processor time a sample, over a bare ainvoke of an instant model")
    print(f"{'':16}{'least':>9}{'median':>9}{'bare least':>11}{'median':>9}{'ratio':>9}   target")
    print(f"{'no callbacks':16}{await side_by_side(adapter, bare_adapter, rounds)}      500")
    print(f"{'callbacks':16}{await side_by_side(heard, bare_heard, rounds)}      800")
    assert handler.heard


async def on_one_loop(requests: int) -> None:
    """Many requests at once on one loop, and as many bare calls: who waits longest for what."""
    model = Slow()
    chain = vote(model, n=SAMPLES, stop=AtMost(SAMPLES), prefer="latency", prices=PRICES)
    calls = requests * SAMPLES
    columns = f"{'last reply':>12}{'longest turn':>14}{'processor':>12}{'right':>8}"
    print(f"{'at once on one loop':32}{columns}")
    print(f"{f'{calls} bare ainvoke':32}{await _at_once(model, calls)}")
    print(f"{f'{requests} ainvoke of vote(n={SAMPLES})':32}{await _at_once(chain, requests)}")


async def _at_once(runnable: Runnable[Any, AIMessage], requests: int) -> str:
    turns: list[float] = []

    async def tick() -> None:
        while True:
            since = time.perf_counter()
            await asyncio.sleep(0)
            turns.append(time.perf_counter() - since)

    await runnable.ainvoke("warm up")
    ticking = asyncio.create_task(tick())
    started, busy = time.perf_counter(), time.process_time()
    answers = await asyncio.gather(*(runnable.ainvoke(str(i)) for i in range(requests)))
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    ticking.cancel()
    right = sum(answer.text == str(i) for i, answer in enumerate(answers))
    return f"{seconds:10.2f} s{max(turns):12.2f} s{busy:10.2f} s{right:8}"


def in_a_batch(inputs: int) -> None:
    """A sync batch, and what it leaves behind."""
    chain = vote(Slow(), n=SAMPLES, stop=AtMost(SAMPLES), prefer="latency", prices=PRICES)
    chain.invoke("warm up")
    before, started = threading.active_count(), time.perf_counter()
    answers = chain.batch([str(i) for i in range(inputs)])
    seconds = time.perf_counter() - started
    time.sleep(2 * SECONDS)
    left = threading.active_count() - before
    right = sum(answer.text == str(i) for i, answer in enumerate(answers))
    done = f"{right} right in {seconds:.2f} s"
    print(f"sync batch of {inputs} x {SAMPLES}: {done}, {left} threads left")


def again_and_again(calls: int) -> None:
    """Sync calls on one cached client over real sockets."""
    failed, started = 0, time.perf_counter()
    with ArithmeticServer.in_thread(reply=lambda prompt, number: "4") as server:
        model = ChatOpenAI(
            model="arithmetic-lm", api_key="none", max_retries=0, base_url=server.url
        )
        chain = vote(model, n=2, stop=AtMost(2), include_result=True)
        for _ in range(calls):
            samples = chain.invoke("2 + 2")["result"].samples
            failed += sum(sample.error is not None for sample in samples)
        requests, lost = len(server.log), sum(record.disconnected for record in server.log)
    seconds = (time.perf_counter() - started) / calls * 1000
    print(
        f"{calls} sync calls of vote(n=2) on one ChatOpenAI: {failed} failed samples, {requests} "
        f"requests, {lost} connections lost, {seconds:.1f} ms a call"
    )


def main(rounds: int, calls: int) -> None:
    """Print the figures."""
    warnings.simplefilter("ignore")
    asyncio.run(cost(rounds))
    asyncio.run(on_one_loop(200))
    in_a_batch(64)
    again_and_again(calls)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--calls", type=int, default=1000)
    given = parser.parse_args()
    main(given.rounds, given.calls)
