"""A LangChain chain, sampled once and more than once: what it answers, and what that costs.

Run it with `make demo`. The model is small and embedded; no key and no network are needed. The
problems are from a split that its training did not see.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest

import argparse
import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from arithmetic_lm.langchain import ArithmeticChatModel
from arithmetic_lm.problems import FAMILIES, Problem, evaluate, final_answer, problems
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_thinktwice import best_of_n, vote
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.tree import Tree

from thinktwice import AtMost, Price, Result, Sample, Verdict
from thinktwice.testing import captured_spans
from thinktwice.verifiers import Likelihood

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.runnables import Runnable
    from opentelemetry.sdk.trace import ReadableSpan

PRICES = {"arithmetic-lm": Price("0.10", "0.40")}  # made up: USD per million tokens, in and out
MISCONCEPTION = "precedence"
AT_ONCE = 16  # requests
WIDTH = 118  # columns of the table


@dataclass(frozen=True)
class Oracle:
    """Knows the right answer, as no application does: the most that any selection could reach."""

    name: str = "oracle"
    exact: bool = True

    async def __call__(self, sample: Sample[object], /, *, prompt: Mapping[str, str]) -> Verdict:
        """Compare with the exact value of the expression."""
        right = final_answer(str(sample.value)) == str(evaluate(prompt["question"]))
        return Verdict(outcome="pass" if right else "fail", score=float(right))


@dataclass(frozen=True)
class Run:
    """One way of asking, over all problems."""

    name: str
    results: Sequence[Result[str]]
    right: Sequence[bool]
    seconds: float


def make_chain() -> Runnable[dict[str, str], str]:
    """An ordinary chain: prompt, model, parser."""
    prompt = ChatPromptTemplate.from_messages([("human", "What is {question}?")])
    return prompt | ArithmeticChatModel(temperature=0.8) | StrOutputParser()


def seeded(index: int) -> dict[str, object]:
    """Settings of a sample: a seed each, so that two runs of this script draw the same samples."""
    return {"seed": index}


def ways(chain: Runnable[dict[str, str], str]) -> dict[str, Runnable[dict[str, str], object]]:
    """The ways of asking that are compared, all over the same chain."""
    common = {
        "key": final_answer,  # what votes are counted by
        "prices": PRICES,
        "options": seeded,
        "include_result": True,  # the bill beside the answer
    }
    return {
        "single sample": vote(chain, n=1, stop=AtMost(1), **common),
        "vote(n=8)": vote(chain, n=8, **common),
        "vote(n=16)": vote(chain, n=16, **common),
        "best-of-8, log-prob.": best_of_n(chain, n=8, verifier=Likelihood(), **common),
        "best-of-8, oracle": best_of_n(chain, n=8, verifier=Oracle(), **common),
    }


async def ask_all(
    name: str,
    way: Runnable[dict[str, str], object],
    asked: Sequence[Problem],
    progress: Progress,
) -> Run:
    """Ask every problem, several at once."""
    bar = progress.add_task(name, total=len(asked))
    at_once = asyncio.Semaphore(AT_ONCE)
    started = time.perf_counter()

    async def ask(problem: Problem) -> Result[str]:
        async with at_once:
            answer = await way.ainvoke({"question": problem.question})
        progress.advance(bar)
        return answer["result"]

    results = await asyncio.gather(*map(ask, asked))
    right = [p.is_right(r.answer) for p, r in zip(asked, results, strict=True)]
    return Run(name, results, right, time.perf_counter() - started)


def difference(run: Run, single: Run) -> str:
    """Points over the single sample, with the 95 % interval of the paired difference."""
    if run is single:
        return ""
    paired = [100 * (a - b) for a, b in zip(run.right, single.right, strict=True)]
    half = 1.96 * stdev(paired) / len(paired) ** 0.5
    return f"{fmean(paired):+.0f} ± {half:.0f}"


def stopped_by(run: Run) -> str:
    """Which rules ended the requests."""
    names = Counter(type(result.stopped_by).__name__ for result in run.results)
    return " ".join(f"{name} {count}" for name, count in names.most_common())


def table_of(title: str, runs: Sequence[Run]) -> Table:
    """One row for each way of asking."""
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for heading in ("right", "vs single", "calls", "tokens", "cost", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("stopped by", no_wrap=True)
    for run in runs:
        totals = [result.ledger.total for result in run.results]
        table.add_row(
            run.name,
            f"{100 * fmean(run.right):.0f} %",
            difference(run, runs[0]),
            f"{sum(result.launched for result in run.results):,}",
            f"{sum(total.usage.total_tokens or 0 for total in totals):,}",
            f"${sum((total.cost or Decimal(0) for total in totals), Decimal(0)):.4f}",
            f"{run.seconds:.1f}",
            stopped_by(run),
        )
    return table


def label_of(span: ReadableSpan) -> str:
    """Name, answer, tokens and cost of a span."""
    facts = span.attributes or {}
    parts = [span.name]
    for name, shown in (
        ("sample.index", "{}"),
        ("sample.group", "answer {}"),
        ("agreement", "agreement {:.2f}"),
        ("stopped_by", "stopped by {}"),
        ("status", "{}"),
    ):
        value = facts.get(f"thinktwice.{name}")
        if value not in {None, "ok"}:
            parts.append(shown.format(value))
    spaces = ("gen_ai", "thinktwice")  # what a provider counted, and what is summed or estimated
    counts = [facts.get(f"{s}.usage.{side}_tokens") for s in spaces for side in ("input", "output")]
    parts.append(f"[cyan]{sum(count for count in counts if isinstance(count, int))} tokens[/]")
    parts.append(f"[green]${facts.get('thinktwice.cost', 0):.7f}[/]")
    return "  ".join(parts)


def span_tree(spans: Sequence[ReadableSpan]) -> Tree:
    """The spans of one request, as a backend would show them."""
    root = Tree("[bold]one request, traced")
    nodes: dict[int, Tree] = {}
    for span in sorted(spans, key=lambda each: each.start_time or 0):
        parent = nodes.get(span.parent.span_id, root) if span.parent else root
        if span.context is not None:
            nodes[span.context.span_id] = parent.add(label_of(span))
    return root


async def main(count: int) -> None:
    """Compare the ways of asking, then show one request."""
    console = Console()
    console.width = max(console.width, WIDTH)
    chain = make_chain()
    common = tuple(name for name in FAMILIES if name != MISCONCEPTION)
    asked = problems(count, families=common)
    misled = problems(max(4, count // 4), families=(MISCONCEPTION,))
    runs: list[Run] = []
    apart: list[Run] = []
    with Progress(console=console, transient=True) as progress:
        for name, way in ways(chain).items():
            runs.append(await ask_all(name, way, asked, progress))
            apart.append(await ask_all(f"{name}, misconception", way, misled, progress))
    apart = [
        Run(run.name, each.results, each.right, each.seconds)
        for run, each in zip(runs, apart, strict=True)
    ]
    console.print(table_of(f"{count} problems that training did not see", runs))
    console.print(
        table_of(
            f"{len(misled)} problems of a class with a misconception: most samples share one "
            "wrong answer",
            apart,
        )
    )
    with captured_spans() as spans:
        traced = vote(chain, n=8, key=final_answer, prices=PRICES, options=seeded)
        await traced.ainvoke({"question": asked[2].question})
    console.print(span_tree(spans))
    console.print("Prices are made up: $0.10 and $0.40 per million input and output tokens.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=100, help="problems (100)")
    asked: int = parser.parse_args().problems
    if asked < 3:  # noqa: PLR2004 - the third is shown
        parser.error(f"--problems={asked}: give at least 3")
    asyncio.run(main(asked))
