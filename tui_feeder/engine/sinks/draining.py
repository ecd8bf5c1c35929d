"""A sink that drains the outbox: what it has taken is acknowledged, what waits is shown."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

from tui_feeder.engine.core.event_names import event_name
from tui_feeder.engine.sinks.thread import SessionSink
from tui_feeder.engine.storage.lock import StoreError
from tui_feeder.engine.storage.outbox import Outbox

#: More waiting messages than this are shown, though nothing is wrong.
_MANY = 5_000


def sink_name(kind: str, topic: str) -> str:
    """Names a sink of a topic, under which its cursor is stored: ``kafka candles``.

    Args:
        kind: such as "kafka".
        topic: the topic.

    Returns:
        The name.
    """
    return kind if topic == "data" else f"{kind} {topic}"


class OutboxCursor:
    """How far a sink is in an outbox. Used by its sessions, on their loops.

    Args:
        outbox: of a topic.
        sink: name under which the cursor is kept.
    """

    def __init__(self, outbox: Outbox, sink: str) -> None:
        self.outbox = outbox
        self.sink = sink
        self.taken = outbox.cursors[sink]  # the receiver has everything up to this number
        self._writing = False
        self._reported: dict[str, int] = {}  # dropped messages, by sink

    def take(self, number: int) -> None:
        """Notes that the receiver has everything up to a message; stored a little later.

        Args:
            number: of the message.
        """
        self.taken = max(self.taken, number)
        if not self._writing and self.taken > self.outbox.cursors[self.sink]:
            self._writing = True
            loop = asyncio.get_running_loop()

            def written(future: Future[None]) -> None:
                self._writing = False
                if not loop.is_closed() and future.exception() is None:
                    loop.call_soon_threadsafe(self.take, 0)  # what was taken meanwhile goes in one piece

            self.outbox.acknowledge(self.sink, self.taken).add_done_callback(written)

    async def flush(self) -> None:
        """Waits until what was taken is written down."""
        await asyncio.wrap_future(self.outbox.acknowledge(self.sink, self.taken))

    def report_dropped(self, sink: SessionSink) -> None:
        """Logs and counts messages that were dropped as the outbox was full.

        Args:
            sink: the sink to report for.
        """
        # What is dropped of a disabled sink's has nobody else to report it.
        disabled = self.outbox.retained if self.sink == self.outbox.sinks[0] else ()
        for name in (self.sink, *disabled):
            dropped = self.outbox.dropped[name]
            if dropped > self._reported.get(name, 0):
                lost = dropped - self._reported.get(name, 0)
                self._reported[name] = dropped
                sink.count(event_name(name, "messages dropped"), lost)
                sink.note("error", f"{name}: the outbox is full: {lost:,} oldest messages dropped for good")

    def text(self, trouble: str) -> str:
        """Combines a trouble with what waits.

        Args:
            trouble: what is wrong; empty for nothing.

        Returns:
            A status line; ``ok`` if there is nothing to report.
        """
        try:
            status = self.outbox.status(self.sink)
        except StoreError:  # the engine has ended
            return trouble or "ok"
        text = trouble
        if status.depth > (0 if text else _MANY):
            waits = f"{status.depth:,} messages wait, {status.megabytes:.1f} MB, {span_text(status.age)}"
            text = f"{text or 'catching up'}; {waits}"
        if status.dropped:
            text = f"{text or 'ok now'}; {status.dropped:,} dropped: the outbox was full"
        return text or "ok"


class DrainingSink(SessionSink):
    """Its sessions read from :attr:`outbox` after :attr:`taken`, and move that on.

    Args:
        outbox: of a topic, opened with the :func:`sink_name` of the sink.
    """

    kind = "sink"

    def __init__(self, outbox: Outbox) -> None:
        self.name = sink_name(self.kind, outbox.topic)
        super().__init__()
        self.outbox = outbox
        self._cursor = OutboxCursor(outbox, self.name)
        outbox.subscribe(self._wake)

    @property
    def taken(self) -> int:
        """The receiver has everything up to this number."""
        return self._cursor.taken

    def take(self, number: int) -> None:
        """Notes that the receiver has everything up to a message; called by the session.

        Args:
            number: of the message.
        """
        if number > self.taken:
            self.progress()  # an abandoned session ends here
        self._cursor.take(number)

    async def flush(self) -> None:
        """Wait until what was taken is written down."""
        await self._cursor.flush()

    def report_dropped(self) -> None:
        """Log and count where the outbox was too small."""
        self._cursor.report_dropped(self)

    def lag_seconds(self) -> float:
        """Seconds since the oldest message that waits was written; 0.0 without one."""
        return self.outbox.status(self.name).age

    def status(self) -> str:
        """``ok``, or what is wrong and how much waits."""
        return self.status_with_backlog(self.wrong())

    def status_with_backlog(self, text: str) -> str:
        """Combines a trouble with what waits.

        Args:
            text: what is wrong; empty for nothing.

        Returns:
            A status line; ``ok`` if there is nothing to report.
        """
        return self._cursor.text(text)

    def _failed(self, text: str, least: float = 0.0) -> None:
        self.report_dropped()
        super()._failed(text, least)


def span_text(seconds: float) -> str:
    """Formats a duration in the largest unit that fits.

    Args:
        seconds: the duration.

    Returns:
        Such as ``42 s``, ``1.5 h``.
    """
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
