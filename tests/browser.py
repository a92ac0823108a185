"""A headless Chromium, for tests that look at pages."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def chromium(profile: Path, *, patience: int) -> Callable[..., str]:
    """Opens a page on a screen so large, and gives what the browser prints; skips without one.

    Args:
        profile: An empty folder of its own.
        patience: Milliseconds of the page's own time.
    """
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium is installed")
    command = [program, *QUIET, f"--virtual-time-budget={patience}", f"--user-data-dir={profile}"]

    def opened(url: str, *arguments: str, size: str = "1400,900") -> str:
        asked = [*command, f"--window-size={size}", *arguments, url]
        done = subprocess.run(asked, capture_output=True, timeout=120, check=True)  # noqa: S603 - a page of ours
        return done.stdout.decode()

    return opened
