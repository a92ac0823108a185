"""An application whose metrics Prometheus scrapes, for the tests; it goes on until it is ended.

Every request has four samples, of which one fails; a judge scores the others. The first line that
it prints is the port of its metrics.
"""

from __future__ import annotations

import asyncio
from itertools import count

from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import start_http_server

from thinktwice import BestOfN, Completion, Price, Usage, solve
from thinktwice.testing import ScriptedSampler
from thinktwice.verifiers import Judge

metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()]))
server, _ = start_http_server(0, "127.0.0.1")
print(server.server_port, flush=True)  # noqa: T201

asked = count()


async def ask(prompt: str) -> Completion[str]:
    """Fails once in four times."""
    if next(asked) % 4 == 0:
        raise ConnectionError
    usage = Usage(input_tokens=1000, output_tokens=100, source="provider")
    return Completion(value="391", usage=usage, model="small")


async def main() -> None:
    """Ten requests a second."""
    verdict = '{"reason": "r", "score": 7}'
    judge = ScriptedSampler([verdict], model="unpriced", input_tokens=50, output_tokens=5)
    best = BestOfN(4, verifier=Judge(judge, rubric="good"))
    while True:
        await solve("17 * 23", sampler=ask, strategy=best, prices={"small": Price("1", "10")})
        await asyncio.sleep(0.1)


asyncio.run(main())
