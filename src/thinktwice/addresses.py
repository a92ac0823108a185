"""Addresses on the web: what is one, and what of it may be shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def is_address(url: str, *, login: bool = True) -> bool:
    """Whether it is one of http or https, with a host, without spaces.

    Args:
        url: What may be one.
        login: It may have a name and a password; `urllib` would take them for the host.
    """
    try:
        place = urlsplit(url)
        sound = bool(place.hostname) and place.port != 0 and (login or "@" not in place.netloc)
    except ValueError:
        return False
    return sound and place.scheme in ("http", "https") and not re.search(r"\s", url)


def without_secrets(url: str) -> str:
    """It without the password, which may have any sign in it, and without what may be a key."""
    return re.split("[?#]", re.sub(r"(?si)^([a-z]+://)?.*@", r"\1", url))[0]
