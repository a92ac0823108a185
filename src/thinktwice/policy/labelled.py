"""Questions with samples that were labelled right or wrong, and what a verifier says of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias, cast

from thinktwice.answers import key_function
from thinktwice.errors import BudgetExceeded, TypeOf, UsageError
from thinktwice.sample import Sample, Verdict
from thinktwice.shadow.behind import Judging
from thinktwice.solving import solve
from thinktwice.verifiers import as_verifier
from thinktwice.workflow import budget_scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from thinktwice.answers import Key
    from thinktwice.budget import Budget
    from thinktwice.pricing.table import Price
    from thinktwice.protocols import PriceSource, Verifier
    from thinktwice.strategy import Strategy
    from thinktwice.verifiers import Check

Judgement: TypeAlias = Verdict | float | None
"""What was said of a sample: a verdict, a bool, a score in [0, 1]; None if it was not judged."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Labelled:
    """A question with samples of which it is known whether they are right.

    Attributes:
        samples: Values as a sampler returns them, or whole `Sample`s, such as those of a result.
        right: Whether each is right.
        prompt: The question, for verifiers that read it.

    Raises:
        UsageError: There is no sample, or not one label, True or False, for each.
    """

    samples: Sequence[object]
    right: Sequence[bool]
    prompt: object = None

    def __post_init__(self) -> None:
        """See that each sample has a label."""
        if isinstance(self.samples, str) or not isinstance(self.samples, Sequence):
            raise UsageError("samples", TypeOf(self.samples), "give a list of values or samples")
        if len(self.samples) != len(self.right):
            remedy = f"give one label for each of the {len(self.samples)} samples"
            raise UsageError("right", len(self.right), remedy)
        if not self.samples:
            raise UsageError("samples", self.samples, "give at least one sample")
        odd = [each for each in self.right if not isinstance(each, bool)]
        if odd:
            raise UsageError("right", odd[0], "label each sample True or False")

    def __repr__(self) -> str:
        """One line without content."""
        return f"<Labelled: {sum(self.right)} of {len(self.samples)} samples right>"

    def drawn(self, key: str | Key | None = None) -> list[Sample[object]]:
        """The samples in their order, each with its answer.

        Args:
            key: What answers are told apart by, as in `Vote`; None keeps the answer of a `Sample`,
                and goes by the type of a value.
        """
        answer = key_function(key)
        return [_sample(index, each, key, answer) for index, each in enumerate(self.samples)]


def _sample(index: int, each: object, key: object, answer: Key) -> Sample[object]:
    if isinstance(each, Sample):
        sample = replace(cast("Sample[object]", each), index=index)
        if key is None or sample.error is not None:
            return sample
        return replace(sample, answer=answer(sample.value))
    text = each if isinstance(each, str) else None
    return Sample(index=index, value=each, answer=answer(each), text=text)


async def verdicts_of(
    verifier: Verifier[object] | Check,
    labelled: Iterable[Labelled],
    *,
    key: str | Key | None = None,
    budget: Budget | None = None,
    max_concurrency: int = 8,
    prices: Mapping[str, Price] | PriceSource | None = None,
) -> list[list[Verdict | None]]:
    """Run a verifier over labelled samples, as a run would; the labels are not shown to it.

    Keep what it returns: with it `verifier_report` and `Ensemble.fit` cost nothing. A check that
    breaks is a verdict of the outcome "error". Samples that failed or abstain are not judged, and
    those that a budget left over are not either: what was paid for is returned.

    Cost: one verdict a sample.

    Args:
        verifier: A `Verifier`, or a callable of the value.
        labelled: The questions.
        key: What answers are told apart by, as in `Vote`.
        budget: Hard caps on all of it.
        max_concurrency: Questions that are judged side by side.
        prices: USD per million tokens by model, over the list prices.

    Returns:
        For each question a verdict for each sample; None for one that was not judged.

    Raises:
        UsageError: A parameter makes no sense, or the verifier returned what is no verdict.
    """
    judge: Verifier[object] = as_verifier(verifier)
    if isinstance(max_concurrency, bool) or not max_concurrency >= 1:
        raise UsageError("max_concurrency", max_concurrency, "judge at least one at once")
    places = asyncio.Semaphore(max_concurrency)

    async def judged(question: Labelled) -> list[Verdict | None]:
        samples = question.drawn(key)
        usable = [each for each in samples if each.error is None and each.answer is not None]
        async with places:
            verdicts = await _judged(question.prompt, Judging(tuple(usable), judge), prices)
        # By the place among those that were judged; a budget may have left some over.
        said = {usable[each.sample].index: each for each in verdicts if each.sample is not None}
        return [said.get(each.index) for each in samples]

    capped: AbstractContextManager[object]
    capped = nullcontext() if budget is None else budget_scope(budget)
    try:
        with capped:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(judged(each)) for each in labelled]
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    return [task.result() for task in tasks]


async def _judged(
    prompt: object, strategy: Strategy, prices: Mapping[str, Price] | PriceSource | None
) -> Sequence[Verdict]:
    try:
        result = await solve(prompt, sampler=_nothing, strategy=strategy, prices=prices)
    except BudgetExceeded as error:
        return () if error.result is None else error.result.verdicts
    return result.verdicts


async def _nothing(prompt: object) -> object:
    """Stands where a run has its sampler: all that is judged was drawn before."""
    raise UsageError("sampler", prompt, "judging draws nothing")
