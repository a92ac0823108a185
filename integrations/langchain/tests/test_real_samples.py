"""Settings of each sample by every route, and what makes samples the same said aloud."""

from __future__ import annotations

import json

import arithmetic_lm.server
import pytest
from arithmetic_lm.server import ArithmeticServer
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda
from langchain_core.runnables.base import RunnableBindingBase
from langchain_thinktwice import vote

from thinktwice import AtMost, UsageError
from thinktwice.errors import ThinktwiceWarning
from thinktwice.remarks import CACHED, IDENTICAL

langchain_openai = pytest.importorskip("langchain_openai")

PROMPT = ChatPromptTemplate.from_template("{x}")
LONG = "the same words, so many of them that chance does not repeat them twice over"


def seeded(index: int) -> dict[str, object]:
    return {"temperature": 0.5 + index / 10, "seed": index}


def all_of(runnable, n=3, **settings):
    """A vote that draws all n, with its result."""
    settings = {"key": lambda _: "same", **settings}
    return vote(runnable, n=n, stop=AtMost(n), include_result=True, **settings)


@pytest.fixture
def fresh_remarks(monkeypatch):
    """No remark has been made in this process."""
    monkeypatch.setattr("thinktwice.remarks._told", set())


class Deaf(RunnableBindingBase):
    """A step around a model that takes call arguments and passes none on."""

    def invoke(self, input, config=None, **kwargs):  # noqa: A002 - LangChain's name
        return self.bound.invoke(input, config)

    async def ainvoke(self, input, config=None, **kwargs):  # noqa: A002 - as above
        return await self.bound.ainvoke(input, config)


# ---- routes -------------------------------------------------------------------------------------


@pytest.fixture
def wire(monkeypatch):
    """A real client of a server on this machine, and the bodies that it gets."""
    bodies: list[dict[str, object]] = []
    read = arithmetic_lm.server.read_request

    def keep(text, *rest):
        bodies.append(json.loads(text))
        return read(text, *rest)

    monkeypatch.setattr(arithmetic_lm.server, "read_request", keep)
    with ArithmeticServer.in_thread(reply=lambda prompt, number: '{"a": 4}') as server:
        model = langchain_openai.ChatOpenAI(
            model="arithmetic-lm", base_url=server.url, api_key="none", max_retries=0
        )
        yield model, bodies


ROUTES = {
    "a model": lambda model: model,
    "a bound model": lambda model: model.bind(top_p=0.9),
    "tools": lambda model: model.bind_tools([{"title": "A", "description": "", "type": "object"}]),
    "a chain": lambda model: PROMPT | model | StrOutputParser(),
    "structured output": lambda model: (
        PROMPT | model.with_structured_output({"title": "A", "type": "object"}, method="json_mode")
    ),
    "retries": lambda model: (PROMPT | model.with_retry()).with_retry(),
}


@pytest.mark.parametrize("route", ROUTES)
async def test_on_the_wire(wire, call, route):
    """Temperature, seed and effort of each sample are in its request."""
    model, bodies = wire

    def options(index):
        return {**seeded(index), "reasoning_effort": "medium"}

    await call(all_of(ROUTES[route](model), options=options), "2 + 2 as JSON")
    assert sorted(body["seed"] for body in bodies) == [0, 1, 2]
    assert sorted(body["temperature"] for body in bodies) == [0.5, 0.6, 0.7]
    assert {body["reasoning_effort"] for body in bodies} == {"medium"}


async def test_nothing_is_set_unasked(wire, call):
    """A request has the temperature, seed and n that the client would send alone."""
    model, bodies = wire
    await call(model, "2 + 2")
    await call(all_of(model), "2 + 2")
    assert all(body == bodies[0] for body in bodies)
    assert not {"temperature", "seed", "n"} & set(bodies[0])


async def test_thinking_budgets(scripted, call):
    """Whatever the model takes as a call argument, nested settings too."""
    model = scripted("a")
    thinking = {"type": "enabled", "budget_tokens": 1024}
    await call(all_of(PROMPT | model, options={"thinking": thinking}), {"x": "?"})
    assert [request["kwargs"]["thinking"] for request in model.log] == [thinking] * 3


def configurable(model):
    return model.configurable_fields(temperature=ConfigurableField(id="temperature"))


async def test_configurable_fields_of_several_models(model_class, call):
    """An option that all of them declare is set in all of them."""
    seen: list[tuple[str, float]] = []

    class Telling(model_class):
        def _end(self, request):
            seen.append((self.model_name, self.temperature))
            return super()._end(request)

    first = configurable(Telling(replies=["a"], model_name="first"))
    second = configurable(Telling(replies=["b"], model_name="second"))
    chain = PROMPT | first | StrOutputParser() | second
    await call(all_of(chain, options=lambda index: {"temperature": 0.5 + index / 10}), {"x": "?"})
    await call(all_of(chain, 1, options={"temperature": 0.5}), {"x": "?"})
    assert sorted(seen)[-4:] == [("second", 0.5), ("second", 0.5), ("second", 0.6), ("second", 0.7)]
    assert [name for name, _ in seen].count("first") == 4


async def test_what_only_some_can_set(scripted, call):
    """An option that no field declares needs one model: when it is known, or when it is drawn."""
    chain = configurable(scripted("a")) | StrOutputParser() | configurable(scripted("b"))
    with pytest.raises(UsageError, match="2 models were found"):
        all_of(chain, options={"seed": 1})
    with pytest.raises(UsageError, match="2 models were found"):
        await call(all_of(chain, options=seeded), "?")


async def test_configurable_alternatives(scripted, call):
    """Whichever model is chosen gets them."""
    small, large = scripted("small"), scripted("large")
    either = small.configurable_alternatives(ConfigurableField(id="which"), large=large)
    chain = all_of(PROMPT | either, options=seeded)
    await call(chain, {"x": "?"})
    await call(chain, {"x": "?"}, {"configurable": {"which": "large"}})
    for model in (small, large):
        assert sorted(request["kwargs"]["seed"] for request in model.log) == [0, 1, 2]


def test_alternatives_that_are_chains(scripted):
    """Are not one model."""
    either = scripted("a").configurable_alternatives(
        ConfigurableField(id="which"), chain=PROMPT | scripted("b")
    )
    with pytest.raises(UsageError, match="2 models were found"):
        all_of(either, options={"seed": 1})


def test_the_message_shows_the_routes(scripted):
    """Where options would reach no model, or several."""
    for chain in (scripted("a") | StrOutputParser() | scripted("b"), RunnableLambda(len)):
        with pytest.raises(UsageError) as raised:
            vote(chain, n=2, options={"temperature": 0.7})
        for route in ("the one model of a chain", "configurable_fields", "model.bind"):
            assert route in str(raised.value)


# ---- what makes them the same -------------------------------------------------------------------


async def test_dropped_options(scripted, call, fresh_remarks):
    """A step that swallows call arguments is told by the calls of the model behind it."""
    chain = PROMPT | Deaf(bound=scripted("a"), kwargs={}) | StrOutputParser()
    wrapped = all_of(chain, options=seeded)
    with pytest.warns(ThinktwiceWarning, match="'seed', 'temperature'") as told:
        result = (await call(wrapped, {"x": "?"}))["result"]
    assert "configurable_fields" in str(told[0].message)
    assert "0.5" not in str(told[0].message)
    assert result.warnings == (str(told[0].message),)


async def test_options_that_arrive(scripted, call):
    """Are not warned of: inner ones that win, those of text models, those over bound ones."""
    model = scripted("a", max_tokens=7)
    inner = vote(PROMPT | model, n=2, stop=AtMost(2), options={"seed": 1})
    for chain, options, given in (
        (PROMPT | model, seeded, {"x": "?"}),
        (inner | StrOutputParser(), {"seed": 2, "temperature": 1}, {"x": "?"}),
        (FakeListLLM(responses=["a"]), {"stop": ["b"]}, "?"),
        (model.bind(max_tokens=5), {"max_tokens": 9}, "?"),
    ):
        assert not any(
            "did not reach" in each
            for each in (await call(all_of(chain, options=options), given))["result"].warnings
        )


async def test_cache_hits_among_the_samples(scripted, call, fresh_remarks):
    """A cache that was set after the wrapper was made is seen at the first hits."""
    chain = all_of(scripted(lambda request: f"{request['index']}"), max_concurrency=1)
    set_llm_cache(InMemoryCache())
    try:
        with pytest.warns(ThinktwiceWarning, match="answered from a cache"):
            result = (await call(chain, "?"))["result"]
        again = (await call(chain, "?"))["result"]
    finally:
        set_llm_cache(None)
    assert result.warnings == again.warnings == (CACHED,)


async def test_identical_texts(scripted, call, fresh_remarks):
    """A temperature of 0 that nobody can see from outside."""
    with pytest.warns(ThinktwiceWarning, match="same long text"):
        result = (await call(all_of(scripted(AIMessage(LONG)), 4), "?"))["result"]
    assert result.warnings == (IDENTICAL,)
