"""What of runs is stored, beside any tracing that the application has."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import warnings
from decimal import Decimal

import pytest
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, TraceIdRatioBased

from thinktwice import (
    BestOfN,
    Budget,
    Completion,
    Price,
    ThinktwiceWarning,
    Usage,
    UsageError,
    Vote,
    solve,
    solve_sync,
)
from thinktwice.session import Session
from thinktwice.shadow import Shadow
from thinktwice.stop import AtMost, Lead
from thinktwice.store import observe
from thinktwice.store.costs import By, read_costs
from thinktwice.store.processor import Processor
from thinktwice.store.traces import read_traces
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.verifiers import Judge

pytestmark = pytest.mark.usefixtures("silent_remarks")
CANARY = "sk-canary"
PRICES = {"m": Price("1.25", "10", cache_read="0.125"), "judge": Price("3", "15")}


def answer(value: str, tokens: int) -> Completion[str]:
    usage = Usage(
        input_tokens=20 + tokens, output_tokens=tokens, cache_read_tokens=tokens, source="provider"
    )
    return Completion(value=value, usage=usage, model="m")


def sampler():
    """Answers, an error and a truncated one; the last is slow."""
    replies = [
        answer(f"{CANARY} a", 7),
        answer(f"{CANARY} b", 11),
        answer(f"{CANARY} a", 13),
        KeyError(CANARY),
        Completion(value=CANARY, finish_reason="length", model="m"),
        answer(f"{CANARY} a", 17),
    ]
    return ScriptedSampler(replies, seconds=[5, 3, 4, 1, 2, 90], model="m", max_tokens=50)


def judge():
    grade = json.dumps({"reason": CANARY, "score": 7})
    return Judge(ScriptedSampler([grade], seconds=1, model="judge", max_tokens=50), rubric=CANARY)


def run(strategy, **more):
    return run_virtual(
        solve("q", **{"sampler": sampler(), "strategy": strategy, "prices": PRICES} | more)
    )


async def votes(prompt):
    """A function that is taken for a model."""
    inner = solve(prompt, sampler=sampler(), strategy=Vote(6, stop=AtMost(6)), prices=PRICES)
    return (await inner).value


CASES = {
    "vote": lambda: run(Vote(6, stop=AtMost(6))),
    "losers": lambda: run(Vote(6, stop=Lead(2), prefer="latency")),
    "cut": lambda: run(Vote(6, stop=AtMost(6)), budget=Budget(seconds=4.5)),
    "nested": lambda: run(Vote(2, of=Vote(3, stop=AtMost(3)), stop=AtMost(2))),
    "in a function": lambda: run(Vote(2, stop=AtMost(2)), sampler=votes),
    "judged": lambda: run(BestOfN(4, verifier=judge())),
    "judged votes": lambda: run(BestOfN(2, verifier=judge(), of=Vote(3, stop=AtMost(3)))),
    "unpriced": lambda: run(Vote(3, stop=AtMost(3)), prices={"other": Price("1", "1")}),
}


class TestWhatIsStored:
    """Against the ledger of the run."""

    @pytest.mark.parametrize("case", CASES)
    def test_costs_are_those_of_the_ledger(self, observer, case):
        """To the last digit, by whatever they are grouped; unpriced calls are counted apart."""
        total = CASES[case]().ledger.total
        assert observer.flush()
        found = read_costs(observer.path)
        for groups in ([found.total], *found.by.values()):
            assert sum(group.cost for group in groups) == (total.cost or 0)
            assert sum(group.calls for group in groups) == total.calls
            assert sum(group.input for group in groups) == (total.usage.input_tokens or 0)
            assert sum(group.output for group in groups) == (total.usage.output_tokens or 0)
            assert sum(group.unpriced for group in groups) == total.unpriced
        assert found.dearest[0].cost == (total.cost or 0)
        assert found.total.requests == 1

    def test_parts_of_a_trillionth_are_nobodys(self, observer):
        """Each call is rounded; what that leaves stands under no role or model of its own."""
        ask = ScriptedSampler([answer("a", 1)], model="m")
        prices = {"m": Price("0", "1.0000004")}  # 0.4 trillionths beside whole ones, a call
        total = run(Vote(3, stop=AtMost(3)), sampler=ask, prices=prices).ledger.total
        assert observer.flush()
        found = read_costs(observer.path)
        assert all(group.calls for groups in found.by.values() for group in groups)
        assert abs(found.total.cost - total.cost) <= total.calls * Decimal("1e-12")

    def test_a_strategy_in_a_function_hangs_below_its_sample(self, observer):
        """In the tree of one request."""
        CASES["in a function"]()
        assert observer.flush()
        (request,) = read_costs(observer.path).dearest
        (drawn,) = read_traces(observer.path, request.run)
        kinds = [(depth, span.kind) for depth, span in drawn.root.walk() if depth < 4]
        of_one = [(1, "sample"), (2, "sampler"), (3, "run")]
        assert kinds == [(0, "run"), *of_one, *of_one]

    def test_a_strategy_in_a_function_on_a_thread(self, observer):
        """The thread ends what the loop has begun: it counts once all the same."""

        def function(prompt):
            ask = ScriptedSampler([answer("a", 7)], model="m")
            return solve_sync(prompt, sampler=ask, strategy=Vote(2), prices=PRICES).value

        result = solve_sync("q", sampler=function, strategy=Vote(3), prices=PRICES)
        assert observer.flush()
        found = read_costs(observer.path).total
        assert (found.requests, found.calls) == (1, result.ledger.total.calls)
        assert found.cost == result.ledger.total.cost

    def test_models_and_roles(self, observer):
        """The judge's calls are its own."""
        ledger = run(BestOfN(4, verifier=judge())).ledger
        observer.flush()
        by = read_costs(observer.path).by
        assert {group.name: group.cost for group in by[By.MODEL]} == {
            "m": ledger.by_role["sample"].cost,
            "judge": ledger.by_role["verify"].cost,
        }
        assert {group.name: group.cost for group in by[By.ROLE]} == {
            role: total.cost for role, total in ledger.by_role.items() if total.calls
        }

    def test_what_was_wasted_and_what_was_not_drawn(self, observer):
        """A loser costs what it had reserved; what was not drawn, the mean of what was."""
        result = CASES["losers"]()
        observer.flush()
        draws = read_costs(observer.path).total.draws
        lost = [entry for entry in result.ledger.entries if entry.status == "cancelled"]
        assert lost
        assert (draws.launched, draws.wasted) == (result.launched, result.launched - result.used)
        assert draws.wasted_cost >= sum(entry.cost or 0 for entry in lost)

    def test_what_was_not_drawn(self, observer):
        """At the mean cost of what was drawn."""
        result = run(Vote(6, prefer="cost"), sampler=ScriptedSampler([answer("a", 7)], model="m"))
        observer.flush()
        draws = read_costs(observer.path).total.draws
        assert draws.saved == 6 - result.launched > 0
        assert draws.saved_cost == result.ledger.total.cost / result.launched * draws.saved
        assert draws.wasted == 0

    def test_a_request_that_came_to_nothing_is_wasted(self, observer):
        """As a whole: nobody has an answer of it."""

        async def cancelled():
            task = asyncio.create_task(
                solve("q", sampler=sampler(), strategy=Vote(6, stop=AtMost(6)), prices=PRICES)
            )
            await asyncio.sleep(4.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run_virtual(cancelled())
        observer.flush()
        found = read_costs(observer.path)
        assert found.total.draws.wasted == found.total.draws.launched == 6
        assert found.total.draws.wasted_cost == found.total.cost > 0

    def test_nothing_counts_as_saved_under_a_budget(self, observer):
        """A run that was cut did not stop since it had enough."""
        CASES["cut"]()
        observer.flush()
        found = read_costs(observer.path)
        assert found.total.draws.saved == 0
        assert found.dearest[0].stopped_by == "budget of seconds"

    def test_an_estimate_is_told_apart(self, observer):
        """What a recalled call may have cost."""
        result = CASES["losers"]()
        observer.flush()
        estimated = read_costs(observer.path).total.estimated
        entries = [each for each in result.ledger.entries if each.usage.source == "estimated"]
        assert estimated == sum((each.cost or Decimal(0) for each in entries), Decimal(0))

    @pytest.mark.parametrize("case", CASES)
    def test_no_content(self, observer, case):
        """No prompt, answer, rubric or text of an error is anywhere in the file."""
        CASES[case]()
        observer.close()
        stored = b"".join(
            each.read_bytes() for each in observer.path.parent.glob(f"{observer.path.name}*")
        )
        assert b"Vote" in stored or b"BestOfN" in stored
        assert CANARY.encode() not in stored

    def test_a_shadow(self, observer):
        """The shadow is a request of its own, told apart by name."""

        async def both():
            shadow = Shadow(1.0)
            for _ in range(2):
                await solve("q", sampler=sampler(), strategy=Vote(3), prices=PRICES, shadow=shadow)
            await shadow.drain()
            return shadow.report.spent

        spent = run_virtual(both())
        observer.flush()
        groups = {group.name: group for group in read_costs(observer.path).by[By.STRATEGY]}
        assert groups["Vote (shadow)"].cost == spent.cost
        assert groups["Vote (shadow)"].requests == 2

    def test_an_agent_that_goes_on_after_an_error(self, observer):
        """Its second span tells of the first one's calls again; they count once."""

        async def broken(prompt):
            raise KeyError

        async def block(scope):
            booking = await scope.book(model="m", prompt="p")
            with booking:
                pass
            booking.settle(usage=Usage(input_tokens=8, output_tokens=4, source="provider"))

        async def work():
            session = Session(Budget(calls=9), name="desk", prices=PRICES)
            await session.work(block)
            with pytest.raises(KeyError):
                await session.work(lambda _: solve("p", sampler=broken, strategy=Vote(2)))
            await session.work(block)
            session.close()
            return session.ledger.total

        total = run_virtual(work())
        observer.flush()
        found = read_costs(observer.path)
        assert (found.total.calls, found.total.cost) == (total.calls, total.cost)
        assert {group.name for group in found.by[By.STRATEGY]} == {"invoke_agent desk"}


class TestProviders:
    """Whoever sets one, and when."""

    def test_none_is_set(self, observer):
        """Runs are traced for the file alone; the application's place stays free."""
        CASES["vote"]()
        assert not isinstance(trace.get_tracer_provider(), TracerProvider)
        observer.flush()
        assert read_costs(observer.path).total.requests == 1

    def test_set_before(self, tmp_path, no_provider):
        """Its exporters go on."""
        exported = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exported))
        trace.set_tracer_provider(provider)
        observer = observe(tmp_path / "spans.db")
        CASES["vote"]()
        observer.close()
        names = [span.name for span in exported.get_finished_spans()]
        assert names.count("thinktwice.sample") == 6
        assert observer.written == len(names)

    def test_one_that_drops_its_exporter_for_another_processor(self, observer):
        """As Phoenix's does, unless told so: its exporter stays."""
        exported = InMemorySpanExporter()

        class Replacing(TracerProvider):
            def add_span_processor(self, *given, replace_default_processor=True):
                if replace_default_processor:
                    exported.shutdown()
                super().add_span_processor(*given)

        provider = Replacing()
        provider.add_span_processor(SimpleSpanProcessor(exported), replace_default_processor=False)
        trace.set_tracer_provider(provider)
        CASES["vote"]()
        observer.flush()
        assert observer.written == len(exported.get_finished_spans()) > 0

    def test_set_later(self, observer):
        """From its first run on; nothing is stored twice."""
        CASES["vote"]()
        exported = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exported))
        trace.set_tracer_provider(provider)
        CASES["vote"]()
        CASES["vote"]()
        observer.flush()
        found = read_costs(observer.path).total
        assert (found.requests, found.calls) == (3, 18)
        names = [span.name for span in exported.get_finished_spans()]
        assert names.count("thinktwice.sample") == 12

    def test_shut_down_early(self, observer):
        """What it had is written, and later runs as well."""
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
        CASES["vote"]()
        provider.shutdown()
        assert read_costs(observer.path).total.requests == 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            CASES["vote"]()
        observer.flush()

    @pytest.mark.parametrize(
        "sampler", [ALWAYS_OFF, ParentBased(TraceIdRatioBased(1e-9)), TraceIdRatioBased(1e-9)]
    )
    def test_what_a_sampler_drops_is_not_seen(self, observer, fresh_remarks, sampler):
        """The file has what the provider records, which is said once."""
        trace.set_tracer_provider(TracerProvider(sampler=sampler))
        with pytest.warns(ThinktwiceWarning, match="drops traces"):
            CASES["vote"]()
        CASES["vote"]()  # a second warning would be an error here
        observer.flush()
        assert observer.written == 0

    def test_one_that_samples_all_is_not_remarked_upon(self, observer, fresh_remarks):
        """The default samples all that have no parent elsewhere."""
        trace.set_tracer_provider(TracerProvider())
        CASES["vote"]()
        observer.flush()
        assert observer.written

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("OTEL_TRACES_SAMPLER", "always_off"),
            ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2"),
            ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-3"),
            ("OTEL_ATTRIBUTE_COUNT_LIMIT", "x"),
            ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "x"),
            ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "1"),
            ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "x"),
            ("OTEL_SPAN_LINK_COUNT_LIMIT", "x"),
            ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "none-of-this-name"),
        ],
    )
    def test_the_environment_is_for_exporters(self, observer, monkeypatch, variable, value):
        """Our own provider drops nothing, and no mistake in a variable fails a run."""
        monkeypatch.setenv(variable, value)
        total = CASES["vote"]().ledger.total
        observer.flush()
        assert read_costs(observer.path).total.cost == total.cost

    def test_a_parent_elsewhere_that_is_not_sampled(self, observer):
        """A caller's traces are sampled; the costs of its requests are here all the same."""
        remote = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(0))
        token = otel.attach(trace.set_span_in_context(trace.NonRecordingSpan(remote)))
        try:
            CASES["vote"]()
        finally:
            otel.detach(token)
        observer.flush()
        assert read_costs(observer.path).total.requests == 1

    def test_the_sdk_is_disabled(self, tmp_path, no_provider, monkeypatch, fresh_remarks):
        """By the environment, which is said."""
        monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
        with pytest.warns(ThinktwiceWarning, match="OTEL_SDK_DISABLED is set"):
            observer = observe(tmp_path / "spans.db")
        CASES["vote"]()
        observer.close()
        assert observer.written == 0

    def test_one_that_takes_no_processor(self, observer, fresh_remarks):
        """It is said, and the run goes on."""

        class Other(trace.TracerProvider):
            def get_tracer(self, *args, **kwargs):
                return trace.NoOpTracer()

        trace.set_tracer_provider(Other())
        with pytest.warns(UserWarning, match="takes no span processor"):
            assert CASES["vote"]().launched == 6

    @pytest.mark.parametrize("fault", ["on_start", "on_end", "sampler", "ids"])
    def test_one_that_raises(self, observer, fresh_remarks, fault):
        """What its own processors or sampler raise keeps nothing from the file."""

        def broken(*_, **__):
            raise LookupError

        breaking = SpanProcessor()
        provider = TracerProvider(sampler=ParentBased(ALWAYS_ON))
        if fault.startswith("on_"):
            setattr(breaking, fault, broken)
        elif fault == "sampler":
            provider.sampler.should_sample = broken
        else:
            provider.id_generator.generate_span_id = broken
        provider.add_span_processor(breaking)
        trace.set_tracer_provider(provider)
        with pytest.warns(ThinktwiceWarning, match="tracing raised LookupError"):
            total = CASES["judged votes"]().ledger.total
        observer.flush()
        found = read_costs(observer.path)
        assert (found.total.requests, found.total.calls) == (1, total.calls)
        assert found.total.cost == total.cost
        (drawn,) = read_traces(observer.path, found.dearest[0].run)
        assert max(depth for depth, _ in drawn.root.walk()) == 4

    def test_observed_again_and_again(self, tmp_path, no_provider):
        """A provider lets no processor go, so it gets one."""
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
        add, added = provider.add_span_processor, []
        provider.add_span_processor = lambda each: (added.append(each), add(each))
        for at in range(3):
            observer = observe(tmp_path / f"{at}.db")
            CASES["vote"]()
            observer.close()
            CASES["vote"]()  # nobody observes this one
            assert read_costs(observer.path).total.requests == 1
        assert [type(each) for each in added].count(Processor) == 1

    def test_closed(self, observer):
        """Runs after that are not stored, and the provider is the application's again."""
        CASES["vote"]()
        observer.close()
        written = observer.written
        CASES["vote"]()
        assert observer.written == written
        assert observer.dropped == 0


class TestForeignLeaves:
    """Model calls that somebody else traces."""

    @pytest.fixture
    def leaf(self, observer, monkeypatch):
        """A sampler under an instrumentation that writes the leaf, below a span of a chain."""
        monkeypatch.setenv("THINKTWICE_LLM_SPANS", "never")
        trace.set_tracer_provider(TracerProvider())
        tracer = trace.get_tracer("openinference")

        async def ask(prompt: str) -> Completion[str]:
            with (
                tracer.start_as_current_span(
                    "chain", attributes={"openinference.span.kind": "CHAIN"}
                ),
                tracer.start_as_current_span("ChatModel") as span,
            ):
                span.set_attributes(
                    {
                        "openinference.span.kind": "LLM",
                        "llm.model_name": "theirs",
                        "llm.token_count.prompt": 27,
                        "llm.token_count.completion": 7,
                        "input.value": CANARY,
                    }
                )
            return answer("a", 7)

        return ask

    def test_are_in_the_tree_and_counted_once(self, observer, leaf):
        """The cost is that of our spans; their leaf hangs below the sample."""
        result = run(Vote(2, stop=AtMost(2)), sampler=leaf)
        observer.flush()
        found = read_costs(observer.path)
        assert found.total.cost == result.ledger.total.cost
        assert found.total.calls == 2
        (drawn,) = read_traces(observer.path, found.dearest[0].run)
        below = [(depth, span.kind, span.model) for depth, span in drawn.root.walk()]
        assert below == [(0, "run", None), *[(1, "sample", "m"), (2, "call", "theirs")] * 2]

    def test_elsewhere_are_not_stored(self, observer, leaf):
        """A model call outside of a run is none of ours."""
        run_virtual(leaf("q"))
        observer.flush()
        assert observer.written == 0


class TestUse:
    """Calling `observe`."""

    def test_twice_is_once(self, observer):
        """The same path gives the same observer, and nothing is stored twice."""
        assert observe(observer.path) is observer
        CASES["vote"]()
        observer.flush()
        assert read_costs(observer.path).total.requests == 1

    @pytest.mark.parametrize("other", [{"explore": 0.02}, {"max_bytes": 2**20}])
    def test_other_settings_are_refused(self, observer, other):
        """Or the second call would silently have none of them."""
        with pytest.raises(UsageError, match="close\\(\\) that first"):
            observe(observer.path, **other)

    def test_a_link(self, tmp_path, no_provider):
        """The file that it names is written, and is the same one under both names."""
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "spans.db")
        observer = observe(link)
        assert observe(tmp_path / "spans.db") is observer
        CASES["vote"]()
        observer.close()
        assert read_costs(link).total.requests == 1
        assert link.is_symlink()

    def test_a_folder(self, tmp_path):
        """It is refused at once."""
        with pytest.raises(UsageError, match="this is a folder"):
            observe(tmp_path)

    def test_another_file_is_refused(self, observer, tmp_path):
        """A process observes into one."""
        with pytest.raises(UsageError, match="observed already"):
            observe(tmp_path / "other.db")

    @pytest.mark.parametrize("path", [5, b"spans.db", "", "a\0b", "~nobody-of-this-name/spans.db"])
    def test_paths(self, path):
        """What is none is said to be."""
        with pytest.raises(UsageError, match="path="):
            observe(path)

    @pytest.mark.parametrize("size", [0, -1, 2**19, 1e9, True, "1GB"])
    def test_sizes(self, tmp_path, size):
        """A whole number of bytes, not too few for a few requests."""
        with pytest.raises(UsageError, match="max_bytes"):
            observe(tmp_path / "spans.db", max_bytes=size)

    @pytest.mark.parametrize("content", [b"some notes of mine", b"SQLite format 3\0" + bytes(84)])
    def test_somebody_elses_file(self, tmp_path, content):
        """It is refused at once, and left as it is."""
        path = tmp_path / "notes"
        path.write_bytes(content)
        with pytest.raises(UsageError, match="no store of thinktwice"):
            observe(path)
        assert path.read_bytes() == content

    def test_another_database(self, tmp_path):
        """Of another application."""
        path = tmp_path / "app.db"
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE spans (x)")
        database.commit()
        database.close()
        with pytest.raises(UsageError, match="no store of thinktwice"):
            observe(path)

    def test_of_a_newer_version(self, observer):
        """It is refused, since its columns are not known."""
        CASES["vote"]()
        observer.close()
        database = sqlite3.connect(observer.path)
        database.execute("PRAGMA user_version = 99")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        with pytest.raises(UsageError, match="newer thinktwice"):
            observe(observer.path)

    def test_goes_on_in_a_file_of_before(self, observer):
        """What an earlier process wrote stays."""
        CASES["vote"]()
        observer.close()
        again = observe(observer.path)
        CASES["vote"]()
        again.close()
        assert read_costs(observer.path).total.requests == 2

    def test_an_empty_file_is_taken(self, tmp_path, no_provider):
        """As `tempfile` makes them."""
        path = tmp_path / "empty"
        path.touch()
        observer = observe(path)
        CASES["vote"]()
        observer.close()
        assert read_costs(path).total.requests == 1


def test_a_variable_that_the_sdk_does_not_take(tmp_path):
    """It reads some as it is imported: that is a mistake of use, and no error of a run."""
    code = (
        "import thinktwice\n"
        "try: thinktwice.observe('spans.db')\n"
        "except thinktwice.UsageError as error: print(error)"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "-3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT" in done.stdout


def test_instrumentations_elsewhere_do_not_hide_the_leaf(observer, monkeypatch):
    """Without a provider they write nothing: the models have to come from our leaf spans."""
    monkeypatch.setattr("thinktwice.telemetry.recording.instrumented", lambda: True)
    CASES["judged"]()
    observer.flush()
    models = {group.name for group in read_costs(observer.path).by[By.MODEL]}
    assert models == {"m", "judge"}
    (drawn,) = read_traces(observer.path, read_costs(observer.path).dearest[0].run)
    assert [span.kind for _, span in drawn.root.walk()].count("call") == 7
