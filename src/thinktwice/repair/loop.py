"""The loop of a repair: draw, judge, draw again with what was wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from thinktwice.errors import UsageError, is_number, status_of
from thinktwice.remarks import FAILED
from thinktwice.repair.asking import revised
from thinktwice.repair.history import History
from thinktwice.result import Outcome
from thinktwice.sampling import as_source
from thinktwice.stop import AtMost, GoodEnough

if TYPE_CHECKING:
    from collections.abc import Mapping

    from thinktwice.protocols import Options, Verifier
    from thinktwice.repair.asking import Asking
    from thinktwice.repair.history import Ending
    from thinktwice.run import Run
    from thinktwice.sample import Sample
    from thinktwice.stop import Stop

P = TypeVar("P")
T = TypeVar("T")

WARMER: Final = 0.3
_USUAL: Final = 1.0
_HOTTEST: Final = 2.0

_REMARKS: Final[Mapping[Ending, str]] = {
    "error": "a check broke, so nothing was repaired on its word: see result.verdicts",
    "unconfirmed": "the check failed the draft and then passed it: the draft stands",
    "stuck": "the repair went round in circles and ended before the check passed",
}


async def repair(
    run: Run[P, T],
    verifier: Verifier[P],
    *,
    rounds: int = 2,
    confirm: int = 2,
    asking: Asking = revised,
) -> Outcome[T]:
    """Draw once, and as long as the verifier finds something wrong draw again with what it says.

    What is returned was never scored below the draft (see `History`). A check that breaks is no
    fail: nothing is repaired on it. Where a text or an answer comes round again, one fresh sample
    of the prompt is drawn at a higher temperature, once. A budget that ends it returns what stands.

    Cost: at most 1 + `rounds` draws, and `confirm` verdicts of each, or one with an exact verifier.
    A draft that passes costs one of each.

    Args:
        run: Draws and judges.
        verifier: Finds what is wrong. A verdict without a score, or of the outcome
            "not_applicable", finds nothing.
        rounds: Draws after the draft at the most.
        confirm: Verdicts that a replacement takes, where a pass is no proof. A verifier of the role
            "tool" is asked once.
        asking: Makes the input of the next attempt.

    Raises:
        UsageError: The input cannot carry feedback, or a number is out of range.
        BudgetExceeded: A budget ended it; what stands was left with the run.
    """
    run.prompting.revise(run.prompt, "", "")  # refuse what cannot carry feedback before it costs
    if getattr(verifier, "role", "verify") == "tool":
        confirm = 1  # it would say the same again
    history: History[T] = History(exact=verifier.exact, rounds=rounds, confirm=confirm)
    history = history.drawn(await run.sample())
    while True:
        run.offer(_outcome(history))
        match history.next:
            case "verify":
                history = history.judged(await run.verify(history.last.sample, verifier))
            case "revise":
                asked = await asking(run, history)
                history = history.drawn(await run.sample(asked, role="repair"))
            case "redraw":
                history = history.drawn(await _redrawn(run), fresh=True)
            case ending:
                return _ended(run, history, ending)


async def _redrawn(run: Run[P, T]) -> Sample[T]:
    """A fresh sample, at a higher temperature if there is a way to set one."""
    options = warmer(run.options) if as_source(run.sampler()).takes_options else None
    try:
        return await run.sample(options=options, role="repair")
    except UsageError:  # a chain with several models, or none, to set it on
        if options is None:
            raise
        return await run.sample(role="repair")


def warmer(options: Options) -> Options:
    """Settings with a higher temperature: 1, the usual default, or above one that is at least 1."""
    given = options.get("temperature")
    if not is_number(given) or given < _USUAL:
        return {"temperature": _USUAL}
    return {"temperature": max(given, min(given + WARMER, _HOTTEST))}


def _ended(run: Run[P, T], history: History[T], ending: Ending) -> Outcome[T]:
    """What stands, and what the caller should know of it."""
    if len(history.attempts) > 1 and history.last.sample.error is not None:
        run.warn(f"a repair ended early, as a call failed: {status_of(history.last.sample.error)}")
    if ending in _REMARKS:
        run.warn(_REMARKS[ending], aloud=ending == "error")
    elif history.standing.failing:
        run.warn(FAILED)
    return _outcome(history, _stops(ending, history))


def _stops(ending: Ending, history: History[T]) -> Stop | None:
    if ending == "passed":
        return GoodEnough(1.0)
    return AtMost(1 + history.rounds) if ending == "rounds" else None


def _outcome(history: History[T], stopped_by: Stop | None = None) -> Outcome[T]:
    standing = history.standing
    return Outcome(
        winner=standing.sample if standing.usable else None,
        stopped_by=stopped_by,
        used=len(history.attempts),
    )
