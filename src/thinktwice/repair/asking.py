"""How the next attempt is asked for."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from thinktwice.protocols import Verifier
    from thinktwice.repair.history import History
    from thinktwice.run import Run
    from thinktwice.sample import Verdict

P = TypeVar("P")
T = TypeVar("T")

MOST_CHARACTERS: Final = 4000
_NO_WORDS: Final = "A check failed this answer. Find the mistake, and correct it."
_NO_WORDS_BUT_A_SCORE: Final = (
    "A check scored this answer {score:.2f} of 1. Find what is wrong with it, and correct it."
)
_MEMORY: Final = "Earlier attempts at this were wrong. What was learned from them:\n"
_LAYOUT: Final = "\n\t"


class Feedback(str):
    """What is wrong with an attempt, in words: what `Prompting.revise` gets.

    Attributes:
        missing: `Verdict.missing`: what to look for again, where passages are retrieved.
    """

    __slots__ = ("missing",)
    missing: tuple[str, ...]

    def __new__(cls, text: str, *, missing: tuple[str, ...] = ()) -> Self:
        """Say it."""
        said = super().__new__(cls, text)
        said.missing = missing
        return said


class Asking(Protocol):
    """Makes the input of the next attempt out of what was tried."""

    async def __call__(self, run: Run[P, T], history: History[T], /) -> P:
        """The input; the last attempt is the one to mend."""
        ...


async def revised(run: Run[P, T], history: History[T], /) -> P:
    """Ask for a better answer than the last attempt, with what its check said."""
    last = history.last
    return run.prompting.revise(run.prompt, last.sample.value, feedback_of(last.issue))


class Advised:
    """Asks with the words of a critic; the check only decides. One is made for each run.

    The critic judges the attempt, and what it says is the feedback. Where it finds nothing, or
    breaks, the feedback is what the check said.
    """

    def __init__(self, critic: Callable[[str], Verifier[object]], *, memory: int = 0) -> None:
        """Choose the critic.

        Args:
            critic: Makes it, from what the check said of the attempt.
            memory: Start each attempt anew from the prompt, with what was said of so many earlier
                ones; 0 shows it the last attempt instead.
        """
        self._critic = critic
        self._memory = memory
        self._said: list[str] = []

    async def __call__(self, run: Run[P, T], history: History[T], /) -> P:
        """Ask the critic, then make the input."""
        sample, checked = history.last.sample, feedback_of(history.last.issue)
        verdict = run.verdicts[sample.index]
        advice = await run.verify(sample, self._critic(checked))
        run.verdicts[sample.index] = verdict  # the check's, which the result is to show
        self._said.append(feedback_of(advice) if _says_something(advice) else checked)
        if not self._memory:
            return run.prompting.revise(run.prompt, sample.value, self._said[-1])
        notes = "\n".join(f"- {each}" for each in self._said[-self._memory :])
        return run.prompting.revise(run.prompt, None, f"{_MEMORY}{notes}")


def feedback_of(verdict: Verdict | None) -> Feedback:
    """What a verdict says is to be changed, in words, with the evidence that it rests on.

    At most 4,000 characters, without control characters: a verifier may quote what it found
    anywhere.
    """
    if verdict is None:
        return Feedback(_NO_WORDS)
    said = verdict.feedback or ""
    evidence = [each for each in verdict.evidence if each not in said]
    text = cleaned("\n".join([said, *evidence])).strip()
    if not text and verdict.score is not None and verdict.outcome == "scored":
        text = _NO_WORDS_BUT_A_SCORE.format(score=verdict.score)
    return Feedback(text or _NO_WORDS, missing=verdict.missing)


def _says_something(verdict: Verdict) -> bool:
    return verdict.outcome != "error" and bool(verdict.feedback or verdict.evidence)


def cleaned(text: str, most: int = MOST_CHARACTERS) -> str:
    """A text without control characters, cut to so many characters."""
    seen = text[: 2 * most]
    kept = (each for each in seen if each in _LAYOUT or unicodedata.category(each) != "Cc")
    clean = "".join(kept)
    return clean if len(clean) <= most else f"{clean[: most - 3]}..."
