"""A language model as a judge."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace

import pydantic
import pytest

from thinktwice.errors import UsageError
from thinktwice.protocols import Verifier
from thinktwice.sample import Completion, Sample, Verdict
from thinktwice.verifiers import Judge, JudgePrompt

RUBRIC = "10: right. 0: wrong."
GOOD = '{"reason": "fine", "score": 7}'


async def judge(reply: object, value: object = "x", prompt: object = "p", **options: object):
    """The verdict on a value, and what the judge was asked."""
    asked: list[object] = []

    async def model(request: object) -> object:
        asked.append(request)
        return reply

    verifier = Judge(model, rubric=RUBRIC, **options)  # type: ignore[arg-type]
    return await verifier(Sample(index=4, value=value), prompt=prompt), asked[0]


class Score(pydantic.BaseModel):
    score: float
    reason: str


@dataclass
class Plain:
    score: int
    reason: str


@pytest.mark.parametrize(
    "reply",
    [
        GOOD,
        f" {GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```",
        '{"score": 7.0, "reason": " fine ", "more": 1}',
        {"score": 7, "reason": "fine"},
        Score(score=7, reason="fine"),
        Plain(score=7, reason="fine"),
        Completion(value=GOOD),
        SimpleNamespace(content=GOOD),
        {"raw": 0, "parsed": Score(score=7, reason="fine"), "parsing_error": None},
    ],
    ids=repr,
)
async def test_a_grade_is_a_score_and_never_a_pass(reply: object):
    """Text, fenced text, structured output."""
    verdict, _ = await judge(reply)
    expected = Verdict(outcome="scored", score=0.7, feedback="fine", verifier="judge", sample=4)
    assert verdict == expected


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "score: 10",
        f"Here you are: {GOOD}",
        f"{GOOD}\n{GOOD}",
        f"```json\n{GOOD}\n```\n```json\n{GOOD}\n```",
        "[7]",
        "7",
        '{"score": "7"}',
        '{"score": true}',
        '{"score": 11}',
        '{"score": -1}',
        '{"score": NaN}',
        '{"score": 1, "score": 10}',
        '{"grade": 7}',
        '{"score": 7',
        "I cannot help with that.",
        None,
        7,
        {"raw": 0, "parsed": None, "parsing_error": ValueError()},
        Completion(value=GOOD, finish_reason="length"),
        Completion(value=GOOD, finish_reason="content_filter"),
    ],
    ids=repr,
)
async def test_what_is_not_exactly_a_grade_abstains(reply: object):
    """It is not a low score: it says nothing of the sample."""
    verdict, _ = await judge(reply)
    assert (verdict.outcome, verdict.score) == ("error", None)
    assert verdict.evidence


async def test_the_scale_is_mapped_to_one():
    """Whatever the judge counts in."""
    assert (await judge('{"score": 2}', scale=(1, 5)))[0].score == 0.25
    assert (await judge('{"score": 0}', scale=(1, 5)))[0].outcome == "error"


async def test_a_reason_is_optional():
    """No feedback is not an empty one."""
    assert (await judge('{"score": 5, "reason": " "}'))[0].feedback is None


async def test_what_the_model_raises_leaves_unchanged():
    """A judge that cannot be reached says nothing of the sample; the run decides."""

    async def model(_: object) -> str:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await Judge(model, rubric=RUBRIC)(Sample(index=0, value="x"), prompt="p")


async def test_options_reach_the_model():
    """As settings of its calls."""
    seen: list[object] = []

    async def model(_: object, *, options: object) -> str:
        seen.append(options)
        return GOOD

    await Judge(model, rubric=RUBRIC, options={"temperature": 0})(
        Sample(index=0, value="x"), prompt="p"
    )
    assert seen == [{"temperature": 0}]


async def test_a_sync_model_judges_as_well():
    """Any sampler does."""
    verdict = await Judge(lambda _: GOOD, rubric=RUBRIC)(Sample(index=0, value="x"), prompt="p")
    assert verdict.score == 0.7


async def test_the_prompt_is_one_text_with_the_rubric_on_both_sides():
    """What comes last weighs most, and must be yours."""
    _, request = await judge(GOOD, value="the candidate", prompt="the task")
    assert isinstance(request, str)
    before, _, after = request.partition('"the candidate"')
    assert RUBRIC in before
    assert '"the task"' in before
    assert RUBRIC in after


async def test_the_prompt_may_be_messages():
    """Instructions as the system's, data and request as the user's."""
    _, request = await judge(GOOD, value="my draft", layout=JudgePrompt.messages)
    assert [message["role"] for message in request] == ["system", "user"]  # type: ignore[union-attr]
    assert "my draft" not in request[0]["content"]  # type: ignore[index]
    assert '"my draft"' in request[1]["content"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"b": 1, "a": "x"}, r"{\"a\":\"x\",\"b\":1}"),
        (Plain(1, "x"), r"{\"reason\":\"x\",\"score\":1}"),
        ({"messages": [{"role": "assistant", "content": "hi"}]}, '"hi"'),
        ({"raw": 0, "parsed": "hi", "parsing_error": None}, '"hi"'),
        (4, '"4"'),
    ],
    ids=repr,
)
async def test_the_candidate_is_what_the_caller_would_get(value: object, shown: str):
    """Text where there is text, else data."""
    _, request = await judge(GOOD, value=value)
    assert shown in str(request)


async def test_an_object_without_a_form_is_judged_by_the_generated_text():
    """The sampler said what the model wrote."""
    asked: list[str] = []
    sample = Sample(index=0, value=object(), text="what it wrote")
    verifier = Judge(lambda request: asked.append(request) or GOOD, rubric=RUBRIC)
    await verifier(sample, prompt="p")
    assert '"what it wrote"' in asked[0]


def test_it_is_an_inexact_verifier_of_one_call():
    """Its best score is no proof, and its calls are reserved."""
    verifier = Judge(len, rubric=RUBRIC)
    assert isinstance(verifier, Verifier)
    assert not verifier.exact
    assert verifier.calls == 1


@pytest.mark.parametrize(
    ("parameter", "settings"),
    [
        ("rubric", {"rubric": " "}),
        ("reference", {"reference": " "}),
        ("repeats", {"repeats": 0}),
        ("scale", {"scale": (5, 5)}),
        ("scale", {"scale": 3}),
        ("scale", {"scale": (0, math.inf)}),
        ("scale", {"scale": ("a", "b")}),
        ("scale", {"scale": (0, 5, 10)}),
        ("scale", {"scale": (False, True)}),
        ("sampler", {"sampler": "gpt-5"}),
    ],
)
def test_mistakes_are_found_at_construction(parameter: str, settings: dict[str, object]):
    """Before anything is paid for."""
    with pytest.raises(UsageError, match=f"^{parameter}="):
        Judge(**({"sampler": len, "rubric": RUBRIC} | settings))  # type: ignore[arg-type]


class TestReference:
    """A right answer to compare with."""

    async def test_it_is_data_in_the_prompt(self):
        """A text, or a function of the prompt."""
        for reference in ("it is 391", {"p": "it is 391"}.get):
            verdict, asked = await judge(GOOD, reference=reference)
            assert verdict.score == 0.7
            assert '"it is 391"' in str(asked)
            assert "taking the reference for a right answer" in str(asked)

    async def test_without_one_the_rubric_does_not_speak_of_it(self):
        """As before."""
        assert "taking the reference" not in str((await judge(GOOD))[1])

    async def test_where_none_is_known_the_judge_is_not_asked(self):
        """There is nothing to compare with."""
        verifier = Judge(pytest.fail, rubric=RUBRIC, reference={}.get)
        verdict = await verifier(Sample(index=4, value="x"), prompt="p")
        assert (verdict.outcome, verdict.score) == ("not_applicable", None)

    @pytest.mark.parametrize("reference", [{}.__getitem__, lambda _: 391])
    async def test_a_function_that_fails_is_the_callers_mistake(self, reference: object):
        """It is named."""
        with pytest.raises(UsageError, match=r"^reference="):
            await judge(GOOD, reference=reference)


class TestRepeats:
    """Several calls per verdict."""

    @staticmethod
    async def verdict(*replies: object) -> Verdict:
        script = iter(replies)

        async def model(_: object) -> object:
            reply = next(script)
            if isinstance(reply, Exception):
                raise reply
            return reply

        verifier = Judge(model, rubric=RUBRIC, repeats=len(replies))
        assert verifier.calls == len(replies)
        return await verifier(Sample(index=4, value="x"), prompt="p")

    async def test_the_median_counts(self):
        """One that is far off does not move it; the reason is of the nearest."""
        verdict = await self.verdict(
            '{"score": 10, "reason": "far"}', '{"score": 2, "reason": "near"}', '{"score": 1}'
        )
        assert (verdict.score, verdict.feedback) == (0.2, "near")

    async def test_what_cannot_be_read_is_left_out(self):
        """Or fails, as long as one grade is there."""
        verdict = await self.verdict("?", ConnectionError(), '{"score": 4}')
        assert (verdict.outcome, verdict.score) == ("scored", 0.4)

    async def test_none_at_all_is_an_error(self):
        """Raised, if one was raised."""
        assert (await self.verdict("?", "?")).outcome == "error"
        with pytest.raises(ConnectionError):
            await self.verdict("?", ConnectionError())

    async def test_a_mistake_of_the_caller_goes_before_a_failure(self):
        """It is the one that can be mended."""
        with pytest.raises(UsageError):
            await self.verdict(ConnectionError(), UsageError("options", 1, "leave them out"))
