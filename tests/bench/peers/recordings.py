"""Questions with recorded samples, in one seeded order that all peers are served alike."""

from __future__ import annotations

import gzip
import json
import os
import random
from dataclasses import dataclass
from pathlib import Path

MARK = "The answer is "
POOLS = {
    "SVAMP": "pot_code-davinci-002_svamp_k30",
    "AQuA": "pot_code-davinci-002_aqua_k30",
    "HumanEval": "codet_codegen16b_humaneval_k100",
    "Game of 24": "tot_gpt4_game24_io_k100",
}
"""Those with a text of every sample, since some peers vote by text."""


@dataclass(frozen=True)
class Sample:
    """A recorded sample.

    Attributes:
        text: What the model wrote, without the line that names the answer.
        answer: What it came to; None where nothing could be read from it.
        tokens: Its length: as recorded, else a quarter of its characters.
        right: Whether it is right.
        score: Share of the model's own assertions that a program passes, where there are some.
    """

    text: str
    answer: str | None
    tokens: int
    right: bool
    score: float | None

    @property
    def reply(self) -> str:
        """What a plain prompt gets: the text, and the answer in a line of its own."""
        return f"{self.text}\n\n{MARK}{self.answer}" if self.answer is not None else self.text

    @property
    def fields(self) -> str:
        """What a prompt of DSPy gets, which asks for named fields."""
        return (
            f"[[ ## reasoning ## ]]\n{self.text}\n\n"
            f"[[ ## answer ## ]]\n{self.answer or ''}\n\n[[ ## completed ## ]]"
        )


@dataclass(frozen=True)
class Question:
    """A prompt, and its samples in the order in which they are served."""

    prompt: str
    samples: tuple[Sample, ...]


def folder() -> Path:
    """Where the recordings are: THINKTWICE_DATA, else beside the checkout."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    return Path(os.environ.get("THINKTWICE_DATA", beside))


def path_of(pool: str) -> Path:
    """The file of a pool."""
    return folder() / f"{POOLS[pool]}.jsonl.gz"


def load(pool: str, count: int, seed: int) -> tuple[Question, ...]:
    """So many questions, drawn at random, each with its samples in random order."""
    with gzip.open(path_of(pool), "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    chance = random.Random(f"{pool} {seed}")
    drawn = chance.sample(rows, min(count, len(rows)))
    return tuple(_question(number, row, chance) for number, row in enumerate(drawn))


def _question(number: int, row: dict, chance: random.Random) -> Question:
    asked = "\n".join([row.get("question", row.get("prompt", "")), *row.get("options", ())])
    samples = chance.sample(row["samples"], len(row["samples"]))
    return Question(
        prompt=f"[{number}] {asked}",
        samples=tuple(_sample(each, row.get("gold")) for each in samples),
    )


def _sample(row: dict, gold: str | None) -> Sample:
    answer = row["answer"]
    return Sample(
        text=row["text"].strip() or "(nothing)",
        answer=answer,
        tokens=row.get("tokens") or max(1, len(row["text"]) // 4),
        right=bool(row.get("correct", row.get("passed", answer is not None and answer == gold))),
        score=row.get("score"),
    )
