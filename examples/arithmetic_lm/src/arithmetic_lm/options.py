"""How to sample: the options every door takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, cast, get_args

Effort = Literal["low", "medium", "high"]
"""How much is written: the answer at once, the working, or the working with a re-check."""

DEFAULT_TEMPERATURE = 0.8


@dataclass(frozen=True)
class Options:
    """How to sample a reply.

    Args:
        temperature: 0 is greedy; 1 samples the model's own distribution.
        seed: Makes the reply repeatable; None takes fresh entropy.
        max_tokens: Most tokens of the reply; None leaves it to the context.
        stop: Texts that end the reply and are not part of it.
        top_logprobs: How many of the most probable tokens to report at each position, up to 20,
            which is all that `small` can write.
        effort: How much to write; other than "medium" only for models that have learnt it.
    """

    temperature: float = DEFAULT_TEMPERATURE
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int = 0
    effort: Effort = "medium"

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature must be at least 0, not {self.temperature}")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if not 0 <= self.top_logprobs <= 20:
            raise ValueError(f"top_logprobs must be 0 to 20, not {self.top_logprobs}")
        if self.effort not in get_args(Effort):
            raise ValueError(f"effort must be low, medium or high, not {self.effort!r}")


def options_from(given: Mapping[str, object]) -> Options:
    """Return checked options.

    Raises:
        ValueError: An option is unknown or of the wrong type.
    """
    if unknown := set(given) - {field.name for field in fields(Options)}:
        raise ValueError(f"unknown options: {', '.join(sorted(unknown))}")
    temperature = given.get("temperature", DEFAULT_TEMPERATURE)
    seed, max_tokens, stop = given.get("seed"), given.get("max_tokens"), given.get("stop")
    if isinstance(temperature, bool) or not isinstance(temperature, int | float):
        raise ValueError(f"temperature must be a number, not {temperature!r}")
    if seed is not None and not isinstance(seed, int):
        raise ValueError(f"seed must be an integer, not {seed!r}")
    if max_tokens is not None and not isinstance(max_tokens, int):
        raise ValueError(f"max_tokens must be an integer, not {max_tokens!r}")
    top = given.get("top_logprobs") or 0
    if isinstance(top, bool) or not isinstance(top, int):
        raise ValueError(f"top_logprobs must be an integer, not {top!r}")
    effort = cast("Effort", given.get("effort") or "medium")
    return Options(float(temperature), seed, max_tokens, _stops(stop), top, effort)


def _stops(stop: object) -> tuple[str, ...]:
    if stop is None:
        return ()
    if isinstance(stop, str):
        return (stop,)
    texts = cast("list[object]", stop) if isinstance(stop, list | tuple) else [stop]
    found = tuple(text for text in texts if isinstance(text, str) and text)
    if len(found) != len(texts):
        raise ValueError(f"stop must be a text or a list of texts, not {stop!r}")
    return found
