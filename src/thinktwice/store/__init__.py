"""Costs without a backend: spans of this machine's runs in a local SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thinktwice.lazy import names_of

if TYPE_CHECKING:
    from thinktwice.store.observing import Observer as Observer
    from thinktwice.store.observing import observe as observe
    from thinktwice.store.place import default_path as default_path

# The command reads a store without what it takes to write one.
__getattr__ = names_of(
    __name__, {"Observer": "observing", "default_path": "place", "observe": "observing"}
)

__all__ = ["Observer", "default_path", "observe"]
