"""What repairs are worth on the embedded model: accuracy, harm, and votes of as many calls.

    make bench-repair
    python tests/bench/repair.py [--questions 400] [--harm 500] [--model skilled] [--group sums ...]

Every strategy runs by the public `solve` on the same questions, which training did not see, and on
the same draws: the n-th reply to a prompt is the same for all, so that two strategies differ by
what they do alone. "At equal calls" is the gain over the default vote that takes at least as many
model calls on average, critiques included. Intervals are 95 %: of accuracies by a paired bootstrap
over questions, of rates by Clopper and Pearson. Under ten minutes.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest

import sys
import time
import warnings
from typing import TYPE_CHECKING

import numpy as np
from repair_arms import (
    DRAFT,
    GROUPS,
    HASTY,
    MOST,
    OWN,
    Draws,
    Round,
    Trial,
    arms,
    asked,
    blind_rounds,
    trials,
    vote,
)

from thinktwice.policy.intervals import clopper_pearson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RESAMPLES = 4000
MOST_VOTES = 24  # of the votes at equal calls
HEAD = (
    *("strategy", "right, %", "against the draft", "mended, %", "broken, %", "calls", "tokens"),
    "against a vote at equal calls",
)


def rights(ones: Sequence[Trial]) -> NDArray[np.float64]:
    """1 for each right answer."""
    return np.array([one.right for one in ones], dtype=float)


def calls(ones: Sequence[Trial]) -> float:
    """A question."""
    return float(np.mean([one.calls for one in ones]))


def gain(ones: Sequence[Trial], others: Sequence[Trial]) -> str:
    """In points, with its interval."""
    differences = rights(ones) - rights(others)
    low, high = bounds(differences)
    return f"{100 * differences.mean():+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def bounds(values: NDArray[np.float64]) -> tuple[float, float]:
    """Of a mean, by bootstrap."""
    rng = np.random.default_rng(0)
    picked = rng.integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[picked].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def share(count: int, of: int) -> str:
    """In percent."""
    return f"{100 * count / of:.1f}" if of else "-"


def rate(count: int, of: int) -> str:
    """In percent, with its interval."""
    low, high = clopper_pearson(count, of)
    return f"{share(count, of)} % ({100 * low:.1f} to {100 * high:.1f} %; {count} of {of})"


class Table:
    """The strategies on one group of families."""

    def __init__(self, group: str, count: int, draws: Draws) -> None:
        self.group = group
        self.questions = asked(group, count)
        self.draws = draws
        self.draft = trials(vote(group, 1), self.questions, draws)
        self.votes = [self.draft]

    def row(self, name: str, ones: Sequence[Trial]) -> str:
        """A line of the table."""
        before, after = rights(self.draft), rights(ones)
        wrong, right = int((1 - before).sum()), int(before.sum())
        cells = (
            name,
            f"{100 * after.mean():.1f}",
            "" if name == DRAFT else gain(ones, self.draft),
            share(int(((1 - before) * after).sum()), wrong),
            share(int((before * (1 - after)).sum()), right),
            f"{calls(ones):.2f}",
            f"{np.mean([one.tokens for one in ones]):.0f}",
            "" if name == DRAFT else self.same_calls(ones),
        )
        return f"| {' | '.join(cells)} |"

    def same_calls(self, ones: Sequence[Trial]) -> str:
        """The gain over the smallest vote that takes at least as many calls."""
        while calls(self.votes[-1]) < calls(ones) - 1e-9:
            n = len(self.votes) + 1
            if n > MOST_VOTES:
                return "dearer than any"
            self.votes.append(trials(vote(self.group, n), self.questions, self.draws))
        other = next(each for each in self.votes if calls(each) >= calls(ones) - 1e-9)
        return gain(ones, other)


def tables(groups: Sequence[str], count: int, draws: Draws) -> None:
    """Print a table for each group."""
    for group in groups:
        table = Table(group, count, draws)
        print(f"\n### {group}: {count} questions\n")
        print("|", " | ".join(HEAD), "|")
        print("|" + "---|" * len(HEAD))
        for name, arm in arms(group).items():
            print(table.row(name, trials(arm, table.questions, draws)), flush=True)
        print(chain(blind_rounds(table.questions, draws)), flush=True)


def chain(rounds: Sequence[Round]) -> str:
    """What rounds that nothing gates lead to, and what one of them does."""
    wrong = [each for each in rounds if not each.before]
    right = [each for each in rounds if each.before]
    mended, broken = sum(each.after for each in wrong), sum(not each.after for each in right)
    f, b = mended / max(1, len(wrong)), broken / max(1, len(right))
    before, after = len(right) / len(rounds), sum(each.after for each in rounds) / len(rounds)
    return (
        f"\nEvery draft revised on its own critique, and the revision taken: a0 = {before:.3f}, "
        f"f = {f:.3f} ({mended} of {len(wrong)} wrong ones mended), b = {b:.3f} ({broken} of "
        f"{len(right)} right ones broken), so f / (f + b) = {f / max(1e-9, f + b):.3f}; after one "
        f"round {after:.3f}."
    )


def harm(groups: Sequence[str], count: int, draws: Draws) -> None:
    """Print what the model's own critique breaks and gains, over all groups."""
    print(f"\n### {OWN}: {count} questions of all groups\n")
    for name in (OWN, HASTY):
        pairs = [pair for group in groups for pair in _pairs(group, name, count, groups, draws)]
        draft, ones = [a for a, _ in pairs], [b for _, b in pairs]
        broken = sum(a.right and not b.right for a, b in pairs)
        _, most = clopper_pearson(broken, len(pairs), level=0.9)
        of_right = rate(broken, sum(a.right for a in draft))
        print(f"- {name}: right made wrong {rate(broken, len(pairs))}, at most {100 * most:.2f} %")
        print(f"  by its one-sided 95 % bound; of the right drafts {of_right}.")
        print(f"  Net gain {gain(ones, draft)} points, at {calls(ones):.2f} calls.")


def _pairs(
    group: str, name: str, count: int, groups: Sequence[str], draws: Draws
) -> list[tuple[Trial, Trial]]:
    """The draft and what was returned, on this group's part of the questions."""
    place = list(groups).index(group)
    questions = asked(group, count // len(groups) + (place < count % len(groups)))
    draft = trials(vote(group, 1), questions, draws)
    return list(zip(draft, trials(arms(group)[name], questions, draws), strict=True))


def main() -> int:
    """Print the tables."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=400, help="of each group")
    parser.add_argument("--harm", type=int, default=500, help="for the harm of own critique")
    parser.add_argument("--model", default="skilled", help="size of the embedded model")
    parser.add_argument("--group", nargs="+", default=list(GROUPS), choices=GROUPS)
    chosen = parser.parse_args()
    started = time.perf_counter()
    draws = Draws(chosen.model)
    print(f"## Repairs of {draws.sampler.model}; votes and best-of-n draw up to {MOST}")
    tables(chosen.group, chosen.questions, draws)
    harm(chosen.group, chosen.harm, draws)
    print(f"\n{len(draws.said)} replies, {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
