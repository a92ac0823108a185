"""One test: what goes into a sandbox, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from thinktwice.sandbox.protocol import Case
    from thinktwice.verifiers.code.expectation import Expectation


@dataclass(frozen=True, kw_only=True)
class CodeTest:
    """One case and what must come of it.

    Attributes:
        case: What goes into the sandbox.
        expected: What stays outside.
        source: The assert itself, where the sandbox has to evaluate it; the program could tamper
            with such a test. Empty for the others.
    """

    case: Case
    expected: Expectation
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The tests of a program.

    Attributes:
        tests: In the order in which they are run.
        support: Source that stands behind the program: imports, helpers and tests that the sandbox
            evaluates itself.
        hidden: How many of the last tests are held back from all feedback.
    """

    tests: tuple[CodeTest, ...]
    support: str = ""
    hidden: int = 0

    def holding_back(self, share: float) -> Suite:
        """The suite with a share of its tests held back; of fewer than three none is.

        They are spread evenly over the tests, and the same for every program, or a few rounds of
        feedback would show them all. They are run last: what a program says on a test that is shown
        cannot tell of one that is not.
        """
        count = len(self.tests)
        kept = min(int(count * share), count - 1) if count >= _FEWEST else 0
        places = {count - 1 - int(i * count / kept) for i in range(kept)}
        shown = [test for i, test in enumerate(self.tests) if i not in places]
        last = [self.tests[i] for i in sorted(places)]
        return replace(self, tests=(*shown, *last), hidden=kept)

    @property
    def shown(self) -> int:
        """How many tests may be shown."""
        return len(self.tests) - self.hidden


_FEWEST: Final = 3
