"""Checking what a model proposes before it is done: what is refused never happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.tools import ToolRuntime
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langchain_thinktwice import best_of_n
from langchain_thinktwice.middleware import ActionCheck, StrategyMiddleware

from thinktwice import AtMost, BestOfN, Sample, ToolCheck, UsageError, Verdict, Vote, collect

if TYPE_CHECKING:
    from thinktwice.before import Action

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

ASKED = {"messages": [("user", "Pay Ada what we owe her.")]}


def within_limit(action: Action) -> Verdict:
    """The policy of this file."""
    fine = action.args["euros"] <= 100
    return Verdict(outcome="pass" if fine else "fail", feedback="More than 100 EUR: ask the boss.")


async def test_a_refused_action_does_not_vote(acting, propose, agent_of, paid, call):
    """The most frequent proposal is against the policy."""
    model = acting(*[propose(("Ada", euros)) for euros in (500, 500, 50)])
    middleware = StrategyMiddleware(Vote(3, stop=AtMost(3)), checks=[within_limit])
    state = await call(agent_of(model, middleware), ASKED)
    assert paid == [("Ada", 50)]
    assert [each.type for each in state["messages"]] == ["human", "ai", "tool", "ai"]


async def test_if_all_are_refused_the_model_hears_why(scripted, propose, agent_of, paid, call):
    """The agent goes on as after any failed call: nothing was paid, and the next turn mends it."""

    def reply(request: dict[str, Any]) -> AIMessage:
        if request["text"].startswith("paid"):
            return AIMessage("Paid.")
        return propose(("Ada", 50 if "ask the boss" in request["text"] else 500))

    model = scripted(reply)
    state = await call(agent_of(model, StrategyMiddleware(Vote(3), checks=[within_limit])), ASKED)
    assert paid == [("Ada", 50)]
    refused, told = state["messages"][1:3]
    assert (told.status, told.tool_call_id) == ("error", refused.tool_calls[0]["id"])
    assert "refused" in told.text
    assert "ask the boss" in told.text
    assert refused.response_metadata["thinktwice"]["launched"] == 3


async def test_all_of_a_turn_is_refused_or_none(scripted, propose, agent_of, paid):
    """Half of what was proposed might do harm without the other."""
    model = scripted(propose(("Ada", 50), ("Bo", 500)), "I cannot.")
    state = await agent_of(model, StrategyMiddleware(Vote(1), checks=[within_limit])).ainvoke(ASKED)
    said = [each.text for each in state["messages"] if isinstance(each, ToolMessage)]
    assert paid == []
    assert "another one of the same turn" in said[0]
    assert "ask the boss" in said[1]


async def test_a_call_without_an_id_is_not_made_either(scripted, propose, agent_of, paid):
    """The answer to it needs an id, so that LangGraph takes it as answered."""
    nameless = propose(("Ada", 500))
    nameless.tool_calls[0]["id"] = None
    model = scripted(nameless, "I cannot.")
    state = await agent_of(model, StrategyMiddleware(Vote(1), checks=[within_limit])).ainvoke(ASKED)
    assert paid == []
    assert state["messages"][1].tool_calls[0]["id"] == state["messages"][2].tool_call_id


@pytest.mark.parametrize(
    ("proposal", "why"),
    [
        ({"name": "pay", "args": {"to": "Ada", "euros": "5"}}, "euros"),
        ({"name": "pay", "args": {"to": "Ada", "euros": None}}, "euros"),
        ({"name": "transfer", "args": {}}, "There is no tool of that name, only pay."),
    ],
)
async def test_arguments_must_fit_the_tool(scripted, agent_of, paid, proposal, why):
    """As JSON, unconverted; and the tool must be one of the agent's."""
    model = scripted(AIMessage("", tool_calls=[{**proposal, "id": "1"}]), "I cannot.")
    agent = agent_of(model, StrategyMiddleware(Vote(1), checks=ActionCheck()))
    state = await agent.ainvoke(ASKED)
    assert paid == []
    assert why in state["messages"][2].text


async def test_what_langchain_injects_is_not_the_models_to_give(scripted, propose):
    """A tool may take the runtime, which no model writes."""
    seen = []

    @tool
    def pay(to: str, euros: int, runtime: ToolRuntime) -> str:
        """Pay somebody."""
        seen.append((to, euros, type(runtime)))
        return "paid"

    model = scripted(propose(("Ada", 5)), "Paid.")
    middleware = StrategyMiddleware(Vote(1), checks=ActionCheck())
    await create_agent(model, [pay], middleware=[middleware]).ainvoke(ASKED)
    assert seen == [("Ada", 5, ToolRuntime)]


async def test_a_tool_of_the_provider_is_known_by_name(scripted, propose):
    """It has no schema to check by here."""
    model = scripted(propose(("Ada", 5), name="web"), propose(("Ada", 5), name="search"))
    web = {"type": "function", "function": {"name": "web", "parameters": {}}}
    message = await best_of_n(model.bind_tools([web]), 1, verifier=ActionCheck(bool)).ainvoke("?")
    assert message.tool_calls[0]["name"] == "web"


async def test_a_repair_stays_inside_the_step(acting, propose, agent_of, paid, call):
    """What the checks refuse is mended with their reasons, before anything is in the history."""
    model = acting(propose(("Ada", 500)), propose(("Ada", 50)))
    middleware = StrategyMiddleware(ToolCheck(ActionCheck()), checks=[within_limit])
    state = await call(agent_of(model, middleware), ASKED)
    assert paid == [("Ada", 50)]
    assert [each.type for each in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert "pay: More than 100 EUR: ask the boss." in model.log[1]["text"]


async def test_a_repair_that_fails_does_nothing(scripted, propose, agent_of, paid, call):
    """A strategy may return what its verifier failed; the checks of the middleware let none by."""
    model = scripted(*[propose(("Ada", euros)) for euros in (500, 400, 300)], "I cannot.")
    middleware = StrategyMiddleware(ToolCheck(ActionCheck()), checks=[within_limit])
    state = await call(agent_of(model, middleware), ASKED)
    assert paid == []
    assert [each.type for each in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert state["messages"][1].tool_calls[0]["args"]["euros"] == 500


async def test_as_a_verifier_alone_it_judges_and_stops_nothing(acting, propose, agent_of, paid):
    """Best-of-N takes what passed, by its own weights."""
    model = acting(*[propose(("Ada", euros)) for euros in (500, 500, 50)])
    await agent_of(
        model, StrategyMiddleware(BestOfN(3, verifier=ActionCheck(within_limit)))
    ).ainvoke(ASKED)
    assert paid == [("Ada", 50)]


async def test_a_nested_repair_that_fails_leaves_the_first_draft_refused(
    scripted, propose, agent_of, paid
):
    """The message is found in the runs inside, and so are the answers to its calls."""

    def reply(request: dict[str, Any]) -> AIMessage:
        return AIMessage("I cannot.") if "Nothing has" in request["text"] else propose(("Bo", 500))

    model = scripted(reply)
    strategy = Vote(2, of=ToolCheck(ActionCheck(), rounds=1))
    agent = agent_of(model, StrategyMiddleware(strategy, checks=[within_limit]))
    state = await agent.ainvoke(ASKED)
    assert paid == []
    assert [each.type for each in state["messages"]] == ["human", "ai", "tool", "ai"]


async def test_a_check_that_breaks_refuses(acting, propose, agent_of, paid):
    """Before an action, not knowing is no permission, unless the caller says otherwise."""

    def broken(action: Action) -> bool:
        raise ConnectionError("no database")

    agent = agent_of(
        acting(propose(("Ada", 5)), AIMessage("I cannot.")),
        StrategyMiddleware(Vote(1), checks=[broken]),
    )
    state = await agent.ainvoke(ASKED)
    assert paid == []
    assert "ConnectionError" in state["messages"][2].text
    lenient = ActionCheck(broken, on_error="allow")
    agent = agent_of(acting(propose(("Ada", 5))), StrategyMiddleware(Vote(1), checks=lenient))
    await agent.ainvoke(ASKED)
    assert paid == [("Ada", 5)]


async def test_a_check_may_wait_and_read_the_conversation(acting, propose, agent_of, paid, call):
    """Async functions and verifiers serve in sync agents as well."""
    prompts = []

    async def patient(action: Action) -> bool:
        return action.args["euros"] < 100

    class Reader:
        name, exact = "reader", False

        async def __call__(self, sample: Sample[Any], /, *, prompt: Any) -> Verdict:
            prompts.append([each.text for each in prompt])
            return Verdict(outcome="pass")

    model = acting(propose(("Ada", 5)))
    middleware = StrategyMiddleware(Vote(1), checks=[patient, Reader()])
    await call(agent_of(model, middleware), ASKED)
    assert paid == [("Ada", 5)]
    assert prompts == [["Pay Ada what we owe her."]]


async def test_a_check_that_asks_a_model_is_on_the_bill(acting, scripted, propose, agent_of):
    """Its calls are those of the step."""
    from langchain_thinktwice import RunnableVerifier

    judge = scripted("yes") | (lambda message: message.text == "yes")
    ask = RunnableVerifier(judge, inputs=lambda action, _: f"Pay {action.args['euros']}?")
    model = acting(propose(("Ada", 5)))
    with collect() as results:
        await agent_of(model, StrategyMiddleware(Vote(1), checks=[ask])).ainvoke(ASKED)
    assert [each.ledger.total.calls for each in results] == [2, 1]


def message(*payments: tuple[str, Any]) -> AIMessage:
    """A message without an agent."""
    calls = [
        {"name": "pay", "args": {"to": to, "euros": euros}, "id": str(at)}
        for at, (to, euros) in enumerate(payments)
    ]
    return AIMessage("", tool_calls=calls)


async def judged(check: ActionCheck, value: object) -> Verdict:
    """What it says of a value."""
    return await check(Sample(index=3, value=value), prompt="?")


async def test_its_verdict_names_tool_and_reason():
    """As feedback for the next draft."""
    verdict = await judged(ActionCheck(within_limit), message(("Ada", 5), ("Bo", 500)))
    assert (verdict.outcome, verdict.sample, verdict.verifier) == ("fail", 3, "action")
    assert verdict.feedback == "pay: More than 100 EUR: ask the boss."


@pytest.mark.parametrize("value", [AIMessage("Done."), "Done.", message(), message(("Ada", 5))])
async def test_what_proposes_nothing_bad_passes(value):
    """Also where there is no tool call at all."""
    assert (await judged(ActionCheck(within_limit), value)).outcome == "pass"


async def test_a_broken_check_is_no_fail_of_the_message():
    """Unless another check failed it."""

    def broken(action: Action) -> bool:
        raise ConnectionError("no database")

    assert (await judged(ActionCheck(broken), message(("Ada", 5)))).outcome == "error"
    both = ActionCheck(broken, within_limit)
    assert (await judged(both, message(("Ada", 500)))).outcome == "fail"


def test_its_role_and_calls_are_those_of_its_checks():
    """So that budgets hold what a verdict may cost."""

    def asks(action: Action) -> bool:
        return True

    asks.calls = 2  # type: ignore[attr-defined]
    assert (ActionCheck(within_limit).calls, ActionCheck(within_limit).role) == (0, "tool")
    assert (ActionCheck(within_limit, asks).calls, ActionCheck(asks).role) == (2, "verify")


@pytest.mark.parametrize(
    ("settings", "parameter"), [({"timeout": -1}, "timeout"), ({"on_error": "maybe"}, "on_error")]
)
def test_what_makes_no_sense_is_refused(settings, parameter):
    """At construction."""
    with pytest.raises(UsageError) as caught:
        ActionCheck(within_limit, **settings)
    assert caught.value.parameter == parameter
