"""What a strategy is, and how one becomes a sampler for another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from thinktwice.answers import awaited_key
from thinktwice.errors import UsageError
from thinktwice.stop.algebra import Stop
from thinktwice.vary import Vary

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from thinktwice.protocols import Options, Prompting, Sampler
    from thinktwice.result import Outcome
    from thinktwice.run import Run
    from thinktwice.sample import Completion
    from thinktwice.sampling import Source

P = TypeVar("P")
T = TypeVar("T")


class Strategy(ABC):
    """Decides what to draw, and what to return of it. Immutable; never imports a model.

    A strategy of your own is a frozen dataclass that implements `__call__` with what `Run` offers:
    `sample`, `draws`, `verify`, `offer`, `warn`, `prompting`, `ledger`. Tracing, budgets, limits
    and cancellation come with these.

    Attributes:
        key: What answers are told apart by: a name, a callable of the value, or None for the type's
            default.
        of: The strategy inside: each sample is then a run of it.
    """

    key: str | Callable[..., Hashable | None] | None = None
    of: Strategy | None = None

    @abstractmethod
    async def __call__(self, run: Run[P, T]) -> Outcome[T]:
        """Draw, judge, and decide."""

    @property
    def name(self) -> str:
        """Shown in spans."""
        return type(self).__name__

    @property
    def draws(self) -> int | None:
        """Draws of one run at the most; None if it does not say."""
        return None

    @property
    def calls(self) -> int | None:
        """Model calls of one run at the most, over a sampler that is one call; None if unknown.

        It is the default cap of a run on its calls.
        """
        return self.draws

    def over(self, sampler: Sampler[P, T] | Mapping[str, Sampler[P, T]]) -> Over[P, T]:
        """The strategy over a sampler: a sampler itself, to call or to give to another strategy."""
        return Over(self, sampler)


class Over(Generic[P, T]):
    """A strategy over a sampler: call it with a prompt, or sample it.

    Attributes:
        strategy: The strategy.
        sampler: What it samples.
        prompting: How the input is edited; by its type if None.
        leaf: False: its calls are booked one by one.
    """

    leaf = False
    prompting: Prompting[P] | None = None

    def __init__(
        self, strategy: Strategy, sampler: Sampler[P, T] | Mapping[str, Sampler[P, T]]
    ) -> None:
        """Compose."""
        from thinktwice.sampling import as_sources

        self.strategy = strategy
        self.sampler = sampler
        sources: Mapping[str, Source[P, T]] = as_sources(sampler)
        self.draws = (strategy.draws or 1) * max(source.draws for source in sources.values())
        self.passthrough = tuple(
            dict.fromkeys(each for source in sources.values() for each in source.passthrough)
        )

    async def __call__(self, prompt: P, /, *, options: Options | None = None) -> Completion[T]:
        """Run the strategy.

        Args:
            prompt: The input.
            options: Settings of every call inside.

        Returns:
            The winning value; the calls are booked where they are made.
        """
        from thinktwice.sample import Completion
        from thinktwice.solving import solve

        result = await solve(
            prompt,
            sampler=self.sampler,
            strategy=self.strategy,
            options=options,
            prompting=self.prompting,
        )
        winner = result.winner
        return Completion(
            value=result.value,  # type: ignore[arg-type] - None where all abstained, as everywhere
            text=winner.text if winner else None,
            logprobs=winner.logprobs if winner else None,
            top_logprobs=winner.top_logprobs if winner else None,
            finish_reason=winner.finish_reason if winner else None,
            raw=result,
        )

    def __repr__(self) -> str:
        """As it is written."""
        return f"{self.strategy!r}.over({self.sampler!r})"


def nested_draws(n: int, of: Strategy | None) -> int:
    """Draws of a strategy with n samples, times those of the strategy inside."""
    return n * ((of.draws or 1) if of else 1)


def nested_calls(n: int, of: Strategy | None, *, judging: int = 0) -> int | None:
    """Model calls of n samples, each with so many that judge it; None if nobody knows."""
    inside = of.calls if of else 1
    return None if inside is None else n * (inside + judging)


MOST_DRAWS: Final = 10_000
"""More would keep the stop rules busy, and nobody waits for them."""


def check_draws(n: int) -> None:
    """Refuse what is no number of samples.

    Raises:
        UsageError: Not a whole number from 1 to 10,000.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise UsageError("n", n, "draw at least 1 sample, a whole number")
    if n > MOST_DRAWS:
        remedy = f"draw at most {MOST_DRAWS:,} samples; a budget can end the run before"
        raise UsageError("n", n, remedy)


def check_callables(*, key: str | Callable[..., Hashable | None] | None, **others: object) -> None:
    """Refuse what cannot be called, and a key that nobody knows.

    Raises:
        UsageError: As above.
    """
    awaited_key(key)
    for name, value in others.items():
        if value is not None and not callable(value):
            raise UsageError(name, value, "give a function, or None")


def check_inside(of: Strategy | None) -> None:
    """Refuse what is no strategy.

    Raises:
        UsageError: As above.
    """
    if of is not None and not isinstance(of, Strategy):
        raise UsageError("of", of, "give the strategy inside, such as Vote(4), or None")


def check_flags(**flags: object) -> None:
    """Refuse what is neither true nor false: any text counts as true.

    Raises:
        UsageError: As above.
    """
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise UsageError(name, value, "give True or False")


def check_vary(vary: Vary | None) -> None:
    """Refuse what says nothing of how draws differ.

    Raises:
        UsageError: As above.
    """
    if not isinstance(vary, Vary | None):
        raise UsageError("vary", vary, "give Vary(prompts=, temperatures=, samplers=), or None")


def check_stop(stop: Stop, n: int, *, scored: bool) -> None:
    """Refuse what is no stop rule, or one that can never fire.

    Raises:
        UsageError: As above.
    """
    if not isinstance(stop, Stop):
        raise UsageError("stop", stop, "give a stop rule such as Settled() or Lead(3)")
    stop.validate(n, scored=scored)
