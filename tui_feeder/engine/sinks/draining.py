"""A sink that drains the outbox: what it has taken is acknowledged, what waits is shown."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

from tui_feeder.engine.sinks.thread import SessionSink
from tui_feeder.engine.storage.lock import StoreError
from tui_feeder.engine.storage.outbox import Outbox

#: More messages than this waiting is told, though nothing is wrong.
_MANY = 5_000


def sink_name(kind: str, topic: str) -> str:
    """The name of a sink of ``kind`` for a topic, under which its cursor is kept: ``kafka candles``."""
    return kind if topic == "data" else f"{kind} {topic}"


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
        self.taken = outbox.cursors[self.name]  # the receiver has everything up to this number
        self._writing = False
        self._told: dict[str, int] = {}  # dropped messages logged so far, by sink
        outbox.subscribe(self._wake)

    def publish(self, symbol: str, timestamp: int, message: bytes) -> None:
        """Nothing to do: the outbox, which has the message already, has woken the sink."""

    def take(self, number: int) -> None:
        """The receiver has everything up to ``number``. Called by the session."""
        if number > self.taken:
            self.progress()  # an abandoned session ends here
            self.taken = number
        if not self._writing and self.taken > self.outbox.cursors[self.name]:
            self._writing = True
            loop = asyncio.get_running_loop()

            def written(future: Future[None]) -> None:
                self._writing = False
                if not loop.is_closed() and future.exception() is None:
                    loop.call_soon_threadsafe(self.take, 0)  # what was taken meanwhile goes in one piece

            self.outbox.acknowledge(self.name, self.taken).add_done_callback(written)

    async def settle(self) -> None:
        """Wait until what was taken is written down."""
        await asyncio.wrap_future(self.outbox.acknowledge(self.name, self.taken))

    def tell_dropped(self) -> None:
        """Shout where the outbox was too small."""
        # What is dropped of a disabled sink's has nobody else to tell it.
        disabled = self.outbox.kept if self.name == self.outbox.sinks[0] else ()
        for name in (self.name, *disabled):
            dropped = self.outbox.dropped[name]
            if dropped > self._told.get(name, 0):
                lost = dropped - self._told.get(name, 0)
                self._told[name] = dropped
                self.count(f"{name} messages dropped", lost)
                self.note("error", f"{name}: the outbox is full: {lost:,} oldest messages dropped for good")

    def lag_seconds(self) -> float:
        """Seconds since the oldest message that waits was written; 0.0 without one."""
        return self.outbox.status(self.name).age

    def status(self) -> str:
        """``ok``, or what is wrong and how much waits."""
        return self.status_with_backlog(self.wrong())

    def status_with_backlog(self, text: str) -> str:
        """``text``, the trouble if there is any, and how much waits; ``ok`` where there is nothing to say."""
        try:
            status = self.outbox.status(self.name)
        except StoreError:  # the engine has ended
            return text or "ok"
        if status.depth > (0 if text else _MANY):
            waits = f"{status.depth:,} messages wait, {status.megabytes:.1f} MB, {span_text(status.age)}"
            text = f"{text or 'catching up'}; {waits}"
        if status.dropped:
            text = f"{text or 'ok now'}; {status.dropped:,} dropped: the outbox was full"
        return text or "ok"

    def _failed(self, text: str, least: float = 0.0) -> None:
        self.tell_dropped()
        super()._failed(text, least)


def span_text(seconds: float) -> str:
    """How long something lasts, in the largest unit that fits."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
