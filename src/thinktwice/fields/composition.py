"""The object that the fields' winners make up, and the sample that comes closest to it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import median_low
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, cast

from thinktwice.answers.documents import Kind, opened, rebuilt
from thinktwice.answers.fields import Together
from thinktwice.answers.json_path import MISSING
from thinktwice.ballot import heaviest
from thinktwice.fields.ballot import NUMBERS, size

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from thinktwice.answers.fields import Part
    from thinktwice.ballot import Group
    from thinktwice.fields.ballot import Field, FieldBallots
    from thinktwice.sample import Sample

T = TypeVar("T")

Fallback = Literal["closest", "unsound"]


@dataclass(frozen=True, kw_only=True)
class Composition(Generic[T]):
    """What a vote on fields returns.

    Attributes:
        winner: A sample; if the object was composed, the closest one with the object in its place.
        composed: No sample has this object.
        fallback: Why it is not what the fields' winners make up: that object must not be returned,
            so it is the "closest" sample; or no sample passes the check either ("unsound").
        shares: By path, the share of the votes that its answer got.
    """

    winner: Sample[T]
    composed: bool
    fallback: Fallback | None = None
    shares: Mapping[str, float]


def compose(ballots: FieldBallots[T], *, sound: Callable[[object], bool]) -> Composition[T] | None:
    """Put the winners of the fields together.

    If a sample has all of them it is returned. If its own class or the check refuses the composed
    object, or it is not what was voted for when it is read again, the medoid is returned: of the
    samples that pass the check, the one whose fields agree most with the others', by the mean over
    the fields of the share of its answer. Ties go to the shorter text, then to the sample that was
    launched first.

    Args:
        ballots: The counts.
        sound: The check of an object.

    Returns:
        None if no sample has an object.
    """
    composer = _Composer(ballots)
    if not composer.sheets:
        return None
    ranked = composer.ranked()
    same = composer.matching()
    made = composer.composed(ranked[0], sound) if same is None else None
    if made is not None:
        return made
    if same is not None and sound(_content(same)):
        return composer.sampled(same)
    best = next((sample for sample in ranked if sound(_content(sample))), None)
    fallback = "closest" if best is not None else "unsound"
    return composer.sampled(best or ranked[0], fallback=fallback)


def _content(sample: Sample[T]) -> object:
    document = opened(sample.value)
    return None if document is None else document.content


class _Composer(Generic[T]):
    """The winners of all fields that count."""

    def __init__(self, ballots: FieldBallots[T]) -> None:
        usable = [each for each in ballots.counted if each[1]]
        self.sheets = {
            sample.index: (sample, parts)
            for sample, parts in sorted(usable, key=lambda each: each[0].index)
        }
        self._ballots = ballots
        groups = {field: field.ballot.groups for field in ballots.live}
        self._chosen = {
            field: _chosen(best)
            for field, each in groups.items()
            if (best := heaviest(each)) is not None
        }
        self._shares = {field: _shares(each) for field, each in groups.items() if field.contested}
        self._votes = {
            field: field.vote_in(self.sheets[index][1]) for field, index in self._chosen.items()
        }

    # ---- the samples ----------------------------------------------------------------------------

    def matching(self) -> Sample[T] | None:
        """The first sample that has the winner in every field."""
        found = (sample for sample, parts in self.sheets.values() if self._wins(parts))
        return next(found, None)

    def _wins(self, parts: Mapping[Field[T], Part]) -> bool:
        return all(field.vote_in(parts) == vote for field, vote in self._votes.items())

    def ranked(self) -> list[Sample[T]]:
        """The samples, the one that agrees most with the others first."""

        def rank(sample: Sample[T]) -> tuple[float, float, int]:
            agreed = math.fsum(share.get(sample.index, 0.0) for share in self._shares.values())
            length = math.inf if sample.text is None else len(sample.text)
            return -agreed, length, sample.index

        return sorted((sample for sample, _ in self.sheets.values()), key=rank)

    def sampled(self, sample: Sample[T], *, fallback: Fallback | None = None) -> Composition[T]:
        """A sample as it is."""
        agreed = {field: share.get(sample.index, 0.0) for field, share in self._shares.items()}
        return Composition(
            winner=sample, composed=False, fallback=fallback, shares=_by_path(agreed)
        )

    # ---- the composed object --------------------------------------------------------------------

    def composed(self, medoid: Sample[T], sound: Callable[[object], bool]) -> Composition[T] | None:
        """The winners' object in the place of that of a sample; None if it must not be returned."""
        document = opened(medoid.value)
        whole = self._ballots.live[0]
        try:
            content = self._value(whole, self.sheets[medoid.index][1], {})
            value = None if document is None else document.holding(content)
        except Exception:  # noqa: BLE001 - its own class refuses the object
            return None
        if not self._wins(self._ballots.parts_of(content)) or not sound(content):
            return None
        winner = replace(
            medoid,
            value=cast("T", value),
            answer=self._ballots.rules.answer(content),
            text=value if isinstance(value, str) else None,
            logprobs=None,
            top_logprobs=None,
        )
        agreed = {field: share[self._chosen[field]] for field, share in self._shares.items()}
        return Composition(winner=winner, composed=True, shares=_by_path(agreed))

    def _value(
        self, field: Field[T], closest: Mapping[Field[T], Part], coupled: dict[str, object]
    ) -> object:
        """What the winners put at a field; `MISSING` if that is nothing."""
        part = self.sheets[self._chosen[field]][1].get(field)
        if part is None:
            return MISSING
        if not isinstance(part.vote, Kind):
            return part.value
        inner = {key: each for (kind, key), each in field.fields.items() if kind == part.vote}
        for key, each in inner.items():
            if isinstance(key, Together):
                together = self.sheets[self._chosen[each]][1][each]
                coupled.update(cast("Mapping[str, object]", together.value))
        built: dict[Hashable, object] = {}
        for key, seen in self._keys(field, part, closest).items():
            if key in inner:
                value = self._value(inner[key], closest, coupled)
            else:
                value = coupled.get(seen.path.path, seen.value)
            if value is not MISSING:
                built[key] = value
        return rebuilt(part.value, built)

    def _keys(
        self, field: Field[T], part: Part, closest: Mapping[Field[T], Part]
    ) -> Mapping[Hashable, Part]:
        """What there is in the objects of the winning kind, in the order of the winner's.

        What is not voted on is that of the closest sample, if it has any.
        """
        found = dict(part.parts)
        for _, parts in self.sheets.values():
            other = parts.get(field)
            if other is not None and other.vote == part.vote:
                for key, each in other.parts.items():
                    found.setdefault(key, each)
        nearest = closest.get(field)
        if nearest is not None and nearest.vote == part.vote:
            found |= nearest.parts
        return {key: each for key, each in found.items() if not isinstance(key, Together)}


def _chosen(group: Group[T]) -> int:
    """The sample whose value stands for the winning answer.

    The first one; where numbers were counted together, the first with their (lower) median.
    """
    numbers = [
        (size(sample.answer), sample.index)
        for sample in group.samples
        if isinstance(sample.answer, NUMBERS)
    ]
    if len({number for number, _ in numbers}) <= 1:
        return group.representative.index
    middle = median_low([number for number, _ in numbers])
    return min(index for number, index in numbers if number == middle)


def _shares(groups: Sequence[Group[T]]) -> Mapping[int, float]:
    """By sample, the share of the votes that its answer got."""
    total = math.fsum(group.weight for group in groups)
    return {sample.index: group.weight / total for group in groups for sample in group.samples}


def _by_path(agreed: Mapping[Field[T], float]) -> Mapping[str, float]:
    """For a set, the share of the element that is least agreed on."""
    shares: dict[str, float] = {}
    for field, share in agreed.items():
        path = field.path.path
        shares[path] = min(share, shares.get(path, 1.0))
    return shares
