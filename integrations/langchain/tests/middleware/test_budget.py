"""One budget for all model calls of an agent's run: what counts, what is refused, what is left."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
import time
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
    ToolRetryMiddleware,
)
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langchain_thinktwice import StrategyChatModel, vote
from langchain_thinktwice.middleware import BudgetMiddleware, StrategyMiddleware, sessions
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from thinktwice import (
    AtMost,
    BestOfN,
    Budget,
    BudgetExceeded,
    Limiter,
    Price,
    UsageError,
    Vote,
    budget_scope,
    collect,
    solve,
)
from thinktwice.scope import current_scope
from thinktwice.testing import captured_spans

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

ASKED = {"messages": [("user", "Ask around.")]}
THREE = Vote(3, stop=AtMost(3))
PRICES = {"fake-1": Price(input="0", output="1000000")}  # five dollars a call
THREAD = {"configurable": {"thread_id": "1"}}


def proposing(*names: str, text: str = "") -> AIMessage:
    """A message that calls tools."""
    calls = [{"name": name, "args": {"q": "x"}, "id": f"call{i}"} for i, name in enumerate(names)]
    return AIMessage(text, tool_calls=calls)


def tool_of(work: Any, name: str = "ask", **settings: Any) -> Any:
    """A tool that does something with its question."""
    return tool(name, description="Asks.", **settings)(lambda q: work(q))  # noqa: PLW0108 - its argument has this name


def agent_of(
    model: Any, tools: Any = (), *further: Any, budget: Any = None, **settings: Any
) -> Any:
    """An agent with a budget first in its list."""
    kept = {
        name: settings.pop(name) for name in ("checkpointer", "response_format") if name in settings
    }
    first = BudgetMiddleware(budget or Budget(calls=100), **settings)
    return create_agent(model, list(tools), middleware=[first, *further], **kept)


def spent(state: Any) -> tuple[int, str | None]:
    """Calls, and what ended the run."""
    return state["thinktwice_spent"]["calls"], state["thinktwice_spent"]["stopped_by"]


def is_whole(state: Any) -> bool:
    """Each tool call has its answer."""
    called = [call["id"] for m in state["messages"] for call in getattr(m, "tool_calls", ())]
    answered = [m.tool_call_id for m in state["messages"] if isinstance(m, ToolMessage)]
    return sorted(called) == sorted(answered)


class TestCounting:
    """Every model call, wherever it is made."""

    async def test_plain_calls_and_samples_of_tools(self, scripted, call):
        """Model steps, a vote in a tool, and a plain call beside it; of two tools at once."""
        inner = scripted("7")

        def work(q):
            return vote(inner, n=3, stop=AtMost(3)).invoke(q).text + inner.invoke(q).text

        model = scripted(proposing("ask", "ask"), "done")
        state = await call(agent_of(model, [tool_of(work)]), ASKED)
        assert (model.calls, inner.calls) == (2, 8)
        assert spent(state) == (10, None)
        assert state["thinktwice_spent"]["output_tokens"] == 50

    async def test_samples_of_a_step(self, scripted, call):
        """Of a strategy on the next action, with the calls of its judge."""
        judge = scripted("1")
        strategy = BestOfN(3, verifier=lambda message: float(judge.invoke(message.text).text))
        state = await call(agent_of(scripted("a"), (), StrategyMiddleware(strategy)), ASKED)
        assert judge.calls == 3
        assert spent(state) == (6, None)
        summary = state["messages"][-1].response_metadata["thinktwice"]
        assert summary["launched"] == 3

    async def test_each_retry(self, scripted, call):
        """Of the model and of a tool that calls one."""
        inner = scripted("7")
        tries: list[int] = []

        def work(q):
            tries.append(1)
            if len(tries) < 3:
                inner.invoke(q)
                raise ValueError
            return "7"

        model = scripted(ValueError("no"), proposing("ask"), "done")
        retries = {"max_retries": 3, "initial_delay": 0.0}
        several = [ModelRetryMiddleware(**retries), ToolRetryMiddleware(**retries)]
        state = await call(agent_of(model, [tool_of(work)], *several), ASKED)
        assert (model.calls, inner.calls) == (3, 2)
        assert spent(state) == (5, None)

    async def test_an_agent_in_a_tool(self, scripted, call):
        """Its calls count, whether it has a budget of its own or not."""
        plain = create_agent(scripted("sub"))
        capped = agent_of(scripted("sub"), budget=Budget(calls=3))
        tools = [
            tool_of(lambda q, sub=sub: sub.invoke({"messages": q})["messages"][-1].text, name)
            for name, sub in (("plain", plain), ("capped", capped))
        ]
        state = await call(agent_of(scripted(proposing("plain", "capped"), "done"), tools), ASKED)
        assert [m.text for m in state["messages"][2:]] == ["sub", "sub", "done"]
        assert spent(state) == (4, None)

    async def test_async_tools(self, scripted):
        """A vote that is awaited, and a call given callbacks of its own."""
        inner = scripted("7")

        async def work(q: str) -> str:
            """Ask."""
            await vote(inner, n=3, stop=AtMost(3)).ainvoke(q)
            return (await inner.ainvoke(q, {"callbacks": []})).text

        model = scripted(proposing("work"), "done")
        assert spent(await agent_of(model, [tool(work)]).ainvoke(ASKED)) == (6, None)

    async def test_a_run_of_the_core_in_a_tool(self, scripted, call):
        """A model that is a sampler counts once; one that a check asks counts too."""
        inner, judge = scripted("7"), scripted("yes")

        async def solved(q):
            check = BestOfN(2, verifier=lambda value: judge.invoke(str(value)).text == "yes")

            async def sampler(prompt):
                return await inner.ainvoke(prompt)

            return await solve(q, sampler=sampler, strategy=check)

        def work(q):
            return str(asyncio.run(solved(q)).answer)

        state = await call(agent_of(scripted(proposing("ask"), "done"), [tool_of(work)]), ASKED)
        assert (inner.calls, judge.calls) == (2, 2)
        assert spent(state) == (6, None)

    async def test_a_whole_agent_as_a_sample(self, scripted, call):
        """Each sample is a run of its own, and the budget of the request binds all of them."""
        agent = agent_of(scripted("a"), (), StrategyMiddleware(THREE), budget=Budget(calls=9))
        wrapped = vote(
            agent, n=2, stop=AtMost(2), repeatable=True, include_result=True, budget=Budget(calls=5)
        )
        result = (await call(wrapped, ASKED))["result"]
        assert result.ledger.total.calls == 5
        counts = [spent(sample.value)[0] for sample in result.samples if not sample.error]
        assert sum(counts) == 5

    async def test_nodes_of_other_middleware(self, scripted, call):
        """A summary is made outside of model step and tools: it counts when it is covered."""
        writer = scripted("summary")
        budget = BudgetMiddleware(Budget(calls=2))
        summary = SummarizationMiddleware(writer, trigger=("messages", 3), keep=("messages", 1))
        covered = budget.covering(summary)
        assert (covered.name, type(summary)) == (summary.name, SummarizationMiddleware)
        agent = create_agent(scripted("a"), middleware=[budget, covered])
        given = {"messages": ["1", "2", "3", "4"]}
        assert spent(await call(agent, given)) == (2, None)
        assert writer.calls == 1

    async def test_results_are_collected(self, scripted, call):
        """As if there were no budget around them."""
        agent = agent_of(scripted("a"), (), StrategyMiddleware(THREE))
        with collect() as results:
            await call(agent, ASKED)
        assert [result.launched for result in results] == [3]


class TestEnds:
    """What a refused call leads to."""

    @pytest.mark.parametrize("calls", range(1, 10))
    async def test_calls_are_exact(self, scripted, call, calls):
        """No call more than allowed, and a whole conversation whatever was refused."""
        inner = scripted("7")

        def work(q):
            return vote(inner, n=2, stop=AtMost(2)).invoke(q).text + inner.invoke(q).text

        model = scripted(proposing("ask", "ask"), "never")
        state = await call(agent_of(model, [tool_of(work)], budget=Budget(calls=calls)), ASKED)
        assert model.calls + inner.calls == min(calls, 8)
        assert spent(state) == (min(calls, 8), "calls" if calls < 8 else None)
        assert is_whole(state)
        last = state["messages"][-1]
        assert isinstance(last, AIMessage)
        assert last.text.startswith(f"I have to stop here: budget of {calls} call") == (calls < 8)

    async def test_what_it_ends_with(self, scripted, call):
        """Which cap, what was spent, what the model said last; also as data."""
        model = scripted(proposing("ask", text="Ada may know."))
        agent = agent_of(model, [tool_of(str)], budget=Budget(cost=5), prices=PRICES)
        state = await call(agent, ASKED)
        last = state["messages"][-1]
        assert "budget of 5 USD used up (5" in last.text
        assert "1 call, " in last.text
        assert last.text.endswith("What there is so far: Ada may know.")
        assert last.response_metadata["thinktwice"] == {
            **state["thinktwice_spent"],
            "seconds": last.response_metadata["thinktwice"]["seconds"],
        }
        assert state["thinktwice_spent"]["cost"] == 5.0

    async def test_an_error_leaves_the_agent(self, scripted, call):
        """With every call in its ledger, from a model step as from a tool."""
        inner = scripted("7")
        model = scripted(proposing("ask"), "never")
        ask = tool_of(lambda q: inner.invoke(q).text)
        for calls in (1, 2):
            agent = agent_of(model, [ask], budget=Budget(calls=calls), exit_behavior="error")
            with pytest.raises(BudgetExceeded) as raised:
                await call(agent, ASKED)
            assert raised.value.limit.kind == "calls"
            assert raised.value.ledger.total.calls == calls
            model.log.clear()

    async def test_the_best_so_far_is_used(self, scripted, call):
        """A vote that is cut short answers, and the agent goes on until nothing fits."""
        model = scripted(proposing("ask"), proposing("ask"), "done")
        agent = agent_of(model, [tool_of(str)], StrategyMiddleware(THREE), budget=Budget(calls=2))
        state = await call(agent, ASKED)
        assert [m.type for m in state["messages"]] == ["human", "ai", "tool", "ai"]
        assert spent(state) == (2, "calls")

    async def test_middleware_that_makes_up_a_reply(self, scripted, call):
        """A retry that turns a refusal into a message does not keep the run from ending."""
        retry = ModelRetryMiddleware(max_retries=2, initial_delay=0.0)
        for inside in ([retry], [StrategyMiddleware(THREE), retry]):
            model = scripted(ValueError("no"))
            agent = agent_of(model, (), *inside, budget=Budget(calls=2))
            state = await call(agent, ASKED)
            assert spent(state) == (2, "calls")
            assert "I have to stop here" in state["messages"][-1].text

    @pytest.mark.parametrize("calls", range(1, 6))
    @pytest.mark.parametrize("exit_behavior", ["end", "error"])
    @pytest.mark.parametrize("where", ["middleware", "model"])
    async def test_a_reply_made_up_around_a_strategy(
        self, scripted, call, where, exit_behavior, calls
    ):
        """A retry around all samples makes one up as well, of what refused a run."""
        model: Any = scripted(ValueError("no"))
        inside: list[Any] = [ModelRetryMiddleware(max_retries=3, initial_delay=0.0)]
        if where == "middleware":
            inside.append(StrategyMiddleware(THREE))
        agent = agent_of(
            model if where == "middleware" else StrategyChatModel(model, THREE),
            (),
            *inside,
            budget=Budget(calls=calls),
            exit_behavior=exit_behavior,
        )
        if exit_behavior == "error":
            with pytest.raises(BudgetExceeded) as raised:
                await call(agent, ASKED)
            assert raised.value.ledger.total.calls == calls
        else:
            state = await call(agent, ASKED)
            assert spent(state) == (calls, "calls")
            assert "I have to stop here" in state["messages"][-1].text
        assert model.calls == calls

    async def test_so_too_by_what_they_would_cost(self, scripted, call):
        """Two of three samples of ten dollars fit, and then none."""
        model = scripted(proposing("ask"), max_tokens=5)
        inside = ModelRetryMiddleware(max_retries=1, initial_delay=0.0), StrategyMiddleware(THREE)
        agent = agent_of(model, [tool_of(str)], *inside, budget=Budget(cost=12), prices=PRICES)
        assert spent(await call(agent, ASKED)) == (2, "cost")

    @pytest.mark.parametrize("votes", [False, True])
    @pytest.mark.parametrize("direct", [False, True])
    async def test_a_tool_that_catches_a_refusal(self, scripted, call, direct, votes):
        """Its answer stands, as it may have done something; the run ends all the same."""
        inner = vote(scripted("7"), n=3) if votes else scripted("7")

        def work(q):
            try:
                return inner.invoke(q).text
            except BudgetExceeded:
                return "paid, without a receipt"

        model, given = scripted(proposing("ask")), {"budget": Budget(calls=1)}
        tools = [tool_of(work, return_direct=direct)]
        state = await call(agent_of(model, tools, **given), ASKED)
        assert spent(state) == (1, "calls")
        assert state["messages"][2].text == "paid, without a receipt"
        assert len(state["messages"]) == (3 if direct else 4)
        with pytest.raises(BudgetExceeded):
            await call(agent_of(model, tools, exit_behavior="error", **given), ASKED)

    async def test_a_fallback_that_fits(self, scripted, call):
        """A refused call of a dear model may be followed by one of a cheap model."""
        dear = scripted("dear", max_tokens=10)
        cheap = scripted("cheap", max_tokens=2, model_name="fake-2")
        prices = {**PRICES, "fake-2": Price(input="0", output="1")}
        agent = agent_of(
            dear, (), ModelFallbackMiddleware(cheap), budget=Budget(cost=6), prices=prices
        )
        state = await call(agent, ASKED)
        assert state["messages"][-1].text == "cheap"
        assert (dear.calls, spent(state)) == (0, (1, None))

    async def test_a_cap_inside_is_not_the_runs(self, scripted, call):
        """The budget of a vote in a tool is the tool's own business."""

        def work(q):
            try:
                given = {"budget": Budget(calls=1), "on_exhausted": "raise"}
                return vote(scripted("7"), n=3, stop=AtMost(3), **given).invoke(q).text
            except BudgetExceeded:
                return "cut"

        state = await call(agent_of(scripted(proposing("ask"), "done"), [tool_of(work)]), ASKED)
        assert [m.text for m in state["messages"][2:]] == ["cut", "done"]
        assert spent(state) == (3, None)

    @pytest.mark.parametrize(
        ("caps", "said"),
        [({}, "tokens unknown"), ({"tokens": 4000}, "tokens unknown and 4,000 charged for what")],
    )
    async def test_what_nobody_counted(self, scripted, call, caps, said):
        """Is unknown and not nothing; what a cap was charged for it is told apart."""
        agent = agent_of(scripted("a", seconds=20.0), budget=Budget(seconds=0.4, **caps))
        state = await call(agent, ASKED)
        noted = state["thinktwice_spent"]
        assert (noted["tokens"], noted["cost"], noted["unpriced"]) == (None, None, 1)
        assert noted.get("uncounted_tokens") == caps.get("tokens")
        assert f"1 call, {said}" in state["messages"][-1].text

    async def test_no_structured_response(self, scripted, call):
        """An agent that is to return one returns none."""

        class Answer(BaseModel):
            value: int

        model = scripted(proposing("ask"))
        form = ToolStrategy(Answer)
        agent = agent_of(model, [tool_of(str)], budget=Budget(calls=1), response_format=form)
        state = await call(agent, ASKED)
        assert state.get("structured_response") is None
        assert is_whole(state)

    async def test_an_error_of_the_model_passes(self, scripted, call):
        """With its own type, and nothing stays open."""
        agent = agent_of(scripted(KeyError("no")))
        with captured_spans() as spans, pytest.raises(KeyError):
            await call(agent, ASKED)
        assert sorted(span.name for span in spans) == ["chat fake-1", "invoke_agent agent"]


class TestTime:
    """Seconds count from the start of the run."""

    @pytest.mark.parametrize("where", ["model", "tool"])
    async def test_work_in_flight_is_cut_off(self, scripted, call, where):
        """In time; on threads what was cut off goes on unseen, and calls nothing more."""
        late = scripted("7")
        returned, over = threading.Event(), threading.Event()

        def work(q):
            returned.wait(60)
            try:
                return late.invoke(q).text
            finally:
                over.set()

        model = scripted(proposing("ask"), "never", seconds=10.0 if where == "model" else 0.0)
        state = await call(agent_of(model, [tool_of(work)], budget=Budget(seconds=1.0)), ASKED)
        returned.set()
        assert state["thinktwice_spent"]["seconds"] < 9
        assert spent(state) == (1, "seconds")
        assert is_whole(state)
        if where == "tool":
            assert state["messages"][2].text.startswith("Cut off after")
            assert "may have been done" in state["messages"][2].text
            await asyncio.to_thread(over.wait)
            assert late.calls == 0

    async def test_a_tool_that_never_began(self, scripted, call):
        """Of it is known that it is not done."""
        begun: list[int] = []

        class Slow(AgentMiddleware[Any, Any, Any]):
            def after_model(self, state, runtime):
                time.sleep(0.5)

        model, ask = scripted(proposing("ask")), tool_of(begun.append)
        state = await call(agent_of(model, [ask], Slow(), budget=Budget(seconds=0.4)), ASKED)
        assert state["messages"][2].text.startswith("Not done: budget of 0.4 seconds used up")
        assert not begun

    async def test_waiting_counts(self, scripted):
        """For a limiter, for one."""
        agent = agent_of(
            scripted("a", seconds=0.4), (), budget=Budget(seconds=0.7), limiter=Limiter(1)
        )
        states = await asyncio.gather(*(agent.ainvoke(ASKED) for _ in range(2)))
        assert sorted(map(str, map(spent, states))) == ["(1, 'seconds')", "(1, None)"]

    async def test_a_cancelled_run(self, scripted, runs):
        """Leaves neither a call nor a run of a tracer open."""
        model = scripted("a", seconds=60.0)
        task = asyncio.create_task(agent_of(model).ainvoke(ASKED, {"callbacks": [runs]}))
        await asyncio.sleep(0.4)
        assert model._in_flight
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not model._in_flight
        [call] = [run for run in runs.runs.values() if run["kind"] == "model"]
        assert call["end"] == "CancelledError"


class TestRuns:
    """What a run is."""

    async def test_each_turn_of_a_thread_is_one(self, scripted, call):
        """It begins with nothing spent."""
        agent = agent_of(scripted("a"), budget=Budget(calls=1), checkpointer=InMemorySaver())
        for _ in range(3):
            state = await call(agent, ASKED, THREAD)
            assert (state["messages"][-1].text, spent(state)) == ("a", (1, None))

    @pytest.mark.parametrize("elsewhere", [False, True])
    async def test_it_goes_on_after_an_interrupt(self, scripted, call, elsewhere):
        """In this process or another; the time of the human is no part of it."""
        saver = InMemorySaver()

        def made(model):
            human = HumanInTheLoopMiddleware(interrupt_on={"ask": True})
            budget = Budget(calls=4, seconds=60)
            given = {"budget": budget, "checkpointer": saver, "prices": PRICES}
            return agent_of(model, [tool_of(str)], StrategyMiddleware(THREE), human, **given)

        started = time.monotonic()
        agent = made(scripted(*[proposing("ask")] * 3, "never"))
        paused = await call(agent, ASKED, THREAD)
        assert paused["__interrupt__"]
        assert spent(paused) == (3, None)
        await asyncio.sleep(0.6)
        decided = Command(resume={"decisions": [{"type": "approve"}]})
        if elsewhere:
            agent = made(scripted("b"))
        state = await call(agent, decided, THREAD)
        assert spent(state) == (4, None)
        assert state["thinktwice_spent"]["cost"] == 20.0
        assert state["thinktwice_spent"]["seconds"] < time.monotonic() - started - 0.6

    async def test_an_interrupt_in_tools_at_once(self, scripted, call):
        """What they had spent before is not forgotten, and they share what is left."""
        inner = scripted("7")

        def work(q):
            inner.invoke(q)
            return str(interrupt("sure?"))

        model = scripted(proposing("ask", "ask"), "done")
        given = {"budget": Budget(calls=6), "checkpointer": InMemorySaver()}
        agent = agent_of(model, [tool_of(work)], **given)
        paused = await call(agent, ASKED, THREAD)
        answers = {each.id: "yes" for each in paused["__interrupt__"]}
        state = await call(agent, Command(resume=answers), THREAD)
        assert [m.text for m in state["messages"][2:]] == ["yes", "yes", "done"]
        assert inner.calls == 4
        assert spent(state) == (6, None)

    async def test_a_run_older_than_its_budget(self, scripted, call):
        """That was interrupted before the agent had one: it counts from where it goes on."""
        inner, saver = scripted("7"), InMemorySaver()
        ask = tool_of(lambda q: inner.invoke(q).text + str(interrupt("sure?")))
        old = create_agent(scripted(proposing("ask")), [ask], checkpointer=saver)
        await call(old, ASKED, THREAD)
        model = scripted(proposing("ask"), "never")
        agent = agent_of(model, [ask], budget=Budget(calls=1), checkpointer=saver)
        await call(agent, Command(resume="yes"), THREAD)
        state = await call(agent, Command(resume="yes"), THREAD)
        assert spent(state) == (1, "calls")
        assert is_whole(state)

    async def test_runs_at_once_share_nothing(self, scripted, call):
        """Of one agent, each with its own budget; nothing is kept of them."""
        model = scripted(lambda request: request["text"], seconds=0.01)
        first = BudgetMiddleware(Budget(calls=1))
        agent = create_agent(model, middleware=[first])
        asked = [{"messages": [("user", str(i))]} for i in range(12)]
        states = await asyncio.gather(*(call(agent, each) for each in asked))
        assert [state["messages"][-1].text for state in states] == [str(i) for i in range(12)]
        assert {spent(state) for state in states} == {(1, None)}
        assert not first._sessions._kept

    async def test_runs_that_nobody_ends(self, scripted, call, monkeypatch):
        """Only the latest are kept, whatever became of them."""
        monkeypatch.setattr(sessions, "_KEPT", 3)
        first = BudgetMiddleware(Budget(calls=1))
        agent = create_agent(scripted(KeyError("no")), middleware=[first])
        for _ in range(5):
            with pytest.raises(KeyError):
                await call(agent, ASKED)
        assert len(first._sessions._kept) == 3

    async def test_a_request_tightens_it(self, scripted, call):
        """By its config, and never the other way."""
        agent = agent_of(scripted(proposing("ask")), [tool_of(str)], budget=Budget(calls=3))
        for asked, calls in ((2, 2), (9, 3)):
            config = {"configurable": {"thinktwice_budget": {"calls": asked}}}
            assert spent(await call(agent, ASKED, config)) == (calls, "calls")

    async def test_a_budget_around_it_binds(self, scripted, call):
        """Of a workflow, or a tenant; over several runs."""
        agent = agent_of(scripted("a"), budget=Budget(calls=2))
        with budget_scope(Budget(calls=3)) as around:
            states = [await call(agent, ASKED) for _ in range(4)]
        assert [spent(state) for state in states] == [(1, None)] * 3 + [(0, "calls")]
        assert around.total.calls == 3

    async def test_caps_that_are_reserved(self, scripted, call):
        """A call whose worst case does not fit is not sent."""
        model = scripted(proposing("ask"), max_tokens=8)
        agent = agent_of(model, [tool_of(str)], budget=Budget(cost=9), prices=PRICES)
        state = await call(agent, ASKED)
        assert (model.calls, spent(state)) == (1, (1, "cost"))  # 5 spent: 8 more do not fit

    async def test_nothing_around_it_after(self, scripted):
        """The context is as it was."""
        await agent_of(scripted("a")).ainvoke(ASKED)
        assert current_scope() is None


class TestShown:
    """What is seen of it."""

    async def test_streams(self, scripted):
        """The answer once; the sum at the end, and the message that ends a run."""
        agent = agent_of(scripted("a"), (), StrategyMiddleware(THREE), budget=Budget(calls=3))
        modes = ["messages", "values"]
        parts = [part async for part in agent.astream(ASKED, stream_mode=modes)]
        assert [part[0].text for mode, part in parts if mode == "messages"] == ["a"]
        assert spent([part for mode, part in parts if mode == "values"][-1]) == (3, None)
        agent = agent_of(scripted(proposing("ask")), [tool_of(str)], budget=Budget(calls=1))
        for streamed in ([each async for each in agent.astream(ASKED)], list(agent.stream(ASKED))):
            update = next(each["model"] for each in streamed[::-1] if "model" in each)
            assert "I have to stop here" in update["messages"][-1].text

    async def test_spans_hang_together(self, scripted, call):
        """Plain calls, samples and tools below one span, with the sum."""
        inner = scripted("7")

        def work(q):
            return vote(inner, n=2, stop=AtMost(2)).invoke(q).text + inner.invoke(q).text

        model = scripted(proposing("ask"), "done")
        with captured_spans() as spans:
            await call(agent_of(model, [tool_of(work)], budget=Budget(calls=9)), ASKED)
        [root] = [span for span in spans if span.parent is None]
        assert root.name == "invoke_agent agent"
        assert root.attributes["thinktwice.calls"] == 5
        assert root.attributes["thinktwice.budget.calls.remaining"] == 4
        assert len({span.context.trace_id for span in spans}) == 1
        names = sorted(span.name for span in spans)
        assert names.count("chat fake-1") == 5
        assert names.count("thinktwice.sample") == 2

    async def test_callbacks_keep_their_tree(self, scripted, call, runs):
        """Each model call below its step or tool, and ended."""
        inner = scripted("7")
        ask = tool_of(lambda q: inner.invoke(q).text)
        agent = agent_of(scripted(proposing("ask"), "done"), [ask])
        await call(agent, ASKED, {"callbacks": [runs]})
        models = [run for run in runs.runs.values() if run["kind"] == "model"]
        assert [run["end"] for run in models] == ["ok"] * 3
        paths = [runs.path(run) for run in models]
        assert [path[0] for path in (paths[0], paths[2])] == ["LangGraph"] * 2
        assert models[1]["parent"] is not None  # of a tool, which is not recorded


class TestMistakes:
    """What is refused at construction, or at the first step."""

    @pytest.mark.parametrize(
        ("given", "parameter"),
        [
            ({"budget": 8}, "budget"),
            ({"budget": Budget()}, "budget"),
            ({"exit_behavior": "stop"}, "exit_behavior"),
            ({"prices": "cheap"}, "prices"),
            ({"limiter": 3}, "limiter"),
        ],
    )
    def test_parameters(self, given, parameter):
        """Each is named."""
        with pytest.raises(UsageError, match=parameter):
            BudgetMiddleware(**{"budget": Budget(calls=1), **given})

    async def test_inside_a_strategy(self, scripted, call):
        """Samples would each get a budget that is not their run's: the order is wrong."""
        several = [StrategyMiddleware(THREE), BudgetMiddleware(Budget(calls=1))]
        with pytest.raises(UsageError, match="before StrategyMiddleware"):
            await call(create_agent(scripted("a"), middleware=several), ASKED)

    async def test_a_misspelt_cap(self, scripted, call):
        """Of a request binds nothing, so it is refused."""
        config = {"configurable": {"thinktwice_budgets": {"calls": 1}}}
        with pytest.raises(UsageError, match="thinktwice_budgets"):
            await call(agent_of(scripted("a")), ASKED, config)

    async def test_a_number_of_samples_that_is_none(self, scripted, call):
        """Of a request is refused, also where there is no strategy to lower it."""
        for asked in (-1, 0, "3", True):
            config = {"configurable": {"thinktwice_n": asked}}
            with pytest.raises(UsageError, match="thinktwice_n"):
                await call(agent_of(scripted("a")), ASKED, config)

    def test_covering_what_is_no_middleware(self):
        """Is refused at once."""
        with pytest.raises(UsageError, match="middleware"):
            BudgetMiddleware(Budget(calls=1)).covering(5)  # type: ignore[type-var]

    async def test_copies(self, scripted, call):
        """Deep or pickled, they cap alike, and know no run of the first."""
        first = BudgetMiddleware(Budget(calls=1), exit_behavior="error")
        first.before_agent({"messages": []}, None)  # type: ignore[arg-type]
        for copied in (copy.deepcopy(first), pickle.loads(pickle.dumps(first))):  # noqa: S301 - made here
            assert not copied._sessions._kept
            agent = create_agent(scripted(proposing("ask")), [tool_of(str)], middleware=[copied])
            with pytest.raises(BudgetExceeded):
                await call(agent, ASKED)
        assert len(first._sessions._kept) == 1

    def test_repr(self):
        """As it is written."""
        shown = repr(BudgetMiddleware(Budget(calls=1), exit_behavior="error"))
        assert shown.startswith("BudgetMiddleware(Budget(calls=1,")
        assert shown.endswith("exit_behavior='error')")
