"""DSPy: `majority` over n=16 completions or over 16 calls at once, and `BestOfN`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import dspy
from runner import MARK, N, run

if TYPE_CHECKING:
    from runner import Ask, Task


def configured(task: Task) -> None:
    """Its client, without its response cache, which would answer all 16 with the first."""
    model = dspy.LM(
        "openai/replay",
        api_base=task.url,
        api_key="none",
        cache=False,
        temperature=1.0,
        timeout=task.timeout,
    )
    dspy.configure(lm=model)


def reply_of(prediction: dspy.Prediction) -> str:
    """The reply as the other peers get it."""
    named = prediction.answer.strip()
    return f"{prediction.reasoning}\n\n{MARK}{named}" if named else prediction.reasoning


def stripped(answer: str) -> str | None:
    """Its default normalization drops the article "a", and with it an answer "A"."""
    return answer.strip() or None


def majority(task: Task) -> Ask:
    """16 completions of a chain of thought, and the most frequent answer."""
    configured(task)
    predict = dspy.ChainOfThought("question -> answer", n=N)

    def ask(prompt: str) -> str:
        return reply_of(dspy.majority(predict(question=prompt), normalize=stripped))

    return ask


def gather(task: Task) -> Ask:
    """The same, where its user writes what runs the calls side by side."""
    configured(task)
    predict = dspy.ChainOfThought("question -> answer")

    async def ask(prompt: str) -> str:
        calls = (predict.acall(question=prompt) for _ in range(N))
        completions = await asyncio.gather(*calls)
        return reply_of(dspy.majority(completions, normalize=stripped, field="answer"))

    return ask


def best_of(task: Task) -> Ask:
    """Up to 16 attempts; the first that passes all of the model's own assertions is taken."""
    configured(task)

    def reward(given: dict, prediction: dspy.Prediction) -> float:
        return task.score(given["question"], reply_of(prediction))

    best = dspy.BestOfN(
        dspy.ChainOfThought("question -> answer"), N=N, reward_fn=reward, threshold=1.0
    )

    def ask(prompt: str) -> str:
        return reply_of(best(question=prompt))

    return ask


if __name__ == "__main__":
    run({"majority of n=16": majority, "majority of 16 acall": gather, "BestOfN": best_of})
