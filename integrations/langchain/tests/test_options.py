"""Options reach the model, and what would make all samples the same is warned of."""

from __future__ import annotations

import warnings

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import (
    ConfigurableField,
    RunnableBranch,
    RunnableLambda,
    RunnablePassthrough,
)
from langchain_thinktwice import vote
from langchain_thinktwice.diversity.options import ModelOptions

from thinktwice import AtMost, UsageError
from thinktwice.errors import ThinktwiceWarning

PROMPT = ChatPromptTemplate.from_template("{x}")


def seeded(index: int) -> dict[str, object]:
    return {"temperature": 0.7, "seed": index}


async def test_on_a_model(scripted, call):
    """As call kwargs, per sample."""
    model = scripted("a")
    await call(vote(model, n=3, stop=AtMost(3), options=seeded), "?")
    assert sorted(each["kwargs"]["seed"] for each in model.log) == [0, 1, 2]
    assert {each["kwargs"]["temperature"] for each in model.log} == {0.7}


async def test_on_a_bound_model(scripted, call):
    """Over what is bound."""
    model = scripted("a")
    bound = model.bind(temperature=0.1, top_p=0.9).with_retry()
    await call(vote(bound, n=1, options={"temperature": 0.7}), "?")
    assert model.log[0]["kwargs"] == {"temperature": 0.7, "top_p": 0.9}


CHAINS = {
    "sequence": lambda model: PROMPT | model | StrOutputParser(),
    "assign": lambda model: RunnablePassthrough.assign(y=PROMPT | model) | (lambda d: d["y"].text),
    "parallel": lambda model: {"y": PROMPT | model} | RunnableLambda(lambda d: d["y"].text),
    "branch": lambda model: RunnableBranch((lambda _: False, lambda _: "b"), PROMPT | model),
    "structured": lambda model: (
        PROMPT | model.with_structured_output({"title": "A", "type": "object"})
    ),
    "inner vote": lambda model: PROMPT | vote(model, n=1),
}


@pytest.mark.parametrize("name", CHAINS)
async def test_on_a_chain(scripted, call, name):
    """The one model found is rebound, and `bound` shows it; the user's chain stays as it is."""
    model = scripted(AIMessage("", tool_calls=[{"name": "A", "args": {}, "id": "1"}]))
    chain = CHAINS[name](model)
    before = repr(chain)
    wrapped = vote(chain, n=2, stop=AtMost(2), options=seeded, key=lambda _: "same")
    await call(wrapped, {"x": "?"})
    assert sorted(each["kwargs"]["seed"] for each in model.log) == [0, 1]
    assert "ModelOptions" in repr(wrapped.bound)
    assert repr(chain) == before


async def test_streamed_inside_the_chain(streamed):
    """A streamed model gets them as well."""
    model = streamed("abc")
    chain = vote(PROMPT | model | StrOutputParser(), n=1, options={"temperature": 0.7})
    assert [event async for event in chain.astream_events({"x": "?"})]
    step = chain.bound.steps[1]
    assert isinstance(step, ModelOptions)
    config = {"configurable": {"__thinktwice_options": {"seed": 5}}}
    assert "".join(chunk.text for chunk in step.stream("?", config)) == "abc"
    assert "".join([chunk.text async for chunk in step.astream("?", config)]) == "abc"
    assert [each["kwargs"].get("seed") for each in model.log] == [None, 5, 5]
    assert model.log[0]["kwargs"]["temperature"] == 0.7
    assert step.get_name() == "StreamedModel"


async def test_on_configurable_fields(scripted, call):
    """A configurable model is one model."""
    model = scripted("a").configurable_fields(temperature=ConfigurableField(id="t"))
    await call(vote(PROMPT | model, n=1, options={"seed": 3}), {"x": "?"})
    assert model.default.log[0]["kwargs"] == {"seed": 3}


async def test_options_of_nested_wrappers_are_merged(scripted, call):
    """The inner ones win."""
    model = scripted("a")
    inner = vote(PROMPT | model, n=1, options={"seed": 1, "top_p": 0.9})
    await call(
        vote(inner | StrOutputParser(), n=1, options={"seed": 2, "temperature": 1}), {"x": "?"}
    )
    assert model.log[0]["kwargs"] == {"seed": 1, "top_p": 0.9, "temperature": 1}


def test_no_model_or_several(scripted):
    """Are refused, with the routes; so is a model in the closure of a function."""
    a, b = scripted("a"), scripted("b")
    hidden = RunnableLambda(lambda text: a.invoke(text).text)
    for chain, cause in (
        (RunnableLambda(len), "no model was found"),
        (a | StrOutputParser() | b, "2 models were found"),
        (a.with_fallbacks([b]), "2 models were found"),
        (hidden, "inside a function"),
    ):
        with pytest.raises(UsageError, match=cause) as raised:
            vote(chain, n=2, options={"temperature": 0.7})
        assert "configurable_fields" in str(raised.value)


def test_options_survive_a_new_bound(scripted):
    """With tools, the options still reach the model."""
    model = scripted("a")
    wrapped = vote(model, n=1, options={"seed": 1}).bind_tools([{"title": "A", "type": "object"}])
    wrapped.invoke("?")
    assert model.log[0]["kwargs"]["seed"] == 1
    assert model.log[0]["kwargs"]["tools"]


def test_temperature_zero_is_warned_of(scripted):
    """When the wrapper is made, unless options set another or only one is drawn."""
    cold = scripted("a", temperature=0)
    for chain in (cold, PROMPT | cold | StrOutputParser(), scripted("a").bind(temperature=0.0)):
        with pytest.warns(ThinktwiceWarning, match="temperature is 0") as told:
            vote(chain, n=3)
        assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vote(cold, n=3, options={"temperature": 0.7})
        vote(cold.bind(temperature=0.7), n=3)
        vote(cold | StrOutputParser() | scripted("b"), n=3)
        vote(cold, n=3, options=seeded)
        vote(cold, n=1)


def test_caches_are_warned_of(scripted):
    """Unless each sample has a seed."""
    model = scripted("a", cache=InMemoryCache())
    with pytest.warns(ThinktwiceWarning, match="cache answers equal requests"):
        vote(model, n=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vote(model, n=3, options=seeded)
        vote(scripted("a", cache=False), n=3)
