"""Checking a claim by its words: numbers, names and quotations must stand in the passages.

It proves nothing: a text can have all the words and say something else. It finds what an answer
made up, and numbers that stand in the wrong row, without asking anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from thinktwice.verifiers.grounding.quantities import Quantity, quantities
from thinktwice.verifiers.grounding.sentences import statements
from thinktwice.verifiers.grounding.words import (
    folded,
    is_quoted_in,
    names,
    negated,
    quotations,
    stem,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Status: TypeAlias = Literal["supported", "contradicted", "unknown"]

_ENOUGH: Final = 0.5
"""Share of a claim's words that a place must have which supports it."""
_FEWEST: Final = 2
"""Words of a claim that a longer sentence can contradict; one could be about anything."""
_MOST_CHARACTERS: Final = 2000
_BEFORE: Final = 3
"""Sentences before one that may say what it speaks of."""


@dataclass(frozen=True)
class Place:
    """One sentence or row of a passage.

    Attributes:
        passage: Number of the passage, from 1.
        text: The sentence or row.
        context: What it goes on from: sentences before it; of a row the headings above it.
    """

    passage: int
    text: str
    context: tuple[str, ...] = ()

    @cached_property
    def words(self) -> frozenset[str]:
        """Those that carry meaning, in one form."""
        return frozenset(words(self.text))

    @cached_property
    def reach(self) -> frozenset[str]:
        """Its words and those of its context."""
        return self.words.union(*(words(each) for each in self.context))

    @cached_property
    def quantities(self) -> tuple[Quantity, ...]:
        """Its numbers."""
        return tuple(quantities(self.text))

    @cached_property
    def negated(self) -> bool:
        """It says that something is not so."""
        return negated(self.text)


@dataclass(frozen=True)
class Passage:
    """One passage, cut to its sentences and rows.

    Attributes:
        number: From 1.
        text: All of it.
        places: Its sentences and rows.
    """

    number: int
    text: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Corpus:
    """Passages that a claim may rest on, with what is looked up in them.

    Attributes:
        passages: The passages.
    """

    passages: tuple[Passage, ...]

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Their sentences and rows; of equal ones the first."""
        alike: dict[tuple[str, tuple[str, ...]], Place] = {}
        for place in (place for passage in self.passages for place in passage.places):
            alike.setdefault((place.text, place.context), place)
        return tuple(alike.values())

    @cached_property
    def quantities(self) -> frozenset[Quantity]:
        """All numbers."""
        return frozenset(each for place in self.places for each in place.quantities)

    @cached_property
    def index(self) -> Mapping[str, Sequence[Place]]:
        """The places of each word."""
        index: dict[str, list[Place]] = {}
        for place in self.places:
            for word in place.words:
                index.setdefault(word, []).append(place)
        return index

    @cached_property
    def text(self) -> str:
        """All of it, folded."""
        return "\n".join(folded(passage.text) for passage in self.passages)

    def about(self, words: frozenset[str]) -> Iterable[Place]:
        """The places that have one of the words; all where there are no words."""
        if not words:
            return self.places
        found = (place for word in sorted(words) for place in self.index.get(word, ()))
        return {id(place): place for place in found}.values()


class Finding(NamedTuple):
    """What the words say of a claim.

    Attributes:
        status: Of the claim; None if it has no number, name or quotation to look for.
        place: What supports or contradicts it.
        missing: Its numbers, names and quotations that no passage has.
        made_up: Of these, the numbers and quotations: whatever else is said, these stand nowhere.
    """

    status: Status | None
    place: Place | None = None
    missing: tuple[str, ...] = ()
    made_up: tuple[str, ...] = ()


def read_passage(number: int, text: str) -> Passage:
    """Cut a passage into places."""
    headings: list[str] = []
    before: list[str] = []
    places: list[Place] = []
    for each in statements(text):
        above = headings if each.row else [*headings, *before[-_BEFORE:]]
        places.append(Place(number, each.text, tuple(above)))
        if each.heading:
            headings = [*headings[-1:], each.text]
            before = []
        elif not each.row:
            before.append(each.text)
    return Passage(number, text, tuple(places))


def look_up(claim: str, corpus: Corpus) -> Finding:
    """Look for what a claim names in the passages that it may rest on.

    A sentence of more than 2,000 characters is "unknown": it is no claim that words can decide.
    """
    if len(claim) > _MOST_CHARACTERS:
        return Finding("unknown")
    anchors = _Anchors(tuple(quantities(claim)), tuple(names(claim)), tuple(quotations(claim)))
    if not any(anchors):
        return Finding(None)
    made_up, unnamed = anchors.made_up(corpus), anchors.unnamed(corpus)
    status, place = _compared(claim, anchors, corpus)
    if status == "supported" and (made_up or unnamed):
        status, place = "unknown", None
    return Finding(status, place, (*made_up, *unnamed), made_up)


class _Anchors(NamedTuple):
    """What can be looked for in a claim."""

    numbers: tuple[Quantity, ...]
    names: tuple[str, ...]
    quotations: tuple[str, ...]

    def made_up(self, corpus: Corpus) -> tuple[str, ...]:
        """Numbers and quotations that stand nowhere."""
        numbers = (each.shown for each in self.numbers if not _stated(each, corpus.quantities))
        quoted = (f'"{each}"' for each in self.quotations if not is_quoted_in(each, corpus.text))
        return (*numbers, *quoted)

    def unnamed(self, corpus: Corpus) -> tuple[str, ...]:
        """Names that stand nowhere."""
        return tuple(
            each
            for each in self.names
            if stem(each) not in corpus.index and folded(each) not in corpus.text
        )


def _compared(claim: str, anchors: _Anchors, corpus: Corpus) -> tuple[Status, Place | None]:
    """The place that speaks most of what the claim speaks of decides."""
    said = frozenset(words(claim))
    denied = negated(claim)
    needed = said.intersection(map(stem, anchors.names))
    best: Place | None = None
    other: Place | None = None
    for place in corpus.about(said):
        if place.negated != denied:
            continue
        if _says(place, anchors.numbers, needed, said):
            best = place if _nearer(place, best, said) else best
        elif _says_otherwise(place, anchors.numbers, said):
            other = place if _nearer(place, other, said) else other
    if other is not None and _nearer(other, best, said):
        return "contradicted", other
    if best is None and anchors.quotations and not anchors.numbers:
        return "supported", None
    return ("unknown", None) if best is None else ("supported", best)


def _says(
    place: Place, numbers: Sequence[Quantity], needed: frozenset[str], said: frozenset[str]
) -> bool:
    """It has the numbers, and with its context the names and enough of the words."""
    if not all(_stated(each, place.quantities) for each in numbers):
        return False
    return needed <= place.reach and len(said & place.reach) >= _ENOUGH * len(said)


def _says_otherwise(place: Place, numbers: Sequence[Quantity], said: frozenset[str]) -> bool:
    """It says the same of the same thing, with one number, and that is another one."""
    if len(numbers) != 1 or len(place.quantities) != 1 or not place.words or not said:
        return False
    (number,), (given,) = numbers, place.quantities
    comparable = None in (number.unit, given.unit) or number.unit == given.unit
    alike = place.words <= said or (len(said) >= _FEWEST and said <= place.words)
    return comparable and alike and not number.stated_by(given)


def _nearer(place: Place, than: Place | None, said: frozenset[str]) -> bool:
    """It has more of the words itself."""
    return than is None or len(said & place.words) > len(said & than.words)


def _stated(number: Quantity, given: Iterable[Quantity]) -> bool:
    return any(number.stated_by(each) for each in given)
