"""Beside the middleware that LangChain ships: where ours stands in the list, and why."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import pytest
from langchain.agents.middleware import (
    AgentMiddleware,
    ExtendedModelResponse,
    HumanInTheLoopMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
)
from langchain_core.messages import AIMessage
from langchain_thinktwice.middleware import StrategyMiddleware
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from thinktwice import AtMost, Vote

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

ASKED = {"messages": [("user", "Pay Ada what we owe her.")]}
THREAD = {"configurable": {"thread_id": "1"}}


def three() -> StrategyMiddleware[Any, Any]:
    """A vote of three, all of which are drawn."""
    return StrategyMiddleware(Vote(3, stop=AtMost(3)))


def retry() -> ModelRetryMiddleware:
    """Without pauses."""
    return ModelRetryMiddleware(max_retries=2, initial_delay=0, jitter=False, on_failure="error")


def launched(message: AIMessage) -> int:
    """Samples of the step that a message came from."""
    return message.response_metadata["thinktwice"]["launched"]


async def test_a_retry_further_in_is_one_of_a_sample(scripted, agent_of, call):
    """The failed call is made again, and all three samples vote."""
    model = scripted(ConnectionError("gone"), *["Hi."] * 5)
    with_retry = agent_of(model, three(), retry())
    state = await call(with_retry, ASKED)
    assert (state["messages"][-1].text, model.calls) == ("Hi.", 4)


async def test_a_retry_further_out_is_one_of_the_step(scripted, agent_of, call):
    """A failed call is a lost vote; the step is made again only if all three failed."""
    model = scripted(ConnectionError("gone"), *["Hi."] * 2)
    await call(agent_of(model, retry(), three()), ASKED)
    assert model.calls == 3
    model = scripted(*[ConnectionError("gone")] * 3, *["Hi."] * 3)
    state = await call(agent_of(model, retry(), three()), ASKED)
    assert (state["messages"][-1].text, model.calls) == ("Hi.", 6)


async def test_a_fallback_further_out_samples_the_other_model(scripted, agent_of, call):
    """All samples of the first failed with one cause, which the fallback understands."""
    broken, other = scripted(ConnectionError("gone")), scripted("Hi.")
    state = await call(agent_of(broken, ModelFallbackMiddleware(other), three()), ASKED)
    assert (state["messages"][-1].text, broken.calls, other.calls) == ("Hi.", 3, 3)


async def test_a_fallback_further_in_mends_each_sample(scripted, agent_of, call):
    """Those of the other model vote beside those of the first."""
    broken, other = scripted("Hi.", ConnectionError("gone")), scripted("Hi.")
    state = await call(agent_of(broken, three(), ModelFallbackMiddleware(other)), ASKED)
    assert (broken.calls, other.calls) == (3, 1)
    assert state["messages"][-1].response_metadata["thinktwice"]["agreement"] == 1.0


@pytest.mark.parametrize("ours_first", [True, False])
async def test_a_limit_on_model_calls_counts_steps(acting, propose, agent_of, ours_first):
    """LangChain counts how often the model node ran, whatever is called in it."""
    limit = ModelCallLimitMiddleware(run_limit=2, exit_behavior="end")
    model = acting(propose(("Ada", 5)))
    ordered = [three(), limit] if ours_first else [limit, three()]
    state = await agent_of(model, *ordered).ainvoke(ASKED)
    assert (state["messages"][-1].text, model.calls) == ("Paid.", 6)


async def test_people_approve_the_action_that_won(acting, propose, agent_of, paid, call):
    """One interrupt a step, after the vote; what was drawn besides is never shown."""
    model = acting(*[propose(("Ada", euros)) for euros in (9, 5, 5)])
    people = HumanInTheLoopMiddleware(interrupt_on={"pay": True})
    agent = agent_of(model, people, three(), checkpointer=InMemorySaver())
    state = await call(agent, ASKED, THREAD)
    request = state["__interrupt__"][0].value["action_requests"]
    assert [each["args"] for each in request] == [{"to": "Ada", "euros": 5}]
    assert (paid, model.calls) == ([], 3)
    state = await call(agent, Command(resume={"decisions": [{"type": "approve"}]}), THREAD)
    assert (paid, model.calls) == ([("Ada", 5)], 6)
    assert state["messages"][-1].text == "Paid."


async def test_a_refused_action_stays_undone_whatever_people_say(scripted, propose, agent_of, paid):
    """It has been answered before anybody is asked."""
    model = scripted(propose(("Ada", 500)), "I cannot.")
    people = HumanInTheLoopMiddleware(interrupt_on={"pay": True})
    ours = StrategyMiddleware(Vote(1), checks=[lambda action: action.args["euros"] < 100])
    agent = agent_of(model, people, ours, checkpointer=InMemorySaver())
    await agent.ainvoke(ASKED, THREAD)
    state = await agent.ainvoke(Command(resume={"decisions": [{"type": "approve"}]}), THREAD)
    assert paid == []
    assert state["messages"][-1].text == "I cannot."


async def test_samples_read_the_summary(scripted, agent_of, call):
    """The history is condensed once, before the step is sampled."""
    writer, model = scripted("A summary."), scripted("Hi.")
    condense = SummarizationMiddleware(writer, trigger=("messages", 4), keep=("messages", 1))
    long = {"messages": [("user", f"Line {i}") for i in range(6)]}
    await call(agent_of(model, condense, three()), long)
    assert (writer.calls, model.calls) == (1, 3)
    assert {each["text"] for each in model.log} == {"Line 5"}


class Noting(AgentMiddleware[Any, Any]):
    """Updates the state beside each model call, as a middleware may."""

    def __init__(self) -> None:
        super().__init__()
        self.notes = cycle("abc")

    async def awrap_model_call(self, request, handler):
        note = AIMessage(next(self.notes))
        return ExtendedModelResponse(await handler(request), Command(update={"messages": [note]}))


async def test_last_in_the_list_no_update_of_a_loser_gets_through(scripted, agent_of):
    """LangChain collects the updates of a step, whoever's call they came with."""
    state = await agent_of(scripted("Hi."), Noting(), three()).ainvoke(ASKED)
    assert [each.text for each in state["messages"][1:]] == ["Hi.", "a"]
    agent = agent_of(scripted("Hi."), three(), Noting())
    state = await agent.ainvoke(ASKED)
    assert len(state["messages"][2:]) > 1  # as documented: it does not belong further in
