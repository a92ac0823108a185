"""What the bench of repairs compares: checks, strategies, and draws that all of them share."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from arithmetic_lm import ArithmeticSampler, Problem, final_answer
from arithmetic_lm.countdown import read_countdown
from arithmetic_lm.critic import ArithmeticCritic
from arithmetic_lm.price import read_price_list
from arithmetic_lm.problems import FAMILIES, answer_to, first_fault, problems, settled

from thinktwice import BestOfN, Sample, Verdict, Vote, solve
from thinktwice.prompting import TextPrompting
from thinktwice.strategies.critique_repair import CritiqueRepair
from thinktwice.strategies.tool_check import ToolCheck
from thinktwice.verifiers.calculator import Calculator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from thinktwice import Completion, Strategy
    from thinktwice.entry import Role

AT_ONCE = 64  # questions: as many as the engine has slots
MOST = 8  # calls of the votes and of best-of-n
TEMPERATURE = 0.8

SUMS = tuple(name for name in FAMILIES if name != "precedence")
GROUPS: Mapping[str, tuple[str, ...]] = {
    "sums": SUMS,
    "precedence": ("precedence",),
    "price": ("price",),
    "countdown": ("countdown",),
}
"""Families that are counted together. Of "precedence" the model learnt a wrong rule."""


def asked(group: str, count: int) -> list[Problem]:
    """Questions that training did not see."""
    return problems(count, families=GROUPS[group])


def key_of(group: str) -> Callable[[str | None], str | None]:
    """What votes are counted by: the last number, or the operations of a countdown.

    A sum or a price list has one solution; of a countdown every right one is another text. None
    abstains, and so does a run inside a vote whose samples all did.
    """

    def number(text: str | None) -> str | None:
        return None if text is None else final_answer(text)

    def operations(text: str | None) -> str | None:
        return None if text is None or number(text) is None else settled(text)

    return operations if group == "countdown" else number


# ---- draws --------------------------------------------------------------------------------------


class Draws:
    """The model, and all that it has said: the n-th reply to a prompt is the same for everybody."""

    def __init__(self, model: str) -> None:
        self.sampler = ArithmeticSampler(model=model, temperature=TEMPERATURE)
        self.said: dict[tuple[str, float, int], Completion[str]] = {}

    async def reply(
        self, prompt: str, temperature: float, number: int, top: object
    ) -> Completion[str]:
        """The reply of this number, with so many alternatives to each token."""
        key = (prompt, temperature, number)
        if key not in self.said:
            digest = hashlib.blake2b(repr(key).encode(), digest_size=6).digest()
            seed = int.from_bytes(digest)
            options = {"temperature": temperature, "seed": seed, "top_logprobs": top}
            self.said[key] = await self.sampler(prompt, options=options)
        return self.said[key]


class Asker:
    """A sampler for one run, which begins at the first reply to each prompt."""

    provider = "local"

    def __init__(self, draws: Draws) -> None:
        self.model = draws.sampler.model
        self._draws = draws
        self._asked: Counter[tuple[str, float]] = Counter()

    async def __call__(self, prompt: str, /, *, options: Mapping[str, object]) -> Completion[str]:
        temperature = float(options.get("temperature", TEMPERATURE))  # type: ignore[arg-type]
        number = self._asked[prompt, temperature]
        self._asked[prompt, temperature] += 1
        return await self._draws.reply(prompt, temperature, number, options.get("top_logprobs", 0))


# ---- checks -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exact:
    """Knows the right answer: of a countdown anybody can, of the rest it is an oracle."""

    name: str = "exact"
    exact: bool = True
    calls: int = 0
    role: Role = "tool"

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Say what the first wrong line is, of a wrong answer."""
        question, text = str(prompt), str(sample.value)
        fault = first_fault(question, text)
        same = read_countdown(question) is None and final_answer(text) == str(answer_to(question))
        if fault is None or same:
            return Verdict(outcome="pass")
        return Verdict(outcome="fail", feedback=f"Line {fault.line}: {fault.reason}.")


@dataclass(frozen=True)
class ListCheck:
    """Compares what a draft reads with the price list; of arithmetic it knows nothing."""

    name: str = "list"
    exact: bool = False
    calls: int = 0
    role: Role = "tool"

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Say which row was misread, or which item is left out."""
        wanted = read_price_list(str(prompt))
        if wanted is None:
            return Verdict(outcome="not_applicable")
        left, number = dict(wanted.bought), 0
        for number, line in enumerate(settled(str(sample.value)).splitlines(), 1):
            item = re.fullmatch(r"([a-z]+) (\d+)\*(\d+)=\d+", line)
            if item is None:
                break
            price, count = wanted.prices.get(item[1]), left.pop(item[1], None)
            if (price, count) != (int(item[2]), int(item[3])):
                said = f"the list says {item[1]} {price}, and asked for are {count or 0}"
                return Verdict(outcome="fail", feedback=f"Line {number}, `{line}`: {said}.")
        if left:
            missing = f"Line {number}: before it, {' and '.join(left)} is left out."
            return Verdict(outcome="fail", feedback=missing)
        return Verdict(outcome="pass")


def own_critic(sampler: Asker) -> ArithmeticCritic:
    """The model's own skill of checking, sampled anew each time that it is asked."""
    return ArithmeticCritic(sampler, name="own critic")


# ---- strategies ---------------------------------------------------------------------------------

Arm: TypeAlias = "Callable[[Asker], Strategy]"
DRAFT, OWN = "draft", "repair, own critique"
HASTY = f"{OWN}, `confirm=1`"


def vote(group: str, n: int, of: Strategy | None = None) -> Arm:
    """One by one, as long as it is not settled."""
    return lambda _: Vote(n, key=key_of(group), prefer="cost", of=of)


def arms(group: str) -> dict[str, Arm]:
    """What is compared on a group of families."""
    key = key_of(group)

    def repaired(check: object, **more: object) -> CritiqueRepair:
        return CritiqueRepair(check, key=key, **more)  # type: ignore[arg-type]

    best = BestOfN(MOST, verifier=Exact(), key=key, prefer="cost")
    calculator, both = repaired(Calculator()), ToolCheck(Calculator(), ListCheck(), key=key)
    inject = ToolCheck(Calculator(), on_fail="inject", key=key)
    common: dict[str, Arm] = {
        DRAFT: vote(group, 1),
        OWN: lambda ask: repaired(own_critic(ask)),
        HASTY: lambda ask: repaired(own_critic(ask), confirm=1),
        f"vote of {MOST}": vote(group, MOST),
    }
    exact: dict[str, Arm] = {
        "repair, exact check": lambda _: repaired(Exact()),
        f"repair, exact check, {MOST - 1} rounds": lambda _: repaired(Exact(), rounds=MOST - 1),
        f"best of {MOST}, exact check": lambda _: best,
    }
    tools: dict[str, Arm] = {
        "repair, calculator": lambda _: calculator,
        "inject, calculator": lambda _: inject,
        f"vote of {MOST} repaired by calculator": vote(group, MOST, calculator),
    }
    listed: dict[str, Arm] = {
        "repair, list check": lambda _: repaired(ListCheck()),
        "repair, calculator and list check": lambda _: both,
        f"vote of {MOST} repaired by both": vote(group, MOST, both),
    }
    oracle: dict[str, Arm] = {
        "repair, oracle": lambda _: repaired(Exact()),
        f"best of {MOST}, oracle": lambda _: best,
    }
    if group == "countdown":
        return common | exact
    return common | tools | (listed if group == "price" else {}) | oracle


# ---- trials -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """One run: whether its answer is right, and what it cost."""

    right: bool
    calls: int
    tokens: int


def trials(arm: Arm, questions: Sequence[Problem], draws: Draws) -> list[Trial]:
    """One for each question, some at once."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(problem: Problem) -> Trial:
        ask = Asker(draws)
        async with gate:
            result = await solve(problem.question, sampler=ask, strategy=arm(ask))
        total = result.ledger.total
        return Trial(is_right(problem, result.value), total.calls, total.usage.total_tokens or 0)

    return _each(one, questions)


def is_right(problem: Problem, text: str | None) -> bool:
    """Of what a strategy returned."""
    return text is not None and problem.is_right(problem.answer_in(text))


@dataclass(frozen=True)
class Round:
    """One revision of a draft that nothing decides about."""

    before: bool
    after: bool


def blind_rounds(questions: Sequence[Problem], draws: Draws) -> list[Round]:
    """Each draft revised on the word of the model's own check, and the revision taken as it is."""
    gate, prompting = asyncio.Semaphore(AT_ONCE), TextPrompting()

    async def one(problem: Problem) -> Round:
        ask = Asker(draws)
        async with gate:
            draft = (await ask(problem.question, options={})).value
            sample = Sample(index=0, value=draft)
            verdict = await own_critic(ask)(sample, prompt=problem.question)
            feedback = verdict.feedback or "Is every line right?"
            again = await ask(prompting.revise(problem.question, draft, feedback), options={})
        return Round(is_right(problem, draft), is_right(problem, again.value))

    return _each(one, questions)


def _each(one: Callable[[Problem], object], questions: Sequence[Problem]) -> list:
    async def every() -> list[object]:
        return await asyncio.gather(*map(one, questions))

    return asyncio.run(every())
