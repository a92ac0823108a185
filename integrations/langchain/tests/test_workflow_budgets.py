"""One budget over chains and plain runs, its steps, and LangChain's threads."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_thinktwice import vote

from thinktwice import AtMost, Budget, BudgetExceeded, Price, Vote, solve, solve_sync
from thinktwice.testing import ScriptedSampler
from thinktwice.workflow import budget_scope, collect

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

PRICES = {"fake-1": Price(1_000_000, 1_000_000)}  # a dollar a token
FOUR = Vote(4, stop=AtMost(4))


def drawing(runnable, n, **settings):
    """A vote that draws all n, with its result."""
    return vote(runnable, n=n, stop=AtMost(n), include_result=True, **settings)


async def test_a_chain_and_a_plain_run_share_it(scripted, call):
    """Across frameworks: the chain gets what the plain run has left, and the other way round."""
    model, plain = scripted("a"), ScriptedSampler(["a"])
    with budget_scope(Budget(calls=7)) as budget:
        await solve("q", sampler=plain, strategy=FOUR)
        result = (await call(drawing(model | StrOutputParser(), 4), "abc"))["result"]
        assert (result.value, model.calls) == ("a", 3)
        assert result.cut is not None
        with pytest.raises(BudgetExceeded):
            await solve("q", sampler=plain, strategy=FOUR)
    assert budget.total.calls == 7


async def test_at_the_same_time(scripted, call):
    """On the loop and on threads, to the last call and not beyond."""
    model, plain = scripted("a", seconds=0.001), ScriptedSampler(["a"], seconds=0.001)

    def sync() -> object:
        return solve_sync("q", sampler=lambda p: "a", strategy=FOUR)

    with budget_scope(Budget(calls=9)) as budget:
        work = (
            call(drawing(model, 4), "abc"),
            solve("q", sampler=plain, strategy=FOUR),
            asyncio.to_thread(sync),
        )
        ended = await asyncio.gather(*work, return_exceptions=True)
    assert budget.total.calls == 9
    assert all(isinstance(each, BudgetExceeded) or each is not None for each in ended)


async def test_a_chain_of_several_wrapped_parts(scripted, call):
    """Sub-runs within a run: every model call counts once."""
    first, second = scripted("a"), scripted("b")
    chain = vote(first, n=2, stop=AtMost(2)) | StrOutputParser() | second
    with budget_scope(Budget(calls=7)) as budget:
        result = (await call(drawing(chain, 4, max_concurrency=1), "abc"))["result"]
    assert result.value.text == "b"
    assert first.calls + second.calls == budget.total.calls == 7


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_batch_on_the_threads_of_langchain(scripted, at_once):
    """Its executor copies the context: all of it spends from the scope."""
    model = scripted("a")
    with budget_scope(Budget(calls=9)) as budget:
        config = {"max_concurrency": at_once}
        ended = drawing(model, 4).batch(["q"] * 4, config, return_exceptions=True)
    assert model.calls == budget.total.calls == 9
    assert sum(isinstance(each, BudgetExceeded) for each in ended) <= 2


async def test_branches_of_a_parallel(scripted, call):
    """A thread each in sync code, a task each in async code."""
    models = [scripted("a") for _ in range(3)]
    branches = {f"b{number}": vote(each, n=3) for number, each in enumerate(models)}
    with budget_scope(Budget(calls=30)) as budget, collect() as results:
        await call(RunnableParallel(branches), "abc")
    assert sum(each.calls for each in models) == budget.total.calls
    assert len(results) == 3


async def test_a_chain_keeps_to_the_share_of_its_step(scripted, call):
    """Refused at the model, inside the chain; the later step has its own share, and the rest."""
    model = scripted("a")
    chain = drawing(model | StrOutputParser(), 8)
    with budget_scope(Budget(calls=9), steps={"read": 1, "solve": 2}) as budget:
        with budget.step("read"):
            first = (await call(chain, "abc"))["result"]
        with budget.step("solve"):
            second = (await call(chain, "abc"))["result"]
    assert (len(first.samples), len(second.samples)) == (3, 6)
    assert str(first.cut) == "budget of 3 calls used up (3 spent)"
    assert {name: step.total.calls for name, step in budget.steps.items()} == {
        "read": 3,
        "solve": 6,
    }


async def test_money_of_a_step_is_reserved_before_the_call(scripted, call):
    """At most 22 dollars a call, 8 in truth: two fit into 40, and what they leave goes on."""
    chain = drawing(scripted("a", max_tokens=5), 8, prices=PRICES)
    with budget_scope(Budget(cost=80), steps={"a": 1, "b": 1}) as budget:
        with budget.step("a") as first:
            await call(chain, "abc")
        with budget.step("b") as second:
            await call(chain, "abc")
    assert first.enforcement["cost"] == "reserved"
    assert first.total.cost <= 40
    assert second.budget.cost == 80 - first.total.cost
    assert budget.total.cost <= 80


async def test_steps_that_begin_inside_a_chain(scripted, call):
    """On LangChain's own threads and tasks, whose context is a copy of the caller's."""
    asked = scripted("a")
    inner = vote(asked, n=9, stop=AtMost(9))

    def step(name: str):
        def sync(text: str) -> str:
            with budget.step(name):
                return inner.invoke(text).text

        async def unblocked(text: str) -> str:
            with budget.step(name):
                return (await inner.ainvoke(text)).text

        return RunnableLambda(sync, unblocked)

    branches = RunnableParallel({"x": step("x"), "y": step("y")})
    with budget_scope(Budget(calls=12), steps={"w": 1, "x": 1, "y": 1}) as budget:
        await call(step("w") | branches, "abc")
    assert asked.calls == budget.total.calls == 12
    assert budget.steps["w"].total.calls == 4
    assert {len(each.entries) for each in budget.steps.values()} == {4}
