"""What each way to choose among n samples would get right, on samples that were labelled.

The best score, the first that passes and an oracle are exact expectations over all subsets of a
question's samples. What adds up over equal answers is averaged over seeded orders.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from thinktwice.ballot import rank_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

LONGEST: Final = math.inf
"""Length of a sample whose text is not known."""


RULES: Final = ("best score", "first pass", "weighted", "rank weights", "vote", "oracle")
"""The ways to choose."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A labelled sample.

    Attributes:
        answer: What votes are counted by; None abstains, and is never chosen.
        right: Whether it is.
        score: The verdict's; None without one.
        passed: It is at or above the threshold; None without a score.
        length: Of its text, which decides between groups that weigh the same.
    """

    answer: Hashable | None
    right: bool
    score: float | None
    passed: bool | None = None
    length: float = LONGEST


def expected(
    candidates: Sequence[Candidate], ns: Sequence[int], *, orders: int, seed: int
) -> dict[str, list[float]]:
    """The chance of a right answer to one question, by rule and number of samples.

    Args:
        candidates: The samples of the question; at least as many as the largest n.
        ns: Numbers of samples, rising.
        orders: Random orders for the rules that count answers.
        seed: Of the orders.
    """
    by_level = {
        "best score": _by_level(candidates, ns, lambda each: each.score),
        "first pass": _by_level(candidates, ns, _capped),
        "oracle": _by_level(candidates, ns, lambda each: float(each.right)),
    }
    return by_level | _by_groups(candidates, ns, orders=orders, seed=seed)


def _capped(candidate: Candidate) -> float | None:
    """All that pass are alike: the first of them is returned, and without one the best score."""
    return math.inf if candidate.passed else candidate.score


def _by_level(
    candidates: Sequence[Candidate],
    ns: Sequence[int],
    level: Callable[[Candidate], float | None],
) -> list[float]:
    """Choose the highest level, among equals the first drawn; what has none stands below all."""
    sizes: dict[float, list[int]] = {}
    for each in candidates:
        if each.answer is not None:
            height = level(each)
            pair = sizes.setdefault(-math.inf if height is None else height, [0, 0])
            pair[0] += 1
            pair[1] += each.right
    total = len(candidates)
    chances = [0.0] * len(ns)
    above = 0
    for height in sorted(sizes, reverse=True):
        size, right = sizes[height]
        for place, n in enumerate(ns):
            reached = _none_of(above, total, n) - _none_of(above + size, total, n)
            chances[place] += reached * right / size
        above += size
    return chances


def _none_of(some: int, total: int, n: int) -> float:
    """The chance that n of all, drawn without replacement, are none of some."""
    return math.comb(total - some, n) / math.comb(total, n)


def _by_groups(
    candidates: Sequence[Candidate], ns: Sequence[int], *, orders: int, seed: int
) -> dict[str, list[float]]:
    rng = random.Random(seed)
    blind = [replace(each, score=None) for each in candidates]
    right = {rule: [0] * len(ns) for rule in _WEIGHING}
    for _ in range(orders):
        drawn = rng.sample(range(len(candidates)), ns[-1])
        for place, n in enumerate(ns):
            voting = [at for at in drawn[:n] if candidates[at].answer is not None]
            for rule, weigh in _WEIGHING.items() if voting else ():
                seen = blind if rule == "vote" else candidates
                samples = [seen[at] for at in voting]
                right[rule][place] += chosen(samples, weigh(samples)).right
    return {rule: [count / orders for count in counts] for rule, counts in right.items()}


def chosen(voting: Sequence[Candidate], weights: Sequence[float]) -> Candidate:
    """The best-scored member of the heaviest answer, as `BestOfN` chooses it.

    Args:
        voting: Samples with an answer, in the order in which they were launched.
        weights: Of each.
    """
    if not any(weights):  # all fail alike: the vote decides
        weights = [1.0] * len(voting)
    groups: dict[Hashable, list[int]] = {}
    for place, each in enumerate(voting):
        groups.setdefault(each.answer, []).append(place)
    # fsum does not depend on the order of arrival, which must not decide a tie.
    sums = [(math.fsum([weights[at] for at in group]), group) for group in groups.values()]
    most = max(weight for weight, _ in sums)
    best = max((group for weight, group in sums if weight == most), key=partial(_rank, voting))
    return voting[max(best, key=lambda at: (_or_least(voting[at].score), -at))]


def _rank(voting: Sequence[Candidate], group: Sequence[int]) -> tuple[float, float, int]:
    """Among groups of the same weight: by mean score, then brevity, then launch order."""
    known = [score for at in group if (score := voting[at].score) is not None]
    score = math.fsum(known) / len(known) if known else -math.inf
    return score, -voting[group[0]].length, -group[0]


def _or_least(score: float | None) -> float:
    return -math.inf if score is None else score


def _scores(voting: Iterable[Candidate]) -> list[float | None]:
    return [each.score for each in voting]


def _by_score(voting: Sequence[Candidate]) -> list[float]:
    """One without a score gets the mean: nothing is known of it."""
    known = [each for each in _scores(voting) if each is not None]
    neutral = math.fsum(known) / len(known) if known else 1.0
    return [neutral if each is None else each for each in _scores(voting)]


_WEIGHING: Final[Mapping[str, Callable[[Sequence[Candidate]], Sequence[float]]]] = {
    "weighted": _by_score,
    "rank weights": lambda voting: rank_weights(_scores(voting)),
    "vote": lambda voting: [1.0] * len(voting),
}
