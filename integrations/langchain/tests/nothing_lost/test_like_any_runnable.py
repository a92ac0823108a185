"""A wrapper goes wherever the Runnable went: LangChain's own ways to build on it all work."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.language_models import FakeListChatModel
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableBranch, RunnableLambda, RunnableParallel
from langchain_core.runnables.history import RunnableWithMessageHistory
from pydantic import BaseModel

PROMPT = ChatPromptTemplate.from_messages(
    [("user", "{q}"), MessagesPlaceholder("feedback", optional=True)]
)
ASKED = {"q": "?"}


@pytest.fixture
def chain(scripted):
    return PROMPT | scripted("so") | StrOutputParser()


async def test_schemas_and_prompts_and_graph(door, chain):
    """Are those of the Runnable."""
    wrapped = door(chain)
    assert wrapped.get_input_jsonschema() == chain.get_input_jsonschema()
    assert wrapped.get_output_jsonschema() == chain.get_output_jsonschema()
    assert wrapped.input_schema.model_json_schema() == chain.input_schema.model_json_schema()
    assert wrapped.output_schema.model_json_schema() == chain.output_schema.model_json_schema()
    assert wrapped.get_prompts() == chain.get_prompts() == [PROMPT]
    assert wrapped.get_graph().draw_mermaid() == chain.get_graph().draw_mermaid()


async def test_with_types(way, chain):
    """The types said are the types shown."""
    door, style = way

    class Question(BaseModel):
        q: str

    typed = door(chain).with_types(input_type=Question, output_type=str)
    assert typed.InputType is Question
    assert typed.get_input_jsonschema()["title"] == "Question"
    assert await style(typed, ASKED) == "so"


async def test_bind_reaches_the_first_step(door, call, scripted):
    """As it does without the wrapper."""
    model = scripted("so")
    assert (await call(door(model).bind(stop=["x"]), "?")).text == "so"
    assert all(
        each["kwargs"].get("stop") is None for each in model.log
    )  # it has a place of its own
    await call(door(model).bind(seed=3), "?")
    assert model.log[-1]["kwargs"] == {"seed": 3}


async def test_pick_and_assign(way):
    """On a wrapper of what returns a dict."""
    door, style = way
    chain = door(RunnableLambda(lambda given: {"a": 1, "b": 2}))
    assert await style(chain.pick("a"), "?") == 1
    assert await style(chain.pick(["a", "b"]), "?") == {"a": 1, "b": 2}
    assert await style(chain.assign(c=lambda d: d["a"] + d["b"]), "?") == {"a": 1, "b": 2, "c": 3}


async def test_parallel_and_branch(way, chain, scripted):
    """Several wrappers beside each other, and one of several."""
    door, style = way
    both = RunnableParallel(one=door(chain), other=door(PROMPT | scripted("other")))
    answers = await style(both, ASKED)
    assert (answers["one"], answers["other"].text) == ("so", "other")
    branch = RunnableBranch((lambda given: given["q"] == "?", door(chain)), door(scripted("no")))
    assert await style(branch, ASKED) == "so"


async def test_map(door, call, chain):
    """An answer for each input."""
    assert await call(door(chain).map(), [ASKED] * 3) == ["so"] * 3


async def test_in_a_history(way, scripted):
    """The answer is written once; no draft and no losing sample gets in."""
    door, style = way
    template = ChatPromptTemplate.from_messages(
        [
            MessagesPlaceholder("history"),
            ("user", "{q}"),
            MessagesPlaceholder("feedback", optional=True),
        ]
    )
    model = scripted("so")
    with warnings.catch_warnings(action="ignore"):  # LangChain prefers its own successor
        kept = InMemoryChatMessageHistory()
        chain = RunnableWithMessageHistory(
            door(template | model),
            lambda _: kept,
            input_messages_key="q",
            history_messages_key="history",
        )
    for _ in range(2):
        answer = await style(chain, ASKED, {"configurable": {"session_id": "1"}})
        assert answer.text == "so"
    assert [type(each).__name__.removesuffix("Chunk") for each in kept.messages] == [
        "HumanMessage",
        "AIMessage",
    ] * 2
    assert [each.text for each in kept.messages] == ["?", "so"] * 2


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
async def test_as_a_tool(door, call, scripted):
    """With the arguments of its input."""
    chain = ChatPromptTemplate.from_template("{q}") | scripted("so") | StrOutputParser()
    tool = door(chain).as_tool(name="answer", description="Answers.")
    assert set(tool.args) == {"q"}
    assert await call(tool, {"q": "?"}) == "so"


async def test_listeners(door, call, chain):
    """Are told of the wrapper's own run, once."""
    told: list[tuple[str, str]] = []
    listened = door(chain, name="mine").with_listeners(
        on_start=lambda run: told.append(("start", run.name)),
        on_end=lambda run: told.append(("end", run.outputs["output"])),
    )
    assert await call(listened, ASKED) == "so"
    assert told == [("start", "mine"), ("end", "so")]


async def test_async_listeners(door, chain):
    """Likewise."""
    told: list[str] = []

    async def on_end(run, config):
        told.append(run.outputs["output"])

    assert await door(chain).with_alisteners(on_end=on_end).ainvoke(ASKED) == "so"
    assert told == ["so"]


async def test_listeners_of_errors(door, call):
    """Are told of what the caller gets."""
    told: list[str] = []

    def fail(given):
        raise TimeoutError

    listened = door(RunnableLambda(fail)).with_listeners(
        on_error=lambda run: told.append(run.error.partition("(")[0])
    )
    with pytest.raises(TimeoutError):
        await call(listened, "?")
    assert told == ["TimeoutError"]


async def test_copies(door, call):
    """Deep-copied, and copied with LangChain's own `copy`."""
    wrapped = door(FakeListChatModel(responses=["so"]) | StrOutputParser())
    for each in (copy.deepcopy(wrapped), copy.copy(wrapped), wrapped.model_copy()):
        assert await call(each, "?") == "so"
        assert each.strategy == wrapped.strategy


async def test_pickle(door, call):
    """Where the parts allow."""
    wrapped = door(FakeListChatModel(responses=["so"]) | StrOutputParser())
    restored = pickle.loads(pickle.dumps(wrapped))  # noqa: S301 - our own
    assert await call(restored, "?") == "so"
    bound = pickle.loads(pickle.dumps(wrapped.with_config(tags=["t"]).with_retry()))  # noqa: S301
    assert await call(bound, "?") == "so"


async def test_dumps_says_that_it_is_no_constructor(door, chain):
    """And shows no values of options, which may be secret."""
    shown = dumps(door(chain, options={"user": "sk-secret"}))
    assert '"not_implemented"' in shown
    assert "sk-secret" not in shown


async def test_stop_sequences(door, call):
    """A kwarg of the call, as before."""
    seen: list[object] = []

    class Stops(FakeListChatModel):
        def _call(self, messages, stop=None, run_manager=None, **kwargs):
            seen.append(stop)
            return "so"

    await call(door(Stops(responses=["so"])), "?", None, stop=["x"])
    assert seen
    assert all(each == ["x"] for each in seen)


async def test_messages_of_any_form_go_in(way, scripted):
    """Strings, pairs, dicts, messages and prompt values."""
    door, style = way
    model = scripted("so")
    for given in (
        "?",
        [("user", "?")],
        [{"role": "user", "content": "?"}],
        [HumanMessage("a"), AIMessage("b"), HumanMessage("?")],
        PROMPT.invoke(ASKED),
    ):
        assert (await style(door(model), given)).text == "so"
    assert {each["text"] for each in model.log} == {"?"}
