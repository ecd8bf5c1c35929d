"""What the tests of sinks share: a store with messages that wait, a sink at work, an independent consumer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

from store_child import candle_of
from stores import minute

from tui_feeder.engine.core.candle import MINUTE_MS, Source
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.sinks import Sink
from tui_feeder.engine.storage.outbox import Outbox
from tui_feeder.engine.storage.store import Store


class Queue:
    """A store whose outbox is filled by hand."""

    def __init__(self, path: Path, *sinks: str, max_mb: float = 512) -> None:
        self.store = Store(path, exchange="a test")
        self.outbox: Outbox = self.store.open_outbox(sinks or ("kafka",), max_mb)
        self.made: list[tuple[str, int, int]] = []

    @classmethod
    def again(cls, other: Queue, path: Path) -> Queue:
        """The same one, opened again."""
        opened = cls(path, *other.outbox.sinks)
        opened.made = other.made
        return opened

    async def fill(self, count: int, symbols: int = 40, *, size: int = 300) -> None:
        """``count`` messages more, over all symbols minute by minute."""
        first = len(self.made)
        futures = []
        for n in range(first, first + count):
            symbol, at = f"S{n % symbols}USDT", minute(n // symbols)
            payload = json.dumps(
                {"symbol": symbol, "timestamp": at + MINUTE_MS - 1, "revision": 0, "pad": "x" * size}
            ).encode()
            candle = candle_of(at, Source.STREAM)
            futures.append(self.store.append(symbol, candle, Source.STREAM, payload=payload))
            self.made.append((symbol, at + MINUTE_MS - 1, 0))
        await asyncio.wrap_future(futures[-1])

    def depth(self, sink: str = "kafka") -> int:
        return self.outbox.status(sink).depth


@contextlib.asynccontextmanager
async def at_work(sink: Sink) -> AsyncIterator[Journal]:
    """Start the sink, close it at the end as the engine does."""
    journal = Journal(lambda: 0)
    sink.start(journal)
    try:
        yield journal
    finally:
        await asyncio.to_thread(sink.close, 5.0)


class Consumed(NamedTuple):
    """What a consumer read of a topic."""

    order: dict[str, list[tuple[int, int]]]  # by symbol: (timestamp, revision) as first seen
    duplicates: int
    records: list[Any]

    def keys(self) -> set[tuple[str, int, int]]:
        return {(symbol, *one) for symbol, seen in self.order.items() for one in seen}


def read_records(servers: str, topic: str, least: int, seconds: float = 30.0) -> list[Any]:
    """Read the topic from its beginning with librdkafka, until ``least`` records came and no more do."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"check-{time.time_ns()}",
            "enable.auto.commit": False,
        }
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, one, OFFSET_BEGINNING) for one in partitions])
    records: list[Any] = []
    quiet = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        came = consumer.consume(5_000, timeout=0.5)
        quiet = 0 if came else quiet + 1
        if quiet >= 2 and len(records) >= least:
            break
        records += [record for record in came if not record.error() and record.value() is not None]
    consumer.close()
    return records


def consume(servers: str, topic: str, least: int, seconds: float = 30.0) -> Consumed:
    """What :func:`read_records` gives of a topic of messages, by symbol and in order."""
    records = read_records(servers, topic, least, seconds)
    order: dict[str, list[tuple[int, int]]] = {}
    seen: Counter[tuple[str, int, int]] = Counter()
    for record in records:
        message = json.loads(record.value())
        key = (message["symbol"], message["timestamp"], message["revision"])
        seen[key] += 1
        if seen[key] == 1:
            order.setdefault(key[0], []).append(key[1:])
    return Consumed(order, sum(seen.values()) - len(seen), records)


def check_nothing_lost(consumed: Consumed, made: list[tuple[str, int, int]]) -> None:
    """Every message came, and of each symbol they first came in the order in which they were made."""
    wanted: dict[str, list[tuple[int, int]]] = {}
    for symbol, timestamp, revision in made:
        wanted.setdefault(symbol, []).append((timestamp, revision))
    missing = set(made) - consumed.keys()
    assert not missing, f"{len(missing)} of {len(made)} messages are lost, such as {sorted(missing)[:3]}"
    assert consumed.order == wanted
