"""The requests of send.py, traced by Logfire: what its own SDK sets up is all that there is to do.

LOGFIRE_TOKEN=... python examples/observability/with_logfire.py
"""

from __future__ import annotations

import sys

try:
    import logfire
except ModuleNotFoundError:
    sys.exit("this needs the SDK of Logfire: pip install logfire")
from send import main

logfire.configure(send_to_logfire="if-token-present")
main()
logfire.shutdown()
