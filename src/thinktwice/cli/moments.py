"""Times as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from thinktwice.errors import UsageError

_AGO: Final = re.compile(r"(\d{1,6})([mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, *, now: datetime | None = None) -> datetime:
    """A moment in the past: as 30m, 24h, 7d or 2w ago, or a date or time in ISO 8601.

    Args:
        text: As typed; without an offset it is in the time zone of this machine.
        now: The present.

    Raises:
        UsageError: It is neither.
    """
    try:
        if ago := _AGO.fullmatch(text.strip()):
            present = now or datetime.now(UTC)
            return present - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        remedy = "give 30m, 24h, 7d or 2w, or a date such as 2026-01-31"
        raise UsageError("since", text, remedy) from None
