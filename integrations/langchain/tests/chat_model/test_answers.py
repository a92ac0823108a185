"""The message that a chat model over samples answers with."""

from __future__ import annotations

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langchain_thinktwice.chat_model import StrategyChatModel
from langchain_thinktwice.verifiers import RunnableVerifier

from thinktwice import (
    AtMost,
    BestOfN,
    Budget,
    BudgetExceeded,
    Limiter,
    Price,
    RunError,
    ToolCheck,
    Vote,
)
from thinktwice.errors import ThinktwiceWarning

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


def of_three(model, **settings):
    """Exactly three samples, and the most frequent answer."""
    return StrategyChatModel(model, Vote(3, stop=AtMost(3)), **settings)


def calling(*args):
    """A message that calls a tool, with an id of its own."""
    calls = [{"name": "add", "args": each, "id": f"{id(each)}"} for each in args]
    return AIMessage("", tool_calls=calls)


async def test_the_most_frequent_message_and_the_sum_of_all(scripted, call):
    """Usage is that of all samples; the summary says what was done."""
    model = of_three(scripted("4", "5", "4"), prices={"fake-1": Price(input="1", output="10")})
    message = await call(model, "2 + 2")
    assert type(message) is AIMessage
    assert message.text == "4"
    assert message.usage_metadata == {"input_tokens": 15, "output_tokens": 15, "total_tokens": 30}
    summary = message.response_metadata["thinktwice"]
    assert (summary["launched"], summary["tokens"]) == (3, 30)
    assert summary["cost"] == pytest.approx(165e-6)
    assert message.response_metadata["model_name"] == "fake-1"


async def test_usage_of_the_selected_sample(scripted, call):
    """On request, and where the samples are traced."""
    for settings in ({"usage": "selected"}, {"trace_samples": True}):
        message = await call(of_three(scripted("4"), **settings), "2 + 2")
        assert message.usage_metadata["total_tokens"] == 10
    traced = of_three(scripted("4"), trace_samples=True, usage="total")
    assert (await call(traced, "2 + 2")).usage_metadata["total_tokens"] == 30


async def test_details_of_usage_add_up(scripted, call):
    """Those that a ledger knows, and those that only messages do."""
    details = {"cache_read": 4, "audio": 1}
    usage = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}
    usage |= {"input_token_details": details, "output_token_details": {"reasoning": 2}}
    message = await call(of_three(scripted(AIMessage("4", usage_metadata=usage))), "2 + 2")
    assert message.usage_metadata["input_token_details"] == {"cache_read": 12, "audio": 3}
    assert message.usage_metadata["output_token_details"] == {"reasoning": 6}


async def test_choices_of_one_request(scripted, call):
    """With `native_n` they are counted once."""
    usage = {"input_tokens": 9, "output_tokens": 15, "total_tokens": 24}
    usage |= {"output_token_details": {"reasoning": 2, "audio": 1}}
    model = scripted(AIMessage("4", usage_metadata=usage))
    strategy = Vote(3, stop=AtMost(3), prefer="latency")
    message = await call(StrategyChatModel(model, strategy, native_n=True), "2 + 2")
    assert model.calls == 1
    assert message.usage_metadata["total_tokens"] == 24
    assert message.usage_metadata["output_token_details"] == {"reasoning": 2}


async def test_judges_are_in_the_sum(scripted, call):
    """Their calls are paid for, too; they get messages."""
    judge = scripted("0.5")
    scoring = RunnableVerifier(
        judge | (lambda message: float(message.text)),
        inputs=lambda message, given: [*given, message],
        name="judge",
    )
    model = StrategyChatModel(scripted("4"), BestOfN(2, verifier=scoring))
    message = await call(model, "2 + 2")
    assert judge.calls == 2
    assert message.usage_metadata["output_tokens"] == 4 * 5


async def test_a_model_that_reports_nothing(scripted, call):
    """No tokens are made up."""
    assert (await call(of_three(scripted("4", reports=False)), "2 + 2")).usage_metadata is None


async def test_ids(scripted, call):
    """A provider's id stays; LangChain's is that of the run that handlers saw."""
    assert (await call(of_three(scripted(AIMessage("4", id="msg_1"))), "?")).id == "msg_1"
    model = of_three(scripted("4"))
    first, second = await call(model, "?"), await call(model, "?")
    assert first.id.startswith("lc_run--")
    assert first.id != second.id


async def test_votes_on_tool_calls(scripted, call):
    """By name and arguments; the ids of the winner stay."""
    replies = [calling({"a": 1, "b": 2}), calling({"a": 1, "b": 3}), calling({"b": 2, "a": 1})]

    @tool
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    model = scripted(*replies)
    message = await call(of_three(model).bind_tools([add], tool_choice="any"), "1 + 2")
    assert message.tool_calls == replies[0].tool_calls
    assert message.response_metadata["thinktwice"]["agreement"] == pytest.approx(2 / 3)
    sent = model.log[0]["kwargs"]
    assert (sent["tools"][0]["function"]["name"], sent["tool_choice"]) == ("add", "any")


async def test_stop_and_kwargs_reach_the_model(scripted, call):
    """As do options."""
    model = scripted("4")
    strategy = of_three(model, options=lambda index: {"seed": index})
    await call(strategy.bind(top_p=0.5), "2 + 2", stop=["!"])
    assert sorted(each["kwargs"]["seed"] for each in model.log) == [0, 1, 2]
    assert {each["kwargs"]["top_p"] for each in model.log} == {0.5}


async def test_n_and_budget_of_a_request(scripted, call):
    """They come in the config, which LangChain itself does not tell a model."""
    model = scripted("4")
    out = await call(of_three(model), "?", {"configurable": {"thinktwice_n": 2}})
    assert out.response_metadata["thinktwice"]["launched"] == 2
    bound = of_three(model).with_config(configurable={"thinktwice_budget": {"calls": 1}})
    out = await call(bound, "?")
    assert out.response_metadata["thinktwice"]["launched"] == 1
    assert {spec.id for spec in of_three(model).config_specs} == {
        "thinktwice_n",
        "thinktwice_budget",
    }


async def test_cut_short_by_a_budget(scripted, call):
    """The best so far, unless that is to be an error."""
    out = await call(of_three(scripted("4"), budget=Budget(calls=2)), "?")
    assert out.text == "4"
    strict = of_three(scripted("4"), budget=Budget(calls=2), on_exhausted="raise")
    with pytest.raises(BudgetExceeded):
        await call(strict, "?")


async def test_all_abstain(scripted, call):
    """The first answer as it came, marked: callers see why nothing counts."""
    cut = AIMessage("4 and", response_metadata={"finish_reason": "length"})
    out = await call(of_three(scripted(cut)), "?")
    assert out.text == "4 and"
    assert out.response_metadata["finish_reason"] == "length"
    assert out.response_metadata["thinktwice"]["abstained"] is True
    assert out.usage_metadata["output_tokens"] == 15


async def test_what_was_rejected_is_not_returned(scripted, call):
    """It is an error with the bill attached, on which a fallback comes in."""
    strategy = ToolCheck(lambda message: message.text == "5", on_fail="reject")
    model = StrategyChatModel(scripted("4"), strategy)
    with pytest.raises(RunError, match="none of 1 answers was accepted") as raised:
        await call(model, "?")
    assert raised.value.result.ledger.total.calls == 1
    assert (await call(model.with_fallbacks([scripted("5")]), "?")).text == "5"


async def test_the_original_exception(scripted, call):
    """It arrives as it is raised, and `with_retry` works."""
    model = scripted(TimeoutError("slow"), TimeoutError("slow"), TimeoutError("slow"), "4")
    with pytest.raises(TimeoutError, match="slow"):
        await call(of_three(model), "?")
    again = scripted(*[TimeoutError("slow")] * 3, "4", "4", "4")
    retried = of_three(again).with_retry(wait_exponential_jitter=False, stop_after_attempt=2)
    assert (await call(retried, "?")).text == "4"


class TestCaches:
    """A cache keeps whole answers."""

    @pytest.fixture
    def cache(self):
        """One for all models."""
        set_llm_cache(cache := InMemoryCache())
        yield cache
        set_llm_cache(None)

    async def test_an_answer_is_kept(self, cache, scripted, call):
        """The second request costs nothing."""
        model = scripted("4", "5", "4", cache=False)
        shared = {"configurable": {"thinktwice_limiter": Limiter(2)}}
        first = await call(of_three(model), "?", shared)
        second = await call(of_three(model), "?")
        assert model.calls == 3
        assert second.text == first.text == "4"
        assert second.usage_metadata["total_cost"] == 0

    async def test_nothing_else_is_taken_for_it(self, cache, scripted, call):
        """Another strategy, options, budget, n of a request, key, or the bare model."""
        model = scripted("4", cache=False)
        made = [
            of_three(model),
            StrategyChatModel(model, Vote(5, stop=AtMost(5))),
            of_three(model, options={"temperature": 1}),
            of_three(model, budget=Budget(calls=2)),
            of_three(model).with_config(configurable={"thinktwice_n": 1}),
            *(StrategyChatModel(model, Vote(1, key=lambda m, i=i: i)) for i in range(2)),
        ]
        for each in made:
            before = model.calls
            await call(each, "?")
            assert model.calls > before
        assert len(cache._cache) == len(made)

    def test_samples_from_a_cache(self, cache, scripted):
        """Where the inner model is cached as well, its samples are the same one."""
        with pytest.warns(ThinktwiceWarning, match="a cache answers equal requests"):
            of_three(scripted("4"))


def test_a_shadow_changes_nothing_for_callers(scripted):
    """They get what the model returns, and its usage; the strategy runs behind."""
    model = of_three(scripted("4", "5", "5", "5"), shadow=1.0)
    out = model.invoke("2 + 2")
    assert out.text == "4"
    assert out.usage_metadata["total_tokens"] == 10
    assert "thinktwice" not in out.response_metadata
    assert model.shadow.join(5)
    assert model.shadow.report.requests == 1
    assert model.bound.calls == 4
