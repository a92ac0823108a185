"""What a user writes, for type checkers: this file is never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_type

from thinktwice import (
    AtMost,
    BestOfN,
    Budget,
    Certain,
    Completion,
    GoodEnough,
    Lead,
    Outcome,
    Result,
    Run,
    Sample,
    Settled,
    Stop,
    Strategy,
    Usage,
    Verdict,
    Vote,
    solve,
    solve_sync,
)
from thinktwice.pool import Pool
from thinktwice.shadow import Shadow, ShadowReport
from thinktwice.strategies.deepconf import DeepConf
from thinktwice.strategies.perplexity_consistency import PerplexityConsistency
from thinktwice.verifiers import (
    ExactMatch,
    Judge,
    Likelihood,
    NumericMatch,
    PTrue,
    SelfCertainty,
    TokenConfidence,
)

if TYPE_CHECKING:
    from thinktwice.protocols import Options, Verifier


async def completes(prompt: str) -> Completion[str]: ...
async def answers(prompt: str) -> int: ...
def blocks(prompt: str) -> str: ...
async def takes_options(prompt: str, /, *, options: Options) -> Completion[float]: ...
async def takes_positional(prompt: str, options: Options) -> Completion[bytes]: ...
def passes(value: object) -> bool: ...
async def scores(value: str) -> float: ...


def sums_keep_their_type(usage: Usage) -> None:
    assert_type(usage + usage, Usage)


def values_keep_their_type(completion: Completion[str], sample: Sample[int]) -> None:
    assert_type(completion.value, str)
    assert_type(sample.value, int | None)


async def results_have_the_type_of_the_sampler() -> None:
    assert_type(await solve("q", sampler=completes, strategy=Vote(3)), Result[str])
    assert_type(await solve("q", sampler=answers, strategy=Vote(3)), Result[int])
    assert_type(await solve("q", sampler=blocks, strategy=Vote(3)), Result[str])
    assert_type(await solve("q", sampler=takes_options, strategy=Vote(3)), Result[float])
    assert_type(await solve("q", sampler=takes_positional, strategy=Vote(3)), Result[bytes])
    assert_type(solve_sync("q", sampler=blocks, strategy=Vote(3)), Result[str])


async def a_shadow_changes_no_type(prompt: str) -> None:
    shadow = Shadow(0.05, budget=Budget(cost="5"), verifier=passes)
    assert_type(await solve(prompt, sampler=answers, strategy=Vote(3), shadow=shadow), Result[int])
    assert_type(solve_sync(prompt, sampler=blocks, strategy=Vote(3), shadow=shadow), Result[str])
    assert_type(shadow.report, ShadowReport)


async def a_pool_has_the_type_of_its_samplers() -> None:
    assert_type(Pool([completes, completes]), Pool[str, str])
    result = await solve("q", sampler=Pool([blocks]), strategy=Vote(2))
    assert_type(result, Result[str])


async def samplers_compose() -> None:
    two = {"small": completes, "large": completes}
    assert_type(await solve("q", sampler=two, strategy=Vote(3)), Result[str])
    voted = Vote(3).over(completes)
    assert_type(await voted("q"), Completion[str])
    assert_type(await solve("q", sampler=voted, strategy=Vote(3)), Result[str])
    Vote(8, of=BestOfN(4, verifier=passes))


def everything_shipped_is_a_verifier() -> list[Verifier[str]]:
    judge = Judge(completes, rubric="Correct?")
    confidences = [Likelihood(), TokenConfidence("tail"), SelfCertainty(), PTrue(completes)]
    return [ExactMatch("a"), NumericMatch(1), judge, *confidences]


async def confidences_are_weights_too(sample: Sample[object]) -> None:
    assert_type(Likelihood()(sample), float | None)
    assert_type(await Likelihood()(sample, prompt="q"), Verdict)
    Vote(8, weight=TokenConfidence(scale=10))
    Vote(8, weight=lambda each: each.mean_logprob)
    DeepConf(32, confidence=Likelihood(over="least"))
    DeepConf(32, confidence=lambda each: each.seconds)
    voted = await solve("q", sampler=answers, strategy=PerplexityConsistency(8))
    assert_type(voted, Result[int])


def callables_are_verifiers_too() -> None:
    BestOfN(3, verifier=passes)
    BestOfN(3, verifier=scores)


def rules_combine(rule: Stop) -> Stop:
    return Settled(risk=0.05) | GoodEnough(0.9) | (Lead(3) & AtMost(6)) | Certain() | rule


def budgets_take_strings() -> Budget:
    return Budget(calls=8, tokens=1000, cost="0.05", seconds=20)


@dataclass(frozen=True)
class First(Strategy):
    """A strategy of one's own."""

    async def __call__(self, run: Run[object, str]) -> Outcome[str]:  # type: ignore[override]
        sample = await run.sample()
        assert_type(sample, Sample[str])
        assert_type(await run.verify(sample, ExactMatch("a")), Verdict)
        return Outcome(winner=sample)
