"""An application whose own tracing raises: runs go on, and it is told once."""

from __future__ import annotations

import warnings

import pytest
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import RandomIdGenerator, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from thinktwice import BestOfN, Budget, RunError, Vote, solve
from thinktwice.errors import ThinktwiceWarning
from thinktwice.quota import Quota
from thinktwice.telemetry.harmless import Guarded, attempted, end, harmless
from thinktwice.testing import ScriptedSampler

SECRET = "what nobody may read"


def broken(*_: object, **__: object) -> None:
    """Raise."""
    raise ValueError(SECRET)


class Breaks(SpanProcessor):
    """Breaks in one of its methods."""

    def __init__(self, method: str) -> None:
        setattr(self, method, broken)


class BreaksSampler(Sampler):
    """Breaks at samples, and not at runs."""

    def should_sample(self, parent_context, trace_id, name, *given, **options):
        if name == "thinktwice.sample":
            raise ValueError(SECRET)
        return ALWAYS_ON.should_sample(parent_context, trace_id, name, *given, **options)

    def get_description(self) -> str:
        return "broken"


class BreaksIds(RandomIdGenerator):
    """Breaks at each span."""

    def generate_span_id(self) -> int:
        raise ValueError(SECRET)


class Told:
    """A provider of anything whose methods all raise."""

    def __getattr__(self, name: str):
        return broken


def provider(processor: SpanProcessor | None = None, **settings: object) -> TracerProvider:
    made = TracerProvider(shutdown_on_exit=False, **settings)
    if processor is not None:
        made.add_span_processor(processor)
    return made


@pytest.fixture
def told(fresh_remarks):
    """Warnings that are ours."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", ThinktwiceWarning)
        yield found


async def answer() -> object:
    """Of a run with samples, model calls, checks and metrics."""
    strategy = BestOfN(2, verifier=lambda value: 0.5)
    ask = ScriptedSampler(["a"], input_tokens=3, output_tokens=1)
    result = await solve("q", sampler=ask, strategy=strategy)
    assert result.ledger.total.calls == 2
    return result.value


def one_fault(told: list[warnings.WarningMessage]) -> str:
    """The warning about tracing, which is one and shows no text of the error."""
    (said,) = [text for each in told if "tracing" in (text := str(each.message))]
    assert said.startswith("tracing raised ValueError (test_harmless.py:")
    assert SECRET not in said
    return said


@pytest.mark.parametrize("method", ["on_start", "on_end"])
async def test_a_processor_that_raises(method, told, monkeypatch):
    """At the start or at the end of each span."""
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: broken_one)
    broken_one = provider(Breaks(method))
    assert await answer() == "a"
    assert "in broken)" in one_fault(told)


async def test_a_sampler_that_raises_loses_its_span_alone(told, monkeypatch):
    """What is below it stands below the span around it."""
    kept = InMemorySpanExporter()
    mine = provider(SimpleSpanProcessor(kept), sampler=BreaksSampler())
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: mine)
    assert await answer() == "a"
    one_fault(told)
    spans = {span.name: span for span in kept.get_finished_spans()}
    assert "thinktwice.sample" not in spans
    root = spans["invoke_workflow BestOfN"].context
    assert spans["chat fake-model"].parent.span_id == root.span_id


async def test_a_tracer_that_starts_no_spans(told, monkeypatch):
    """It returns None, where it should raise or return a span that does nothing: one warning."""

    class Nothing(trace.Tracer):
        def start_span(self, *_: object, **__: object) -> None:
            return None

        start_as_current_span = start_span

    class Mine(trace.TracerProvider):
        def get_tracer(self, *_: object, **__: object) -> trace.Tracer:
            return Nothing()

    monkeypatch.setattr(trace, "get_tracer_provider", Mine)
    assert await answer() == "a"
    (said,) = told
    assert str(said.message).startswith("the application's tracer starts no spans")


async def test_a_quota_whose_store_fails_is_no_fault_of_tracing(told, monkeypatch):
    """The run says it; its span has all but what is left."""

    class Broken:
        def totals(self, *_: object, **__: object) -> None:
            raise OSError("disk")

        hold = settle = release = totals

    kept = InMemorySpanExporter()
    mine = provider(SimpleSpanProcessor(kept))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: mine)
    with Quota("q", Budget(calls=9), store=Broken()).scope(), pytest.raises(RunError):
        await answer()
    assert told == []
    spans = {span.name: span for span in kept.get_finished_spans()}
    run = spans["invoke_workflow BestOfN"]
    assert "thinktwice.budget.calls.remaining" not in run.attributes
    assert run.attributes["thinktwice.calls"] == 0


async def test_an_id_generator_that_raises(told, monkeypatch):
    """There are no spans then."""
    mine = provider(id_generator=BreaksIds())
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: mine)
    assert await answer() == "a"
    one_fault(told)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (trace, "get_tracer_provider"),
        (metrics, "get_meter_provider"),
        (_logs, "get_logger_provider"),
    ],
)
@pytest.mark.parametrize("found", [Told, broken], ids=["its methods", "the provider itself"])
async def test_a_provider_that_raises(module, name, found, told, monkeypatch):
    """Of any signal, whether it cannot be found or has nothing that works."""
    monkeypatch.setattr(trace, "get_tracer_provider", provider)
    monkeypatch.setattr(module, name, found)
    assert await answer() == "a"
    one_fault(told)


async def test_instruments_and_loggers_that_raise(told, monkeypatch):
    """As a view, or a processor of log records, may do."""
    meters, loggers = MeterProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    loggers._multi_log_record_processor.on_emit = broken
    meters._measurement_consumer.consume_measurement = broken
    monkeypatch.setattr(trace, "get_tracer_provider", provider)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: meters)
    monkeypatch.setattr(_logs, "get_logger_provider", lambda: loggers)
    assert await answer() == "a"
    one_fault(told)


async def test_a_value_that_cannot_be_shown(told, monkeypatch):
    """Where content is captured: it was paid for, and is returned."""

    class Shy:
        def __str__(self) -> str:
            raise ValueError(SECRET)

        __repr__ = __str__

    async def ask(prompt: object) -> object:
        return shy

    shy = Shy()
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    kept = InMemorySpanExporter()
    mine = provider(SimpleSpanProcessor(kept))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: mine)
    result = await solve("q", sampler=ask, strategy=Vote(1, key=lambda value: "it"))
    assert result.value is shy
    one_fault(told)
    assert [span.name for span in kept.get_finished_spans()][-1] == "invoke_workflow Vote"


async def test_an_error_of_the_run_leaves_as_it_is(told, monkeypatch):
    """And not one of the processor that hears of it."""
    mine = provider(Breaks("on_end"))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: mine)

    async def ask(prompt: str) -> str:
        raise LookupError(prompt)

    with pytest.raises(LookupError):
        await solve("q", sampler=ask, strategy=Vote(1))
    one_fault(told)


def test_a_filter_that_raises_fails_nothing(fresh_remarks):
    """As with warnings that are errors."""
    warnings.simplefilter("error", ThinktwiceWarning)
    harmless(broken)()
    assert attempted(broken, 3) == 3


def test_a_handler_of_warnings_that_raises_fails_nothing(fresh_remarks, monkeypatch):
    """As where they go to the logs."""

    def show(*_: object) -> None:
        raise LookupError("handler")

    warnings.simplefilter("always", ThinktwiceWarning)
    monkeypatch.setattr(warnings, "showwarning", show)
    harmless(broken)()
    assert attempted(broken, 3) == 3


def test_what_raises_nothing_is_as_without():
    """Functions, tracers and spans."""
    kept = InMemorySpanExporter()
    written: list[int] = []
    harmless(written.append)(1)
    started = Guarded(provider(SimpleSpanProcessor(kept)).get_tracer("t")).start_span("one")
    end(started)
    assert written == [1]
    assert attempted(lambda: 1, 2) == 1
    assert [span.name for span in kept.get_finished_spans()] == ["one"]


def test_an_interruption_is_no_fault():
    """It ends what it interrupts."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        harmless(interrupted)()


@pytest.mark.parametrize(("seed", "written"), [(2**63 - 1, True), (2**63, False), (True, True)])
async def test_a_number_that_no_backend_takes_is_left_out(seed, written, monkeypatch):
    """It would keep its whole batch from being sent."""
    kept = InMemorySpanExporter()
    mine = provider(SimpleSpanProcessor(kept))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: mine)
    ask = ScriptedSampler(["a"])
    await solve("q", sampler=ask, strategy=Vote(1), options={"seed": seed, "temperature": 0.5})
    (leaf,) = (span for span in kept.get_finished_spans() if span.name == "chat fake-model")
    assert leaf.attributes["gen_ai.request.temperature"] == 0.5
    assert ("gen_ai.request.seed" in leaf.attributes) is written
