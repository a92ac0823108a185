"""Places in several limiters, held, lent and taken over."""

from __future__ import annotations

import asyncio

from thinktwice import Limiter
from thinktwice.limiter.slots import Held, Slots
from thinktwice.testing import run_virtual


def test_taken_after_closing_they_are_given_back():
    """As when a thread takes them while the loop gives up on it."""

    async def main() -> None:
        limiter = Limiter(1)
        slots = Slots([limiter])
        slots.close()
        await slots.take()
        assert limiter.in_use == 0

    run_virtual(main())


def test_they_say_how_long_they_waited():
    """From the first that was not free on."""

    async def main() -> None:
        first, second = Limiter(1), Limiter(1)
        held = Slots([second])
        assert await held.take() == 0
        asyncio.get_running_loop().call_later(3, held.close)
        assert await Slots([first, second]).take() == 3

    run_virtual(main())


def test_lent_they_are_taken_again_when_nobody_borrows_them():
    """After the last of several."""

    async def main() -> None:
        limiter = Limiter(1)
        slots = Slots([limiter])
        await slots.take()
        slots.lend()
        slots.lend()
        assert limiter.in_use == 0
        await slots.regain(wanted=True)
        assert limiter.in_use == 0
        await slots.regain(wanted=True)
        assert limiter.in_use == 1
        slots.close()
        assert limiter.in_use == 0

    run_virtual(main())


def test_the_places_of_a_call_inside_are_taken_over_without_waiting():
    """But for those in limiters of its own, and though others are in line."""

    async def main() -> None:
        shared, own = Limiter(1), Limiter(1)
        outer, inner = Slots([shared]), Slots([shared, own])
        await outer.take()
        outer.lend()
        await inner.take()
        line = asyncio.ensure_future(shared.acquire())
        await asyncio.sleep(0)
        outer.take_over(inner, wanted=True)
        inner.close()
        assert (shared.in_use, own.in_use, shared.waiting) == (1, 0, 1)
        outer.close()
        await line
        assert shared.in_use == 1

    run_virtual(main())


def test_nothing_is_taken_over_by_who_is_done():
    """Closed meanwhile, not wanted, or still borrowed by others."""

    async def main() -> None:
        for closed, wanted, borrowers in ((True, True, 1), (False, False, 1), (False, True, 2)):
            limiter = Limiter(2)
            outer, inner = Slots([limiter]), Slots([limiter])
            for _ in range(borrowers):
                outer.lend()
            await inner.take()
            if closed:
                outer.close()
            outer.take_over(inner, wanted=wanted)
            inner.close()
            assert limiter.in_use == 0

    run_virtual(main())


def test_a_block():
    """Outside of a run."""

    async def main() -> None:
        limiter = Limiter(1)
        async with Held([limiter]):
            assert limiter.in_use == 1
        assert limiter.in_use == 0

    run_virtual(main())
