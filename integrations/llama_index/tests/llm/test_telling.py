"""Who hears of what: callbacks, events, nodes of LlamaIndex's tree, spans."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMChatStartEvent
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.llms import LLM
from llama_index_thinktwice.llm import StrategyLLM
from pydantic import BaseModel, PrivateAttr

from thinktwice import AtMost, Vote
from thinktwice.testing import captured_spans

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


class Number(BaseModel):
    """A number."""

    value: int


@pytest.fixture
def counting():
    """A callback manager, and the handler of it that counts tokens."""
    counter = TokenCountingHandler(tokenizer=str.split)
    return CallbackManager([counter]), counter


class Heard(BaseEventHandler):
    """Keeps the events of LLM calls."""

    _events: list[Any] = PrivateAttr(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Heard"

    def handle(self, event: Any, **_: Any) -> None:
        self._events.append(event)

    def of(self, kind: type) -> list[Any]:
        return [each for each in self._events if isinstance(each, kind)]


@pytest.fixture
def heard(monkeypatch):
    """What the root dispatcher tells of events."""
    root, handler = get_dispatcher(), Heard()
    monkeypatch.setattr(root, "event_handlers", [*root.event_handlers, handler])
    return handler


@pytest.fixture
def tree(monkeypatch):
    """What the root dispatcher tells of nodes."""
    root, handler = get_dispatcher(), SimpleSpanHandler()
    monkeypatch.setattr(root, "span_handlers", [*root.span_handlers, handler])
    return handler


async def test_tokens_are_counted_once(scripted, voting, counting, ask):
    """Those of each call, by every way to ask; and what is in the response is their sum."""
    manager, counter = counting
    llm = voting(scripted("4"))
    llm.callback_manager = manager
    response = await ask(llm)
    assert len(counter.llm_token_counts) == 3
    assert counter.total_llm_token_count == response.additional_kwargs["total_tokens"] == 30


async def test_an_engine_hands_its_callbacks_on(scripted, voting, counting, index, monkeypatch):
    """`as_query_engine` sets those of `Settings` on the LLM that it is given."""
    manager, counter = counting
    llm = voting(scripted("Paris"))
    monkeypatch.setattr(Settings, "_callback_manager", manager)
    engine = index.as_query_engine(llm=llm, similarity_top_k=1)
    engine.query("Where?")
    await engine.aquery("Where?")
    assert len(counter.llm_token_counts) == 2 * 3
    assert llm.llm.callback_manager is manager


def test_callbacks_of_the_llm_are_kept(scripted, voting, counting):
    """Wrapping it changes nothing."""
    manager, _counter = counting
    inner = scripted("4")
    inner.callback_manager = manager
    assert voting(inner).callback_manager is manager
    assert inner.callback_manager is manager


@pytest.mark.skipif("rate_limiter" not in LLM.model_fields, reason="of later releases")
async def test_rate_limits_are_the_llms(scripted, voting, question, call):
    """Each call asks for leave."""
    asked = []

    class Limiter:
        def acquire(self) -> None:
            asked.append("sync")

        async def async_acquire(self) -> None:
            asked.append("async")

    llm = voting(scripted("4"))
    llm.rate_limiter = Limiter()
    await call(llm, "chat", question)
    assert len(asked) == 3


async def test_events_are_those_of_the_calls(scripted, voting, question, heard, call):
    """Their payloads hold neither the strategy nor what is set on the LLM."""
    inner = scripted("4")
    inner.system_prompt = "secret-key"
    await call(voting(inner), "chat", question)
    assert len(heard.of(LLMChatEndEvent)) == len(heard.of(LLMChatStartEvent)) == 3
    assert {each.model_dict["class_name"] for each in heard.of(LLMChatStartEvent)} == {
        "ScriptedLLM"
    }
    assert {each.tags["thinktwice.sample.index"] for each in heard.of(LLMChatEndEvent)} == {0, 1, 2}


def test_its_payload_is_that_of_any_llm(scripted, voting):
    """Nothing of the LLM inside."""
    inner = scripted("secret-key")
    inner.system_prompt = "none"
    llm = voting(inner, options={"extra_headers": {"authorization": "secret-key"}})
    shown = [llm.to_dict(), llm.to_json(), repr(llm)]
    if hasattr(llm, "to_payload"):  # in later releases
        shown.append(llm.to_payload())
        assert shown[-1]["model_name"] == "fake-1"
    assert all("secret-key" not in str(each) for each in shown)
    assert shown[0]["class_name"] == "StrategyLLM"


async def test_one_tree_of_nodes(scripted, voting, tree, ask):
    """One root, nothing left open, and each call below its sample."""
    await ask(voting(scripted("4")))
    nodes = tree.completed_spans
    roots = [each for each in nodes if each.parent_id is None]
    assert [each.id_.partition("-")[0] for each in roots] == [f"StrategyLLM.{ask.method}"]
    assert not tree.open_spans
    names = {each.id_: each.id_.partition("-")[0] for each in nodes}
    calls = [each for each in nodes if names[each.id_].startswith("ScriptedLLM.")]
    assert len(calls) == 3
    assert {names[each.parent_id] for each in calls} == {"sample"}
    assert {each.parent_id for each in nodes if names[each.id_] == "sample"} == {roots[0].id_}


async def test_failing_leaves_no_node_open(scripted, voting, tree, ask):
    """Its root is dropped."""
    with pytest.raises(ConnectionError):
        await ask(voting(scripted(ConnectionError("down"))))
    assert not tree.open_spans
    assert f"StrategyLLM.{ask.method}" in {e.id_.partition("-")[0] for e in tree.dropped_spans}


async def test_structured_output_is_one_tree_too(scripted, voting, asks_tools, tree, call):
    """With the LLM's own method in it."""
    from llama_index.core.prompts import PromptTemplate

    llm = voting(scripted(asks_tools(("Number", {"value": 4}))))
    await call(llm, "structured_predict", Number, PromptTemplate("?"))
    roots = [each for each in tree.completed_spans if each.parent_id is None]
    assert len(roots) == 1
    assert not tree.open_spans


@pytest.mark.parametrize("chats", [True, False], ids=["chat", "completion"])
async def test_templates_are_streamed_in_one_tree(scripted, voting, tree, call, chats):
    """As an engine that streams does it: one root, below which the samples are."""
    from llama_index.core.prompts import PromptTemplate

    inner = scripted(lambda request: request["text"], is_chat=chats)
    said = await call(voting(inner), "stream", PromptTemplate("Where is {it}?"), it="Paris")
    told = "".join([each async for each in said] if hasattr(said, "__aiter__") else said)
    assert "Where is Paris?" in told
    roots = [each for each in tree.completed_spans if each.parent_id is None]
    assert [each.id_.partition("-")[0].removeprefix("StrategyLLM.") for each in roots] in (
        ["stream"],
        ["astream"],
    )
    assert not tree.open_spans


async def test_a_template_with_a_parser_is_not_paid_for(scripted, voting, call):
    """LlamaIndex's error, before anything is drawn."""
    from llama_index.core.output_parsers import PydanticOutputParser
    from llama_index.core.prompts import PromptTemplate

    inner = scripted("4")
    template = PromptTemplate("?", output_parser=PydanticOutputParser(Number))
    with pytest.raises(NotImplementedError, match="streaming"):
        await call(voting(inner), "stream", template)
    assert inner.calls == 0


def test_methods_have_their_names(scripted, voting):
    """And their documentation, signature and kind."""
    import inspect

    llm = voting(scripted("4"))
    assert StrategyLLM.chat.__name__ == "chat"
    assert "on threads" in (StrategyLLM.chat.__doc__ or "")
    assert list(inspect.signature(llm.complete).parameters) == ["prompt", "formatted", "kwargs"]
    assert inspect.iscoroutinefunction(llm.achat)
    assert not inspect.iscoroutinefunction(llm.chat)


class TestSpans:
    """Ours, alone and beside OpenInference."""

    async def test_alone(self, scripted, voting, question, call):
        """A span for each call, below its sample, with its tokens."""
        with captured_spans() as spans:
            await call(voting(scripted("4")), "chat", question)
        by_id = {each.context.span_id: each for each in spans}
        calls = [each for each in spans if each.name == "chat fake-1"]
        assert len(calls) == 3
        assert {by_id[each.parent.span_id].name for each in calls} == {"thinktwice.sample"}
        assert sum(each.attributes["gen_ai.usage.input_tokens"] for each in calls) == 15
        assert len({each.context.trace_id for each in spans}) == 1

    @pytest.mark.parametrize(("chosen", "count"), [("never", 0), ("always", 3), ("auto", 3)])
    async def test_may_be_chosen(self, scripted, question, call, chosen, count):
        """`llm_spans` says whether ours are opened."""
        llm = StrategyLLM(llm=scripted("4"), strategy=Vote(3, stop=AtMost(3)), llm_spans=chosen)
        with captured_spans() as spans:
            await call(llm, "chat", question)
        assert len([each for each in spans if each.name == "chat fake-1"]) == count

    # A warning of pydantic's, turned into an error, would end OpenInference's handler.
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    async def test_beside_openinference(self, scripted, voting, question, call):
        """Its spans are those of the calls, below our samples; it has none of this LLM."""
        instrumentation = pytest.importorskip("openinference.instrumentation.llama_index")
        from opentelemetry import trace

        with captured_spans() as spans:
            instrumentor = instrumentation.LlamaIndexInstrumentor()
            instrumentor.instrument(tracer_provider=trace.get_tracer_provider())
            try:
                await call(voting(scripted("4")), "chat", question)
            finally:
                instrumentor.uninstrument()
        names = [each.name for each in spans]
        assert not [name for name in names if name.startswith("StrategyLLM")]
        counted = [each for each in spans if "llm.token_count.total" in each.attributes]
        assert sum(each.attributes["llm.token_count.total"] for each in counted) == 30
        by_id = {each.context.span_id: each for each in spans}
        assert {by_id[each.parent.span_id].name for each in counted} == {"thinktwice.sample"}
        assert "chat fake-1" not in names
        assert len({each.context.trace_id for each in spans}) == 1
