"""What examples say where something that they need is missing: one line, and no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
RUN = """
import runpy, sys
script, missing, *arguments = sys.argv[1:]
if missing:
    sys.modules[missing] = None
sys.argv = [script, *arguments]
runpy.run_path(script, run_name="__main__")
"""


def said(script: str, missing: str, *arguments: str) -> str:
    """What an example says, and nothing else, before it ends with a failure."""
    done = subprocess.run(  # noqa: S603 - our own example
        [sys.executable, "-c", RUN, str(EXAMPLES / script), missing, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("script", "package"),
    [
        ("observability/with_logfire.py", "logfire"),
        ("observability/with_langfuse.py", "langfuse"),
        ("observability/with_datadog.py", "ddtrace"),
        ("quotas/redis_store.py", "redis"),
    ],
)
def test_a_package_that_is_missing(script, package):
    """Is named, with the command."""
    assert said(script, package).endswith(f": pip install {package}")


def test_a_model_that_is_missing():
    """Likewise."""
    line = said("observability/send.py", "arithmetic_lm")
    assert line.endswith(": pip install -e examples/arithmetic_lm")


@pytest.mark.parametrize("arguments", [["many"], ["0"], ["-1"], ["1", "2"]])
def test_an_argument_that_makes_no_sense(arguments):
    """Nothing is sent."""
    pytest.importorskip("arithmetic_lm")
    line = said("observability/send.py", "", *arguments)
    assert line.endswith("send.py [how often to ask, such as 200]")


@pytest.mark.parametrize("arguments", [[], ["redis://a", "redis://b"]])
def test_a_store_without_its_address(arguments):
    """It shows one."""
    pytest.importorskip("redis")
    line = said("quotas/redis_store.py", "", *arguments)
    assert line.endswith("redis_store.py redis://localhost:6379")


@pytest.mark.parametrize(
    ("url", "message"), [("nowhere", "Redis URL must"), ("redis://127.0.0.1:1", "cannot be read")]
)
def test_a_store_that_is_not_there(url, message):
    """It says what is wrong."""
    pytest.importorskip("redis")
    assert message in said("quotas/redis_store.py", "", url)
