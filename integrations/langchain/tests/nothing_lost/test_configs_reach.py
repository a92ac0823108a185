"""What a config says reaches every run that it would reach without the wrapper, and no other."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, CallbackManager
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import (
    ConfigurableField,
    RunnableConfig,
    RunnableLambda,
    ensure_config,
)
from langchain_thinktwice import vote

from thinktwice import AtMost, Limiter, UsageError

PROMPT = ChatPromptTemplate.from_messages(
    [("user", "{q}"), MessagesPlaceholder("feedback", optional=True)]
)
ASKED = {"q": "?"}


def _models(runs):
    return [run for run in runs.runs.values() if run["kind"] == "model"]


def _in_config(chain, handler, model):
    return chain, {"callbacks": [handler]}


def _in_a_manager(chain, handler, model):
    return chain, {"callbacks": CallbackManager(handlers=[handler], inheritable_handlers=[handler])}


def _in_with_config(chain, handler, model):
    return chain.with_config(callbacks=[handler]), None


def _on_the_model(chain, handler, model):
    model.callbacks = [handler]
    return chain, None


def _around(chain, handler, model):
    return RunnableLambda(chain.invoke, chain.ainvoke), {"callbacks": [handler]}


def _in_a_function_without_config(chain, handler, model):
    async def later(given):
        return await chain.ainvoke(given)

    def at_once(given):
        return chain.invoke(given)

    return RunnableLambda(at_once, later), {"callbacks": [handler]}


ROUTES = [
    _in_config,
    _in_a_manager,
    _in_with_config,
    _on_the_model,
    _around,
    _in_a_function_without_config,
]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.__name__.strip("_"))
async def test_handlers_see_each_call_once(door, call, scripted, runs, route):
    """Wherever they were given; each call ended, and below the wrapper where that is seen."""
    model = scripted("so")
    chain, config = route(door(PROMPT | model | StrOutputParser()), runs, model)
    assert await call(chain, ASKED, config) == "so"
    assert len(_models(runs)) == model.calls
    assert {run["end"] for run in runs.runs.values()} == {"ok"}
    if route is not _on_the_model:
        for run in _models(runs):
            assert "sample" in runs.path(run)


async def test_handlers_see_each_call_once_in_every_style(door, style, scripted, runs):
    """Below the wrapper, below its sample, below the chain of that."""
    model = scripted("so")
    chain = door(PROMPT | model | StrOutputParser(), name="mine")
    assert await style(chain, ASKED, {"callbacks": [runs]}) == "so"
    paths = [runs.path(run)[-4:] for run in _models(runs)]
    assert paths == [["mine", "sample", "RunnableSequence", "model"]] * model.calls


async def test_async_handlers_see_each_call(way, scripted):
    """As LangChain runs them."""
    door, style = way
    seen: list[str] = []

    class Counts(AsyncCallbackHandler):
        async def on_chat_model_start(self, serialized, messages, **_):
            await asyncio.sleep(0)
            seen.append("start")

        async def on_llm_end(self, response, **_):
            seen.append("end")

    model = scripted("so")
    await style(door(model), "?", {"callbacks": [Counts()]})
    assert seen.count("start") == seen.count("end") == model.calls


async def test_tags_and_metadata_are_inherited(way, scripted, runs):
    """Those of the request by everything; those of a step inside by what is below it."""
    door, style = way
    model = scripted("so")
    step = model.with_config(tags=["inner"], metadata={"where": "inside"})
    config = {"callbacks": [runs], "tags": ["mine"], "metadata": {"tenant": "a"}}
    await style(door(PROMPT | step | StrOutputParser()), ASKED, config)
    for run in runs.runs.values():
        assert "mine" in run["tags"]
        assert run["metadata"]["tenant"] == "a"
    for run in _models(runs):
        assert "inner" in run["tags"]
        assert run["metadata"]["where"] == "inside"
    [sequence, *_] = [run for run in runs.named("RunnableSequence") if run["tags"] != ["mine"]]
    assert "inner" not in sequence["tags"]


async def test_a_run_name_and_a_run_id_are_the_wrappers(door, call, scripted, runs):
    """And nobody else's."""
    asked = uuid4()
    config = {"callbacks": [runs], "run_name": "mine", "run_id": asked}
    await call(door(PROMPT | scripted("so")), ASKED, config)
    [(run_id, run)] = [each for each in runs.runs.items() if each[1]["name"] == "mine"]
    assert run_id == asked
    assert run["parent"] is None
    assert len(runs.named("mine")) == 1


async def test_names_of_steps_stay(door, call, scripted, runs):
    """As their owner called them."""
    chain = PROMPT.with_config(run_name="ask") | scripted("so") | RunnableLambda(str, name="shown")
    await call(door(chain.with_config(run_name="chain")), ASKED, {"callbacks": [runs]})
    for name in ("ask", "shown", "chain"):
        assert len(runs.named(name)) == len(runs.named("sample"))


async def test_functions_inside_get_the_config(way):
    """As an argument, and by asking for it: the keys of the request are in both."""
    door, style = way
    seen: list[tuple[object, object]] = []

    def step(given, config: RunnableConfig):
        implied = ensure_config()
        seen.append((config["configurable"]["user"], implied["configurable"]["user"]))
        assert config["recursion_limit"] == implied["recursion_limit"] == 7
        return "so"

    config = {"configurable": {"user": "u"}, "recursion_limit": 7}
    assert await style(door(RunnableLambda(step)), "?", config) == "so"
    assert set(seen) == {("u", "u")}


def _configurable(scripted):
    model = scripted("warm").configurable_fields(temperature=ConfigurableField(id="t"))
    return model.configurable_alternatives(
        ConfigurableField(id="llm"), default_key="one", other=scripted("other")
    )


@pytest.mark.parametrize("how", ["request", "with_config inside", "with_config around"])
async def test_configurable_alternatives(way, scripted, how):
    """By any of LangChain's ways."""
    door, style = way
    chosen = {"configurable": {"llm": "other"}}
    inner = PROMPT | _configurable(scripted) | StrOutputParser()
    if how == "with_config inside":
        inner = inner.with_config(chosen)
    chain = door(inner)
    if how == "with_config around":
        chain = chain.with_config(chosen)
    assert await style(chain, ASKED, chosen if how == "request" else None) == "other"
    assert "llm" in {spec.id for spec in door(inner).config_specs}


async def test_configurable_fields(door, call, model_class):
    """A setting of the model, per request; its default otherwise."""
    seen: list[float | None] = []

    class Warm(model_class):
        def _end(self, request):
            seen.append(self.temperature)
            return super()._end(request)

    model = Warm(replies=["so"]).configurable_fields(temperature=ConfigurableField(id="t"))
    chain = door(PROMPT | model)
    await call(chain, ASKED, {"configurable": {"t": 0.9}})
    assert set(seen) == {0.9}
    seen.clear()
    await call(chain, ASKED)
    assert set(seen) == {None}


async def test_a_wrapper_among_alternatives(door, call, scripted):
    """A request chooses the strategy, or none."""
    plain = scripted("plain")
    chain = plain.configurable_alternatives(
        ConfigurableField(id="effort"), default_key="low", high=door(scripted("thought"))
    )
    assert (await call(chain, "?")).text == "plain"
    assert (await call(chain, "?", {"configurable": {"effort": "high"}})).text == "thought"


class TestOneCap:
    """`max_concurrency` over what runs at once."""

    @staticmethod
    def drawing(model, **settings):
        return vote(model, n=4, stop=AtMost(4), prefer="latency", **settings)

    async def test_over_wrappers_within_a_wrapper(self, scripted, call):
        """Branches, maps and batches inside share the places of the outermost."""
        model = scripted("a", seconds=0.01)
        inner = self.drawing(model)
        branches = {"x": inner, "y": inner, "z": inner.map()}
        given = RunnableLambda(lambda text: {"x": text, "y": text, "z": [text] * 2})
        chain = given | {name: (lambda d, n=name: d[n]) | each for name, each in branches.items()}
        outer = vote(chain, n=2, stop=AtMost(2), prefer="latency", key=lambda _: 1)
        await call(outer, "?", {"max_concurrency": 3})
        assert model.calls == 2 * 4 * 4
        assert model.most_in_flight <= 3

    async def test_by_a_limiter_of_the_request(self, scripted):
        """Also over what LangChain itself runs at once, around the wrappers."""
        model = scripted("a", seconds=0.005)
        chain = RunnableLambda(str) | {"x": self.drawing(model), "y": self.drawing(model)}
        config = {"configurable": {"thinktwice_limiter": Limiter(3)}}
        each = RunnableLambda(chain.invoke, chain.ainvoke)  # hides the wrappers from the batch
        await each.abatch(["?"] * 3, config)
        await asyncio.to_thread(each.batch, ["?"] * 3, config)
        assert model.calls == 2 * 3 * 8
        assert model.most_in_flight == 3

    async def test_a_lower_one_binds_beside_it(self, scripted, call):
        """Of the request, or of the wrapper."""
        model = scripted("a", seconds=0.005)
        shared = {"thinktwice_limiter": Limiter(3)}
        await call(self.drawing(model), "?", {"configurable": shared, "max_concurrency": 2})
        await call(self.drawing(model, max_concurrency=2), "?", {"configurable": shared})
        assert model.most_in_flight == 2

    async def test_what_is_no_limiter_is_refused(self, scripted, call):
        """By its name."""
        with pytest.raises(UsageError, match="thinktwice_limiter"):
            await call(vote(scripted("a")), "?", {"configurable": {"thinktwice_limiter": 3}})

    async def test_nothing_of_it_reaches_the_samples(self, door):
        """What a model takes for settings of its own holds what the caller gave."""
        seen: list[set[str]] = []

        def step(given, config: RunnableConfig):
            seen.append(set(config["configurable"]) | set(ensure_config()["configurable"]))
            return "so"

        config = {"max_concurrency": 2, "configurable": {"user": "u"}}
        chain = door(RunnableLambda(step))
        await asyncio.to_thread(chain.batch, ["?", "?"], config)
        await chain.abatch(["?", "?"], config)
        assert {key for keys in seen for key in keys} == {"user"}
