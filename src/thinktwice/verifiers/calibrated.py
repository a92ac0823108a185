"""A verifier whose scores are probabilities."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from thinktwice.calibration import Calibration
from thinktwice.errors import UsageError
from thinktwice.verifiers.adapt import as_verifier

if TYPE_CHECKING:
    from thinktwice.protocols import Verifier
    from thinktwice.sample import Sample, Verdict
    from thinktwice.verifiers.adapt import Check

_ABOUT_ITS_CALLS: Final = frozenset({"options", "request", "role", "sampler"})


@dataclass(frozen=True)
class Calibrated:
    """Another verifier, whose scores become probabilities of being right.

    Outcome, feedback and evidence stay as they are, also a "pass" whose probability is low: it is
    the score that selection weighs by. Whether it selects better is not certain, since a score may
    mean another thing on a hard question than over all of them: see `verifier_report`.

    Cost: that of the verifier.

    Attributes:
        verifier: What judges; a callable of the value will do.
        calibration: From its scores to probabilities; see `calibrate` and `load_calibration`.
        name: Shown in verdicts and spans.
        exact: Never.

    Raises:
        UsageError: The verifier is exact, so that its pass is proof already; or it is none.
    """

    verifier: Verifier[object] | Check
    calibration: Calibration
    name: str = field(default="calibrated", kw_only=True)
    exact: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        """See that there is something to calibrate."""
        if as_verifier(self.verifier).exact:
            raise UsageError("verifier", self.verifier, "its pass is proof: use it as it is")
        if not isinstance(self.calibration, Calibration):
            raise UsageError("calibration", self.calibration, "give what calibrate() returns")

    @property
    def calls(self) -> int:
        """Model calls per verdict: those of the verifier."""
        return getattr(self.verifier, "calls", 0)

    def __getattr__(self, name: str) -> object:
        """What the budget asks of a verifier that calls a model."""
        if name in _ABOUT_ITS_CALLS:
            return getattr(self.verifier, name)
        raise AttributeError(name)

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Ask the verifier, and calibrate its score; a verdict without one stays as it is."""
        verdict = await as_verifier(self.verifier)(sample, prompt=prompt)
        if verdict.score is None or verdict.outcome in {"error", "not_applicable"}:
            return verdict
        return replace(verdict, score=self.calibration(verdict.score))
