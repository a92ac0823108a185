"""What a user may implement: samplers, verifiers, prompting, price sources, strategies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar, runtime_checkable

from thinktwice.sample import Completion

if TYPE_CHECKING:
    from decimal import Decimal

    from thinktwice.sample import Sample, Usage, Verdict

P = TypeVar("P")
T = TypeVar("T")
P_contra = TypeVar("P_contra", contravariant=True)
T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S")

Options: TypeAlias = Mapping[str, object]
"""Settings of one call: "temperature", "seed", "max_tokens", "effort", or others it takes."""


class SamplerWithOptions(Protocol[P_contra, T_co]):
    """A sampler that takes per-call options."""

    def __call__(
        self, prompt: P_contra, /, *, options: Options
    ) -> Awaitable[Completion[T_co] | T_co] | Completion[T_co] | T_co:
        """Draw once."""
        ...


Sampler: TypeAlias = (
    Callable[[P], Awaitable[Completion[T]]]
    | Callable[[P], Awaitable[T]]
    | Callable[[P], Completion[T]]
    | Callable[[P], T]
    | SamplerWithOptions[P, T]
)
"""What is sampled: a callable of the prompt, or of the prompt and `options`, sync or async.

It returns a value or a `Completion`. It may carry attributes (see `SamplerTraits`). Only a call of
an `async def` can be recalled: a plain function, also one that returns an awaitable, runs on a
thread.
"""


class SamplerTraits(Protocol):
    """Attributes that a sampler may carry; each has the default that is named here.

    Attributes:
        model: Name of the model behind it, for prices, reservations and spans (None).
        provider: Who serves it (None).
        max_tokens: Output tokens that one call may cost at most (None: not known).
        passthrough: Exception types that are control flow and leave the run unwrapped (()).
        leaf: False when its calls report themselves from within, as a chain or a strategy does
            (True).
        refusable: False when they do so too late to be refused: caps on tokens and money then hold
            room for the first call of each draw, and the rest is an estimate (True).
        recallable: False when it is async, and what it waits for cannot be cancelled (True).
        many: `many(prompt, n, /, *, options)`, async or sync, makes up to n choices by one request
            and returns a `Completion` for each, the first with the usage of the request. Draws that
            begin at once with the same options are then made by one (None).
        reads: From the prompt to what a call reads, where that is more than the prompt, such as the
            tools that are sent with it: a bound on its tokens rests on it (None).
        emitted: Whether somebody else opens a span for each of its calls; None to find out (None).
    """

    model: str | None
    provider: str | None
    max_tokens: int | None
    passthrough: tuple[type[Exception], ...]
    leaf: bool
    refusable: bool
    recallable: bool
    many: Callable[..., object] | None
    reads: Callable[..., object] | None
    emitted: bool | None


@runtime_checkable
class Verifier(Protocol[P_contra]):
    """Judges one sample.

    A plain callable of the value serves too: bool (pass or fail), float in [0, 1] (scored, never a
    pass), or a Verdict. It is exact only if it carries `exact = True`.

    Attributes:
        name: Shown in verdicts and spans.
        exact: A pass is proof: best-of-N may then stop at it and return the best score.
    """

    @property
    def name(self) -> str:
        """Shown in verdicts and spans."""
        ...

    @property
    def exact(self) -> bool:
        """A pass is proof."""
        ...

    async def __call__(self, sample: Sample[object], /, *, prompt: P_contra) -> Verdict:
        """Judge; raise when the check itself breaks (it becomes an error verdict)."""
        ...


class Prompting(Protocol[P]):
    """How an input is edited; ships for `str` and chat messages."""

    def revise(self, prompt: P, draft: object, feedback: str) -> P:
        """The input that asks for a better answer than the draft.

        A draft of None is none: the feedback is about earlier attempts, which are not shown. The
        feedback of a verdict carries `missing` (see `thinktwice.repair.Feedback`).
        """
        ...

    def extend(self, prompt: P, partial: str) -> P:
        """The input that asks to go on from a partial answer."""
        ...


class PriceSource(Protocol):
    """Turns tokens into money."""

    def price(self, usage: Usage, *, model: str | None, provider: str | None) -> Decimal | None:
        """USD of one call; None when the price is not known (never 0).

        Any count of the usage may be None: only what is free has a price without.
        """
        ...


Clock: TypeAlias = Callable[[], float]
"""Seconds on a monotonic clock."""
