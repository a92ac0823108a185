"""Strategies over functions that ask LLMs, and over whole runs."""

from __future__ import annotations

import asyncio

import pytest
from llama_index.core.agent.workflow import AgentOutput, AgentWorkflow, FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.workflow import (
    Context,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from llama_index_thinktwice.workflow.runs import run_strategy

from thinktwice import AtMost, Budget, BudgetExceeded, UsageError, Vote
from thinktwice.answers import default_key, text_in


class Asking(Workflow):
    """Asks its LLM once, and counts its runs."""

    def __init__(self, llm, **kwargs):
        super().__init__(**kwargs)
        self.llm = llm
        self.runs = 0

    @step
    async def answer(self, ev: StartEvent) -> StopEvent:
        self.runs += 1
        return StopEvent(result=(await self.llm.acomplete(ev.question)).text)


@pytest.fixture
def acting(scripted, asks_tools):
    """An agent that acts once and then answers, and what it has done."""

    def make(*answers, seconds=0.0):
        done = []

        def act(what: str) -> str:
            """Do something."""
            done.append(what)
            return "done"

        def reply(request):
            acted = any(each.role == "tool" for each in request["given"])
            if not acted:
                return asks_tools(("act", {"what": "it"}))
            return answers[len(done) % len(answers) - 1]

        llm = scripted(reply, seconds=seconds)
        agent = FunctionAgent(tools=[act], llm=llm, streaming=False)
        return agent, done

    return make


class TestFunctions:
    """A function of the prompt is the sample."""

    async def test_async(self, scripted):
        """Its calls are booked."""
        llm = scripted("a", "b", "a")

        async def ask(question):
            return (await llm.acomplete(question)).text

        result = await run_strategy(ask, "?", strategy=Vote(3, stop=AtMost(3)))
        assert result.value == "a"
        assert result.ledger.total.calls == 3

    async def test_plain(self, scripted):
        """On threads, so that the loop goes on."""
        llm = scripted("a", "b", "a")
        result = await run_strategy(
            lambda question: llm.complete(question).text, "?", strategy=Vote(3, stop=AtMost(3))
        )
        assert result.value == "a"
        assert all(each["thread"] != "MainThread" for each in llm.log)
        assert result.ledger.total.calls == 3

    async def test_in_a_step(self, scripted):
        """As anybody would call it."""
        llm = scripted("a", "b", "a")

        class Flow(Workflow):
            async def draft(self, question):
                return (await llm.acomplete(question)).text

            @step
            async def answer(self, ev: StartEvent) -> StopEvent:
                result = await run_strategy(self.draft, ev.question, strategy=Vote(3))
                return StopEvent(result=result)

        result = await Flow().run(question="?")
        assert result.value == "a"


class TestWorkflows:
    """Whole runs are samples where that is asked for."""

    async def test_many_runs(self, scripted):
        """Each from the start; votes are on the result."""
        flow = Asking(scripted("a", "b", "a"))
        result = await run_strategy(
            flow, {"question": "?"}, strategy=Vote(3, stop=AtMost(3)), repeatable=True
        )
        assert result.value == "a"
        assert flow.runs == 3
        assert result.ledger.total.calls == 3

    async def test_are_refused_unless_repeatable(self, scripted):
        """Nothing is run, and the message offers what samples before tools run."""
        flow = Asking(scripted("a"))
        with pytest.raises(UsageError, match="strategy_agent") as error:
            await run_strategy(flow, {"question": "?"}, strategy=Vote(3))
        assert str(error.value).startswith("runs=an Asking: every sample")
        assert flow.runs == 0

    async def test_one_run_under_a_budget_needs_no_leave(self, scripted):
        """It is what would have been run."""
        flow = Asking(scripted("a"))
        result = await run_strategy(
            flow, {"question": "?"}, strategy=Vote(1), budget=Budget(calls=5)
        )
        assert (result.value, flow.runs) == ("a", 1)

    async def test_errors_are_those_of_the_workflow(self, scripted):
        """Of the original type."""
        flow = Asking(scripted(ValueError("no")))
        with pytest.raises(ValueError, match="no"):
            await run_strategy(flow, {"question": "?"}, strategy=Vote(1))

    async def test_runs_that_lose_are_cancelled(self, scripted):
        """No task of theirs is left, and what they spent is booked."""
        before = asyncio.all_tasks()
        llm = scripted(lambda request: "a", seconds=0.0)
        slow = scripted("b", seconds=30)
        count = iter(range(10))

        class Uneven(Asking):
            @step
            async def answer(self, ev: StartEvent) -> StopEvent:
                model = llm if next(count) < 2 else slow
                return StopEvent(result=(await model.acomplete("?")).text)

        result = await run_strategy(
            Uneven(llm),
            {},
            strategy=Vote(3, prefer="latency", hedge=False),
            repeatable=True,
        )
        assert result.value == "a"
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
        assert slow._in_flight == []
        statuses = sorted(entry.status for entry in result.ledger.entries)
        assert statuses == ["cancelled", "ok", "ok"]

    async def test_a_run_that_exceeds_its_budget_is_cancelled(self, scripted):
        """It does not go on in the background."""

        class Endless(Workflow):
            @step
            async def answer(self, ev: StartEvent) -> StopEvent:
                while True:
                    await llm.acomplete("?")

        llm = scripted("a", seconds=0.01)
        before = asyncio.all_tasks()
        with pytest.raises(BudgetExceeded) as error:
            await run_strategy(Endless(timeout=5), {}, strategy=Vote(1), budget=Budget(calls=3))
        called = llm.calls
        assert called <= 5
        assert error.value.limit.kind == "calls"
        await asyncio.sleep(0.05)
        assert llm.calls == called
        assert asyncio.all_tasks() == before

    async def test_a_cancelled_caller_cancels_its_runs(self, scripted):
        """By `wait_for`, say."""
        llm = scripted("a", seconds=30)
        before = asyncio.all_tasks()
        work = run_strategy(Asking(llm), {"question": "?"}, strategy=Vote(2), repeatable=True)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(work, 0.05)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
        assert llm._in_flight == []

    async def test_nobody_answers_a_sample(self):
        """One that waits for a human is a mistake, and says so."""

        class Waiting(Workflow):
            @step
            async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
                reply = await ctx.wait_for_event(
                    HumanResponseEvent, waiter_event=InputRequiredEvent()
                )
                return StopEvent(result=reply)

        before = asyncio.all_tasks()
        with pytest.raises(UsageError, match="waits for a human"):
            await run_strategy(Waiting(timeout=5), {}, strategy=Vote(1))
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before


class TestAgents:
    """Whole runs of agents."""

    async def test_each_sample_acts(self, acting):
        """That is what `repeatable` says yes to."""
        agent, done = acting("It is 42.", "It is 42.", "It is 42.")
        result = await run_strategy(
            agent, "go", strategy=Vote(3, stop=AtMost(3), key="number"), repeatable=True
        )
        assert isinstance(result.value, AgentOutput)
        assert str(result.value) == "It is 42."
        assert done == ["it"] * 3
        assert result.ledger.total.calls == 6

    async def test_runs_share_no_memory(self, acting):
        """A run does not know what another said."""
        agent, _ = acting("yes")
        await run_strategy(agent, "go", strategy=Vote(4, stop=AtMost(4)), repeatable=True)
        assert {len(each["given"]) for each in agent.llm.log} == {1, 3}

    async def test_of_a_message_and_of_a_mapping(self, acting):
        """What `run` takes."""
        agent, _ = acting("yes")
        flow = AgentWorkflow(agents=[agent])
        for prompt in (ChatMessage("go"), {"user_msg": "go", "max_iterations": 5}):
            for each in (agent, flow):
                assert str((await run_strategy(each, prompt, strategy=Vote(1))).value) == "yes"

    @pytest.mark.parametrize("name", ["ctx", "memory"])
    async def test_refuses_what_runs_would_share(self, acting, name):
        """Each would write to it."""
        agent, done = acting("yes")
        shared = {"ctx": Context(agent), "memory": ChatMemoryBuffer.from_defaults()}
        with pytest.raises(UsageError) as error:
            await run_strategy(
                agent, {"user_msg": "go", name: shared[name]}, strategy=Vote(2), repeatable=True
            )
        assert str(error.value).startswith(f"{name}=a {type(shared[name]).__name__}: ")
        assert done == []

    def test_an_output_is_told_apart_by_what_it_says(self):
        """Its structured response, else its text; tool calls before it do not count."""

        def output(text, structured=None):
            return AgentOutput(
                response=ChatMessage(text, role="assistant"),
                structured_response=structured,
                current_agent_name="a",
            )

        assert default_key(output("Yes.")) == default_key(output("yes"))
        assert default_key(output("x", {"a": 1})) == default_key(output("y", {"a": 1}))
        assert default_key(output("x", {"a": 1})) != default_key(output("x", {"a": 2}))
        assert text_in(output("it is 42")) == "it is 42"


@pytest.mark.parametrize(
    ("parameter", "runs", "prompt"),
    [("runs=3", 3, "?"), ("prompt=a str", "flow", "?"), ("prompt=an int", "agent", 7)],
)
async def test_bad_input_says_what_to_do(parameter, runs, prompt, scripted, acting):
    """Each names the parameter, and what was given."""
    known = {"flow": Asking(scripted("a")), "agent": acting("a")[0]}
    with pytest.raises(UsageError) as error:
        await run_strategy(known.get(runs, runs), prompt, strategy=Vote(1))
    assert str(error.value).startswith(f"{parameter}: give")
