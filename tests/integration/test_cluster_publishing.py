"""What a worker publishes through a real broker: each message once, in order, whatever happens to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import confluent_kafka
import pytest
from cluster_child import PARTITIONS, TOPICS, Publishing, symbols
from feed import until
from msgspec.structs import replace
from services import Kafka as Broker
from services import Service
from starting import running
from stores import minute

from tui_feeder.config import Kafka
from tui_feeder.engine.cluster import producer
from tui_feeder.engine.cluster.partition_publisher import Checkpoint
from tui_feeder.engine.cluster.partitions import partition_of
from tui_feeder.engine.cluster.producer import PartitionProducer, read_states
from tui_feeder.engine.cluster.topics import prepare, topics_of
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.checksum import with_checksum
from tui_feeder.engine.derived.revisions import Revisions

CHILD = Path(__file__).resolve().parents[1] / "support" / "cluster_child.py"
SYMBOLS = symbols(12)
BLOCK = with_checksum(b"feeder handover 1\0", b"a checkpoint")
USED = {partition_of(symbol.encode(), PARTITIONS) for symbol in SYMBOLS}


def settings(broker: Broker) -> Kafka:
    return replace(Kafka(), bootstrap_servers=(broker.servers,))


async def make_topics(broker: Broker) -> None:
    await prepare(settings(broker), topics_of("ta_", TOPICS), PARTITIONS)


def committed(broker: Broker, topic: str) -> dict[str, list[tuple[int, int]]]:
    """What a reader of committed records sees, by symbol and in order: minute and revision."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": broker.servers, "group.id": "judge", "isolation.level": "read_committed",
         "enable.partition.eof": True, "enable.auto.commit": False}
    )  # fmt: skip
    consumer.assign([confluent_kafka.TopicPartition(topic, at, 0) for at in range(PARTITIONS)])
    found: dict[str, list[tuple[int, int]]] = {}
    ended: set[int] = set()
    while len(ended) < PARTITIONS:
        message = consumer.poll(10.0)
        assert message is not None, "the broker does not answer"
        if message.error():
            ended.add(message.partition())
            continue
        read = json.loads(message.value())
        number = (read["timestamp"] + 1 - MINUTE_MS - minute(0)) // MINUTE_MS
        found.setdefault(message.key().decode(), []).append((number, read["revision"]))
    consumer.close()
    return found


async def comes_to_be_read(broker: Broker, topic: str, wanted: dict[str, list[tuple[int, int]]]) -> None:
    """Wait until a reader of committed records sees ``wanted``.

    A broker answers a commit before its markers stand in all partitions: until then readers see less.
    """
    deadline = time.monotonic() + 10
    while (found := await asyncio.to_thread(committed, broker, topic)) != wanted:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.1)


def each_once(minutes: int, of: list[str] = SYMBOLS) -> dict[str, list[tuple[int, int]]]:
    return {symbol: [(number, 0) for number in range(minutes)] for symbol in of}


@contextlib.asynccontextmanager
async def publishing(broker: Broker, path: Path, worker: str = "a") -> AsyncIterator[Publishing]:
    made = Publishing(path, broker.servers, worker)
    made.publisher.start(made.journal)
    try:
        yield made
    finally:
        await asyncio.to_thread(made.publisher.close, 5.0)
        await asyncio.to_thread(made.store.close)


def caught_up(made: Publishing) -> bool:
    outboxes = made.store.outboxes.values()
    return all(outbox.status(sink).depth == 0 for outbox in outboxes for sink in outbox.sinks)


@pytest.mark.timeout(120)
async def test_a_minutes_messages_are_published_in_one_transaction_a_partition(
    kafka: Broker, tmp_path: Path
) -> None:
    await make_topics(kafka)
    async with publishing(kafka, tmp_path / "a") as made:
        made.publisher.own(range(PARTITIONS))
        await until(lambda: len(made.taken) == PARTITIONS, 20)
        for number in range(5):
            await made.minute(number, SYMBOLS)
            await until(lambda: caught_up(made), 20)
        assert made.journal.counters["cluster_transactions"] <= 5 * PARTITIONS
        assert made.publisher.status() == "ok"
        assert sorted(made.published) == sorted(set(made.published))
    for topic in ("ta_data", "ta_candles"):
        await comes_to_be_read(kafka, topic, each_once(5))
    states = await read_states(settings(kafka), "ta_state", range(PARTITIONS))
    progress = {symbol: one for state in states.values() for symbol, one in state.progress.items()}
    assert {symbol: one.watermark for symbol, one in progress.items()} == dict.fromkeys(SYMBOLS, minute(4))
    assert progress[SYMBOLS[0]].counted == ((minute(1), minute(5)),)  # after its checkpoint


@pytest.mark.timeout(120)
async def test_revisions_alerts_and_checkpoints_are_in_the_state(kafka: Broker, tmp_path: Path) -> None:
    await make_topics(kafka)
    async with publishing(kafka, tmp_path / "a") as made:
        made.publisher.own(range(PARTITIONS))
        for number in range(4):
            await made.minute(number, SYMBOLS[:1])
        alert = {"rule": "up", "kind": "price_cross", "symbol": SYMBOLS[0], "timestamp": minute(3)}
        made.store.send("alerts", SYMBOLS[0], minute(3), json.dumps(alert).encode()).result()
        await until(lambda: caught_up(made), 20)
        payload = json.dumps({"symbol": SYMBOLS[0], "timestamp": minute(3) + MINUTE_MS - 1, "revision": 1})
        check = zlib.crc32(payload.encode())
        made.publisher.checkpoint(SYMBOLS[0], Checkpoint(minute(3), check, minute(-1), BLOCK, {}))
        await made.minute(2, SYMBOLS[:1], revision=1)
        await made.minute(3, SYMBOLS[:1], revision=1)
        await until(lambda: caught_up(made), 20)
        await made.minute(4, SYMBOLS[:1])
        await until(lambda: caught_up(made), 20)
        # One of other numbers than those published is not used.
        made.publisher.checkpoint(SYMBOLS[0], Checkpoint(minute(4), 1, minute(0), BLOCK + b"another", {}))
        await made.minute(5, SYMBOLS[:1])
        await until(lambda: caught_up(made), 20)
    states = await read_states(settings(kafka), "ta_state", range(PARTITIONS))
    state = next(state for state in states.values() if state.progress)
    progress = state.progress[SYMBOLS[0]]
    revisions = Revisions.decode(progress.revisions)
    assert [revisions.of(minute(number)) for number in range(6)] == [0, 0, 1, 1, 0, 0]
    assert revisions.since == minute(-1)
    assert progress.alerted == {"up": minute(3)}
    assert state.checkpoints == {SYMBOLS[0]: BLOCK}
    assert progress.counted == ((minute(4), minute(6)),)


@pytest.mark.timeout(120)
async def test_who_is_fenced_publishes_nothing_more_and_says_so(kafka: Broker, tmp_path: Path) -> None:
    await make_topics(kafka)
    async with publishing(kafka, tmp_path / "a") as former:
        former.publisher.own(range(PARTITIONS))
        await until(lambda: len(former.taken) == PARTITIONS, 20)
        await former.minute(0, SYMBOLS)
        await until(lambda: caught_up(former), 20)
        async with publishing(kafka, tmp_path / "b", "b") as owner:
            owner.publisher.own(range(PARTITIONS))
            await until(lambda: len(owner.taken) == PARTITIONS, 20)
            await owner.minute(1, SYMBOLS)
            await former.minute(1, SYMBOLS)
            await until(lambda: caught_up(owner), 20)
            await until(lambda: set(former.fenced) == USED, 20)
            # What waits there is kept until it is known whose the partitions are.
            assert former.store.outboxes["data"].status("kafka").depth == len(SYMBOLS)
            former.publisher.own([])
            await until(lambda: caught_up(former), 20)
            counted = former.journal.counters  # by a callback that may come after what it counts is gone
            await until(lambda: counted["cluster_messages_discarded"] > 0, 5)
            assert counted["cluster_messages_discarded"] == 2 * len(SYMBOLS)
    await comes_to_be_read(kafka, "ta_data", each_once(2))


@pytest.mark.timeout(120)
async def test_without_the_groups_word_nothing_is_published(kafka: Broker, tmp_path: Path) -> None:
    await make_topics(kafka)
    async with publishing(kafka, tmp_path / "a") as made:
        made.publisher.own(range(PARTITIONS))
        await until(lambda: len(made.taken) == PARTITIONS, 20)
        made.holds = False
        await made.minute(0, SYMBOLS)
        await until(lambda: made.publisher._ahead > 0, 20)
        assert await asyncio.to_thread(committed, kafka, "ta_data") == {}
        made.holds = True
        await until(lambda: caught_up(made), 20)
    await comes_to_be_read(kafka, "ta_data", each_once(1))


def last_stable(broker: Broker, partition: int) -> int:
    """The offset up to which the data of a partition is decided: committed, or aborted."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": broker.servers, "group.id": "judge", "isolation.level": "read_committed"}
    )
    end: int = consumer.get_watermark_offsets(confluent_kafka.TopicPartition("ta_data", partition), 10)[1]
    consumer.close()
    return end


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Service]:
    """A broker that looks often for transactions that take too long."""
    more = "transaction.abort.timed.out.transaction.cleanup.interval.ms=200"
    yield from running(Broker(tmp_path / "kafka", more=more))


@pytest.mark.timeout(120)
async def test_a_transaction_that_takes_too_long_is_made_again(
    impatient: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "_TRANSACTION_SECONDS", 2.0)
    symbol, partition = SYMBOLS[0], partition_of(SYMBOLS[0].encode(), PARTITIONS)
    await make_topics(impatient)
    async with publishing(impatient, tmp_path / "a") as made:
        made.publisher.own(range(PARTITIONS))
        await until(lambda: len(made.taken) == PARTITIONS, 20)
        await made.minute(0, [symbol], checkpoint=False)
        # It is sent, and waits for a checkpoint; now the group does not answer.
        await until(lambda: made.publisher._read["data"] == 1 and made.publisher._ahead == 0, 20)
        made.holds = False
        await until(lambda: last_stable(impatient, partition) > 0, 20)  # the broker has aborted it
        made.holds = True
        await until(lambda: made.fenced == [partition], 20)
        made.publisher.take_again(partition)  # as the worker does once the group has answered
        await made.minute(1, [symbol])
        await until(lambda: caught_up(made), 20)
    assert await asyncio.to_thread(committed, impatient, "ta_data") == each_once(2, [symbol])


@pytest.mark.timeout(180)
async def test_a_broker_that_is_killed_and_started_gets_each_message_once(
    kafka: Broker, tmp_path: Path
) -> None:
    await make_topics(kafka)
    async with publishing(kafka, tmp_path / "a") as made:
        made.publisher.own(range(PARTITIONS))
        await until(lambda: len(made.taken) == PARTITIONS, 20)
        for number in range(60):
            await made.minute(number, SYMBOLS)
            await asyncio.sleep(0.02)
            if number == 20:
                await asyncio.to_thread(kafka.kill)
            if number == 40:
                await asyncio.to_thread(kafka.start)
        await until(lambda: caught_up(made), 90)
    for topic in ("ta_data", "ta_candles"):
        await comes_to_be_read(kafka, topic, each_once(60))


@pytest.mark.timeout(300)
def test_who_is_killed_again_and_again_publishes_each_message_once(
    kafka: Broker, tmp_path: Path, kills: int
) -> None:
    asyncio.run(make_topics(kafka))
    draw = random.Random(7)
    made = 0
    for _ in range(kills + 1):
        child = subprocess.Popen(
            [sys.executable, str(CHILD), str(tmp_path / "a"), kafka.servers, "a", str(len(SYMBOLS))],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        until_at = time.monotonic() + draw.uniform(2.5, 6.0)
        for line in child.stdout:
            made = int(line.split()[1])
            if time.monotonic() > until_at:
                break
        child.kill()
        child.wait()
    last = Publishing(tmp_path / "a", kafka.servers, "a")

    async def finish() -> None:
        last.publisher.start(last.journal)
        last.publisher.own(range(PARTITIONS))
        await until(lambda: caught_up(last), 60)
        await asyncio.to_thread(last.publisher.close, 5.0)

    asyncio.run(finish())
    marks = {symbol: ((last.store.watermark(symbol) or 0) - minute(0)) // MINUTE_MS for symbol in SYMBOLS}
    last.store.close()
    assert min(marks.values()) >= made > 20
    for topic in ("ta_data", "ta_candles"):
        found = committed(kafka, topic)
        wanted = {symbol: [(number, 0) for number in range(marks[symbol] + 1)] for symbol in SYMBOLS}
        twice = {symbol: [at for at, n in Counter(seen).items() if n > 1] for symbol, seen in found.items()}
        assert not any(twice.values())
        assert found == wanted


def test_nothing_of_the_producer_is_used_that_it_does_not_have() -> None:
    """The epoch is private to aiokafka."""

    async def made() -> object:
        producer = PartitionProducer(Kafka(), "an id", 0)
        manager = producer._producer._txn_manager
        await producer.close()
        return manager.producer_epoch

    assert asyncio.run(made()) == -1
