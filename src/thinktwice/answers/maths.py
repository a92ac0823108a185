"""`key="math"`: answers that are mathematics, read by math-verify in a process of its own.

SymPy is slow to load, and on an unlucky input it computes for ever: so it runs where it can be
killed.
"""

from __future__ import annotations

import atexit
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import threading
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Final, cast

from thinktwice.answers.marks import marks
from thinktwice.answers.numbers import canonical_number
from thinktwice.answers.shapes import text_in, unwrap
from thinktwice.errors import UsageError, is_number
from thinktwice.sample import Completion

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

LIMIT: Final = 3.0
"""Seconds for one answer; what takes longer abstains."""

_START: Final = 60.0
"""Seconds for the process to load SymPy: about one, and more on a busy machine."""

_TAIL: Final = 1000
"""Characters at the end of a text in which an answer that is not marked is looked for."""

_REMEMBERED: Final = 1024
_FORMULA: Final = re.compile(r"[\\^]")
_PROSE: Final = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}|\n")
"""A word that is no command: a formula among words is not looked for."""

_DELIMITED: Final = re.compile(r"\$|\\\(|\\\[")
_PLAIN: Final = re.compile(r"\s*([-+]?[0-9]{1,30}(?:\.[0-9]{1,30})?)\s*")
_WORKER: Final = Path(__file__).with_name("maths_worker.py")


def maths_key(value: object) -> Hashable | None:
    r"""The key of an answer that is mathematics: equal for equal answers, however they are written.

    `\frac12`, 0.5 and 50\% are one answer, and so are (x+1)^2 and x^2+2x+1, or x=5 and 5. The
    marked answer counts (`\boxed{...}`, "the answer is ..."), else what is found near the end. What
    cannot be read, or takes more than three seconds, abstains.

    Raises:
        UsageError: The value holds no text.
        RuntimeError: The process that reads could not be started.
    """
    inner = unwrap(value)
    if inner is not value and not isinstance(value, Completion):
        return maths_key(inner)
    if isinstance(inner, Fraction) or is_number(inner):
        return canonical_number(inner)
    text = text_in(value)
    if text is None:
        return None
    try:
        return _key_of(_readings(text))
    except TooLongError:
        return None


def check_maths() -> None:
    """See that math-verify is there, and begin to load it.

    Raises:
        UsageError: It is not installed.
    """
    if importlib.util.find_spec("math_verify") is None:
        raise UsageError("key", "math", "pip install thinktwice[math]")
    _reader.start()


class TooLongError(Exception):
    """An answer took longer than the limit, or more memory than there is."""


def _readings(text: str) -> tuple[str, ...]:
    """Where the answer is, and how it may be meant: as it stands, or as a formula without marks."""
    found = marks(text)
    answer = (found[0].text if found else text[-_TAIL:]).strip().rstrip(".")
    if len(answer) > _TAIL:
        return ()
    if not _DELIMITED.search(answer):
        formula = f"${answer}$"
        if found and found[0].boxed:
            return (formula,)
        if _FORMULA.search(answer) and not _PROSE.search(answer):
            return formula, answer
    return (answer,)


@lru_cache(maxsize=_REMEMBERED)
def _key_of(readings: tuple[str, ...]) -> Hashable | None:
    if not readings:
        return None
    if plain := _PLAIN.fullmatch(readings[-1].strip("$")):
        return canonical_number(Fraction(plain[1]))
    return _frozen(_reader.form(readings))


def _frozen(form: object) -> Hashable | None:
    """A form as it can be counted by; a number as other keys have it."""
    if not isinstance(form, list):
        return cast("Hashable", form)
    parts = cast("list[object]", form)
    if parts[:1] == ["number"]:
        return canonical_number(Fraction(str(parts[1])))
    return tuple(map(_frozen, parts))


class Reader:
    """The process, started when it is first needed, and again after it had to be killed.

    Threads take turns. A forked child starts one of its own.
    """

    def __init__(self, *, limit: float = LIMIT, worker: Path = _WORKER) -> None:
        """Start nothing yet.

        Args:
            limit: Seconds for one answer.
            worker: The program that it runs.
        """
        self._limit = limit
        self._worker = worker
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._output: BinaryIO | None = None

    def start(self) -> None:
        """Begin to load, without waiting for it."""
        if self._turn.acquire(blocking=False):  # else it runs already
            try:
                self._running()
            finally:
                self._turn.release()

    def form(self, readings: Sequence[str]) -> object:
        """The canonical form of an answer; None for what is no mathematics.

        Raises:
            TooLongError: It took too long, or broke the process.
            RuntimeError: The process does not start.
        """
        with self._turn:
            process = self._running()
            if self._output is None:
                self._output = self._loaded(process)
            try:
                _pipe(process.stdin).write(json.dumps(readings).encode() + b"\n")
                said = _line(process, self._output, self._limit)
            except OSError:  # it has died since
                said = b""
            if not said.endswith(b"\n"):
                self._end()
                self._running()  # loads while others are being drawn
                raise TooLongError
            return json.loads(said)

    def close(self) -> None:
        """Kill it, and wait until it is gone."""
        with self._turn:
            self._end()

    def forget(self) -> None:
        """In a forked child: it is the parent's, and a thread of the parent may be using it."""
        self._turn = threading.Lock()
        if self._process is not None:
            self._process.returncode = 0  # not ours to wait for
            self._drop(self._process)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own file
                [sys.executable, "-P", str(self._worker)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,  # a forked child must find nothing that it could send
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        return self._process

    def _loaded(self, process: subprocess.Popen[bytes]) -> BinaryIO:
        output = io.BufferedReader(cast("io.FileIO", _pipe(process.stdout)))
        if _line(process, output, _START) != b"ready\n":
            self._end()
            raise RuntimeError('the process of key="math" did not start')
        return output

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._drop(self._process)

    def _drop(self, process: subprocess.Popen[bytes]) -> None:
        for pipe in (process.stdin, self._output or process.stdout):
            if pipe is not None:
                pipe.close()
        self._process, self._output = None, None


def _line(process: subprocess.Popen[bytes], output: BinaryIO, seconds: float) -> bytes:
    """What it says next; it is killed when it takes longer, which ends the wait on any system."""
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    try:
        return output.readline()
    finally:
        timer.cancel()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101 - both were asked for
    return pipe


_reader = Reader()
atexit.register(_reader.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reader.forget)
