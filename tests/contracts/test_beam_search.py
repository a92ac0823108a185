"""A strategy of one's own, on public names: tracing, budgets and cancellation come with it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from thinktwice import (
    Budget,
    BudgetExceeded,
    Completion,
    Outcome,
    Result,
    Run,
    Sample,
    Strategy,
    Usage,
    Verdict,
    budget_scope,
    solve,
)
from thinktwice.testing import captured_spans, run_virtual
from thinktwice.verifiers import as_verifier

pytestmark = pytest.mark.usefixtures("silent_remarks")
WORD = "carbonic"
STEP = Usage(input_tokens=8, output_tokens=1, source="provider")


@dataclass(frozen=True)
class BeamSearch(Strategy):
    """Write step by step, and go on with the `width` best of what each beginning leads to.

    The first step is the large model's, all others are the small one's.
    """

    width: int
    branches: int
    steps: int
    verifier: object = field(kw_only=True)

    @property
    def calls(self) -> int:
        """Of the models; the verifier makes none."""
        return self.branches + (self.steps - 1) * self.width * self.branches

    async def __call__(self, run: Run[str, str]) -> Outcome[str]:
        verifier = as_verifier(self.verifier)
        beams, best, score = [run.prompt], None, -1.0
        for step in range(self.steps):
            prompts = [beam for beam in beams for _ in range(self.branches)]
            sampler = "small" if step else "large"
            ranked: list[tuple[float, str]] = []
            async with run.draws(prompts=prompts, sampler=sampler, verifier=verifier) as draws:
                async for sample, verdict in draws:
                    if verdict is None or verdict.score is None:
                        continue  # it failed, or could not be judged
                    prompt = prompts[draws.positions[sample.index]]
                    ranked.append((verdict.score, run.prompting.extend(prompt, str(sample.value))))
                    if verdict.score > score:
                        best, score = sample, verdict.score
                        run.offer(Outcome(winner=best))
            if run.exhausted is not None or not ranked:
                break
            beams = [text for _, text in sorted(ranked, reverse=True)[: self.width]]
        return Outcome(winner=best, stopped_by=run.exhausted)


class Speller:
    """Goes on with one letter: now the right one, now a wrong one."""

    def __init__(self, model: str, *, seconds: float = 1.0) -> None:
        self.model = model
        self.max_tokens = 4
        self.seconds = seconds
        self.calls = 0
        self.cancelled = 0

    async def __call__(self, prompt: str) -> Completion[str]:
        number, self.calls = self.calls, self.calls + 1
        try:
            await asyncio.sleep(self.seconds + 0.1 * (number % 3))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        letter = WORD[len(prompt) % len(WORD)] if number % 2 else "?"
        return Completion(value=letter, usage=STEP, model=self.model)


class RightSoFar:
    """A process reward: how much of the word there is, if all of it is right."""

    name, exact = "right_so_far", False

    async def __call__(self, sample: Sample[object], /, *, prompt: str) -> Verdict:
        text = f"{prompt}{sample.value}"
        score = len(text) / len(WORD) if WORD.startswith(text) else 0.0
        return Verdict(outcome="scored", score=score, feedback=text)


def spell(samplers: dict[str, Speller] | None = None, **more: object):
    strategy = BeamSearch(2, 3, len(WORD), verifier=RightSoFar())
    models = samplers or {"large": Speller("l"), "small": Speller("s")}
    return solve("", sampler=models, strategy=strategy, **more)  # type: ignore[arg-type]


def text_of(result: Result[str]) -> str:
    """The whole text that ends in the winning step."""
    winner = result.winner
    assert winner is not None
    (verdict,) = [verdict for verdict in result.verdicts if verdict.sample == winner.index]
    return verdict.feedback or ""


def test_it_finds_what_single_draws_would_not():
    """With two samplers, each step's draws at once."""
    result = run_virtual(spell())
    assert text_of(result) == WORD
    assert {sample.sampler for sample in result.samples[:3]} == {"large"}
    assert {sample.sampler for sample in result.samples[3:]} == {"small"}
    assert len(result.samples) == 3 + 7 * 6
    assert len(result.verdicts) == len(result.samples)
    assert result.ledger.seconds == pytest.approx(8 * 1.2, abs=0.81)
    assert result.ledger.budget.calls == 45


@pytest.mark.parametrize(
    "budget",
    [Budget(calls=20), Budget(seconds=4), Budget(tokens=300)],
    ids=["calls", "seconds", "tokens"],
)
def test_a_budget_cuts_it_and_the_best_so_far_is_returned(budget: Budget):
    """A beginning that is right, marked as cut."""
    result = run_virtual(spell(budget=budget))
    assert result.cut is not None
    assert WORD.startswith(text_of(result))
    assert 0 < len(text_of(result)) < len(WORD)


def test_without_a_first_step_there_is_none():
    """The error carries the ledger."""
    with pytest.raises(BudgetExceeded) as caught:
        run_virtual(spell(budget=Budget(seconds=0.5)))
    assert len(caught.value.ledger.entries) == 3


def test_its_spans_are_those_of_any_strategy():
    """A run, a sample and a verdict for each draw, a model call in each sample."""
    with captured_spans() as spans:
        result = run_virtual(spell())
    names = [span.name for span in spans]
    drawn = len(result.samples)
    assert names.count("thinktwice.sample") == names.count("thinktwice.verify right_so_far")
    assert names.count("chat l") + names.count("chat s") == drawn == 45
    (run,) = [span for span in spans if span.name == "invoke_workflow BeamSearch"]
    assert run.attributes["thinktwice.usage.output_tokens"] == drawn
    samplers = {span.attributes.get("thinktwice.sampler") for span in spans} - {None}
    assert samplers == {"large", "small"}


def test_a_cancelled_caller_recalls_all_of_it():
    """Nothing is held and nothing runs on."""
    models = {"large": Speller("l"), "small": Speller("s")}

    async def main() -> None:
        with budget_scope(Budget(calls=100)) as ledger:
            task = asyncio.ensure_future(spell(models))
            await asyncio.sleep(1.9)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(asyncio.all_tasks()) == 1
            sent = sum(model.calls for model in models.values())
            assert ledger.remaining["calls"] == 100 - sent == 100 - ledger.total.calls
        assert models["small"].cancelled == 6

    run_virtual(main())
