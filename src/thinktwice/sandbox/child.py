"""A child process that is fed, read and killed in time: blocking, on a thread of its own."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import IO

Cause: TypeAlias = Literal["exited", "timeout", "output", "cancelled"]

_CHUNK: Final = 64 * 1024
_ERRORS: Final = 2000  # bytes of standard error that are kept
_LOOK: Final = 0.05  # seconds between looks at whether it still runs


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to start.

    Attributes:
        arguments: The program and its arguments, given the descriptor on which it is to write its
            results and one from which it reads `extra`.
        extra: Bytes that are ready on that descriptor; up to what a pipe holds, 64 KiB.
        environment: All of its environment.
        user: Who is to own its standard input and output, if not this user: it may open them anew,
            by `/dev/stdin`.
    """

    arguments: Callable[[int, int], Sequence[str]]
    extra: bytes = b""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    user: int | None = None


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How it ended, and what it wrote.

    Attributes:
        cause: Whether it ended by itself or was killed, and why.
        code: Its exit status; below 0 the signal that ended it.
        results: What it wrote on the descriptor for results.
        output: What it wrote on standard output; at most the cap.
        errors: The first of what it wrote on standard error.
        seconds: How long it ran, on the clock.
    """

    cause: Cause
    code: int
    results: bytes
    output: bytes
    errors: bytes
    seconds: float


class Child:
    """One child process, in a session of its own."""

    def __init__(self, command: Command, given: bytes, *, seconds: float, output: int) -> None:
        """Start nothing yet.

        Args:
            command: What to start.
            given: Its standard input.
            seconds: On the clock, until it is killed.
            output: Bytes that it may write on standard output, and about twice on results.
        """
        self._command = command
        self._given = memoryview(given)
        self._seconds = seconds
        self._caps = {"output": output, "results": 2 * output + _CHUNK}
        self._read = {"output": bytearray(), "results": bytearray(), "errors": bytearray()}
        self._lock = threading.Lock()
        self._waker: int | None = None
        self._cancelled = False

    def cancel(self) -> None:
        """Have `run` kill the process at once: from any thread, before, during or after it."""
        with self._lock:
            self._cancelled = True
            if self._waker is not None:
                os.write(self._waker, b"x")

    def run(self) -> Ended:
        """Run it to its end, or to the first limit, and leave nothing of it.

        Raises:
            OSError: It cannot be started.
        """
        since = time.monotonic()
        with ExitStack() as stack:
            wake = self._wake(stack)
            process, results = self._start(stack)
            with _Reaped(process):
                cause = self._attend(process, results, wake, since + self._seconds)
        return Ended(
            cause="cancelled" if self._cancelled else cause,
            code=process.returncode,
            results=bytes(self._read["results"]),
            output=bytes(self._read["output"][: self._caps["output"]]),
            errors=bytes(self._read["errors"][:_ERRORS]),
            seconds=time.monotonic() - since,
        )

    def _wake(self, stack: ExitStack) -> int:
        wake, waker = os.pipe()
        stack.callback(os.close, wake)

        def close() -> None:
            with self._lock:
                self._waker = None
                os.close(waker)

        stack.callback(close)
        with self._lock:
            self._waker = waker
            if self._cancelled:
                os.write(waker, b"x")
        return wake

    def _start(self, stack: ExitStack) -> tuple[subprocess.Popen[bytes], int]:
        results, writer = os.pipe()
        stack.callback(os.close, results)
        with ExitStack() as theirs:
            theirs.callback(os.close, writer)
            extra = _filled_pipe(theirs, self._command.extra)
            process = subprocess.Popen(  # noqa: S603 - no shell, and none of it from outside
                self._command.arguments(writer, extra),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=(writer, extra),
                env=self._command.environment,
                cwd="/",
                start_new_session=True,
            )
        if self._command.user is not None:
            for pipe in (process.stdin, process.stdout):
                os.fchown(cast("IO[bytes]", pipe).fileno(), self._command.user, -1)
        return process, results

    def _attend(
        self, process: subprocess.Popen[bytes], results: int, wake: int, deadline: float
    ) -> Cause:
        with selectors.DefaultSelector() as selector:
            selector.register(wake, selectors.EVENT_READ, "wake")
            selector.register(results, selectors.EVENT_READ, "results")
            selector.register(cast("IO[bytes]", process.stdout), selectors.EVENT_READ, "output")
            selector.register(cast("IO[bytes]", process.stderr), selectors.EVENT_READ, "errors")
            self._offer(selector, cast("IO[bytes]", process.stdin))
            while len(selector.get_map()) > 1:
                if time.monotonic() >= deadline:
                    return "timeout"
                ready = selector.select(min(_LOOK, deadline - time.monotonic()))
                if not ready and process.poll() is not None:
                    return "exited"  # others keep its pipes open
                for key, _ in ready:
                    cause = self._serve(selector, key)
                    if cause is not None:
                        return cause
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return "timeout"
        return "exited"

    def _offer(self, selector: selectors.BaseSelector, stdin: IO[bytes]) -> None:
        os.set_blocking(stdin.fileno(), False)
        selector.register(stdin, selectors.EVENT_WRITE, "given")

    def _serve(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> Cause | None:
        if key.data == "wake":
            return "cancelled"
        if key.data == "given":
            self._give(selector, cast("IO[bytes]", key.fileobj))
            return None
        chunk = os.read(key.fd, _CHUNK)
        if not chunk:
            selector.unregister(key.fileobj)
            return None
        read = self._read[key.data]
        if key.data != "errors" or len(read) < _ERRORS:
            read += chunk
        return "output" if len(read) > self._caps.get(key.data, len(read)) else None

    def _give(self, selector: selectors.BaseSelector, stdin: IO[bytes]) -> None:
        try:
            self._given = self._given[os.write(stdin.fileno(), self._given[:_CHUNK]) :]
        except BrokenPipeError:  # it reads no more
            self._given = self._given[:0]
        if not self._given:
            selector.unregister(stdin)
            stdin.close()


class _Reaped:
    """A block at whose end nothing is left of a process, its group, and its pipes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def __enter__(self) -> None:
        """Nothing to do before."""

    def __exit__(self, *_: object) -> None:
        """Kill, wait and close."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


def _filled_pipe(stack: ExitStack, content: bytes) -> int:
    """The reading end of a pipe that holds some bytes."""
    reader, writer = os.pipe()
    stack.callback(os.close, reader)
    try:
        os.write(writer, content)
    finally:
        os.close(writer)
    return reader
