"""Sums over the requests of a store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.e2e.traffic import LAST, month
from thinktwice.store.costs import By, read_costs

NOBODY_YET = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A month of three strategies and three models, one of which has no price."""
    path = tmp_path_factory.mktemp("costs") / "spans.db"
    month(path, 200)
    return path


@pytest.mark.parametrize("since", [None, LAST - timedelta(days=9)])
@pytest.mark.parametrize("by", By)
def test_groups_add_up(path, since, by):
    """To the total, which is the same however they are grouped, and since when."""
    found = read_costs(path, since=since, by=[by])
    groups, total = found.by[by], found.total
    for name in ("calls", "input", "output", "cost", "unpriced", "estimated"):
        assert sum(getattr(each, name) for each in groups) == getattr(total, name)
    requests = sum(each.requests for each in groups)
    assert requests > total.requests if by in {By.MODEL, By.ROLE} else requests == total.requests
    for name in ("launched", "wasted", "wasted_cost", "saved", "saved_cost"):
        drawn = [getattr(each.draws, name) for each in groups if each.draws is not None]
        assert sum(drawn) == (getattr(total.draws, name) if drawn else 0)


def test_what_began_before_is_left_out(path):
    """Of the total, of all groups, and of the dearest."""
    since = LAST - timedelta(days=9)
    whole, part = read_costs(path), read_costs(path, since=since, dearest=1000)
    assert 0 < part.total.requests < whole.total.requests == 200
    assert 0 < part.total.cost < whole.total.cost
    assert part.first >= since
    assert len(part.dearest) == part.total.requests
    assert sum(each.cost for each in part.dearest) == part.total.cost
    assert {each.name for each in part.by[By.DAY]} < {each.name for each in whole.by[By.DAY]}


def test_nothing_since_then(path):
    """Zeros, and no moment made up."""
    found = read_costs(path, since=NOBODY_YET)
    assert (found.first, found.last, found.unfinished) == (None, None, 0)
    assert (found.total.requests, found.total.cost, found.total.draws) == (0, Decimal(0), None)
    assert not any(found.by.values())
    assert found.dearest == ()
