"""Whether a proposed tool call may be made."""

from __future__ import annotations

import asyncio
import datetime as dt
import pickle
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Gt
from pydantic import BaseModel

from tests.contracts.traced import Trace, collected
from thinktwice import Budget, Completion, Strategy, UsageError, Verdict, solve
from thinktwice.before import Action, Decision, check_before
from thinktwice.result import Outcome
from thinktwice.testing import ScriptedSampler, captured_spans, run_virtual
from thinktwice.verifiers import Judge
from thinktwice.verifiers.schema import Schema

CALL = {"name": "transfer", "args": {"to": "amy", "amount": 50}, "id": "c1", "type": "tool_call"}


class Transfer:
    """A tool that acts, in the shape of a framework's, and counts whoever makes it act."""

    name = "transfer"

    class args_schema(BaseModel):  # noqa: N801 - the framework's name
        to: str
        amount: Annotated[int, Gt(0)]

    def __init__(self) -> None:
        self.executed: list[object] = []
        self.tried: list[object] = []

    def __call__(self, *args: object, **kwargs: object) -> str:
        self.executed.append((args, kwargs))
        return "sent"

    invoke = run = _run = func = __call__

    async def ainvoke(self, *args: object, **kwargs: object) -> str:
        return self(*args, **kwargs)

    arun = _arun = coroutine = ainvoke

    def dry_run(self, to: str, amount: int) -> object:
        self.tried.append((to, amount))
        if to == "bob":
            raise ValueError("there is no account of bob\x1b[2J")
        return {"balance": 100 - amount}


class Room(Enum):
    """One of a few."""

    BLUE = "blue"


def transfer(to: str, amount: Annotated[int, Gt(0)], *, currency: Literal["EUR"] = "EUR") -> str:
    raise AssertionError


def is_small(action: Action) -> bool:
    """More than 100 takes a person's consent."""
    amount = action.args["amount"]
    return isinstance(amount, int) and amount <= 100


def call(**args: object) -> dict[str, object]:
    return {"name": "transfer", "args": args}


def decided(*given: Any, **more: Any) -> Decision:
    return run_virtual(check_before(*given, **more))


class TestShapes:
    """What an action may look like."""

    @pytest.mark.parametrize(
        "action",
        [
            CALL,
            Action("transfer", {"to": "amy", "amount": 50}, "c1"),
            {
                "id": "c1",
                "function": {"name": "transfer", "arguments": '{"to": "amy", "amount": 50}'},
            },
            {
                "type": "tool_use",
                "id": "c1",
                "name": "transfer",
                "input": {"to": "amy", "amount": 50},
            },
        ],
        ids=["LangChain", "ours", "OpenAI", "Anthropic"],
    )
    def test_it_is_one_tool_call_of_any_interface(self, action: object):
        """What may be executed is the same, with the id by which the model knows it."""
        decision = decided(action, is_small)
        assert decision.allowed
        assert decision.action == Action("transfer", {"to": "amy", "amount": 50})
        assert decision.action.id == "c1"

    @pytest.mark.parametrize("action", ["transfer", None, [CALL], {}, {"name": "", "args": {}}, 3])
    def test_anything_else_is_refused(self, action: object):
        """It is the caller's mistake, and shown by its type alone."""
        with pytest.raises(UsageError, match=r"^action=(None|an? \w+): "):
            decided(action, is_small)

    @pytest.mark.parametrize("args", [None, "to amy", '{"to": "amy"', "[1]", 3])
    def test_arguments_that_are_no_object_are_the_models_mistake(self, args: object):
        """It can mend them."""
        action = {"function": {"name": "transfer", "arguments": args}}
        decision = decided(action, is_small)
        assert (decision.allowed, decision.reasons) == (
            False,
            ("The arguments are not a JSON object.",),
        )
        mended = decided(action, is_small, repair=ScriptedSampler(['{"amount": 5}']))
        assert (mended.allowed, mended.action.args) == (True, {"amount": 5})

    def test_a_refusal_is_false(self):
        """So that `if await check_before(...)` cannot let it through."""
        assert decided(CALL, is_small)
        assert not decided(CALL, lambda _: False)

    def test_reprs_hold_no_arguments(self):
        """They may hold anything of the user's."""
        decision = decided(call(to="secret", amount=500), is_small)
        assert repr(decision) == "<Decision: <Action transfer> refused>"
        assert repr(decided(CALL, is_small)) == "<Decision: <Action transfer> allowed>"
        assert pickle.loads(pickle.dumps(decision)) == decision  # noqa: S301 - our own


class TestParameters:
    """What is refused by name."""

    @pytest.mark.parametrize(
        ("parameter", "checks", "more"),
        [
            ("checks", (), {}),
            ("checks", (), {"tool": object()}),
            ("verifier", ("policy",), {}),
            ("on_error", (is_small,), {"on_error": "ignore"}),
            ("rounds", (is_small,), {"rounds": -1}),
            ("rounds", (is_small,), {"rounds": True}),
            ("timeout", (is_small,), {"timeout": 0}),
        ],
    )
    def test_by_name(self, parameter, checks, more):
        """The parameter is in the message."""
        with pytest.raises(UsageError, match=f"^{parameter}="):
            decided(CALL, *checks, **more)

    def test_a_function_whose_annotations_cannot_be_read(self):
        """With what to do instead."""

        def transfer(to: Nowhere) -> None:  # noqa: F821
            raise AssertionError

        with pytest.raises(UsageError, match="give a Schema of its arguments"):
            decided(CALL, tool=transfer)


class TestArguments:
    """The form of the arguments, before anything else."""

    @pytest.mark.parametrize("tool", [Transfer(), transfer], ids=["object", "function"])
    def test_those_of_the_tool(self, tool: object):
        """By its schema, or its signature."""
        assert decided(CALL, tool=tool)
        for args in ({"to": "amy"}, {"to": "amy", "amount": "much"}, {"to": "amy", "amount": 0}):
            decision = decided(call(**args), tool=tool)
            assert not decision
            assert decision.reasons[0].startswith(
                "The arguments do not have the right form:\n  amount: "
            )

    def test_the_signature_of_a_function_names_all_there_is(self):
        """Names that it does not take are refused, unless it takes any."""
        assert (
            "unknown: Extra" in decided(call(to="a", amount=1, unknown=2), tool=transfer).reasons[0]
        )
        assert not decided(call(to="a", amount=1, currency="USD"), tool=transfer)

        def free(to: str, *rest: int, json: bool = False, **more: object) -> None:
            raise AssertionError

        assert decided({"name": "free", "args": {"to": "a", "x": 1, "json": True}}, tool=free)
        assert not decided({"name": "free", "args": {"to": "a", "json": "perhaps"}}, tool=free)

    @pytest.mark.parametrize("amount", ["500", True, 5.0])
    @pytest.mark.parametrize("tool", [Transfer(), transfer], ids=["object", "function"])
    def test_nothing_is_converted(self, tool: object, amount: object):
        """What is executed is what was proposed, so it must be of the type itself."""
        decision = decided(call(to="amy", amount=amount), is_small, tool=tool)
        assert not decision
        assert f"amount: Input should be a valid integer (got {amount!r})" in decision.reasons[0]
        assert not decided(call(to="amy", amount=amount), Schema(Transfer.args_schema))

    def test_a_repair_puts_the_type_right(self):
        """It is told which is wanted."""
        model = ScriptedSampler(['{"to": "amy", "amount": 50}'])
        decision = decided(call(to="amy", amount="50"), tool=transfer, repair=model)
        assert (decision.allowed, decision.action.args["amount"]) == (True, 50)
        assert "a valid integer" in model.prompts[0]

    def test_what_json_has_no_form_for_is_a_text(self):
        """Dates and enums among others; an integer is a float too."""

        def book(day: dt.date, room: Room, price: float, of: set[int]) -> None:
            raise AssertionError

        good = {"day": "2026-01-31", "room": "blue", "price": 5, "of": [1]}
        decision = decided({"name": "book", "args": good}, tool=book)
        assert (decision.allowed, decision.action.args) == (True, good)
        for wrong in ({"day": "soon"}, {"room": "red"}, {"day": 0}, {"price": "5"}):
            assert not decided({"name": "book", "args": good | wrong}, tool=book)

    def test_what_is_no_json_is_of_the_type_itself(self):
        """Where something in between has made objects of it."""

        def book(day: dt.date) -> None:
            raise AssertionError

        assert decided({"name": "book", "args": {"day": dt.date(2026, 1, 31)}}, tool=book)
        assert not decided({"name": "book", "args": {"day": object()}}, tool=book)

    def test_a_schema_of_yours_gets_the_arguments(self):
        """And other checks are not asked about what does not fit it."""
        asked: list[object] = []
        schema = Schema({"required": ["iban"]})
        decision = decided(CALL, asked.append, schema)
        assert "'iban' is a required property" in decision.reasons[0]
        assert asked == []
        assert [each.verifier for each in decision.verdicts] == ["schema"]

    @pytest.mark.parametrize(
        "args",
        [
            {"role": "assistant", "content": '{"to": "amy", "amount": 1}'},
            {"messages": [{"role": "assistant", "content": '{"to": "amy", "amount": 1}'}]},
            {"messages": [Completion(value='{"to": "amy", "amount": 1}')]},
            {"raw": object(), "parsed": {"to": "amy", "amount": 1}, "parsing_error": None},
        ],
        ids=["message", "state", "object", "raw"],
    )
    def test_are_checked_as_they_would_be_used(self, args: dict[str, object]):
        """Arguments that look like a wrapping are not unwrapped."""
        schema = {"type": "object", "required": ["to", "amount"]}
        assert not decided(call(**args), Schema(Transfer.args_schema))
        if "object" not in str(args):
            assert not decided(call(**args), Schema(schema))


class TestOtherTools:
    """The name of the tool is the model's choice too."""

    @pytest.mark.parametrize("tool", [Transfer(), transfer], ids=["object", "function"])
    def test_a_call_of_another_is_refused(self, tool: object):
        """Nothing else is asked, and no repair, which may change arguments alone."""
        asked: list[object] = []
        model = ScriptedSampler(['{"to": "amy", "amount": 5}'])
        action = {"name": "delete_all", "args": {"to": "amy", "amount": 5}}
        decision = decided(action, asked.append, tool=tool, repair=model, on_error="allow")
        assert not decision
        assert decision.reasons == (
            "The call is of another tool than the one that may be called here.",
        )
        assert [(each.verifier, each.outcome) for each in decision.verdicts] == [("tool", "fail")]
        assert (asked, model.calls, decision.action.name) == ([], 0, "delete_all")

    def test_a_tool_without_a_name_may_be_any(self):
        """As an object that is called has none of its own."""

        class Nameless:
            args_schema = Transfer.args_schema

        assert decided(CALL, tool=Nameless())


class TestPolicies:
    """Anything else that has a say."""

    def test_a_function_gets_the_action(self):
        """Its docstring is the reason, if it gives no other."""
        decision = decided(call(to="amy", amount=500), is_small)
        assert decision.reasons == (
            'The check "is_small" failed: More than 100 takes a person\'s consent.',
        )
        told = decided(CALL, lambda _: Verdict(outcome="fail", feedback="Ask first."))
        assert told.reasons == ("Ask first.",)

    def test_all_of_them_are_asked(self):
        """So that the model hears everything at once."""
        decision = decided(CALL, lambda _: False, is_small, lambda _: Verdict(outcome="fail"))
        assert [each.outcome for each in decision.verdicts] == ["fail", "pass", "fail"]
        assert len(decision.reasons) == 2

    def test_nothing_to_check_is_no_objection(self):
        """Of a check that says so."""
        assert decided(CALL, lambda _: Verdict(outcome="not_applicable"))

    def test_a_score_is_no_permission(self):
        """However high."""
        judge = Judge(ScriptedSampler(['{"reason": "", "score": 10}']), rubric="harmless")
        decision = decided(CALL, judge, prompt="pay amy")
        assert decision.reasons == (
            'The check "judge" gave a score, and a score is no permission.',
        )

    def test_a_judge_reads_name_arguments_and_task(self):
        """As a candidate for what the user wants."""
        asked = ScriptedSampler(['{"reason": "", "score": 10}'])
        decided(CALL, Judge(asked, rubric="harmless"), prompt="pay amy")
        assert all(text in asked.prompts[0] for text in ("transfer", "amount", "pay amy"))

    def test_reasons_are_cut_and_cleaned(self):
        """They go to a model."""
        said = Verdict(outcome="fail", feedback="\x00\x1b" + "x" * 10**6)
        (reason,) = decided(CALL, lambda _: said).reasons
        assert len(reason) == 1000
        assert "\x1b" not in reason


class TestDryRun:
    """Trying without effect."""

    def test_that_of_the_tool_or_the_one_given(self):
        """With the arguments by name."""
        tool = Transfer()
        assert decided(CALL, tool=tool)
        assert tool.tried == [("amy", 50)]
        seen: list[object] = []

        async def mine(**args: object) -> None:
            seen.append(args)

        assert decided(CALL, tool=tool, dry_run=mine)
        assert (seen, tool.tried) == ([{"to": "amy", "amount": 50}], [("amy", 50)])

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            (False, 'The check "dry_run" failed.'),
            (Verdict(outcome="fail", feedback="No such account."), "No such account."),
            (ValueError("no account"), "A dry run refused it: no account"),
            (KeyError("secret"), 'The check "dry_run" broke: KeyError.'),
        ],
        ids=["False", "verdict", "ValueError", "other"],
    )
    def test_it_refuses(self, said: object, reason: str):
        """By what it returns or raises; anything but a `ValueError` is a fault of it."""

        def tries(**_: object) -> object:
            if isinstance(said, Exception):
                raise said
            return said

        assert decided(CALL, dry_run=tries).reasons == (reason,)

    @pytest.mark.parametrize("said", [None, True, 0, {}, "preview"])
    def test_what_it_returns_otherwise_is_a_preview(self, said: object):
        """Which is no refusal."""
        assert decided(CALL, dry_run=lambda **_: said)

    @pytest.mark.parametrize("action", [call(to="amy", amount="x"), call(to="amy", amount=500)])
    def test_it_sees_only_what_nothing_refused(self, action: object):
        """Neither a wrong form nor what is not allowed."""
        tool = Transfer()
        assert not decided(action, is_small, tool=tool)
        assert tool.tried == []

    def test_its_words_are_cleaned(self):
        """They go to a model."""
        (reason,) = decided(call(to="bob", amount=1), tool=Transfer()).reasons
        assert reason == "A dry run refused it: there is no account of bob[2J"


class TestFaults:
    """Before an action, not knowing is no permission."""

    @pytest.mark.parametrize(
        ("check", "why"),
        [
            (lambda _: 1 / 0, "ZeroDivisionError"),
            (lambda _: "certainly", "UsageError: return a bool"),
            (lambda _: asyncio.sleep(1e9), "timed out after 10 s"),
        ],
        ids=["raises", "nonsense", "hangs"],
    )
    def test_a_check_that_breaks_refuses(self, check, why):
        """Unless told otherwise; a fail beside it refuses all the same."""
        decision = decided(CALL, check)
        assert [each.outcome for each in decision.verdicts] == ["error"]
        assert f"broke: {why}" in decision.reasons[0]
        assert decided(CALL, check, on_error="allow")
        assert not decided(CALL, check, lambda _: False, on_error="allow")

    def test_the_limit_is_yours(self):
        """Of each check, and of the dry run."""

        async def slow(*_: object, **__: object) -> bool:
            await asyncio.sleep(30)
            return True

        assert not decided(CALL, slow)
        assert decided(CALL, slow, dry_run=slow, timeout=31)
        assert not decided(CALL, dry_run=slow)

    def test_a_mistake_of_the_caller_is_raised(self):
        """Which makes no call either."""

        class Broken:
            name, exact = "broken", False

            async def __call__(self, sample: object, /, *, prompt: object) -> Verdict:
                raise UsageError("key", None, "give one")

        with pytest.raises(UsageError, match=r"^key="):
            decided(CALL, Broken(), on_error="allow")

    def test_a_check_cannot_change_what_is_executed(self):
        """Each gets a copy, and so does whoever executes it."""
        proposed = call(to="amy", amount=50, items=[1])

        def meddles(action: Action) -> bool:
            action.args["to"] = "mallory"  # type: ignore[index]
            action.args["items"].append(2)  # type: ignore[attr-defined]
            proposed["args"]["to"] = "mallory"  # type: ignore[index]
            return True

        decision = decided(proposed, meddles, lambda action: action.args["to"] == "amy")
        assert decision.allowed
        assert decision.action.args == {"to": "amy", "amount": 50, "items": [1]}

    def test_arguments_that_cannot_be_copied_are_refused(self):
        """What was checked could be changed before it is executed."""
        with pytest.raises(UsageError, match="give arguments that can be copied"):
            decided(call(to=(each for each in "a")), is_small)


class TestRepair:
    """Better arguments, asked for and checked again."""

    def test_the_model_is_told_why_and_its_reply_is_checked(self):
        """From the form of the arguments to the dry run."""
        model, tool = ScriptedSampler(['```json\n{"to": "amy", "amount": 5}\n```']), Transfer()
        decision = decided(
            call(to="bob", amount=5), is_small, tool=tool, repair=model, prompt="pay amy 5"
        )
        assert (decision.allowed, decision.repaired) == (True, True)
        assert decision.action == Action("transfer", {"to": "amy", "amount": 5})
        assert decision.reasons == ()
        assert repr(decision) == "<Decision: <Action transfer> repaired and allowed>"
        (asked,) = model.prompts
        assert "- A dry run refused it: there is no account of bob" in asked
        assert '"pay amy 5"' in asked
        assert '{"to": "bob", "amount": 5}' in asked
        assert tool.tried == [("bob", 5), ("amy", 5)]
        assert len(decision.verdicts) == 3

    def test_what_is_proposed_in_its_place_may_be_refused_too(self):
        """After so many rounds it stays refused, with the last reasons."""
        model = ScriptedSampler(['{"to": "amy", "amount": 900}', '{"amount": 1}'])
        decision = decided(
            call(to="amy", amount=500), is_small, tool=Transfer(), repair=model, rounds=2
        )
        assert (decision.allowed, decision.repaired, model.calls) == (False, True, 2)
        assert "to: Field required" in decision.reasons[0]
        assert not decided(call(to="amy", amount=500), is_small, repair=model, rounds=0)
        assert model.calls == 2

    @pytest.mark.parametrize(
        "reply",
        [
            {"to": "amy", "amount": 5},
            {"role": "assistant", "content": "", "tool_calls": [call(to="amy", amount=5)]},
            {"role": "assistant", "content": '{"to": "amy", "amount": 5}', "tool_calls": []},
        ],
        ids=["mapping", "tool call", "message"],
    )
    def test_it_may_return_a_mapping_or_a_message(self, reply: object):
        """As frameworks do."""

        @dataclass
        class Message:
            content: str
            tool_calls: list[object]

        if "role" in reply:
            reply = Message(reply["content"], reply["tool_calls"])
        decision = decided(call(to="amy", amount=500), is_small, repair=lambda _: reply)
        assert decision.action.args == {"to": "amy", "amount": 5}

    @pytest.mark.parametrize(
        "reply",
        [
            "I am sorry.",
            "[1]",
            "",
            None,
            7,
            {"tool_calls": [{"name": "other", "args": {"amount": 5}}]},
            {"tool_calls": [call(amount=5), call(amount=6)]},
        ],
        ids=str,
    )
    def test_what_is_not_readable_changes_nothing(self, reply: object):
        """Nor does a call of another tool, or of two."""
        model = ScriptedSampler([reply])
        decision = decided(call(amount=500), is_small, repair=model, rounds=3)
        assert (decision.allowed, decision.repaired, model.calls) == (False, False, 1)
        assert decision.reasons[1] == "A repair was tried and is not readable."
        assert decision.action.args == {"amount": 500}

    def test_a_model_that_breaks_changes_nothing(self):
        """The call stays refused, and its text stays out."""
        model = ScriptedSampler([ConnectionError("secret")])
        decision = decided(call(amount=500), is_small, repair=model)
        assert decision.reasons[1] == "A repair was tried and broke: ConnectionError."

    def test_control_flow_of_the_model_leaves(self):
        """As everywhere."""

        class Interrupted(Exception):  # noqa: N818 - a framework's control flow
            pass

        def model(_: str) -> str:
            raise Interrupted

        model.passthrough = (Interrupted,)  # type: ignore[attr-defined]
        with pytest.raises(Interrupted):
            decided(call(amount=500), is_small, repair=model)

    def test_nothing_is_repaired_on_the_word_of_a_broken_check(self):
        """Nor of a score."""
        model = ScriptedSampler(['{"amount": 5}'])
        for check in (lambda _: 1 / 0, lambda _: 0.2):
            assert not decided(CALL, check, lambda _: False, repair=model)
        assert model.calls == 0

    def test_a_broken_check_that_is_let_pass_keeps_nothing_from_repair(self):
        """A fail beside it is mended."""
        model = ScriptedSampler(['{"amount": 5}'])
        decision = decided(
            call(amount=500), is_small, lambda _: 1 / 0, repair=model, on_error="allow"
        )
        assert (decision.allowed, decision.repaired) == (True, True)


@pytest.mark.parametrize("amount", [50, 500, "x", None])
@pytest.mark.parametrize("to", ["amy", "bob"])
@pytest.mark.parametrize("on_error", ["refuse", "allow"])
@pytest.mark.parametrize("check", [is_small, lambda _: 1 / 0, lambda _: False], ids="abc")
def test_the_tool_itself_is_never_executed(amount, to, on_error, check):
    """Whatever is proposed, whatever the checks say, repaired or not."""
    tool = Transfer()
    reply = '{"to": "amy", "amount": 5}'
    decided(
        call(to=to, amount=amount),
        check,
        Schema(Transfer.args_schema),
        tool=tool,
        repair=ScriptedSampler([reply]),
        rounds=2,
        on_error=on_error,
    )
    assert tool.executed == []


@pytest.mark.usefixtures("silent_remarks")
def test_inside_a_run_its_calls_are_on_its_account():
    """And its budget binds: what cannot be afforded raises, and nothing is executed."""
    model = ScriptedSampler(['{"to": "amy", "amount": 5}'])

    @dataclass(frozen=True)
    class Judged:
        name: str = "acts"
        exact: bool = False
        calls: int = 1

        async def __call__(self, sample: Any, /, *, prompt: object) -> Verdict:
            decision = await check_before(call(to="amy", amount=500), is_small, repair=model)
            return Verdict(outcome="pass" if decision else "fail")

    class Once(Strategy):
        async def __call__(self, run: Any) -> Outcome[Any]:
            sample = await run.sample()
            run.offer(Outcome(winner=sample))
            await run.verify(sample, Judged())
            return Outcome(winner=sample)

    def result(calls: int) -> Any:
        sampler = ScriptedSampler(["x"])
        return run_virtual(solve("q", sampler=sampler, strategy=Once(), budget=Budget(calls=calls)))

    assert result(2).ledger.by_role["repair"].calls == 1
    assert result(1).cut.kind == "calls"


def test_every_check_is_a_span():
    """By name, with what came of it."""
    with captured_spans() as spans:
        decided(CALL, is_small, tool=Transfer())
    found = {span.name: span.attributes["thinktwice.outcome"] for span in spans}
    checks = ("arguments", "is_small", "dry_run")
    names = [
        f"{what} {check}" for check in checks for what in ("execute_tool", "thinktwice.verify")
    ]
    assert found == dict.fromkeys(names, "pass")


def test_every_check_is_told_of_as_a_verdict():
    """On its span; with what it broke by, and no content."""

    def shaky(action):
        raise LookupError("secret")

    trace = Trace()
    with collected(trace):
        decided(CALL, is_small, shaky)
    spans = {s.context.span_id: s for s in trace.spans if s.name.startswith("thinktwice.verify")}
    told = [log.log_record for log in trace.logs]
    assert {each.event_name for each in told} == {"gen_ai.evaluation.result"}
    said = {each.attributes["gen_ai.evaluation.name"]: each for each in told}
    assert said["is_small"].attributes["gen_ai.evaluation.score.label"] == "pass"
    assert said["shaky"].attributes["gen_ai.evaluation.score.label"] == "error"
    for name, record in said.items():
        assert spans[record.span_id].name == f"thinktwice.verify {name}"
        assert record.attributes.get("error.type") == spans[record.span_id].attributes.get(
            "error.type"
        )
    assert "secret" not in trace.text
