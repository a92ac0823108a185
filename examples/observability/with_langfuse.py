"""The requests of send.py, traced by Langfuse: what its own SDK sets up is all that there is to do.

LANGFUSE_PUBLIC_KEY=... LANGFUSE_SECRET_KEY=... python examples/observability/with_langfuse.py
"""

from __future__ import annotations

import sys

try:
    from langfuse import get_client
except ModuleNotFoundError:
    sys.exit("this needs the SDK of Langfuse: pip install langfuse")
from send import main

client = get_client()
with client.start_as_current_observation(name="questions"):  # a trace for all of them
    main()
client.flush()
