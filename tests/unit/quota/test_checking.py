"""The check of a store finds what is wrong with it."""

from __future__ import annotations

import pytest

from thinktwice.quota import Amounts, SqliteStore, check_quota_store


class Forgetful(SqliteStore):
    """Keeps what was released."""

    def release(self, ticket):
        """Do nothing."""


class Generous(SqliteStore):
    """Has no caps."""

    def hold(self, *quota, caps, **more):
        return super().hold(*quota, caps=None, **more)


class Piecemeal(SqliteStore):
    """Holds what fits of several."""

    def hold(self, name, window, holds, **more):
        got = [super(Piecemeal, self).hold(name, window, [each], **more) for each in holds]
        return [ticket for each in got if each for ticket in each] or None


class Final(SqliteStore):
    """Never gives back what it has charged as lost."""

    def settle(self, name, window, ticket, spent):
        late = ticket is not None and self.totals(name, window)[1] == (0, 0, 0)
        super().settle(name, window, None if late else ticket, spent)


class Rounding(SqliteStore):
    """Counts in floats of seven digits."""

    def settle(self, name, window, ticket, spent):
        rounded = Amounts(*(int(float(f"{each:.7g}")) for each in spent))
        super().settle(name, window, ticket, rounded)


class Mixing(SqliteStore):
    """Does not tell windows apart."""

    def totals(self, name, window):
        return super().totals(name, 0)


@pytest.mark.parametrize(
    ("store", "said"),
    [
        (Forgetful, "a release: expected"),
        (Generous, "above a cap on calls"),
        (Piecemeal, "two where one fits"),
        (Final, "a settlement after its time"),
        (Rounding, "a large amount"),
        (Mixing, "another window"),
    ],
)
def test_it_says_what_a_store_does_wrong(store, said):
    """In the words of the protocol."""
    one = store()
    with pytest.raises(AssertionError, match=said):
        check_quota_store(lambda: one)


def test_stores_must_count_together():
    """What `make` opens is one store, as for several processes."""
    with pytest.raises(AssertionError, match="what another process has done"):
        check_quota_store(SqliteStore)
