"""What tracers see: a run for each sample, and spans that hang together."""

from __future__ import annotations

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers.langchain import LangChainTracer
from langchain_thinktwice import best_of_n, vote
from langchain_thinktwice.tracing import emitters
from opentelemetry import trace

from thinktwice import AtMost, Budget
from thinktwice.testing import captured_spans

PROMPT = ChatPromptTemplate.from_template("{x}")


def drawing(runnable, n, **settings):
    """A vote that draws all n."""
    return vote(runnable, n=n, stop=AtMost(n), **settings)


async def test_the_tree_of_runs(scripted, call, runs):
    """Wrapper, samples, and the chain's own runs below; all of them end."""
    chain = PROMPT | scripted("a") | StrOutputParser()
    await call(
        drawing(chain, 2, name="answer"), {"x": "?"}, {"callbacks": [runs], "tags": ["mine"]}
    )
    assert all(run["end"] == "ok" for run in runs.runs.values())
    assert [runs.path(run) for run in runs.named("sample")] == [["answer", "sample"]] * 2
    models = runs.named("model")
    assert [runs.path(run) for run in models] == [
        ["answer", "sample", "RunnableSequence", "model"]
    ] * 2
    assert sorted(run["metadata"]["thinktwice_sample_index"] for run in models) == [0, 1]
    assert all({"thinktwice:sample", "nostream", "mine"} <= set(run["tags"]) for run in models)
    [root] = runs.named("answer")
    assert "thinktwice:sample" not in root["tags"]


async def test_the_models_own_name_stays(scripted, call, runs):
    """A run name of the request is the wrapper's, not that of the model inside."""
    config = {"callbacks": [runs], "run_name": "mine"}
    await call(drawing(scripted("a"), 1), "?", config)
    assert [runs.path(run) for run in runs.runs.values()][-1] == ["mine", "sample", "model"]


async def test_nested_wrappers(scripted, call, runs):
    """The inner one hangs below the outer sample."""
    inner = drawing(scripted("a"), 2, name="inner")
    await call(drawing(inner | StrOutputParser(), 2, name="outer"), "?", {"callbacks": [runs]})
    models = runs.named("model")
    assert len(models) == 4
    path = ["outer", "sample", "RunnableSequence", "inner", "sample", "model"]
    assert all(runs.path(run) == path for run in models)


async def test_implicit_calls_hang_below_their_sample(scripted, call, runs):
    """A model that is called without a config."""
    model = scripted("a")
    step = RunnableLambda(lambda text: model.invoke(text).text, name="step")
    await call(drawing(step, 2), "?", {"callbacks": [runs]})
    paths = {tuple(runs.path(run)) for run in runs.named("model")}
    assert paths == {("Vote[step]", "sample", "step", "model")}


async def test_failed_and_refused_samples_end(scripted, call, runs):
    """With the type of what ended them; a refused call was never begun."""
    model = scripted(ValueError("no"), "a")
    await call(drawing(model, 2), "?", {"callbacks": [runs]})
    assert sorted(run["end"] for run in runs.named("sample")) == ["ValueError", "ok"]
    runs.runs.clear()
    chain = model | StrOutputParser() | model
    model.replies = ["a"]
    limited = drawing(chain, 1, budget=Budget(calls=1))
    with pytest.raises(RuntimeError):
        await call(limited, "?", {"callbacks": [runs]})
    assert [run["end"] for run in runs.named("sample")] == ["BudgetExceeded"]
    assert [run["end"] for run in runs.named("model")] == ["ok"]


def test_a_refusal_is_not_logged_as_a_broken_callback(scripted, caplog):
    """It is raised, which says enough; other handlers' errors are logged as ever."""

    class Broken(BaseCallbackHandler):
        def on_chat_model_start(self, *args, **kwargs):
            raise ValueError("broken")

    chain = drawing(scripted("a") | StrOutputParser() | scripted("a"), 1, budget=Budget(calls=1))
    with pytest.raises(RuntimeError):
        chain.invoke("?", {"callbacks": [Broken()]})
    assert "Bookkeeper" not in caplog.text
    assert "Error in Broken.on_chat_model_start" in caplog.text


async def test_spans_hang_together(scripted, call):
    """Run, samples, model calls, and what the user's own code opens."""
    tracer = trace.get_tracer("test")

    def own(message) -> str:
        with tracer.start_as_current_span("own"):
            return message.text

    with captured_spans() as spans, tracer.start_as_current_span("app"):
        await call(drawing(scripted("a") | own, 2), "?")
    by_id = {span.context.span_id: span for span in spans}

    def path(span) -> list[str]:
        above = [] if span.parent is None else path(by_id[span.parent.span_id])
        return [*above, span.name]

    paths = [path(span) for span in spans]
    strategy = ["app", "invoke_workflow Vote"]
    assert paths.count([*strategy, "thinktwice.sample", "chat fake-1"]) == 2
    assert paths.count([*strategy, "thinktwice.sample", "own"]) == 2
    parents = {span.parent.span_id for span in spans if span.name == "own"}
    assert len(parents) == 2
    leaves = [span for span in spans if span.name == "chat fake-1"]
    assert [span.attributes["gen_ai.usage.output_tokens"] for span in leaves] == [5, 5]
    assert {span.attributes["gen_ai.provider.name"] for span in leaves} == {"fake"}
    others = [span for span in spans if span not in leaves]
    assert not any("gen_ai.usage.output_tokens" in span.attributes for span in others)


async def test_verdicts_are_spans(scripted, call):
    """A verifier's model call hangs below its verdict."""
    judge = scripted("1.0") | RunnableLambda(lambda message: float(message.text), name="judge")
    with captured_spans() as spans:
        await call(best_of_n(scripted("a") | StrOutputParser(), n=1, verifier=judge), "?")
    by_id = {span.context.span_id: span.name for span in spans}
    leaves = [span for span in spans if span.name == "chat fake-1"]
    assert sorted(by_id[span.parent.span_id] for span in leaves) == [
        "thinktwice.sample",
        "thinktwice.verify RunnableSequence",
    ]


async def test_no_leaf_span_where_a_tracer_emits_it(scripted, call):
    """A handler of Langfuse, say, is known by where its class comes from."""

    class Handler(BaseCallbackHandler):
        pass

    Handler.__module__ = "langfuse.langchain.CallbackHandler"
    with captured_spans() as spans:
        await call(drawing(scripted("a"), 1), "?", {"callbacks": [Handler()]})
    assert {span.name for span in spans} == {"thinktwice.sample", "invoke_workflow Vote"}


@pytest.mark.parametrize(
    ("mode", "emits"), [("langsmith", False), ("otel", True), ("hybrid", True)]
)
def test_langsmith_emits_spans_when_it_is_told_to(mode, emits):
    """Its client knows."""

    class Client:
        _tracing_mode = mode

    assert emitters([LangChainTracer(client=Client())]) == ({"langsmith"} if emits else set())
