"""Fault 17 on a real Apache Kafka, and what its own answers look like."""

from __future__ import annotations

import asyncio
import importlib
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from feed import until
from msgspec.structs import replace
from places import SUPPORT
from services import Kafka as Broker
from sinking import Queue, at_work, check_nothing_lost, consume
from sinks_check import check

from tui_feeder.config import Kafka

pytest.importorskip("aiokafka", reason="the kafka extra is not installed")
pytest.importorskip("confluent_kafka", reason="the consumer needs confluent-kafka")

from tui_feeder.engine.sinks.kafka import KafkaSink

CHILD = SUPPORT / "publishing_child.py"


def settings(servers: str, **more: object) -> Kafka:
    return replace(replace(Kafka(), bootstrap_servers=(servers,)), **more)


async def publish(queue: Queue, count: int, pause: float = 0.0) -> None:
    """``count`` messages, in bursts of a minute, as the engine makes them."""
    for _ in range(count // 40):
        await queue.fill(40)
        await asyncio.sleep(pause)


@pytest.mark.timeout(240)
async def test_a_broker_killed_twice_during_ten_thousand_messages_loses_none(
    kafka: Broker, tmp_path: Path
) -> None:
    queue = Queue(tmp_path / "store")
    sink = KafkaSink(settings(kafka.servers), queue.outbox)
    async with at_work(sink) as journal:
        await until(lambda: sink.status() == "ok")
        publishing = asyncio.create_task(publish(queue, 10_000, 0.03))
        for at in (2_000, 6_000):
            await until(lambda at=at: len(queue.made) >= at, 60)
            await asyncio.to_thread(kafka.kill)
            await until(lambda: sink.status() != "ok", 60)
            await asyncio.sleep(2)
            assert queue.depth() > 0
            await asyncio.to_thread(kafka.start)
        await publishing
        await until(lambda: queue.depth() == 0, 90, sink.status())
        assert sink.status() == "ok"
        sent = journal.counters["kafka_messages"]
    consumed = await asyncio.to_thread(consume, kafka.servers, "ta_data", 10_000)
    check_nothing_lost(consumed, queue.made)
    print(f"{consumed.duplicates} duplicates; {sent} sent")
    assert consumed.duplicates <= 2_000  # only what was under way at a kill
    queue.store.close()


@pytest.mark.timeout(120)
async def test_a_broker_that_is_down_at_the_start_gets_everything_later(
    kafka: Broker, tmp_path: Path
) -> None:
    kafka.kill()
    queue = Queue(tmp_path / "store")
    sink = KafkaSink(settings(kafka.servers), queue.outbox)
    async with at_work(sink):
        await publish(queue, 2_000)
        await until(lambda: "connection refused" in sink.status())
        await asyncio.to_thread(kafka.start)
        await until(lambda: queue.depth() == 0, 60)
    consumed = await asyncio.to_thread(consume, kafka.servers, "ta_data", 2_000)
    check_nothing_lost(consumed, queue.made)
    assert consumed.duplicates == 0
    queue.store.close()


@pytest.mark.timeout(180)
async def test_a_broker_paused_for_thirty_seconds_is_told_of_and_loses_none(
    kafka: Broker, tmp_path: Path
) -> None:
    queue = Queue(tmp_path / "store")
    sink = KafkaSink(settings(kafka.servers), queue.outbox)
    async with at_work(sink):
        await until(lambda: sink.status() == "ok")
        publishing = asyncio.create_task(publish(queue, 4_000, 0.3))
        await until(lambda: len(queue.made) >= 400)
        kafka.pause()
        await until(lambda: "has not answered" in sink.status())
        await asyncio.sleep(30)
        assert "messages wait" in sink.status()
        kafka.resume()
        await publishing
        await until(lambda: queue.depth() == 0, 60, sink.status())
    consumed = await asyncio.to_thread(consume, kafka.servers, "ta_data", 4_000)
    check_nothing_lost(consumed, queue.made)
    assert consumed.duplicates == 0  # the idempotent producer's second sending is known to the broker
    queue.store.close()


@pytest.mark.timeout(300)
async def test_an_outbox_killed_while_it_is_drained_loses_none(
    kafka: Broker, tmp_path: Path, kills: int
) -> None:
    draw = random.Random(17)
    made: list[tuple[str, int, int]] = []
    for _ in range(kills):
        process = await asyncio.to_thread(
            subprocess.Popen,
            [sys.executable, str(CHILD), str(tmp_path / "store"), kafka.servers, "40"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline().split() == ["ready"]
        await asyncio.sleep(draw.uniform(0.2, 1.2))
        process.kill()
        for line in process.communicate()[0].splitlines():
            _, symbol, timestamp = line.split()
            made.append((symbol, int(timestamp), 0))
    queue = Queue(tmp_path / "store")
    async with at_work(KafkaSink(settings(kafka.servers), queue.outbox)):
        await until(lambda: queue.depth() == 0, 60)
    consumed = await asyncio.to_thread(consume, kafka.servers, "ta_data", len(set(made)))
    assert len(made) > 150 * kills
    assert set(made) <= consumed.keys()
    for seen in consumed.order.values():
        assert seen == sorted(seen)
        assert len(seen) == (seen[-1][0] - seen[0][0]) // 60_000 + 1  # no hole, told or not
    print(f"{len(consumed.keys())} messages, {consumed.duplicates} duplicates")
    queue.store.close()


async def test_a_missing_topic_is_created_though_the_broker_creates_none_by_itself(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "kafka", more="auto.create.topics.enable=false")
    broker.start()
    try:
        queue = Queue(tmp_path / "store")
        await queue.fill(100)
        async with at_work(KafkaSink(settings(broker.servers), queue.outbox)):
            await until(lambda: queue.depth() == 0)
        check_nothing_lost(await asyncio.to_thread(consume, broker.servers, "ta_data", 100), queue.made)
        queue.store.close()
    finally:
        broker.kill()


async def test_a_refused_message_holds_the_queue_until_the_topic_takes_it(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "kafka", more="message.max.bytes=2000")
    broker.start()
    try:
        queue = Queue(tmp_path / "store")
        await queue.fill(200, size=500)  # a batch of many is too large, one message is not
        sink = KafkaSink(settings(broker.servers, compression_type="none"), queue.outbox)
        asked = {
            "KAFKA__ENABLED": "true", "KAFKA__BOOTSTRAP_SERVERS": broker.servers,
            "KAFKA__COMPRESSION_TYPE": "none", "APPLICATION__STORAGE_PATH": str(tmp_path / "store"),
        }  # fmt: skip
        async with at_work(sink) as journal:
            await until(lambda: queue.depth() == 0, 60)
            await queue.fill(40, size=5_000)
            await until(lambda: journal.counters["kafka_failures"] >= 4)
            assert "too large" in sink.status()
            assert "max.message.bytes" in sink.status()
            assert sum("max.message.bytes" in event.text for event in journal.events) == 1  # told once
            assert queue.depth() == 40
        queue.store.close()
        done = await asyncio.to_thread(check, tmp_path, **asked)
        assert done.returncode == 4
        assert "kafka     failed: the broker refuses a message of" in done.stdout
        assert "raise max.message.bytes of the topic ta_data (now 2,000)" in done.stdout
        queue = Queue.again(queue, tmp_path / "store")
        sink = KafkaSink(settings(broker.servers, compression_type="none"), queue.outbox)
        async with at_work(sink):
            _raise_limit(broker.servers)
            await until(lambda: queue.depth() == 0, 90)
        check_nothing_lost(await asyncio.to_thread(consume, broker.servers, "ta_data", 240), queue.made)
        queue.store.close()
    finally:
        broker.kill()


def _raise_limit(servers: str) -> None:
    api: Any = importlib.import_module("confluent_kafka.admin")
    change = api.ConfigEntry("max.message.bytes", "100000", incremental_operation=api.AlterConfigOpType.SET)
    topic = api.ConfigResource(api.ResourceType.TOPIC, "ta_data", incremental_configs=[change])
    admin = api.AdminClient({"bootstrap.servers": servers})
    for done in admin.incremental_alter_configs([topic]).values():
        done.result(30)


async def test_a_broker_that_announces_an_address_nobody_reaches_is_told(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "kafka", announced="127.0.0.1:1")
    broker.start()
    try:
        queue = Queue(tmp_path / "store")
        sink = KafkaSink(settings(broker.servers), queue.outbox)
        async with at_work(sink):
            await until(lambda: "advertised.listeners" in sink.status())
            assert "127.0.0.1:1" in sink.status()
        queue.store.close()
    finally:
        broker.kill()


@pytest.mark.timeout(180)
async def test_a_backlog_is_drained_without_holding_up_live_minutes(kafka: Broker, tmp_path: Path) -> None:
    kafka.kill()
    queue = Queue(tmp_path / "store")
    await queue.fill(15_000, size=700)
    await asyncio.to_thread(kafka.start)
    commits, live = [], 0
    async with at_work(KafkaSink(settings(kafka.servers), queue.outbox)) as journal:
        while queue.depth():
            begun = time.perf_counter()
            await queue.fill(40)
            commits.append(time.perf_counter() - begun)
            live += 40
            await asyncio.sleep(0.02)
            assert live < 15_000, "what is new comes faster than it is sent"
        assert journal.counters["kafka_messages"] == 15_000 + live
    print(f"{live} live messages beside the backlog; worst commit {max(commits) * 1000:.0f} ms")
    assert max(commits) < 2
    consumed = await asyncio.to_thread(consume, kafka.servers, "ta_data", 15_000 + live)
    check_nothing_lost(consumed, queue.made)
    assert consumed.duplicates == 0
    queue.store.close()


@pytest.mark.timeout(180)
async def test_memory_stays_flat_while_the_broker_is_down(kafka: Broker, tmp_path: Path) -> None:
    queue = Queue(tmp_path / "store")
    sink = KafkaSink(settings(kafka.servers), queue.outbox)

    async def wait(count: int) -> None:
        for n in range(0, count, 1_000):
            payloads = [f"{at:0800}".encode() for at in range(n, n + 1_000)]
            kept = [queue.store.send("data", "BTCUSDT", 0, payload) for payload in payloads]
            await asyncio.wrap_future(kept[-1])

    async with at_work(sink):
        await until(lambda: sink.status() == "ok")
        kafka.kill()
        await wait(5_000)
        await until(lambda: "has not answered" in sink.status())
        before = anonymous_mb()
        await wait(100_000)
        growth = anonymous_mb() - before
        assert queue.depth() == 105_000
    print(f"{growth:.1f} MB more for 100,000 messages of 800 bytes")
    assert growth < 20
    queue.store.close()


def anonymous_mb() -> float:
    """Memory of this process that no file holds."""
    rollup = Path("/proc/self/smaps_rollup").read_text()
    kilobytes = next(line.split()[1] for line in rollup.splitlines() if line.startswith("Anonymous:"))
    return int(kilobytes) / 1024


async def test_a_live_burst_of_six_hundred_is_acknowledged_at_once(kafka: Broker, tmp_path: Path) -> None:
    queue = Queue(tmp_path / "store")
    sink = KafkaSink(settings(kafka.servers), queue.outbox)
    async with at_work(sink):
        await until(lambda: sink.status() == "ok")
        took = []
        for _ in range(10):
            begun = time.perf_counter()
            await queue.fill(600, 600, size=1_000)
            await until(lambda: sink.taken == queue.outbox.last)
            took.append(time.perf_counter() - begun)
        print(f"burst of 600: median {sorted(took)[5] * 1000:.0f} ms, worst {max(took) * 1000:.0f} ms")
    assert queue.depth() == 0
    queue.store.close()
