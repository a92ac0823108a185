"""The fields of an object: where each is, and what its vote is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple, TypeGuard

from thinktwice.answers.canonical_json import canonical_json
from thinktwice.answers.documents import SET, Kind, parts_of
from thinktwice.answers.json_path import MISSING
from thinktwice.answers.keys import default_key
from thinktwice.answers.paths import Coupling, Name, check_paths, coupling_of
from thinktwice.errors import TypeOf, UsageError

MOST_FIELDS: Final = 1000
"""An object or list with more fields below it is voted on as a whole."""
DEEPEST: Final = 100
"""Levels below which nothing is read: an object that is deeper, or holds itself, is no answer."""
ABSENT: Final = ("absent",)
"""The vote for nothing: of a field that is missing, None, NaN or an empty text."""


class Together(NamedTuple):
    """Among the parts of an object: coupled fields, which vote as one."""

    number: int


class Element(NamedTuple):
    """Among the parts of a set: one of its elements, the how manyth of equal ones."""

    key: Hashable
    number: int


@dataclass(frozen=True, slots=True)
class Part:
    """A field of one object, or what holds fields.

    Attributes:
        path: Where it is; for an element of a set, where the set is.
        value: What stands there; for coupled fields, what stands at each of their paths.
        vote: What it is counted by: for what has parts, its kind; None if it is not voted on.
        parts: The fields in it.
        size: Number of fields at and below it.
    """

    path: Name
    value: object
    vote: Hashable | None
    parts: Mapping[Hashable, Part] = field(default_factory=dict[Hashable, "Part"])
    size: int = 1

    def leaves(self) -> Iterator[tuple[str, Hashable]]:
        """Path and vote of every field that there is in it."""
        if self.vote is None or self.vote == ABSENT:
            return
        if not self.parts:
            yield self.path.path, self.vote
        for key, part in self.parts.items():
            if isinstance(key, Element):
                yield part.path.path, key
            else:
                yield from part.leaves()


@dataclass(frozen=True, kw_only=True)
class FieldRules:
    """How objects are divided into fields.

    Attributes:
        coupled: Groups of paths that vote as one; True if the whole object does.
        unordered: Paths of lists whose order does not matter.
        ignore: Paths that are not voted on.

    Raises:
        UsageError: What is given is no path, or paths that cannot be coupled.
    """

    coupled: bool | Sequence[Sequence[str]] = ()
    unordered: Sequence[str] = ()
    ignore: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check the paths."""
        for name in ("unordered", "ignore"):
            check_paths(name, getattr(self, name))
        _ = self._couplings

    @cached_property
    def _couplings(self) -> tuple[Coupling, ...]:
        groups = () if isinstance(self.coupled, bool) else self.coupled
        if isinstance(groups, str) or not isinstance(groups, Sequence):
            raise UsageError("coupled", groups, "give groups of paths: (('street', 'city'),)")
        taken = Counter(path for group in groups for path in check_paths("coupled", group))
        if twice := [path for path, times in taken.items() if times > 1]:
            raise UsageError("coupled", twice[0], "couple each path once")
        return tuple(coupling_of(group) for group in groups)

    def read(self, content: object) -> Part | None:
        """Divide an object; None if it says nothing, or is nested too deep.

        Raises:
            UsageError: A value in it cannot be compared.
        """
        try:
            whole = self._read(content, _Place(Name(), frozenset(), 0))
        except _TooDeepError:
            return None
        except UsageError as error:
            reason = error.remedy.partition(":")[0]
            remedy = f"{reason}: give the type an == and a hash, or name the field in ignore="
            raise UsageError("sampler", TypeOf(content), remedy) from error
        return None if whole.vote == ABSENT else whole

    def answer(self, content: object) -> Hashable | None:
        """What two objects share whose fields all have the same votes; None for no object."""
        whole = self.read(content)
        return None if whole is None else frozenset(whole.leaves())

    def _read(self, value: object, place: _Place) -> Part:
        name = place.name
        if place.depth > DEEPEST:
            raise _TooDeepError
        if name.path in place.loose or name.is_in(self.ignore):
            return Part(name, value, None, size=0)
        if self.coupled is True:
            return Part(name, value, _whole(value))
        if self._is_set(value, name):
            parts = _elements(value, name)
            return _limited(Part(name, value, SET, parts, size=len(parts)))
        held = parts_of(value)
        if held is None:
            return Part(name, value, _scalar_vote(value))
        return self._divided(value, place, *held)

    def _is_set(self, value: object, name: Name) -> TypeGuard[Collection[object]]:
        return isinstance(value, set | frozenset) or (
            isinstance(value, list | tuple) and name.is_in(self.unordered)
        )

    def _divided(
        self, value: object, place: _Place, kind: Kind, held: Mapping[Hashable, object]
    ) -> Part:
        """What has parts, and those of them that are voted on."""
        name, loose = place.name, place.loose
        parts: dict[Hashable, Part] = {}
        for number, coupling in enumerate(self._couplings):
            if name.is_in((coupling.pattern,)):
                found = _members(value, name, coupling)
                parts[Together(number)] = _together(found)
                loose |= found.keys()
        size = len(parts)
        for key, each in held.items():
            inside = name.of(key, position=kind.type == "list")
            parts[key] = self._read(each, _Place(inside, loose, place.depth + 1))
            size += parts[key].size
            if size > MOST_FIELDS:
                break
        return _limited(Part(name, value, kind, parts, size=size))


class _Place(NamedTuple):
    """Where something is read: its path, paths that are not voted on alone, and how deep it is."""

    name: Name
    loose: frozenset[str]
    depth: int


class _TooDeepError(Exception):
    """Deeper than anything that is meant to be read."""


def _limited(part: Part) -> Part:
    return part if part.size <= MOST_FIELDS else Part(part.path, part.value, _whole(part.value))


def _whole(value: object) -> Hashable:
    return "json", canonical_json(value)


def _scalar_vote(value: object) -> Hashable:
    key = default_key(value)
    return ABSENT if key is None else key


def _vote(value: object) -> Hashable:
    """The vote for a value that stands alone, whatever it holds."""
    return _scalar_vote(value) if parts_of(value) is None else _whole(value)


def _elements(items: Iterable[object], name: Name) -> dict[Hashable, Part]:
    """The elements of a set; equal ones are told apart by number."""
    seen: Counter[Hashable] = Counter()
    parts: dict[Hashable, Part] = {}
    for item in items:
        key = _vote(item)
        parts[Element(key, seen[key])] = Part(name, item, vote=True)
        seen[key] += 1
    return parts


def _members(value: object, name: Name, coupling: Coupling) -> dict[str, object]:
    """What stands at the paths of coupled fields."""
    found: dict[str, object] = {}
    for keys in coupling.members:
        path, at = name, value
        for key in keys:
            held = parts_of(at)
            at = MISSING if held is None else held[1].get(key, MISSING)
            path = path.of(key, position=isinstance(key, int))
        found[path.path] = at
    return found


def _together(found: Mapping[str, object]) -> Part:
    votes = tuple(ABSENT if at is MISSING else _vote(at) for at in found.values())
    shown = " + ".join(found)
    return Part(Name(shown, shown), found, ABSENT if set(votes) == {ABSENT} else votes)
