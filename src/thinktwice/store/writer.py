"""From the spans of an application to the file, on a thread of its own."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import warnings
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from thinktwice import telemetry
from thinktwice.errors import ThinktwiceWarning
from thinktwice.store.file import Batch, StoreFile, is_corrupt, may_pass
from thinktwice.store.rows import begun, ended, note, span_row, spend_on, spend_row
from thinktwice.store.seen import Seen
from thinktwice.store.tree import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

    from thinktwice.store.rows import RequestRow, SpanRow, SpendRow
    from thinktwice.store.tree import Node, Spend

    Item = tuple[ReadableSpan, Node]

MOST: Final = 1 << 16
"""Spans that wait at the most: half a minute of a thousand samples a second while a disk hangs."""
_AT_ONCE: Final = 1000  # spans in a transaction
_PAUSE: Final = 0.2  # seconds between batches: a transaction costs as much as many rows
_LONG_PAUSE: Final = 2.0  # after one that failed


class Writer:
    """Takes spans in without waiting, and writes them in batches.

    Whatever fails, the application goes on: what cannot be written waits, and what no longer fits
    is dropped, counted, and said once. Fork-safe: a child writes its own spans alone.

    Attributes:
        dropped: Spans that were lost while it was open.
        written: Spans that this process wrote.
        closed: It takes no more.
    """

    def __init__(self, path: Path, max_bytes: int, *, most: int = MOST) -> None:
        """Start no thread yet.

        Args:
            path: The file.
            max_bytes: Its size at the most.
            most: Spans that wait at the most.
        """
        self._file = StoreFile(path, max_bytes)
        self._most = most
        self.closed = False
        self._inherited: list[sqlite3.Connection] = []
        self._fresh()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def _fresh(self) -> None:
        self.dropped = 0
        self.written = 0
        self._waiting: deque[Item] = deque()
        self._batch: Batch | None = None
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._writing = threading.Lock()
        self._counting = threading.Lock()
        self._finished = False
        self._told: set[str] = set()
        self._agents: dict[str, Spend] = {}

    def put(self, span: ReadableSpan, node: Node) -> None:
        """Take a span in; never waits, unless the interpreter is about to end.

        Args:
            span: It, ended.
            node: Of it, or of the span of ours around it.
        """
        if self.closed:
            return
        if len(self._waiting) >= self._most:
            self._drop(1)
            return
        self._waiting.append((span, node))
        if self._finished:
            self.finish()
            return
        if not self._wake.is_set():
            self._wake.set()
            if self._thread is None:
                self._start()

    def flush(self) -> bool:
        """Write what waits, here and now; False if some of it could not be."""
        with self._writing:
            return self._write()

    def finish(self) -> None:
        """Flush as the process ends: what cannot be written now is lost, and counted."""
        with self._writing:
            self._finished = True
            if not self._write():
                lost = len(self._batch.spans) if self._batch else 0
                self.dropped += lost + len(self._waiting)
                self._batch = None
                self._waiting.clear()
                self._tell(f"{self.dropped} spans are lost to the store of costs {self._file.path}")
            self._file.close()  # which also empties its log

    def close(self) -> None:
        """Flush for the last time, and take nothing in any more."""
        self.closed = True
        self.finish()
        self._hurry.set()
        self._wake.set()

    def _start(self) -> None:
        with self._counting:
            if self._thread is not None:
                return
            self._thread = threading.Thread(target=self._work, name="thinktwice-store", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is ending: what is left is written by `finish`
            return
        processes = sys.modules.get("multiprocessing.util")
        if processes is not None:  # its children end without `atexit`
            processes.Finalize(None, self.finish, exitpriority=0)

    def _work(self) -> None:
        pause = _PAUSE
        while not self.closed:
            self._wake.wait()
            self._hurry.wait(pause)
            self._wake.clear()
            with self._writing:
                done = self.closed or self._write()
            pause = _PAUSE if done else _LONG_PAUSE
            if not done:
                self._wake.set()

    def _write(self) -> bool:
        """Write a batch, or the one that could not be written; False if it still cannot be."""
        while self._batch is not None or self._waiting:
            if self._batch is None:
                count = min(len(self._waiting), _AT_ONCE)
                self._batch = self._made([self._waiting.popleft() for _ in range(count)])
            if not self._done(self._batch):
                return False
            self._batch = None
        return True

    def _made(self, items: Iterable[Item]) -> Batch:
        """Rows of spans; one that cannot be read is dropped."""
        opened: dict[int, RequestRow] = {}
        spans: list[SpanRow] = []
        spend: list[SpendRow] = []
        closed: list[RequestRow] = []
        for span, node in items:
            try:
                seen = Seen(span)
                spans.append(span_row(seen, node))
                if node.root.id not in opened:
                    opened[node.root.id] = begun(node.root)
                if not seen.ours:
                    continue
                note(seen, node)
                spent = spend_row(seen, node, self._told_before(seen))
                if any(spent.spend):
                    spend.append(spent)
                if node.parent is None:
                    closed.append(ended(seen, node))
            except Exception:  # noqa: BLE001 - the spans are anybody's
                self._drop(1)
        return Batch(list(opened.values()), spans, spend, closed)

    def _told_before(self, seen: Seen) -> Spend:
        """What an earlier span of the same agent has told of: the next one tells of it again."""
        if seen.kind != "agent":
            return NOTHING
        run = str(seen.attributes.get(telemetry.RUN_ID))
        before = self._agents.pop(run, NOTHING)
        self._agents[run] = spend_on(seen)
        if len(self._agents) > _AT_ONCE:
            del self._agents[next(iter(self._agents))]
        return before

    def _done(self, batch: Batch) -> bool:
        """Write a batch, and drop one that never can be; False if it may be later."""
        try:
            self._tried(batch)
        except Exception as error:  # noqa: BLE001 - the thread must not end
            if may_pass(error):
                where = self._file.path
                self._tell(f"costs cannot be written to {where} now ({error}): spans wait for it")
                return False
            self._drop(len(batch.spans))
        else:
            self.written += len(batch.spans)
        return True

    def _tried(self, batch: Batch) -> None:
        """Write a batch; a corrupt file is set aside for it."""
        try:
            self._file.write(batch)
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            aside = self._file.set_aside()
            if aside is not None:
                self._tell(f"the store of costs was corrupt: it is {aside} now, a new one begins")
            self._file.write(batch)

    def _drop(self, count: int) -> None:
        with self._counting:
            self.dropped += count
        self._tell("spans are lost to the store of costs; Observer.dropped counts them")

    def _tell(self, message: str) -> None:
        """Warn, once for each message; a filter that raises must not end the thread."""
        if message not in self._told:
            self._told.add(message)
            with suppress(Exception):
                warnings.warn(message, ThinktwiceWarning, stacklevel=2)

    def _forked(self) -> None:
        """Leave to the parent what is the parent's: its spans, its thread and its connection."""
        if (connection := self._file.forget()) is not None:
            self._inherited.append(connection)  # closing it would drop the parent's locks
        self._fresh()
