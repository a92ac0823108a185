"""What the core sends, read back: backends count the tokens and the cost of the ledger."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from thinktwice import AtMost, BestOfN, Budget, Completion, Usage, Vote, solve
from thinktwice.testing import ScriptedSampler

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning"),
]
PLAIN = Usage(input_tokens=1000, output_tokens=500, source="provider")


def said(usage: Usage | None = PLAIN, model: str | None = "acme-1", **more: object):
    """A completion."""
    return Completion(value="391", usage=usage, model=model, **more)


async def test_a_vote(project, price_file):
    """Five calls, at their price."""
    ask = ScriptedSampler(["391"], model="acme-1", input_tokens=1000, output_tokens=500)
    with project.sent():
        result = await solve(
            "17 * 23", sampler=ask, strategy=Vote(5, stop=AtMost(5)), prices=price_file
        )
    project.results.append(result)
    assert project.cost == pytest.approx(5 * 0.00625)
    project.agrees()


async def test_several_requests(project, price_file):
    """A trace each, and their sum."""
    ask = ScriptedSampler(["391"], model="acme-1", input_tokens=1000, output_tokens=500)
    with project.sent():
        for _ in range(3):
            project.results.append(
                await solve("q", sampler=ask, strategy=Vote(3), prices=price_file)
            )
    project.agrees(traces=3)


async def test_verdicts_and_strategies_inside(project, price_file):
    """A judge's calls and those of a vote inside each sample count once."""
    ask = ScriptedSampler(["391", "392"], model="acme-1", input_tokens=100, output_tokens=50)

    async def judge(text):
        reply = await solve("is it right?", sampler=ask, strategy=Vote(2), prices=price_file)
        return float(reply.agreement or 0)

    strategy = BestOfN(3, of=Vote(1), verifier=judge)
    with project.sent():
        project.results.append(await solve("q", sampler=ask, strategy=strategy, prices=price_file))
    assert project.tokens >= 150 * 5
    project.agrees()


class Asking:
    """What a function says, asked of a model that is known before the call."""

    def __init__(self, reply, model="acme-1"):
        self.reply, self.model = reply, model

    async def __call__(self, prompt, /, *, options):
        reply = self.reply()
        return await reply if asyncio.iscoroutine(reply) else reply


CACHED_PARTS = Usage(
    input_tokens=1000,
    output_tokens=500,
    cache_read_tokens=600,
    cache_write_tokens=100,
    source="provider",
)
REASONING = Usage(input_tokens=1000, output_tokens=500, reasoning_tokens=300, source="provider")


@pytest.mark.parametrize(
    ("usage", "cost"),
    [(CACHED_PARTS, 0.00560625), (REASONING, 0.00625)],
    ids=["cache", "reasoning"],
)
async def test_parts_of_the_usage(project, price_file, usage, cost):
    """Read from and written to the provider's cache, and hidden reasoning: each at its rate."""
    ask = Asking(lambda: said(usage))
    with project.sent():
        project.results.append(await solve("q", sampler=ask, strategy=Vote(1), prices=price_file))
    assert project.cost == pytest.approx(cost)
    project.agrees()


async def test_whatever_becomes_of_a_call(project, price_file):
    """One each that the caller's cache answers, that fails, without a count, and without an end."""
    number = itertools.count()

    async def reply():
        match next(number):
            case 0:
                return said(cached=True)
            case 1:
                raise ValueError("no such thing")
            case 2:
                return said(usage=None)
            case 3:
                await asyncio.sleep(600)
        return said()

    with project.sent():
        result = await solve(
            "q",
            sampler=Asking(reply),
            strategy=Vote(6, stop=AtMost(6), prefer="latency"),
            prices=price_file,
            budget=Budget(calls=6, seconds=1),
        )
    project.results.append(result)
    statuses = [entry.status for entry in result.ledger.entries]
    assert sorted(statuses) == ["cancelled", "error", *["ok"] * 4]
    assert result.ledger.estimated.usage.total_tokens
    assert result.ledger.total.unpriced
    assert project.tokens == 2 * 1500
    assert project.cost == pytest.approx(2 * 0.00625)
    project.agrees()


async def test_a_model_without_a_price(project, price_file):
    """Its tokens count, and its cost is left out, as the ledger leaves it out."""
    with project.sent():
        for model in ("acme-nobody-prices", "acme-1"):  # costs are worked out in this order
            ask = Asking(lambda model=model: said(model=model), model)
            project.results.append(
                await solve("q", sampler=ask, strategy=Vote(1), prices=price_file)
            )
    assert project.results[0].ledger.total.cost is None
    project.agrees(traces=2)


async def test_a_model_that_the_sampler_does_not_name(project, price_file):
    """Phoenix goes by the model that was asked for: it is the one that answered."""
    with project.sent():
        project.results.append(
            await solve("q", sampler=lambda prompt: said(), strategy=Vote(1), prices=price_file)
        )
    project.agrees()
