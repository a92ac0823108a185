"""Programs and tests that vote for each other (CodeT)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping


class Consensus(NamedTuple):
    """Programs that pass the same tests.

    Attributes:
        programs: Which.
        tests: What they pass.
        score: Their number to a power, times that of the tests.
    """

    programs: tuple[int, ...]
    tests: frozenset[Hashable]
    score: float


def consensus_sets(
    passed: Mapping[int, Iterable[Hashable]], *, power: float = 0.5
) -> list[Consensus]:
    """Group programs by the tests that they pass, the best group first.

    A test counts for a group that passes it, and a group for the tests that it passes: wrong
    programs seldom agree with each other on many wrong tests (CodeT, Chen et al. 2022,
    arXiv:2207.10397).

    Args:
        passed: The tests that each program passes.
        power: Of the number of programs: 1 in the paper, 0.5 in its published code.
    """
    groups: dict[frozenset[Hashable], list[int]] = {}
    for program, tests in passed.items():
        groups.setdefault(frozenset(tests), []).append(program)
    scored = (
        Consensus(tuple(sorted(programs)), tests, len(programs) ** power * len(tests))
        for tests, programs in groups.items()
    )
    return sorted(scored, key=lambda each: (-each.score, -len(each.programs), each.programs))
