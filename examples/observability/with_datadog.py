"""The requests of send.py, traced by Datadog's library, which sends them to its agent.

DD_TRACE_OTEL_ENABLED=true DD_SERVICE=my-application python examples/observability/with_datadog.py
"""

from __future__ import annotations

import sys

try:
    import ddtrace.auto  # noqa: F401 - sets OpenTelemetry up, where DD_TRACE_OTEL_ENABLED says so
    from ddtrace.trace import tracer
except ModuleNotFoundError:
    sys.exit("this needs the library of Datadog: pip install ddtrace")
from send import main

main()
tracer.shutdown()
