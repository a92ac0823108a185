"""However the calls of a session are spread over blocks and processes, no cap is passed."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from thinktwice import Budget, BudgetExceeded, Price
from thinktwice.entry import Spent
from thinktwice.sample import Usage
from thinktwice.session import Session
from thinktwice.testing import run_virtual

if TYPE_CHECKING:
    from thinktwice.scope import Scope

PRICES = {"m": Price(input="1000000", output="1000000")}  # a dollar a token
MOST = 4  # tokens of a reply; the prompt is one character

calls = st.lists(st.integers(1, MOST), min_size=1, max_size=6)  # tokens of the reply of each
budgets = st.builds(
    Budget,
    calls=st.none() | st.integers(1, 12),
    tokens=st.none() | st.integers(1, 40),
    cost=st.none() | st.integers(1, 40),
)


async def called(scope: Scope, replies: list[int]) -> None:
    """A block that makes calls, one after another."""
    for tokens in replies:
        booking = await scope.book(model="m", prompt="p", max_tokens=MOST)
        with booking:
            await asyncio.sleep(tokens)
        usage = Usage(input_tokens=1, output_tokens=tokens, source="provider")
        booking.settle(usage=usage)


async def spent_by(session: Session, blocks: list[list[int]], *, at_once: bool) -> None:
    """Run the blocks, as far as the budget goes."""

    async def run(replies: list[int]) -> None:
        try:
            await session.work(lambda scope: called(scope, replies))
        except BudgetExceeded as error:
            ended.append(session.ended(error))

    ended: list[BudgetExceeded | None] = []
    if at_once:
        await asyncio.gather(*map(run, blocks))
    else:
        for replies in blocks:
            await run(replies)
    assert None not in ended


@settings(max_examples=60, deadline=None)
@given(budgets, st.lists(calls, min_size=1, max_size=4), st.booleans())
def test_no_cap_is_passed(budget, blocks, at_once):
    """And what is left is what was not spent."""

    async def work() -> Session:
        session = Session(budget, prices=PRICES)
        await spent_by(session, blocks, at_once=at_once)
        return session

    session = run_virtual(work())
    spent = session.spent
    for kind in ("calls", "tokens", "cost"):
        cap = getattr(budget, kind)
        if cap is not None:
            assert getattr(spent, kind) <= cap
            assert session.ledger.remaining[kind] == cap - getattr(spent, kind)
    if session.cut is None:
        assert spent.calls == sum(map(len, blocks))
    assert spent.cost == spent.tokens


@settings(max_examples=60, deadline=None)
@given(budgets, st.lists(calls, min_size=2, max_size=5), st.data())
def test_a_change_of_process_changes_nothing(budget, blocks, data):
    """What the second half may spend is what it might have spent in one process."""
    at = data.draw(st.integers(1, len(blocks) - 1))

    async def one() -> Spent:
        session = Session(budget, prices=PRICES)
        await spent_by(session, blocks, at_once=False)
        return session.spent

    async def half(part: list[list[int]], before: Spent | None) -> Spent:
        session = Session(budget, prices=PRICES, before=before)
        await spent_by(session, part, at_once=False)
        return session.spent

    kept = run_virtual(half(blocks[:at], None)).as_dict()
    both = run_virtual(half(blocks[at:], Spent.read(json.loads(json.dumps(kept)))))
    assert both == run_virtual(one())


@given(
    st.builds(
        Spent,
        calls=st.integers(0, 10**6),
        input_tokens=st.none() | st.integers(0, 10**9),
        output_tokens=st.none() | st.integers(0, 10**9),
        cost=st.none() | st.decimals(0, 10**6, places=8).map(lambda d: Decimal(str(float(d)))),
        unpriced=st.integers(0, 99),
        seconds=st.integers(0, 10**6).map(float),
    )
)
def test_spent_goes_through_json(spent):
    """Money to the last digit that a float of it shows."""
    assert Spent.read(json.loads(json.dumps(spent.as_dict()))) == spent
