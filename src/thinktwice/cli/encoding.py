"""Bars and lines where the output has no characters for them."""

from __future__ import annotations

import codecs
from typing import Final

HANDLER: Final = "thinktwice"
"""Name of the handler, as `errors=` of a stream takes it."""
_DRAWN: Final = str.maketrans("█▏▎▍▌▋▊▉├└─│…", "#--===##|`-|~")


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return missing.translate(_DRAWN).encode("ascii", "replace").decode(), error.end


codecs.register_error(HANDLER, _in_ascii)
