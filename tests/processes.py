"""What this process has open, and its children, for tests that see that nothing is left."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def children() -> dict[int, bytes]:
    """The command lines of the children of this process, by their number."""
    found: dict[int, bytes] = {}
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            for pid in (task / "children").read_text().split():
                found[int(pid)] = command_line(Path("/proc", pid))
    return found


def command_line(process: Path) -> bytes:
    """The arguments of a process, each with a zero behind it; nothing if it has ended."""
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def descriptors() -> int:
    """How many are open."""
    return len(list(Path("/proc/self/fd").iterdir()))
