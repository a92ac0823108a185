"""What a call is charged, and what of it is given back."""

from __future__ import annotations

import asyncio

import pytest

from thinktwice import Limiter
from thinktwice.limiter.passage import Passage, first_size
from thinktwice.testing import run_virtual


class StatusError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__()
        self.status_code = status


class Log(Limiter):
    """Writes down what it is told."""

    def __init__(self, **rates: float) -> None:
        super().__init__(8, **rates)
        self.told: list[tuple[object, ...]] = []

    def refund(self, requests: int, tokens: float) -> None:
        self.told.append(("refund", requests, tokens))

    def settle(self, model: str | None, charged: float, used: int) -> None:
        self.told.append(("settle", model, charged, used))

    def succeeded(self, ticket: int) -> None:
        self.told.append(("succeeded",))

    def failed(self, ticket: int, error: BaseException) -> None:
        self.told.append(("failed", type(error).__name__))


ENDS = {
    "a reply": (("ok", 70), {}, [("succeeded",), ("settle", "m", 50, 70)]),
    "a reply that nobody counted": (("ok", None), {}, [("succeeded",)]),
    "a reply from a cache": (("ok", 0), {"cached": True}, [("refund", 1, 50)]),
    "a refusal": (("error", None, StatusError(429)), {}, [("failed", "StatusError"),
                                                          ("refund", 0, 50)]),
    "no connection": (("error", None, ConnectionRefusedError()), {},
                      [("failed", "ConnectionRefusedError"), ("refund", 1, 50)]),
    "a lost connection": (("error", None, TimeoutError()), {}, [("failed", "TimeoutError")]),
    "an unreadable reply": (("error", None, StatusError(200)), {}, [("failed", "StatusError")]),
    "a recall": (("cancelled", None, asyncio.CancelledError()), {}, []),
    "an estimate after a recall": (("abandoned", 99), {}, []),
}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_how_a_call_ends(end: str):
    """What was not taken is given back; who recalled a call learned nothing of the server."""
    given, named, told = ENDS[end]
    limiter = Log(tokens_per_minute=6000)

    async def main() -> None:
        passage = Passage([limiter], "m")
        assert not passage.leave_at_once()
        await passage.leave(None, 50)
        passage.ended(*given, **named)
        passage.withdraw()  # which happens after the end as well, and gives nothing back then

    run_virtual(main())
    assert limiter.told == told


def test_a_call_that_was_not_sent_gives_all_back_once():
    """To each limiter that charged it."""
    limiters = [Log(requests_per_minute=60), Log(), Log(tokens_per_minute=6000)]

    async def main() -> None:
        passage = Passage(limiters, "m")
        await passage.leave(None, 50)
        passage.withdraw()
        passage.withdraw()

    run_virtual(main())
    assert [limiter.told for limiter in limiters] == [
        [("refund", 1, 0)],
        [],
        [("refund", 1, 50)],
    ]


def test_a_muted_one_tells_nothing():
    """But what it was charged is corrected."""
    limiter = Log(tokens_per_minute=6000)

    async def main() -> None:
        passage = Passage([limiter], "m")
        await passage.leave(None, 50)
        passage.mute()
        passage.ended("error", None, StatusError(429))

    run_virtual(main())
    assert limiter.told == [("refund", 0, 50)]


def test_where_no_rate_is_set_it_leaves_at_once():
    """The path of most calls."""
    assert Passage([Limiter(1), Limiter(1)], "m").leave_at_once()


@pytest.mark.parametrize(
    ("limiter", "max_tokens", "size"),
    [
        (Limiter(1), 20, 0),
        (Limiter(1, requests_per_minute=9), 20, 0),
        (Limiter(1, tokens_per_minute=9), 20, 30),
        (Limiter(1, tokens_per_minute=9), None, 510),
        (Limiter(1, tokens_per_minute=9), 4000, 510),
    ],
)
def test_the_first_calls_of_a_model(limiter: Limiter, max_tokens: int | None, size: int):
    """Are charged their text, and a short reply."""
    assert first_size([limiter], "word" * 10, max_tokens) == size
