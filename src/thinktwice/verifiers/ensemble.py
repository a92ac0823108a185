"""Several verifiers as one score, each weighed by how far it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar, cast

from thinktwice.calibration import logistic
from thinktwice.errors import UsageError, is_number
from thinktwice.sample import Verdict
from thinktwice.verifiers.adapt import as_verifier, verdict_of
from thinktwice.verifiers.all_of import asked, together
from thinktwice.verifiers.ensemble_fit import NOTHING, Weight, fitted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from thinktwice.entry import Role
    from thinktwice.protocols import Verifier
    from thinktwice.sample import Sample
    from thinktwice.verifiers.adapt import Check

T = TypeVar("T")

Judgements: TypeAlias = "Sequence[Verdict | float | Sequence[Verdict | float | None] | None]"
"""What one verifier said of each sample, question by question or in one list."""


@dataclass(frozen=True, init=False, repr=False)
class Ensemble:
    """Adds up what verifiers say, in log-odds of the sample being right.

    Deterministic verifiers outrank the others: where one that is exact, or of the role "tool",
    fails a sample, the verdict is its "fail", whatever a judge says, and the judges are not asked.
    Where an exact one passes it, the verdict is its "pass". Otherwise the verdict is "scored". What
    a verifier does not judge, or where it breaks, is left out of the sum. If all that said anything
    broke, it is an "error".

    After Saad-Falcon et al. 2025, "Weaver", arXiv:2506.18203. Verifiers that resemble each other,
    such as two judges on one model, are counted as if each saw for itself, so that the score is too
    sure of itself: `calibrate` it before you take it for a probability.

    Cost: the model calls of all of them at the most, and none where a tool fails the sample.

    Example:
        ```python
        Ensemble(strict_judge, mild_judge, weights=[2, 1])
        Ensemble.fit(a, b, c, verdicts=[said_by_a, said_by_b, said_by_c], right=labels)
        ```

    Attributes:
        verifiers: Verifiers, or callables of the value.
        weights: What each weighs, 1 by default: a number w is w log-odds up at the score 1, and w
            down at 0.
        prior: The share of samples that is right before anything is said of them.
        name: Shown in verdicts and spans.
        notes: How the weights came about, and what was dropped; of `fit`.

    Raises:
        UsageError: No verifier, what is none, or not one weight for each.
    """

    verifiers: tuple[Verifier[object], ...]
    weights: tuple[Weight, ...]
    prior: float
    name: str
    notes: tuple[str, ...]

    def __init__(
        self,
        *verifiers: Verifier[object] | Check,
        weights: Sequence[float | Weight] | None = None,
        prior: float = 0.5,
        name: str = "ensemble",
        notes: Sequence[str] = (),
    ) -> None:
        if not verifiers:
            raise UsageError("verifiers", verifiers, "give at least one verifier")
        listed: tuple[Verifier[object], ...] = tuple(map(as_verifier, verifiers))
        given = [1.0] * len(listed) if weights is None else list(weights)
        if len(given) != len(listed):
            raise UsageError("weights", given, f"give one for each of {len(listed)} verifiers")
        if not is_number(prior) or not 0 < prior < 1:
            raise UsageError("prior", prior, "give a share between 0 and 1")
        weighed = tuple(w if isinstance(w, Weight) else Weight(w, w) for w in given)
        state = {"verifiers": listed, "weights": weighed, "prior": prior, "name": name}
        for attribute, value in {**state, "notes": tuple(notes)}.items():
            object.__setattr__(self, attribute, value)

    @classmethod
    def fit(
        cls,
        *verifiers: Verifier[object] | Check,
        verdicts: Sequence[Judgements],
        right: Sequence[bool | Sequence[bool]] | None = None,
        name: str = "ensemble",
    ) -> Self:
        """Weigh verifiers by what they said of the same samples.

        From 50 labels on, 10 of each kind, by logistic regression with weights of at least 0.
        Without, by how far they agree: Dawid and Skene's model of verdicts that pass or fail, which
        takes three verifiers that err independently of each other, and are right more often than
        not. One that says the same of almost every sample, or turns out useless, is dropped; a
        deterministic one stays for its failures. `notes` say what was done.

        Args:
            verifiers: Whom to weigh.
            verdicts: For each verifier what it said of each sample, in the same order: verdicts,
                bools, scores or None; also question by question, as `verdicts_of` returns them.
            right: Whether each sample is right, likewise.
            name: Shown in verdicts and spans.

        Raises:
            UsageError: The lists do not fit, or nothing can be learned from them.
        """
        listed: list[Verifier[object]] = list(map(as_verifier, verifiers))
        if len(verdicts) != len(listed):
            raise UsageError("verdicts", len(verdicts), f"give a list for each of {len(listed)}")
        columns = [list(map(_score, _flat(each))) for each in verdicts]
        labels = None if right is None else [bool(each) for each in _flat(right)]
        if len({*map(len, columns), *([] if labels is None else [len(labels)])}) != 1:
            sizes = [len(each) for each in columns]
            raise UsageError("verdicts", sizes, "say something, or None, of the same samples")
        found = fitted(columns, labels, names=[each.name for each in listed])
        kept = [at for at, each in enumerate(listed) if at in found.weights or _is_final(each)]
        return cls(
            *(listed[at] for at in kept),
            weights=[found.weights.get(at, NOTHING) for at in kept],
            prior=found.prior,
            name=name,
            notes=found.notes,
        )

    @property
    def exact(self) -> bool:
        """All of its verifiers are."""
        return all(each.exact for each in self.verifiers)

    @property
    def calls(self) -> int:
        """The model calls of all of its verifiers."""
        return sum(getattr(each, "calls", 0) for each in self.verifiers)

    @property
    def role(self) -> Role:
        """In the ledger: "tool" if all of its verifiers are deterministic."""
        return "tool" if all(map(_is_final, self.verifiers)) else "verify"

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Ask those that are deterministic, then the others, and add up what they say."""
        order = sorted(range(len(self.verifiers)), key=lambda at: not _is_final(self.verifiers[at]))
        final = [at for at in order if _is_final(self.verifiers[at])]
        said = await self._said(final, sample, prompt)
        decided = _decided([(self.verifiers[at], each) for at, each in said.items()])
        if decided is None:
            said |= await self._said(order[len(final) :], sample, prompt)
            decided = self._added(said)
        return replace(decided, verifier=self.name, sample=sample.index)

    async def _said(
        self, places: Sequence[int], sample: Sample[object], prompt: object
    ) -> dict[int, Verdict]:
        verdicts = await asked([self.verifiers[at] for at in places], sample, prompt=prompt)
        return dict(zip(places, verdicts, strict=True))

    def _added(self, said: Mapping[int, Verdict]) -> Verdict:
        """The sum of what is known; a weight of 0 says nothing."""
        known = {at: score for at in said if (score := _score(said[at])) is not None}
        if not known:
            broken = [each for each in said.values() if each.outcome == "error"]
            evidence = tuple(
                f"{each.verifier}: {line}" for each in broken for line in each.evidence
            )
            return Verdict(outcome="error" if broken else "not_applicable", evidence=evidence)
        odds = math.log(self.prior / (1 - self.prior))
        odds += math.fsum(self.weights[at].log_odds(score) for at, score in known.items())
        against = [said[at] for at in sorted(known) if known[at] < 0.5]  # noqa: PLR2004 - a half
        return Verdict(
            outcome="scored",
            score=logistic(odds),
            feedback="\n".join(each.feedback for each in against if each.feedback) or None,
            evidence=tuple(f"{said[at].verifier}: {known[at]:.2f}" for at in sorted(known)),
        )

    def __repr__(self) -> str:
        given = [*map(repr, self.verifiers), f"weights={list(self.weights)!r}"]
        return f"Ensemble({', '.join(given)}, prior={self.prior!r}, name={self.name!r})"


def _is_final(verifier: Verifier[object]) -> bool:
    """It runs something: its failure is a fact, and no opinion."""
    return verifier.exact or getattr(verifier, "role", "verify") == "tool"


def _decided(said: Sequence[tuple[Verifier[object], Verdict]]) -> Verdict | None:
    """What deterministic verifiers settle: a failure of any, or a pass of one that is proof."""
    failed = [verdict for _, verdict in said if verdict.outcome == "fail"]
    if failed:
        return together(failed)
    passed = [v for verifier, v in said if verifier.exact and v.outcome == "pass"]
    return together(passed) if passed else None


def _score(said: Verdict | float | None) -> float | None:
    """A score that counts: none of a check that broke, or had nothing to check."""
    verdict = None if said is None else verdict_of(said)
    if verdict is None or verdict.outcome in {"error", "not_applicable"}:
        return None
    return verdict.score


def _flat(listed: Sequence[T | Sequence[T]]) -> Iterator[T]:
    for each in listed:
        if isinstance(each, Sequence):
            yield from cast("Sequence[T]", each)
        else:
            yield each
