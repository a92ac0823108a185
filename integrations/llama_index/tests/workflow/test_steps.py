"""A strategy over a step of a workflow."""

from __future__ import annotations

import asyncio
import inspect
from typing import Annotated

import pytest
from llama_index.core.workflow import (
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from llama_index.core.workflow.resource import Resource
from llama_index_thinktwice.workflow.steps import sampled

from thinktwice import (
    AtMost,
    BestOfN,
    Budget,
    BudgetExceeded,
    CritiqueRepair,
    ToolCheck,
    UsageError,
    Verdict,
    Vote,
    budget_scope,
    collect,
)
from thinktwice.answers import default_key, text_in
from thinktwice.testing import run_virtual


class Asked(StartEvent):
    """A question."""

    question: str


class Drafted(Event):
    """A draft."""

    text: str


class Note(Event):
    """Something to see."""

    text: str


class Once:
    """Retries once, at once."""

    def next(self, elapsed_time, attempts, error, seed=None):
        """Seconds to wait, or None to give up."""
        return 0.0 if attempts < 2 else None


def all_of(n):
    """A vote of n, each of which is drawn."""
    return Vote(n, stop=AtMost(n))


def answering(llm, strategy, **settings):
    """A workflow whose first step is sampled."""

    class Answering(Workflow):
        @step
        @sampled(strategy, **settings)
        async def draft(self, ev: Asked) -> Drafted:
            """Write a draft."""
            reply = await llm.acomplete(ev.question)
            return Drafted(text=reply.text)

        @step
        async def finish(self, ev: Drafted) -> StopEvent:
            return StopEvent(result=ev)

    return Answering()


class TestSampled:
    """The body of a step is the sample."""

    async def test_one_event_comes_of_many_samples(self, scripted):
        """The majority goes on; the next step runs once."""
        llm = scripted("a", "b", "a")
        with collect() as results:
            event = await answering(llm, all_of(3)).run(question="?")
        assert event.text == "a"
        assert llm.calls == 3
        assert results[0].ledger.total.calls == 3

    async def test_carries_a_summary(self, scripted):
        """Under one key, on a copy: the sample is as the step made it."""
        with collect() as results:
            event = await answering(scripted("a", "b", "a"), all_of(3)).run(question="?")
        assert event["thinktwice"]["launched"] == 3
        assert event["thinktwice"]["agreement"] == pytest.approx(2 / 3)
        assert "thinktwice" not in results[0].value

    def test_keeps_what_the_decorator_reads(self):
        """Name, docstring and annotations are those of the function."""
        flow = answering(None, all_of(2))
        assert flow.validate() is False
        assert flow.draft.__name__ == "draft"
        assert flow.draft.__doc__ == "Write a draft."
        assert inspect.iscoroutinefunction(flow.draft)

    async def test_plain_functions_draw_on_threads(self, scripted):
        """A step that is no coroutine is sampled by sync calls."""
        llm = scripted("a", "b", "a")

        class Plain(Workflow):
            @step
            @sampled(all_of(3))
            def answer(self, ev: Asked) -> StopEvent:
                return StopEvent(result=llm.complete(ev.question).text)

        with collect() as results:
            assert await Plain().run(question="?") == "a"
        assert {each["method"] for each in llm.log} == {"complete"}
        assert results[0].ledger.total.calls == 3

    async def test_free_functions_and_resources(self, scripted):
        """A step that is no method, with a resource, is sampled as well."""
        llm = scripted("a", "b", "a")

        class Free(Workflow):
            pass

        def get_llm():
            return llm

        @step(workflow=Free)
        @sampled(all_of(3))
        async def answer(ev: Asked, model: Annotated[object, Resource(get_llm)]) -> StopEvent:
            return StopEvent(result=(await model.acomplete(ev.question)).text)

        assert await Free().run(question="?") == "a"
        assert llm.calls == 3

    async def test_steps_that_collect(self, scripted):
        """Several events are one prompt, by name."""
        prompts = []

        class Keeps:
            name = "keeps"
            exact = True

            async def __call__(self, sample, /, *, prompt):
                prompts.append(prompt)
                return Verdict(outcome="pass")

        class Collecting(Workflow):
            @step
            async def begin(self, ctx: Context, ev: Asked) -> Drafted | Note | None:
                ctx.send_event(Drafted(text="one"))
                ctx.send_event(Note(text="two"))

            @step
            @sampled(BestOfN(2, verifier=Keeps()))
            async def merge(self, draft: Drafted, note: Note) -> StopEvent:
                return StopEvent(result=f"{draft.text} {note.text}")

        assert await Collecting().run(question="?") == "one two"
        assert {name: each.text for name, each in prompts[0].items()} == {
            "draft": "one",
            "note": "two",
        }

    async def test_all_samples_abstain(self, silent_remarks):
        """The first goes on, so that the workflow does not wait for ever."""

        class Unsure(Workflow):
            @step
            @sampled(Vote(3, key=lambda event: None))
            async def answer(self, ev: Asked) -> StopEvent:
                return StopEvent(result="something")

        assert await Unsure(timeout=1).run(question="?") == "something"

    async def test_one_failure_is_no_vote_and_all_are_one_error(self, scripted):
        """As everywhere."""
        llm = scripted(ValueError("no"), "a", "a")
        assert (await answering(llm, all_of(3)).run(question="?")).text == "a"
        with pytest.raises(ValueError, match="no"):
            await answering(scripted(ValueError("no")), all_of(3)).run(question="?")

    async def test_a_retry_repeats_all_of_it(self, scripted):
        """The policy of the step is around the strategy."""
        llm = scripted(ValueError("no"), ValueError("no"), "a", "a")

        class Retried(Workflow):
            @step(retry_policy=Once())
            @sampled(all_of(2))
            async def answer(self, ev: Asked) -> StopEvent:
                return StopEvent(result=(await llm.acomplete(ev.question)).text)

        assert await Retried().run(question="?") == "a"
        assert llm.calls == 4

    async def test_best_of_n(self, scripted):
        """The verifier sees the event that came out, and the one that came in."""
        seen = []

        def longest(event):
            seen.append(event)
            return min(len(event.text) / 10, 1.0)

        event = await answering(scripted("a", "abc", "ab"), BestOfN(3, verifier=longest)).run(
            question="?"
        )
        assert event.text == "abc"
        assert all(isinstance(each, Drafted) for each in seen)

    async def test_repairs_with_a_prompting_of_events(self, scripted):
        """How an event is edited is said by the caller."""

        class Asking:
            def revise(self, prompt, draft, feedback):
                return Asked(question=f"{prompt.question} {feedback}")

            def extend(self, prompt, partial):
                return prompt

        def polite(event):
            fine = event.text == "please"
            return Verdict(outcome="pass" if fine else "fail", feedback="Be polite.")

        llm = scripted("now", "please")
        flow = answering(llm, CritiqueRepair(polite, confirm=1), prompting=Asking())
        assert (await flow.run(question="Ask.")).text == "please"
        assert llm.log[1]["text"] == "Ask. Be polite."


class TestContext:
    """What samples do to the context of their step."""

    async def test_events_of_the_winner_alone_are_seen(self, scripted):
        """Those of the others never happened."""
        llm = scripted("a", "b", "a")

        class Noting(Workflow):
            @step
            @sampled(all_of(3))
            async def answer(self, ctx: Context, ev: Asked) -> Drafted | Note:
                text = (await llm.acomplete(ev.question)).text
                ctx.write_event_to_stream(Note(text=f"draft {text}"))
                ctx.send_event(Note(text=text))
                return Drafted(text=text)

            @step
            async def note(self, ctx: Context, ev: Note) -> None:
                ctx.write_event_to_stream(Note(text=f"sent {ev.text}"))

            @step
            async def finish(self, ev: Drafted) -> StopEvent:
                await asyncio.sleep(0.01)
                return StopEvent(result=ev.text)

        handler = Noting().run(question="?")
        notes = [each.text async for each in handler.stream_events() if isinstance(each, Note)]
        assert await handler == "a"
        assert notes == ["draft a", "sent a"]

    async def test_the_store_is_read_and_not_written(self, scripted):
        """What samples share is not changed by them."""

        class Storing(Workflow):
            @step
            async def begin(self, ctx: Context, ev: Asked) -> Drafted:
                await ctx.store.set("known", "yes")
                return Drafted(text=ev.question)

            @step
            @sampled(all_of(2))
            async def answer(self, ctx: Context, ev: Drafted) -> StopEvent:
                known = await ctx.store.get("known")
                if ev.text == "write":
                    await ctx.store.set("known", "no")
                return StopEvent(result=known)

        assert await Storing().run(question="read") == "yes"
        with pytest.raises(UsageError, match="every sample would do it") as error:
            await Storing().run(question="write")
        assert error.value.parameter == "ctx"

    @pytest.mark.parametrize("repeatable", [False, True])
    async def test_what_is_repeatable_may_write(self, repeatable):
        """If the caller says so, samples have the context itself."""

        class Storing(Workflow):
            @step
            @sampled(all_of(2), repeatable=repeatable)
            async def answer(self, ctx: Context, ev: Asked) -> StopEvent:
                async with ctx.store.edit_state() as state:
                    state["count"] = state.get("count", default=0) + 1
                return StopEvent(result="done")

        flow = Storing()
        ctx = Context(flow)
        if not repeatable:
            with pytest.raises(UsageError, match="edit_state"):
                await flow.run(question="?", ctx=ctx)
            return
        await flow.run(question="?", ctx=ctx)
        assert await ctx.store.get("count") == 2

    async def test_a_sample_cannot_wait_for_a_human(self):
        """It says so, at once."""

        class Waiting(Workflow):
            @step
            @sampled(all_of(2))
            async def answer(self, ctx: Context, ev: Asked) -> StopEvent | InputRequiredEvent:
                reply = await ctx.wait_for_event(HumanResponseEvent)
                return StopEvent(result=reply)

        with pytest.raises(UsageError, match="wait_for_event"):
            await Waiting(timeout=1).run(question="?")


class TestRuns:
    """Runs of a workflow with a sampled step."""

    async def test_concurrent_runs_share_nothing(self, scripted):
        """One instance, many runs: each gets its own answer and its own bill."""
        llm = scripted(lambda request: f"re {request['text']}", seconds=0.001)
        flow = answering(llm, all_of(3))

        async def one(name):
            with collect() as results:
                event = await flow.run(question=name)
            return event.text, results[0].ledger.total.calls

        answers = await asyncio.gather(*(one(f"q{at}") for at in range(10)))
        assert answers == [(f"re q{at}", 3) for at in range(10)]
        assert llm.calls == 30

    async def test_samples_run_at_once(self, scripted):
        """All of them, as far as the strategy wants that."""
        llm = scripted("a", seconds=0.005)
        await answering(llm, Vote(4, prefer="latency", stop=AtMost(4))).run(question="?")
        assert llm.most_in_flight == 4

    async def test_a_cancelled_run_leaves_nothing(self, scripted):
        """Its samples end with it."""
        llm = scripted("a", seconds=30)
        before = asyncio.all_tasks()
        handler = answering(llm, Vote(4, prefer="latency")).run(question="?")
        await asyncio.sleep(0.05)
        assert llm.calls == 4
        await handler.cancel_run()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
        assert llm._in_flight == []

    async def test_time_is_capped(self, scripted):
        """What has no answer in time raises, and the workflow with it."""
        flow = answering(scripted("a", seconds=30), all_of(2), budget=Budget(seconds=0.02))
        with pytest.raises(BudgetExceeded):
            await flow.run(question="?")

    async def test_a_budget_around_the_run_binds(self, scripted, silent_remarks):
        """The context of the caller reaches the steps."""
        llm = scripted("a")
        with budget_scope(Budget(calls=2)) as spent:
            event = await answering(llm, Vote(5, stop=AtMost(5), prefer="cost")).run(question="?")
        assert event.text == "a"
        assert event["thinktwice"]["stopped_by"] is not None
        assert spent.total.calls <= 3
        assert llm.calls < 5


class TestAnswers:
    """Events as answers."""

    def test_are_told_apart_by_type_and_fields(self):
        """Dynamic fields count as well, and our own summary does not."""
        assert default_key(Drafted(text="a")) == default_key(Drafted(text="a"))
        assert default_key(Drafted(text="a")) != default_key(Note(text="a"))
        assert default_key(Drafted(text="a", more=1)) != default_key(Drafted(text="a", more=2))
        assert default_key(Drafted(text="a", thinktwice={})) == default_key(Drafted(text="a"))

    def test_a_stop_event_is_its_result(self):
        """So that keys by name read it."""
        assert default_key(StopEvent(result="Yes.")) == default_key("yes")
        assert text_in(StopEvent(result="it is 42")) == "it is 42"

    def test_one_of_a_class_of_its_own_is_its_fields(self):
        """There is no result in it."""

        class Done(StopEvent):
            total: int

        assert default_key(Done(total=1)) == default_key(Done(total=1))
        assert default_key(Done(total=1)) != default_key(Done(total=2))

    async def test_a_key_by_name(self, scripted):
        """Votes on the number in the result."""
        llm = scripted("it is 42", "41?", "42!")

        class Counting(Workflow):
            @step
            @sampled(Vote(3, stop=AtMost(3), key="number"))
            async def answer(self, ev: Asked) -> StopEvent:
                return StopEvent(result=(await llm.acomplete(ev.question)).text)

        assert "42" in await Counting().run(question="?")


class TestBadInput:
    """Each says what to do."""

    def test_above_step(self):
        """The order matters."""

        @step(workflow=type("Other", (Workflow,), {}))
        async def answer(ev: Asked) -> StopEvent:
            return StopEvent(result=ev)

        with pytest.raises(UsageError, match="between @step"):
            sampled(Vote(2))(answer)

    def test_without_a_call(self):
        """`@sampled` alone has no strategy."""
        with pytest.raises(UsageError, match="strategy"):

            @sampled
            async def answer(ev):
                return ev

    def test_no_function(self):
        """A callable object has no annotations to read."""
        with pytest.raises(UsageError, match="function"):
            sampled(Vote(2))(object())

    def test_a_strategy_that_may_return_nothing(self):
        """A step must go on."""
        with pytest.raises(UsageError, match="must have an outcome"):
            sampled(ToolCheck(lambda value: True, on_fail="reject"))

    def test_a_strict_budget(self):
        """Nobody could keep it here."""
        with pytest.raises(UsageError, match="strict"):
            sampled(Vote(2), budget=Budget(calls=2, strict=True))


def test_time_is_virtual_time(scripted):
    """Five samples of a second each take one."""

    async def main():
        loop = asyncio.get_running_loop()
        began = loop.time()
        llm = scripted("a", seconds=1.0)
        await answering(llm, Vote(5, prefer="latency", stop=AtMost(5))).run(question="?")
        return loop.time() - began

    assert run_virtual(main()) == pytest.approx(1.0, abs=0.2)
