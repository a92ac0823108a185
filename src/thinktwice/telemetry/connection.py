"""The HTTP connection of an exporter, which knows how its last request went."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from io import BytesIO
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from weakref import WeakMethod

import requests
from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_OK: Final = range(200, 300)
_A_PAGE: Final = "a web page answers: this is not where it takes OTLP"
_SHORT: Final = 4096  # bytes
_PATIENCE: Final = 1.0
"""Seconds for what a backend says beside the status."""


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
            renew = WeakMethod(self._renew)  # what was set up in vain is not kept
            os.register_at_fork(after_in_child=lambda: (found := renew()) and found())

    def request(self, *given: Any, **options: Any) -> requests.Response:
        """Send, and note how it went."""
        # A POST that follows a redirection becomes a GET, without what was to be sent.
        options["allow_redirects"] = False
        if self.verify is not True:
            # It is OTEL_EXPORTER_OTLP_CERTIFICATE, which REQUESTS_CA_BUNDLE would go over.
            options.setdefault("verify", self.verify)
        try:
            response = super().request(*given, **{**options, "stream": True})
        except Exception as error:
            self.trouble = reason(error)
            raise
        code = response.status_code
        self.trouble = None if code in _OK else f"HTTP {code}"
        said = _take_reply(response)
        kind = str(response.headers.get("Content-Type", "")).lower()
        if self.trouble is None and said and kind.startswith("text/html"):
            self.trouble = _A_PAGE
        return response

    def _renew(self) -> None:
        """In a forked process: two of them must not write to one socket."""
        self._inherited.append(self.adapters)  # closing it may wait for a lock of the parent's
        self.adapters = type(self.adapters)()
        self.mount("https://", HTTPAdapter())
        self.mount("http://", HTTPAdapter())


def _take_reply(response: requests.Response) -> bytes:
    """Read what is said beside the status, if it is short: then the connection can be kept.

    It says nothing that is needed, may have no end, and may come a byte at a time.
    """
    said, until = bytearray(), monotonic() + _PATIENCE
    with closing(response.raw) as reply, suppress(Exception):
        while len(said) < _SHORT and monotonic() < until and (part := reply.read(1)):
            said += part
    response.raw = BytesIO(said)
    return bytes(said)


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
