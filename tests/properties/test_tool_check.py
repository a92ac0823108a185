"""What holds of any verdicts, any texts and any corrections."""

from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinktwice import Verdict, solve
from thinktwice.before import check_before
from thinktwice.sample import Correction, Sample
from thinktwice.strategies.tool_check import ToolCheck
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.verifiers.all_of import AllOf, together
from thinktwice.verifiers.schema import Schema
from thinktwice.verifiers.tool import Tool

pytestmark = pytest.mark.usefixtures("silent_remarks")
PERMITS = {"pass", "not_applicable"}
SCORES = st.floats(0, 1)
VERDICTS = st.one_of(
    st.sampled_from(["pass", "fail", "error", "not_applicable"]).map(
        lambda outcome: Verdict(outcome=outcome)
    ),
    SCORES.map(lambda score: Verdict(outcome="scored", score=score)),
)
DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
SCHEMAS = st.sampled_from(
    [
        Schema(each)
        for each in (
            {"type": "object", "required": ["a"]},
            {"type": ["array", "string"], "maxItems": 2, "minLength": 1},
            {"additionalProperties": {"type": "integer"}},
            {"patternProperties": {"^[a-c]": {"type": "null"}}, "additionalProperties": False},
            {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": "[a-z]"}]},
            {"items": {"not": {"type": "boolean"}}, "uniqueItems": True},
        )
    ]
)


@given(st.lists(VERDICTS, min_size=1, max_size=6), st.randoms())
def test_the_order_of_verdicts_decides_nothing(verdicts, random):
    """Neither of the outcome nor of the score."""
    mixed = random.sample(verdicts, len(verdicts))
    one, other = together(verdicts), together(mixed)
    assert (one.outcome, one.score) == (other.outcome, other.score)


@given(st.lists(VERDICTS, min_size=1, max_size=5), VERDICTS)
def test_one_more_verifier_never_makes_it_better(verdicts, another):
    """A fail stays a fail, and a score can only sink; what does not apply changes nothing."""
    before, after = together(verdicts), together([*verdicts, another])
    if before.outcome == "fail":
        assert after.outcome == "fail"
    if after.outcome == "pass":
        assert before.outcome in {"pass", "not_applicable"}
        assert another.outcome in {"pass", "not_applicable"}
    if before.score is not None and after.score is not None:
        assert after.score <= before.score
    if another.outcome == "not_applicable":
        assert (after.outcome, after.score) == (before.outcome, before.score)


@given(st.lists(VERDICTS, min_size=2, max_size=5), st.integers(1, 4))
def test_it_does_not_matter_how_they_are_grouped(verdicts, at):
    """All of them, or all of some with the others: a part is a verifier like any."""
    inner = together(verdicts[:at])
    one, other = together([inner, *verdicts[at:]]), together(verdicts)
    assert one.outcome == other.outcome
    if "error" not in {each.outcome for each in verdicts}:  # a broken part has no score to pass on
        assert one.score == other.score


@settings(max_examples=25)
@given(st.lists(VERDICTS, min_size=1, max_size=4), st.sampled_from(["inject", "reject"]))
def test_only_a_fail_changes_an_answer(verdicts, on_fail):
    """Whatever the tools say otherwise, the draft is returned as it was drawn."""
    tools = [Tool(lambda _, said=said: said, name=str(k)) for k, said in enumerate(verdicts)]
    sampler = ScriptedSampler(["x"])
    strategy = ToolCheck(*tools, on_fail=on_fail)
    result = run_virtual(solve("q", sampler=sampler, strategy=strategy))
    failed = any(each.outcome == "fail" for each in verdicts)
    assert result.value == (None if failed and on_fail == "reject" else "x")
    assert result.verdicts[0].outcome == together(verdicts).outcome


@settings(max_examples=25)
@given(st.text(max_size=12), st.text(max_size=12), st.sampled_from("abc"))
def test_a_correction_is_injected_only_if_nothing_fails_it(draft, corrected, letter):
    """What is returned is the draft, or what its check found nothing wrong with."""

    def check(value: str) -> Verdict:
        if letter in value:
            return Verdict(outcome="pass")
        made = Correction(value=corrected, changes=((draft, corrected),))
        return Verdict(outcome="fail", correction=made)

    sampler = ScriptedSampler([draft])
    strategy = ToolCheck(check, on_fail="inject", key=lambda value: value)
    result = run_virtual(solve("q", sampler=sampler, strategy=strategy))
    injected = letter not in draft and letter in corrected
    assert result.value == (corrected if injected else draft)
    assert result.composed is injected
    assert result.changes == (((draft, corrected),) if injected else ())


@settings(max_examples=30)
@given(SCHEMAS, DATA)
def test_a_schema_finds_what_the_library_finds(schema, data):
    """In a text, and in data; a pattern is matched alike."""
    fits = jsonschema.Draft202012Validator(schema.schema).is_valid(data)
    assert (schema.problems(json.dumps(data)) == []) is fits
    if not isinstance(data, str):
        assert (schema.problems(data) == []) is fits


@given(SCHEMAS, st.text() | st.text('{}[]":,`\n ajson0'))
def test_no_text_breaks_a_schema(schema, text):
    """It fits or there is a line of why, without control characters."""
    for found in schema.problems(text):
        assert found.isprintable()
        assert len(found) <= 300


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["pass", "fail", "error"]), min_size=1, max_size=4))
def test_asking_is_the_same_as_putting_together(outcomes):
    """Verifiers that are asked at the same time, and their verdicts."""
    tools = [Tool(lambda _, said=said: Verdict(outcome=said), name=said) for said in outcomes]
    found = run_virtual(AllOf(*tools)(Sample(index=0, value="x"), prompt="p"))
    assert found.outcome == together([Verdict(outcome=each) for each in outcomes]).outcome


@settings(max_examples=20)
@given(st.lists(VERDICTS, min_size=1, max_size=4), st.dictionaries(st.text(max_size=3), DATA))
def test_an_action_is_allowed_by_passes_alone(verdicts, args):
    """Whatever its arguments are, and what is allowed is what was proposed."""
    executed: list[object] = []

    def act(**given: object) -> None:
        executed.append(given)

    checks = [lambda _, said=said: said for said in verdicts]
    action = {"name": "act", "args": args}
    decision = run_virtual(check_before(action, *checks, tool=act))
    assert decision.allowed is all(each.outcome in PERMITS for each in verdicts)
    assert bool(decision.reasons) is not decision.allowed
    assert decision.action.args == args
    assert executed == []
