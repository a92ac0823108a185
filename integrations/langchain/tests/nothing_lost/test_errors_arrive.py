"""Retries, fallbacks and what steers a graph work around a wrapper and inside it."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableLambda
from langchain_thinktwice import vote

from thinktwice import AtMost, BudgetExceeded, Result

PROMPT = ChatPromptTemplate.from_messages(
    [("user", "{q}"), MessagesPlaceholder("feedback", optional=True)]
)
ASKED = {"q": "?"}


class RateLimitError(Exception):
    """An error of a provider's client, with what its handlers look at."""

    status_code = 429

    def __init__(self, request_id: str) -> None:
        super().__init__("sk-secret")
        self.request_id = request_id


def _failing(scripted):
    return scripted(*(RateLimitError(f"req_{number}") for number in range(9)))


async def test_the_original_exception_arrives(door, style, scripted):
    """The very object that a client raised, so that `except` clauses go on working."""
    model = _failing(scripted)
    with pytest.raises(RateLimitError) as raised:
        await style(door(PROMPT | model), ASKED)
    assert raised.value in model.replies
    assert isinstance(raised.value.thinktwice_result, Result)
    assert raised.value.thinktwice_result.ledger.total.calls == model.calls


async def test_fallbacks_around(way, scripted):
    """Named by the type of the original exception."""
    door, style = way
    chain = door(PROMPT | _failing(scripted)).with_fallbacks(
        [PROMPT | scripted("later")], exceptions_to_handle=(RateLimitError,)
    )
    assert (await style(chain, ASKED)).text == "later"


async def test_fallbacks_get_the_exception(door, call, scripted):
    """Under the key that they ask for."""
    seen: list[object] = []
    chain = door(PROMPT | _failing(scripted)).with_fallbacks(
        [RunnableLambda(lambda given: seen.append(given["error"]) or "later")],
        exception_key="error",
    )
    assert await call(chain, ASKED) == "later"
    assert type(seen[0]) is RateLimitError


async def test_a_wrapper_as_the_fallback(way, scripted):
    """Of a plain model."""
    door, style = way
    chain = _failing(scripted).with_fallbacks([door(scripted("later"))])
    assert (await style(chain, "?")).text == "later"


async def test_retry_around(door, call, scripted):
    """A second run after one in which all failed."""
    model = scripted(*[RateLimitError("req")] * 3, "so")
    chain = vote(PROMPT | model, n=3, stop=AtMost(3)).with_retry(
        retry_if_exception_type=(RateLimitError,),
        stop_after_attempt=2,
        wait_exponential_jitter=False,
    )
    assert (await call(chain, ASKED)).text == "so"
    assert model.calls == 6


async def test_retry_inside(door, call, scripted):
    """Each attempt is in the books of its sample, the failed ones as errors."""
    model = scripted(RateLimitError("req"), "so")
    tried = model.with_retry(
        retry_if_exception_type=(RateLimitError,),
        stop_after_attempt=4,
        wait_exponential_jitter=False,
    )
    chain = door(PROMPT | tried | StrOutputParser(), include_result=True, max_concurrency=1)
    result = (await call(chain, ASKED))["result"]
    statuses = [entry.status for entry in result.ledger.entries if entry.model is not None]
    assert result.value == "so"
    assert statuses.count("error") == statuses.count("ok") == len(result.samples)
    assert result.ledger.total.calls == model.calls
    assert not any(sample.error for sample in result.samples)


async def test_fallbacks_inside(door, call, scripted):
    """Both models are in the books, each by its name."""
    first, second = _failing(scripted), scripted("so", model_name="fake-2")
    chain = door(PROMPT | first.with_fallbacks([second]), include_result=True)
    result = (await call(chain, ASKED))["result"]
    assert result.value.text == "so"
    booked = [(entry.model, entry.status) for entry in result.ledger.entries if entry.model]
    assert set(booked) == {("fake-1", "error"), ("fake-2", "ok")}
    assert len(booked) == first.calls + second.calls


async def test_a_parser_that_retries_by_asking_again(door, call, scripted):
    """A retry around model and parser: what the parser refuses is asked for again."""
    model = scripted("no json", '{"a": 1}')
    parsed = (model | JsonOutputParser()).with_retry(
        retry_if_exception_type=(OutputParserException,), wait_exponential_jitter=False
    )
    chain = door(parsed, include_result=True, max_concurrency=1)
    result = (await call(chain, "?"))["result"]
    assert result.value == {"a": 1}
    assert result.ledger.total.calls == model.calls == 2 * len(result.samples)


async def test_a_retry_does_not_get_past_the_budget(door, call, scripted):
    """It asks again, and is refused again: nothing more is sent."""
    from thinktwice import Budget

    model = _failing(scripted)
    tried = model.with_retry(stop_after_attempt=5, wait_exponential_jitter=False)
    chain = door(PROMPT | tried, budget=Budget(calls=2), on_exhausted="raise", max_concurrency=1)
    with pytest.raises((BudgetExceeded, RateLimitError)):
        await call(chain, ASKED)
    assert model.calls == 2


async def test_exceptions_of_a_batch_are_returned(door, scripted):
    """Each in its place."""
    model = scripted(lambda request: "so" if request["text"] == "good" else ValueError("bad"))
    chain = door(model)
    for outcomes in (
        await asyncio.to_thread(chain.batch, ["good", "bad"], return_exceptions=True),
        await chain.abatch(["good", "bad"], return_exceptions=True),
    ):
        assert outcomes[0].text == "so"
        assert type(outcomes[1]) is ValueError


async def test_cancellation_is_no_failure_of_a_sample(door, scripted):
    """It arrives as what it is, and nothing is left behind."""
    before = asyncio.all_tasks()
    chain = door(scripted("so", seconds=30))
    task = asyncio.create_task(chain.ainvoke("?"))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before
