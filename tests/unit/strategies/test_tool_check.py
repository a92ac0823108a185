"""Check an answer by tools, and mend, correct or refuse it."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from typing import TYPE_CHECKING

import pytest

from thinktwice import BestOfN, Budget, Completion, UsageError, Verdict, Vote, solve
from thinktwice.errors import ThinktwiceWarning
from thinktwice.sample import Correction
from thinktwice.stop import AtMost
from thinktwice.strategies.tool_check import ToolCheck
from thinktwice.testing import ScriptedSampler, captured_spans, run_virtual
from thinktwice.verifiers import ExactMatch, Judge
from thinktwice.verifiers.all_of import AllOf
from thinktwice.verifiers.schema import Schema
from thinktwice.verifiers.tool import Tool

if TYPE_CHECKING:
    from thinktwice.result import Result

pytestmark = pytest.mark.usefixtures("silent_remarks")
MODES = ("repair", "inject", "reject")
GRADE = '{"reason": "fine", "score": 7}'


def checked(values: object, strategy: ToolCheck | Vote | BestOfN, **more: object) -> Result[object]:
    sampler = ScriptedSampler(values, seconds=1)  # type: ignore[arg-type]
    return run_virtual(solve("q", sampler=sampler, strategy=strategy, **more))  # type: ignore[arg-type]


def is_right(value: str) -> bool:
    """The answer is right."""
    return value == "right"


def adds_up(value: str) -> Verdict | bool:
    """Knows what 30 * 8 is, and can put it in."""
    if "= 250" not in value:
        return True
    return Verdict(
        outcome="fail",
        feedback="30 * 8 = 240",
        correction=Correction(value=value.replace("250", "240"), changes=(("250", "240"),)),
    )


class TestParameters:
    """What it is, and what is refused when it is made."""

    @pytest.mark.parametrize(
        ("parameter", "tools", "more"),
        [
            ("tools", (), {}),
            ("tools", ("calculator",), {}),
            ("on_fail", (is_right,), {"on_fail": "retry"}),
            ("on_fail", (is_right,), {"on_fail": None}),
            ("rounds", (is_right,), {"rounds": 0}),
            ("rounds", (is_right,), {"rounds": "2"}),
            ("timeout", (is_right,), {"timeout": 0}),
            ("key", (is_right,), {"key": "nummer"}),
            ("of", (is_right,), {"of": is_right}),
        ],
    )
    def test_by_name(self, parameter, tools, more):
        """The parameter is in the message."""
        with pytest.raises(UsageError, match=f"^{parameter}="):
            ToolCheck(*tools, **more)

    def test_it_reprs_as_its_constructor_compares_hashes_and_pickles(self):
        """As configuration does, though its tools are given one by one."""
        strategy = ToolCheck(ExactMatch("x"), ExactMatch("y"), on_fail="inject", of=Vote(2))
        scope = {"ToolCheck": ToolCheck, "ExactMatch": ExactMatch, "Vote": Vote}
        simple = ToolCheck(ExactMatch("x"), on_fail="inject", key="number")
        assert eval(repr(simple), scope) == simple  # noqa: S307 - what it wrote itself
        assert "of=Vote(" in repr(strategy)
        assert pickle.loads(pickle.dumps(strategy)) == strategy  # noqa: S301 - our own
        assert copy.deepcopy(strategy) == strategy
        assert hash(ToolCheck(is_right)) == hash(ToolCheck(is_right))
        assert ToolCheck(is_right) != ToolCheck(is_right, rounds=3)
        assert ToolCheck(is_right, key="number").key == "number"

    def test_draws_and_calls_are_the_worst_case(self):
        """So that the default budget affords it."""
        judge = Judge(ScriptedSampler([GRADE]), rubric="right")
        assert (ToolCheck(is_right).draws, ToolCheck(is_right).calls) == (3, 3)
        assert (ToolCheck(is_right, of=Vote(4)).draws, ToolCheck(judge, rounds=1).calls) == (12, 6)
        for on_fail, calls in (("inject", 3), ("reject", 2)):
            strategy = ToolCheck(judge, on_fail=on_fail)
            assert (strategy.draws, strategy.calls) == (1, calls)


class TestPassing:
    """An answer that no tool fails stands, whatever would have been done."""

    @pytest.mark.parametrize("on_fail", MODES)
    @pytest.mark.parametrize(
        ("said", "outcome"),
        [
            (True, "pass"),
            (Verdict(outcome="not_applicable"), "not_applicable"),
            (0.2, "scored"),
        ],
    )
    def test_after_one_draw(self, on_fail, said, outcome):
        """A low score is no fail, and nothing to check is none either."""
        result = checked(["x"], ToolCheck(lambda _: said, on_fail=on_fail, rounds=1))
        assert result.value == "x"
        assert result.verdicts[0].outcome == outcome
        assert (result.composed, result.changes) == (False, ())
        if outcome != "scored" or on_fail != "repair":  # a repair may try for a better score
            assert (result.launched, result.warnings) == (1, ())

    @pytest.mark.parametrize("on_fail", ["inject", "reject"])
    def test_a_failed_draw_raises_its_cause(self, on_fail):
        """There is nothing to check."""
        with pytest.raises(ConnectionError):
            checked([ConnectionError()], ToolCheck(is_right, on_fail=on_fail))

    @pytest.mark.parametrize("on_fail", ["inject", "reject"])
    def test_an_abstention_is_not_checked(self, on_fail):
        """A refused reply has no answer."""
        reply = Completion(value="right", finish_reason="content_filter")
        result = checked([reply], ToolCheck(is_right, on_fail=on_fail))
        assert (result.value, result.verdicts) == (None, ())


class TestRepair:
    """Drawn again with what the tools said."""

    def test_the_model_is_told_what_is_wrong(self):
        """And what it gives then is checked as well."""
        sampler = ScriptedSampler(['{"a": 1}', '{"b": 1}'])
        strategy = ToolCheck(Schema({"required": ["b"]}), lambda value: "1" in value)
        result = run_virtual(solve("Give b.", sampler=sampler, strategy=strategy))
        assert result.value == '{"b": 1}'
        assert [each.outcome for each in result.verdicts] == ["fail", "pass"]
        assert "'b' is a required property" in str(sampler.prompts[1])
        roles = {role: total.calls for role, total in result.ledger.by_role.items()}
        assert roles == {"sample": 1, "repair": 1, "tool": 0}

    def test_the_draft_stands_where_no_round_mends_it(self):
        """Every answer fails alike; the result says so."""
        result = checked(["a", "b", "c", "d"], ToolCheck(is_right, rounds=2))
        assert (result.value, result.launched) == ("a", 3)
        assert result.warnings == ("the answer that is returned did not pass the check",)


class TestInject:
    """What was computed is put in, and nothing else is touched."""

    def test_the_change_is_shown(self):
        """The value is a new one, checked once more; it cost no draw."""
        result = checked(["30 * 8 = 250"], ToolCheck(adds_up, on_fail="inject", key="number"))
        assert (result.value, result.answer, result.winner.text) == (
            "30 * 8 = 240",
            240,
            result.value,
        )
        assert (result.composed, result.changes) == (True, (("250", "240"),))
        assert [each.outcome for each in result.verdicts] == ["pass"]
        assert (result.launched, result.warnings) == (1, ())
        assert result.ledger.total.tools == 2
        assert result.samples[0].value == "30 * 8 = 250"  # as it was drawn

    def test_the_draft_stands_where_nothing_safe_can_be_put_in(self):
        """And the result says so."""
        result = checked(["wrong"], ToolCheck(is_right, on_fail="inject"))
        assert (result.value, result.composed, result.changes) == ("wrong", False, ())
        assert result.warnings == (
            "the answer failed a check and stands: no correction of it was safe",
        )

    @pytest.mark.parametrize("then", [False, ValueError()], ids=["fails", "breaks"])
    def test_the_draft_stands_where_the_correction_is_not_found_right(self, then):
        """Its own verdict is the one that is kept."""

        def other(value: str) -> bool:
            if "240" in value and isinstance(then, Exception):
                raise then
            return "240" not in value

        result = checked(["30 * 8 = 250"], ToolCheck(adds_up, other, on_fail="inject"))
        assert (result.value, result.composed, result.changes) == ("30 * 8 = 250", False, ())
        assert result.verdicts[0].feedback == "30 * 8 = 240"
        assert result.warnings == (
            "the answer failed a check and stands: with the correction it did not pass",
        )

    def test_a_value_that_is_no_text_has_none(self):
        """And the log-probabilities of what was replaced are gone."""

        def check(value: dict[str, int]) -> Verdict | bool:
            right = Correction(value={"n": 2}, changes=(("1", "2"),))
            return value["n"] == 2 or Verdict(outcome="fail", correction=right)

        draft = Completion(value={"n": 1}, text='{"n": 1}', logprobs=(-0.1,))
        result = checked([draft], ToolCheck(check, on_fail="inject"))
        assert (result.value, result.winner.text, result.winner.logprobs) == ({"n": 2}, None, None)

    def test_inside_a_vote_the_corrected_answer_is_counted(self):
        """Two that were wrong in the same way outvote one."""
        strategy = Vote(3, key="number", of=ToolCheck(adds_up, on_fail="inject", key="number"))
        result = checked(["30 * 8 = 250", "30 * 8 = 250", "9"], strategy)
        assert result.answer == 240
        assert result.nested[0].changes == (("250", "240"),)


class TestReject:
    """There is no answer."""

    def test_alone_the_value_is_none(self):
        """The verdict says why, the warning that."""
        result = checked(["wrong"], ToolCheck(is_right, on_fail="reject"))
        assert (result.value, result.answer, result.winner) == (None, None, None)
        assert result.verdicts[0].feedback == 'The check "is_right" failed: The answer is right.'
        assert result.warnings == (
            "the answer failed a check and was rejected, so the value is None",
        )

    def test_inside_a_vote_it_abstains(self):
        """Two right ones outvote three that are wrong."""
        strategy = Vote(5, of=ToolCheck(is_right, on_fail="reject"))
        result = checked(["wrong", "wrong", "right", "wrong", "right"], strategy)
        assert (result.value, result.agreement) == ("right", 1.0)

    def test_if_all_are_rejected_the_vote_has_no_answer(self):
        """All abstained."""
        result = checked(["wrong"], Vote(3, of=ToolCheck(is_right, on_fail="reject")))
        assert (result.value, result.launched) == (None, 3)

    def test_inside_best_of_n_it_is_not_judged(self):
        """It costs no call of the judge."""
        judge = ScriptedSampler([GRADE])
        strategy = BestOfN(
            3, verifier=Judge(judge, rubric="good"), of=ToolCheck(is_right, on_fail="reject")
        )
        result = checked(["wrong", "right", "wrong"], strategy)
        assert (result.value, judge.calls) == ("right", 1)


async def _hangs(_: object) -> bool:
    await asyncio.sleep(1e9)
    return True


def _raises(_: object) -> bool:
    raise ConnectionError("secret")


def _lies(_: object) -> object:
    return "certainly"


@pytest.mark.parametrize("on_fail", MODES)
@pytest.mark.parametrize(
    ("broken", "evidence"),
    [
        (_hangs, "timed out after 60 s"),
        (_raises, "ConnectionError"),
        (_lies, "UsageError: return a bool"),
    ],
    ids=["hangs", "raises", "nonsense"],
)
class TestFaults:
    """A tool that hangs, raises or returns nonsense fails nothing and passes nothing."""

    def test_alone_the_answer_stands_and_the_result_warns(self, on_fail, broken, evidence):
        """The verdict says what broke, the ledger that something did."""
        result = checked(["wrong"], ToolCheck(broken, on_fail=on_fail))
        (verdict,) = result.verdicts
        assert (result.value, result.launched, verdict.outcome) == ("wrong", 1, "error")
        assert verdict.evidence[0].startswith(evidence)
        assert "secret" not in f"{verdict.evidence} {result.warnings}"
        assert len(result.warnings) == 1
        assert "broke" in result.warnings[0]
        entries = [entry for entry in result.ledger.entries if entry.role == "tool"]
        assert [entry.status for entry in entries] == ["error"]

    def test_beside_a_tool_that_fails_the_fail_counts(self, on_fail, broken, evidence):
        """As if the broken one were not there."""
        result = checked(["wrong"] * 3, ToolCheck(broken, is_right, on_fail=on_fail))
        assert result.verdicts[0].outcome == "fail"
        assert result.value == (None if on_fail == "reject" else "wrong")

    def test_inside_a_vote_the_answers_count(self, on_fail, broken, evidence):
        """Unchecked, as drawn."""
        strategy = Vote(4, of=ToolCheck(broken, on_fail=on_fail), stop=AtMost(4))
        result = checked(["a", "b", "b", "b"], strategy)
        assert (result.value, result.agreement, len(result.nested)) == ("b", 0.75, 4)
        assert all(len(each.warnings) == 1 for each in result.nested)

    def test_inside_best_of_n_the_answers_are_judged(self, on_fail, broken, evidence):
        """By what does work."""
        strategy = BestOfN(
            4, verifier=lambda value: value.count("b") / 4, of=ToolCheck(broken, on_fail=on_fail)
        )
        assert checked(["a", "bb", "b", "bbb"], strategy).value == "bbb"

    def test_as_the_verifier_of_best_of_n_it_decides_nothing(self, on_fail, broken, evidence):
        """The votes do, and the result says so."""
        del on_fail
        strategy = BestOfN(4, verifier=AllOf(broken))
        result = checked(["a", "b", "b", "c"], strategy)
        assert result.value == "b"
        assert {each.outcome for each in result.verdicts} == {"error"}


@pytest.mark.parametrize("on_fail", MODES)
async def test_a_tool_that_blocks_its_thread_is_abandoned(on_fail):
    """The run ends in time; the thread ends when it likes."""
    gate = threading.Event()
    strategy = ToolCheck(lambda _: gate.wait(20), on_fail=on_fail, timeout=0.02)
    result = await solve("q", sampler=ScriptedSampler(["x"]), strategy=strategy)
    gate.set()
    assert (result.value, result.verdicts[0].evidence) == ("x", ("timed out after 0.02 s",))


@pytest.mark.usefixtures("fresh_remarks")
@pytest.mark.parametrize("on_fail", MODES)
def test_a_broken_tool_is_said_aloud(on_fail, monkeypatch):
    """Once a process: answers go out that nobody has checked."""
    monkeypatch.setattr("thinktwice.remarks._told", set())
    with pytest.warns(ThinktwiceWarning, match="broke"):
        checked(["x"], ToolCheck(_raises, on_fail=on_fail))


class TestBudgets:
    """What was paid for is not lost."""

    @pytest.mark.parametrize("on_fail", MODES)
    def test_a_draft_that_could_not_be_judged_is_returned(self, on_fail):
        """Marked as cut short."""
        judge = Judge(ScriptedSampler([GRADE]), rubric="right")
        result = checked(["x"], ToolCheck(judge, on_fail=on_fail), budget=Budget(calls=1))
        assert (result.value, result.cut.kind) == ("x", "calls")

    @pytest.mark.parametrize("on_fail", MODES)
    def test_time_that_runs_out_during_a_check(self, on_fail):
        """The tool is cut off with everything else."""
        strategy = ToolCheck(_hangs, on_fail=on_fail)
        result = checked(["x"], strategy, budget=Budget(seconds=5))
        assert (result.value, result.cut.kind, result.ledger.seconds) == ("x", "seconds", 5)


def test_the_span_of_a_check_says_what_came_of_it():
    """Under the names of the tools."""
    with captured_spans() as spans:
        checked(["x"], ToolCheck(_raises, Tool(is_right, name="truth"), on_fail="reject"))
    (span,) = (span for span in spans if span.name.startswith("thinktwice.verify"))
    assert span.name == "thinktwice.verify _raises+truth"
    assert span.attributes["thinktwice.outcome"] == "fail"


def test_it_works_over_a_vote():
    """What is checked is then the answer of the vote."""
    strategy = ToolCheck(is_right, on_fail="reject", of=Vote(3))
    assert checked(["right", "wrong", "right"], strategy).value == "right"
    assert checked(["right", "wrong", "wrong"], strategy).value is None
