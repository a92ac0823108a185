"""Models that `init_chat_model` makes configurable are models."""

from __future__ import annotations

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_thinktwice import RunnablePrompting, vote
from langchain_thinktwice.tree import unit_of
from pydantic import BaseModel

from thinktwice import AtMost, UsageError
from thinktwice.errors import ThinktwiceWarning

pytest.importorskip("langchain")

from langchain.chat_models import init_chat_model
from langchain_core.messages import AIMessage, HumanMessage

PROMPT = ChatPromptTemplate.from_template("{q}")


class Answer(BaseModel):
    """An answer."""

    value: int


@pytest.fixture
def configurable(monkeypatch, scripted):
    """A configurable model over scripted ones; what they were made with is in `made`."""
    made: list[dict[str, object]] = []
    log: list[dict[str, object]] = []

    def make(model=None, **params):
        if model is None:
            raise ValueError("no model")
        made.append(params)
        fresh = scripted("so", temperature=params.get("temperature"))
        fresh._log = log
        return fresh

    monkeypatch.setattr("langchain.chat_models.base._init_chat_model_helper", make)

    def configurable(model="fake", **params):
        return init_chat_model(model, configurable_fields=("model", "temperature"), **params)

    configurable.made, configurable.log = made, log
    return configurable


async def test_options_reach_it(configurable, call):
    """Bare, in a chain, with tools and with structured output."""
    model = configurable()
    seeded = {"options": lambda index: {"seed": index}, "stop": AtMost(2)}
    for bare in (model, model.bind_tools([Answer])):
        await call(vote(bare, n=2, **seeded), "?")
        await call(vote(PROMPT | bare | StrOutputParser(), n=2, **seeded), {"q": "?"})
    assert sorted(each["kwargs"]["seed"] for each in configurable.log) == [0, 0, 0, 0, 1, 1, 1, 1]
    assert unit_of(model.with_structured_output(Answer)).step is not None


async def test_a_request_chooses_it(configurable, call):
    """As without the wrapper."""
    await call(vote(PROMPT | configurable(), n=1), {"q": "?"}, {"configurable": {"temperature": 1}})
    assert configurable.made[-1] == {"temperature": 1}


def test_a_temperature_of_zero_is_warned_of(configurable):
    """That of the model which is called by default."""
    with pytest.warns(ThinktwiceWarning, match="temperature is 0"):
        vote(configurable(temperature=0), n=3)


def test_a_text_to_it_becomes_a_conversation(configurable):
    """Its repair is a turn, as with any chat model."""
    prompting = RunnablePrompting(configurable())
    turns = [HumanMessage("?"), AIMessage("12"), HumanMessage("no")]
    assert prompting.revise("?", "12", "no") == turns


def test_one_without_a_default_is_no_model_yet(configurable):
    """Options are refused, with the routes."""
    with pytest.raises(UsageError, match="no model was found"):
        vote(init_chat_model(configurable_fields="any"), n=3, options={"seed": 1})
    assert vote(init_chat_model(configurable_fields="any"), n=3)
