"""A share of votes that are drawn in full, to see what stopping early changes.

What a vote that stopped early would have gone on to say is not known; and those that did not stop
are the hard ones. A random share that is drawn in full whatever it answers is free of both.
"""

from __future__ import annotations

import random
from typing import Final

_random: Final = random.Random()
_share = 0.0


def explore(share: float) -> None:
    """Draw a share of the votes from now on in full.

    Args:
        share: In [0, 1].
    """
    global _share  # noqa: PLW0603 - it is of the process, as the store is
    _share = share


def chosen() -> bool:
    """Whether the vote that begins is one of them."""
    return _share > 0 and _random.random() < _share
