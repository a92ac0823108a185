"""its-hub: its algorithms over its own client, with its defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from its_hub import (
    AbstractOutcomeRewardModel,
    AdaptiveSelfConsistency,
    BestOfN,
    BetaSelfConsistency,
    OpenAICompatibleLanguageModel,
    SelfConsistency,
)
from runner import N, answer_of, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from its_hub import AbstractScalingAlgorithm
    from runner import Ask, Task


def projection(reply: str) -> str:
    """The answer; without one, the reply itself, as its own default has it.

    It has no abstentions: None would be an answer that all unreadable replies share.
    """
    return answer_of(reply) or reply.strip()


class Recorded(AbstractOutcomeRewardModel):
    """The recorded score of a reply."""

    def __init__(self, task: Task) -> None:
        self._task = task

    async def ascore(self, messages, orchestrator=None, **_: object) -> list[float]:
        return self.score(messages)

    def score(self, messages, **_: object) -> list[float]:
        return [self._task.score(said[0].content, said[-1].content) for said in messages]


def over(make: Callable[[Task], AbstractScalingAlgorithm]) -> Callable[[Task], Ask]:
    """An arm of one of its algorithms."""

    def arm(task: Task) -> Ask:
        model = OpenAICompatibleLanguageModel(
            endpoint=task.url, api_key="none", model_name="replay"
        )
        algorithm = make(task)

        async def ask(prompt: str) -> str:
            return (await algorithm.ainfer(model, prompt, budget=N))["content"]

        return ask

    return arm


def voting(algorithm: type[SelfConsistency]) -> Callable[[Task], Ask]:
    """One of its votes."""
    return over(lambda _: algorithm(consistency_space_projection_func=projection))


if __name__ == "__main__":
    run(
        {
            "SelfConsistency": voting(SelfConsistency),
            "AdaptiveSelfConsistency": voting(AdaptiveSelfConsistency),
            "BetaSelfConsistency": voting(BetaSelfConsistency),
            "BestOfN": over(lambda task: BestOfN(Recorded(task))),
        }
    )
