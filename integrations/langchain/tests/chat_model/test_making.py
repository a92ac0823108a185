"""What can be seen of a chat model over samples before anything is drawn."""

from __future__ import annotations

import pickle
from copy import deepcopy

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import ConfigurableField
from langchain_thinktwice.chat_model import StrategyChatModel

from thinktwice import AtMost, FieldVote, UsageError, Vote
from thinktwice.errors import ThinktwiceWarning

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


def of_three(model, **settings):
    """Exactly three samples, and the most frequent answer."""
    return StrategyChatModel(model, Vote(3, stop=AtMost(3)), **settings)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"strategy": 8}, "strategy"),
        ({"strategy": FieldVote(3)}, "with_strategy"),
        ({"usage": "all"}, "'total' or 'selected'"),
        ({"repeatable": True}, "no such setting"),
        ({"budget": 3}, "Budget"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"shadow": 2}, "^shadow=2: "),
        ({"trace_samples": "x"}, "^trace_samples='x': give True or False"),
        ({"name": 5}, "^name=5: give a text"),
        ({"configurable_prefix": 4}, "^configurable_prefix=4: give a text"),
        ({"foo": 1}, "^foo=an int: there is no such setting, only budget, "),
    ],
)
def test_nonsense(scripted, settings, names):
    """It is refused, by name and with what to do."""
    with pytest.raises(UsageError, match=names):
        StrategyChatModel(scripted("4"), **{"strategy": Vote(3), **settings})


def test_what_is_no_chat_model(scripted):
    """Bindings go on the outside."""
    for given in (scripted("4").bind(stop=["!"]), "gpt", None):
        shown = "None" if given is None else f"a {type(given).__name__}"
        with pytest.raises(UsageError, match=rf"^model={shown}: .*bind to the StrategyChatModel"):
            StrategyChatModel(given, Vote(3))


async def test_n_of_the_provider(scripted, call):
    """Choices that nobody sees are warned of; asking for several answers is refused."""
    model = scripted("4")
    object.__setattr__(model, "n", 2)
    with pytest.warns(ThinktwiceWarning, match="n=2 choices"):
        of_three(model)
    with pytest.raises(UsageError, match="one message"):
        await call(of_three(scripted("4")), "?", n=3)


def test_it_looks_like_the_model(scripted):
    """What applications read of a model is that of the model inside."""
    model = scripted("4", profile={"tool_calling": True}, temperature=0.7)
    made = of_three(model)
    assert made.profile == {"tool_calling": True}
    assert made._get_ls_params()["ls_model_name"] == made.model_name == "fake-1"
    assert made._get_ls_params(model="other") == model._get_ls_params(model="other")
    assert made._llm_type == "thinktwice-Vote-scripted"
    assert made._identifying_params["model_name"] == "fake-1"
    assert "Vote(n=3" in made._identifying_params["thinktwice"]
    twice = of_three(made)._identifying_params["thinktwice"]
    assert twice.count("Vote(n=3") == 2


def test_tokens_are_counted_as_the_model_does(scripted):
    """By its own function."""
    made = of_three(scripted("4", custom_get_token_ids=lambda text: list(range(len(text)))))
    assert made.get_num_tokens("four") == len(made.get_token_ids("four")) == 4
    assert made.get_num_tokens_from_messages([AIMessage("x")]) > 0


def test_copies(scripted):
    """By pickle, by deepcopy, and by `model_copy` with another field."""
    made = of_three(scripted("4"))
    for each in (pickle.loads(pickle.dumps(made)), deepcopy(made)):  # noqa: S301 - our own
        assert each.invoke("?").response_metadata["thinktwice"]["launched"] == 3
    other = made.model_copy(update={"strategy": Vote(1)})
    assert other.invoke("?").response_metadata["thinktwice"]["launched"] == 1
    assert made.invoke("?").response_metadata["thinktwice"]["launched"] == 3


async def test_configurable(scripted, call):
    """Fields and alternatives, by request."""
    fields = of_three(scripted("4")).configurable_fields(strategy=ConfigurableField(id="strategy"))
    out = await call(fields, "?", {"configurable": {"strategy": Vote(1)}})
    assert out.response_metadata["thinktwice"]["launched"] == 1
    others = of_three(scripted("4")).configurable_alternatives(
        ConfigurableField(id="model"), plain=scripted("5")
    )
    assert (await call(others, "?", {"configurable": {"model": "plain"}})).text == "5"
    assert (await call(others, "?")).text == "4"
