"""Budgets are kept at the model, inside whatever chain it stands in; requests only tighten them."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import vote
from langchain_thinktwice.config import tightened_strategy

from thinktwice import (
    AtMost,
    Budget,
    BudgetExceeded,
    Lead,
    Price,
    Quorum,
    UsageError,
    Vote,
    budget_scope,
)

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

PRICES = {"fake-1": Price(1_000_000, 1_000_000)}  # a dollar a token


def drawing(runnable, n, **settings):
    """A vote that draws all n, with its result."""
    return vote(runnable, n=n, stop=AtMost(n), include_result=True, **settings)


async def test_calls_of_a_chain_are_counted_one_by_one(scripted, call):
    """Two models a sample, three calls in all: the fourth is refused before it is sent."""
    first, second = scripted("a"), scripted("b")
    chain = first | StrOutputParser() | second
    chain = drawing(chain, 4, budget=Budget(calls=3), max_concurrency=1)
    result = (await call(chain, "abc"))["result"]
    assert first.calls + second.calls == 3
    assert result.cut is not None
    assert result.cut.kind == "calls"
    assert result.value.text == "b"
    assert result.ledger.total.calls == 3


async def test_nothing_affordable(scripted, call):
    """Worst case above the cap: no call is sent, and the error says so."""
    model = scripted("a", max_tokens=50)
    chain = drawing(model, 4, budget=Budget(cost=10), prices=PRICES)
    with pytest.raises(BudgetExceeded):
        await call(chain, "abc")
    assert model.calls == 0


async def test_cost_is_reserved_before_the_call(scripted, call):
    """At most 22 dollars a call by its max tokens, 8 in truth: three calls fit into 40."""
    model = scripted("a", max_tokens=5)
    chain = drawing(model, 8, budget=Budget(cost=40), prices=PRICES)
    result = (await call(chain, "abc"))["result"]
    assert result.ledger.enforcement["cost"] == "reserved"
    assert result.ledger.total.cost <= 40
    assert model.calls == len(result.samples) == 3


async def test_tools_and_choices_are_part_of_the_worst_case(scripted, call):
    """What is sent beside the prompt is input; n choices are n times the output."""
    model = scripted("a", max_tokens=5)
    for bound in (model.bind(n=9), model.bind(tools=[{"name": "x" * 40}])):
        with pytest.raises(BudgetExceeded):
            await call(drawing(bound, 2, budget=Budget(tokens=50)), "abc")
    assert model.calls == 0
    await call(drawing(model, 2, budget=Budget(tokens=50)), "abc")


async def test_refused_on_a_thread_of_an_async_chain(scripted):
    """A sync step calls its model in LangChain's executor: refused there as well."""
    model = scripted("a")
    step = RunnableLambda(lambda text: model.invoke(text).text)
    chain = drawing(step | model, 3, budget=Budget(calls=3), max_concurrency=1)
    result = (await chain.ainvoke("abc"))["result"]
    assert model.calls == 3
    assert result.cut is not None


async def test_refused_in_a_blocking_call_on_the_loop(scripted):
    """An async step that calls `invoke` blocks the loop, and is refused without waiting."""
    model = scripted("a")

    async def step(text: str) -> str:
        return model.invoke(text).text + model.invoke(text).text

    chain = drawing(RunnableLambda(step), 3, budget=Budget(calls=3), max_concurrency=1)
    result = (await chain.ainvoke("abc"))["result"]
    assert model.calls == 3
    assert result.cut is not None


async def test_a_blocking_call_on_the_loop_cannot_wait_for_money(scripted):
    """What would come free comes free on the loop that it blocks: the sample says so and fails."""
    model, count = scripted("a", seconds=0.1, max_tokens=20), iter(range(9))

    async def step(text: str) -> str:
        if next(count) == 0:
            return (await model.ainvoke(text)).text
        await asyncio.sleep(0.02)
        return model.invoke(text).text

    chain = drawing(RunnableLambda(step), 2, budget=Budget(tokens=60), prefer="latency")
    result = (await chain.ainvoke("abc"))["result"]
    assert model.calls == 1
    assert "call ainvoke there" in str(result.samples[1].error)


def test_refused_in_a_loop_of_the_chain(scripted):
    """Sync code that runs async code on a loop of its own."""
    model = scripted("a")

    async def twice(text: str) -> str:
        return (await model.ainvoke(text)).text + (await model.ainvoke(text)).text

    step = RunnableLambda(lambda text: asyncio.run(twice(text)))
    chain = drawing(step, 3, budget=Budget(calls=3), max_concurrency=1)
    result = chain.invoke("a")["result"]
    assert model.calls == 3
    assert result.cut is not None


async def test_a_retry_around_the_model_does_not_get_past(scripted, call):
    """The refusal is refused again, and comes out in the end."""
    model = scripted("a")
    tried = model.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    result = (
        await call(drawing(tried | StrOutputParser() | tried, 2, budget=Budget(calls=3)), "abc")
    )["result"]
    assert model.calls == 3
    assert result.cut is not None


async def test_time_runs_out(scripted):
    """What is in flight is cut off; what there is comes out."""
    model = scripted("a", "b", seconds=0.05)
    gate = RunnableLambda(lambda message: message.text)

    async def hang(text: str) -> str:
        if text == "b":
            await asyncio.sleep(60)
        return text

    chain = drawing(model | gate | hang, 2, budget=Budget(seconds=0.5))
    result = (await chain.ainvoke("abc"))["result"]
    assert result.value == "a"
    assert result.cut.kind == "seconds"


async def test_raise_when_exhausted(scripted, call):
    """On request, with what was paid for."""
    chain = drawing(scripted("a"), 4, budget=Budget(calls=2), on_exhausted="raise")
    with pytest.raises(BudgetExceeded) as raised:
        await call(chain, "abc")
    assert raised.value.result is not None
    assert raised.value.result.value.text == "a"


async def test_one_budget_over_several_calls(scripted, call):
    """`budget_scope` reaches through LangChain."""
    model = scripted("a")
    with budget_scope(Budget(calls=3)):
        await call(drawing(model, 2), "abc")
        await call(drawing(model, 2), "abc")
    assert model.calls == 3


async def test_a_budget_may_be_required(scripted, call):
    """By whoever runs the service."""
    with pytest.raises(UsageError, match="budget"):
        await call(vote(scripted("a"), n=2, require_budget=True), "abc")


def _request(**values: object) -> dict[str, dict[str, object]]:
    return {"configurable": {f"thinktwice_{name}": value for name, value in values.items()}}


async def test_a_request_lowers_n_and_budget(scripted, call):
    """And never raises them."""
    model = scripted("a")
    chain = drawing(model, 4, budget=Budget(calls=3))
    for request, calls in (
        (_request(n=2), 2),
        (_request(n=9), 3),
        (_request(budget={"calls": 1}), 1),
        (_request(budget={"calls": 99, "tokens": 10_000}), 3),
        (_request(budget=Budget(calls=2)), 2),
        (_request(budget=None, n=None), 3),
    ):
        model.log.clear()
        await call(chain, "abc", request)
        assert model.calls == calls


async def test_the_default_time_stays_under_a_request_budget(scripted, call):
    """Ten minutes are what the code set by saying nothing."""
    answer = await call(drawing(scripted("a"), 1), "a", _request(budget={"seconds": 10_000}))
    assert answer["result"].ledger.budget.seconds == 600


@pytest.mark.parametrize(
    "values",
    [
        {"n": 0},
        {"n": "3"},
        {"n": True},
        {"n": 2.5},
        {"budget": 5},
        {"budget": {"cost": 0.05}},
        {"budget": {"cost": "much"}},
        {"budget": {"calls": -1}},
        {"budget": {"hours": 1}},
        {"budget": {1: 2}},
        {"budget": "calls"},
    ],
    ids=str,
)
async def test_garbage_in_a_request_is_refused(scripted, values):
    """As the mistake that it is, before anything is drawn."""
    model = scripted("a")
    with pytest.raises(UsageError):
        await vote(model, n=3).ainvoke("abc", _request(**values))
    assert model.calls == 0


@pytest.mark.parametrize("stop", [Lead(3), Quorum(4), AtMost(8)])
async def test_a_rule_that_can_no_longer_fire_gives_way(scripted, stop):
    """A lower n is no mistake of the request's."""
    model = scripted("a")
    await vote(model, n=8, stop=stop).ainvoke("abc", _request(n=2))
    assert model.calls == 2


async def test_a_misspelt_cap_is_refused(scripted):
    """One that nobody reads would bind nothing; keys of other wrappers are none of ours."""
    wrapped = vote(scripted("a"), n=2)
    with pytest.raises(UsageError, match="thinktwice_budgett"):
        await wrapped.ainvoke("q", {"configurable": {"thinktwice_budgett": {"calls": 1}}})
    await wrapped.ainvoke("q", {"configurable": {"thinktwice_inner_n": 1, "thread_id": "1"}})


async def test_nested_wrappers_can_be_addressed_apart(scripted, call):
    """By a prefix of their own."""
    model = scripted("a")
    inner = vote(model, n=4, stop=AtMost(4), configurable_prefix="inner_")
    chain = vote(inner | StrOutputParser(), n=4, stop=AtMost(4))
    await call(chain, "abc", {"configurable": {"thinktwice_n": 3, "inner_n": 2}})
    assert model.calls == 6
    assert {spec.id for spec in chain.config_specs} == {
        "inner_budget",
        "inner_n",
        "thinktwice_budget",
        "thinktwice_n",
    }


def test_a_strategy_without_n_has_none_to_lower():
    """The request learns that."""
    strategy = Vote(3)
    object.__setattr__(strategy, "n", None)
    with pytest.raises(UsageError, match="no number of samples"):
        tightened_strategy(strategy, {"configurable": {"thinktwice_n": 2}}, "thinktwice_")
