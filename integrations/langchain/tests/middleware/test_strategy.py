"""A strategy over the next action of an agent: what is done, what is kept, and what is paid."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, BaseMessage
from langchain_thinktwice import RunnableSampler, RunnableVerifier
from langchain_thinktwice.middleware import StepMessage, StrategyMiddleware
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import interrupt

from thinktwice import (
    AtMost,
    BestOfN,
    Budget,
    CritiqueRepair,
    FieldVote,
    Limiter,
    ToolCheck,
    UsageError,
    Verdict,
    Vote,
    collect,
)
from thinktwice.verifiers import Calculator, Judge

if TYPE_CHECKING:
    from thinktwice.before import Action

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

ASKED = {"messages": [("user", "Pay Ada what we owe her.")]}


async def test_the_most_frequent_action_is_done_once(acting, propose, agent_of, paid, call):
    """Ids differ from sample to sample, and are no part of an action."""
    proposals = [propose(("Ada", euros)) for euros in (5, 7, 5, 5)]
    model = acting(*proposals)
    state = await call(agent_of(model, StrategyMiddleware(Vote(4))), ASKED)
    assert paid == [("Ada", 5)]
    assert [each.type for each in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert state["messages"][-1].text == "Paid."


async def test_calls_count_in_any_order(acting, propose, agent_of, paid):
    """Several calls of one turn are one action, whatever their order and that of arguments."""
    swapped = propose(("Bo", 2), ("Ada", 5))
    for each in swapped.tool_calls:
        each["args"] = dict(reversed(each["args"].items()))
    model = acting(propose(("Ada", 9)), propose(("Ada", 5), ("Bo", 2)), swapped)
    await agent_of(model, StrategyMiddleware(Vote(3, stop=AtMost(3)))).ainvoke(ASKED)
    assert sorted(paid) == [("Ada", 5), ("Bo", 2)]


async def test_a_premature_answer_is_outvoted(acting, propose, agent_of, paid, call):
    """Text and tool calls are different actions."""
    model = acting("Paid already.", propose(("Ada", 5)), propose(("Ada", 5)))
    await call(agent_of(model, StrategyMiddleware(Vote(3))), ASKED)
    assert paid == [("Ada", 5)]


async def test_the_history_holds_plain_messages_with_ids_of_their_own(
    acting, propose, agent_of, call
):
    """What strategies see stays inside: a checkpointer needs to know nothing of it."""
    model = acting(propose(("Ada", 5)), propose(("Ada", 5)))
    agent = agent_of(model, StrategyMiddleware(Vote(2)), checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    state = await call(agent, ASKED, config)
    kept = (await agent.aget_state(config)).values["messages"]
    assert kept == state["messages"]
    assert {type(each) for each in kept if each.type == "ai"} == {AIMessage}
    assert len({each.id for each in kept}) == len(kept) == 4


async def test_a_message_of_a_known_id_gets_another(agent_of, acting, propose, paid):
    """Else it would take the place of an earlier message, as one from a cache may."""
    same = [propose(("Ada", 5)).model_copy(update={"id": "same"}), AIMessage("Paid.", id="same")]
    model = acting(same[0], then=(same[1],))
    state = await agent_of(model, StrategyMiddleware(Vote(2))).ainvoke(ASKED)
    assert [each.type for each in state["messages"]] == ["human", "ai", "tool", "ai"]


async def test_usage_is_the_messages_own_and_the_sum_is_in_the_summary(
    acting, propose, agent_of, call
):
    """The provider reported what stands in `usage_metadata`."""
    model = acting(*[propose(("Ada", 5))] * 3)
    strategy = Vote(3, stop=AtMost(3))
    state = await call(agent_of(model, StrategyMiddleware(strategy)), ASKED)
    first = state["messages"][1]
    assert first.usage_metadata["total_tokens"] == 24 + 5
    summary = first.response_metadata["thinktwice"]
    assert (summary["launched"], summary["tokens"]) == (3, 3 * (24 + 5))
    assert first.response_metadata["model_name"] == "fake-1"


async def test_a_key_by_name_leaves_actions_apart(acting, propose, agent_of, paid, call):
    """It reads the numbers of answers, and tool calls have no text to read one in."""
    answers = ("It was 5.", "5 euros.", "Six: 6")
    model = acting(*[propose(("Ada", 5))] * 2, propose(("Ada", 6)), then=answers)
    strategy = Vote(3, key="number", stop=AtMost(3))
    state = await call(agent_of(model, StrategyMiddleware(strategy)), ASKED)
    assert paid == [("Ada", 5)]
    last = state["messages"][-1]
    assert last.text in {"It was 5.", "5 euros."}
    assert last.response_metadata["thinktwice"]["agreement"] == pytest.approx(2 / 3)


async def test_a_callable_key_gets_every_message(acting, propose, agent_of, paid):
    """Here the amount does not tell two payments apart."""
    seen = []

    def whom(message: AIMessage) -> object:
        seen.append(message)
        return tuple(each["args"]["to"] for each in message.tool_calls)

    model = acting(propose(("Bo", 1)), propose(("Ada", 5)), propose(("Ada", 6)))
    await agent_of(model, StrategyMiddleware(Vote(3, key=whom, stop=AtMost(3)))).ainvoke(ASKED)
    assert paid == [("Ada", 5)]
    assert all(isinstance(each, AIMessage) for each in seen)


async def test_a_verifier_gets_the_message_and_the_conversation(
    acting, propose, agent_of, paid, call
):
    """A plain callable gets the message; a verifier also what was said before it."""
    prompts: list[Any] = []

    class Frugal:
        name, exact = "frugal", True

        async def __call__(self, sample: Any, /, *, prompt: Any) -> Verdict:
            prompts.append(prompt)
            cheap = all(each["args"]["euros"] < 6 for each in sample.value.tool_calls)
            return Verdict(outcome="pass" if cheap else "fail", score=float(cheap))

    model = acting(propose(("Ada", 9)), propose(("Ada", 5)))
    middleware = StrategyMiddleware(BestOfN(2, verifier=Frugal()))
    await call(agent_of(model, middleware, system_prompt="You pay."), ASKED)
    assert paid == [("Ada", 5)]
    assert [each.type for each in prompts[0]] == ["human"]
    assert [each.type for each in prompts[-1]] == ["human", "ai", "tool"]


async def test_a_judge_reads_what_would_be_done(scripted, acting, propose, agent_of, paid):
    """The candidate of an action is its text and its calls, without ids."""
    judge = scripted(
        lambda request: '{"score": 9}' if r"euros\":5" in request["text"] else '{"score": 1}'
    )
    verifier = Judge(RunnableSampler(judge), rubric="Is that what we owe?")
    model = acting(propose(("Ada", 9), text="So be it."), propose(("Ada", 5), text="So be it."))
    await agent_of(model, StrategyMiddleware(BestOfN(2, verifier=verifier))).ainvoke(ASKED)
    assert paid == [("Ada", 5)]
    assert any(r"So be it.\npay({\"euros\":9,\"to\":\"Ada\"})" in r["text"] for r in judge.log)


async def test_a_repair_happens_inside_the_step(acting, propose, agent_of, paid, call):
    """The model sees its draft and what is wrong with it; the history has the outcome alone."""

    def frugal(message: AIMessage) -> Verdict:
        euros = [each["args"]["euros"] for each in message.tool_calls]
        fine = all(each < 6 for each in euros)
        return Verdict(outcome="pass" if fine else "fail", feedback="We owe her 5.")

    model = acting(propose(("Ada", 9)), propose(("Ada", 5)))
    middleware = StrategyMiddleware(CritiqueRepair(frugal, confirm=1))
    state = await call(agent_of(model, middleware, system_prompt="You pay."), ASKED)
    assert paid == [("Ada", 5)]
    assert [each.type for each in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert [each["text"] for each in model.log[:2]] == ["Pay Ada what we owe her.", "We owe her 5."]


async def test_different_actions_without_a_text_are_no_circle(acting, propose, agent_of, paid):
    """A second draft that acts otherwise is revised again, and not drawn anew."""

    def frugal(message: AIMessage) -> Verdict:
        fine = all(each["args"]["euros"] < 6 for each in message.tool_calls)
        return Verdict(outcome="pass" if fine else "fail", feedback="We owe her 5.")

    model = acting(*[propose(("Ada", euros)) for euros in (9, 8, 5)])
    middleware = StrategyMiddleware(CritiqueRepair(frugal, confirm=1))
    await agent_of(model, middleware).ainvoke(ASKED)
    asked = [each["text"] for each in model.log[:3]]
    assert (asked[1:], paid) == (["We owe her 5."] * 2, [("Ada", 5)])


async def test_a_correction_reaches_the_history(scripted, agent_of, call):
    """What a tool computed is put into the message that the agent keeps."""
    model = scripted("12 * 12 = 154")
    middleware = StrategyMiddleware(ToolCheck(Calculator(), on_fail="inject"))
    state = await call(agent_of(model, middleware), ASKED)
    assert state["messages"][-1].text == "12 * 12 = 144"


async def test_options_are_settings_of_the_request(acting, propose, agent_of, call):
    """They reach the model beside its tools, each sample its own."""
    model = acting(*[propose(("Ada", 5))] * 2)
    middleware = StrategyMiddleware(Vote(2, stop=AtMost(2)), options=lambda index: {"seed": index})
    await call(agent_of(model, middleware), ASKED)
    sent = [each["kwargs"] for each in model.log]
    assert {each["seed"] for each in sent[:2]} == {0, 1}
    assert all(each["tools"] for each in sent)


async def test_a_request_lowers_n(scripted, agent_of, call):
    """As for every wrapper."""
    model = scripted("Hi.", "Ho.")
    config = {"configurable": {"thinktwice_n": 1}}
    await call(agent_of(model, StrategyMiddleware(Vote(5))), ASKED, config)
    assert model.calls == 1


async def test_a_budget_is_one_of_a_step(acting, propose, agent_of, call):
    """Each step may make two calls."""
    model = acting(*[propose(("Ada", 5))] * 2)
    middleware = StrategyMiddleware(
        Vote(5, stop=AtMost(5)), budget=Budget(calls=2), limiter=Limiter(1)
    )
    with collect() as results:
        await call(agent_of(model, middleware), ASKED)
    assert [each.ledger.total.calls for each in results] == [2, 2]
    assert model.most_in_flight == 1


async def test_a_verifier_that_asks_a_model_is_on_the_bill(scripted, acting, propose, agent_of):
    """Its calls are booked in the step, by role."""
    judge = scripted("fine") | (lambda _: True)
    verifier = RunnableVerifier(judge, inputs=lambda message, _: [message])
    model = acting(*[propose(("Ada", 5))] * 2)
    middleware = StrategyMiddleware(BestOfN(2, verifier=verifier))
    with collect() as results:
        await agent_of(model, middleware).ainvoke(ASKED)
    assert {role: total.calls for role, total in results[0].ledger.by_role.items()} == {
        "sample": 2,
        "verify": 2,
    }


async def test_a_failed_sample_is_a_lost_vote(acting, propose, agent_of, paid, call):
    """The others go on."""
    model = acting(ConnectionError("gone"), *[propose(("Ada", 5))] * 2)
    await call(agent_of(model, StrategyMiddleware(Vote(3))), ASKED)
    assert paid == [("Ada", 5)]


async def test_the_cause_leaves_the_agent_if_all_samples_fail(scripted, agent_of, call):
    """As it would without the middleware, so that `with_fallbacks` and retries go on working."""
    model = scripted(ConnectionError("gone"))
    with pytest.raises(ConnectionError, match="gone"):
        await call(agent_of(model, StrategyMiddleware(Vote(3))), ASKED)


async def test_an_interrupt_leaves_the_step(scripted, agent_of, call):
    """Control flow of LangGraph is no failed sample."""

    class Asking(AgentMiddleware):
        def wrap_model_call(self, request, handler):
            interrupt("May I?")
            return handler(request)

        async def awrap_model_call(self, request, handler):
            interrupt("May I?")
            return await handler(request)

    model = scripted("Done.")
    middleware = StrategyMiddleware(Vote(3)), Asking()
    agent = agent_of(model, *middleware, checkpointer=InMemorySaver())
    state = await call(agent, ASKED, {"configurable": {"thread_id": "1"}})
    assert [each.value for each in state["__interrupt__"]] == ["May I?"]
    assert model.calls == 0


async def test_one_instance_serves_several_agents_at_once(model_class, propose, pay):
    """It keeps nothing of a request."""
    middleware = StrategyMiddleware(Vote(3))
    models = [model_class(replies=[f"Done {i}."], seconds=0.001) for i in range(4)]
    agents = [create_agent(model, [pay], middleware=[middleware]) for model in models]
    states = await asyncio.gather(*(agents[i % 4].ainvoke(ASKED) for i in range(12)))
    texts = [state["messages"][-1].text for state in states]
    assert texts == [f"Done {i % 4}." for i in range(12)]


class Shown(BaseCallbackHandler):
    """What chain runs show as their input and output, by name."""

    run_inline = True

    def __init__(self) -> None:
        self.names: dict[Any, str] = {}
        self.shown: dict[str, list[Any]] = {}

    def on_chain_start(self, serialized, inputs, *, run_id, name=None, **_):
        self.names[run_id] = name
        self.shown.setdefault(name, []).append(inputs)

    def on_chain_end(self, outputs, *, run_id, **_):
        self.shown[self.names[run_id]].append(outputs)


async def test_traces_show_messages_and_nest(scripted, agent_of, runs, call):
    """The wrapper's run is below the node, samples below it, and none shows a request object."""
    shown = Shown()
    model = scripted("Hi.")
    await call(
        agent_of(model, StrategyMiddleware(Vote(2, stop=AtMost(2)))),
        ASKED,
        {"callbacks": [runs, shown]},
    )
    paths = [runs.path(run) for run in runs.runs.values() if run["kind"] == "model"]
    assert paths == [["LangGraph", "model", "Vote[model step]", "sample", "model"]] * 2
    seen = [*shown.shown["Vote[model step]"], *shown.shown["sample"]]
    messages = [each for part in seen for each in (part if isinstance(part, list) else [part])]
    assert len(messages) == 6
    assert all(isinstance(each, BaseMessage) for each in messages)
    outcome = shown.shown["Vote[model step]"][-1]
    assert dumpd(outcome)["id"] == dumpd(AIMessage("Hi."))["id"]


def accept(action: Action) -> bool:
    """Whatever is proposed."""
    return True


@pytest.mark.parametrize(
    ("strategy", "settings", "parameter"),
    [
        (8, {}, "strategy"),
        ("vote", {}, "strategy"),
        (Vote, {}, "strategy"),
        (FieldVote(3), {}, "strategy"),
        (Vote(3, of=ToolCheck(accept, on_fail="reject")), {}, "on_fail"),
        (CritiqueRepair(), {}, "critic"),
        (CritiqueRepair(accept, mode="reflexion"), {}, "critic"),
        (Vote(3), {"checks": "schema"}, "checks"),
        (Vote(3), {"checks": accept}, "checks"),
        (Vote(3), {"checks": [3]}, "verifier"),
        (Vote(3), {"shadow": 0.1}, "shadow"),
        (Vote(3), {"repeatable": True}, "repeatable"),
        (Vote(3), {"include_result": True}, "include_result"),
        (Vote(3), {"budgets": Budget(calls=3)}, "budgets"),
        (Vote(3), {"budget": 3}, "budget"),
        (Vote(3), {"options": 0.7}, "options"),
        (Vote(3), {"max_concurrency": 0}, "max_concurrency"),
    ],
)
def test_what_cannot_work_is_refused_at_construction(strategy, settings, parameter):
    """With the name of the parameter."""
    with pytest.raises(UsageError) as caught:
        StrategyMiddleware(strategy, **settings)
    assert caught.value.parameter == parameter


def test_settings_that_there_are_not_are_told_from_those_that_there_are():
    """What it lists can be given."""
    with pytest.raises(UsageError, match=r"^foo=an int: there is no such setting, only ") as caught:
        StrategyMiddleware(Vote(2), foo=1)
    named = caught.value.remedy.partition("only ")[2].split(", ")
    assert {"budget", "checks", "name", "options"} <= set(named)
    assert not {"include_result", "repeatable", "shadow", "strategy", "bound"} & set(named)


def test_native_n_is_for_models():
    """The error says what was given, and what it was given for."""
    with pytest.raises(UsageError, match=r"^native_n=True: only a chat model.*'model step'"):
        StrategyMiddleware(Vote(2), native_n=True)


def test_a_strategy_is_left_as_it_was():
    """Keys are put on a copy, also those of strategies inside."""
    inner = Vote(2, key="number")
    outer = Vote(3, key="text", of=inner)
    middleware = StrategyMiddleware(outer)
    assert (outer.key, outer.of, inner.key) == ("text", inner, "number")
    assert repr(middleware) == f"StrategyMiddleware({outer!r})"
    assert list(middleware.tools) == []


async def test_nested_strategies_vote_on_what_was_repaired(scripted, propose, agent_of, paid):
    """Each sample of the vote is a repair of its own."""

    def frugal(message: AIMessage) -> Verdict:
        fine = all(each["args"]["euros"] < 6 for each in message.tool_calls)
        return Verdict(outcome="pass" if fine else "fail", feedback="We owe her 5.")

    def reply(request: dict[str, Any]) -> AIMessage:
        if request["text"].startswith("paid"):
            return AIMessage("Paid.")
        return propose(("Ada", 5 if request["text"] == "We owe her 5." else 9))

    model = scripted(reply)
    strategy = Vote(2, stop=AtMost(2), of=CritiqueRepair(frugal, confirm=1))
    state = await agent_of(model, StrategyMiddleware(strategy)).ainvoke(ASKED)
    assert paid == [("Ada", 5)]
    assert state["messages"][1].response_metadata["thinktwice"]["launched"] == 2
    assert model.calls == 4 + 2


def test_without_langchain_the_import_says_what_to_install():
    """And importing the package costs no import of langchain."""
    code = """
import sys
import langchain_thinktwice.middleware as middleware
assert not {"langchain", "langgraph"} & set(sys.modules)
sys.modules["langchain"] = None
try:
    middleware.StrategyMiddleware
except ImportError as error:
    print(error)
try:
    middleware.Nothing
except AttributeError as error:
    print(error)
"""
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    said = done.stdout.splitlines()
    assert "pip install 'langchain-thinktwice[agents]'" in said[0]
    assert "has no attribute 'Nothing'" in said[1]


def test_a_step_message_is_an_ai_message():
    """Whatever takes messages of a model takes it."""
    assert issubclass(StepMessage, AIMessage)
