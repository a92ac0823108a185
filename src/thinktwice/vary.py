"""How the draws of one run differ: their prompts, temperatures and samplers, in random order."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast

from thinktwice.errors import TypeOf, UsageError, is_number
from thinktwice.prompting import is_conversation

if TYPE_CHECKING:
    from thinktwice.protocols import Options
    from thinktwice.sampling import Source

P = TypeVar("P")
T = TypeVar("T")
X = TypeVar("X")

Edit: TypeAlias = Callable[..., object]
"""From the input of a run to the input of one draw."""

HOTTEST: Final = 2.0
"""No provider takes a higher temperature."""

_HERE: Final = "{prompt}"
_ENOUGH: Final = 3
_TWICE: Final = "one is there twice: give different ones"


@dataclass(frozen=True)
class Variant:
    """How one draw differs from the others of its run.

    Attributes:
        name: For `Sample.variant`, spans and tables; holds nothing of a prompt.
        edit: Makes the input of this draw from the run's; None leaves it as it is.
        options: Settings of this draw, over those of the run.
        sampler: Name of the sampler; None for the run's own.
    """

    name: str
    edit: Edit | None = None
    options: Options = field(default_factory=dict[str, object])
    sampler: str | None = None

    def edited(self, prompt: P) -> P:
        """The input of this draw.

        Raises:
            UsageError: The edit raised, returned nothing, or does not fit such an input.
        """
        if self.edit is None:
            return prompt
        try:
            edited = self.edit(prompt)
        except UsageError:
            raise
        except Exception as error:
            remedy = f"it raised {type(error).__name__}: return the input of this draw"
            raise UsageError("prompts", self.name, remedy) from error
        if edited is None:
            raise UsageError("prompts", self.name, "it returned None: return the input of a draw")
        return cast("P", edited)


@dataclass(frozen=True)
class Vary:
    """Different prompts, temperatures or samplers for the draws of one run.

    Samples of one prompt share its blind spots; those of different prompts or models share fewer.
    The number of calls stays the same. Whether it helps is to be measured: see `diversity`.

    Draws are balanced: every combination once, in random order, then every combination once again,
    and so on. If there are more combinations than draws, each dimension has such an order of its
    own.

    Attributes:
        prompts: A string is an instruction put after the prompt, or a template if it contains
            "{prompt}" ("{prompt}" alone is the prompt as it is); it edits a `str`, or the last
            user message of a chat. For other inputs give functions of the input. A mapping names
            them; else they are "prompt 0", "prompt 1", ...
        temperatures: Of the calls, each in [0, 2]; the samplers must take options.
        samplers: Names of samplers of the run.
        seed: Fixes the order, the same for all requests, for tests and examples. By default each
            run has a fresh one, which `Settled` needs for its claim.

    Raises:
        UsageError: Nothing varies, a value is there twice, or it makes no sense.
    """

    prompts: Sequence[str | Edit] | Mapping[str, str | Edit] = ()
    temperatures: Sequence[float] = ()
    samplers: Sequence[str] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        if isinstance(self.prompts, Mapping):
            object.__setattr__(self, "prompts", dict(self.prompts))
        else:
            object.__setattr__(self, "prompts", _listed("prompts", self.prompts))
        object.__setattr__(self, "temperatures", _listed("temperatures", self.temperatures))
        object.__setattr__(self, "samplers", _listed("samplers", self.samplers))
        if not (self.prompts or self.temperatures or self.samplers):
            raise UsageError("vary", self, "give prompts=, temperatures= or samplers=")
        _check_prompts(self._named)
        _check_temperatures(self.temperatures)
        _check_samplers(self.samplers)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int | None):
            raise UsageError("seed", self.seed, "give a whole number, or None for fresh orders")

    @property
    def count(self) -> int:
        """How many different variants there are."""
        return prod(len(each) for each in self._dimensions)

    def variants(self, n: int) -> tuple[Variant, ...]:
        """One for each of n draws, in launch order; another order at each call, unless seeded."""
        rng = random.Random(self.seed)
        if self.count <= n:
            combinations = [_crossed(*parts) for parts in product(*self._dimensions)]
            return tuple(_in_blocks(combinations, n, rng))
        orders = [_in_blocks(each, n, rng) for each in self._dimensions]
        return tuple(_crossed(*parts) for parts in zip(*orders, strict=True))

    def check(self, sources: Mapping[str, Source[P, T]]) -> None:
        """Refuse what the samplers of a run cannot do.

        Raises:
            UsageError: There is no such sampler, or one would drop the temperature.
        """
        for name in self.samplers:
            if name not in sources:
                remedy = f"this run has the samplers {', '.join(sources)}"
                raise UsageError("samplers", name, remedy)
        for name in self.samplers or list(sources)[:1]:
            if self.temperatures and not sources[name].takes_options:
                remedy = (
                    f"the sampler {name!r} takes the prompt alone, so they would be dropped: give "
                    "it a parameter `options`"
                )
                raise UsageError("temperatures", self.temperatures, remedy)

    def void(self, n: int) -> str | None:
        """Why `Settled` claims nothing about n draws that vary so; None if its claim stands.

        Where each variant is drawn three times, the first draws tell more about the rest than
        independent ones would: the risk is largest where the variants do not differ, and there it
        is that of a run without them. Where they are drawn once or twice it can be twice as large.
        """
        if self.count == 1:
            return None
        if self.seed is not None:
            return "a fixed order of variants"
        return "fewer than three draws of each variant" if n < _ENOUGH * self.count else None

    @property
    def _named(self) -> Mapping[str, str | Edit]:
        if isinstance(self.prompts, Mapping):
            return self.prompts
        return {f"prompt {index}": prompt for index, prompt in enumerate(self.prompts)}

    @property
    def _dimensions(self) -> list[list[Variant]]:
        """Of each dimension the variants that differ in nothing else."""
        prompts = [
            Variant(name, edit=_Instruction(edit) if isinstance(edit, str) else edit)
            for name, edit in self._named.items()
        ]
        temperatures = [
            Variant(f"temperature {each:g}", options={"temperature": each})
            for each in self.temperatures
        ]
        samplers = [Variant(name, sampler=name) for name in self.samplers]
        return [each for each in (prompts, temperatures, samplers) if each]


def _crossed(*parts: Variant) -> Variant:
    """One that differs in all that its parts do."""
    return Variant(
        ", ".join(part.name for part in parts),
        edit=next((part.edit for part in parts if part.edit is not None), None),
        options={name: value for part in parts for name, value in part.options.items()},
        sampler=next((part.sampler for part in parts if part.sampler is not None), None),
    )


def _in_blocks(values: Sequence[X], n: int, rng: random.Random) -> list[X]:
    """Every value once in random order, then every value once again, n in all."""
    order: list[X] = []
    while len(order) < n:
        order += rng.sample(values, len(values))
    return order[:n]


@dataclass(frozen=True)
class _Instruction:
    """Edits a `str`, or the last user message of a chat."""

    text: str

    def __call__(self, prompt: object, /) -> object:
        if isinstance(prompt, str):
            return self._put(prompt)
        if is_conversation(prompt):
            return self._put_last(cast("Sequence[Mapping[str, object]]", prompt))
        remedy = "a string edits a str or chat messages: give a function of the input"
        raise UsageError("prompts", TypeOf(prompt), remedy)

    def _put(self, prompt: str) -> str:
        if _HERE in self.text:
            return self.text.replace(_HERE, prompt)
        return f"{prompt}\n\n{self.text}"

    def _put_last(self, messages: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
        for index in range(len(messages) - 1, -1, -1):
            message = messages[index]
            content = message.get("content")
            if message.get("role") == "user" and isinstance(content, str):
                edited = {**message, "content": self._put(content)}
                return [*messages[:index], edited, *messages[index + 1 :]]
        remedy = "a string edits the text of the last user message: give a function of the input"
        raise UsageError("prompts", "messages without such a text", remedy)


def _listed(name: str, values: object) -> tuple[object, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise UsageError(name, TypeOf(values), f"give a list of {name}")
    return tuple(cast("Sequence[object]", values))


def _check_prompts(named: Mapping[str, object]) -> None:
    """Their texts are content: a message shows their names alone."""
    seen: list[object] = []
    for name, prompt in named.items():
        if not isinstance(name, str) or not name:
            raise UsageError("prompts", name, "name prompts by strings")
        if isinstance(prompt, str) and not prompt.strip():
            raise UsageError("prompts", name, f"it is empty: {_HERE!r} is the prompt as it is")
        plain = isinstance(prompt, str) or callable(prompt)
        if not plain or inspect.iscoroutinefunction(prompt):
            raise UsageError("prompts", name, "give strings or plain functions of the input")
        if prompt in seen:
            raise UsageError("prompts", name, _TWICE)
        seen.append(prompt)


def _check_temperatures(temperatures: Sequence[object]) -> None:
    for each in temperatures:
        if not is_number(each) or not 0 <= each <= HOTTEST:
            raise UsageError("temperatures", each, f"give numbers from 0 to {HOTTEST:g}")
    if len(set(temperatures)) < len(temperatures):
        raise UsageError("temperatures", temperatures, _TWICE)


def _check_samplers(samplers: Sequence[object]) -> None:
    for name in samplers:
        if not isinstance(name, str):
            raise UsageError("samplers", name, "give names of samplers of the run")
    if len(set(samplers)) < len(samplers):
        raise UsageError("samplers", samplers, _TWICE)
