"""What a shadow leaves under way neither keeps the interpreter from exiting nor makes it loud."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

BEGIN = """
import asyncio, logging, time, warnings
logging.basicConfig()
warnings.simplefilter("always")
from thinktwice import Vote, solve, solve_sync
from thinktwice.shadow import Shadow
from thinktwice.shadow.background import in_background

shadow = Shadow(1.0, max_concurrency=2)

async def sampler(prompt):
    if in_background.get():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
    return "a"

def blocking(prompt):
    if in_background.get():
        time.sleep(60)
    return "a"

async def main(pause=0.02):
    for _ in range(4):
        await solve("q", sampler=sampler, strategy=Vote(3), shadow=shadow)
    await asyncio.sleep(pause)
"""
ENDS = {
    "asyncio.run": "asyncio.run(main())",
    "asyncio.run, before it began": "asyncio.run(main(0))",
    "a loop that is closed": """
l = asyncio.new_event_loop()
l.run_until_complete(main())
l.close()
""",
    "a loop that is left": """
warnings.simplefilter("ignore", ResourceWarning)  # of the loop itself
l = asyncio.new_event_loop()
l.run_until_complete(main())
""",
    "sync code": """
for _ in range(4):
    solve_sync("q", sampler=blocking, strategy=Vote(3), shadow=shadow)
time.sleep(0.02)
""",
}


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(
            each,
            marks=pytest.mark.skipif(
                each == "a loop that is left" and sys.version_info >= (3, 13),
                reason="Python 3.13 itself is loud about a loop that is left, in development mode",
            ),
        )
        for each in ENDS
    ],
)
def test_it_exits_at_once_and_says_nothing(end: str):
    """However the application ends; all four are then lost, or still pending."""
    report = "r = shadow.report; print(r.cancelled + r.pending)"
    code = "\n".join([BEGIN, ENDS[end], report])
    started = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own text
        [sys.executable, "-X", "dev", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.stdout, done.stderr) == ("4\n", "")
    assert time.perf_counter() - started < 20  # and not the minute that a call takes
