"""Hedging, order of counting, warm start and varied draws around Runnables."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import best_of_n, vote

from thinktwice import AtMost, UsageError
from thinktwice.testing import run_virtual
from thinktwice.vary import Vary

PROMPT = ChatPromptTemplate.from_template("{question}")


def clocked(started: list[float], *seconds: float):
    """A Runnable whose calls take so long, the last time for all that follow."""

    async def ask(question: str) -> str:
        number = len(started)
        started.append(asyncio.get_running_loop().time())
        await asyncio.sleep(seconds[min(number, len(seconds) - 1)])
        return question

    return RunnableLambda(ask)


def test_a_straggler_is_hedged_by_what_earlier_requests_took():
    """The wrapper knows its Runnable's latencies from one request to the next."""
    started: list[float] = []
    chain = vote(
        clocked(started, *[1.0] * 9, 60.0, 1.0),
        n=2,
        stop=AtMost(2),
        prefer="latency",
        include_result=True,
    )

    async def main() -> list[int]:
        return [(await chain.ainvoke("q"))["result"].hedges for _ in range(5)]

    assert run_virtual(main()) == [0, 0, 0, 0, 1]
    assert started[-3:] == [4.0, 4.0, 6.5]


def test_settings_reach_the_strategy():
    """Those of launching are the strategy's, the others the wrapper's."""
    vary = Vary(prompts=[str.upper, str.lower])
    wrapped = vote(
        RunnableLambda(str), n=4, count="launch", hedge=False, warm_first=True, vary=vary
    )
    strategy = wrapped.strategy
    assert (strategy.count, strategy.hedge, strategy.warm_first) == ("launch", False, True)
    assert strategy.vary is vary
    judged = best_of_n(RunnableLambda(str), n=4, verifier=bool, hedge=False, vary=vary)
    assert (judged.strategy.hedge, judged.strategy.vary) == (False, vary)
    with pytest.raises(UsageError, match="count='arival'"):
        vote(RunnableLambda(str), n=4, count="arival")  # type: ignore[arg-type]


def test_warm_first():
    """One, and then the others."""
    started: list[float] = []
    chain = vote(clocked(started, 1.0), n=3, stop=AtMost(3), prefer="latency", warm_first=True)
    run_virtual(chain.ainvoke("q"))
    assert started == [0.0, 1.0, 1.0]


def test_prompts_vary_by_functions_of_the_input(scripted):
    """Each sample is drawn from one of them, and says from which."""
    seen: list[str] = []

    def see(value: object) -> str:
        seen.append(str(value))
        return str(value)

    plain, stepwise = (
        {"plain": lambda asked: asked},
        {"stepwise": lambda asked: {"question": asked["question"] + " Step by step."}},
    )
    model = scripted("4")
    chain = vote(
        PROMPT | model | StrOutputParser() | RunnableLambda(see),
        n=4,
        stop=AtMost(4),
        vary=Vary(prompts={**plain, **stepwise}),
        include_result=True,
    )
    result = chain.invoke({"question": "2 + 2?"})["result"]
    assert sorted(sample.variant for sample in result.samples) == [
        *["plain"] * 2,
        *["stepwise"] * 2,
    ]
    assert len(seen) == 4


def test_temperatures_vary_where_they_reach_the_model(scripted):
    """As options do."""
    model = scripted("4")
    chain = vote(
        PROMPT | model | StrOutputParser(),
        n=4,
        stop=AtMost(4),
        vary=Vary(temperatures=[0.3, 0.9]),
        include_result=True,
    )
    result = chain.invoke({"question": "2 + 2?"})["result"]
    assert sorted(sample.variant for sample in result.samples) == [
        *["temperature 0.3"] * 2,
        *["temperature 0.9"] * 2,
    ]
    assert sorted(call["kwargs"]["temperature"] for call in model.log) == [0.3, 0.3, 0.9, 0.9]


def test_what_cannot_vary_is_refused_when_it_is_wrapped(scripted):
    """Not at the first draw."""
    with pytest.raises(UsageError, match="options"):
        vote(RunnableLambda(str), n=4, vary=Vary(temperatures=[0.3, 0.9]))
    with pytest.raises(UsageError, match="samplers="):
        vote(scripted("4"), n=4, vary=Vary(samplers=["small", "large"]))
