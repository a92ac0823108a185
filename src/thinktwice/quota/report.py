"""What a file of quotas says, without a change to it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from thinktwice.errors import UsageError
from thinktwice.folders import address_to_read
from thinktwice.quota.file import is_ours
from thinktwice.quota.store import Amounts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal
    from pathlib import Path

    from thinktwice.lease import Sums

_TIMEOUT: Final = 5.0

# Holds whose time is up, and that nobody has looked at since, are charged.
_ALL: Final = """
SELECT name, window, q.cap_calls, q.cap_tokens, q.cap_cost,
    q.calls + COALESCE(SUM(h.lost_calls), 0), q.tokens + COALESCE(SUM(h.lost_tokens), 0),
    q.cost + COALESCE(SUM(h.lost_cost), 0),
    q.held_calls - COALESCE(SUM(h.calls), 0), q.held_tokens - COALESCE(SUM(h.tokens), 0),
    q.held_cost - COALESCE(SUM(h.cost), 0)
FROM quotas AS q LEFT JOIN (SELECT * FROM holds WHERE NOT lost AND expires <= ?1) AS h
    USING (name, window)
GROUP BY name, window ORDER BY window > 0 AND window <= ?1, name, window
"""


@dataclass(frozen=True)
class Use:
    """How much of a quota is used.

    Attributes:
        name: As it is counted, with its period.
        ends: When it starts anew; None for never.
        caps: By kind, of whoever was the last to make a call; None is no cap.
        spent: Calls, tokens, USD.
        held: By calls that have not ended.
    """

    name: str
    ends: datetime | None
    caps: Mapping[str, Decimal | int | None]
    spent: Sums
    held: Sums


def read_uses(path: Path) -> list[Use]:
    """How much of each quota in a file is used: those of now first, by name.

    Args:
        path: Of a `SqliteStore`, which processes may go on counting in.

    Raises:
        UsageError: There is no such file, it is one of something else, or it cannot be read.
    """
    try:
        if path.is_dir():
            raise UsageError("file", str(path), "it is a folder: give the file of a SqliteStore")
        if not path.is_file():
            raise UsageError("file", str(path), "there is no such file: give that of a SqliteStore")
        opened = sqlite3.connect(address_to_read(path), uri=True, timeout=_TIMEOUT)
        with closing(opened) as connection:
            if not is_ours(connection, str(path)):
                return []
            rows = connection.execute(_ALL, (time.time(),)).fetchall()
    except (sqlite3.Error, OSError) as error:
        raise UsageError("file", str(path), f"it cannot be read: {error}") from None
    return [_use(name, window, numbers) for name, window, *numbers in rows]


def _use(name: str, window: int, numbers: list[int]) -> Use:
    calls, tokens, cost = numbers[:3]  # of caps: None where there is none
    return Use(
        name,
        datetime.fromtimestamp(window, UTC) if window else None,
        {"calls": calls, "tokens": tokens, "cost": cost and Amounts(cost=cost).sums().cost},
        Amounts(*numbers[3:6]).sums(),
        Amounts(*numbers[6:]).sums(),
    )
