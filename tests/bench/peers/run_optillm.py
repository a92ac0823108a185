"""optillm: two of its approaches, called as functions: without the hop through its proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openai import OpenAI
from optillm.plugins import majority_voting_plugin
from optillm.self_consistency import AdvancedSelfConsistency
from runner import N, run

if TYPE_CHECKING:
    from runner import Ask, Task


def client_of(task: Task) -> OpenAI:
    """The client that its proxy makes."""
    return OpenAI(base_url=task.url, api_key="none", timeout=task.timeout)


def self_consistency(task: Task) -> Ask:
    """16 replies, clustered by the similarity of their texts.

    Its proxy always draws 5; the class takes the number.
    """
    approach = AdvancedSelfConsistency(client_of(task), "replay", num_samples=N)

    def ask(prompt: str) -> str:
        clusters = approach.evaluate("", prompt)["aggregated_result"]["clusters"]
        return clusters[0]["answer"]

    return ask


def majority_voting(task: Task) -> Ask:
    """One request with n=16; its own patterns find the answers."""
    client = client_of(task)

    def ask(prompt: str) -> str:
        return majority_voting_plugin.run("", prompt, client, "replay", {"k": N})[0]

    return ask


if __name__ == "__main__":
    run({"self_consistency": self_consistency, "majority_voting": majority_voting})
