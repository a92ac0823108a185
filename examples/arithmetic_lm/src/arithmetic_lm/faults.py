"""What can go wrong at the server, and when."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Fault = Literal[
    "429",
    "500",
    "reset",
    "garbage",
    "hang",
    "cut",
    "trickle",
    "no usage",
    "no choices",
    "one choice",
    "choices twice",
    "other model",
]
"""What can go wrong with a request.

Too many requests, a server error, a cut connection, a body or an event of a stream that is no JSON,
no reply ever; a reply that is cut off in its middle, or sent in drops; a reply without usage,
without choices, with one choice whatever `n` was, with each choice twice, of a model with another
name.
"""


@dataclass(frozen=True)
class Faults:
    """Delays and faults, all seeded.

    Args:
        latency: Seconds before every reply.
        jitter: Largest extra delay in seconds, uniform.
        straggler_share: Share of the requests that take `straggler_seconds` longer.
        straggler_seconds: Extra delay of a straggler in seconds.
        schedule: Fault by request number, counted from 1 in order of arrival.
        sticky: Whether a fault of the schedule lasts for every later request, until the next
            number in the schedule.
        rates: Chance of each fault for requests the schedule says nothing about.
        retry_after: Seconds of the ``Retry-After`` header of a 429; None leaves it out.
        seed: Same seed, same delays and faults by request number.
    """

    latency: float = 0.0
    jitter: float = 0.0
    straggler_share: float = 0.0
    straggler_seconds: float = 0.0
    schedule: Mapping[int, Fault] = field(default_factory=dict[int, Fault])
    sticky: bool = False
    rates: Mapping[Fault, float] = field(default_factory=dict[Fault, float])
    retry_after: float | None = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if unknown := {*self.schedule.values(), *self.rates} - set(get_args(Fault)):
            raise ValueError(f"unknown faults: {', '.join(sorted(unknown))}")
        if sum(self.rates.values()) > 1:
            raise ValueError("the rates add up to more than 1")

    def fault(self, number: int) -> Fault | None:
        """Return the fault of the request `number`, if it has one."""
        if number in self.schedule:
            return self.schedule[number]
        earlier = [at for at in self.schedule if at < number]
        if self.sticky and earlier:
            return self.schedule[max(earlier)]
        point = random.Random(f"{self.seed}/fault/{number}").random()
        for fault, rate in self.rates.items():
            if (point := point - rate) < 0:
                return fault
        return None

    def delay(self, number: int) -> float:
        """Return the seconds the request `number` waits before its reply."""
        rng = random.Random(f"{self.seed}/delay/{number}")
        straggles = rng.random() < self.straggler_share
        return self.latency + self.jitter * rng.random() + straggles * self.straggler_seconds
