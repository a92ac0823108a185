"""Answers about a handbook, checked against its passages.

Three scenes: what grounding finds in one answer, best-of-N by grounding, and a knockout for free
text where nothing can be looked up. Replies of models are written down here, so that no key and no
network are needed; the retriever and the checks are real.
"""

from __future__ import annotations

import asyncio
import re

from thinktwice import BestOfN, Sample, solve
from thinktwice.selection import Knockout
from thinktwice.testing import ScriptedSampler
from thinktwice.verifiers import Grounding, PairwiseJudge

HANDBOOK = [
    "Employees have 28 days of holiday a year. Up to 5 of them can be carried over until 31 March.",
    "| trip | per diem |\n|---|---|\n| inland | 30 euros |\n| abroad | 45 euros |",
    'Working from home: "at most three days a week", agreed with the head of the team.',
]

ANSWERS = [
    "You get 30 days of holiday a year [1]. Abroad the per diem is 30 euros [2].",
    "You get 28 days of holiday a year [1]. Abroad the per diem is 45 euros [2].",
    "You get 28 days of holiday a year. Each year 10 of them can be carried over.",
]


async def search(query: str) -> list[str]:
    """The passages that share most words with a text, best first."""
    asked = set(re.findall(r"[a-z]{4,}", query.lower()))
    shared = {
        text: len(asked.intersection(re.findall(r"[a-z]{4,}", text.lower()))) for text in HANDBOOK
    }
    return sorted((text for text in HANDBOOK if shared[text]), key=lambda text: -shared[text])


async def one_answer() -> None:
    """What is said of an answer, claim by claim."""
    print("1. What grounding finds")
    grounding = Grounding(HANDBOOK)
    for number, answer in enumerate(ANSWERS):
        verdict = await grounding(Sample(index=number, value=answer), prompt="Holiday and trips?")
        print(f"   {verdict.outcome:<6} {verdict.score:.2f}  {answer}")
        for each in verdict.evidence:
            print(f"                {each}")


async def best() -> None:
    """The answer whose claims are supported."""
    result = await solve(
        "How many days of holiday, and what per diem abroad?",
        sampler=ScriptedSampler(ANSWERS),
        strategy=BestOfN(3, verifier=Grounding(retriever=search, retrieve_by="claim")),
    )
    print("\n2. Best of 3, with passages found for each claim")
    print(f"   {result.value}")
    print(f"   {[f'{each.outcome} {each.score:.2f}' for each in result.verdicts]}, {result.ledger}")


def shorter(prompt: str) -> str:
    """Stands for a model that compares: it prefers what is shorter."""
    one, other = re.findall(r'^<candidate_[AB] \w+>\n"(.*)"$', prompt, re.MULTILINE)
    return '{"better": "A"}' if len(one) < len(other) else '{"better": "B"}'


async def knockout() -> None:
    """Free text, in pairs and both orders."""
    ask = ScriptedSampler(
        [
            "Please ask the head of your team whether you can.",
            "Ask your head.",
            "Ask the head first.",
        ]
    )
    judge = PairwiseJudge(shorter, rubric="The better answer is the shorter one.")
    result = await solve(
        "May I work from home on Friday?", sampler=ask, strategy=BestOfN(3, select=Knockout(judge))
    )
    print("\n3. Knockout")
    asked = result.ledger.by_role["verify"].calls
    print(f"   {result.value} (the judge was asked {asked} times: 2 matches in 2 orders)")


async def main() -> None:
    """All scenes."""
    await one_answer()
    await best()
    await knockout()


if __name__ == "__main__":
    asyncio.run(main())
