"""A vote on free text: a model picks the sample that most of the others agree with."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeVar, cast

from thinktwice.ballot import Ballot
from thinktwice.budget import Need
from thinktwice.entry import ZERO
from thinktwice.errors import BudgetExceeded, UsageError
from thinktwice.result import Outcome
from thinktwice.sampling import as_source
from thinktwice.stop import AtMost, claim
from thinktwice.strategy import (
    Strategy,
    check_callables,
    check_draws,
    check_inside,
    check_vary,
    nested_calls,
    nested_draws,
)
from thinktwice.texts import text_of
from thinktwice.verifiers.material import JudgePrompt, candidate_text, framed
from thinktwice.verifiers.reply import CUT_OFF, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable

    from thinktwice.protocols import Options, Sampler
    from thinktwice.run import Run
    from thinktwice.sample import Sample
    from thinktwice.vary import Vary

P = TypeVar("P")
T = TypeVar("T")

_ROLE: Final = "You are given several responses to one task, and select one of them."
_REQUEST: Final = """\
Evaluate the responses, and select the most consistent one based on majority consensus: the one \
whose content most of the others agree with. The order in which they stand is random.

Answer with one JSON object and nothing else:
{{"reason": "<what most responses agree on, in a sentence>", \
"response": <integer from 1 to {n}>}}"""

_NOT_PICKED: Final = (
    "the model did not pick a response in the form asked for, or failed, so the most frequent "
    "answer stands, or the first"
)
_NOT_ASKED: Final = (
    "a budget ended before a response was picked, so the most frequent answer stands, or the first"
)
_ENOUGH: Final = 3
"""Calls with which there is something to pick from."""
_VOID: Final = "a selection by a judge"


@dataclass(frozen=True)
class UniversalConsistency(Strategy):
    """Draw n samples, and let a model pick the one that is most consistent with the others.

    Universal self-consistency (Chen et al. 2023, arXiv:2311.17311): a vote for open-ended answers,
    where no two samples are equal and no key can be given. On maths it matches a vote. The samples
    stand in the prompt as data, in seeded random order, since models prefer a place.

    Under a cap of at least 3 calls the last one is kept for the pick. If the samples are all equal
    nobody is asked. If the reply cannot be read, the model fails, or a budget does not afford it,
    the most frequent answer wins, at a tie the first one; a warning says so.

    Cost: n samples and one call that reads them all, so n is limited by what the model can keep
    apart: 8 in the paper; with more than about 16 it gets worse.

    Attributes:
        n: Samples, all of which are drawn.
        judge: Who picks; by default the sampler itself, which then has to take what it is asked: a
            text, or chat messages as a list of dicts, as the prompt of the run is one or the other.
        layout: What the judge takes: `str` for one text, or `JudgePrompt.messages`; None goes by
            the prompt of the run.
        options: Settings of the call that picks.
        key: Which samples are equal, as in `Vote`.
        vary: As in `Vote`.
        seed: Of the order in which the samples are shown.
        of: The strategy inside: each sample is then a run of it. It takes a `judge`.

    Raises:
        UsageError: n below 1, or another unusable parameter. When it runs: the prompt is neither a
            text nor chat messages, and there is no `judge` with a `layout`.
    """

    n: int
    judge: Callable[..., object] | None = field(default=None, kw_only=True)
    layout: Callable[[JudgePrompt], object] | None = field(default=None, kw_only=True)
    options: Options | None = field(default=None, kw_only=True)
    key: str | Callable[..., Hashable | None] | None = field(default=None, kw_only=True)
    vary: Vary | None = field(default=None, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    of: Strategy | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check every parameter."""
        check_draws(self.n)
        check_vary(self.vary)
        check_inside(self.of)
        check_callables(key=self.key, judge=self.judge, layout=self.layout)
        if self.of is not None and self.judge is None:
            raise UsageError("judge", None, "say who picks: the samples are runs of a strategy")

    @property
    def draws(self) -> int:
        """Its n, times that of the strategy inside."""
        return nested_draws(self.n, self.of)

    @property
    def calls(self) -> int | None:
        """One a draw, and the one that picks."""
        drawn = nested_calls(self.n, self.of)
        return None if drawn is None else drawn + 1

    async def __call__(self, run: Run[P, T]) -> Outcome[T]:
        """Draw all, then ask."""
        layout = self._layout(run.prompt)  # before anything is paid for
        ballot: Ballot[T] = Ballot(self.n)
        with _call_kept(run):
            async with run.draws(self.n, vary=self.vary) as samples:
                async for sample, _ in samples:
                    ballot.add(sample)
        shown = [sample for group in ballot.groups for sample in group.samples]
        winner = ballot.winner()
        run.offer(Outcome(winner=winner))
        if len(ballot.groups) > 1:
            winner = await self._picked(run, shown, layout) or winner
        votes = [group for group in ballot.groups if winner in group.samples]
        tally = ballot.tally(run.seconds)
        return Outcome(
            winner=winner,
            agreement=len(votes[0].samples) / len(shown) if votes else None,
            settled=claim(None, tally, void=_VOID),
            stopped_by=run.exhausted or AtMost(self.n),
            used=tally.finished,
        )

    async def _picked(
        self, run: Run[P, T], samples: Sequence[Sample[T]], layout: Callable[[JudgePrompt], object]
    ) -> Sample[T] | None:
        """The one that the model picks; None if it picks none."""
        shown = sorted(samples, key=lambda sample: sample.index)
        random.Random(self.seed).shuffle(shown)
        judge = cast("Sampler[object, object]", self.judge or run.sampler())
        place = None
        try:
            asked = layout(_prompt(run.prompt, shown))
            reply = await run.ask(judge, asked, role="verify", options=self.options)
            if reply.finish_reason not in CUT_OFF:
                place = place_in(reply.value, len(shown))
        except (UsageError, *as_source(judge).passthrough):
            raise
        except BudgetExceeded:
            run.warn(_NOT_ASKED)
            return None
        except Exception:  # noqa: BLE001, S110 - the samples are paid for, and stand without it
            pass
        if place is None:
            run.warn(_NOT_PICKED)
        return None if place is None else shown[place]

    def _layout(self, prompt: object) -> Callable[[JudgePrompt], object]:
        """How the question is put: as the prompt of the run is, unless the caller says."""
        if self.layout is not None:
            return self.layout
        if self.judge is not None or isinstance(prompt, str):
            return str
        if isinstance(prompt, Sequence):
            return JudgePrompt.messages
        remedy = "the sampler takes neither a text nor chat messages: give the model that picks"
        raise UsageError("judge", None, remedy)


@contextmanager
def _call_kept(run: Run[P, T]) -> Generator[None]:
    """Keep the call that picks out of the reach of the draws; its tokens nobody knows yet."""
    ledger = run.ledger
    enough = ledger.remaining.get("calls", _ENOUGH) >= _ENOUGH
    got = ledger.reserve(Need(tokens=0, cost=ZERO)) if enough else None
    leases = got if isinstance(got, list) else []
    for lease in leases:
        lease.rest()  # it gives nothing back while others wait
    try:
        yield
    finally:
        for lease in leases:
            lease.release()
        if leases and run.exhausted is not None and run.exhausted.kind == "calls":
            run.exhausted = replace(run.exhausted, apart=run.exhausted.apart + len(leases))


def place_in(reply: object, n: int) -> int | None:
    """Which of n responses was picked, from 0; None if the reply is not exactly what was asked."""
    fields = fields_of(reply, "response")
    number = fields["response"] if fields else None
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= n:
        return None
    return number - 1


def _prompt(prompt: object, samples: Sequence[Sample[object]]) -> JudgePrompt:
    parts = [("task", text_of(prompt))]
    parts += [(f"response_{i}", candidate_text(each)) for i, each in enumerate(samples, 1)]
    return framed(_ROLE, parts, _REQUEST.format(n=len(samples)))
