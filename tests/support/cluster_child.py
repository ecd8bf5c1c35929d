"""A cluster worker's store and publisher in a process that can be killed.

Run with a directory, the servers of a Kafka, a worker's name, and the symbols of a minute.
"""

from __future__ import annotations

import asyncio
import json
import sys
import zlib
from pathlib import Path

from msgspec.structs import replace
from store_child import candle_of, say
from stores import minute

from tui_feeder.config import Kafka
from tui_feeder.engine.cluster.held import HeldPartitions
from tui_feeder.engine.cluster.partition_publisher import Checkpoint, Identity
from tui_feeder.engine.cluster.publishing import Events, Publisher, Taken
from tui_feeder.engine.core.candle import MINUTE_MS, Source
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.sinks.draining import OutboxCursor, sink_name
from tui_feeder.engine.storage.outbox import OutgoingMessage
from tui_feeder.engine.storage.store import Store

PARTITIONS = 4
TOPICS = ("data", "candles", "alerts")


def symbols(count: int) -> list[str]:
    return [f"S{n}USDT" for n in range(count)]


class Publishing:
    """A store that is filled by hand, and the publisher of a worker on it, which holds what it is given."""

    def __init__(
        self, path: Path, servers: str, worker: str, partitions: int = PARTITIONS, outbox_mb: int = 64
    ) -> None:
        self.store = Store(path, exchange="a test")
        self.held = HeldPartitions(self.store, "feeder ta_", partitions, worker)
        self.taken: list[Taken] = []
        self.fenced: list[int] = []
        self.published: list[int] = []
        self.holds = True
        self._checkpointed: set[str] = set()
        self.journal = Journal(lambda: 0)
        outboxes = [self.store.open_outbox([sink_name("kafka", topic)], outbox_mb, topic) for topic in TOPICS]
        self.publisher = Publisher(
            replace(Kafka(), bootstrap_servers=(servers,)),
            partitions,
            Identity("feeder", "ta_", worker, self.held.store),
            self.store,
            [OutboxCursor(outbox, sink_name("kafka", outbox.topic)) for outbox in outboxes],
            lambda: self.holds,
            Events(self._take, self.fenced.append, self.published.append),
        )

    def _take(self, taken: Taken) -> None:
        self.taken.append(taken)
        self.publisher.open(taken.partition, {})

    async def minute(self, number: int, of: list[str], revision: int = 0, checkpoint: bool = True) -> None:
        """A minute of each symbol with its bar; returns once they are committed."""
        at = minute(number)
        stored = []
        for symbol in of:
            message = {"symbol": symbol, "timestamp": at + MINUTE_MS - 1, "revision": revision}
            payload = json.dumps(message).encode()
            bar = OutgoingMessage("candles", symbol, at + MINUTE_MS - 1, payload)
            candle = candle_of(at, Source.STREAM)
            stored.append(self.store.append(symbol, candle, Source.STREAM, payload=payload, more=[bar]))
            if checkpoint and symbol not in self._checkpointed:
                self._checkpointed.add(symbol)
                self.publisher.checkpoint(symbol, Checkpoint(at, zlib.crc32(payload), at, b"the first", {}))
        for one in stored:
            await asyncio.wrap_future(one)


async def main(path: Path, servers: str, worker: str, count: int) -> None:
    """Publish minute after minute for ever; how many are committed is told."""
    publishing = Publishing(path, servers, worker)
    publishing.publisher.start(publishing.journal)
    for partition in range(PARTITIONS):
        await publishing.held.add(partition, {})
    publishing.publisher.own(range(PARTITIONS))
    mark = min((publishing.store.watermark(symbol) or 0 for symbol in symbols(count)), default=0)
    number = (mark - minute(0)) // MINUTE_MS + 1 if mark else 0
    say("ready")
    while True:
        # Those that were committed before a kill are there already, and make no second message.
        left = [s for s in symbols(count) if (publishing.store.watermark(s) or 0) < minute(number)]
        await publishing.minute(number, left)
        say("made", number)
        number += 1
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))
