"""A share of votes that are drawn in full, to see what stopping early changes.

What a vote that stopped early would have gone on to say is not known; and those that did not stop
are the hard ones. A random share that is drawn in full whatever it answers is free of both.
"""

from __future__ import annotations

import random
from contextvars import ContextVar
from typing import Final

EXPLORED: Final = (
    "all samples were drawn, whatever they answered, to see what stopping early changes: "
    "observe(explore=) has a share of the votes do so"
)

_random: Final = random.SystemRandom()  # workers that were forked do not choose alike
_share = 0.0
_never: Final = ContextVar("thinktwice_never_explores", default=False)


def explore(share: float) -> None:
    """Draw a share of the votes from now on in full.

    Args:
        share: In [0, 1].
    """
    global _share  # noqa: PLW0603 - it is of the process, as the store is
    _share = share


def never() -> None:
    """Choose no vote that begins in the current context."""
    _never.set(True)


def chosen() -> bool | None:
    """Whether the vote that begins is one of them; None where it had no chance to be."""
    if not _share or _never.get():
        return None
    return _random.random() < _share
