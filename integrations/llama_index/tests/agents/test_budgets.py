"""What a run of an agent may spend."""

import asyncio

import pytest
from llama_index.core.agent.workflow import (
    AgentOutput,
    AgentWorkflow,
    FunctionAgent,
    ReActAgent,
    ToolCallResult,
)
from llama_index.core.memory import ChatMemoryBuffer
from llama_index_thinktwice.agents.agent import strategy_agent
from llama_index_thinktwice.workflow.runs import run_strategy

from thinktwice import AtMost, Budget, BudgetExceeded, Vote, budget_scope

pytestmark = pytest.mark.usefixtures("silent_remarks")

ASKED = "Pay Ada what we owe her."
VOTE = Vote(3, stop=AtMost(3))


@pytest.fixture
def spender(account, clerk, paying):
    """An agent that never answers, but pays in every step."""
    return FunctionAgent(tools=[account.pay], llm=clerk(paying(5), answers=[paying(5)]))


class TestEnd:
    """By default the agent ends with a message that says so."""

    async def test_says_which_cap_and_what_was_spent(self, account, spender):
        """No call is sent that does not fit: exactly seven are."""
        with budget_scope(Budget(calls=7)) as spent:
            output = await strategy_agent(spender, VOTE).run(ASKED)
        assert str(output).startswith("I have to stop here: budget of 7 calls used up")
        assert "7 of 7 calls" in str(output)
        assert output["thinktwice"]["stopped_by"] == "calls"
        assert isinstance(output["thinktwice"]["tokens"], int)
        assert spender.llm.calls == spent.total.calls == 7
        assert spent.enforcement["calls"] == "exact"
        assert len(account.paid) == 3  # 3 samples, 3 samples, and 1: each step has a majority

    async def test_no_tool_runs_after_it(self, account, spender):
        """What was cut off is not done: the run ends at the refused step."""
        with budget_scope(Budget(calls=3)):
            handler = strategy_agent(spender, VOTE).run(ASKED)
            events = [each async for each in handler.stream_events()]
            await handler
        assert account.paid == [("Ada", 5)]
        assert len([each for each in events if isinstance(each, ToolCallResult)]) == 1
        assert len([each for each in events if isinstance(each, AgentOutput)]) == 2

    async def test_the_memory_has_its_last_words(self, spender):
        """So that the next turn knows."""
        memory = ChatMemoryBuffer.from_defaults()
        with budget_scope(Budget(calls=3)):
            await strategy_agent(spender, VOTE).run(ASKED, memory=memory)
        last = (await memory.aget_all())[-1]
        assert last.content.startswith("I have to stop here")
        assert last.additional_kwargs == {}

    async def test_react_does_not_act_on_its_last_words(self, account, clerk, react):
        """They are an answer to it."""
        act = react("five", '{"to": "Ada", "euros": 5}')
        agent = ReActAgent(tools=[account.pay], llm=clerk(act, answers=[act]))
        with budget_scope(Budget(calls=3)):
            output = await strategy_agent(agent, VOTE).run(ASKED)
        assert str(output).startswith("I have to stop here")
        assert account.paid == [("Ada", 5)]

    async def test_a_budget_of_a_step(self, account, clerk, paying):
        """It begins anew in each step; what it cuts short is the best so far."""
        llm = clerk(paying(5))
        agent = FunctionAgent(tools=[account.pay], llm=llm)
        output = await strategy_agent(agent, VOTE, budget=Budget(calls=2)).run(ASKED)
        assert str(output) == "Done."
        assert llm.calls == 4

    async def test_time(self, account, clerk, paying):
        """Nothing in time is the end as well."""
        llm = clerk(paying(5), seconds=30)
        agent = FunctionAgent(tools=[account.pay], llm=llm)
        with budget_scope(Budget(seconds=0.05)):
            output = await strategy_agent(agent, VOTE).run(ASKED)
        assert output["thinktwice"]["stopped_by"] == "seconds"
        assert llm._in_flight == []

    async def test_tools_that_think_twice_share_it(self, scripted, asks_tools):
        """A vote in a tool spends of the same budget."""
        inner = scripted("5")

        async def look_up(to: str) -> str:
            """What we owe."""

            async def ask(name):
                return (await inner.acomplete(name)).text

            return (await run_strategy(ask, to, strategy=VOTE)).value

        def reply(request):
            looked = request["given"][-1].role.value == "tool"
            return "We owe 5." if looked else asks_tools(("look_up", {"to": "Ada"}))

        llm = scripted(reply)
        with budget_scope(Budget(calls=20)) as spent:
            await strategy_agent(FunctionAgent(tools=[look_up], llm=llm), VOTE).run(ASKED)
        assert (llm.calls, inner.calls) == (6, 3)
        assert spent.total.calls == 9


class TestError:
    """On request, it raises."""

    async def test_leaves_the_run(self, account, spender):
        """Unwrapped, with the cap."""
        agent = strategy_agent(spender, VOTE, exit_behavior="error")
        with pytest.raises(BudgetExceeded) as error, budget_scope(Budget(calls=3)):
            await agent.run(ASKED)
        assert error.value.limit.kind == "calls"
        assert account.paid == [("Ada", 5)]

    async def test_in_a_workflow_of_agents(self, spender):
        """As from one agent."""
        flow = AgentWorkflow(agents=[spender])
        with pytest.raises(BudgetExceeded), budget_scope(Budget(calls=3)):
            await strategy_agent(flow, VOTE, exit_behavior="error").run(ASKED)


class TestWholeRun:
    """A run as the one sample of a strategy: all that it calls counts."""

    async def test_plain_calls_count(self, account, clerk, paying):
        """Those of an agent that no strategy is over."""
        agent = FunctionAgent(tools=[account.pay], llm=clerk(paying(5)))
        result = await run_strategy(agent, ASKED, strategy=Vote(1), budget=Budget(calls=5))
        assert str(result.value) == "Done."
        assert result.ledger.total.calls == 2

    async def test_is_cut_where_it_exceeds(self, account, clerk, paying):
        """The call that does not fit is on its way by then, and the run is cancelled."""
        agent = FunctionAgent(
            tools=[account.pay], llm=clerk(paying(5), answers=[paying(5)], seconds=0.01)
        )
        with pytest.raises(BudgetExceeded) as error:
            await run_strategy(agent, ASKED, strategy=Vote(1), budget=Budget(calls=2))
        assert error.value.result.ledger.total.calls == 3
        assert len(account.paid) == 2

    async def test_with_a_strategy_inside(self, spender):
        """The agent's own calls are refused before they are sent, and it ends by itself."""
        agent = strategy_agent(spender, VOTE)
        result = await run_strategy(agent, ASKED, strategy=Vote(1), budget=Budget(calls=7))
        assert str(result.value).startswith("I have to stop here")
        assert spender.llm.calls == 7

    async def test_time_ends_a_tool(self, clerk, asks_tools):
        """A tool that hangs does not keep the caller."""

        async def hang() -> str:
            """Never returns."""
            await asyncio.sleep(30)
            return "late"

        before = asyncio.all_tasks()
        agent = FunctionAgent(tools=[hang], llm=clerk(asks_tools(("hang", {}))))
        with pytest.raises(BudgetExceeded):
            await run_strategy(agent, ASKED, strategy=Vote(1), budget=Budget(seconds=0.1))
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
