"""Making an LLM over samples: what is refused, what is warned of, copies."""

from __future__ import annotations

import copy
import pickle
import warnings
from dataclasses import dataclass

import pytest
from llama_index.core.llms import MockLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index_thinktwice.llm import StrategyLLM
from llama_index_thinktwice.llm.sameness import warn_of_sameness
from pydantic import BaseModel

from thinktwice import (
    AtMost,
    BestOfN,
    Budget,
    CritiqueRepair,
    FieldVote,
    Strategy,
    UsageError,
    Vary,
    Vote,
)
from thinktwice.errors import ThinktwiceWarning
from thinktwice.result import Outcome


class Answer(BaseModel):
    """A number."""

    value: int


def test_it_is_a_function_calling_llm():
    """Of which LlamaIndex asks more than of others."""
    assert "FunctionCallingLLM" in [base.__name__ for base in StrategyLLM.__mro__]
    assert StrategyLLM.class_name() == "StrategyLLM"


def test_metadata_are_the_llms(scripted):
    """Whether it chats, calls functions, and how wide its window is."""
    inner = scripted("4", function_calling=False, is_chat=False)
    llm = StrategyLLM(llm=inner, strategy=Vote(3))
    assert llm.metadata == inner.metadata
    assert isinstance(llm, FunctionCallingLLM)


class TestRefused:
    """With what to do instead."""

    @pytest.mark.parametrize(
        ("given", "remedy"),
        [
            (None, "Settings.llm"),
            ("gpt-4o-mini", "OpenAI(model=...)"),
            (lambda prompt: prompt, "give an LLM of LlamaIndex"),
            (MockLLM, "give an LLM of LlamaIndex"),
        ],
    )
    def test_what_is_no_llm(self, given, remedy):
        """By type alone: it may be a key."""
        with pytest.raises(UsageError) as caught:
            StrategyLLM(llm=given, strategy=Vote(3))
        assert remedy in str(caught.value)
        assert "gpt-4o" not in str(caught.value)

    def test_models_of_langchain(self):
        """They have a wrapper."""
        fake = pytest.importorskip("langchain_core.language_models.fake_chat_models")
        with pytest.raises(UsageError, match="LangChainLLM"):
            StrategyLLM(llm=fake.FakeListChatModel(responses=["4"]), strategy=Vote(3))

    def test_structured_llms(self, scripted):
        """The other way round it works."""
        inner = scripted("4").as_structured_llm(Answer)
        with pytest.raises(UsageError, match="as_structured_llm"):
            StrategyLLM(llm=inner, strategy=Vote(3))

    @pytest.mark.parametrize(
        ("settings", "name"),
        [
            ({"strategy": "vote"}, "strategy"),
            ({"strategy": FieldVote(3)}, "strategy"),
            ({"strategy": Vote(3, vary=Vary(samplers=("a", "b")))}, "samplers"),
            ({"options": ["temperature"]}, "options"),
            ({"options": lambda: None}, "options"),
            ({"options": {"n": 3}}, "options"),
            ({"options": {"messages": []}}, "options"),
            ({"budget": 3}, "budget"),
            ({"max_concurrency": 0}, "max_concurrency"),
            ({"on_exhausted": "stop"}, "on_exhausted"),
            ({"native_n": "yes"}, "native_n"),
            ({"native_n": True}, "native_n"),
            ({"temperature": 0.7}, "temperature"),
            ({"llm_spans": "some"}, "llm_spans"),
        ],
    )
    def test_settings_that_make_no_sense(self, scripted, settings, name):
        """Each names the parameter."""
        given = {"strategy": Vote(3), **settings}
        with pytest.raises(UsageError) as caught:
            StrategyLLM(llm=scripted("4"), **given)
        assert caught.value.parameter == name

    @pytest.mark.parametrize("asked", [None, 3, [], ["hi"], {"text": "hi"}])
    async def test_what_is_no_text_or_no_message(self, voting, scripted, ask, asked):
        """By the parameter, before anything is drawn."""
        llm = voting(inner := scripted("4"))
        asked = "hi" if ask.chats and asked == [] else asked
        name = "messages" if ask.chats else "prompt"
        with pytest.raises(UsageError, match=r"give a list of ChatM|give a text") as caught:
            await ask(llm, asked, raw=True)
        assert caught.value.parameter == name
        assert inner.calls == 0

    async def test_tools_without_functions(self, scripted, call):
        """As by an LLM that is asked for what it has not."""
        llm = StrategyLLM(llm=MockLLM(), strategy=Vote(3))
        with pytest.raises(UsageError, match="calls no functions"):
            await call(llm, "chat_with_tools", [], "?")


class TestSameness:
    """Samples that can only be the same one."""

    def test_a_temperature_of_0(self, scripted):
        """Warns once where it is made, with the fix."""
        with pytest.warns(ThinktwiceWarning, match="temperature is 0.*options=") as caught:
            StrategyLLM(llm=scripted("4", temperature=0.0), strategy=Vote(3))
        assert caught[0].filename == __file__
        assert len(caught) == 1

    def test_the_default_of_llama_index(self, scripted):
        """0.1, at which samples hardly differ."""
        with pytest.warns(ThinktwiceWarning, match="hardly differ"):
            StrategyLLM(llm=scripted("4", temperature=0.1), strategy=BestOfN(3, verifier=str))

    def test_set_by_options(self, scripted):
        """These count."""
        with pytest.warns(ThinktwiceWarning, match="temperature is 0,"):
            StrategyLLM(llm=scripted("4"), strategy=Vote(3), options={"temperature": 0})

    @pytest.mark.parametrize(
        "settings",
        [
            {"options": {"temperature": 0.7}},
            {"options": lambda index: {"seed": index}},
            {"strategy": Vote(1)},
            {"strategy": Vote(4, vary=Vary(temperatures=(0.3, 0.9)))},
        ],
        ids=["temperature", "seeds", "one draw", "varied temperatures"],
    )
    def test_not_where_they_differ(self, scripted, settings):
        """Or where there is one alone."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            StrategyLLM(llm=scripted("4", temperature=0.0), **{"strategy": Vote(3), **settings})

    def test_a_repair_is_another_question(self, scripted):
        """Its samples differ by what they are asked."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            strategy = CritiqueRepair(verifier=bool)
            warn_of_sameness(scripted("4", temperature=0.0), strategy)

    def test_elsewhere_an_llm_is_what_helps(self, scripted):
        """A query engine has no options."""
        with pytest.warns(ThinktwiceWarning, match="give it an LLM"):
            warn_of_sameness(scripted("4", temperature=0.0), Vote(3))

    def test_of_openai(self):
        """What it will send is what counts."""
        module = pytest.importorskip("llama_index.llms.openai")
        with pytest.warns(ThinktwiceWarning, match=r"0\.1"):
            StrategyLLM(llm=module.OpenAI(api_key="k", model="gpt-4o-mini"), strategy=Vote(3))
        hot = module.OpenAI(api_key="k", model="gpt-4o-mini", additional_kwargs={"temperature": 1})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            StrategyLLM(llm=hot, strategy=Vote(3))


def _pickled(llm: StrategyLLM) -> StrategyLLM:
    return pickle.loads(pickle.dumps(llm))  # noqa: S301 - our own


class TestCopies:
    """Where its parts allow it."""

    def test_model_copy_with_another_strategy(self, scripted, question):
        """It is the one that is used."""
        inner = scripted("4")
        llm = StrategyLLM(llm=inner, strategy=Vote(3, stop=AtMost(3)), budget=Budget(calls=9))
        other = llm.model_copy(update={"strategy": Vote(5, stop=AtMost(5))})
        other.chat(question)
        assert (other.draws, inner.calls) == (5, 5)
        llm.chat(question)
        assert inner.calls == 8

    def test_deepcopy_and_pickle(self, question):
        """Of an LLM that can be copied."""
        llm = StrategyLLM(llm=MockLLM(max_tokens=3), strategy=Vote(2), options={"seed": 1})
        for made in (copy.deepcopy(llm), _pickled(llm), copy.copy(llm)):
            assert made.strategy == llm.strategy
            assert made.options == {"seed": 1}
            assert made.chat(question).message.content == llm.chat(question).message.content

    def test_a_strategy_of_ones_own(self, scripted, question):
        """That says nothing of its draws, and is no dataclass."""

        class First(Strategy):
            async def __call__(self, run):
                return Outcome(winner=await run.sample())

        @dataclass(frozen=True)
        class Plain(First):
            pass

        for strategy in (First(), Plain()):
            llm = StrategyLLM(llm=scripted("4"), strategy=strategy)
            assert llm.draws == 1
            assert llm.chat(question).message.content == "4"
