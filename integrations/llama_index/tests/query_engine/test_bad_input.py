"""What is refused, and what to do instead."""

from __future__ import annotations

import warnings

import pytest
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.query_engine import RouterQueryEngine
from llama_index.core.tools import QueryEngineTool
from llama_index_thinktwice.query_engine import StrategyQueryEngine
from llama_index_thinktwice.sampler import LLMSampler

from thinktwice import BestOfN, CritiqueRepair, ToolCheck, UsageError, Vote
from thinktwice.errors import ThinktwiceWarning
from thinktwice.vary import Vary
from thinktwice.verifiers import Grounding


@pytest.fixture
def wrong(index, scripted, engine, retriever):
    """What is no query engine, by kind."""
    memory = ChatMemoryBuffer.from_defaults(token_limit=100, tokenizer_fn=str.split)
    return {
        "retriever": retriever("x"),
        "index": index,
        "llm": scripted("3"),
        "tool": QueryEngineTool.from_defaults(engine("3")),
        "chat": SimpleChatEngine(scripted("3"), memory, []),
        "class": StrategyQueryEngine,
        "nothing": None,
    }


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("retriever", r"RetrieverQueryEngine\.from_args"),
        ("index", r"index\.as_query_engine\(llm="),
        ("llm", r"StrategyLLM\(llm="),
        ("tool", "give its query_engine"),
        ("chat", "remembers what was said"),
        ("class", "make an engine of it"),
        ("nothing", "give a query engine"),
    ],
)
def test_what_is_no_query_engine_is_refused(wrong, kind, remedy):
    """With what to give instead."""
    with pytest.raises(UsageError, match=f"query_engine=.*{remedy}"):
        StrategyQueryEngine(wrong[kind], Vote(3))


@pytest.mark.parametrize(
    ("parameter", "given", "remedy"),
    [
        ("strategy", "vote", "such as Vote"),
        ("retrieval", "once", "'auto', 'shared' or 'per_sample'"),
        ("options", {"temperature": 1}, "as_query_engine"),
        ("budget", 5, "give a Budget"),
        ("nodes", [], "no such setting"),
        ("prompting", "{draft}", "revise"),
        ("callback_manager", 3, "give a CallbackManager"),
    ],
)
def test_other_parameters_are_checked_when_it_is_made(engine, parameter, given, remedy):
    """Each is named."""
    arguments = {"strategy": Vote(3), parameter: given}
    with pytest.raises(UsageError, match=f"{parameter}=.*{remedy}"):
        StrategyQueryEngine(engine("3"), **arguments)


@pytest.mark.parametrize(
    "strategy",
    [
        CritiqueRepair(None),
        CritiqueRepair(lambda _: True, mode="reflexion"),
        Vote(3, of=CritiqueRepair(None)),
    ],
)
def test_an_engine_is_no_critic(engine, strategy):
    """It is said before anything is drawn, and not in terms of what is inside."""
    with pytest.raises(UsageError, match=r"critic=None: give critic=LLMSampler\(llm\)"):
        StrategyQueryEngine(engine("3"), strategy)


@pytest.mark.usefixtures("silent_remarks")
async def test_a_repair_with_a_critic_is_fine(engine, call, scripted):
    """It is asked in words."""
    critic = LLMSampler(scripted('{"issue": null}'))
    repairing = StrategyQueryEngine(engine("3"), CritiqueRepair(None, critic=critic, rounds=1))
    assert str(await call(repairing, "query", "2 + 1?")) == "3"
    assert critic.llm.calls >= 1


def test_values_of_options_are_not_shown(engine):
    """They may be secret."""
    with pytest.raises(UsageError) as caught:
        StrategyQueryEngine(engine("3"), Vote(3), options={"api_key": "sk-1"})
    assert "sk-1" not in str(caught.value)


def test_temperatures_that_would_be_dropped_are_refused(engine):
    """Also in a strategy inside."""
    varied = Vote(2, vary=Vary(temperatures=[0.2, 0.9]))
    for strategy in (varied, BestOfN(2, verifier=bool, of=varied)):
        with pytest.raises(UsageError, match=r"temperatures=.*as_query_engine"):
            StrategyQueryEngine(engine("3"), strategy)


@pytest.mark.parametrize(("temperature", "cause"), [(0.0, "temperature is 0"), (0.1, "is 0.1")])
def test_a_cold_llm_inside_is_warned_of(engine, scripted, temperature, cause):
    """With the fix, at the line that makes the engine."""
    inner = engine(llm=scripted("3", temperature=temperature))
    with pytest.warns(ThinktwiceWarning, match=cause) as caught:
        StrategyQueryEngine(inner, Vote(3))
    assert caught[0].filename == __file__


def test_a_cold_llm_is_found_below_other_engines(engine, scripted, all_of):
    """Of a router, say, that has one engine with the same LLM."""
    llm = scripted("3", temperature=0.0)
    tool = QueryEngineTool.from_defaults(engine(llm=llm))
    router = RouterQueryEngine(object(), [tool], llm=llm, summarizer=object())
    with pytest.warns(ThinktwiceWarning, match="temperature is 0"):
        StrategyQueryEngine(router, Vote(3))


def test_where_a_cold_llm_does_no_harm_nothing_is_said(engine, scripted):
    """A repair asks something else each time, and one sample cannot be the same."""
    inner = engine(llm=scripted("3", temperature=0.0))
    grounding = Grounding(["Apples cost 3 dollars."])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for strategy in (CritiqueRepair(grounding), ToolCheck(grounding), Vote(1)):
            StrategyQueryEngine(inner, strategy)
        StrategyQueryEngine(inner, Vote(3), retrieval="per_sample")
        StrategyQueryEngine(engine(llm=scripted("3", temperature=0.8)), Vote(3))
