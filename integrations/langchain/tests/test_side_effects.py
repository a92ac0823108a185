"""What acts or remembers is not sampled unless the user says that it may be."""

from __future__ import annotations

import warnings

import pytest
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tools import tool
from langchain_thinktwice import vote

from thinktwice import UsageError


@tool
def send(text: str) -> str:
    """Send a text."""
    return text


class Pregel(RunnableLambda):
    """Stands in for a compiled graph, which is known by where its class comes from."""


Pregel.__module__ = "langgraph.pregel.main"


def _history(model):
    with warnings.catch_warnings(action="ignore"):  # LangChain prefers its own successor
        return RunnableWithMessageHistory(model, lambda _: InMemoryChatMessageHistory())


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (_history, "message history"),
        (lambda model: model | _history(model), "message history"),
        (lambda _: send, "a tool"),
        (lambda model: model | (lambda message: message.text) | send, "a tool"),
        (lambda model: {"a": model, "b": RunnableLambda(str) | send}, "a tool"),
        (lambda model: model | RunnableLambda(lambda x: send.invoke(x.text)), "a tool"),
        (lambda _: Pregel(str), "a compiled graph"),
        (lambda model: vote(model, n=2) | Pregel(str), "a compiled graph"),
    ],
    ids=["history", "step", "tool", "last", "branch", "function", "graph", "after"],
)
def test_refused_when_the_wrapper_is_made(scripted, make, what):
    """Wherever in the chain it stands; the message names it and the ways out."""
    chain = RunnableLambda(lambda x: x) | make(scripted("a"))
    with pytest.raises(UsageError, match=what) as raised:
        vote(chain, n=2)
    assert "repeatable=True" in str(raised.value)
    assert vote(chain, n=2, repeatable=True)


def test_of_a_graph_it_says_what_samples_share():
    """Threads are kept apart; what is done is done."""
    with pytest.raises(UsageError, match=r"copies of its thread.* StrategyMiddleware"):
        vote(Pregel(str), n=2)
    with pytest.raises(UsageError) as raised:
        vote(send, n=2)
    assert "thread" not in str(raised.value)


def test_an_inner_wrapper_answers_for_itself(scripted):
    """What was declared repeatable there is not asked for again."""
    inner = vote(RunnableLambda(str) | send, n=2, repeatable=True)
    assert vote(inner | scripted("a"), n=2)


async def test_declared_repeatable_it_runs(call):
    """Once for each sample."""
    sent = []
    chain = RunnableLambda(lambda text: sent.append(text) or text) | send
    assert await call(vote(chain, n=1, repeatable=True), "a") == "a"
    assert sent == ["a"]


def test_tools_that_a_model_only_knows_of_are_fine(scripted):
    """Nothing runs them."""
    assert vote(scripted("a").bind_tools([send]), n=2)
    assert vote(scripted("a").bind(tools=[send]), n=2)
