"""Who traces model calls, and what instrumentations of others see."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from thinktwice import Vote, instrumentation, solve
from thinktwice.instrumentation import hidden, instrumented, shown, suppressed, under
from thinktwice.testing import ScriptedSampler, captured_spans

KEY = otel._SUPPRESS_INSTRUMENTATION_KEY


@pytest.fixture
def instrumentor(monkeypatch):
    """Makes an instrumentor of a package, in a process that has no other."""
    base = type("BaseInstrumentor", (), {"_instance": None})
    module = ModuleType("opentelemetry.instrumentation.instrumentor")
    module.BaseInstrumentor = base
    monkeypatch.setitem(sys.modules, module.__name__, module)
    kept = []

    def make(package, *, on=True):
        def refuse(self, *args, **kwargs):
            raise AssertionError("making one sets it up anew")

        made = type("Any", (base,), {"__module__": package, "__init__": refuse})
        made._instance = object.__new__(made)
        made.is_instrumented_by_opentelemetry = on
        kept.append(made)

    return make


class TestInstrumented:
    def test_nobody(self, monkeypatch):
        """Nothing is imported to find that out."""
        monkeypatch.delitem(
            sys.modules, "opentelemetry.instrumentation.instrumentor", raising=False
        )
        assert not instrumented()
        assert "opentelemetry.instrumentation.instrumentor" not in sys.modules

    @pytest.mark.parametrize(
        ("package", "known"),
        [
            ("openinference.instrumentation.openai", True),
            ("opentelemetry.instrumentation.google_generativeai", True),
            ("opentelemetry.instrumentation.langchain", True),
            ("openlit.instrumentation.openai", True),
            ("openlit.instrumentation.httpx", False),
            ("opentelemetry.instrumentation.requests", False),
            ("mine.instrumentation.openai", False),
        ],
    )
    def test_packages_that_trace_model_calls(self, instrumentor, package, known):
        """Those of OpenInference and OpenTelemetry, by name, and only if they are switched on."""
        instrumentor(package, on=False)
        assert not instrumented()
        instrumentor(package)
        assert instrumented() is known

    def test_one_of_another_framework(self, instrumentor):
        """It sees nothing of calls that do not go through that; one of a client does."""
        instrumentor("openinference.instrumentation.langchain")
        assert instrumented()
        assert instrumented(without="llama")
        assert not instrumented(without="langchain")
        instrumentor("openinference.instrumentation.openai")
        assert instrumented(without="langchain")

    def test_one_that_was_never_made(self, instrumentor):
        """A package that is imported, and no more."""
        instrumentor("openinference.instrumentation.openai")
        [kind] = sys.modules[
            "opentelemetry.instrumentation.instrumentor"
        ].BaseInstrumentor.__subclasses__()
        kind._instance = None
        assert not instrumented()


@pytest.fixture
def imported(monkeypatch):
    """Makes a module of a client, with what it defines, as if it were the one that is imported."""

    def make(name, **defined):
        module = ModuleType(name)
        vars(module).update(defined)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return make


class TestPatchedClients:
    """Those of parties that have no instrumentor for them."""

    @pytest.fixture(autouse=True)
    def _nobody_else(self, instrumentor):
        """No instrumentor is switched on."""

    @pytest.mark.parametrize("name", ["OpenAI", "AsyncOpenAI"])
    def test_by_logfire(self, imported, name):
        """While its mark on a class of the client is true; it takes that back as it ends."""
        client = type(name, (), {})
        imported("openai", **{name: client})
        imported("logfire")
        assert not instrumented()
        client._is_instrumented_by_logfire = True
        assert instrumented()
        client._is_instrumented_by_logfire = False
        assert not instrumented()

    def test_by_langfuse(self, imported):
        """Which patches the client as it is imported."""
        imported("langfuse")
        assert not instrumented()
        imported("langfuse.openai")
        assert instrumented()

    @pytest.mark.parametrize(
        ("package", "mark"), [("openai", "__datadog_patch"), ("anthropic", "_datadog_patch")]
    )
    def test_by_datadog(self, imported, monkeypatch, package, mark):
        """If our spans go where its own do, and no longer than it is switched on."""
        imported("ddtrace")
        module = imported(package, **{mark: True})
        assert not instrumented()
        provider = type("TracerProvider", (), {"__module__": "ddtrace.internal.opentelemetry"})
        monkeypatch.setattr(trace, "get_tracer_provider", provider)
        assert instrumented()
        setattr(module, mark, False)
        assert not instrumented()

    def test_by_mlflow(self, imported):
        """While its `autolog` for a client is on, and writes traces."""
        kept = {"openai": {}, "sklearn": {"disable": False}}
        imported("mlflow.utils.autologging_utils", AUTOLOGGING_INTEGRATIONS=kept)
        assert not instrumented()
        kept["langchain"] = {"disable": False}
        assert instrumented(without="llama")
        assert not instrumented(without="langchain")
        kept["langchain"] = {}
        kept["openai"] = {"disable": False, "log_traces": True}
        assert instrumented(without="langchain")
        for off in ({"disable": True}, {"log_traces": False}):
            kept["openai"] = {"disable": False, **off}
            assert not instrumented()

    def test_a_client_that_nobody_patches(self, imported):
        """Though the parties are imported."""
        for name in ("logfire", "ddtrace", "langfuse", "mlflow.utils.autologging_utils"):
            imported(name)
        imported("openai", OpenAI=type("OpenAI", (), {}))
        assert not instrumented()


class TestHidden:
    def test_hidden_and_shown(self):
        """The block is suppressed, the part is not, and all is as it was afterwards."""
        before = otel.get_current()
        with hidden():
            assert suppressed()
            with shown():
                assert not suppressed()
                with hidden(), shown():
                    assert not suppressed()
            assert suppressed()
        assert otel.get_current() == before

    def test_what_the_caller_suppresses_stays_so(self):
        """Also in the part that is shown."""
        token = otel.attach(otel.set_value(KEY, True))
        try:
            with hidden(), shown():
                assert suppressed()
        finally:
            otel.detach(token)

    def test_an_exception_restores_the_context(self):
        """As it leaves."""
        before = otel.get_current()
        with pytest.raises(ValueError, match="no"), hidden(), shown():
            raise ValueError("no")
        assert otel.get_current() == before

    def test_without_the_key(self, monkeypatch):
        """A release of OpenTelemetry that has another one: nothing is hidden, nothing breaks."""
        monkeypatch.setattr(instrumentation, "_SUPPRESSED", None)
        with hidden(), shown():
            assert not suppressed()
            assert not otel.get_value(KEY)


class TestParents:
    def test_the_younger_span_is_the_parent(self):
        """A framework's, unless the current one was opened inside it."""
        tracer = trace.get_tracer("test")
        with captured_spans():
            tracer = trace.get_tracer("test")
            older = tracer.start_span("older", start_time=1)
            younger = tracer.start_span("younger", start_time=2)
            for current, below, expected in (
                (older, [younger], younger),
                (younger, [older], younger),
                (trace.INVALID_SPAN, [older], older),
                (trace.INVALID_SPAN, [younger, older], younger),
                (older, [], older),
                (older, [trace.INVALID_SPAN], older),
            ):
                with trace.use_span(current), hidden(), shown(*below):
                    assert trace.get_current_span() is expected

    def test_a_span_of_another_process_is_older_than_all_here(self):
        """It has no time."""
        remote = NonRecordingSpan(SpanContext(1, 1, is_remote=True, trace_flags=TraceFlags(1)))
        with captured_spans():
            here = trace.get_tracer("test").start_span("here")
            for current, below in ((remote, here), (here, remote)):
                with trace.use_span(current), hidden(), shown(below):
                    assert trace.get_current_span() is here


async def test_a_caller_that_suppresses_gets_no_spans():
    """Of ours as little as of others."""
    token = otel.attach(otel.set_value(KEY, True))
    try:
        with captured_spans() as spans:
            await solve("?", sampler=ScriptedSampler(["a"]), strategy=Vote(2))
    finally:
        otel.detach(token)
    assert spans == []


class TestUnder:
    def test_is_below_the_youngest(self):
        """Of the spans given and of the current one."""
        with captured_spans():
            tracer = trace.get_tracer("test")
            older = tracer.start_span("older")
            with tracer.start_as_current_span("younger") as younger, under(older):
                assert trace.get_current_span() is younger
            with under(older):
                assert trace.get_current_span() is older
            assert trace.get_current_span() is not older
            older.end()

    def test_leaves_a_suppression_of_the_caller_as_it_is(self):
        """Unlike `shown`, it is no part of a hidden block."""
        token = otel.attach(otel.set_value(KEY, True))
        try:
            with under():
                assert suppressed()
        finally:
            otel.detach(token)
