"""Whole runs of every kind, with a mark in all that a user would not want to see in a backend."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

from opentelemetry import _logs, metrics
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs import export as logs_export
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tests.contracts.walking import started
from tests.unit.verifiers.code.fakes import Here
from thinktwice import (
    BestOfN,
    Budget,
    Completion,
    Price,
    Usage,
    Verdict,
    Vote,
    solve,
)
from thinktwice.selection import Knockout
from thinktwice.session import Session
from thinktwice.shadow import Shadow
from thinktwice.stop import AtMost, Lead
from thinktwice.strategies.codet import CodeT
from thinktwice.strategies.critique_repair import CritiqueRepair
from thinktwice.strategies.deepconf import DeepConf
from thinktwice.strategies.field_vote import FieldVote
from thinktwice.strategies.perplexity_consistency import PerplexityConsistency
from thinktwice.strategies.tool_check import ToolCheck
from thinktwice.strategies.universal_consistency import UniversalConsistency
from thinktwice.testing import ScriptedSampler, captured_spans, run_virtual
from thinktwice.vary import Vary
from thinktwice.verifiers import Judge, PairwiseJudge
from thinktwice.workflow import collect

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.metrics.export import Metric
    from opentelemetry.sdk.trace import ReadableSpan

    from thinktwice.ledger import Ledger
    from thinktwice.result import Result

# As it is called now, and as the lowest version that is supported calls it.
_NAMES: Final = ("InMemoryLogRecordExporter", "InMemoryLogExporter")
_LogExporter = next(getattr(logs_export, each) for each in _NAMES if hasattr(logs_export, each))

MARK: Final = "sk-mark"
"""Stands in each prompt, completion, answer, key, piece of feedback, setting and error."""
PRICES: Final = {"m": Price("1.25", "10", cache_read="0.125"), "judge": Price("3", "15")}
GRADE: Final = json.dumps({"reason": MARK, "score": 7})
PROGRAM: Final = f"```python\ndef f(x):\n    return 2 * x  # {MARK}\n```"


@dataclass
class Trace:
    """What a run left behind."""

    ledger: Ledger | None = None
    ledgers: list[Ledger] = field(default_factory=list)
    error: BaseException | None = None
    open: list[str] = field(default_factory=list)
    spans: list[ReadableSpan] = field(default_factory=list)
    logs: list[ReadableLogRecord] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    text: str = ""


def said(value: object, tokens: int = 7, **more: object) -> Completion[object]:
    """A completion of model m."""
    usage = Usage(
        input_tokens=20 + tokens,
        output_tokens=tokens,
        cache_read_tokens=tokens,
        cache_write_tokens=1,
        reasoning_tokens=tokens // 2,
        source="provider",
    )
    return Completion(value=value, usage=usage, **{"model": "m", "raw": MARK, **more})  # type: ignore[arg-type]


A, B, C = (f"{MARK} {name}" for name in "abc")
SOME: Final = [
    said(A),
    said(B, 11),
    KeyError(MARK),
    said(A, 13),
    Completion(value=MARK, finish_reason="length", model="m"),
    said(A, 17, cached=True),
    said(C, 19, model="unpriced"),
]


def model(values: object = None, seconds: object = (5, 3, 1, 4, 2, 6, 90), **more: object):
    """What is sampled."""
    return ScriptedSampler(values or SOME, seconds=seconds, model="m", max_tokens=50, **more)  # type: ignore[arg-type]


def judge(*replies: object) -> ScriptedSampler[object]:
    """Another model."""
    return ScriptedSampler(replies or [GRADE], seconds=1, model="judge", max_tokens=50)


class Native:
    """Makes several choices by one request."""

    model, max_tokens = "m", 50

    async def __call__(self, prompt: object, /, *, options: object) -> object:
        return (await self.many(prompt, 1, options=options))[0]

    async def many(self, prompt: object, n: int, /, *, options: object) -> list[object]:
        del prompt, options
        await asyncio.sleep(1)
        return [said(A, 7 * n), *(Completion(value=B) for _ in range(n - 1))]


class Logged:
    """A model that tells how sure it is."""

    model, max_tokens = "m", 50

    async def __call__(self, prompt: object, /) -> object:
        await asyncio.sleep(1)
        return said(A, logprobs=(-0.1, -0.2), top_logprobs=((-0.1, -3.0), (-0.2, -2.0)))


def refuses(value: object) -> Verdict:
    """A tool that finds fault."""
    return Verdict(outcome="fail", feedback=f"{MARK} {value}", evidence=(MARK,))


def breaks(value: object) -> bool:
    """A tool that breaks."""
    raise ValueError(f"{MARK} {value}")


async def votes(prompt: object) -> object:
    """A function that is taken for a model, and runs a strategy."""
    return (await run(Vote(3, stop=AtMost(3)), prompt=prompt)()).value


def straggling() -> ScriptedSampler[object]:
    """Quick, but for one call after many."""
    return model([said(A)], [1] * 10 + [500, 1])


ALL: Final = AtMost(7)
JUDGED: Final = BestOfN(7, verifier=Judge(judge(), rubric=MARK))


def run(strategy: object, sampler: object = None, prompt: object = MARK, **more: object):
    """A scenario of one run."""

    async def main() -> Result[object]:
        given = {"options": {"stop": MARK, "temperature": 0.7}, "prices": PRICES, **more}
        if sampler is not None and not isinstance(sampler, ScriptedSampler):
            given.pop("options")
        return await solve(prompt, sampler=sampler or model(), strategy=strategy, **given)  # type: ignore[arg-type]

    return main


async def after_many() -> Result[object]:
    """A run with a hedge: the sampler is known by then."""
    sampler = straggling()
    for _ in range(2):
        await solve(MARK, sampler=sampler, strategy=Vote(5, stop=AtMost(5)), prices=PRICES)
    return await solve(
        MARK, sampler=sampler, strategy=Vote(4, stop=AtMost(4), prefer="latency"), prices=PRICES
    )


async def in_session() -> Session:
    """A call of no strategy, and a vote in the same session."""
    session = Session(prices=PRICES)

    async def block(scope: object) -> None:
        booking = await scope.book(model="m", prompt=MARK)  # type: ignore[attr-defined]
        with booking:
            await asyncio.sleep(1)
        booking.settle(usage=Usage(input_tokens=9, output_tokens=4, source="provider"))
        await run(Vote(3, stop=AtMost(3)))()

    await session.work(block)
    session.close()
    return session


async def in_shadow() -> Result[object]:
    """One sample for the user, and a vote behind it."""
    shadow = Shadow(1.0)
    result = await run(Vote(3, stop=AtMost(3)), shadow=shadow)()
    await shadow.drain()
    return result


async def together() -> Result[object]:
    """Of a vote whose budget is inside another one."""
    with collect() as results:
        await run(Vote(2, of=Vote(3, stop=AtMost(3)), stop=AtMost(2)), budget=Budget(calls=4))()
    return results[0]


FIELDS: Final = [said({"a": A, "b": 1}), said({"a": A, "b": 2}), said({"a": B, "b": 1})]

SCENARIOS: Final[dict[str, Callable[[], Coroutine[object, object, object]]]] = {
    "vote": run(Vote(7, stop=ALL)),
    "vote with losers": run(Vote(7, stop=Lead(2), prefer="latency")),
    "vote cut by time": run(Vote(7, stop=ALL), budget=Budget(seconds=4.5, tokens=5000)),
    "vote cut by cost": run(Vote(7, stop=ALL), budget=Budget(cost="0.002")),
    "vote with names": run(
        Vote(6, stop=AtMost(6), vary=Vary(samplers=("small", "large"), seed=0)),
        {"small": model(), "large": judge(said(A))},
        options={},
    ),
    "vote with a hedge": after_many,
    "vote of failures": run(Vote(2), model([KeyError(MARK)])),
    "vote with choices": run(Vote(4, stop=AtMost(4), prefer="latency"), Native()),
    "vote of votes": run(Vote(2, of=Vote(3, stop=AtMost(3)), stop=AtMost(2))),
    "vote of a function that votes": run(Vote(2, stop=AtMost(2)), votes),
    "budgets inside each other": together,
    "best of n": run(JUDGED),
    "best of n, capped": run(JUDGED, budget=Budget(tokens=100_000, cost=1)),
    "best of n, by a broken check": run(BestOfN(3, verifier=breaks)),
    "best of votes": run(BestOfN(2, verifier=JUDGED.verifier, of=Vote(3, stop=AtMost(3)))),
    "knockout": run(
        BestOfN(
            4,
            select=Knockout(
                PairwiseJudge(judge(json.dumps({"reason": MARK, "better": "A"})), rubric=MARK)
            ),
        ),
        model([said(A), said(B), said(C), said(f"{MARK} d")], 1),
    ),
    "critique and repair": run(CritiqueRepair(refuses), model([said(A), said(B), said(C)], 1)),
    "self-refine": run(
        CritiqueRepair(mode="self_refine", critic=judge(json.dumps({"issue": MARK}))),
        model([said(A), said(B), said(C)], 1),
    ),
    "tool check": run(ToolCheck(refuses), model([said(A), said(B), said(C)], 1)),
    "field vote": run(FieldVote(3), model(FIELDS, 1)),
    "deepconf": run(DeepConf(5, warmup=3), Logged()),
    "perplexity consistency": run(PerplexityConsistency(3), Logged()),
    "codet": run(
        CodeT(
            3,
            entry_point="f",
            sandbox=Here(),
            writes=2,
            generate=judge(f"assert f(3) == 6  # {MARK}"),
        ),
        model([said(PROGRAM)], 1),
    ),
    "universal consistency": run(
        UniversalConsistency(3, judge=judge(json.dumps({"reason": MARK, "response": 1}))),
        model([said(A), said(B), said(C)], 1),
    ),
    "session": in_session,
    "shadow": in_shadow,
}


@contextmanager
def collected(trace: Trace) -> Generator[None]:
    """Collect spans, log records and metrics of a block."""
    reader, logs = InMemoryMetricReader(), _LogExporter()
    meters, loggers = MeterProvider([reader]), LoggerProvider(shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
    with ExitStack() as stack:
        stack.enter_context(patch.object(metrics, "get_meter_provider", lambda: meters))
        stack.enter_context(patch.object(_logs, "get_logger_provider", lambda: loggers))
        trace.spans = stack.enter_context(captured_spans())
        watch = started()
        before = set(watch.open)
        yield
        trace.open = [name for span, name in watch.open.items() if span not in before]
    data = reader.get_metrics_data()
    trace.logs = list(logs.get_finished_logs())
    resources = data.resource_metrics if data else ()
    trace.metrics = [m for r in resources for scope in r.scope_metrics for m in scope.metrics]
    parts = [span.to_json() for span in trace.spans] + [log.to_json() for log in trace.logs]
    trace.text = "\n".join([*parts, *(metric.to_json() for metric in trace.metrics)])
    meters.shutdown()
    loggers.shutdown()


def traced(scenario: Callable[[], Coroutine[object, object, object]]) -> Trace:
    """Run a scenario, whatever it raises."""
    trace = Trace()
    with collected(trace), collect() as results:
        try:
            ended = run_virtual(scenario())
            trace.ledger = ended.ledger if hasattr(ended, "ledger") else ended  # type: ignore[assignment]
        except BaseException as error:  # noqa: BLE001 - of which there are some among them
            trace.error = error
    trace.ledgers = [result.ledger for result in results]
    if trace.ledger is None:
        trace.ledger = trace.ledgers[-1]
    return trace
