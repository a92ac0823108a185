"""Streams of an agent: the winner's message comes once, and nothing of the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from langchain_thinktwice.middleware import StrategyMiddleware

from thinktwice import AtMost, Vote

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

ASKED = {"messages": [("user", "Pay Ada what we owe her.")]}


@pytest.fixture(params=["sync", "async"])
def chunks(request):
    """All chunks of a stream, by `stream` on a thread, and by `astream`."""
    if request.param == "sync":

        async def sync(agent: Any, mode: Any) -> list[Any]:
            return await asyncio.to_thread(lambda: list(agent.stream(ASKED, stream_mode=mode)))

        return sync

    async def unblocked(agent: Any, mode: Any) -> list[Any]:
        return [each async for each in agent.astream(ASKED, stream_mode=mode)]

    return unblocked


def three() -> StrategyMiddleware[Any, Any]:
    """A vote of three, all of which are drawn."""
    return StrategyMiddleware(Vote(3, stop=AtMost(3)))


def said(chunks: Iterable[Any]) -> list[tuple[str, str]]:
    """Kind and text of streamed messages."""
    return [(message.type, message.text) for message, _ in chunks]


async def test_only_the_winners_message_is_streamed(streamed, agent_of, chunks):
    """The models stream by characters, and losers' characters stay inside."""
    model = streamed("No.", "Yes!", "Yes!")
    got = await chunks(agent_of(model, three()), "messages")
    assert said(got) == [("ai", "Yes!")]
    assert model.calls == 3


async def test_without_the_middleware_the_characters_are_streamed(streamed, agent_of, chunks):
    """So that the test above would notice any."""
    got = await chunks(agent_of(streamed("Yes!")), "messages")
    assert [text for _, text in said(got) if text] == list("Yes!")


async def test_each_step_streams_its_messages_once(acting, propose, agent_of, chunks):
    """The action that won, the answer of its tool, and the last answer; each id once."""
    model = acting(*[propose(("Ada", euros)) for euros in (9, 5, 5)])
    got = await chunks(agent_of(model, three()), "messages")
    assert said(got) == [("ai", ""), ("tool", "paid 5"), ("ai", "Paid.")]
    assert len({message.id for message, _ in got}) == 3


async def test_a_refused_action_streams_what_the_model_is_told(scripted, propose, agent_of, chunks):
    """Both messages of the step, once."""
    model = scripted(propose(("Ada", 500)), "I cannot.")
    ours = StrategyMiddleware(Vote(1), checks=[lambda action: action.args["euros"] < 100])
    got = await chunks(agent_of(model, ours), "messages")
    assert [kind for kind, _ in said(got)] == ["ai", "tool", "ai"]


async def test_updates_and_values_hold_one_message_a_step(acting, propose, agent_of, chunks):
    """As without the middleware."""
    agent = agent_of(acting(propose(("Ada", 5))), three())
    updates = await chunks(agent, "updates")
    assert [next(iter(each)) for each in updates] == ["model", "tools", "model"]
    assert [len(each["model"]["messages"]) for each in updates if "model" in each] == [1, 1]
    values = await chunks(agent, "values")
    assert [len(each["messages"]) for each in values] == [1, 2, 3, 4]


async def test_several_modes_at_once(acting, propose, agent_of, chunks):
    """Custom ones among them."""
    agent = agent_of(acting(propose(("Ada", 5))), three())
    got = await chunks(agent, ["messages", "updates", "custom", "tasks", "checkpoints"])
    messages = [chunk for mode, chunk in got if mode == "messages"]
    assert said(messages) == [("ai", ""), ("tool", "paid 5"), ("ai", "Paid.")]


async def test_events_tell_samples_by_their_tag(streamed, agent_of):
    """Whoever leaves them out sees no token of a loser."""
    agent = agent_of(streamed("No.", "Yes!", "Yes!"), three())
    events = agent.astream_events(ASKED, version="v2", exclude_tags=["thinktwice:sample"])
    kinds = [event["event"] async for event in events]
    assert "on_chat_model_stream" not in kinds
    assert "on_chain_stream" in kinds


async def test_the_custom_stream_tells_the_progress_of_each_step(scripted, agent_of, chunks):
    """As of every wrapper in a graph: each sample, and what was decided."""
    told = await chunks(agent_of(scripted("No.", "Yes!", "Yes!"), three()), "custom")
    assert [each["kind"] for each in told] == ["sample", "sample", "sample", "decided"]
    assert sorted(told[-1]["tally"]) == [1, 2]
    assert {each["name"] for each in told} == {"Vote[model step]"}
