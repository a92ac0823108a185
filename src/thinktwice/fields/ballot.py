"""Counting objects field by field: a ballot for each field of each shape they have."""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from thinktwice.answers.documents import Kind, opened
from thinktwice.answers.fields import ABSENT, Name
from thinktwice.ballot import Ballot

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from thinktwice.answers.fields import FieldRules, Part
    from thinktwice.answers.numbers import Number
    from thinktwice.sample import Sample
    from thinktwice.stop.tally import Tally

T = TypeVar("T")

NUMBERS: Final = (int, Decimal, Fraction)
"""Types of the votes of numbers."""


class Field(Generic[T]):
    """A ballot on one field.

    The samples vote in it whose object has what holds the field, in the same shape: an address's
    city is voted on by those that have an address. One that lacks the field votes for its absence.

    Attributes:
        path: Where the field is.
        ballot: Its votes.
        holder: The field that holds it; None for the whole object.
        kind: The kind of what holds it.
        fields: The fields that it holds itself, by kind and key.
    """

    def __init__(
        self,
        path: Name,
        ballot: Ballot[T],
        *,
        holder: Field[T] | None = None,
        kind: Hashable = None,
    ) -> None:
        """Open it."""
        self.path = path
        self.ballot = ballot
        self.holder = holder
        self.kind = kind
        self.fields: dict[tuple[Hashable, Hashable], Field[T]] = {}

    def vote_in(self, parts: Mapping[Field[T], Part]) -> Hashable | None:
        """The vote of an object, by its parts; None if it has none here."""
        part = parts.get(self)
        if part is not None:
            return part.vote
        above = None if self.holder is None else parts.get(self.holder)
        return ABSENT if above is not None and above.vote == self.kind else None

    def count(self, sample: Sample[T], parts: Mapping[Field[T], Part]) -> None:
        """Count the vote of a sample."""
        self.ballot.add(replace(sample, answer=self.vote_in(parts)))

    def held(self, kind: Hashable) -> Sequence[Field[T]]:
        """The fields that it holds where it is of this kind."""
        return [field for (of, _), field in self.fields.items() if of == kind]

    @property
    def contested(self) -> bool:
        """Whether there is anything to vote on: not, where it only holds fields in every object."""
        return not self.fields or len(self.ballot.tally().counts) > 1


class FieldBallots(Generic[T]):
    """Counts objects by their fields; fields that turn up late are counted from the first sample.

    Attributes:
        counted: The samples counted, with what their objects have in each field.
    """

    def __init__(
        self, n: int, *, rules: FieldRules, tolerance: Mapping[str, float] | None = None
    ) -> None:
        """Open the ballots.

        Args:
            n: Cap on the draws.
            rules: How objects are divided into fields.
            tolerance: By path, how far apart numbers may be that count as one, relative to the
                larger one.
        """
        self.n = n
        self.rules = rules
        self.counted: list[tuple[Sample[T], Mapping[Field[T], Part]]] = []
        self._tolerance = tolerance or {}
        self._whole: Field[T] = Field(Name(), self._ballot(Name()))
        self._all = [self._whole]
        self._live: Sequence[Field[T]] = self._all

    def add(self, sample: Sample[T]) -> None:
        """Count a finished draw; one that failed or has no object abstains everywhere."""
        parts: dict[Field[T], Part] = {}
        whole = self._read(sample)
        if whole is not None:
            self._place(self._whole, whole, parts)
        for field in self._all:
            field.count(sample, parts)
        self.counted.append((sample, parts))
        self._live = self._reached()

    @property
    def live(self) -> Sequence[Field[T]]:
        """The fields of the object that wins as things stand, and those that hold them."""
        return self._live

    @property
    def tallies(self) -> Mapping[Tally, int]:
        """The different counts, and how many fields have them; 0 for what only holds fields."""
        sizes: Counter[Tally] = Counter()
        for field in self._live:
            sizes[field.ballot.tally()] += field.contested
        return sizes

    @property
    def scattered(self) -> bool:
        """Whether the first votes in some field are all different."""
        return any(_differ(field.ballot.tally().history) for field in self._live)

    def missing(self, paths: Iterable[str]) -> list[str]:
        """Those of the paths at which no object has anything."""
        seen = {name for _, parts in self.counted for name in _names(parts.get(self._whole))}
        return [path for path in paths if path not in seen]

    def parts_of(self, content: object) -> Mapping[Field[T], Part]:
        """What another object has in the fields that are known; it is not counted."""
        whole = self.rules.read(content)
        parts: dict[Field[T], Part] = {}
        if whole is not None:
            self._place(self._whole, whole, parts, known=True)
        return parts

    def _read(self, sample: Sample[T]) -> Part | None:
        if sample.answer is None or sample.error is not None:
            return None
        document = opened(sample.value)
        return None if document is None else self.rules.read(document.content)

    def _place(
        self, field: Field[T], part: Part, parts: dict[Field[T], Part], *, known: bool = False
    ) -> None:
        parts[field] = part
        for key, each in part.parts.items():
            inner = field.fields.get((part.vote, key))
            if each.vote is None or (inner is None and known):
                continue
            self._place(inner or self._open(field, part, key), each, parts, known=known)

    def _open(self, holder: Field[T], part: Part, key: Hashable) -> Field[T]:
        path = part.parts[key].path
        field = Field(
            path,
            self._ballot(path),
            holder=holder,
            kind=part.vote,
        )
        holder.fields[part.vote, key] = field
        for sample, parts in self.counted:
            field.count(sample, parts)
        self._all.append(field)
        return field

    def _ballot(self, path: Name) -> Ballot[T]:
        found = (self._tolerance[each] for each in path if each in self._tolerance)
        tolerance = next(found, None)
        return Ballot(self.n, equivalent=None if tolerance is None else _within(tolerance))

    def _reached(self) -> Sequence[Field[T]]:
        reached = [self._whole]
        for field in reached:  # which grows meanwhile
            winner = field.ballot.winner() if field.fields else None
            if winner is not None and isinstance(winner.answer, Kind):
                reached.extend(field.held(winner.answer))
        return reached


_ENOUGH = 4


def _differ(history: Sequence[int]) -> bool:
    first = [ordinal for ordinal in history if ordinal >= 0][:_ENOUGH]
    return len(set(first)) == _ENOUGH


def _names(part: Part | None) -> Iterator[str]:
    if part is not None:
        yield from part.path
        for each in part.parts.values():
            yield from _names(each)


def _within(tolerance: float) -> Callable[[Hashable, Hashable], bool]:
    def same(one: Hashable, other: Hashable) -> bool:
        if isinstance(one, NUMBERS) and isinstance(other, NUMBERS):
            return math.isclose(size(one), size(other), rel_tol=tolerance)
        return one == other

    return same


def size(number: Number) -> float:
    """A number to compare with others of any type."""
    try:
        return float(number)
    except OverflowError:
        return sys.float_info.max if number > 0 else -sys.float_info.max
