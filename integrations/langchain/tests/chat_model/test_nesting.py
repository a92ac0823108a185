"""A chat model over samples inside what samples, counts and acts."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import PydanticOutputParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_thinktwice import vote
from langchain_thinktwice.chat_model import StrategyChatModel
from pydantic import BaseModel

from thinktwice import AtMost, Budget, Shadow, Strategy, UsageError, Vote, budget_scope, collect
from thinktwice.remarks import CACHED
from thinktwice.result import Outcome

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

PROMPT = ChatPromptTemplate.from_template("{x}")


class Answer(BaseModel):
    value: int


def of(model, n=3, **settings):
    """Exactly n samples, and the most frequent answer."""
    return StrategyChatModel(model, Vote(n, stop=AtMost(n)), **settings)


def voting(runnable, n=2, **settings):
    """A vote of n with its result."""
    return vote(runnable, n=n, stop=AtMost(n), include_result=True, **settings)


class TestInsideAVote:
    """Its calls are booked one by one, in the sample that they are made for."""

    @pytest.mark.parametrize("traced", [False, True])
    async def test_each_call_once(self, scripted, call, traced):
        """The model's own run is no call."""
        chain = PROMPT | of(scripted("4"), trace_samples=traced) | StrOutputParser()
        result = (await call(voting(chain), {"x": "2 + 2"}))["result"]
        assert result.ledger.total.calls == 6
        assert result.ledger.total.usage.output_tokens == 6 * 5
        assert [sample.usage.output_tokens for sample in result.samples] == [15, 15]
        assert len(result.nested) == 2

    async def test_what_the_reply_says_is_known(self, scripted, call):
        """A sample of which the chain leaves no message still tells that it was cut short."""
        cut = AIMessage("4", response_metadata={"finish_reason": "length"})
        chain = PROMPT | of(scripted(cut)) | StrOutputParser()
        result = (await call(voting(chain), {"x": "?"}))["result"]
        assert {sample.finish_reason for sample in result.samples} == {"length"}
        assert result.value is None

    async def test_the_budget_around_binds(self, scripted, call):
        """Inside the samples as well."""
        model = scripted("4")
        limited = voting(PROMPT | of(model), n=4, budget=Budget(calls=5))
        result = (await call(limited, {"x": "?"}))["result"]
        assert model.calls == result.ledger.total.calls == 5
        assert result.cut is not None

    async def test_a_workflow_around_binds(self, scripted, call):
        """So does `budget_scope`."""
        model = scripted("4")
        with budget_scope(Budget(calls=4)) as scope:
            await call(of(model), "?")
            await call(of(model), "?")
        assert model.calls == scope.total.calls == 4

    async def test_a_cached_answer_costs_nothing(self, scripted, call):
        """It is no call of unknown size either."""
        set_llm_cache(InMemoryCache())
        try:
            inner = of(scripted("4", cache=False))
            await call(inner, "?")
            result = (await call(voting(inner, n=1), "?"))["result"]
        finally:
            set_llm_cache(None)
        assert result.value.text == "4"
        assert result.ledger.total.usage.total_tokens in {0, None}
        assert result.ledger.total.calls == 0

    @pytest.mark.parametrize("behind", [RunnablePassthrough(), StrOutputParser()], ids=repr)
    async def test_a_cached_answer_is_known_as_such(self, scripted, call, behind):
        """Also where it is one of several samples, which are then one counted many times."""
        inner = of(scripted("4"), cache=InMemoryCache())
        first = (await call(voting(inner | behind, 1), "?"))["result"]
        again = (await call(voting(inner | behind), "?"))["result"]
        assert [sample.cached for sample in first.samples] == [False]
        assert [sample.cached for sample in again.samples] == [True, True]
        assert (again.ledger.total.calls, again.samples[0].cost) == (0, 0)
        assert CACHED in again.warnings
        assert CACHED not in first.warnings

    async def test_what_was_paid_for_besides_is_not_cached(self, scripted, call):
        """A sample is from a cache if all of it is."""
        inner = of(scripted("4"), cache=InMemoryCache())
        await call(inner, "?")
        paid = scripted("?")
        result = (await call(voting(paid | StrOutputParser() | inner), "?"))["result"]
        assert [sample.cached for sample in result.samples] == [False, False]
        assert result.ledger.total.calls == len(paid.log) == 2

    async def test_runs_of_a_cancelled_sample_end(self, scripted, runs):
        """That of the model too, which LangChain leaves open."""
        model = scripted("4", seconds=30)
        chain = vote(PROMPT | of(model), n=2)
        task = asyncio.create_task(chain.ainvoke({"x": "?"}, {"callbacks": [runs]}))
        while model.calls < 2:  # noqa: ASYNC110 - the model has no event for it
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        ends = [run["end"] for run in runs.runs.values() if run["name"] != "ChatPromptTemplate"]
        assert set(ends) == {"CancelledError"}

    def test_the_product_is_named(self, scripted):
        """Samples times samples, also of a chat model over a chat model."""
        chained = voting(PROMPT | of(scripted("4")))
        for outer, given in ((chained, {"x": "?"}), (of(of(scripted("4")), 2), "?")):
            with collect() as results:
                outer.invoke(given)
            assert any("6" in warning for warning in results[0].warnings)

    async def test_a_chat_model_over_a_chat_model(self, scripted, call):
        """All calls are in the sum."""
        model = scripted("4")
        message = await call(of(of(model), 2), "?")
        assert model.calls == 6
        assert message.usage_metadata["output_tokens"] == 30

    async def test_a_shadow_around_counts_each_call_once(self, scripted):
        """The meter of a request does not take the model's own run for a call."""
        for traced in (False, True):
            chain = PROMPT | of(scripted("4"), trace_samples=traced)
            shadowed = vote(chain, n=2, stop=AtMost(2), shadow=1.0)
            await shadowed.ainvoke({"x": "?"})
            await shadowed.shadow.drain()
            single = shadowed.shadow.report.single
            assert (single.calls, single.tokens) == (3, 18)

    async def test_a_shadow_inside_counts_the_one_call(self, scripted, call):
        """Of the model itself: no wrapper stands around it, and it is booked all the same."""
        inner = of(scripted("4"), shadow=Shadow(1.0))
        result = (await call(voting(PROMPT | inner), {"x": "?"}))["result"]
        assert result.ledger.total.calls == 2
        assert result.ledger.total.usage.output_tokens == 10
        inner.shadow.close()


class TestStructuredOutput:
    """Values are what is voted on."""

    async def test_values_that_are_written_in_different_ways(self, native, call):
        """JSON that differs in white space and order is the same answer; other text abstains."""
        replies = ['{"value": 4}', '{"value": 5}', '{ "value":4 }', "four", '{"value":  4}']
        model = of(native(*replies), 5)
        parsed = await call(model.with_structured_output(Answer), "2 + 2")
        assert parsed == Answer(value=4)
        with collect() as results:
            await call(model.with_structured_output(Answer), "2 + 2")
        assert results[0].agreement == pytest.approx(3 / 4)
        assert sum(sample.answer is None for sample in results[0].samples) == 1

    async def test_raw_and_parsed(self, scripted, call):
        """`include_raw` has the message with the summary, and no error where the vote has none."""
        calls = [{"name": "Answer", "args": {"value": 4}, "id": "1"}]
        bad = [{"name": "Answer", "args": {"value": "four"}, "id": "2"}]
        replies = [AIMessage("", tool_calls=each) for each in (bad, calls, bad)]
        model = of(scripted(*replies)).with_structured_output(Answer, include_raw=True)
        out = await call(model, "2 + 2")
        assert out["parsed"] == Answer(value=4)
        assert out["parsing_error"] is None
        assert out["raw"].response_metadata["thinktwice"]["launched"] == 3

    async def test_a_key_of_ones_own(self, scripted, call):
        """It stays, and gets messages."""
        calls = [
            AIMessage("", tool_calls=[{"name": "Answer", "args": {"value": v}, "id": "1"}])
            for v in (4, 5, 6)
        ]
        strategy = Vote(3, stop=AtMost(3), key=lambda message: message.tool_calls[0]["name"])
        model = StrategyChatModel(scripted(*calls), strategy).with_structured_output(Answer)
        with collect() as results:
            await call(model, "2 + 2")
        assert results[0].agreement == 1

    async def test_a_strategy_that_cannot_be_copied(self, native, call):
        """It keeps its key: messages count as they are."""

        class First(Strategy):
            async def __call__(self, run):
                return Outcome(winner=await run.sample())

        model = StrategyChatModel(native('{"value": 4}'), First()).with_structured_output(Answer)
        assert await call(model, "2 + 2") == Answer(value=4)

    async def test_a_model_that_binds_to_a_copy_of_itself(self, model_class, call):
        """The copy is what is sampled then."""

        class Copying(model_class):
            def bind_tools(self, tools, **kwargs):
                return self.model_copy(update={"temperature": 0.5}).bind(**kwargs)

        bound = of(Copying(replies=["4"])).bind_tools([])
        assert bound.bound.bound.temperature == 0.5
        assert (await call(bound, "?")).response_metadata["thinktwice"]["launched"] == 3

    def test_a_model_that_hides_itself(self, model_class):
        """What it makes of itself is out of reach: that is said."""

        class Hiding(model_class):
            def with_structured_output(self, schema, **_):
                return RunnableLambda(lambda given: self.invoke(given).text)

        with pytest.raises(UsageError, match="put the strategy around all of it"):
            of(Hiding(replies=["4"])).with_structured_output(Answer)


@pytest.fixture
def native(model_class):
    """A scripted model that has a structured output of its own: JSON in its text."""

    class Native(model_class):
        def with_structured_output(self, schema, **_):
            return self.bind(response_format=schema) | PydanticOutputParser(pydantic_object=schema)

    return lambda *replies: Native(replies=list(replies))
