"""What telemetry costs a sample: CPU time of the main thread, without an SDK and with all of it.

    make bench-telemetry

Without an SDK: the calls that a sample makes, alone. With one: whole votes, over the same votes
before it is set up; spans and log events in batches to exporters that encode them for OTLP and
throw that away, on threads of their own, and metrics. Then with content captured as well. By hand:
the same spans, attributes and counts written by OpenTelemetry alone, in a loop that does nothing
else: the spans are what its SDK takes at least, and the counts what adding them at each call would.
Each figure is the median of several rounds, in which these rows take turns. Processor time, not
wall time: the machine may be busy.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from contextlib import ExitStack
from decimal import Decimal
from functools import partial
from operator import sub
from statistics import median
from typing import TYPE_CHECKING
from unittest.mock import patch

from opentelemetry import _logs, metrics, trace
from opentelemetry._logs import _internal as _logs_internal
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.metrics import _internal as _metrics_internal
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    LogRecordExporter,
    LogRecordExportResult,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from thinktwice import AtMost, Completion, Entry, Price, Sample, Usage, Vote, solve, telemetry
from thinktwice.entry import Total

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from opentelemetry.util.types import AnyValue

N = 16
PRICES = {"fake": Price("1", "2")}
USAGE = Usage(input_tokens=1000, output_tokens=300, source="provider")
ENTRY = Entry(role="sample", status="ok", usage=USAGE, cost=Decimal("0.0016"), model="fake")
TOTAL = Total.of([ENTRY])
SAMPLE = Sample(index=0, value="x", answer="x", model="fake")
_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_PROVIDERS = (
    (trace, "_TRACER_PROVIDER"),
    (_metrics_internal, "_METER_PROVIDER"),
    (_logs_internal, "_LOGGER_PROVIDER"),
)
PROMPT = "How much is 17 * 23? " * 100


class Spans(SpanExporter):
    """Encodes spans, and throws them away, but for the last batch."""

    kept: Sequence[ReadableSpan] = ()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Encode them."""
        self.kept = spans
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


class Logs(LogRecordExporter):
    """Encodes log records, and throws them away."""

    def export(self, batch: Sequence[object]) -> LogRecordExportResult:
        """Encode them."""
        encode_logs(batch).SerializeToString()  # type: ignore[arg-type]
        return LogRecordExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """Nothing waits."""
        del timeout_millis
        return True

    def shutdown(self) -> None:
        """Nothing to do."""


async def sampler(prompt: str) -> Completion[str]:
    """Answers at once."""
    del prompt
    return Completion(value="x", usage=USAGE, model="fake")


async def vote() -> object:
    """One request."""
    strategy = Vote(N, stop=AtMost(N))
    return await solve(PROMPT, sampler=sampler, strategy=strategy, prices=PRICES)


async def alone() -> None:
    """What one request with N samples calls of telemetry."""
    recorder = telemetry.Recorder()
    with recorder.span("invoke_workflow Vote", "CHAIN", {}) as on:
        recorder.say_prompt(on, PROMPT)
        for index in range(N):
            with recorder.span("thinktwice.sample", "CHAIN", {telemetry.INDEX: index}) as sample:
                leaf = recorder.leaf("fake", None, {})
                leaf.ask(PROMPT)
                with leaf.current():
                    pass
                leaf.hear("x")
                recorder.count_call("Vote", ENTRY, leaf)
                leaf.end(ENTRY)
                telemetry.describe_sample(sample, SAMPLE, TOTAL, group=0, arrival=index)
            recorder.count_sample("Vote", "ok")
        recorder.say_answer(on, "x")


def by_hand(spans: Sequence[ReadableSpan], *, counts: bool = True) -> Callable[[], Awaitable[None]]:
    """One request with the spans, attributes and counts of ours, by OpenTelemetry alone."""
    tracer, meter = trace.get_tracer("hand"), metrics.get_meter("hand")
    tokens, cost, samples = map(meter.create_counter, ("tokens", "cost", "samples"))
    series = {telemetry.STRATEGY: "Vote", telemetry.ROLE: "sample", telemetry.MODEL: "fake"}
    series[telemetry.USAGE_SOURCE] = "provider"
    run, sample, leaf = map(partial(_written, spans), ("invoke_workflow", "thinktwice", "chat"))

    def count() -> None:
        if not counts:
            return
        tokens.add(1000, {**series, telemetry.TOKEN_TYPE: "input"})
        tokens.add(300, {**series, telemetry.TOKEN_TYPE: "output"})
        cost.add(0.0016, {**series, telemetry.CURRENCY: "USD"})
        samples.add(1, {telemetry.STRATEGY: "Vote", telemetry.STATUS: "ok"})

    async def request() -> None:
        with tracer.start_as_current_span(run[0], attributes=run[1]) as around:
            for _ in range(N):
                with tracer.start_as_current_span(sample[0], attributes=sample[1]) as on:
                    with tracer.start_as_current_span(leaf[0], attributes=leaf[1]) as inner:
                        count()
                        inner.set_attributes(leaf[2])
                    on.set_attributes(sample[2])
            around.set_attributes(run[2])

    return request


def _written(
    spans: Sequence[ReadableSpan], name: str
) -> tuple[str, dict[str, AnyValue], dict[str, AnyValue]]:
    """Name of a span, and its attributes: those of the start, and those of the end."""
    found = next(span for span in spans if span.name.startswith(name))
    attributes = list((found.attributes or {}).items())
    return found.name, dict(attributes[:3]), dict(attributes[3:])


async def per_sample(rounds: int, *works: Callable[[], Awaitable[object]]) -> list[list[float]]:
    """Microseconds of the main thread for each sample: of each work, round by round in turns."""
    found: list[list[float]] = [[] for _ in works]
    for _ in range(rounds + 2):
        for work, times in zip(works, found, strict=True):
            started = time.thread_time()
            for _ in range(20):
                await work()
            times.append((time.thread_time() - started) / 20 / N * 1e6)
    return [times[2:] for times in found]


async def bare() -> None:
    """One request, as if nobody had set OpenTelemetry up."""
    with ExitStack() as stack:
        for home, name in _PROVIDERS:
            stack.enter_context(patch.object(home, name, None))
        await vote()


async def captured() -> None:
    """One request whose content is captured."""
    with patch.dict(
        os.environ, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_AND_EVENT"
    ):
        await vote()


async def written() -> Sequence[ReadableSpan]:
    """Set all of OpenTelemetry up, and return the spans of one vote."""
    tracers, spans = TracerProvider(), Spans()
    tracers.add_span_processor(BatchSpanProcessor(spans, max_queue_size=1 << 16))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))
    loggers = LoggerProvider()
    loggers.add_log_record_processor(BatchLogRecordProcessor(Logs()))
    _logs.set_logger_provider(loggers)
    await vote()
    tracers.force_flush()
    return spans.kept


async def main(rounds: int) -> None:
    """Print a table."""

    def row(name: str, figure: float, target: int | None) -> None:
        print(f"{name:44}{figure:8.1f}{target or '':>10}")

    print(f"{'us of main-thread CPU a sample':44}{'':8}{'target':>10}")
    row("no SDK: telemetry alone", median((await per_sample(rounds, alone))[0]), 10)
    spans = await written()
    works = bare, vote, by_hand(spans, counts=False), by_hand(spans), captured
    without, full, alone_out, written_out, content = await per_sample(rounds, *works)
    row("no SDK: the whole vote", median(without), None)
    row("SDK, batch export, metrics: more", median(map(sub, full, without)), 350)
    row("the same spans, by hand", median(alone_out), None)
    row("the same spans and metrics, by hand", median(written_out), None)
    row("content captured as well: more", median(map(sub, content, without)), None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    asyncio.run(main(parser.parse_args().rounds))
