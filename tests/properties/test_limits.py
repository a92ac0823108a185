"""Whoever comes and goes whenever, from whichever loop: limits hold, and nothing is left."""

from __future__ import annotations

import asyncio
import math
import random
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from thinktwice import Limiter
from thinktwice.limiter.pacing import next_ticket
from thinktwice.limiter.passage import Passage
from thinktwice.limiter.slots import Slots
from thinktwice.testing import run_virtual


class StatusError(Exception):
    """Too many requests."""

    status_code = 429

    def __init__(self, retry_after: float | None = None) -> None:
        super().__init__()
        self.headers = {} if retry_after is None else {"retry-after": str(retry_after)}


@dataclass(frozen=True)
class Caller:
    """One call: when it comes, for whom, how large it is, and when it gives up, if it does."""

    at: float
    request: int
    tokens: int
    seconds: float
    gives_up: float | None


callers = st.builds(
    Caller,
    at=st.floats(0, 20),
    request=st.integers(0, 3),
    tokens=st.integers(0, 300),
    seconds=st.floats(0, 3),
    gives_up=st.none() | st.floats(0, 5),
)
refusals = st.tuples(st.floats(0, 20), st.none() | st.floats(0, 10))


@given(
    calls=st.lists(callers, max_size=40),
    refused=st.lists(refusals, max_size=4),
    rate=st.sampled_from([30, 60, 600, 1800]),
    tokens=st.none() | st.sampled_from([3000, 60_000]),
    concurrency=st.integers(1, 8),
)
@settings(max_examples=150)
def test_rates_and_pauses_hold(*, calls, refused, rate, tokens, concurrency):
    """In any second and any minute; all that do not give up leave, and in no pause."""
    limiter = Limiter(concurrency, requests_per_minute=rate, tokens_per_minute=tokens)
    left: list[float] = []
    pauses: list[tuple[float, float]] = []
    busy = Counter[str]()

    async def one(caller: Caller) -> None:
        await asyncio.sleep(caller.at)
        slots, passage = Slots([limiter], caller.request), Passage([limiter], None)
        try:
            async with asyncio.timeout(caller.gives_up):
                await slots.take()
                busy["now"] += 1
                busy["most"] = max(busy.values())
                try:
                    await passage.leave(caller.request, caller.tokens)
                    left.append(asyncio.get_running_loop().time())
                    await asyncio.sleep(caller.seconds)
                    passage.ended("ok", caller.tokens)
                finally:
                    busy["now"] -= 1
        finally:
            slots.close()

    async def refuse(at: float, retry_after: float | None) -> None:
        await asyncio.sleep(at)
        limiter.failed(next_ticket(), StatusError(retry_after))
        pauses.append((at, at + (retry_after or 0)))

    async def main() -> None:
        work = [*map(one, calls), *(refuse(*each) for each in refused)]
        ended = await asyncio.gather(*work, return_exceptions=True)
        gone = sum(isinstance(each, TimeoutError) for each in ended)
        assert gone <= sum(caller.gives_up is not None for caller in calls)
        assert len(left) >= len(calls) - gone
        assert not [each for each in ended if each and not isinstance(each, TimeoutError)]

    run_virtual(main())
    assert busy["most"] <= concurrency
    assert limiter.in_use == limiter.waiting == 0
    for seconds in (1, 60):
        allowed = math.ceil(rate * seconds / 60)
        for first, later in zip(left, left[allowed:], strict=False):
            assert later - first >= seconds * (1 - 1e-6)
    for begin, end in pauses:
        assert not [time for time in left if begin + 1e-6 < time < end - 1e-6]


@dataclass
class Shop:
    """Limiters, and how many hold a place in each."""

    limiters: list[Limiter]
    lock: threading.Lock = field(default_factory=threading.Lock)
    held: Counter[int] = field(default_factory=Counter)
    most: Counter[int] = field(default_factory=Counter)

    def count(self, numbers: list[int], sign: int) -> None:
        with self.lock:
            for number in numbers:
                self.held[number] += sign
                self.most[number] = max(self.most[number], self.held[number])


async def visit(shop: Shop, seed: int) -> None:
    """Take places in some limiters, perhaps lend them to a call inside, or be cancelled."""
    chance = random.Random(seed)
    numbers = chance.sample(range(len(shop.limiters)), chance.randint(1, len(shop.limiters)))
    limiters = [shop.limiters[number] for number in numbers]
    slots, passage = Slots(limiters, seed % 3), Passage(limiters, None)
    with suppress(TimeoutError):
        async with asyncio.timeout(chance.choice([None, None, 0.001, 0.003])):
            try:
                await slots.take()
                await passage.leave(seed % 3, 5)
                shop.count(numbers, 1)
                try:
                    await asyncio.sleep(chance.random() / 1000)
                finally:
                    shop.count(numbers, -1)
                if chance.random() < 0.5:
                    slots.lend()
                    inner = Slots(limiters, seed % 3)
                    try:
                        await inner.take()
                    finally:
                        slots.take_over(inner, wanted=chance.random() < 0.5)
                        inner.close()
                if chance.random() < 0.5:
                    slots.lend()
                    await slots.regain(wanted=True)
                passage.ended("error" if chance.random() < 0.2 else "ok", 7, StatusError())
            finally:
                slots.close()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15)
def test_over_threads_and_loops(seed: int):
    """No cap is passed, nobody waits for ever, and nothing is left."""
    shop = Shop([Limiter(1), Limiter(3), Limiter(2, requests_per_minute=60_000)])

    def one(number: int) -> None:
        async def main() -> None:
            await asyncio.gather(*(visit(shop, seed + 100 * number + each) for each in range(12)))

        asyncio.run(main())

    threads = [threading.Thread(target=one, args=(number,), daemon=True) for number in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)
    assert not [each for each in threads if each.is_alive()]
    for number, limiter in enumerate(shop.limiters):
        assert shop.most[number] <= limiter.max_concurrency
        assert limiter.in_use == limiter.waiting == 0
