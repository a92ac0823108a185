"""A vote on each field of structured answers."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from thinktwice import launch
from thinktwice.answers.documents import opened
from thinktwice.answers.fields import FieldRules, check_paths
from thinktwice.errors import UsageError, is_number
from thinktwice.fields.ballot import FieldBallots
from thinktwice.fields.composition import compose
from thinktwice.fields.standing import Standing
from thinktwice.result import Outcome
from thinktwice.stop import AtMost, Settled, Stop, Void
from thinktwice.strategy import (
    Strategy,
    check_callables,
    check_draws,
    check_inside,
    check_stop,
    nested_calls,
    nested_draws,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from thinktwice.budget import Limit
    from thinktwice.fields.composition import Composition
    from thinktwice.launch import Preference
    from thinktwice.run import Run

P = TypeVar("P")
T = TypeVar("T")

SCATTERED = (
    "the first 4 samples have 4 different answers in a field, so its vote decides little and keeps "
    "the others waiting: give ignore= (such as ignore=('reasoning',)) or tolerance=; result.shares "
    "shows which field"
)
CLOSEST = (
    "the most voted fields make no object that may be returned, so this is the sample that comes "
    "closest to all others"
)
UNSOUND = "no sample passes validate=, so this is the one that comes closest to all others"


@dataclass(frozen=True)
class FieldVote(Strategy):
    """Draw up to n objects and return the most voted value of each field.

    For pydantic models, dataclasses, dicts, JSON texts, and `{"raw", "parsed", "parsing_error"}`;
    what is returned has the type of what the sampler returns. Where the errors of a sample are in
    different fields, the most frequent object is rarely right, or there is none that occurs twice;
    the most frequent values still are. The composed object may be one that no sample has:
    `result.composed` says so, `result.shares` has the share of the votes in each field, and
    `result.agreement` is the least of them.

    Lists are compared by position, among those of equal length; sets by element. A field that is
    missing, None, NaN or an empty text votes for nothing. If the composed object is refused by its
    class or by `validate`, the sample that comes closest to all others is returned.

    Cost: at most n samples, and by default as few as settle all fields: 3 or 4 of 8, 5 or 6 of 16
    where the samples agree.

    Attributes:
        n: Samples at the most.
        stop: When to stop early: when it fires in every field at once, `Settled` and `Certificate`
            at their risk over the number of fields. `AtMost(n)` draws all n.
        prefer: As in `Vote`: calls are started by what the least settled field needs.
        coupled: Fields that vote as one, in groups of paths: `(("street", "city"),)`. A group of
            one path is a part of the object that votes as a whole. True couples everything: then
            it is a `Vote`.
        unordered: Paths of lists that count as sets: `("tags", "items[].labels")`.
        ignore: Paths that are not voted on, such as that of an explanation. What stands there is
            the closest sample's.
        tolerance: By path, how far apart numbers may be that count as one, relative to the larger.
            Their median is returned. With `math.inf` all numbers count as one.
        validate: The check of an object: a class, or a callable that raises or returns False.
        of: The strategy inside: each object is then that of a run of it.

    Raises:
        UsageError: n below 1, a rule that can never fire, what is no path, or another unusable
            parameter.
    """

    n: int
    stop: Stop = field(default=Settled(), kw_only=True)
    prefer: Preference | float = field(default="balanced", kw_only=True)
    coupled: bool | Sequence[Sequence[str]] = field(default=(), kw_only=True)
    unordered: Sequence[str] = field(default=(), kw_only=True)
    ignore: Sequence[str] = field(default=(), kw_only=True)
    tolerance: Mapping[str, float] = field(
        default_factory=dict[str, float], hash=False, kw_only=True
    )
    validate: Callable[..., object] | None = field(default=None, kw_only=True)
    of: Strategy | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check every parameter."""
        check_draws(self.n)
        check_stop(self.stop, self.n, scored=False)
        launch.tau_of(self.prefer)
        check_inside(self.of)
        check_callables(key=None, validate=self.validate)
        if inspect.iscoroutinefunction(self.validate):
            raise UsageError("validate", self.validate, "give a function that is not async")
        _check_tolerance(self.tolerance)
        _ = self._rules

    @cached_property
    def _rules(self) -> FieldRules:
        return FieldRules(coupled=self.coupled, unordered=self.unordered, ignore=self.ignore)

    def key(self, value: object) -> Hashable | None:
        """What two values share that have the same votes: a set of paths and answers."""
        document = opened(value)
        return None if document is None else self._rules.answer(document.content)

    @property
    def draws(self) -> int:
        """Its n, times that of the strategy inside."""
        return nested_draws(self.n, self.of)

    @property
    def calls(self) -> int | None:
        """One a draw."""
        return nested_calls(self.n, self.of)

    async def __call__(self, run: Run[P, T]) -> Outcome[T]:
        """Draw, count by fields, and stop as soon as the rule allows it in all of them."""
        ballots: FieldBallots[T] = FieldBallots(self.n, rules=self._rules, tolerance=self.tolerance)
        tau = launch.tau_of(self.prefer, recallable=run.recallable)
        counted = Standing(self.stop, ballots.tallies)

        def standing() -> Standing:
            return counted.at(run.seconds)

        async with run.draws(
            self.n,
            in_flight=lambda: standing().in_flight(tau),
            until=lambda: standing().fired is not None,
            wakes=self.stop.wakes,
        ) as samples:
            async for sample, _ in samples:
                ballots.add(sample)
                counted = Standing(self.stop, ballots.tallies)
        return self._outcome(run, ballots, standing())

    def _outcome(self, run: Run[P, T], ballots: FieldBallots[T], final: Standing) -> Outcome[T]:
        composition = compose(ballots, sound=self._is_sound)
        fired = final.fired if final.remaining else None
        cut = run.exhausted if final.remaining and (fired is None or run.out_of_time) else None
        self._remark(run, ballots, composition)
        ended = Outcome[T](
            winner=None,
            settled=final.claim(self._void(composition, cut)),
            stopped_by=cut or fired or AtMost(self.n),
            used=len(ballots.counted),
        )
        if composition is None:
            return ended
        return replace(
            ended,
            winner=composition.winner,
            agreement=min(composition.shares.values()),
            composed=composition.composed,
            shares=composition.shares,
        )

    def _remark(
        self, run: Run[P, T], ballots: FieldBallots[T], composition: Composition[T] | None
    ) -> None:
        if composition is None:
            return
        if composition.fallback is not None:
            unsound = composition.fallback == "unsound"
            run.warn(UNSOUND if unsound else CLOSEST, aloud=unsound)
        if ballots.scattered:
            run.warn(SCATTERED, aloud=True)
        for path in ballots.missing(self._paths):
            run.warn(f"no object has anything at {path!r}: check the paths of {self.name}")

    @property
    def _paths(self) -> list[str]:
        groups = () if isinstance(self.coupled, bool) else self.coupled
        coupled = (path for group in groups for path in group)
        return [*coupled, *self.unordered, *self.ignore, *self.tolerance]

    def _is_sound(self, content: object) -> bool:
        """Whether an object passes the check."""
        check: Any = self.validate
        if check is None:
            return True
        try:
            if hasattr(check, "model_validate"):
                check.model_validate(content)
            else:
                by_name = dataclasses.is_dataclass(self.validate)
                return (check(**cast("Any", content)) if by_name else check(content)) is not False
        except Exception:  # noqa: BLE001 - that is how it says no
            return False
        return True

    def _void(self, composition: Composition[T] | None, cut: Limit | None) -> str | None:
        """Why nothing is claimed about the full vote."""
        if composition is not None and composition.fallback is not None:
            return Void.FIELDS
        if self.tolerance:
            return "tolerance="
        if self.prefer == "shortest":
            return Void.FIRST
        return None if cut is None else Void.BUDGET


def _check_tolerance(tolerance: Mapping[str, float]) -> None:
    if not isinstance(tolerance, Mapping):
        raise UsageError("tolerance", tolerance, "give a mapping such as {'total': 0.01}")
    check_paths("tolerance", tuple(tolerance))
    for each in tolerance.values():
        if not is_number(each) or not each >= 0:
            raise UsageError("tolerance", each, "give a share of the number, such as 0.01")
