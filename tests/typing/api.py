"""What a user writes, for type checkers: this file is never run."""

from __future__ import annotations

from typing import assert_type

from thinktwice.sample import Completion, Sample, Usage


def sums_keep_their_type(usage: Usage) -> None:
    assert_type(usage + usage, Usage)


def values_keep_their_type(completion: Completion[str], sample: Sample[int]) -> None:
    assert_type(completion.value, str)
    assert_type(sample.value, int | None)
