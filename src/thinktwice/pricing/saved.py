"""A list of prices that was fetched, in the place of the bundled one: only where asked for.

`thinktwice prices --update` saves one in the cache folder of the user. Processes whose environment
has THINKTWICE_PRICE_UPDATES=1 look prices up in it. Nothing here uses the network.
"""

from __future__ import annotations

import functools
import json
import os
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from thinktwice.folders import cache_folder
from thinktwice.remarks import tell_safely

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import Provider

VARIABLE: Final = "THINKTWICE_PRICE_UPDATES"
_OFF: Final = frozenset({"", "0", "false", "no", "off"})
_USED_INSTEAD: Final = "so the bundled one is used: run `thinktwice prices --update`"


class _OtherVersionError(ValueError):
    """The file was saved beside another version of the package."""


@dataclass(frozen=True)
class SavedList:
    """A list of prices that was fetched.

    Attributes:
        url: Where from.
        at: When.
        snapshot: What is in it, as the `genai-prices` package has it.
    """

    url: str
    at: datetime
    snapshot: DataSnapshot


def saved_path() -> Path:
    """Where the list is saved; without the file, the bundled one is all that there is."""
    return cache_folder() / "prices.json"


def current_snapshot() -> DataSnapshot:
    """The list that prices are looked up in, as the `genai-prices` package has it."""
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    if snapshot.from_auto_update:  # the application keeps it up to date itself
        return snapshot
    saved = saved_list()
    return snapshot if saved is None else saved.snapshot


@functools.cache
def saved_list() -> SavedList | None:
    """The saved list, where this process is to use it; read once, when it is first needed.

    It is left aside, with a warning, where it cannot be read, and where the package is of another
    version than when it was saved: the list that came with that may be the newer one.
    """
    if os.environ.get(VARIABLE, "").lower() in _OFF:
        return None
    try:
        return read_saved(saved_path())
    except FileNotFoundError:
        tell_safely(f"{VARIABLE} is set and no price list was saved, {_USED_INSTEAD}")
    except _OtherVersionError:
        tell_safely(
            f"the saved price list was fetched for another version of genai-prices, {_USED_INSTEAD}"
        )
    except (OSError, ValueError, KeyError, TypeError):
        tell_safely(f"the saved price list, {saved_path()}, cannot be read, {_USED_INSTEAD}")
    return None


def read_saved(path: Path) -> SavedList:
    """Read a saved list.

    Raises:
        OSError: It cannot be read.
        KeyError: It is something else.
        TypeError: So it is.
        ValueError: So it is, or was saved beside another version of the package.
    """
    from genai_prices.data_snapshot import DataSnapshot

    content = json.loads(path.read_bytes())
    if content["package"] != installed_version():
        raise _OtherVersionError
    snapshot = DataSnapshot(providers=parsed(content["providers"]), from_auto_update=False)
    return SavedList(str(content["url"]), datetime.fromisoformat(content["at"]), snapshot)


def parsed(raw: object) -> list[Provider]:
    """The providers of a list as it is published.

    Raises:
        ValueError: It is something else.
    """
    from genai_prices.types import _providers_from_raw as parse  # pyright: ignore[reportPrivateUsage]

    return list(parse(raw))


def installed_version() -> str:
    """The version of the package that the list is read by; empty if it has none."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("genai-prices")
    except PackageNotFoundError:  # vendored
        return ""


def newest(providers: Iterable[Provider], today: date) -> date | None:
    """Date of the latest change of a list that is in force: the list is not older than that."""
    models = (model for each in providers for model in each.models)
    parts = (part for model in models if isinstance(model.prices, list) for part in model.prices)
    days = (getattr(part.constraint, "start_date", None) for part in parts)
    return max((day for day in days if isinstance(day, date) and day <= today), default=None)
