"""Which span of ours stands around a span, and what of a sum is a span's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

TRILLION: Final = 10**12


class Spend(NamedTuple):
    """What calls took.

    Attributes:
        calls: How many.
        input: Tokens, cached ones included.
        output: Tokens, hidden reasoning included.
        cost: Trillionths of a USD: whole numbers add up exactly.
        unpriced: Calls whose cost is not known.
    """

    calls: int = 0
    input: int = 0
    output: int = 0
    cost: int = 0
    unpriced: int = 0

    def plus(self, other: Spend) -> Spend:
        """The sum."""
        return Spend(*(mine + its for mine, its in zip(self, other, strict=True)))

    def minus(self, other: Spend) -> Spend:
        """The difference."""
        return Spend(*(mine - its for mine, its in zip(self, other, strict=True)))

    def at_least(self, other: Spend) -> Spend:
        """The larger one, number by number."""
        return Spend(*map(max, self, other))


NOTHING = Spend()


class Node:
    """A span of ours while it is open.

    Costs stand on every span of a request, each including those below it. So that they add up, a
    span counts for what it has above the spans of ours right below it.

    Attributes:
        span: As it started.
        parent: The span of ours around it; None for the outermost, which is the request.
        root: That outermost one.
        nests: Of the outermost: a run is inside it.
        samples: Of the outermost: arrival and cost of its own draws, for what was wasted.
        passed: Of the outermost: numbers of the spans of ours below that have ended.
        total: What it spent, once it has ended: what stands on it, or what is below it if no sum
            stands on it.
    """

    __slots__ = (
        "_below",
        "_ended",
        "nests",
        "parent",
        "passed",
        "root",
        "samples",
        "span",
        "total",
    )

    def __init__(self, span: ReadableSpan, parent: Node | None) -> None:
        """Open it.

        Args:
            span: As it started.
            parent: The span of ours around it.
        """
        self.span = span
        self.parent = parent
        self.root: Node = self if parent is None else parent.root
        self.nests = False
        self.samples: list[tuple[int | None, int]] = []
        self.passed: list[int] = []
        self.total = NOTHING
        self._below = NOTHING
        self._ended = False

    @property
    def number(self) -> int:
        """Id of the span, as OpenTelemetry has it."""
        return self.span.context.span_id if self.span.context else 0

    @property
    def id(self) -> int:
        """Id of the span, as SQLite keeps it."""
        return span_id(self.span)

    def own(self, total: Spend) -> Spend:
        """End it; what it spent beside the spans below.

        What ends after the span around it is in the sum of that one already.

        Args:
            total: What stands on it.
        """
        self._ended = True
        self.total = total.at_least(self._below)
        if self.parent is not None:
            if self.parent._ended:
                return NOTHING
            self.parent._below = self.parent._below.plus(self.total)
        return self.total.minus(self._below)


def span_id(span: ReadableSpan) -> int:
    """Its id as SQLite keeps numbers: with a sign."""
    return signed(span.context.span_id) if span.context else 0


def signed(number: int) -> int:
    """64 bits as a number with a sign."""
    return number - (1 << 64) if number >> 63 else number
