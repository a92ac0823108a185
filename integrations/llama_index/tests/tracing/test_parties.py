"""What each party sees and does not see, and who opens the span of an LLM call."""

from __future__ import annotations

import asyncio
from contextvars import Context, ContextVar

import pytest
from llama_index.core.base.llms.types import ChatMessage, CompletionResponse
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.llms import MockLLM
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span_handlers import SimpleSpanHandler
from llama_index_thinktwice.accounting.booking import CallHandler, install
from llama_index_thinktwice.solver import AsyncDrawing, Solver
from llama_index_thinktwice.tracing import emitters

from integrations.llama_index.tests.tracing.rows import all_of
from integrations.llama_index.tests.tracing.state import suppressed, unchanged
from integrations.llama_index.tests.tracing.traces import SAMPLE, Trace, tokens, tree
from thinktwice.errors import ThinktwiceWarning
from thinktwice.history import History

pytestmark = [
    pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # pydantic, of OpenInference
]

MESSAGES = [ChatMessage("?")]


async def drawn(llm, n=2, inner=None, **settings):
    """A vote that asks an LLM in each sample."""

    async def draw(_: object) -> str:
        if inner is not None:
            await drawn(llm, 1, **inner)
            return "a"
        return str(await llm.achat(MESSAGES))

    return await Solver(all_of(n), **settings).solve("?", AsyncDrawing(draw, History()))


# ---- whose span an LLM call has ------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        ("auto", "none", 2),
        ("never", "none", 0),
        ("always", "none", 2),
        ("auto", "observability", 2),
        ("auto", "openinference", 0),
        ("always", "openinference", 2),
    ],
    ids=str,
)
async def test_the_setting_decides(under, scripted, case):
    """Over what is known of other tracers, and for strategies inside."""
    choice, party, own = case
    column = under(party)
    await drawn(scripted("a"), inner={"llm_spans": "auto"}, llm_spans=choice)
    assert len(Trace(column.spans()).own()) == own


async def test_the_environment_decides_over_the_setting(under, scripted, monkeypatch):
    """For all of a process."""
    column = under("none")
    monkeypatch.setenv("THINKTWICE_LLM_SPANS", "never")
    await drawn(scripted("a"), llm_spans="always")
    assert Trace(column.spans()).own() == []


@pytest.mark.parametrize(
    "home",
    [
        "openinference.instrumentation.llama_index._handler",
        "opentelemetry.instrumentation.llamaindex.dispatcher_wrapper",
        "mlflow.llama_index.tracer",
        "langfuse.llama_index",
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
async def test_handlers_that_open_spans_are_known(under, scripted, home, legacy):
    """By the package that their class comes from; those of callback managers as well."""
    column = under("none")
    base = BaseCallbackHandler if legacy else SimpleSpanHandler

    class Handler(base):
        if legacy:

            def __init__(self):
                super().__init__([], [])

            def on_event_start(self, *args, **kwargs):
                return ""

            def on_event_end(self, *args, **kwargs):
                """Nothing."""

            def start_trace(self, trace_id=None):
                """Nothing."""

            def end_trace(self, trace_id=None, trace_map=None):
                """Nothing."""

    Handler.__module__ = home
    assert emitters([Handler()]) == {home.partition(".")[0]}
    manager = CallbackManager([Handler()] if legacy else [])
    if not legacy:
        get_dispatcher().add_span_handler(Handler())
    await drawn(scripted("a", callback_manager=manager))
    assert Trace(column.spans()).own() == []


@pytest.mark.parametrize(("framework", "own"), [("langchain", 2), ("openai", 0)])
async def test_an_instrumentation_of_another_framework(under, scripted, framework, own):
    """It sees none of these calls: they have our span. One of a client does see them."""
    instrumentor = pytest.importorskip(
        "opentelemetry.instrumentation.instrumentor",
        reason="no instrumentation of OpenTelemetry is installed",
    )
    column = under("none")

    class Anything(instrumentor.BaseInstrumentor):
        def instrumentation_dependencies(self):
            return []

        def _uninstrument(self, **kwargs):
            """Nothing."""

    Anything.__module__ = f"openinference.instrumentation.{framework}"
    Anything().instrument()
    try:
        await drawn(scripted("a"))
    finally:
        Anything().uninstrument()
    assert len(Trace(column.spans()).own()) == own


async def test_two_parties_are_warned_of_once(under, scripted, fresh_remarks):
    """They count every token twice in a backend that gets both."""

    class Handler(SimpleSpanHandler):
        """Of another party."""

    Handler.__module__ = "mlflow.llama_index.tracer"
    under("openinference")
    get_dispatcher().add_span_handler(Handler())
    with pytest.warns(ThinktwiceWarning) as said:
        await drawn(scripted("a"))
    both = [str(each.message) for each in said if "both trace" in str(each.message)]
    assert len(both) == 1
    assert both[0].startswith("mlflow and openinference both trace every LLM call")


@pytest.mark.parametrize("party", ["openinference", "observability"])
@pytest.mark.parametrize("first", [False, True])
async def test_whoever_is_set_up_first(under, scripted, party, first):
    """LLM calls are below their samples, and the context is as it was."""
    root = get_dispatcher()
    if first:
        install()
    else:
        root.span_handlers[:] = [
            each for each in root.span_handlers if type(each) is not CallHandler
        ]
    column = under(party)
    llm = scripted("a b")

    async def request() -> None:
        with unchanged():
            await drawn(llm)

    await asyncio.create_task(request(), context=Context())
    told = Trace(column.spans())
    assert len(told.ids) == 1
    assert [SAMPLE in told.path(call) for call in told.calls] == [True, True]


# ---- what stays apart ----------------------------------------------------------------------------


@pytest.mark.parametrize("party", ["none", "openinference"])
async def test_the_user_may_suppress_all_of_it(under, scripted, party):
    """Neither we nor others write a span then; observability-otel does not ask."""
    column = under(party)
    with suppressed():
        await drawn(scripted("a"))
    assert column.spans() == ()


@pytest.mark.parametrize("party", ["none", "openinference", "observability"])
async def test_samples_do_not_see_each_others_context(under, party):
    """What one sets is not there in another, nor in the caller."""
    under(party)
    mine: ContextVar[int | None] = ContextVar("mine", default=None)
    seen = []

    async def draw(_: object) -> str:
        seen.append(mine.get())
        mine.set(1)
        await asyncio.sleep(0)
        return "a"

    await Solver(all_of(3)).solve("?", AsyncDrawing(draw, History()))
    assert seen == [None] * 3
    assert mine.get() is None


@pytest.mark.parametrize("party", ["none", "openinference", "observability"])
async def test_errors_and_cancellation_end_all_spans(under, scripted, party, caplog):
    """And all nodes of LlamaIndex; with types of errors alone on ours."""
    column = under(party)
    with tree() as nodes:
        with pytest.raises(ConnectionResetError):
            await drawn(scripted(ConnectionResetError("secret")))
        request = asyncio.create_task(drawn(scripted("a", seconds=30)))
        await asyncio.sleep(0.05)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
    assert nodes.open_spans == {}
    told = Trace(column.spans())
    assert told.orphans == []
    ours = [span for span in told.spans if span.instrumentation_scope.name == "thinktwice"]
    failed = [span for span in ours if span.attributes.get("error.type")]
    assert {span.attributes["error.type"] for span in failed} == {"ConnectionResetError"}
    assert "secret" not in str([(span.attributes, span.status.description) for span in ours])
    assert not caplog.records


async def test_events_carry_the_sample(scripted):
    """As tags, for handlers of the user's own."""
    heard = []

    class Listening(BaseEventHandler):
        def handle(self, event, **kwargs):
            heard.append((event.class_name(), event.tags.get("thinktwice.sample.index")))

    root, listening = get_dispatcher(), Listening()
    root.add_event_handler(listening)
    try:
        await drawn(scripted("a"), 3)
        await scripted("a").achat(MESSAGES)
    finally:
        root.event_handlers.remove(listening)
    ends = [index for name, index in heard if name == "LLMChatEndEvent"]
    assert sorted(ends[:3]) == [0, 1, 2]
    assert ends[3:] == [None]


@pytest.mark.parametrize("party", ["none", "observability"])
async def test_a_custom_llm_counts_once_in_our_spans(under, party):
    """Though it has a node for each method that a call goes through."""
    column = under(party)
    result = await drawn(Counting())
    told = Trace(column.spans())
    assert len(told.own()) == len(told.calls) == result.ledger.total.calls == 2
    assert sum(map(tokens, told.spans)) == result.ledger.total.usage.total_tokens == 2 * 15


async def test_a_custom_llm_counts_thrice_in_openinference(under):
    """A span with tokens for each of these methods, with or without us: its leaves are right."""
    column = under("openinference")
    result = await drawn(Counting())
    told = Trace(column.spans())
    assert result.ledger.total.usage.total_tokens == sum(map(tokens, told.calls)) == 2 * 15
    assert sum(map(tokens, told.spans)) == 3 * 2 * 15


class Counting(MockLLM):
    """Reports tokens, `achat` through `chat` through `complete`."""

    @llm_completion_callback()
    def complete(self, prompt, formatted=False, **kwargs):
        counts = {"prompt_tokens": 10, "completion_tokens": 5}
        return CompletionResponse(text="a", raw={"usage": counts})
