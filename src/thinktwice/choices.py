"""Draws that are launched together and made by one request: provider-native n."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from thinktwice.booking import current_booking
from thinktwice.errors import BudgetExceeded, RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thinktwice.protocols import Options
    from thinktwice.sample import Completion
    from thinktwice.sampling import Source

P = TypeVar("P")
T = TypeVar("T")

IGNORED: Final = (
    "the provider answered a request for several choices with one, so each sample is a request of "
    "its own from now on, and pays for the prompt again"
)


class Choices(Generic[P, T]):
    """Gathers the draws of one run that a single request can make."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        """Begin with none.

        Args:
            warn: Told if the provider ignores how many choices are asked for.
        """
        self._warn = warn
        self._open: list[Joint[P, T]] = []

    def seat(self, source: Source[P, T], prompt: P, options: Options) -> Seat[P, T] | None:
        """A place in the request that is being put together, or in a new one.

        Draws belong together if they begin at once, of one sampler, with the same input and
        options.

        Returns:
            None where the sampler makes one choice a request.
        """
        if source.many is None or source.history.single:
            return None
        for joint in self._open:
            if joint.fits(source, prompt, options):
                return Seat(joint)
        self._open.append(Joint(self, source, prompt, options))
        return Seat(self._open[-1])

    async def make(self, joint: Joint[P, T]) -> Completion[T]:
        """Send a request, and give each draw that has a seat in it one choice.

        A draw that comes out empty, since the request failed or brought too few, takes a seat in
        another.

        Returns:
            The first choice, for the draw whose request it is. It ends after the others have
            been booked, since it carries the usage of all.
        """
        try:
            await asyncio.sleep(0)  # those that are being launched at this moment take their seats
        finally:
            self.close(joint)
        source, waiting = joint.source, [each for each in joint.seats if each.waits]
        n = 1 + len(waiting)
        if n == 1:
            return await source.complete(joint.prompt, joint.options)
        completions: Sequence[Completion[T]] = ()
        try:
            completions = await self._several(joint, n)
        finally:
            known = not source.leaf or any(each.usage is not None for each in completions)
            for seat, choice in zip(waiting, completions[1:], strict=False):
                seat.take(choice, counted=known)
            for seat in waiting[len(completions[1:]) :]:
                seat.leave()
        if not completions:
            raise RunError("the sampler returned no choice: many() must return at least one")
        await asyncio.sleep(0)
        return completions[0]

    async def _several(self, joint: Joint[P, T], n: int) -> Sequence[Completion[T]]:
        """As many of n choices as the provider makes, or as the budget affords."""
        source = joint.source
        while n > 1:
            try:
                completions = await source.several(joint.prompt, n, joint.options)
            except BudgetExceeded:
                n //= 2
                continue
            if len(completions) == 1 and not source.history.single:  # else it has been said
                source.history.single = True
                self._warn(IGNORED)
            _tell(source, completions, n)
            return completions
        return [await source.complete(joint.prompt, joint.options)]

    def close(self, joint: Joint[P, T]) -> None:
        """Nobody can take a seat in it any more."""
        if joint in self._open:
            self._open.remove(joint)


def _tell(source: Source[P, T], completions: Sequence[Completion[T]], n: int) -> None:
    """Have the span of the request say how many choices it asked for, and what came of each."""
    booking = current_booking() if source.leaf else None  # else its calls are booked further in
    if booking is not None:
        booking.answered(completions)
        booking.tell([each.finish_reason for each in completions], choices=n)


class Joint(Generic[P, T]):
    """One request for several draws.

    Attributes:
        source: Who makes it.
        prompt: The input.
        options: Settings.
        seats: The draws; the first is the one that sends it.
    """

    def __init__(
        self, choices: Choices[P, T], source: Source[P, T], prompt: P, options: Options
    ) -> None:
        """Open it."""
        self.choices = choices
        self.source = source
        self.prompt = prompt
        self.options = options
        self.seats: list[Seat[P, T]] = []

    def fits(self, source: Source[P, T], prompt: P, options: Options) -> bool:
        """Whether a draw is one of the same kind."""
        same = prompt is self.prompt or (isinstance(prompt, str) and prompt == self.prompt)
        return same and source is self.source and dict(options) == dict(self.options)


class Seat(Generic[P, T]):
    """The place of one draw in a request.

    Attributes:
        sends: It is the draw that makes the request; the others only wait.
        counted: The tokens of its choice are in the books of that draw.
    """

    def __init__(self, joint: Joint[P, T]) -> None:
        """Take it."""
        self._joint = joint
        self._choice: asyncio.Future[Completion[T] | None] | None = None
        self.counted = False
        joint.seats.append(self)
        self.sends = joint.seats[0] is self
        if not self.sends:
            self._choice = asyncio.get_running_loop().create_future()

    @property
    def source(self) -> Source[P, T]:
        """The sampler, whose call is the request of all."""
        joint = self._joint

        async def made(prompt: P, *, options: Options) -> Completion[T]:
            del prompt, options
            return await joint.choices.make(joint)

        return replace(
            joint.source, function=made, asynchronous=True, takes_options="keyword", many=None
        )

    @property
    def waits(self) -> bool:
        """It waits for what another one's request brings."""
        return self._choice is not None and not self._choice.done()

    async def choice(self) -> Completion[T] | None:
        """What the request of another draw brought for this one; None if that was nothing."""
        return None if self._choice is None else await self._choice

    def give_up(self) -> None:
        """The draw does not send its request, or did not: those who wait for it begin anew."""
        if self.sends:
            self._joint.choices.close(self._joint)
            for seat in self._joint.seats[1:]:
                seat.leave()

    def take(self, choice: Completion[T], *, counted: bool) -> None:
        """There is one for this draw."""
        self.counted = counted
        self._set(choice)

    def leave(self) -> None:
        """There is none."""
        self._set(None)

    def _set(self, choice: Completion[T] | None) -> None:
        if self._choice is not None and not self._choice.done():
            self._choice.set_result(choice)
