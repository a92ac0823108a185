"""A wrapper is a Runnable like any other: schemas, graph, copies, names, settings."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from inspect import unwrap

import langchain_thinktwice
import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda
from langchain_thinktwice import StrategyRunnable, vote, with_strategy

from thinktwice import BestOfN, Budget, Limiter, Settled, UsageError, Vote

PROMPT = ChatPromptTemplate.from_template("{x}")


@pytest.fixture
def chain():
    return PROMPT | FakeListChatModel(responses=["4"]) | StrOutputParser()


def test_public_names_are_documented():
    """Each is there once, those of agents included."""
    names = dir(langchain_thinktwice)
    assert names == sorted(set(langchain_thinktwice.__all__))
    assert len(names) == len(langchain_thinktwice.__all__)
    assert "BudgetMiddleware" in names
    assert all(getattr(langchain_thinktwice, name).__doc__ for name in names)


@pytest.mark.parametrize("blocks", ["None", "Finder"])
def test_without_langchain_all_other_names_can_be_had(blocks):
    """By `import *` and by looking around; a name of agents says what to install."""
    code = f"""
import inspect, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "langchain":
            raise ModuleNotFoundError(name, name=name)
if "{blocks}" == "None":
    sys.modules["langchain"] = None
else:
    sys.meta_path.insert(0, Finder())
from langchain_thinktwice import *
import langchain_thinktwice
print(vote.__name__, StrategyChatModel.__name__, "BudgetMiddleware" in globals())
members = dict(inspect.getmembers(langchain_thinktwice))
print("SampleKeyedCache" in members, "BudgetMiddleware" in members)
try:
    from langchain_thinktwice import BudgetMiddleware
except ImportError as error:
    print(error)
"""
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    imported, seen, said = done.stdout.splitlines()
    assert imported == "vote StrategyChatModel False"
    assert seen == "True False"
    assert "pip install 'langchain-thinktwice[agents]'" in said


def test_schemas_are_those_of_the_chain(chain):
    """Input and output, as types and as JSON."""
    wrapped = vote(chain, n=2)
    assert wrapped.InputType == chain.InputType
    assert wrapped.OutputType == chain.OutputType
    assert wrapped.get_input_jsonschema() == chain.get_input_jsonschema()
    assert wrapped.get_output_jsonschema() == chain.get_output_jsonschema()


def test_include_result_shows_in_the_output_schema(chain):
    """It is a dict then."""
    wrapped = vote(chain, n=2, include_result=True)
    assert wrapped.get_output_jsonschema()["type"] == "object"
    assert wrapped.get_input_jsonschema() == chain.get_input_jsonschema()


def test_graph_is_that_of_the_chain(chain):
    """Nodes and edges."""
    assert vote(chain, n=2).get_graph().draw_mermaid() == chain.get_graph().draw_mermaid()


def test_a_request_sees_what_it_may_set(chain):
    """Also where several wrappers stand in one chain."""
    both = vote(chain, n=2) | RunnableLambda(lambda x: {"x": x}) | vote(chain, n=3)
    fields = both.config_schema().model_json_schema()["$defs"]["Configurable"]["properties"]
    assert set(fields) == {"thinktwice_budget", "thinktwice_n"}


def test_names(chain):
    """The strategy and what it samples, or what the user says."""
    assert vote(chain).get_name() == "Vote[RunnableSequence]"
    assert vote(chain, name="answer").get_name() == "answer"


def test_copies(chain):
    """Pickled, deep-copied and copied with a setting, it goes on working."""
    wrapped = vote(chain, n=2, key="number", options={"seed": 1}, budget=Budget(calls=5))
    pickled = pickle.loads(pickle.dumps(wrapped))  # noqa: S301 - our own
    for each in (pickled, copy.deepcopy(wrapped), wrapped.model_copy()):
        assert each.strategy == wrapped.strategy
        assert each.budget == wrapped.budget
        assert each.invoke({"x": 1}) == "4"


def test_with_config_and_configurable_fields(chain):
    """LangChain's own ways to set things."""
    wrapped = vote(chain, n=3, include_result=True)
    bound = wrapped.with_config(configurable={"thinktwice_n": 1})
    assert bound.invoke({"x": 1})["result"].launched == 1
    chosen = wrapped.configurable_fields(include_result=ConfigurableField(id="full"))
    assert chosen.invoke({"x": 1}, {"configurable": {"full": False}}) == "4"


def test_it_is_no_constructor_for_others(chain):
    """Its strategy may hold anything, so it is not offered for loading."""
    assert dumpd(vote(chain))["type"] == "not_implemented"


def test_tools_and_structured_output_go_to_the_model(scripted):
    """The strategy stays around them."""
    call = {"name": "A", "args": {"v": 1}, "id": "1"}
    model = scripted(AIMessage("", tool_calls=[call]))
    schema = {"title": "A", "type": "object", "properties": {"v": {"type": "integer"}}}
    wrapped = vote(model, n=3)
    bound = wrapped.bind_tools([schema])
    assert isinstance(bound, StrategyRunnable)
    assert bound.invoke("?").tool_calls[0]["args"] == {"v": 1}
    assert wrapped.with_structured_output(schema).invoke("?") == {"v": 1}
    with pytest.raises(AttributeError):
        vote(PROMPT | model).bind_tools([schema])


def test_call_kwargs_reach_the_first_step(scripted):
    """As they do without the wrapper."""
    model = scripted("a")
    vote(model, n=1).bind(stop=["x"]).invoke("?", seed=3)
    assert model.log[0]["kwargs"] == {"seed": 3}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"runnable": len}, "runnable"),
        ({"strategy": "vote"}, "strategy"),
        ({"budget": 5}, "budget"),
        ({"limiter": 5}, "limiter"),
        ({"prices": 5}, "prices"),
        ({"on_exhausted": "stop"}, "on_exhausted"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"budgett": 5}, "budgett"),
        ({"key": "nummber"}, "key"),
    ],
    ids=str,
)
def test_mistakes_are_found_when_it_is_made(chain, settings, named):
    """With the name of the parameter."""
    given = {"runnable": chain, "strategy": Vote(2), **settings}
    with pytest.raises(UsageError) as raised:
        with_strategy(given.pop("runnable"), given.pop("strategy"), **given)
    assert raised.value.parameter == named


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"shadow": 2}, "shadow=2: give a share of the requests, from 0 to 1, or a Shadow"),
        ({"shadow": float("nan")}, "shadow=nan: give a share"),
        ({"name": 5}, "name=5: give a text, or None"),
        ({"configurable_prefix": 4}, "configurable_prefix=4: give a text"),
        ({"configurable_prefix": None}, "configurable_prefix=None: give a text"),
        ({"repeatable": "no"}, "repeatable='no': give True or False"),
        ({"include_result": 1}, "include_result=1: give True or False"),
        ({"require_budget": None}, "require_budget=None: give True or False"),
        ({"native_n": True}, "native_n=True: .*'RunnableSequence' makes one answer of them"),
        ({"foo": 1}, "foo=an int: there is no such setting, only budget, configurable_prefix"),
        ({"options": "sk-1234"}, "options=a str: give a mapping of call options"),
        ({"options": lambda: {"seed": 1}}, "options=<function .*a function of the sample's index"),
    ],
    ids=lambda given: given if isinstance(given, str) else "+".join(given),
)
def test_mistakes_are_told_with_the_value(chain, settings, said):
    """Or with its type, where the value may be secret."""
    with pytest.raises(UsageError, match=rf"^{said}") as raised:
        vote(chain, **settings)
    assert "sk-1234" not in str(raised.value)


def test_options_of_an_index_or_of_anything_are_taken(scripted):
    """What a callable takes besides, and what does not say what it takes, is no mistake."""
    for options in (lambda index, more=0: {"seed": index}, lambda *_: {}, {"seed": 1}.copy().get):
        vote(scripted("a"), n=1, options=options)


def test_what_options_return_is_not_shown(scripted):
    """It may be a secret."""
    with pytest.raises(UsageError, match=r"^options=a str: give a mapping") as raised:
        vote(scripted("a"), n=1, options=lambda _: "sk-1234").invoke("?")
    assert "sk-1234" not in str(raised.value)


def test_a_copy_over_another_graph_keeps_to_its_shadow():
    """A graph with a checkpointer has moved on before the shadow begins, in a copy as well."""
    langgraph = pytest.importorskip("langgraph.graph", reason="graphs need langgraph")
    memory = pytest.importorskip("langgraph.checkpoint.memory")

    def compiled(**settings):
        graph = langgraph.StateGraph(dict)
        graph.add_node("node", lambda state: state)
        graph.set_entry_point("node")
        return graph.compile(**settings)

    wrapped = vote(compiled(), n=1, key=str, repeatable=True, shadow=1.0)
    copied = wrapped.model_copy(update={"bound": compiled(checkpointer=memory.InMemorySaver())})
    with pytest.raises(UsageError, match="has a checkpointer"):
        copied._sampled()


def test_a_setting_of_the_model_stays_secret(chain):
    """It is named, and its value is not shown."""
    with pytest.raises(UsageError, match="api_key=") as raised:
        vote(chain, api_key="sk-1234")
    assert "sk-1234" not in str(raised.value)


def test_a_key_over_the_strategys_own(chain):
    """`key=` of `with_strategy` replaces it."""
    assert with_strategy(chain, Vote(2, key="text"), key="number").strategy == Vote(2, key="number")


def test_vote_hands_its_parameters_on(chain):
    """To the strategy."""
    strategy = vote(
        chain, n=4, stop=Settled(0.1), prefer="cost", weight=len, equivalent=max
    ).strategy
    assert strategy == Vote(4, stop=Settled(0.1), prefer="cost", weight=len, equivalent=max)


def test_best_of_n_hands_its_parameters_on(chain):
    """To the strategy."""
    check = str.isdigit
    strategy = langchain_thinktwice.best_of_n(chain, n=4, verifier=check, key="number").strategy
    assert strategy == BestOfN(4, verifier=strategy.verifier, key="number")
    assert unwrap(strategy.verifier) is check


def test_a_limiter_is_kept(chain):
    """And used."""
    limiter = Limiter(2)
    assert vote(chain, n=2, limiter=limiter).invoke({"x": 1}) == "4"
    assert limiter.in_use == 0


def test_importing_it_loads_no_framework_beyond_the_core():
    """Neither LangGraph nor LangChain's agents, nor anything heavy."""
    code = """
import json, sys
from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
before = set(sys.modules)
import langchain_thinktwice
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own text
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {
        "genai_prices",
        "langchain",
        "langgraph",
        "langsmith",
        "openai",
        "tiktoken",
    }
