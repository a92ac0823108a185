"""The HTTP connection of an exporter, which knows how its last request went."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_OK: Final = range(200, 300)


class Connection(requests.Session):
    """A session of its own for each exporter, and for each process after a fork.

    Attributes:
        place: Host and port of the backend.
        trouble: Why the last request failed: a status or the system's word, and nothing of what was
            sent or answered; None if it was taken.
        used: The exporter sends by it.
    """

    def __init__(self, url: str, *, used: bool = True) -> None:
        """Open nothing yet.

        Args:
            url: Where it goes.
            used: The exporter sends by it, and not by a session that brings credentials.
        """
        super().__init__()
        self.used = used
        self.place = urlsplit(url).netloc.rpartition("@")[2]
        self.trouble: str | None = None
        self._inherited: list[MutableMapping[Any, Any]] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def request(self, *given: Any, **options: Any) -> requests.Response:
        """Send, and note how it went."""
        # A POST that follows a redirection becomes a GET, without what was to be sent.
        options["allow_redirects"] = False
        try:
            response = super().request(*given, **options)
        except Exception as error:
            self.trouble = reason(error)
            raise
        code = response.status_code
        self.trouble = None if code in _OK else f"HTTP {code}"
        return response

    def _renew(self) -> None:
        """In a forked process: two of them must not write to one socket."""
        self._inherited.append(self.adapters)  # closing it may wait for a lock of the parent's
        self.adapters = type(self.adapters)()
        self.mount("https://", HTTPAdapter())
        self.mount("http://", HTTPAdapter())


def reason(error: BaseException) -> str:
    """What the system said, such as "Connection refused"; else the type of the error.

    The text of an error may have a key in it: that of a header, or of a URL.
    """
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and isinstance(inner.errno, int) and inner.strerror:
            return inner.strerror
        inner = inner.__cause__ or inner.__context__
    return type(error).__name__
