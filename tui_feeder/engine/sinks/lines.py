"""Messages as JSON lines on a stream, such as standard output for a pipe."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import BinaryIO

from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.sinks.thread import STALLED_SECONDS
from tui_feeder.monitor import STALLED
from tui_feeder.standard_streams import OutputError

#: Messages that wait at most for a reader that is slow; beyond it the oldest are dropped and counted.
WAITING = 200_000


class LinesSink:
    """Writes each message as a line, on a thread of its own so that a slow reader stops nothing.

    Args:
        stream: where the lines go.
        on_broken: called once, from the writing thread, when the reader has gone away or the disk is full.
    """

    name = "jsonl"

    def __init__(self, stream: BinaryIO, on_broken: Callable[[], None], waiting: int = WAITING) -> None:
        self.dropped = 0
        self._stream = stream
        self._on_broken = on_broken
        self._lines: deque[bytes] = deque()
        self._bound = waiting
        self._change = threading.Condition()
        self._closing = False
        self._broken = False
        self._writing_since: float | None = None  # time.monotonic() of the write under way
        self._thread = threading.Thread(target=self._write, name="jsonl", daemon=True)

    def start(self, journal: Journal) -> None:
        """Starts to write.

        Args:
            journal: not used: there is nothing to report.
        """
        self._thread.start()

    def publish(self, symbol: str, timestamp: int, message: bytes) -> None:
        """Queues a line; the oldest is dropped when too many wait.

        Args:
            symbol: its symbol.
            timestamp: end of its minute, ms.
            message: one JSON object.
        """
        with self._change:
            if self._broken:
                return
            if len(self._lines) >= self._bound:
                self._lines.popleft()
                self.dropped += 1
            self._lines.append(message)
            self._change.notify()

    def status(self) -> str:
        """``ok``, or that the reader is gone, does not read, or is too slow."""
        if self._broken:
            return "the reader is gone, or its disk is full"
        since = self._writing_since
        if since is not None and (seconds := time.monotonic() - since) >= STALLED_SECONDS:
            waits = f"{len(self._lines):,} lines wait"
            return f"{STALLED}: the reader has taken nothing for {seconds:.0f} s; {waits}"
        return f"the reader is too slow: {self.dropped} lines dropped" if self.dropped else "ok"

    def close(self, timeout: float) -> None:
        """Writes what waits, then stops.

        Args:
            timeout: seconds it may take.
        """
        with self._change:
            self._closing = True
            self._change.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _write(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._lines or self._closing)
                batch = [self._lines.popleft() for _ in range(min(len(self._lines), 1024))]
                if not batch and self._closing:
                    return
            self._writing_since = time.monotonic()
            try:
                self._stream.write(b"\n".join(batch) + b"\n")
                self._stream.flush()
                self._writing_since = None
            except (OutputError, OSError, ValueError):
                with self._change:
                    self._broken = True
                    self._lines.clear()
                self._on_broken()
                return
