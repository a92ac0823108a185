"""What each party sees and does not see, and who opens the span of a model call."""

from __future__ import annotations

import json
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar

import pytest
from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.tracers import LangChainTracer
from langchain_thinktwice import RunnableSampler, best_of_n, vote
from langchain_thinktwice.chat_model import StrategyChatModel
from langchain_thinktwice.tracing import emitters
from langsmith import Client
from opentelemetry import trace

from integrations.langchain.tests.tracing.columns import NAMES, column
from integrations.langchain.tests.tracing.state import suppressed
from integrations.langchain.tests.tracing.traces import SAMPLE, Trace, Tree, tokens
from thinktwice import AtMost, UsageError, Vote, remarks
from thinktwice.errors import ThinktwiceWarning
from thinktwice.instrumentation import instrumented
from thinktwice.verifiers.judge import Judge
from thinktwice.workflow import collect

pytestmark = [
    pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning"),
    pytest.mark.filterwarnings("ignore:Calling .text"),  # OpenInference does
]


def drawing(runnable, n=2, **settings):
    """A vote that draws all n at once."""
    return vote(runnable, n=n, stop=AtMost(n), prefer="latency", **settings)


# ---- whose span a model call has ----------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        ("auto", "none", 2),
        ("never", "none", 0),
        ("always", "none", 2),
        ("auto", "openinference", 0),
        ("always", "openinference", 2),
        ("always", "langfuse", 2),
    ],
    ids=str,
)
async def test_the_setting_decides(under, call, scripted, case):
    """Over what is known of other tracers, and for wrappers inside."""
    choice, party, own = case
    column = under(party)
    inner = drawing(scripted("a"), 2, llm_spans="auto")
    outer = vote(inner | StrOutputParser(), n=1, llm_spans=choice)
    await call(outer, "?", {"callbacks": column.callbacks})
    assert len(Trace(column.exporter.get_finished_spans()).own()) == own


async def test_the_environment_decides_over_the_setting(under, call, scripted, monkeypatch):
    """For all wrappers of a process."""
    column = under("none")
    monkeypatch.setenv("THINKTWICE_LLM_SPANS", "never")
    await call(drawing(scripted("a"), llm_spans="always"), "?")
    assert Trace(column.exporter.get_finished_spans()).own() == []


def test_another_word_is_refused(scripted):
    """As it is wrapped."""
    with pytest.raises(UsageError, match="'auto' or 'always' or 'never'"):
        vote(scripted("a"), llm_spans="sometimes")


@pytest.mark.parametrize(
    "home",
    [
        "langfuse.langchain.CallbackHandler",
        "mlflow.langchain.langchain_tracer",
        "logfire._internal.integrations.llm",
        "openlit.instrumentation.langchain.callback_handler",
        "opik.integrations.langchain.opik_tracer",
        "openinference.instrumentation.langchain._tracer",
        "opentelemetry.instrumentation.langchain.callback_handler",
    ],
)
async def test_handlers_that_open_spans_are_known(under, call, scripted, home):
    """By the package that their class comes from."""
    column = under("none")

    class Handler(BaseCallbackHandler):
        pass

    Handler.__module__ = home
    assert emitters([Handler()]) == {home.partition(".")[0]}
    await call(drawing(scripted("a")), "?", {"callbacks": [Handler()]})
    assert Trace(column.exporter.get_finished_spans()).own() == []


@contextmanager
def switched_on(package):
    """An instrumentation, which is known by the name of its package."""
    instrumentor = pytest.importorskip(
        "opentelemetry.instrumentation.instrumentor",
        reason="no instrumentation of OpenTelemetry is installed",
    )

    class Anything(instrumentor.BaseInstrumentor):
        def instrumentation_dependencies(self):
            return []

        def _uninstrument(self, **kwargs):
            """Nothing."""

    Anything.__module__ = f"openinference.instrumentation.{package}"
    Anything().instrument()
    try:
        yield
    finally:
        Anything().uninstrument()


async def test_an_instrumented_provider_opens_its_own(under, call, scripted):
    """Known by its instrumentor, wherever the class has its name from."""
    column = under("none")
    with switched_on("groq"):
        await call(drawing(scripted("a")), "?")
    assert Trace(column.exporter.get_finished_spans()).own() == []
    await call(drawing(scripted("a")), "?")
    assert len(Trace(column.exporter.get_finished_spans()).own()) == 2


@pytest.mark.parametrize(("framework", "own"), [("llama_index", 2), ("openai", 0)])
async def test_an_instrumentation_of_another_framework(under, call, scripted, framework, own):
    """It sees none of these calls: they have our span. One of a client does see them."""
    column = under("none")
    with switched_on(framework):
        await call(drawing(scripted("a")), "?")
    assert len(Trace(column.exporter.get_finished_spans()).own()) == own


async def test_two_parties_are_warned_of_once(under, call, scripted, monkeypatch):
    """They count every token twice in a backend that gets both."""
    monkeypatch.setattr(remarks, "_told", set())
    under("both")
    chain = drawing(scripted("a") | StrOutputParser())
    with pytest.warns(ThinktwiceWarning) as said:
        await call(chain | chain, "?")
    both = [str(each.message) for each in said if "both trace" in str(each.message)]
    assert len(both) == 1
    assert both[0].startswith("openinference and opentelemetry both trace every model call")


# ---- what stays apart ---------------------------------------------------------------------------


@pytest.mark.parametrize("party", ["none", "openinference", "openllmetry"])
async def test_the_user_may_suppress_all_of_it(under, call, scripted, party):
    """Neither we nor others write a span then."""
    column = under(party)
    with suppressed():
        await call(drawing(scripted("a") | StrOutputParser()), "?")
    assert column.exporter.get_finished_spans() == ()


@pytest.mark.parametrize("party", ["none", "openinference", "openllmetry", "langfuse"])
async def test_samples_do_not_see_each_others_context(under, call, scripted, party):
    """What one sets is not there in another, nor in the caller."""
    column = under(party)
    mark: ContextVar[str] = ContextVar("mark", default="unset")
    found = []

    def step(message):
        found.append(mark.get())
        mark.set("set")
        return message.text

    await call(drawing(scripted("a") | step, 3), "?", {"callbacks": column.callbacks})
    assert found == ["unset"] * 3
    assert mark.get() == "unset"


@pytest.mark.parametrize("party", ["openinference", "openllmetry"])
async def test_the_wrappers_own_run_has_no_span_of_theirs(under, call, scripted, party):
    """Ours stands for it; a callback tracer sees it all the same."""
    column, tree = under(party), Tree()
    await call(drawing(scripted("a"), name="mine"), "?", {"callbacks": [tree]})
    told = Trace(column.exporter.get_finished_spans())
    assert not any("mine" in span.name for span in told.spans)
    assert [root.name for root in tree.roots] == ["mine"]
    [top] = [span for span in told.spans if span.parent is None]
    assert top.name == "invoke_workflow Vote"


async def test_what_langfuse_is_sent(under, call, scripted):
    """Its own tree with every token once; ours beside it, whole, as all of it has `gen_ai.*`."""
    column = under("langfuse")
    await call(drawing(scripted("a") | StrOutputParser()), "?", {"callbacks": column.callbacks})
    column.flush()
    sent = Trace(column.shipped.get_finished_spans())
    paths = sorted(sent.path(span) for span in sent.spans if span in sent.calls)
    root = "Vote[RunnableSequence]"
    assert paths == [[root, "sample", "RunnableSequence", "ScriptedModel"]] * 2
    assert sum(map(tokens, sent.calls)) == 2 * 6
    assert [sent.path(each) for each in sent.named("invoke_workflow Vote")] == [
        [root, "invoke_workflow Vote"]
    ]
    assert [sent.path(each) for each in sent.named(SAMPLE)] == [
        [root, "invoke_workflow Vote", SAMPLE]
    ] * 2


async def test_langfuse_is_sent_each_part_of_the_usage_once(under, call, scripted):
    """Parts that exclude each other, and a total that is the ledger's."""
    column = under("langfuse")
    details = {"cache_read": 600, "cache_creation": 100}
    usage = {"input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500}
    usage |= {"input_token_details": details, "output_token_details": {"reasoning": 300}}
    model = scripted(AIMessage("a", usage_metadata=usage))
    with collect() as results:
        await call(drawing(model), "?", {"callbacks": column.callbacks})
    column.flush()
    sent = Trace(column.shipped.get_finished_spans())
    told = [
        json.loads(each.attributes["langfuse.observation.usage_details"]) for each in sent.calls
    ]
    totals = [each.pop("total") for each in told]
    assert [sum(each.values()) for each in told] == totals == [1500] * 2
    assert results[0].ledger.total.usage.total_tokens == sum(totals)


@pytest.mark.parametrize("outer", [True, False], ids=["outer", "alone"])
async def test_langsmiths_export_to_opentelemetry(under, call, scripted, outer):
    """A tree of its own, with every token once; in our trace if a span is around the request."""
    column = under("none")
    client = Client(
        api_url="http://127.0.0.1:9",
        api_key="none",
        tracing_mode="otel",
        otel_tracer_provider=trace.get_tracer_provider(),
    )
    config = {"callbacks": [LangChainTracer(client=client)]}
    around = trace.get_tracer("test").start_as_current_span("outer") if outer else nullcontext()
    with around:
        await call(drawing(scripted("a") | StrOutputParser()), "?", config)
    client.flush()
    client.close()
    told = Trace(column.exporter.get_finished_spans())
    assert told.own() == []
    assert sum(map(tokens, told.calls)) == 2 * 6
    assert len(told.ids) == (1 if outer else 2)
    assert told.orphans == []


async def test_a_shadow_is_a_trace_of_its_own(under, call, scripted):
    """With its model calls below its samples; the answer's own is where it was."""
    column = under("openinference")
    chain = drawing(scripted("a") | StrOutputParser(), shadow=1.0)
    await call(chain, "?")
    await chain.shadow.drain()
    told = Trace(column.exporter.get_finished_spans())
    paths = [told.path(span) for span in told.calls]
    assert ["RunnableSequence", "ScriptedModel"] in paths
    inside = [path for path in paths if path[0] == "thinktwice.shadow"]
    assert len(inside) == len(paths) - 1 == 2
    assert all(path[1:3] == ["invoke_workflow Vote", SAMPLE] for path in inside)


# ---- judges -------------------------------------------------------------------------------------


@pytest.mark.parametrize("party", ["openinference", "openllmetry"])
async def test_a_judge_is_below_its_verdict(under, call, scripted, party):
    """Also one that is a model and nothing else: it gets a run of its own around it."""
    column, tree = under(party), Tree()
    judge = Judge(RunnableSampler(scripted("Score: 5")), rubric="10: right. 0: wrong.")
    chain = best_of_n(scripted("a") | StrOutputParser(), n=1, verifier=judge)
    await call(chain, "?", {"callbacks": [tree]})
    told = Trace(column.exporter.get_finished_spans())
    [path] = [told.path(span) for span in told.calls if "thinktwice.sample" not in told.path(span)]
    assert path[1].startswith("thinktwice.verify")
    assert "verify" in path[2]
    names = [tree.path(run) for run in tree.of("llm")]
    assert ["BestOfN[RunnableSequence]", "verify", "ScriptedModel"] in names


@pytest.mark.parametrize("waits", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize("party", ["openinference", "openllmetry"])
async def test_a_plain_function_that_asks_a_model(under, call, scripted, party, waits):
    """Its call is below its verdict as well, though nobody passes it a config."""
    column, tree, model = under(party), Tree(), scripted("1.0")

    def check(text: str) -> float:
        return float(model.invoke(text).text)

    async def acheck(text: str) -> float:
        return float((await model.ainvoke(text)).text)

    check.name = acheck.name = "check"
    answers = scripted("a") | StrOutputParser()
    chain = best_of_n(answers, n=1, verifier=acheck if waits else check)
    await call(chain, "?", {"callbacks": [tree]})
    told = Trace(column.exporter.get_finished_spans())
    paths = [told.path(span) for span in told.calls if SAMPLE not in told.path(span)]
    assert [path[1] for path in paths] == ["thinktwice.verify check"]
    assert ["BestOfN[RunnableSequence]", "verify", "ScriptedModel"] in map(
        tree.path, tree.of("llm")
    )
    assert tree.open == []


# ---- several choices by one request -------------------------------------------------------------


@pytest.mark.parametrize(
    ("party", "times"),
    [("none", 1), ("openinference", 1), ("openllmetry", 4), ("langfuse", 1)],
)
async def test_choices_of_one_request_count_once(under, call, scripted, party, times):
    """But with OpenLLMetry, which counts each choice as all of the request, without us as well."""
    column, plain = under(party), scripted("4")
    config = {"callbacks": column.callbacks}
    result = (await call(drawing(plain, 4, native_n=True, include_result=True), "?", config))[
        "result"
    ]
    column.flush()
    [wrapped] = Trace(column.exporter.get_finished_spans()).calls
    booked = result.ledger.total.usage.total_tokens
    assert [each["kwargs"]["n"] for each in plain.log] == [4]
    assert tokens(wrapped) == times * booked
    if party != "none":
        column.clear()
        await call(plain, "?", config, n=4)
        column.flush()
        [bare] = Trace(column.exporter.get_finished_spans()).calls
        assert tokens(bare) == tokens(wrapped)


# ---- the chat-model door ------------------------------------------------------------------------


@pytest.mark.parametrize("outer", [True, False], ids=["outer", "alone"])
@pytest.mark.parametrize("party", ["none", "openinference", "openllmetry", "langfuse", "langsmith"])
async def test_a_chat_model_that_samples_counts_once(under, call, scripted, party, outer):
    """Its own run has the total, or the calls inside have spans: never both."""
    column, tree = under(party), Tree()
    model = StrategyChatModel(scripted("a"), Vote(2, stop=AtMost(2)))
    around = trace.get_tracer("test").start_as_current_span("outer") if outer else nullcontext()
    with around:
        await call(model | StrOutputParser(), "?", {"callbacks": [*column.callbacks, tree]})
    column.flush()
    told = Trace(column.exporter.get_finished_spans())
    assert sum(map(tokens, told.calls)) == 2 * 6
    assert len(told.ids) == 1
    assert told.orphans == []
    assert len(tree.of("llm")) == 1
    assert [run.name for run in tree.roots] == ["RunnableSequence"]


async def test_a_chat_model_whose_calls_are_traced_by_mlflow(call, scripted, monkeypatch):
    """Its handler is added to whatever is called: it gets one tree, whose top has the total."""

    class Handler(Tree):
        pass

    Handler.__module__ = "mlflow.langchain.langchain_tracer"
    handler, made = Handler(), BaseCallbackManager.__init__

    def init(self, *args, **kwargs):
        made(self, *args, **kwargs)
        if handler not in self.inheritable_handlers:
            self.add_handler(handler)

    monkeypatch.setattr(BaseCallbackManager, "__init__", init)
    model = StrategyChatModel(scripted("a"), Vote(2, stop=AtMost(2)))
    answer = await call(model, "?")
    assert answer.usage_metadata["total_tokens"] == 2 * 6
    assert [run.name for run in handler.roots] == ["StrategyChatModel"]
    below = [["StrategyChatModel", "Vote[ScriptedModel]", "sample", "ScriptedModel"]] * 2
    assert [handler.path(run) for run in handler.of("llm")][1:] == below


def test_parties_leave_nothing_behind():
    """These tests may come in any order, among others."""
    from langgraph.pregel import Pregel

    before = (BaseCallbackManager.__init__, Pregel.stream, trace.get_tracer_provider())
    for name in NAMES:
        with column(name):
            pass
    after = (BaseCallbackManager.__init__, Pregel.stream, trace.get_tracer_provider())
    assert all(one is other for one, other in zip(before, after, strict=True))
    assert not instrumented()
