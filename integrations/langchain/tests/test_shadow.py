"""A strategy in the shadow: callers get what the Runnable itself returns."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextvars import ContextVar
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.language_models import BaseLLM
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import Generation, LLMResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda, RunnablePassthrough
from langchain_core.tools import tool
from langchain_core.tracers.context import collect_runs
from langchain_thinktwice import RunnableVerifier, best_of_n, vote, with_strategy
from langchain_thinktwice.shadow.runnable import ShadowedRunnable

from thinktwice import AtMost, Budget, Limiter, Price, UsageError, Vote, budget_scope, collect
from thinktwice.shadow import Shadow
from thinktwice.testing import captured_spans

PROMPT = ChatPromptTemplate.from_template("{question}")
ASKED = {"question": "2 + 2?"}
PRICES = {"fake-1": Price(input="1", output="2")}
tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


def chain_of(model):
    return PROMPT | model | StrOutputParser()


def shadowed(runnable, n=3, shadow=1.0, **settings):
    return vote(runnable, n=n, stop=AtMost(n), shadow=shadow, **settings)


async def ended(runnable):
    """Wait for the shadow, wherever it runs; its report."""
    await runnable.shadow.drain()
    return runnable.shadow.report


class TestCallers:
    """What they get, on every way to call it."""

    @pytest.fixture
    def model(self, scripted):
        # The first answer is wrong: a vote would not return it.
        return scripted("5", "4", "4", "4")

    async def test_one_call(self, model, call):
        """The single sample, though the vote says otherwise."""
        chain = shadowed(chain_of(model))
        assert await call(chain, ASKED) == "5"
        report = await ended(chain)
        assert (report.requests, report.compared, report.changed.count) == (1, 1, 1)
        assert model.calls == 4

    async def test_a_message_is_the_one_of_the_model(self, model, call):
        """Without a summary, and with its own usage."""
        answer = await call(shadowed(model), "2 + 2?")
        assert type(answer) is AIMessage
        assert "thinktwice" not in answer.response_metadata
        assert answer.usage_metadata["output_tokens"] == 5

    async def test_batches(self, scripted):
        """As the bound Runnable's own, input by input."""
        for blocks in (True, False):
            chain = shadowed(chain_of(scripted("5")))
            many = [ASKED] * 3
            answers = chain.batch(many) if blocks else await chain.abatch(many)
            assert answers == ["5"] * 3
            assert chain.batch([]) == await chain.abatch([]) == []
            report = await ended(chain)
            assert (report.requests, report.compared) == (3, 3)

    async def test_batches_as_they_complete(self, scripted):
        """Likewise."""
        chain = shadowed(chain_of(scripted("5")))
        assert sorted(chain.batch_as_completed([ASKED] * 2)) == [(0, "5"), (1, "5")]
        done = [each async for each in chain.abatch_as_completed([ASKED] * 2)]
        assert sorted(done) == [(0, "5"), (1, "5")]
        assert (await ended(chain)).compared == 4

    def test_a_batch_of_the_bound_runnable_stays_one_request(self):
        """A model that answers many prompts at once goes on doing so."""
        sizes = []

        class Engine(BaseLLM):
            @property
            def _llm_type(self):
                return "engine"

            def _generate(self, prompts, *args, **kwargs):
                sizes.append(len(prompts))
                return LLMResult(generations=[[Generation(text="5")] for _ in prompts])

        chain = shadowed(Engine())
        assert chain.batch(["a", "b", "c"]) == ["5", "5", "5"]
        assert sizes[0] == 3
        assert chain.shadow.join(10)
        assert chain.shadow.report.compared == 3

    async def test_streams_are_the_chunks_of_the_bound_runnable(self, streamed):
        """As they come; what they add up to is compared."""
        model = streamed("4 it is")
        chain = shadowed(chain_of(model), key="number")
        own = list(chain_of(model).stream(ASKED))
        assert len(own) > 3
        assert list(chain.stream(ASKED)) == own
        assert [chunk async for chunk in chain.astream(ASKED)] == own
        report = await ended(chain)
        assert (report.compared, report.changed.count) == (2, 0)

    async def test_streamed_messages_are_compared_as_messages(self, streamed):
        """A verifier sees the whole one."""
        seen = []
        shadow = Shadow(1.0, verifier=lambda value: seen.append(value) or True)
        model = shadowed(streamed("4 it is"), shadow=shadow)
        chunks = [chunk async for chunk in model.astream("?")]
        assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
        report = await ended(model)
        assert (report.compared, report.changed.count) == (1, 0)
        assert [(type(value), value.text) for value in seen] == [(AIMessage, "4 it is")]

    async def test_a_stream_that_is_left_is_closed_and_not_followed(self, streamed):
        """The caller did not want the rest."""
        closed = []

        class Words(Runnable):
            def invoke(self, input, config=None, **kwargs):  # noqa: A002
                return "abc"

            async def astream(self, input, config=None, **kwargs):  # noqa: A002
                try:
                    for word in "abc":
                        yield word
                finally:
                    await asyncio.sleep(0)
                    closed.append(True)

        chain = shadowed(Words())
        stream = chain.astream("?")
        async for _ in stream:
            break
        await stream.aclose()
        assert closed == [True]
        next(chain.stream("?"))
        report = await ended(chain)
        assert (report.chosen, report.compared, report.errors) == (2, 0, {})

    async def test_mid_chain_it_passes_chunks_through(self, streamed):
        """Between steps that stream, its input is what the chunks add up to."""
        step = StrOutputParser() | RunnablePassthrough()
        own = list((streamed("abc") | step).stream("?"))
        assert own[:3] == ["a", "b", "c"]
        wrapped = streamed("abc") | shadowed(step)
        assert list(wrapped.stream("?")) == own
        assert [chunk async for chunk in wrapped.astream("?")] == own
        report = await ended(wrapped.last)
        assert (report.compared, report.changed.count) == (2, 0)

    async def test_streams_that_are_not_chosen_pass_as_well(self, streamed):
        """Untouched, at the end of a chain and within."""
        model, off = streamed("abc"), shadowed(StrOutputParser(), shadow=0.0)
        own = list((model | StrOutputParser()).stream("?"))
        assert list((model | off).stream("?")) == own
        assert [chunk async for chunk in (model | off).astream("?")] == own
        assert list(shadowed(model, shadow=0.0).stream("?"))
        assert ((await ended(off)).requests, off.shadow.report.chosen) == (2, 0)

    @pytest.mark.parametrize(
        ("chunks", "whole"), [([3, None], None), ([{"a": 1}, {"b": 2}], {"b": 2})]
    )
    async def test_chunks_that_do_not_add_up_count_by_the_last(self, chunks, whole):
        """As LangChain has it."""
        seen = []

        class Emits(Runnable):
            def invoke(self, input, config=None, **kwargs):  # noqa: A002
                return "other"

            def stream(self, input, config=None, **kwargs):  # noqa: A002
                yield from chunks

        shadow = Shadow(1.0, verifier=lambda value: seen.append(value) or True)
        emits = shadowed(Emits(), shadow=shadow)
        assert list(emits.stream("?")) == chunks
        assert (await ended(emits)).compared == 1
        assert seen[0] == whole

    async def test_mid_chain_it_is_called_like_any_step(self, scripted, call):
        """By `invoke` and `ainvoke`."""
        around = shadowed(chain_of(scripted("abc"))) | (lambda text: text.upper())
        assert await call(around, ASKED) == "ABC"

    async def test_exceptions_are_those_of_the_runnable(self, scripted, call):
        """Nothing runs behind them."""
        model = scripted(ValueError("no"))
        chain = shadowed(chain_of(model))
        with pytest.raises(ValueError, match="no"):
            await call(chain, ASKED)
        assert chain.batch([ASKED, ASKED], return_exceptions=True)[0].args == ("no",)
        fallback = chain.with_fallbacks([RunnableLambda(lambda _: "later")])
        assert await call(fallback, ASKED) == "later"
        report = await ended(chain)
        assert (report.chosen, report.compared, model.calls) == (4, 0, 4)

    async def test_the_traces_of_callers_are_those_of_the_runnable(self, model, runs, call):
        """No run of ours in them, before or after."""
        plain, chain = chain_of(model), shadowed(chain_of(model))
        config = {"callbacks": [runs], "run_name": "mine", "tags": ["t"]}
        around = RunnableLambda(plain.invoke).with_config(run_name="around")
        await call(plain, ASKED, config)
        alone = [(run["name"], run["tags"], runs.path(run)) for run in runs.runs.values()]
        runs.runs.clear()
        await call(chain, ASKED, config)
        await ended(chain)
        assert [(r["name"], r["tags"], runs.path(r)) for r in runs.runs.values()] == alone
        runs.runs.clear()
        nested = RunnableLambda(chain.invoke).with_config(run_name="around")
        await call(around, ASKED, {"callbacks": [runs]})
        paths = [runs.path(run) for run in runs.runs.values()]
        runs.runs.clear()
        await call(nested, ASKED, {"callbacks": [runs]})
        await ended(chain)
        assert [runs.path(run) for run in runs.runs.values()] == paths

    async def test_events_are_those_of_the_runnable(self, streamed):
        """Token by token."""
        plain = chain_of(streamed("abc"))
        chain = shadowed(plain)
        expected = [(each["event"], each["name"]) async for each in plain.astream_events(ASKED)]
        seen = [(each["event"], each["name"]) async for each in chain.astream_events(ASKED)]
        assert seen == expected
        assert (await ended(chain)).compared == 1

    async def test_the_config_is_passed_on_as_it_came(self, call):
        """Defaults of LangChain would override those of a graph, say."""
        seen: list[dict[str, Any]] = []

        class Looks(Runnable):
            def invoke(self, input, config=None, **kwargs):  # noqa: A002
                seen.append(dict(config or {}))
                return "4"

        given = {"tags": ["t"], "recursion_limit": 7}
        for share, calls in ((0.0, 1), (1.0, 2)):
            wrapped = shadowed(Looks(), n=1, shadow=share)
            for config, expected in ((given, given), (None, {})):
                await call(wrapped, "?", config)
                await ended(wrapped)
                passed = {name: each for name, each in seen[0].items() if name != "callbacks"}
                assert (passed, len(seen)) == (expected, calls)
                seen.clear()

    async def test_configs_of_a_batch_are_passed_on_input_by_input(self, scripted, runs):
        """An id is that of the first run alone, as LangChain has it."""
        model = scripted("4")
        wrapped = shadowed(model)
        own = uuid.uuid4()
        wrapped.batch(["a", "b"], {"callbacks": [runs], "run_id": own})
        assert own in runs.runs
        assert len(runs.runs) == 2
        wrapped.batch(["a", "b"], [{"tags": ["x"], "callbacks": [runs]}, {"callbacks": [runs]}])
        assert sorted("x" in (run["tags"] or []) for run in runs.runs.values()) == [0, 0, 0, 1]
        with pytest.raises(ValueError, match="same length"):
            wrapped.batch(["a", "b"], [{}])
        await ended(wrapped)

    async def test_options_are_for_the_strategy_alone(self, scripted, call):
        """The temperature of callers is not touched."""
        model = scripted("4")
        chain = shadowed(chain_of(model), options=lambda index: {"temperature": 0.1 * index})
        await call(chain, ASKED)
        await ended(chain)
        sent = [request["kwargs"].get("temperature") for request in model.log]
        assert sent[0] is None
        assert sorted(sent[1:]) == [0.0, 0.1, 0.2]

    async def test_call_arguments_reach_both(self, scripted, call):
        """They belong to the request."""
        model = scripted("4")
        wrapped = shadowed(model)
        await call(wrapped, "2 + 2?", stop=["."], seed=7)
        await ended(wrapped)
        assert [request["kwargs"] for request in model.log] == [{"seed": 7}] * 4

    async def test_the_input_may_be_changed_afterwards(self, scripted):
        """As a conversation that goes on is."""
        model = scripted("4")
        wrapped = shadowed(model)
        messages = [AIMessage("2 + 2?")]
        messages.append(await wrapped.ainvoke(messages))
        messages[0].content = "changed"
        await ended(wrapped)
        assert {request["text"] for request in model.log} == {"2 + 2?"}

    async def test_blocks_of_ours_around_a_call_see_nothing(self, model, call):
        """As there is no strategy in it."""
        chain = shadowed(chain_of(model), budget=Budget(calls=3))
        with budget_scope(Budget(calls=1)) as scope, collect() as results:
            for _ in range(3):
                await call(chain, ASKED)
            assert (await ended(chain)).compared == 3
        assert (scope.total.calls, results) == (0, [])


class TestMaking:
    """What is refused, and what is kept."""

    def test_callers_cannot_get_a_result(self, scripted):
        """They get what they would get without it."""
        with pytest.raises(UsageError, match=r"^include_result=True"):
            vote(scripted("4"), shadow=0.05, include_result=True)

    def test_what_acts_is_refused_as_ever(self, scripted):
        """It would act again behind requests."""

        @tool
        def send(text: str) -> str:
            """Send."""
            return text

        with pytest.raises(UsageError, match="send is a tool"):
            shadowed(scripted("4") | StrOutputParser() | send)

    def test_options_that_reach_no_model_are_refused_as_ever(self):
        """When the wrapper is made."""
        with pytest.raises(UsageError, match=r"^options="):
            shadowed(StrOutputParser(), options={"temperature": 1})

    @pytest.mark.parametrize("wrong", [2, True, "0.05"])
    def test_a_share_that_is_none(self, scripted, wrong):
        """It is named."""
        with pytest.raises(UsageError, match=r"^sha"):
            vote(scripted("4"), shadow=wrong)

    def test_a_shadow_is_shared_and_a_share_makes_one(self, scripted):
        """At all three doors; without either there is none."""
        shadow, model = Shadow(0.5), scripted("4")
        doors = [
            vote(model, shadow=shadow),
            best_of_n(model, verifier=len, shadow=shadow),
            with_strategy(model, Vote(2), shadow=shadow),
        ]
        assert all(type(door) is ShadowedRunnable and door.shadow is shadow for door in doors)
        assert vote(model, shadow=0.2).shadow.share == 0.2
        assert vote(model).shadow is None

    async def test_it_stays_when_the_model_is_bound_anew(self, scripted, call):
        """The same object."""
        bound = shadowed(scripted(AIMessage("", tool_calls=[])), n=2).bind_tools([])
        assert isinstance(bound, ShadowedRunnable)
        await call(bound, "?")
        assert (await ended(bound)).requests == 1

    async def test_schemas_are_those_of_the_runnable(self, scripted):
        """As without a shadow."""
        chain = chain_of(scripted("4"))
        assert shadowed(chain).get_input_jsonschema() == chain.get_input_jsonschema()
        assert shadowed(chain).OutputType is chain.OutputType


class TestBehind:
    """What runs in the shadow, and what it sees."""

    async def test_costs_of_both_are_measured(self, scripted, call):
        """The single sample's by looking on, in the middle of a chain too."""
        twice = chain_of(scripted("4")) | (lambda text: {"question": text}) | PROMPT | scripted("4")
        chain = shadowed(twice, prices=PRICES)
        await call(chain, ASKED)
        report = await ended(chain)
        tokens = (len("2 + 2?") + 5) + (1 + 5)
        cost = (Decimal(7) + 2 * Decimal(10)) / 1_000_000
        assert (report.single.calls, report.single.tokens, report.single.cost) == (2, tokens, cost)
        assert (report.strategy.calls, report.strategy.tokens) == (6, 3 * tokens)
        assert report.extra.cost == 2 * cost
        assert report.single.seconds > 0

    async def test_a_cached_answer_cost_nothing(self, scripted):
        """As everywhere."""
        from langchain_core.caches import InMemoryCache

        model = scripted("4", cache=InMemoryCache())
        model.invoke("2 + 2?")
        wrapped = with_strategy(model, Vote(1), shadow=1.0, prices=PRICES)
        await wrapped.ainvoke("2 + 2?")
        report = await ended(wrapped)
        assert (report.single.tokens, report.single.cost) == (0, 0)

    async def test_latency_is_that_of_each_call_of_a_batch(self, scripted):
        """And not of the whole."""
        model = shadowed(scripted("4", seconds=0.05), n=1)
        started = time.perf_counter()
        model.batch(["?"] * 4, {"max_concurrency": 1})
        whole = time.perf_counter() - started
        report = await ended(model)
        assert report.compared == 4
        assert 0.05 <= report.single.seconds < whole / 2

    async def test_a_runnable_that_reports_nothing_is_timed_all_the_same(self):
        """By the clock."""

        class Silent(Runnable):
            def invoke(self, input, config=None, **kwargs):  # noqa: A002
                return "4"

            async def ainvoke(self, input, config=None, **kwargs):  # noqa: A002
                await asyncio.sleep(0.02)
                return "4"

        wrapped = shadowed(Silent())
        await wrapped.ainvoke("?")
        assert (await ended(wrapped)).single.seconds >= 0.015

    async def test_its_runs_have_a_root_of_their_own(self, scripted, runs, call):
        """With a tag; what the request set for all its runs is kept, its callbacks are not."""
        model = scripted("4", callbacks=[runs])
        own = type(runs)()
        chain = shadowed(chain_of(model), n=1)
        config = {
            "callbacks": [own],
            "tags": ["mine"],
            "metadata": {"tenant": "acme"},
            "run_name": "named",
            "configurable": {"thread": 3, "__pregel_send": print},
        }
        await call(chain, ASKED, config)
        report = await ended(chain)
        assert (report.compared, report.errors) == (1, {})
        first, behind = runs.named("model")
        assert "thinktwice:shadow" not in first["tags"]
        assert {"thinktwice:shadow", "thinktwice:sample", "mine"} <= set(behind["tags"])
        assert behind["metadata"]["tenant"] == "acme"
        assert {run["name"] for run in own.runs.values()} == {
            "named",
            "ChatPromptTemplate",
            "model",
            "StrOutputParser",
        }

    async def test_what_frameworks_keep_in_configurable_stays_with_the_request(self, scripted):
        """A stream writer of a graph would write to the caller."""
        seen: list[dict[str, Any]] = []

        def look(given, config):
            seen.append(config["configurable"])
            return given

        chain = shadowed(RunnableLambda(look), n=1)
        await chain.ainvoke("4", {"configurable": {"thread": 3, "__pregel_send": print}})
        await ended(chain)
        assert [sorted(each) for each in seen] == [["__pregel_send", "thread"], ["thread"]]

    @pytest.mark.filterwarnings("ignore:The `copy` method:DeprecationWarning")  # LangChain's, once
    async def test_handlers_of_blocks_around_the_request_see_nothing_of_it(self, scripted, call):
        """They add up what the caller pays, or trace what the caller runs."""
        chain = shadowed(chain_of(scripted("4")))
        with get_usage_metadata_callback() as usage, collect_runs() as traced:
            await call(chain, ASKED)
            assert (await ended(chain)).compared == 1
        assert usage.usage_metadata["fake-1"]["output_tokens"] == 5
        assert len(traced.traced_runs) == 1

    async def test_it_is_no_child_of_a_traced_function(self, scripted, monkeypatch):
        """Nor of what LangSmith takes for its parent."""
        from langchain_thinktwice.shadow import runnable as module
        from langsmith.run_helpers import get_current_run_tree, tracing_context
        from langsmith.run_trees import RunTree

        managers = []
        configure = module.get_async_callback_manager_for_config

        def spied(config):
            managers.append((configure(config), get_current_run_tree()))
            return managers[-1][0]

        monkeypatch.setattr(module, "get_async_callback_manager_for_config", spied)
        chain = shadowed(chain_of(scripted("4")))
        parent = RunTree(name="request", client=object(), ls_client=object())
        with tracing_context(parent=parent, enabled=False):
            await chain.ainvoke(ASKED)
            await ended(chain)
            assert get_current_run_tree() is parent
        [(manager, run_tree)] = managers
        assert (manager.parent_run_id, run_tree) == (None, None)

    async def test_variables_of_the_application_are_there(self, call):
        """In a copy."""
        seen = []

        def look(given):
            seen.append(tenant.get())
            tenant.set("changed")
            return given

        tenant.set("acme")
        chain = shadowed(RunnableLambda(look), n=2)
        await call(chain, "4")
        await ended(chain)
        assert seen == ["acme"] * 3
        assert tenant.get() == "acme"

    async def test_what_a_request_asks_for_is_heeded_there(self, scripted, call):
        """A smaller n, a tighter budget; a mistake in it is no caller's problem."""
        model = scripted("4")
        chain = shadowed(chain_of(model), n=5)
        await call(chain, ASKED, {"configurable": {"thinktwice_n": 2}})
        assert (await ended(chain)).strategy.calls == 2
        await call(chain, ASKED, {"configurable": {"thinktwice_budget": {"calls": 1}}})
        await ended(chain)
        assert model.calls == 1 + 2 + 1 + 1
        assert await call(chain, ASKED, {"configurable": {"thinktwice_m": 2}}) == "4"
        assert (await ended(chain)).errors == {"UsageError": 1}

    async def test_a_limiter_is_left_to_others_by_half(self, scripted):
        """And the cap of the request binds as well."""
        model = scripted("4", seconds=0.01)
        chain = shadowed(chain_of(model), n=6, limiter=Limiter(4), prefer="latency")
        await chain.ainvoke(ASKED)
        await ended(chain)
        assert model.most_in_flight == 2

    async def test_it_has_a_budget_of_its_own(self, scripted, call):
        """Used up, it ends the shadow; callers notice nothing."""
        model = scripted("4")
        chain = shadowed(chain_of(model), shadow=Shadow(1.0, budget=Budget(calls=7)))
        for _ in range(5):
            assert await call(chain, ASKED) == "4"
            await ended(chain)
        report = chain.shadow.report
        assert (model.calls, report.compared, report.cut) == (5 + 7, 2, 1)

    async def test_a_runnable_judges_on_its_account(self, scripted, call):
        """Its model is booked, and sees the input as well."""
        judge = scripted("0.5")
        verifier = RunnableVerifier(
            judge | StrOutputParser() | float, inputs=lambda value, given: given["question"] + value
        )
        chain = shadowed(chain_of(scripted("5", "4")), shadow=Shadow(1.0, verifier=verifier))
        await call(chain, ASKED)
        report = await ended(chain)
        assert (report.errors, report.unjudged) == ({}, {})
        assert sorted(request["text"] for request in judge.log) == ["2 + 2?4", "2 + 2?5"]
        assert (report.judged.ties, report.spent.calls, report.strategy.calls) == (1, 5, 3)

    async def test_what_fails_there_is_counted(self, scripted, call):
        """By type, and no caller hears of it."""
        chain = shadowed(chain_of(scripted("4", ValueError("sk-canary"))), n=2)
        chain.bound.steps[1].replies = ["4", *[ValueError("sk-canary")] * 5]
        assert await call(chain, ASKED) == "4"
        report = await ended(chain)
        assert report.errors == {"ValueError": 1}
        assert "canary" not in str(report)

    async def test_a_strategy_over_it_draws_single_samples(self, scripted, call):
        """What runs for a vote is the vote's, and books there; behind it the shadow goes on."""
        model = scripted("4")
        inner = shadowed(chain_of(model), n=2)
        outer = vote(inner, n=3, stop=AtMost(3), include_result=True)
        out = await call(outer, ASKED)
        assert out["result"].ledger.total.calls == 3
        report = await ended(inner)
        assert (report.requests, report.compared, report.single.calls) == (3, 3, 1)
        assert model.calls == 3 + 3 * 2

    async def test_what_runs_in_a_shadow_has_none(self, scripted, call):
        """Else shadows would multiply."""
        model = scripted("4")
        inner = shadowed(chain_of(model), n=2)
        outer = shadowed(inner, n=3)
        await call(outer, ASKED)
        assert (await ended(outer)).compared == 1
        assert (await ended(inner)).requests == 1
        assert model.calls == 1 + 3 + 2

    async def test_spans_are_a_trace_of_their_own(self, scripted, call):
        """None of ours is in the caller's."""
        chain = shadowed(chain_of(scripted("4")), n=2)
        with captured_spans() as spans:
            await call(chain, ASKED)
            await ended(chain)
        [root] = [span for span in spans if span.parent is None]
        assert root.name == "thinktwice.shadow"
        assert {span.context.trace_id for span in spans} == {root.context.trace_id}
        assert sum(span.name.startswith("chat ") for span in spans) == 2

    def test_sync_code_waits_by_join(self, scripted):
        """It runs on a daemon thread, by `invoke`."""
        model = scripted("4")
        chain = shadowed(chain_of(model))
        chain.invoke(ASKED)
        assert chain.shadow.join(10)
        assert chain.shadow.report.compared == 1
        threads = [request["thread"] for request in model.log]
        assert threads[0] == "MainThread"
        assert "MainThread" not in threads[1:]
