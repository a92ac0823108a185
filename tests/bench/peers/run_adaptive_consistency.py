"""AdaptiveConsistency: its stopping rule, asked after every reply.

Its own loop (`AC.eval_loop`) calls a method that does not exist, so the loop is written here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptive_consistency import AC, BetaStoppingCriteria
from openai import OpenAI
from runner import N, answer_of, run

if TYPE_CHECKING:
    from runner import Ask, Task


def beta(task: Task) -> Ask:
    """One request after the other, until the posterior of the leader reaches .95."""
    client = OpenAI(base_url=task.url, api_key="none", timeout=task.timeout)
    rule = AC(max_gens=N, stop_criteria=BetaStoppingCriteria(0.95))

    def draw(prompt: str) -> str:
        messages = [{"role": "user", "content": prompt}]
        reply = client.chat.completions.create(model="replay", messages=messages)
        return reply.choices[0].message.content

    def ask(prompt: str) -> str:
        replies: dict[str, str] = {}
        answers: list[str] = []
        for _ in range(rule.max_gens):
            reply = draw(prompt)
            answer = answer_of(reply)
            if answer is not None:
                answers.append(answer)
            replies.setdefault(answer, reply)
            if answers and rule.should_stop(answers):
                break
        winner = max(answers, key=answers.count) if answers else None
        return replies[winner]

    return ask


if __name__ == "__main__":
    run({"Beta .95": beta})
