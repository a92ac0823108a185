"""Questions that are answered without the draft."""

from __future__ import annotations

import asyncio
import json

import pytest

from thinktwice import Budget, UsageError, solve
from thinktwice.sample import Completion, Sample
from thinktwice.strategies.best_of_n import BestOfN
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.verifiers import VerificationQuestions

PLAN = json.dumps({"questions": ["What is 2 + 2?", "Is it even?"]})
DRAFT = "It is five, surely."


class Model:
    """Answers by what it is asked."""

    def __init__(self, plan: object = PLAN, issue: str | None = "five", answer: object = "4"):
        self.asked: list[str] = []
        self.plan, self.issue, self.answer = plan, issue, answer

    async def __call__(self, request: str) -> object:
        self.asked.append(request)
        if "You plan" in request:
            return self.plan
        if "one question" in request:
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer
        return json.dumps({"issue": self.issue})


async def verdict_of(model: Model, **options):
    """On the draft."""
    verifier = VerificationQuestions(model, **options)
    return await verifier(Sample(index=0, value=DRAFT), prompt="2 + 2?")


async def test_each_question_is_answered_without_the_draft():
    """In a call of its own, with the task."""
    model = Model()
    verdict = await verdict_of(model)
    answering = [each for each in model.asked if "one question" in each]
    assert len(answering) == 2
    assert all("2 + 2?" in each and "surely" not in each for each in answering)
    assert "Is it even?" not in answering[0]
    assert verdict.outcome == "fail"
    assert verdict.feedback == "five"


async def test_the_comparison_reads_draft_questions_and_answers():
    """And the questions with their answers are the evidence."""
    model = Model()
    verdict = await verdict_of(model)
    assert "surely" in model.asked[-1]
    assert verdict.evidence == (
        "Question: What is 2 + 2? Answer: 4",
        "Question: Is it even? Answer: 4",
    )
    assert all(each in model.asked[-1] for each in verdict.evidence)


async def test_no_contradiction_is_a_pass():
    """Which proves nothing."""
    verdict = await verdict_of(Model(issue=None))
    assert verdict.outcome == "pass"
    assert not VerificationQuestions(Model()).exact


async def test_no_more_questions_than_asked_for():
    """Whatever the model plans."""
    model = Model(json.dumps({"questions": [f"{n}?" for n in range(50)]}))
    await verdict_of(model, questions=2)
    assert len(model.asked) == 4 == VerificationQuestions(model, questions=2).calls


@pytest.mark.parametrize(
    "plan",
    [
        "What is it?",
        '["What?"]',
        '{"questions": "What?"}',
        Completion(value=PLAN, finish_reason="length"),
    ],
    ids=repr,
)
async def test_a_plan_that_cannot_be_read_is_an_error(plan):
    """It says nothing of the sample."""
    assert (await verdict_of(Model(plan))).outcome == "error"


@pytest.mark.parametrize("listed", [[], ["", " "], [3]])
async def test_no_question_is_nothing_to_check(listed):
    """Not a pass."""
    model = Model(json.dumps({"questions": listed}))
    assert (await verdict_of(model)).outcome == "not_applicable"
    assert len(model.asked) == 1


async def test_a_question_without_an_answer_is_left_out():
    """What cannot be answered checks nothing."""
    verdict = await verdict_of(Model(answer=""))
    assert verdict.evidence == ()


async def test_an_answer_that_fails_is_raised_after_the_others():
    """No call is left under way."""
    running = 0

    async def model(request):
        nonlocal running
        if "You plan" in request:
            return PLAN
        running += 1
        try:
            if "even" in request:
                raise ConnectionError("gone")
            await asyncio.sleep(0.01)
            return "4"
        finally:
            running -= 1

    with pytest.raises(ConnectionError):
        await VerificationQuestions(model)(Sample(index=0, value=DRAFT), prompt="2 + 2?")
    assert running == 0


def test_its_calls_are_on_the_bill():
    """As critique; and its cap is enough for the default budget."""
    asker = ScriptedSampler([PLAN, "4", "yes", '{"issue": null}'])
    strategy = BestOfN(1, verifier=VerificationQuestions(asker))
    result = run_virtual(
        solve("2 + 2?", sampler=ScriptedSampler(["4"]), strategy=strategy, budget=Budget(calls=6))
    )
    assert result.ledger.by_role["critique"].calls == 4
    assert result.verdicts[0].outcome == "pass"


@pytest.mark.parametrize("questions", [0, 1.5, True])
def test_a_number_of_questions(questions):
    """At least one."""
    with pytest.raises(UsageError, match=r"^questions="):
        VerificationQuestions(len, questions=questions)
