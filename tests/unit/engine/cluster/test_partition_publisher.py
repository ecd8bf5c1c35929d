"""What a transaction of a partition holds, and when a symbol's checkpoint is in it."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Iterable, Sequence

import orjson
import pytest
from aiokafka.errors import MessageSizeTooLargeError

from tui_feeder.engine.cluster.partition_publisher import (
    ALERTS,
    DATA,
    Checkpoint,
    Identity,
    Moment,
    PartitionPublisher,
)
from tui_feeder.engine.cluster.producer import PartitionProducer, Record
from tui_feeder.engine.cluster.records import PartitionState, Published, checkpoint_key
from tui_feeder.engine.sinks.thread import SinkError
from tui_feeder.engine.storage.outbox_format import QueuedMessage

SYMBOL, MINUTE = "BTCUSDT", 60_000
AT = 1_728_000_000_000


class Producer(PartitionProducer):
    """Keeps the keys that it is given, transaction by transaction."""

    def __init__(self) -> None:
        self.partition, self.epoch = 0, 1
        self.committed: list[list[tuple[str, bytes]]] = []
        self.named: list[list[str]] = []
        self._open: list[tuple[str, bytes]] = []
        self._waiting = 0

    async def begin(self, topics: Iterable[str]) -> None:
        self._open = []
        self.named.append(list(topics))

    async def send(self, topic: str, records: Sequence[Record]) -> Sequence[Awaitable[object]]:
        self._open += [(topic, record.key) for record in records]
        self._waiting += 1
        return [self._answered()]

    async def _answered(self) -> None:
        self._waiting -= 1

    async def sent(self, answers: Iterable[Awaitable[object]]) -> None:
        for answer in answers:
            await answer

    async def commit(self) -> None:
        assert self._waiting == 0, "an answer of the broker was not waited for"
        self.committed.append(self._open)


async def test_a_checkpoint_waits_for_the_alerts_that_its_rules_have_found() -> None:
    """Killed after the minute and before its alert, a worker leaves it to the next owner to find."""
    payload = orjson.dumps({"revision": 0, "timestamp": AT + MINUTE - 1})
    alert = orjson.dumps({"rule": "volume", "kind": "volume_above", "symbol": SYMBOL})
    made = Checkpoint(AT, zlib.crc32(payload), AT, b"of this minute", {"volume": AT + MINUTE - 1})
    state = PartitionState()
    state.checkpoints[SYMBOL] = b"an earlier one"
    producer = Producer()
    publisher = PartitionPublisher(producer, state, Identity("g", "ta_", "w", "store"), 1)
    publisher.begin({DATA: 0, ALERTS: 0})

    def checkpoint(symbol: str, published: Published) -> Checkpoint | None:
        return made if published.fits(made.minute, made.check, made.alerted) else None

    async def permission() -> None: ...

    async def transact() -> list[tuple[str, bytes]]:
        await publisher.transaction(permission, checkpoint, lambda _: None)
        return producer.committed[-1]

    publisher.put(DATA, QueuedMessage(1, SYMBOL, AT + MINUTE - 1, payload))
    publisher.put_end(Moment({DATA: 1, ALERTS: 0}))
    assert await transact() == [("ta_data", b"BTCUSDT"), ("ta_state", b"BTCUSDT"), ("ta_state", b"#position")]
    publisher.put(ALERTS, QueuedMessage(1, SYMBOL, AT + MINUTE - 1, alert))
    publisher.put_end(Moment({DATA: 1, ALERTS: 1}))
    assert await transact() == [
        ("ta_alerts", b"BTCUSDT"), ("ta_state", checkpoint_key(SYMBOL)), ("ta_state", b"BTCUSDT"),
        ("ta_state", b"#position"),
    ]  # fmt: skip
    assert producer.named == [["ta_data", "ta_state"], ["ta_alerts", "ta_state"]]


async def test_a_record_of_the_state_that_is_too_large_is_named_with_its_topic() -> None:
    class Refusing(Producer):
        async def sent(self, answers: Iterable[Awaitable[object]]) -> None:
            await super().sent(answers)
            if self._waiting == 0:  # those of the state are waited for last
                raise MessageSizeTooLargeError

    publisher = PartitionPublisher(Refusing(), PartitionState(), Identity("g", "ta_", "w", "store"), 1)
    publisher.begin({DATA: 0})
    payload = orjson.dumps({"revision": 0, "timestamp": AT + MINUTE - 1})
    made = Checkpoint(AT, zlib.crc32(payload), AT, bytes(9_000), {})
    publisher.put(DATA, QueuedMessage(1, SYMBOL, AT + MINUTE - 1, payload))
    publisher.put_end(Moment({DATA: 1}))

    async def permission() -> None: ...

    with pytest.raises(SinkError, match=r"9,000 bytes.*max\.message\.bytes of the topic ta_state"):
        await publisher.transaction(permission, lambda *_: made, lambda _: None)
