"""What the model's own confidence is worth: accuracy and calls, on two sets of samples.

    python tests/bench/confidence.py [--orders 5] [--questions 400] [--part brumo embedded]

Every strategy runs by the public `solve` in the same seeded orders of the same recorded draws, one
by one (`prefer="cost"`) unless it says "balanced", and is compared with the default vote of 16.
Intervals are 95 %, from a bootstrap over questions. The first part reads a recording of DeepConf's
authors, looked for in `THINKTWICE_DATA`, else beside the checkout; the second samples the embedded
model. About a quarter of an hour on a free core.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import warnings
from typing import TYPE_CHECKING

from confidence_samples import (
    RECORDING,
    Draw,
    Question,
    Trial,
    answer_of,
    brumo,
    cut_abstain,
    discrimination,
    embedded,
    trials,
)
from pools import folder

from thinktwice import BestOfN, Sample, Vote
from thinktwice.stop import AdaptiveConsistency, AtMost
from thinktwice.strategies.deepconf import DeepConf
from thinktwice.strategies.perplexity_consistency import PerplexityConsistency
from thinktwice.verifiers import Likelihood, SelfCertainty, TokenConfidence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from thinktwice import Strategy
    from thinktwice.verifiers import Confidence

N = 16
REFERENCE = "Vote(16)"
RESAMPLES = 2000


def recorded(sample: Sample[object]) -> float | None:
    """The confidence that the recording gives: 5.5 to 28.7 nats."""
    assert isinstance(sample.value, Draw)
    return sample.value.confidence


def weight(sample: Sample[object]) -> float:
    """The same as a weight in [0, 1]; the traces without one have no answer either."""
    return min(1.0, (recorded(sample) or 0.0) / 30)


def deepconf(n: int, warmup: int, **more: object) -> DeepConf:
    """By the recorded confidence, one by one."""
    settings: dict[str, object] = {"confidence": recorded, **more}
    return DeepConf(n, warmup=warmup, key=answer_of, prefer="cost", **settings)  # type: ignore[arg-type]


def vote(n: int, **more: object) -> Vote:
    """One by one."""
    return Vote(n, key=answer_of, prefer="cost", **more)  # type: ignore[arg-type]


RECORDED: Mapping[str, Strategy] = {
    REFERENCE: vote(N),
    "Vote(16), all drawn": vote(N, stop=AtMost(N)),
    "Vote(16, weight=), all drawn": vote(N, stop=AtMost(N), weight=weight),
    "DeepConf(2, warmup=2)": deepconf(2, 2),
    "DeepConf(4, warmup=4)": deepconf(4, 4),
    "DeepConf(9, warmup=9, keep=.1)": deepconf(9, 9, keep=0.1),
    "DeepConf(16, warmup=8, keep=.9)": deepconf(N, 8),
    "DeepConf(128, keep=.1)": deepconf(128, 16, keep=0.1),
    "DeepConf(128, keep=.9)": deepconf(128, 16),
}
"""On the recording."""

WHOLE: Mapping[str, Strategy] = {
    "Vote(128)": vote(128, stop=AtMost(128)),
    "Vote(128, weight=)": vote(128, stop=AtMost(128), weight=weight),
    "DeepConf(128, warmup=128, keep=1)": deepconf(128, 128, keep=1),
    "DeepConf(128, warmup=128, keep=.1)": deepconf(128, 128, keep=0.1),
}
"""On all traces of the recording, in their order."""


def ranked(confidence: Confidence) -> BestOfN:
    """A vote by rank weights."""
    return BestOfN(N, verifier=confidence, weights="rank", key=answer_of, prefer="cost")


def known(n: int, margin: float) -> PerplexityConsistency:
    """One by one."""
    return PerplexityConsistency(n, margin=margin, key=answer_of, prefer="cost")


EMBEDDED: Mapping[str, Strategy] = {
    REFERENCE: vote(N),
    "Vote(16), all drawn": vote(N, stop=AtMost(N)),
    "Vote(16, weight=Likelihood()), all drawn": vote(N, stop=AtMost(N), weight=Likelihood()),
    "  with over='product'": vote(N, stop=AtMost(N), weight=Likelihood(over="product")),
    "  with over='least'": vote(N, stop=AtMost(N), weight=Likelihood(over="least")),
    "Vote(16, weight=TokenConfidence()), all drawn": vote(
        N, stop=AtMost(N), weight=TokenConfidence(scale=15)
    ),
    "BestOfN(16, Likelihood(), weights='rank')": ranked(Likelihood()),
    "BestOfN(16, SelfCertainty(), weights='rank')": ranked(SelfCertainty()),
    "Vote(16, weight=Likelihood(), stop=AdaptiveConsistency())": vote(
        N, weight=Likelihood(), stop=AdaptiveConsistency()
    ),
    "DeepConf(16, Likelihood(), warmup=4, keep=.5)": deepconf(
        N, 4, keep=0.5, confidence=Likelihood()
    ),
    "DeepConf(16, Likelihood(), warmup=4, keep=.1)": deepconf(
        N, 4, keep=0.1, confidence=Likelihood()
    ),
    "DeepConf(16, TokenConfidence(), warmup=8, keep=.9)": deepconf(
        N, 8, keep=0.9, confidence=TokenConfidence()
    ),
    "DeepConf(16, TokenConfidence(), warmup=8, keep=.1)": deepconf(
        N, 8, keep=0.1, confidence=TokenConfidence()
    ),
    "PerplexityConsistency(16, margin=1)": known(N, 1.0),
    "PerplexityConsistency(16)": known(N, 0.5),
    "PerplexityConsistency(16, margin=.3)": known(N, 0.3),
    "PerplexityConsistency(4, margin=.3)": known(4, 0.3),
    "Vote(16), balanced": Vote(N, key=answer_of),
    "PerplexityConsistency(16), balanced": PerplexityConsistency(N, key=answer_of),
}
"""On the embedded model."""

CONFIDENCES = (
    Likelihood(),
    Likelihood(over="product"),
    Likelihood(over="least"),
    TokenConfidence(),
    TokenConfidence("lowest", window=8),
    TokenConfidence("tail", window=8),
    SelfCertainty(),
)
"""Whose discrimination is measured on the embedded model."""

EQUAL_CALLS = {f"Vote({n})": vote(n) for n in range(2, N)}
"""Smaller default votes, to compare at equal calls."""


def interval(
    questions: Sequence[Trial], others: Sequence[Trial], statistic: Callable[..., float]
) -> tuple[float, float, float]:
    """A statistic of two paired strategies, with its 95 % interval over questions."""
    pairs = list(zip(questions, others, strict=True))
    order = random.Random(0)
    values = sorted(
        statistic(*zip(*order.choices(pairs, k=len(pairs)), strict=True)) for _ in range(RESAMPLES)
    )
    low, high = values[RESAMPLES // 40], values[-RESAMPLES // 40 - 1]
    return statistic(questions, others), low, high


def gain(ones: Sequence[Trial], others: Sequence[Trial]) -> float:
    """Accuracy above another strategy's, in points."""
    return 100 * statistics.fmean(a.right - b.right for a, b in zip(ones, others, strict=True))


def ratio(ones: Sequence[Trial], others: Sequence[Trial]) -> float:
    """Calls, as a share of another strategy's."""
    return sum(one.calls for one in ones) / sum(other.calls for other in others)


def accuracy(ones: Sequence[Trial]) -> float:
    """In percent."""
    return 100 * statistics.fmean(one.right for one in ones)


def calls(ones: Sequence[Trial]) -> float:
    """A question."""
    return statistics.fmean(one.calls for one in ones)


def line(name: str, ones: Sequence[Trial], against: Sequence[Trial], *rest: str) -> str:
    """A row of a table."""
    more, low, high = interval(ones, against, gain)
    share, least, most = interval(ones, against, ratio)
    cells = (
        f"`{name}`",
        f"{accuracy(ones):.1f}",
        f"{more:+.1f} ({low:+.1f} to {high:+.1f})",
        f"{calls(ones):.1f}",
        f"{share:.2f} ({least:.2f} to {most:.2f})",
        *rest,
    )
    return f"| {' | '.join(cells)} |"


def table(
    arms: Mapping[str, Strategy], questions: Sequence[Question], orders: int, *, equal: bool
) -> None:
    """Print the arms beside the reference, and beside the default vote of as many calls."""
    head = ["strategy", "accuracy, %", "against the vote", "calls", "share of its calls"]
    print("|", " | ".join([*head, *(["at equal calls"] if equal else [])]), "|")
    print("|" + "---|" * (len(head) + equal))
    against = trials(arms[REFERENCE], questions, orders)
    smaller = [trials(each, questions, orders) for each in EQUAL_CALLS.values()] if equal else []
    for name, strategy in arms.items():
        ones = against if name == REFERENCE else trials(strategy, questions, orders)
        rest = [same_calls(ones, [*smaller, against])] if equal else []
        print(line(name, ones, against, *rest), flush=True)


def same_calls(ones: Sequence[Trial], votes: Sequence[Sequence[Trial]]) -> str:
    """The gain over the default vote that takes at least as many calls, if one does."""
    dearer = [each for each in votes if calls(each) >= calls(ones) - 1e-9]
    if not dearer:
        return "dearer"
    more, low, high = interval(ones, min(dearer, key=calls), gain)
    return f"{more:+.1f} ({low:+.1f} to {high:+.1f})"


def main() -> int:
    """Print the tables; without the recording, say so."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=5, help="orders of each question")
    parser.add_argument("--questions", type=int, default=400, help="to the embedded model")
    parser.add_argument("--part", nargs="+", default=["brumo", "embedded"])
    chosen = parser.parse_args()
    if "brumo" in chosen.part and not (folder() / RECORDING).is_file():
        print(f"skipped: no {RECORDING} in {folder()}; set THINKTWICE_DATA to its folder")
    elif "brumo" in chosen.part:
        recording = brumo()
        print(f"## BRUMO 2025: {len(recording)} problems, {10 * chosen.orders} orders\n")
        print(f"Discrimination within a question: {discrimination(recorded, recording):.2f}\n")
        table(RECORDED, recording, 10 * chosen.orders, equal=True)
        print("\nAll 128 traces, one order:\n")
        for name, strategy in WHOLE.items():
            print(f"{name}: {accuracy(trials(strategy, recording, 1)):.1f} %")
        whole = trials(WHOLE["Vote(128)"], cut_abstain(recording), 1)
        print(f"Vote(128), those that were cut abstain: {accuracy(whole):.1f} %")
    if "embedded" in chosen.part:
        questions = embedded(chosen.questions)
        plain = [each for each in questions if each.kind != "precedence"]
        odd = [each for each in questions if each.kind == "precedence"]
        print(f"\n## Embedded model: {len(plain)} questions, {chosen.orders} orders\n")
        print("Discrimination within a question; in the class with a misconception:\n")
        for each in CONFIDENCES:
            print(f"{each}: {discrimination(each, plain):.2f}; {discrimination(each, odd):.2f}")
        print()
        table(EMBEDDED, plain, chosen.orders, equal=True)
        print(f"\nThe class with a misconception: {len(odd)} questions\n")
        table(EMBEDDED, odd, chosen.orders, equal=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
