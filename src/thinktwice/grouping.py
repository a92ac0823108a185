"""Which answers are the same one."""

from __future__ import annotations

from inspect import unwrap
from typing import TYPE_CHECKING

from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class Grouping:
    """Numbers answers in order of first appearance.

    An answer joins the first group whose first answer it equals. Groups only grow.
    """

    def __init__(self, equivalent: Callable[[Hashable, Hashable], bool] | None = None) -> None:
        """No answers yet.

        Args:
            equivalent: Whether two answers are the same one; by default, when they are equal. It
                is called with the first answer of a group, then with the new one.
        """
        self._equivalent = equivalent
        self._ordinals: dict[Hashable, int] = {}
        self._firsts: list[Hashable] = []

    def place(self, answer: Hashable) -> int:
        """Ordinal of the group of an answer, which may be a new one.

        Raises:
            UsageError: `equivalent` raised.
        """
        same = self._equivalent
        if same is None:
            return self._ordinals.setdefault(answer, len(self._ordinals))
        ordinal = self._matching(answer, same)
        if ordinal == len(self._firsts):
            self._firsts.append(answer)
        return ordinal

    def _matching(self, answer: Hashable, same: Callable[[Hashable, Hashable], bool]) -> int:
        known = (i for i, first in enumerate(self._firsts) if same(first, answer))
        try:
            return next(known, len(self._firsts))
        except Exception as error:
            remedy = f"it raised {type(error).__name__}: return whether two answers are the same"
            raise UsageError("equivalent", unwrap(same), remedy) from error
