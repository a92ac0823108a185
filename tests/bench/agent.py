"""What a strategy over each step is worth to an agent: success, steps, calls, tokens and cost.

    make bench-agent
    python tests/bench/agent.py [--tasks 300] [--shared 0.5]

The agents of `examples/langchain/agent.py` on seeded orders of five tools and an answer. The model
is a scripted clerk that slips in 12 of 100 draws, and the n-th draw of a conversation is the same
for all agents, so that two of them differ by what they do alone. First all slips are independent
from draw to draw; then a share of them comes back in every draw of a step, as mistakes of real
models do. Intervals are 95 %: of success by Clopper and Pearson, of the gain over the agent alone
by a paired bootstrap over tasks. Seconds are without a model's: what the machinery takes.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from thinktwice.policy.intervals import clopper_pearson

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "langchain"))

from agent import AGENTS, Trial, compared

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ALONE, *_ = AGENTS
SHARED = (ALONE, "Vote(5)")
RESAMPLES = 4000
HEAD = ("", "right, %", "gain, points", "steps", "calls", "tokens", "cost, USD", "seconds")


def success(ones: Sequence[Trial]) -> str:
    """In percent, with its interval."""
    right = sum(one.right for one in ones)
    low, high = clopper_pearson(right, len(ones))
    return f"{100 * right / len(ones):.0f} ({100 * low:.0f} to {100 * high:.0f})"


def gain(ones: Sequence[Trial], alone: Sequence[Trial]) -> str:
    """In points over the agent alone, with its interval."""
    each = np.array([a.right - b.right for a, b in zip(ones, alone, strict=True)], dtype=float)
    rng = np.random.default_rng(0)
    picked = rng.integers(0, len(each), (RESAMPLES, len(each)))
    low, high = np.quantile(each[picked].mean(axis=1), [0.025, 0.975])
    return f"{100 * each.mean():+.0f} ({100 * low:+.0f} to {100 * high:+.0f})"


def table(title: str, trials: Mapping[str, Sequence[Trial]]) -> Table:
    """A line for each agent."""
    shown = Table(title=title, box=SIMPLE)
    for head in HEAD:
        shown.add_column(head, justify="right" if head else "left", no_wrap=True)
    for name, ones in trials.items():
        over = "" if name == ALONE else gain(ones, trials[ALONE])
        means = np.mean([one[1:] for one in ones], axis=0)
        steps, calls, tokens, cost, seconds = (float(mean) for mean in means)
        numbers = (f"{steps:.1f}", f"{calls:.1f}", f"{tokens:,.0f}", f"{cost:.5f}")
        shown.add_row(name, success(ones), over, *numbers, f"{seconds:.2f}")
    return shown


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--shared", type=float, default=0.5, help="share of the slips")
    asked = parser.parse_args()
    seeds, console = range(1000, 1000 + asked.tasks), Console(width=118)
    own = asyncio.run(compared(seeds))
    console.print(table(f"{asked.tasks} orders, slips independent from draw to draw", own))
    common = asyncio.run(compared(seeds, SHARED, shared=asked.shared))
    title = f"{asked.tasks} orders, {asked.shared:.0%} of the slips the same in all draws of a step"
    console.print(table(title, common))


if __name__ == "__main__":
    main()
