"""A strategy over the next step of an agent."""

import asyncio

import pytest
from llama_index.core.agent.workflow import (
    AgentOutput,
    AgentStream,
    AgentWorkflow,
    CodeActAgent,
    FunctionAgent,
    ReActAgent,
    ToolCall,
    ToolCallResult,
    base_agent,
)
from llama_index.core.base.llms.types import (
    ChatMessage,
    CompletionResponse,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.llms import CustomLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.workflow import (
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StopEvent,
    step,
)
from llama_index_thinktwice.agents.agent import strategy_agent
from pydantic import BaseModel

from thinktwice import (
    AtMost,
    BestOfN,
    CritiqueRepair,
    FieldVote,
    ToolCheck,
    UsageError,
    Verdict,
    Vote,
    collect,
)

ASKED = "Pay Ada what we owe her."


def all_of(n, **settings):
    """A vote of n, each of which is drawn."""
    return Vote(n, stop=AtMost(n), **settings)


@pytest.fixture(params=[False, True], ids=["whole", "streaming"])
def streaming(request):
    """Whether the agent streams what its LLM says."""
    return request.param


class TestFunctionAgent:
    """The majority's tool calls run once."""

    async def test_votes_on_the_next_action(self, account, clerk, paying, streaming):
        """Two of three propose the same, and that is done, once."""
        llm = clerk(paying(5), paying(7), paying(5))
        agent = FunctionAgent(tools=[account.pay], llm=llm, streaming=streaming)
        output = await strategy_agent(agent, all_of(3)).run(ASKED)
        assert account.paid == [("Ada", 5)]
        assert str(output) == "Done."
        assert llm.calls == 6

    async def test_one_call_a_step_is_in_the_stream(self, account, clerk, paying, streaming):
        """Those of losing samples are nowhere."""
        llm = clerk(paying(5), paying(7), paying(5))
        agent = FunctionAgent(tools=[account.pay], llm=llm, streaming=streaming)
        handler = strategy_agent(agent, all_of(3)).run(ASKED)
        events = [each async for each in handler.stream_events()]
        await handler
        calls = [each for each in events if type(each) is ToolCall]
        assert [each.tool_kwargs["euros"] for each in calls] == [5]
        assert len([each for each in events if isinstance(each, ToolCallResult)]) == 1
        chunks = [each for each in events if isinstance(each, AgentStream)]
        assert [each.delta for each in chunks] == (["", "Done."] if streaming else [])

    async def test_each_output_has_a_summary(self, account, clerk, paying, streaming):
        """In the stream and at the end; the message, which goes back to the provider, has none."""
        llm = clerk(paying(5), paying(7), paying(5))
        agent = FunctionAgent(tools=[account.pay], llm=llm, streaming=streaming)
        handler = strategy_agent(agent, all_of(3)).run(ASKED)
        outputs = [e async for e in handler.stream_events() if isinstance(e, AgentOutput)]
        output = await handler
        assert outputs[0]["thinktwice"]["launched"] == 3
        assert outputs[0]["thinktwice"]["agreement"] == pytest.approx(2 / 3)
        assert output["thinktwice"]["agreement"] == 1.0
        for request in llm.log:
            assert not any("thinktwice" in m.additional_kwargs for m in request["given"])

    async def test_parallel_calls_are_one_action(self, account, clerk, paying, asks_tools):
        """Their order and ids do not count, and each runs once."""
        forwards = paying(5, 7)
        backwards = paying(7, 5)
        llm = clerk(paying(9), forwards, backwards)
        agent = FunctionAgent(tools=[account.pay], llm=llm)
        await strategy_agent(agent, all_of(3)).run(ASKED)
        assert sorted(account.paid) == [("Ada", 5), ("Ada", 7)]

    async def test_a_key_by_name_is_for_answers(self, account, clerk, paying):
        """Tool calls are told apart as ever; a number tells answers apart."""
        llm = clerk(paying(5), paying(5), answers=["It is 5.", "Paid 7 euros", "5 euros, paid."])
        agent = FunctionAgent(tools=[account.pay], llm=llm)
        output = await strategy_agent(agent, all_of(3, key="number")).run(ASKED)
        assert account.paid == [("Ada", 5)]
        assert str(output) == "It is 5."

    async def test_a_callable_key_gets_every_response(self, account, clerk, paying):
        """To vote on whether to answer, and take the first wording, say."""
        seen = []

        def whether(response):
            seen.append(response)
            return bool(response.message.additional_kwargs.get("tool_calls"))

        llm = clerk(paying(5), paying(7), answers=["Done.", "Fine.", "Paid."])
        agent = FunctionAgent(tools=[account.pay], llm=llm)
        output = await strategy_agent(agent, all_of(3, key=whether)).run(ASKED)
        assert str(output) == "Done."
        assert len(seen) == 6

    async def test_arguments_that_cannot_be_read_abstain(self, account, clerk, paying):
        """Broken JSON is no action."""
        broken = paying(7)
        broken.additional_kwargs["tool_calls"][0]["function"]["arguments"] = '{"to": "Ada", '
        llm = clerk(broken, broken, paying(5))
        await strategy_agent(FunctionAgent(tools=[account.pay], llm=llm), all_of(3)).run(ASKED)
        assert account.paid == [("Ada", 5)]

    async def test_a_failed_call_is_no_vote(self, account, clerk, paying):
        """The others decide; if all fail, the agent fails as it would have."""
        llm = clerk(ValueError("down"), paying(5), paying(5))
        await strategy_agent(FunctionAgent(tools=[account.pay], llm=llm), all_of(3)).run(ASKED)
        assert account.paid == [("Ada", 5)]
        dead = FunctionAgent(tools=[account.pay], llm=clerk(ValueError("down")))
        with pytest.raises(ValueError, match="down"):
            await strategy_agent(dead, all_of(2)).run(ASKED)

    async def test_memory_has_each_message_once(self, account, clerk, paying):
        """As without a strategy: question, action, its outcome, and the answer."""
        llm = clerk(paying(5), paying(7), paying(5))
        memory = ChatMemoryBuffer.from_defaults()
        agent = strategy_agent(FunctionAgent(tools=[account.pay], llm=llm), all_of(3))
        await agent.run(ASKED, memory=memory)
        roles = [each.role.value for each in await memory.aget_all()]
        assert roles == ["user", "assistant", "tool", "assistant"]

    async def test_a_second_turn_sees_the_first(self, account, clerk, paying):
        """With a memory that goes on."""
        llm = clerk(paying(5))
        agent = strategy_agent(FunctionAgent(tools=[account.pay], llm=llm), all_of(2))
        memory = ChatMemoryBuffer.from_defaults()
        await agent.run(ASKED, memory=memory)
        await agent.run("And again.", memory=memory)
        assert account.paid == [("Ada", 5), ("Ada", 5)]
        assert len(llm.log[4]["given"]) == 5

    async def test_structured_output_is_voted_on_by_value(self, account, scripted, asks_tools):
        """It is a step of its own."""

        class Debt(BaseModel):
            """What we owe."""

            euros: int

        def reply(request):
            names = [t["function"]["name"] for t in request["kwargs"].get("tools", [])]
            if "Debt" not in names:
                return "It is settled."
            return asks_tools(("Debt", {"euros": next(amounts)}))

        amounts = iter([5, 7, 5])
        agent = FunctionAgent(tools=[account.pay], llm=scripted(reply), output_cls=Debt)
        output = await strategy_agent(agent, all_of(3)).run(ASKED)
        assert output.get_pydantic_model(Debt) == Debt(euros=5)

    @pytest.mark.skipif(
        "early_stopping_method" not in FunctionAgent.model_fields,
        reason="agents of this llama-index-core cannot stop early",
    )
    async def test_early_stopping_generates_by_a_vote(self, account, clerk, paying):
        """The last answer is sampled as well."""
        llm = clerk(paying(5), answers=[paying(5)])
        agent = FunctionAgent(tools=[account.pay], llm=llm, early_stopping_method="generate")
        with collect() as results:
            await strategy_agent(agent, all_of(2)).run(ASKED, max_iterations=2)
        assert account.paid == [("Ada", 5)]
        assert len(results) == 3

    @pytest.mark.skipif(
        not hasattr(base_agent, "_get_waiting_for_event_exception"),
        reason="tools of this llama-index-core cannot wait in these workflows",
    )
    async def test_a_human_is_asked_once(self, clerk, paying):
        """What waits for one is the tool that was chosen."""
        paid = []

        async def pay(ctx: Context, to: str, euros: int) -> str:
            """Pay somebody, if a human agrees."""
            reply = await ctx.wait_for_event(
                HumanResponseEvent, waiter_event=InputRequiredEvent(prefix=f"Pay {euros}?")
            )
            if reply.response == "yes":
                paid.append(euros)
            return "paid"

        llm = clerk(paying(5), paying(7), paying(5))
        handler = strategy_agent(FunctionAgent(tools=[pay], llm=llm), all_of(3)).run(ASKED)
        asked = []
        async for event in handler.stream_events():
            if isinstance(event, InputRequiredEvent):
                asked.append(event.prefix)
                handler.ctx.send_event(HumanResponseEvent(response="yes"))
        await handler
        assert asked == ["Pay 5?"]
        assert paid == [5]
        assert llm.calls == 6


class TestReActAgent:
    """Thoughts do not count, actions do."""

    async def test_votes_on_the_action(self, account, clerk, react, streaming):
        """Whatever was thought before it, and however its input is laid out."""
        llm = clerk(
            react("Seven, I guess.", '{"to": "Ada", "euros": 7}'),
            react("We owe her five.", '{"to": "Ada", "euros": 5}'),
            react("It must be five!", '{"euros": 5,  "to": "Ada"}'),
            answers=[react("I know.", answer="Paid."), react("So.", answer="paid")],
        )
        agent = ReActAgent(tools=[account.pay], llm=llm, streaming=streaming)
        with collect() as results:
            output = await strategy_agent(agent, all_of(3)).run(ASKED)
        assert account.paid == [("Ada", 5)]
        assert str(output) == "Paid."
        assert [round(each.agreement, 2) for each in results] == [0.67, 1.0]

    async def test_what_cannot_be_parsed_abstains(self, account, clerk, react):
        """Two samples in no form do not outvote one action."""
        broken = "Thought: hm\nAction: pay"
        llm = clerk(
            broken,
            broken,
            react("five", '{"to": "Ada", "euros": 5}'),
            answers=[react("ok", answer="Paid.")],
        )
        await strategy_agent(ReActAgent(tools=[account.pay], llm=llm), all_of(3)).run(ASKED)
        assert account.paid == [("Ada", 5)]

    async def test_all_abstain(self, account, clerk, react, silent_remarks):
        """The agent tells its model what was wrong, as it would have, and goes on."""
        good = react("five", '{"to": "Ada", "euros": 5}')
        llm = clerk(
            "Thought: hm\nAction: pay", "", good, good, answers=[react("ok", answer="Paid.")]
        )
        await strategy_agent(ReActAgent(tools=[account.pay], llm=llm), all_of(2)).run(ASKED)
        assert account.paid == [("Ada", 5)]

    async def test_a_key_by_name_reads_the_answer(self, account, clerk, react):
        """And not the numbers in the thought before it."""
        llm = clerk(
            react("1 and 2", answer="It is 5."),
            react("3 and 4", answer="5 it is"),
            react("5", answer="7"),
        )
        agent = strategy_agent(ReActAgent(tools=[account.pay], llm=llm), all_of(3, key="number"))
        assert str(await agent.run(ASKED)) == "It is 5."

    async def test_samples_stay_as_they_were(self, account, clerk, react):
        """The agent edits its answer, and not the sample behind it."""
        llm = clerk(react("so", answer="Yes."))
        with collect() as results:
            await strategy_agent(ReActAgent(tools=[account.pay], llm=llm), all_of(2)).run(ASKED)
        assert results[0].value.message.content == "Thought: so\nAnswer: Yes."


class Coder(CustomLLM):
    """Says its texts in turn, and calls no functions."""

    texts: list
    said: list

    @property
    def metadata(self):
        return LLMMetadata(model_name="coder")

    def complete(self, prompt, formatted=False, **kwargs):
        self.said.append(prompt)
        return CompletionResponse(text=self.texts[(len(self.said) - 1) % len(self.texts)])

    def stream_complete(self, prompt, formatted=False, **kwargs):
        yield self.complete(prompt)


class TestCodeActAgent:
    """The code counts."""

    async def test_votes_on_the_code(self):
        """Comments and layout do not count; what is no Python abstains."""
        ran = []

        async def execute(code):
            ran.append(code)
            return "5"

        llm = Coder(
            texts=[
                "<execute>print(2+3)</execute>",
                "<execute>print(6</execute>",
                "Let us see. <execute>\nprint(2 + 3)  # five\n</execute>",
                "It is 5.",
            ],
            said=[],
        )
        agent = CodeActAgent(code_execute_fn=execute, llm=llm, tools=[], streaming=False)
        with collect() as results:
            agent = strategy_agent(agent, all_of(3))
            handler = agent.run("2 + 3?")
            async for event in handler.stream_events():
                if isinstance(event, ToolCallResult):
                    llm.texts = ["It is 5."]
            assert str(await handler) == "It is 5."
        assert ran == ["print(2+3)"]
        assert results[0].agreement == 1.0


class TestAgentWorkflow:
    """Several agents, with handoffs."""

    @pytest.fixture
    def flow(self, account, scripted, asks_tools):
        """A clerk that hands over to a payer, who pays."""

        def reply_of_clerk(request):
            return asks_tools(("handoff", {"to_agent": next(names), "reason": "to pay"}))

        names = iter(["payer", "nobody", "payer"])
        amounts = iter([7, 5, 5])

        def reply_of_payer(request):
            if request["given"][-1].content == "paid 5":
                return "Done."
            return asks_tools(("pay", {"to": "Ada", "euros": next(amounts)}))

        front = FunctionAgent(name="clerk", description="Hands over.", llm=scripted(reply_of_clerk))
        payer = FunctionAgent(
            name="payer", description="Pays.", tools=[account.pay], llm=scripted(reply_of_payer)
        )
        return AgentWorkflow(agents=[front, payer], root_agent="clerk")

    async def test_votes_in_each_agent(self, account, flow):
        """On whom to hand over to, and on what to pay."""
        handler = strategy_agent(flow, all_of(3)).run(ASKED)
        events = [each async for each in handler.stream_events()]
        output = await handler
        assert account.paid == [("Ada", 5)]
        assert output.current_agent_name == "payer"
        calls = [each.tool_name for each in events if type(each) is ToolCall]
        assert calls == ["handoff", "pay"]
        told = [e["thinktwice"]["launched"] for e in events if isinstance(e, AgentOutput)]
        assert told == [3, 3, 3]

    async def test_one_of_the_agents(self, account, flow):
        """Others stay as they are."""
        flow.agents["payer"] = strategy_agent(flow.agents["payer"], all_of(3))
        await flow.run(ASKED)
        assert flow.agents["clerk"].llm.calls == 1
        assert account.paid == [("Ada", 5)]

    async def test_the_original_stays(self, flow):
        """A copy has the strategy."""
        before = {name: agent.llm for name, agent in flow.agents.items()}
        copied = strategy_agent(flow, all_of(3))
        assert {name: agent.llm for name, agent in flow.agents.items()} == before
        assert copied.agents is not flow.agents


class TestOtherStrategies:
    """Verifiers get the response, with the messages before it as the prompt."""

    async def test_best_of_n(self, account, clerk, paying):
        """The one that the verifier likes is done."""

        def modest(response):
            calls = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
            return all(call.tool_kwargs["euros"] <= 6 for call in calls)

        modest.exact = True
        llm = clerk(paying(9), paying(5), paying(9))
        agent = FunctionAgent(tools=[account.pay], llm=llm)
        await strategy_agent(agent, BestOfN(3, verifier=modest)).run(ASKED)
        assert account.paid == [("Ada", 5)]

    async def test_critique_repair_stays_inside_the_step(self, account, clerk, paying):
        """Drafts do not reach the memory, nor the tools."""

        def modest(response):
            calls = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
            fine = all(call.tool_kwargs["euros"] <= 6 for call in calls)
            return Verdict(outcome="pass" if fine else "fail", feedback="We owe her less.")

        llm = clerk(paying(9), paying(5))
        memory = ChatMemoryBuffer.from_defaults()
        agent = FunctionAgent(tools=[account.pay], llm=llm)
        await strategy_agent(agent, CritiqueRepair(modest, confirm=1)).run(ASKED, memory=memory)
        assert account.paid == [("Ada", 5)]
        assert len(await memory.aget_all()) == 4
        assert "We owe her less." in str(llm.log[1]["given"][-1].content)

    async def test_a_strategy_inside_a_strategy(self, account, clerk, paying, react):
        """Both tell actions apart as the agent does."""
        llm = clerk(
            react("a", '{"to": "Ada", "euros": 5}'),
            react("b", '{"to": "Ada", "euros": 5}'),
            answers=[react("c", answer="Paid.")],
        )
        agent = ReActAgent(tools=[account.pay], llm=llm)
        with collect() as results:
            await strategy_agent(agent, all_of(2, of=all_of(2))).run(ASKED)
        assert account.paid == [("Ada", 5)]
        assert results[0].agreement == 1.0
        assert [each.agreement for each in results[0].nested] == [1.0, 1.0]

    async def test_options_reach_each_sample(self, account, clerk, paying):
        """As of a `StrategyLLM`."""
        llm = clerk(paying(5))
        agent = FunctionAgent(tools=[account.pay], llm=llm)
        await strategy_agent(agent, all_of(2), options={"temperature": 0.7}).run(ASKED)
        assert {each["kwargs"]["temperature"] for each in llm.log} == {0.7}


class TestBadInput:
    """Each says what to do, at construction."""

    @pytest.mark.parametrize(
        ("parameter", "strategy", "settings"),
        [
            ("strategy", "vote", {}),
            ("strategy", FieldVote(3), {}),
            ("on_fail", ToolCheck(lambda _: True, on_fail="reject"), {}),
            ("critic", CritiqueRepair(mode="self_refine"), {}),
            ("exit_behavior", Vote(2), {"exit_behavior": "stop"}),
            ("budgte", Vote(2), {"budgte": 1}),
        ],
        ids=lambda each: each if isinstance(each, str) else "",
    )
    def test_names_the_parameter(self, account, clerk, parameter, strategy, settings):
        """Of the strategy or the settings."""
        agent = FunctionAgent(tools=[account.pay], llm=clerk("x"))
        with pytest.raises(UsageError) as error:
            strategy_agent(agent, strategy, **settings)
        assert error.value.parameter == parameter

    def test_no_agent(self, clerk):
        """An LLM is none."""
        with pytest.raises(UsageError, match="FunctionAgent"):
            strategy_agent(clerk("x"), Vote(2))


class TestCopies:
    """The agent that is given stays as it is."""

    async def test_can_be_run_beside(self, account, clerk, paying):
        """Each by its own LLM."""
        llm = clerk(paying(5))
        agent = FunctionAgent(name="payer", tools=[account.pay], llm=llm)
        copied = strategy_agent(agent, all_of(3))
        assert agent.llm is llm
        assert type(agent) is FunctionAgent
        assert isinstance(copied, FunctionAgent)
        assert type(copied).__name__ == "FunctionAgent"
        assert copied.name == "payer"
        await agent.run(ASKED)
        assert llm.calls == 2

    async def test_of_an_agent_of_your_own(self, account, clerk, paying):
        """What it overrides is called."""

        class Careful(FunctionAgent):
            async def take_step(self, ctx, llm_input, tools, memory):
                careful = ChatMessage("Be careful.", role=MessageRole.SYSTEM)
                return await super().take_step(ctx, [careful, *llm_input], tools, memory)

        llm = clerk(paying(5), paying(5))
        agent = strategy_agent(Careful(tools=[account.pay], llm=llm), all_of(2))
        await agent.run(ASKED)
        assert llm.log[0]["given"][0].content == "Be careful."
        assert account.paid == [("Ada", 5)]

    async def test_keeps_steps_that_are_free_functions(self, account, clerk):
        """Those that were added to the class of an agent."""

        class Noted(Event):
            pass

        class Extended(FunctionAgent):
            @step
            async def note(self, ev: Noted) -> StopEvent:
                return StopEvent(result=ev)

        @step(workflow=Extended)
        async def begin(ev: HumanResponseEvent) -> Noted:
            return Noted()

        agent = strategy_agent(Extended(tools=[account.pay], llm=clerk("Hello.")), all_of(2))
        assert str(await agent.run(ASKED)) == "Hello."

    async def test_twice_multiplies(self, account, clerk, paying):
        """Once is what anybody wants; it is what was asked for all the same."""
        llm = clerk(paying(5))
        agent = strategy_agent(
            strategy_agent(FunctionAgent(tools=[account.pay], llm=llm), all_of(2)), all_of(2)
        )
        await agent.run(ASKED)
        assert account.paid == [("Ada", 5)]
        assert llm.calls == 8


class TestConcurrency:
    """Many runs at once."""

    async def test_runs_share_nothing(self, account, clerk, paying, asks_tools, scripted):
        """One agent, ten users: each gets its own tool call, once."""

        def reply(request):
            first = next(m.content for m in request["given"] if m.role == MessageRole.USER)
            if request["given"][-1].role == MessageRole.TOOL:
                return f"Paid {first}."
            return asks_tools(("pay", {"to": first, "euros": 1}))

        llm = scripted(reply, seconds=0.001)
        agent = strategy_agent(FunctionAgent(tools=[account.pay], llm=llm), all_of(3))

        async def one(name):
            with collect() as results:
                output = await agent.run(name)
            return str(output), output["thinktwice"]["launched"], len(results)

        outputs = await asyncio.gather(*(one(f"user-{at}") for at in range(10)))
        assert outputs == [(f"Paid user-{at}.", 3, 2) for at in range(10)]
        assert sorted(account.paid) == sorted((f"user-{at}", 1) for at in range(10))
        assert llm.calls == 60

    async def test_a_cancelled_run_leaves_nothing(self, account, clerk, paying):
        """Its samples end with it."""
        llm = clerk(paying(5), seconds=30)
        before = asyncio.all_tasks()
        agent = strategy_agent(FunctionAgent(tools=[account.pay], llm=llm), all_of(4))
        handler = agent.run(ASKED)
        await asyncio.sleep(0.05)
        assert llm.calls >= 2
        await handler.cancel_run()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
        assert llm._in_flight == []
        assert account.paid == []
