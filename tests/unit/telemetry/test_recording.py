"""Spans and metrics, piece by piece; whole runs are in the contract tests."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass

import pytest
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from thinktwice import (
    BestOfN,
    Budget,
    BudgetExceeded,
    Completion,
    Limiter,
    UsageError,
    Vote,
    solve,
    telemetry,
)
from thinktwice.stop import AtMost, Lead
from thinktwice.stop.algebra import Stop
from thinktwice.strategies.tool_check import ToolCheck
from thinktwice.telemetry import NO_LEAF, Recorder
from thinktwice.testing import ScriptedSampler, captured_spans, run_virtual
from thinktwice.verifiers import Calculator, Tool

pytestmark = pytest.mark.usefixtures("silent_remarks")
CANARY = "sk-canary"
ALL = Vote(2, stop=AtMost(2))


class RefusedError(Exception):
    status_code = 429


def spans_of(sampler, strategy, prompt="q", **more):
    """The ended spans of a run by name; it may raise."""
    with captured_spans() as spans, suppress(Exception):
        run_virtual(solve(prompt, sampler=sampler, strategy=strategy, **more))
    named: dict[str, list] = {}
    for span in spans:
        named.setdefault(span.name, []).append(span)
    return named


class TestFailure:
    """What is left of an exception."""

    def test_type_and_status(self):
        """On the leaf and on its sample; no text, and no event that holds one."""
        sampler = ScriptedSampler([RefusedError(CANARY), "a"], model="m")
        named = spans_of(sampler, Vote(2, stop=AtMost(2)))
        for name in ("chat m", "thinktwice.sample"):
            failed = [span for span in named[name] if not span.status.is_ok]
            assert [span.attributes["error.type"] for span in failed] == ["RefusedError"]
            assert [span.status.description for span in failed] == ["RefusedError(429)"]
            assert all(not span.events for span in named[name])

    def test_a_loser_did_not_fail(self):
        """It was recalled, since the vote had ended; it says so and what it had cost."""
        sampler = ScriptedSampler(["a"], seconds=[1, 1, 50], model="m", max_tokens=20)
        named = spans_of(sampler, Vote(3, prefer="latency"), budget=Budget(tokens=1000))
        recalled = [
            span
            for span in named["thinktwice.sample"]
            if span.attributes["thinktwice.status"] == "cancelled"
        ]
        assert len(recalled) == 1
        assert recalled[0].status.is_unset
        assert recalled[0].attributes["thinktwice.usage.source"] == "estimated"
        leaves = [s for s in named["chat m"] if s.attributes["thinktwice.status"] == "cancelled"]
        assert len(leaves) == 1
        assert not [name for name in leaves[0].attributes if name.startswith("gen_ai.usage")]

    def test_a_run_without_an_answer(self):
        """Its span has what was spent, and failed."""
        (run,) = spans_of(ScriptedSampler([KeyError(CANARY)]), Vote(2))["invoke_workflow Vote"]
        assert run.attributes["error.type"] == "KeyError"
        assert run.attributes["thinktwice.samples.failed"] == 2
        assert run.attributes["thinktwice.calls"] == 2

    def test_a_run_cut_short(self):
        """The cap, its level, and the rule that ended it."""
        sampler = ScriptedSampler(["a"], max_tokens=9)
        budget = Budget(calls=2, tokens=1000)
        (run,) = spans_of(sampler, Vote(3, stop=AtMost(3)), budget=budget)["invoke_workflow Vote"]
        assert run.attributes["thinktwice.budget.calls"] == 2
        assert run.attributes["thinktwice.budget.calls.enforcement"] == "exact"
        assert run.attributes["thinktwice.budget.tokens.enforcement"] == "reserved"
        assert run.attributes["thinktwice.stopped_by"].startswith("Limit(kind='calls'")


class TestLeaves:
    """Who emits the span of a model call."""

    def test_request_settings(self):
        """The common ones, where they are numbers."""
        options = {"temperature": 0.7, "seed": 3, "stop": CANARY}
        named = spans_of(ScriptedSampler(["a"], model="m"), Vote(1), options=options)
        (leaf,) = named["chat m"]
        assert leaf.attributes["gen_ai.request.temperature"] == 0.7
        assert leaf.attributes["gen_ai.request.seed"] == 3
        assert leaf.attributes["gen_ai.request.model"] == "m"
        assert leaf.attributes["gen_ai.provider.name"] == "fake"
        assert CANARY not in str(dict(leaf.attributes))

    @pytest.mark.parametrize(("asked", "shown"), [(None, "m-2026"), ("m", "m")])
    def test_the_model_that_was_asked_for(self, asked, shown):
        """Where the sampler names none, the one that answers: backends price by this name."""

        class Sampler:
            model = asked

            async def __call__(self, prompt, /, *, options):
                return Completion(value="a", model="m-2026")

        leaf = spans_of(Sampler(), Vote(1))["chat m" if asked else "chat"][0]
        assert leaf.attributes["gen_ai.request.model"] == shown
        assert leaf.attributes["gen_ai.response.model"] == "m-2026"

    @pytest.mark.parametrize(
        ("choice", "emitted", "here"),
        [
            ("auto", False, True),
            ("auto", True, False),
            ("always", True, True),
            ("never", False, False),
        ],
    )
    def test_the_environment_decides(self, choice, emitted, here, monkeypatch):
        """Automatically: not where somebody else emits it."""
        monkeypatch.setenv("THINKTWICE_LLM_SPANS", choice)
        with captured_spans():
            leaf = Recorder().leaf("m", None, {}, emitted=emitted)
            assert (leaf is not NO_LEAF) == here
            leaf.discard()

    def test_the_environment_is_checked(self, monkeypatch):
        """A word that means nothing is a mistake."""
        monkeypatch.setenv("THINKTWICE_LLM_SPANS", "sometimes")
        with captured_spans(), pytest.raises(UsageError, match="auto, always or never"):
            Recorder().leaf("m", None, {})

    @pytest.mark.parametrize(
        ("emitted", "there", "here"),
        [(None, False, True), (None, True, False), (False, True, True), (True, False, False)],
    )
    def test_a_known_instrumentation_is_left_to_it(self, emitted, there, here, monkeypatch):
        """Unless the caller knows better."""
        monkeypatch.setattr(telemetry.recording, "instrumented", lambda: there)
        with captured_spans():
            leaf = Recorder().leaf("m", None, {}, emitted=emitted)
            assert (leaf is not NO_LEAF) is here
            leaf.discard()

    def test_a_discarded_leaf_is_no_model_call(self):
        """As where a run works inside a plain function."""
        inner = ScriptedSampler(["a"], model="m")

        async def function(prompt):
            return (await solve(prompt, sampler=inner, strategy=Vote(1))).value

        function.model = "outer"
        named = spans_of(function, Vote(1))
        assert "chat outer" not in named
        (leaf,) = named["thinktwice.sampler"]
        assert leaf.attributes["openinference.span.kind"] == "CHAIN"
        assert leaf.attributes["gen_ai.operation.name"] == "sample"
        assert not [name for name in leaf.attributes if "usage" in name]
        assert len(named["chat m"]) == 1

    def test_a_run_inside_a_function_is_below_its_span(self):
        """That one is open till the function returns, so that it takes as long."""

        async def function(prompt):
            inner = ScriptedSampler(["a"], seconds=1, model="m")
            await solve(prompt, sampler=inner, strategy=Vote(1))
            await asyncio.sleep(1)
            return (await solve(prompt, sampler=inner, strategy=Vote(1))).value

        named = spans_of(function, Vote(1))
        (around,) = named["thinktwice.sampler"]
        *inside, _ = named["invoke_workflow Vote"]
        assert [run.parent.span_id for run in inside] == [around.context.span_id] * 2
        assert all(around.start_time <= run.start_time for run in inside)
        assert all(around.end_time >= run.end_time for run in inside)
        assert around.status.is_unset

    def test_a_function_that_fails_after_a_run(self):
        """Its span says by what, as that of the sample around it does."""

        async def function(prompt):
            await solve(prompt, sampler=ScriptedSampler(["a"]), strategy=Vote(1))
            raise RefusedError(CANARY)

        named = spans_of(function, Vote(1))
        (around,) = named["thinktwice.sampler"]
        assert around.attributes["error.type"] == "RefusedError"
        assert not around.status.is_ok
        assert CANARY not in around.to_json()


class TestWhatTheProviderSaid:
    """Of a response, on its span."""

    def test_how_it_ended_and_what_it_is_called(self):
        """Where the sampler knows."""
        script = [Completion(value="a", finish_reason="stop", response_id="r-1"), "b"]
        first, second = spans_of(ScriptedSampler(script, model="m"), ALL)["chat m"]
        assert first.attributes["gen_ai.response.finish_reasons"] == ("stop",)
        assert first.attributes["gen_ai.response.id"] == "r-1"
        assert not [name for name in second.attributes if name.endswith(("reasons", "response.id"))]

    def test_several_choices_of_one_request(self):
        """One span, with the ends of all of them."""

        class Native(ScriptedSampler):
            async def many(self, prompt, n, /, *, options):
                reasons = ["stop", "length", None, "stop"]
                return [Completion(value="a", finish_reason=r, response_id="r") for r in reasons]

        strategy = Vote(4, stop=AtMost(4), prefer="latency")
        (leaf,) = spans_of(Native(["a"], model="m"), strategy)["chat m"]
        assert leaf.attributes["gen_ai.request.choice.count"] == 4
        assert leaf.attributes["gen_ai.response.finish_reasons"] == ("stop", "length", "stop")
        assert leaf.attributes["gen_ai.response.id"] == "r"

    def test_settings_of_the_call(self):
        """Numbers; a stop sequence is content."""
        options = {"temperature": 0.5, "top_k": 3, "n": 2, "stream": True, "stop": [CANARY]}
        (leaf,) = spans_of(ScriptedSampler(["a"], model="m"), Vote(1), options=options)["chat m"]
        told = {n.removeprefix("gen_ai.request."): v for n, v in leaf.attributes.items()}
        assert (told["temperature"], told["top_k"], told["choice.count"]) == (0.5, 3, 2)
        assert told["stream"] is True
        assert CANARY not in leaf.to_json()

    def test_what_a_limiter_holds_back_has_no_span_yet(self):
        """And none at all, if it is recalled there."""
        sampler = ScriptedSampler(["a"], model="m")
        limiter = Limiter(requests_per_minute=2)
        strategy = Vote(5, stop=Lead(2), prefer="latency")
        named = spans_of(sampler, strategy, limiter=limiter)
        assert len(named["chat m"]) == sampler.calls == 2
        assert len(named["thinktwice.sample"]) > 2


class TestTools:
    """Their runs."""

    def test_a_tool_is_run_below_its_verdict(self):
        """One span for each, of the conventions; what puts several together is none."""
        check = ToolCheck(Calculator(), lambda _: True, on_fail="reject")
        named = spans_of(ScriptedSampler(["2 + 2 = 5"], model="m"), check)
        (verdict,) = named["thinktwice.verify calculator+<lambda>"]
        for name, outcome in (("calculator", "fail"), ("<lambda>", "pass")):
            (tool,) = named[f"execute_tool {name}"]
            assert tool.parent.span_id == verdict.context.span_id
            assert tool.attributes["gen_ai.operation.name"] == "execute_tool"
            assert tool.attributes["gen_ai.tool.name"] == name
            assert tool.attributes["openinference.span.kind"] == "TOOL"
            assert tool.attributes["thinktwice.outcome"] == outcome

    def test_one_that_breaks(self):
        """It says so; the verdict too."""
        check = BestOfN(1, verifier=Tool(lambda _: 1 / 0, name="broken"))
        named = spans_of(ScriptedSampler(["a"]), check)
        for name in ("execute_tool broken", "thinktwice.verify broken"):
            (span,) = named[name]
            assert span.attributes["error.type"] == "_OTHER"
            assert not span.status.is_ok

    def test_a_verifier_that_raises(self):
        """By the type of what it raised."""

        def check(value):
            raise LookupError(CANARY)

        (span,) = spans_of(ScriptedSampler(["a"]), BestOfN(1, verifier=check))[
            "thinktwice.verify check"
        ]
        assert span.attributes["error.type"] == "LookupError"
        assert CANARY not in span.to_json()


class TestRules:
    """What ended a run."""

    def test_one_of_the_users_own_is_named_by_its_class(self):
        """Its settings may hold content."""

        @dataclass(frozen=True)
        class Unless(Stop):
            text: str

            def fired(self, tally):
                return self

        for stop, name in (
            (Unless(CANARY) | Lead(2), "Unless"),
            ((Unless(CANARY) & Unless("")) | Lead(3), "AllOf(Unless, Unless)"),
        ):
            named = spans_of(ScriptedSampler(["a"]), Vote(3, stop=stop))
            (run,) = named["invoke_workflow Vote"]
            assert run.attributes["thinktwice.stopped_by"] == name
            assert CANARY not in run.to_json()

    def test_a_cancelled_run_says_so(self):
        """It did not fail."""

        async def main():
            run = solve("q", sampler=ScriptedSampler(["a"], seconds=9), strategy=Vote(2))
            task = asyncio.ensure_future(run)
            await asyncio.sleep(1)
            task.cancel()
            await task

        with captured_spans() as spans, suppress(asyncio.CancelledError):
            run_virtual(main())
        assert spans[-1].attributes["thinktwice.status"] == "cancelled"
        assert spans[-1].status.is_unset
        assert {span.attributes["thinktwice.status"] for span in spans} == {"cancelled"}


def test_all_attribute_names_are_ours_or_of_the_conventions():
    """Whatever a run writes, and no vendor's but the three for cost."""
    named = spans_of(ScriptedSampler(["a"], model="m"), Vote(2))
    names = {name for spans in named.values() for span in spans for name in span.attributes}
    vendors = {"operation.cost", "mlflow.llm.cost", "openinference.span.kind", "error.type"}
    assert not [name for name in names - vendors if not name.startswith(("thinktwice.", "gen_ai."))]


def test_a_budget_error_is_no_content():
    """Its span says which type."""
    (run,) = spans_of(ScriptedSampler(["a"], seconds=9), Vote(1), budget=Budget(seconds=1))[
        "invoke_workflow Vote"
    ]
    assert run.attributes["error.type"] == BudgetExceeded.__qualname__


LATE = """
import asyncio, sys
from thinktwice import Vote, solve
from thinktwice.testing import ScriptedSampler, run_virtual
from opentelemetry import metrics, trace

def run():
    return run_virtual(solve("q", sampler=ScriptedSampler(["a"]), strategy=Vote(2)))

assert run().value == "a"
assert "opentelemetry.sdk" not in sys.modules
assert not trace.get_current_span().is_recording()

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

kept, reader = InMemorySpanExporter(), InMemoryMetricReader()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)
metrics.set_meter_provider(MeterProvider([reader]))
run()
print(sorted({span.name for span in kept.get_finished_spans()}))
print(sorted(m.name for r in reader.get_metrics_data().resource_metrics
             for s in r.scope_metrics for m in s.metrics))
"""


def test_without_an_sdk_nothing_breaks_and_one_set_late_is_found():
    """Applications set their providers up after importing us, and even after a run."""
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", LATE], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    spans, metrics = done.stdout.splitlines()
    assert spans == "['chat fake-model', 'invoke_workflow Vote', 'thinktwice.sample']"
    assert "thinktwice.tokens" in metrics
    assert "thinktwice.strategy.duration" in metrics


EARLY = """
from thinktwice import Vote, solve
from thinktwice.testing import ScriptedSampler, run_virtual
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

tracers, loggers = TracerProvider(), LoggerProvider()
meters = MeterProvider([InMemoryMetricReader()])
tracers.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
trace.set_tracer_provider(tracers)
metrics.set_meter_provider(meters)
_logs.set_logger_provider(loggers)

def run():
    return run_virtual(solve("q", sampler=ScriptedSampler(["a"]), strategy=Vote(2))).value

before = run() if {used} else "a"
for each in (tracers, meters, loggers):
    each.shutdown()
print(before, run(), run())
"""


@pytest.mark.parametrize("used", [True, False])
def test_providers_that_are_shut_down_early_harm_no_run(used):
    """Whether a run has used them before or not."""
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", EARLY.format(used=used)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["a", "a", "a"], done.stderr
    assert "Traceback" not in done.stderr
    # A provider cannot be asked, and has told those alone that it knew by then.
    assert done.stderr.count("the tracer provider was shut down") == used


def test_limits_of_the_sdk_on_values_are_its_own():
    """What is too long for the user's limit is cut there, and fails nothing."""
    tracers = TracerProvider(span_limits=SpanLimits(max_span_attribute_length=8))
    kept = InMemorySpanExporter()
    tracers.add_span_processor(SimpleSpanProcessor(kept))
    telemetry.providers_by(lambda _: tracers)
    try:
        run_virtual(solve("q", sampler=ScriptedSampler(["a"], model="m" * 99), strategy=Vote(2)))
    finally:
        telemetry.providers_by(None)
    models = [span.attributes.get(telemetry.MODEL) for span in kept.get_finished_spans()]
    assert "m" * 8 in models


def test_attribute_names_are_in_one_table():
    """Ours begin alike, and so do those of the conventions."""
    names = [
        value
        for name, value in vars(telemetry).items()
        if name.isupper() and isinstance(value, str) and not name.startswith("_")
    ]
    assert names
    assert all(name.startswith(("thinktwice.", "gen_ai.")) for name in names)
