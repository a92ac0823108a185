"""How good the model's own asserts are as a verifier, on recorded programs.

    python tests/bench/verifier_report.py [--orders 20]

CodeGen-16B on HumanEval, 164 problems with 100 programs each. The score of a program is the share
of the asserts that it passes, and the model wrote the asserts; it is right if it passes the hidden
tests. Answers are clusters by behaviour. The recording is that of CodeT's authors, looked for in
`THINKTWICE_DATA`, else beside the checkout. About ten seconds on a free core.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from typing import TYPE_CHECKING, Any

from pools import POOLS, folder

from thinktwice.calibration import Calibration, calibrate
from thinktwice.policy import Labelled, verifier_report

if TYPE_CHECKING:
    from collections.abc import Sequence

THRESHOLDS = (0.25, 0.5, 0.75)
"""Scores from which on a program passes, beside the full score."""


def problems() -> list[list[dict[str, Any]]]:
    """The programs of each problem."""
    path = folder() / f"{POOLS['HumanEval']}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["samples"] for line in lines]


def labelled(programs: Sequence[dict[str, Any]]) -> Labelled:
    """The programs of a problem, with whether they pass the hidden tests."""
    return Labelled(samples=programs, right=[each["passed"] for each in programs])


def behaviour(program: dict[str, Any]) -> str:
    """What votes are counted by."""
    return json.dumps(program["answer"])


def calibrated(rows: Sequence[Sequence[dict[str, Any]]]) -> list[list[float]]:
    """Scores as probabilities, for each problem fitted on the other half of the problems."""
    halves: list[Calibration] = [
        calibrate((each["score"], each["passed"]) for row in rows[at::2] for each in row)
        for at in (1, 0)
    ]
    return [[halves[at % 2](each["score"]) for each in row] for at, row in enumerate(rows)]


def main() -> int:
    """Print the reports; without the recording, say so."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=20, help="of each problem's programs")
    orders = parser.parse_args().orders
    try:
        rows = problems()
    except FileNotFoundError as error:
        print(f"skipped: no {error.filename}; set THINKTWICE_DATA to its folder")
        return 0
    questions = [labelled(row) for row in rows]
    scores = [[each["score"] for each in row] for row in rows]
    print("## The share of its asserts that a program passes\n")
    print(verifier_report(scores, questions, key=behaviour, orders=orders))
    print("\n## Programs that pass, by threshold\n")
    print(
        "threshold, right that pass, wrong that pass, until a pass, first pass at N = 5 and 100\n"
    )
    for threshold in THRESHOLDS:
        report = verifier_report(
            scores, questions, key=behaviour, threshold=threshold, ns=[5, 100], orders=1
        )
        first = ", ".join(f"{100 * each.value:.1f}" for each in report.curves["first pass"])
        ceiling = "none" if report.ceiling is None else f"{100 * report.ceiling.value:.1f}"
        print(f"{threshold}: {report.tpr}; {report.fpr}; {ceiling}; {first}")
    print("\n## The same scores as probabilities (isotonic, fitted on the other half)\n")
    print(verifier_report(calibrated(rows), questions, key=behaviour, orders=orders))
    return 0


if __name__ == "__main__":
    sys.exit(main())
