"""A run for each kind of verifier, with a mark in all that it reads and says."""

from __future__ import annotations

import json
from typing import Final

from tests.contracts.traced import MARK, PROGRAM, A, B, judge, model, refuses, run, said
from tests.unit.verifiers.code.fakes import Here
from thinktwice import BestOfN, Completion, Verdict
from thinktwice.calibration import Platt
from thinktwice.strategies.critique_repair import CritiqueRepair
from thinktwice.strategies.tool_check import ToolCheck
from thinktwice.verifiers import (
    AllOf,
    Calculator,
    Calibrated,
    Code,
    Critic,
    Ensemble,
    ExactMatch,
    Grounding,
    Judge,
    Likelihood,
    NumericMatch,
    PTrue,
    Schema,
    SelfCertainty,
    StepVerifier,
    TokenConfidence,
    Tool,
    VerificationQuestions,
)

GRADE: Final = json.dumps({"reason": MARK, "score": 7})
CLAIMS: Final = json.dumps({"claims": [{"claim": 1, "verdict": "supported", "reason": MARK}]})


def half(value: object) -> float:
    """A score."""
    return 0.5


def asks() -> Judge:
    """A judge."""
    return Judge(judge(GRADE), rubric=MARK)


VERIFIERS: Final[dict[str, object]] = {
    "AllOf": AllOf(Calculator(), refuses, asks()),
    "Calculator": Calculator(),
    "Calibrated": Calibrated(asks(), Platt(4.0, -3.0)),
    "Code": Code([((3,), 6)], entry_point="f", sandbox=Here()),
    "Code by a model": Code(
        generate=judge(f"assert f(3) == 6  # {MARK}"), entry_point="f", sandbox=Here()
    ),
    "Critic": Critic(judge(json.dumps({"issue": MARK}))),
    "Ensemble": Ensemble(asks(), half),
    "ExactMatch": ExactMatch(MARK),
    "Grounding": Grounding([f"{MARK} is so."]),
    "Grounding by a model": Grounding([f"{MARK} is so."], judge=judge(CLAIMS)),
    "Judge": asks(),
    "Likelihood": Likelihood(),
    "NumericMatch": NumericMatch(7),
    "PTrue": PTrue(judge(Completion(value="yes", text="yes", logprobs=(-0.1,), model="judge"))),
    "Schema": Schema({"type": "object", "required": [MARK]}),
    "SelfCertainty": SelfCertainty(),
    "StepVerifier": StepVerifier(lambda _, steps: [0.5] * len(steps)),
    "StepVerifier by a judge": StepVerifier(asks()),
    "TokenConfidence": TokenConfidence(),
    "Tool": Tool(refuses),
    "VerificationQuestions": VerificationQuestions(judge(json.dumps({"questions": [MARK]}))),
    "a function": half,
    "a lambda": lambda value: value == MARK,
    "one that breaks": Tool(lambda value: 1 / 0),
    "one that says it broke": lambda _: Verdict(outcome="error", evidence=(MARK,)),
}
"""One of each kind at least."""

_DRAWN: Final = [said(f"{MARK} 3 * 4 = 13"), said(PROGRAM, 11)]


VERDICTS: Final = {
    **{
        f"best of n by {name}": run(BestOfN(2, verifier=each), model(_DRAWN, 1))
        for name, each in VERIFIERS.items()
    },
    **{
        f"repair by {name}": run(CritiqueRepair(each, rounds=1), model([said(A), said(B)], 1))
        for name, each in VERIFIERS.items()
        if name in {"AllOf", "Calculator", "Code", "Critic", "Tool", "VerificationQuestions"}
    },
    "tools of every kind": run(
        ToolCheck(Calculator(), Schema({"type": "object"}), refuses, on_fail="inject"),
        model(_DRAWN, 1),
    ),
}
