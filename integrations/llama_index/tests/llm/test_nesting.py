"""An LLM over samples inside what samples, and around what does."""

from __future__ import annotations

import asyncio

import pytest
from llama_index.core.llms import ChatMessage
from llama_index_thinktwice.llm import StrategyLLM, draws_of
from llama_index_thinktwice.query_engine import StrategyQueryEngine
from pydantic import BaseModel

from thinktwice import AtMost, Budget, Shadow, Vote, budget_scope, collect, solve
from thinktwice.limiter import Limiter
from thinktwice.remarks import tell_once

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


class Answer(BaseModel):
    """A number."""

    value: int


def exactly(n: int) -> Vote:
    return Vote(n, stop=AtMost(n))


def test_draws_multiply(scripted, voting):
    """Through strategies, and through structured LLMs."""
    inner = scripted("4")
    assert draws_of(inner) == 1
    twice = voting(voting(inner, 2), 3)
    assert draws_of(twice) == twice.draws == 6
    assert draws_of(twice.as_structured_llm(Answer)) == 6
    assert draws_of(None) == 1


async def test_one_around_another(scripted, voting, question, call):
    """Each call is booked once, in the sample of the outer one; the product is named."""
    inner = scripted("4")
    with collect() as results:
        response = await call(voting(voting(inner, 2), 3), "chat", question)
    outer = results[-1]
    assert inner.calls == outer.ledger.total.calls == 6
    assert response.additional_kwargs["total_tokens"] == 6 * 10
    assert [sample.usage.output_tokens for sample in outer.samples] == [10, 10, 10]
    assert "a strategy inside a strategy: up to 3 x 2 = 6 draws" in outer.warnings


async def test_the_outer_budget_binds(scripted, voting, question, call):
    """Also calls of the inner strategy are refused before they are sent."""
    inner = scripted("4")
    await call(voting(voting(inner, 2), 3, budget=Budget(calls=3)), "chat", question)
    assert inner.calls == 3


async def test_inside_an_engine_that_samples(scripted, voting, index, call):
    """The engine's run has each call once, and names the product of both."""
    inner = scripted("Paris")
    engine = index.as_query_engine(llm=voting(inner, 2), similarity_top_k=1)
    outer = StrategyQueryEngine(query_engine=engine, strategy=exactly(3))
    with collect() as results:
        response = await call(outer, "query", "Where is the Eiffel tower?")
    assert str(response) == "Paris"
    assert inner.calls == results[-1].ledger.total.calls == 6
    assert any("3 x 2 = 6 draws" in each for each in results[-1].warnings)


async def test_as_a_sampler_of_the_core(scripted, voting):
    """In a function: its calls are booked where they are made."""
    inner = voting(scripted("4"), 2)

    async def sampler(prompt: str) -> str:
        return (await inner.acomplete(prompt)).text

    sampler.leaf = False
    result = await solve("2 + 2", sampler=sampler, strategy=exactly(2))
    assert result.value == "4"
    assert result.ledger.total.calls == 4


async def test_in_a_shadow(scripted, question, call):
    """Callers get a single sample, and the strategy runs behind."""
    inner = scripted("5", "4", "4")
    shadow = Shadow(1.0, seed=1)
    llm = StrategyLLM(llm=inner, strategy=exactly(3), shadow=shadow)
    response = await call(llm, "chat", question)
    assert response.message.content == "5"
    assert response.additional_kwargs == {}
    await shadow.drain()
    await asyncio.to_thread(shadow.join, 10)
    assert llm.shadow is shadow
    assert shadow.report.single.calls == 1
    assert inner.calls == 1 + 3


async def test_progress_and_limiters(scripted, question):
    """As for any request."""
    told, limiter = [], Limiter(1)
    inner = scripted("4", seconds=0.01)
    llm = StrategyLLM(llm=inner, strategy=exactly(3), limiter=limiter, progress=told.append)
    await llm.achat(question)
    assert inner.most_in_flight == 1
    assert len(told) >= 3


async def test_concurrent_requests_have_books_of_their_own(scripted, voting):
    """One LLM, two questions at once."""
    llm = voting(scripted(lambda request: request["text"], seconds=0.01))
    first, second = await asyncio.gather(
        llm.achat([ChatMessage("a")]), llm.achat([ChatMessage("bb")])
    )
    assert (first.message.content, second.message.content) == ("a", "bb")
    assert first.additional_kwargs["prompt_tokens"] == 3
    assert second.additional_kwargs["prompt_tokens"] == 6


class TestAsSettingsLlm:
    """Each call that LlamaIndex makes by itself draws several samples."""

    @pytest.fixture(autouse=True)
    def _restore(self, monkeypatch, fresh_remarks):
        from llama_index.core import Settings

        monkeypatch.setattr(Settings, "_llm", None)
        monkeypatch.setattr(Settings, "_callback_manager", None)

    @pytest.mark.filterwarnings("default::thinktwice.errors.ThinktwiceWarning")
    def test_it_warns_once_without_a_budget(self, scripted, voting, question, recwarn):
        """With what to do."""
        from llama_index.core import Settings

        Settings.llm = llm = voting(scripted("4"))
        llm.chat(question)
        llm.chat(question)
        told = [each for each in recwarn if "Settings.llm" in str(each.message)]
        assert len(told) == 1
        assert "budget=Budget(...)" in str(told[0].message)
        assert told[0].filename == __file__  # not where we say it

    @pytest.mark.filterwarnings("error::thinktwice.errors.ThinktwiceWarning")
    def test_not_with_one(self, scripted, voting, question):
        """Its own, or one around it; nor elsewhere."""
        from llama_index.core import Settings

        voting(scripted("4")).chat(question)
        Settings.llm = voting(scripted("4"), budget=Budget(calls=9))
        Settings.llm.chat(question)
        Settings.llm = voting(scripted("4"))
        with budget_scope(Budget(calls=9)):
            Settings.llm.chat(question)


def test_remarks_can_be_told(fresh_remarks):
    """The fixture above clears what was said."""
    with pytest.warns(UserWarning, match="once"):
        tell_once("once")
