"""Draft, check, and draft again with what the check found."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TypeVar, cast, get_args

from thinktwice.calls import check_called
from thinktwice.errors import UsageError
from thinktwice.prompting import is_conversation
from thinktwice.repair import Advised, check_rounds, repair, revised
from thinktwice.sampling import as_sources
from thinktwice.strategy import (
    Over,
    Strategy,
    check_callables,
    check_inside,
    nested_calls,
    nested_draws,
)
from thinktwice.verifiers import JudgePrompt, as_verifier
from thinktwice.verifiers.critic import Critic, Reflection
from thinktwice.verifiers.questions import QUESTIONS, VerificationQuestions

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from thinktwice.protocols import Verifier
    from thinktwice.repair import Asking
    from thinktwice.result import Outcome
    from thinktwice.run import Run
    from thinktwice.verifiers import Check

P = TypeVar("P")
T = TypeVar("T")

Mode = Literal["critic", "self_refine", "reflexion", "verification_questions"]
_MODES: Final[tuple[Mode, ...]] = get_args(Mode)

MEMORY: Final = 3
"""Reflections that the next attempt is given at the most."""

NO_CHECK: Final = (
    "critique-repair without an external check: studies find no gain where a model corrects itself "
    "on its own word (Huang et al. 2023, arXiv:2310.01798; Kamoi et al. 2024, arXiv:2406.01297); "
    "give verifier= something that runs, computes or looks up"
)


@dataclass(frozen=True, kw_only=True)
class _Way:
    """What a mode asks a model for.

    Attributes:
        critic: Finds what is wrong, and decides where there is no verifier.
        calls: Of it, per verdict.
        reflects: A failed attempt is reflected on, and the next starts from the prompt.
    """

    critic: Callable[..., Verifier[object]] | None
    calls: int = 0
    reflects: bool = False


_WAYS: Final[Mapping[Mode, _Way]] = {
    "critic": _Way(critic=None),
    "self_refine": _Way(critic=Critic, calls=1),
    "reflexion": _Way(critic=Critic, calls=1, reflects=True),
    "verification_questions": _Way(critic=VerificationQuestions, calls=QUESTIONS + 2),
}


@dataclass(frozen=True)
class CritiqueRepair(Strategy):
    """Draw a draft, check it, and as long as the check finds something wrong draw again with that.

    It returns the best-scored of what it drew, the draft included, ties to the earliest: never one
    that was scored below the draft. With a verifier that is not exact a revision takes the draft's
    place only when both are confirmed: the draft failed twice, and the revision passed twice. It
    ends when the check passes, when a round brings no gain, or after `rounds`. Where a text or an
    answer comes round again it draws one fresh sample, at a higher temperature, once. A check that
    breaks is no fail: the draft stands, and a warning says so.

    It gains where the check knows what the model does not: it runs, computes or looks up. Without
    such a check it works, and warns: studies find no gain (Huang et al. 2023, arXiv:2310.01798).

    Modes, by where the feedback comes from:

    - "critic": from the verifier (Gou et al. 2023, arXiv:2305.11738). The default with one.
    - "self_refine": from the model itself, by `Critic` (Madaan et al. 2023, arXiv:2303.17651). The
      default without a verifier.
    - "reflexion": the model reflects on the failed attempt; the next one starts from the prompt
      with the last 3 reflections (Shinn et al. 2023, arXiv:2303.11366).
    - "verification_questions": the model asks itself questions about the draft and answers each
      without seeing it, by `VerificationQuestions` (Dhuliawala et al. 2023, arXiv:2309.11495).

    A verifier decides in all of them; without one the critic of the mode does.

    Cost: at most 1 + `rounds` samples, each with `confirm` verdicts (one if the verifier is exact)
    and, but for the first, the calls of its feedback. A draft that passes costs one of each.

    Attributes:
        verifier: Finds what is wrong: a `Verifier`, or a callable of the value that returns bool,
            float in [0, 1] or a Verdict with feedback.
        mode: As above.
        rounds: Samples after the draft at the most, from 1 to 100.
        confirm: Verdicts that a replacement takes of either side, where a pass is no proof. Those
            of a verifier of the role "tool" are not asked for twice.
        critic: The model that criticises, reflects or asks; by default the one that is sampled. It
            takes chat messages if the prompt is a list of them, else text.
        key: What answers are told apart by, as in `Vote`.
        of: The strategy inside: the draft and each revision is then a run of it.

    Raises:
        UsageError: A number out of range, a mode that nobody knows or that needs a verifier, or
            another unusable parameter.
    """

    verifier: Verifier[object] | Check | None = None
    mode: Mode | None = field(default=None, kw_only=True)
    rounds: int = field(default=2, kw_only=True)
    confirm: int = field(default=2, kw_only=True)
    critic: Callable[..., object] | None = field(default=None, kw_only=True)
    key: str | Callable[..., Hashable | None] | None = field(default=None, kw_only=True)
    of: Strategy | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check every parameter."""
        if self.verifier is not None:
            as_verifier(self.verifier)
        if self.mode is not None and self.mode not in _MODES:
            raise UsageError("mode", self.mode, f"give one of {', '.join(_MODES)}, or None")
        if self.mode == "critic" and self.verifier is None:
            remedy = "mode='critic' takes the feedback of a verifier: give one"
            raise UsageError("verifier", None, remedy)
        if self.critic is not None:
            _check_critic(self.critic, self._mode)
        check_rounds(self.rounds, self.confirm)
        check_inside(self.of)
        check_callables(key=self.key)

    @property
    def draws(self) -> int:
        """The draft and the rounds, times those of the strategy inside."""
        return nested_draws(1 + self.rounds, self.of)

    @property
    def calls(self) -> int | None:
        """Of the draws, of judging them, and of the feedback."""
        way = _WAYS[self._mode]
        verifier = None if self.verifier is None else as_verifier(self.verifier)
        judging = way.calls if verifier is None else getattr(verifier, "calls", 0)
        judging *= 1 if verifier is not None and verifier.exact else self.confirm
        feedback = 1 if way.reflects else (way.calls if verifier is not None else 0)
        inside = nested_calls(1 + self.rounds, self.of, judging=judging)
        return None if inside is None else inside + self.rounds * feedback

    async def __call__(self, run: Run[P, T]) -> Outcome[T]:
        """Draw, check and repair."""
        verifier = self._decides(run)
        if self.verifier is None or getattr(verifier, "sampler", None) is _own(run):
            run.warn(NO_CHECK, aloud=True)
        return await repair(
            run,
            verifier,
            rounds=self.rounds,
            confirm=self.confirm,
            asking=self._asking(run),
        )

    @property
    def _mode(self) -> Mode:
        return self.mode or ("self_refine" if self.verifier is None else "critic")

    def _decides(self, run: Run[P, T]) -> Verifier[object]:
        """The verifier, or the mode's critic where there is none."""
        if self.verifier is not None:
            return as_verifier(self.verifier, lenient=True)  # the draft is paid for
        return self._asked(run, _WAYS[self._mode].critic or Critic)

    def _asking(self, run: Run[P, T]) -> Asking:
        """Whose words the next attempt gets: the verifier's, or those of a model beside it."""
        way = _WAYS[self._mode]
        if way.reflects:
            reflecting = partial(self._asked, run, Reflection)
            return Advised(lambda said: reflecting(said=said), memory=MEMORY)
        if way.critic is None or self.verifier is None:
            return revised
        critic = self._asked(run, way.critic)
        return Advised(lambda _: critic)

    def _asked(
        self, run: Run[P, T], made: Callable[..., Verifier[object]], **more: str
    ) -> Verifier[object]:
        """A verifier that asks the model of this strategy, or the one that is sampled.

        Raises:
            UsageError: The one that is sampled takes neither text nor chat messages.
        """
        messages = is_conversation(run.prompt)
        if self.critic is None and not messages and not isinstance(run.prompt, str):
            kind = type(run.prompt).__name__
            remedy = (
                f"mode={self._mode!r} asks a model in words, and what is sampled takes a {kind}: "
                "give critic= a sampler of text, or verifier= for mode='critic'"
            )
            raise UsageError("critic", None, remedy)
        layout = JudgePrompt.messages if messages else str
        return made(self.critic or _own(run), layout=layout, **more)


def _own(run: Run[P, T]) -> Callable[..., object]:
    """What is sampled, below the strategies inside."""
    sampler: object = run.sampler()
    while isinstance(sampler, Over):
        sampler = as_sources(cast("Over[object, object]", sampler).sampler)
        sampler = next(iter(sampler.values())).function
    return cast("Callable[..., object]", sampler)


def _check_critic(critic: object, mode: Mode) -> None:
    check_called(critic, "critic")
    if mode == "critic":
        remedy = "mode='critic' takes its feedback from the verifier: leave it out, or give mode="
        raise UsageError("critic", critic, remedy)
