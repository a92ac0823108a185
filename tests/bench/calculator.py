"""What the calculator finds in recorded texts of real models, and what it is wrong about.

    python tests/bench/calculator.py [--flagged] [--most 2000] [--units]

For each recording: how often texts with and without a wrong line have the right answer, how many
right answers are failed (all of them are printed with `--flagged`, to be looked at), how many slips
that were put into right lines are found, and what putting computed values in does to the answers.
The recordings are looked for in `THINKTWICE_DATA`, else beside the checkout. Some minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING

from pools import folder

from thinktwice import Sample
from thinktwice.answers import key_function
from thinktwice.verifiers.calculator import Calculator
from thinktwice.verifiers.calculator.judgement import findings
from thinktwice.verifiers.calculator.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thinktwice import Verdict
    from thinktwice.verifiers.calculator.judgement import Finding

RECORDINGS = {
    "GSM8K, GPT-3": "openai_gsm8k_gpt3_finetune_vs_verifier",
    "GSM8K, Codex to GPT-4": "multimodel_fcot_gsm8k_greedy",
    "GSM8K, Mixtral and GPT-4": "cascade_routellm_gsm8k_mixtral_gpt4",
    "Game of 24, GPT-4": "tot_gpt4_game24_cot_k100",
}


@dataclass(frozen=True)
class Text:
    """A recorded text, the answer it should give, and whether it does."""

    text: str
    gold: str
    right: bool


@dataclass
class Row:
    """Counts over one recording.

    Attributes:
        outcomes: Texts by outcome and whether the answer is right.
        lines: Lines that were checked.
        injected: Slips that were put into right lines.
        found: How many of them were found.
        corrected: Wrong answers with a correction.
        mended: How many of them are right then.
        broken: Right answers that are wrong then.
        seconds: Of each verdict.
        flagged: Feedback on texts with the right answer.
    """

    outcomes: Counter[tuple[str, bool]] = field(default_factory=Counter)
    lines: int = 0
    injected: int = 0
    found: int = 0
    corrected: int = 0
    mended: int = 0
    broken: int = 0
    seconds: list[float] = field(default_factory=list)
    flagged: list[str] = field(default_factory=list)


def texts(name: str) -> Iterator[Text]:
    """The texts of a recording."""
    path = folder() / f"{RECORDINGS[name]}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as rows:
        for row in map(json.loads, rows):
            for sample in row["samples"]:
                if "text" in sample:
                    right = sample.get("correct", sample["answer"] == row["gold"])
                    yield Text(sample["text"], row["gold"], bool(right))


async def measure(name: str, verifier: Calculator, most: int | None = None) -> Row:
    """Judge every text, and every text with a slip in it."""
    row, dice = Row(), random.Random(name)
    for each in islice(texts(name), most):
        began = time.perf_counter()
        verdict = await judged(each.text, verifier)
        row.seconds.append(time.perf_counter() - began)
        row.outcomes[verdict.outcome, each.right] += 1
        found = findings(plain(each.text).text)
        row.lines += len(found)
        count(row, each, verdict)
        slipped = with_slip(each.text, found, dice) if verdict.outcome == "pass" else None
        if slipped is not None:
            row.injected += 1
            row.found += (await judged(slipped, verifier)).outcome == "fail"
    return row


async def judged(text: str, verifier: Calculator) -> Verdict:
    """The verdict on a text."""
    return await verifier(Sample(index=0, value=text), prompt="")


def count(row: Row, each: Text, verdict: Verdict) -> None:
    """Add up what one verdict says."""
    if verdict.outcome != "fail":
        return
    if each.right:
        row.flagged.append(verdict.feedback or "")
    if verdict.correction is not None:
        number = key_function("number")
        then = number(verdict.correction.value) == number(each.gold)
        row.corrected += not each.right
        row.mended += then and not each.right
        row.broken += each.right and not then


def with_slip(text: str, found: Sequence[Finding], dice: random.Random) -> str | None:
    """The text with one digit of one stated result changed; None if there is no result."""
    source = plain(text)
    stated = [each.stated for each in found if each.stated is not None]
    if not stated:
        return None
    token = dice.choice(stated).token
    start, end = source.written(token.start, token.end)
    places = [place for place in range(start, end) if text[place].isdigit()]
    place = dice.choice(places)
    digit = dice.choice([d for d in "123456789" if d != text[place]])
    return f"{text[:place]}{digit}{text[place + 1 :]}"


def line(name: str, row: Row) -> str:
    """A line of the table."""

    def share(outcome: str) -> str:
        right, wrong = row.outcomes[outcome, True], row.outcomes[outcome, False]
        total = right + wrong
        return f"{total:,} ({float(Fraction(100 * right, total)):.1f} %)" if total else "0"

    found = f"{row.found:,} of {row.injected:,}"
    mended = f"{row.corrected} / {row.mended} / {row.broken}"
    median = statistics.median(row.seconds) * 1000
    return (
        f"| {name} | {row.lines:,} | {share('pass')} | {share('fail')} | {share('not_applicable')} "
        f"| {found} | {mended} | {median:.1f} |"
    )


def main() -> int:
    """Print the table; without recordings, say so."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flagged", action="store_true", help="print what right answers fail by")
    parser.add_argument("--most", type=int, help="texts of each recording")
    parser.add_argument("--units", action="store_true", help="convert units")
    chosen = parser.parse_args()
    if not folder().is_dir():
        print(f"skipped: no recordings in {folder()}; set THINKTWICE_DATA to their folder")
        return 0
    verifier = Calculator(units=chosen.units)
    print("| texts | lines checked | pass (right) | fail (right) | nothing found (right) "
          "| slips found | corrected / mended / broken | ms |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for name in RECORDINGS:
        row = asyncio.run(measure(name, verifier, chosen.most))
        print(line(name, row), flush=True)
        for said in row.flagged if chosen.flagged else ():
            print("   ", said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
