"""Fetching the list prices of today: one request, when it is asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Final
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from thinktwice.addresses import is_address, without_secrets
from thinktwice.errors import UsageError
from thinktwice.folders import replace_text
from thinktwice.pricing.saved import (
    installed_version,
    newest,
    parsed,
    read_saved,
    saved_list,
    saved_path,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from genai_prices.types import ModelInfo, Provider

_SECONDS: Final = 30
_MOST_BYTES: Final = 100_000_000
_LEAST: Final = 0.8
"""Share of the models in use that a list must have: one with fewer was cut short on its way."""
_NO_ADDRESS: Final = "give an address that begins with https://, without a password"
_NO_LIST: Final = "what is there is no list of genai-prices; the list in use stays as it is"


@dataclass(frozen=True)
class Change:
    """The price of one model in two lists.

    Attributes:
        model: Its name, as "provider/model".
        before: What it costs in the list that was in use; the standard price of today.
        after: What it costs in the new one. The same where another tier or time changed.
    """

    model: str
    before: str
    after: str


@dataclass(frozen=True)
class Update:
    """What an update has brought.

    Attributes:
        url: Where from, without a password or what may be a key.
        at: When.
        path: Where it is saved.
        models: How many it has.
        newest: Date of the latest change in it that is in force.
        changed: Models of another price.
        added: Models that the list had not.
        gone: Models that it has no more.
    """

    url: str
    at: datetime
    path: Path
    models: int = 0
    newest: date | None = None
    changed: tuple[Change, ...] = ()
    added: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


def update_prices(url: str | None = None) -> Update:
    """Fetch the list prices of today and save them: one request.

    What is in use is never replaced by what is older, or lacks a part: then nothing is saved.

    Args:
        url: Where from; by default the list of the `genai-prices` project, on GitHub.

    Raises:
        UsageError: The package is not installed, nobody answers there, or what does is no list of
            prices or an older one.
    """
    url = _default_url() if url is None else url
    raw = _fetch(url)
    try:
        providers = parsed(raw)
    except (ValueError, TypeError, KeyError):
        raise UsageError("update", without_secrets(url), _NO_LIST) from None
    at, path = datetime.now(UTC).replace(microsecond=0), saved_path()
    shown = without_secrets(url)
    update = _compare(_in_use(path), providers, Update(shown, at, path))
    _write(
        path, {"url": shown, "at": at.isoformat(), "package": installed_version(), "providers": raw}
    )
    saved_list.cache_clear()
    return update


def _compare(before: Iterable[Provider], after: Iterable[Provider], update: Update) -> Update:
    """What the new list changes.

    Raises:
        UsageError: It is older, or a part of it is missing.
    """
    before, after = list(before), list(after)
    old, new = _models(before), _models(after)
    was, now = (newest(each, update.at.date()) for each in (before, after))
    if was is not None and (now is None or now < was):
        remedy = f"it is older than the list in use: the latest change in it is of {now}, not {was}"
        raise UsageError("update", update.url, f"{remedy}; nothing was saved")
    if len(new) < _LEAST * len(old):
        remedy = f"it has {len(new)} models where the list in use has {len(old)}; nothing was saved"
        raise UsageError("update", update.url, remedy)
    changed = [
        Change(name, _shown(old[name], update.at), _shown(new[name], update.at))
        for name in old.keys() & new.keys()
        if _costs(old[name]) != _costs(new[name])
    ]
    return replace(
        update,
        models=len(new),
        newest=now,
        changed=tuple(sorted(changed, key=lambda each: each.model)),
        added=tuple(sorted(new.keys() - old.keys())),
        gone=tuple(sorted(old.keys() - new.keys())),
    )


def _models(providers: Iterable[Provider]) -> Mapping[str, ModelInfo]:
    return {f"{each.id}/{model.id}": model for each in providers for model in each.models}


def _costs(model: ModelInfo) -> tuple[object, object]:
    return model.prices, getattr(model, "price_variants", None)


def _shown(model: ModelInfo, at: datetime) -> str:
    return str(model.get_prices(at))


def _in_use(path: Path) -> Iterable[Provider]:
    """Of what is saved, if it can be used, else of what is bundled."""
    from genai_prices.data_snapshot import get_snapshot

    try:
        return read_saved(path).snapshot.providers
    except (OSError, ValueError, KeyError, TypeError):
        return get_snapshot().providers


def _default_url() -> str:
    try:
        from genai_prices import UpdatePrices
    except ImportError:
        remedy = "run `pip install thinktwice[prices]` first"
        raise UsageError("update", None, remedy) from None
    return UpdatePrices().url


def _fetch(url: str) -> object:
    if not is_address(url, login=False):
        raise UsageError("update", without_secrets(url), _NO_ADDRESS)
    try:
        with urlopen(url, timeout=_SECONDS) as reply:  # noqa: S310 - http or https, see above
            return json.loads(reply.read(_MOST_BYTES))
    except HTTPError as error:
        error.close()
        raise _unanswered(url, f"it answers {error.code}") from None
    except (URLError, TimeoutError, ConnectionError, HTTPException):
        raise _unanswered(url, "it does not answer") from None
    except ValueError:
        raise UsageError("update", without_secrets(url), _NO_LIST) from None


def _unanswered(url: str, reason: str) -> UsageError:
    return UsageError("update", without_secrets(url), f"{reason}; the list in use stays as it is")


def _write(path: Path, content: Mapping[str, object]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, json.dumps(content))
    except OSError as error:
        raise UsageError("update", str(path), f"it cannot be written ({error.strerror})") from None
