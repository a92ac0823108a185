"""Whatever is reserved, settled and released in which order, no ledger passes a cap."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from thinktwice.account import Lease, Refusal
from thinktwice.budget import Budget, Need
from thinktwice.entry import Entry
from thinktwice.ledger import Ledger
from thinktwice.sample import Usage

KINDS = ("calls", "tokens", "cost")
budgets = st.builds(
    Budget,
    calls=st.none() | st.integers(1, 12),
    tokens=st.none() | st.integers(1, 300),
    cost=st.none() | st.integers(1, 30),
)
needs = st.builds(
    Need,
    tokens=st.integers(1, 80),
    cost=st.integers(0, 8).map(Decimal),
    kind=st.sampled_from(["sample:m", "verify:m"]),
)


def size(need: Need) -> dict[str, Decimal]:
    """What a need takes of each cap."""
    return {"calls": Decimal(1), "tokens": Decimal(need.tokens or 0), "cost": need.cost or 0}


@dataclass(eq=False)
class Held:
    """What the model knows of a lease."""

    lease: Lease
    where: int
    need: Need
    live: bool = True
    done: bool = False
    abandoned: bool = False
    ident: int | None = None
    spent: dict[str, Decimal] | None = None

    @property
    def takes(self) -> dict[str, Decimal]:
        if self.spent is not None:
            return self.spent
        return dict.fromkeys(KINDS, Decimal(0)) if self.done else size(self.need)


class Ledgers(RuleBasedStateMachine):
    """A tree of ledgers, against a model of what each must hold."""

    @initialize(budget=budgets)
    def open(self, budget: Budget):
        self.ledgers = [Ledger(budget)]
        self.parents: list[int | None] = [None]
        self.leases: list[Held] = []
        self.settled = 0

    @rule(budget=budgets, data=st.data())
    @precondition(lambda self: len(self.ledgers) < 6)
    def nest(self, budget: Budget, data: st.DataObject):
        parent = data.draw(st.integers(0, len(self.ledgers) - 1))
        self.ledgers.append(Ledger(budget, parent=self.ledgers[parent]))
        self.parents.append(parent)

    def chain(self, where: int) -> set[int]:
        around: int | None = where
        found = set()
        while around is not None:
            found.add(around)
            around = self.parents[around]
        return found

    def below(self, where: int) -> list[Held]:
        return [held for held in self.leases if where in self.chain(held.where)]

    def taken(self, where: int, kind: str) -> Decimal:
        return sum((held.takes[kind] for held in self.below(where)), Decimal(0))

    def cap(self, where: int, kind: str) -> Decimal | None:
        cap = getattr(self.ledgers[where].budget, kind)
        return None if cap is None else Decimal(cap)

    def unfinished(self, data: st.DataObject) -> Held | None:
        opened = [held for held in self.leases if not held.done]
        return data.draw(st.sampled_from(opened)) if opened else None

    @rule(asked=st.lists(needs, min_size=1, max_size=3), swap=st.booleans(), data=st.data())
    def reserve(self, asked: list[Need], swap: bool, data: st.DataObject):
        """All or nothing, and exactly when it fits every ledger around."""
        old = self.unfinished(data) if swap else None
        where = old.where if old else data.draw(st.integers(0, len(self.ledgers) - 1))
        fits = all(
            self.taken(each, kind)
            - (size(old.need)[kind] if old else 0)
            + sum(size(need)[kind] for need in asked)
            <= cap
            for each in self.chain(where)
            for kind in KINDS
            if (cap := self.cap(each, kind)) is not None
        )
        got = self.ledgers[where].reserve(*asked, instead=old.lease if old else None)
        assert isinstance(got, Refusal) != fits
        if isinstance(got, Refusal):
            live = any(held.live and not held.done for held in self.leases)
            assert live or not got.may_pass
            return
        if old is not None:
            assert not old.lease.open
            old.done = True
        self.leases += [Held(lease, where, need) for lease, need in zip(got, asked, strict=True)]

    @rule(
        status=st.sampled_from(["ok", "error", "cancelled", "abandoned"]),
        share=st.floats(0, 1),
        known=st.booleans(),
        data=st.data(),
    )
    def settle(self, status: str, share: float, known: bool, data: st.DataObject):
        """A call ends; what nobody counted counts as what it held, as of one that is abandoned."""
        if (held := self.unfinished(data)) is None:
            return
        known = status != "abandoned" and (known or status == "ok")
        used, paid = int(share * held.need.tokens), int(share * int(held.need.cost))
        entry = Entry(
            role="sample",
            status=status,
            usage=Usage(output_tokens=used, source="provider") if known else Usage(),
            cost=Decimal(paid) if known else None,
            sample=self.settled,
        )
        held.ident, self.settled = self.settled, self.settled + 1
        held.done, held.abandoned = True, status == "abandoned"
        first = held.lease.settle(entry)
        assert held.lease.settle(Entry(role="sample", status="ok")) == first
        spent = size(held.need)
        held.spent = {**spent, "tokens": Decimal(used), "cost": Decimal(paid)} if known else spent
        assert first.usage.source == ("provider" if known else first.usage.source)

    @rule(share=st.floats(0, 1), data=st.data())
    def settle_late(self, share: float, data: st.DataObject):
        """An abandoned call ends after all, once; no other entry is touched."""
        if not (ended := [held for held in self.leases if held.done and held.spent]):
            return
        held = data.draw(st.sampled_from(ended))
        used, paid = int(share * held.need.tokens), int(share * int(held.need.cost))
        held.lease.settle_late(
            Entry(
                role="sample",
                status="ok",
                usage=Usage(output_tokens=used, source="provider"),
                cost=Decimal(paid),
                sample=held.ident,
            )
        )
        if held.abandoned:
            held.spent = {"calls": Decimal(1), "tokens": Decimal(used), "cost": Decimal(paid)}
            held.abandoned = False

    @rule(data=st.data())
    def release(self, data: st.DataObject):
        if (held := self.unfinished(data)) is not None:
            held.lease.release()
            held.done = True

    @rule(data=st.data(), live=st.booleans())
    def rest_or_wake(self, data: st.DataObject, live: bool):
        if self.leases:
            held = data.draw(st.sampled_from(self.leases))
            (held.lease.wake if live else held.lease.rest)()
            held.live = live

    @invariant()
    def no_cap_is_passed(self):
        for where in range(len(self.ledgers)):
            for kind in KINDS:
                if (cap := self.cap(where, kind)) is not None:
                    assert self.taken(where, kind) <= cap

    @invariant()
    def what_remains_is_what_no_ledger_around_has_taken(self):
        for where, ledger in enumerate(self.ledgers):
            left = {}
            for each in self.chain(where):
                for kind in KINDS:
                    if (cap := self.cap(each, kind)) is not None:
                        free = cap - self.taken(each, kind)
                        left[kind] = min(left.get(kind, free), free)
            assert ledger.remaining == left
            assert ledger.exhausted is None

    @invariant()
    def a_ledger_records_its_own_calls_and_those_below(self):
        for where, ledger in enumerate(self.ledgers):
            settled = [held for held in self.below(where) if held.ident is not None]
            assert {entry.sample for entry in ledger.entries} == {held.ident for held in settled}
            assert len(ledger.entries) == len(settled)
            assert ledger.total.calls == ledger.reported.calls + ledger.estimated.calls + sum(
                entry.usage.source == "missing" for entry in ledger.entries
            )
            counted = sum((held.takes["tokens"] for held in settled), Decimal(0))
            assert (ledger.total.usage.total_tokens or 0) == counted

    def teardown(self):
        """Once every lease is closed nothing is held."""
        if not hasattr(self, "ledgers"):
            return
        for held in self.leases:
            held.lease.release()
            held.done = True
        self.what_remains_is_what_no_ledger_around_has_taken()


TestLedgers = Ledgers.TestCase
TestLedgers.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


@given(need=st.integers(1, 50), used=st.integers(1, 200), cap=st.integers(50, 100))
def test_an_overrun_closes_the_budget(need: int, used: int, cap: int):
    """A call that comes out above reservation and cap ends it, and says by how much."""
    ledger = Ledger(Budget(tokens=cap))
    (lease,) = ledger.reserve(Need(tokens=need))
    usage = Usage(output_tokens=used, source="provider")
    entry = lease.settle(Entry(role="sample", status="ok", usage=usage))
    assert entry.usage.total_tokens == used
    limit = ledger.exhausted
    assert (limit is None) == (used <= cap)
    if limit is not None:
        assert (limit.kind, limit.allowed, limit.overrun) == ("tokens", cap, used - cap)
        refused = ledger.reserve(Need(tokens=0))
        assert isinstance(refused, Refusal)
        assert not refused.may_pass


@pytest.mark.parametrize("status", ["cancelled", "abandoned", "error"])
def test_what_nobody_counted_is_an_estimate(status: str):
    """Estimates stand apart from what providers report."""
    ledger = Ledger(Budget(tokens=100))
    known, unknown = ledger.reserve(Need(tokens=30), Need(tokens=40))
    usage = Usage(output_tokens=7, source="provider")
    known.settle(Entry(role="sample", status="ok", usage=usage))
    unknown.settle(Entry(role="sample", status=status))
    assert ledger.reported.usage.total_tokens == 7
    assert ledger.estimated.usage.total_tokens == 40
    assert ledger.remaining == {"tokens": 53}
