from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from feed import NOON, configured, until
from msgspec.structs import replace
from places import DOCS, OLD_CONFIG
from preloaded import start_process
from sinking import Queue, at_work, check_nothing_lost, consume

from tui_feeder.config import Kafka, KafkaSecurity
from tui_feeder.engine.composition import configured_engine
from tui_feeder.engine.sinks.configured import configured_sinks
from tui_feeder.engine.storage.store import Store
from tui_feeder.safe_text import Secret
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

confluent_kafka = pytest.importorskip("confluent_kafka", reason="the mock cluster needs confluent-kafka")

from aiokafka.errors import MessageSizeTooLargeError  # noqa: E402
from aiokafka.partitioner import murmur2  # noqa: E402
from aiokafka.producer.message_accumulator import BatchBuilder  # noqa: E402

from tui_feeder.engine.sinks import kafka  # noqa: E402
from tui_feeder.engine.sinks.kafka import KafkaSink  # noqa: E402 - after the check that it can be had

OLDER = OLD_CONFIG
SCHEMA = DOCS / "message.schema.json"


@pytest.fixture
def mock() -> Iterator[str]:
    """librdkafka's mock cluster: the real protocol on a real socket; its address."""
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": "x", "test.mock.num.brokers": 1, "log_level": 0}
    )
    brokers = producer.list_topics(timeout=10).brokers
    yield next(f"{one.host}:{one.port}" for one in brokers.values())
    producer.flush(0)  # until here it lives, and the cluster with it


def settings(servers: str, **more: object) -> Kafka:
    kafka = replace(Kafka(), enabled=True, bootstrap_servers=(servers,), linger_ms=5)
    return replace(kafka, **more)


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_messages_arrive_in_order_with_key_and_time(
    mock: str, compression: str, tmp_path: Path
) -> None:
    queue = Queue(tmp_path)
    sink = KafkaSink(settings(mock, compression_type=compression), queue.outbox)
    await queue.fill(1_000)  # what waited before the start
    async with at_work(sink) as journal:
        await until(lambda: queue.depth() == 0)
        await queue.fill(1_000)
        await until(lambda: queue.depth() == 0)
        assert sink.status() == "ok"
        assert journal.counters["kafka_messages"] == 2_000
    consumed = await asyncio.to_thread(consume, mock, "ta_data", 2_000)
    check_nothing_lost(consumed, queue.made)
    assert consumed.duplicates == 0
    for record in consumed.records:
        assert f'"symbol": "{record.key().decode()}"'.encode() in record.value()
        assert f'"timestamp": {record.timestamp()[1]},'.encode() in record.value()
    queue.store.close()


@pytest.mark.parametrize("acks", ["all", "-1", "1", "0"])
async def test_every_kind_of_acknowledgement_drains(mock: str, acks: str, tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    await queue.fill(200)
    async with at_work(KafkaSink(settings(mock, acks=acks), queue.outbox)):
        await until(lambda: queue.depth() == 0)
    check_nothing_lost(await asyncio.to_thread(consume, mock, "ta_data", 200), queue.made)
    queue.store.close()


async def test_a_restarted_feeder_goes_on_with_what_waited(mock: str, tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    await queue.fill(300)
    queue.store.close()
    made = queue.made
    queue = Queue(tmp_path)
    queue.made = made
    async with at_work(KafkaSink(settings(mock), queue.outbox)):
        await until(lambda: queue.depth() == 0)
    consumed = await asyncio.to_thread(consume, mock, "ta_data", 300)
    check_nothing_lost(consumed, queue.made)
    assert consumed.duplicates == 0
    queue.store.close()


async def test_closing_hands_over_what_waits(mock: str, tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    sink = KafkaSink(settings(mock, linger_ms=200), queue.outbox)
    async with at_work(sink):
        await until(lambda: sink.status() == "ok")
        await queue.fill(50)
    assert queue.depth() == 0
    queue.store.close()


async def test_a_broker_that_is_not_there_is_told_and_costs_no_stop(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        queue = Queue(tmp_path)
        await queue.fill(10)
        sink = KafkaSink(settings(address), queue.outbox)
        async with at_work(sink) as journal:
            await until(lambda: "connection refused" in sink.status())
            assert "10 messages wait" in sink.status()
            await until(lambda: journal.counters["kafka_failures"] >= 2)
            assert sum("connection refused" in event.text for event in journal.events) == 1
            begun = time.monotonic()
        assert time.monotonic() - begun < 8, "it does not wait for a broker that is not there"
    assert queue.depth() == 10
    queue.store.close()


async def test_a_listener_that_speaks_no_kafka_is_told(tmp_path: Path) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    queue = Queue(tmp_path)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    sink = KafkaSink(settings(address), queue.outbox)
    async with at_work(sink):
        await until(lambda: "listener one for protocol PLAINTEXT" in sink.status())
    server.close()
    queue.store.close()


async def test_credentials_reach_the_broker_and_no_status(mock: str, tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    security = KafkaSecurity(
        protocol="SASL_PLAINTEXT", sasl_username="feeder", sasl_password=Secret("hush-hush")
    )
    sink = KafkaSink(settings(mock, security=security), queue.outbox)
    async with at_work(sink) as journal:
        await until(lambda: bool(sink.trouble) and sink.trouble != "connecting")
        told = sink.status() + "".join(event.text for event in journal.events)
    assert "hush" not in told
    queue.store.close()


async def test_dropped_messages_are_shouted(tmp_path: Path) -> None:
    queue = Queue(tmp_path, max_mb=0.2)
    await queue.fill(2_000)
    sink = KafkaSink(settings("127.0.0.1:1"), queue.outbox)
    async with at_work(sink) as journal:
        await until(lambda: journal.counters["kafka_messages_dropped"] > 1_000)
        assert "dropped: the outbox was full" in sink.status()
        assert any(e.level == "error" and "dropped for good" in e.text for e in journal.events)
    queue.store.close()


async def test_one_partition_refused_for_good_in_the_answer_that_takes_another_holds_no_session(
    mock: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both futures of an answer are done at once: on Python 3.11 ``wait_for`` loses the cancellation then."""
    from aiokafka.producer.sender import SendProduceReqHandler

    refused = 0
    handle = SendProduceReqHandler.handle_response

    def too_large(handler: SendProduceReqHandler, answer: Any) -> Any:  # noqa: ANN401 - of aiokafka
        nonlocal refused
        refused += 1
        answer.topics = [
            (topic, [(one[0], 10, *one[2:]) if one[0] == 1 else one for one in partitions])
            for topic, partitions in answer.topics
        ]
        return handle(handler, answer)

    queue = Queue(tmp_path)
    names: dict[int, str] = {}
    for n in range(200):
        names.setdefault((murmur2(f"S{n}USDT".encode()) & 0x7FFFFFFF) % 4, f"S{n}USDT")
    with monkeypatch.context() as broker:
        broker.setattr(SendProduceReqHandler, "handle_response", too_large)
        for partition in range(4):
            queue.store.send("data", names[partition], 1, b"{}").result()
        async with at_work(KafkaSink(settings(mock, linger_ms=50), queue.outbox)) as journal:
            await until(lambda: journal.counters["kafka_failures"] >= 3)  # each of them a session that ended
            sink_said = [event.text for event in journal.events]
            assert sum("refuses a message" in text for text in sink_said) == 1
            assert not any("works again" in text for text in sink_said)
            assert queue.depth() > 0
            broker.undo()
            await until(lambda: queue.depth() == 0)
    assert refused
    queue.store.close()


async def test_the_engine_publishes_to_the_topic_of_the_older_program(mock: str, tmp_path: Path) -> None:
    market = synthetic_market(["BTCUSDT"], as_of_ms=NOON)
    async with Exchange(market, clock_for(market, start_ms=NOON, rate=120.0)) as exchange:
        config = replace(configured(exchange, ["BTCUSDT"]), kafka=settings(mock))
        queue = Queue(tmp_path)
        queue.store.close()
        queue = Queue(tmp_path)
        sinks = configured_sinks(config, queue.store)
        engine = configured_engine(config, queue.store, sinks)
        running = asyncio.create_task(engine.run())
        await until(lambda: engine.journal.counters["kafka_messages"] >= 4)
        engine.request_stop()
        await asyncio.wait_for(running, 30)
        made = engine.journal.counters["messages"]
    consumed = await asyncio.to_thread(consume, mock, "ta_data", made)
    assert len(consumed.keys()) == made
    schema = json.loads(SCHEMA.read_text())
    for record in consumed.records:
        message = json.loads(record.value())
        jsonschema.validate(message, schema)
        assert (record.key().decode(), record.timestamp()[1]) == (message["symbol"], message["timestamp"])
    times = [timestamp for timestamp, _ in consumed.order["BTCUSDT"]]
    assert times == list(range(times[0], times[-1] + 1, 60_000))


async def test_the_demo_never_publishes_whatever_is_configured(tmp_path: Path) -> None:
    came: list[object] = []

    async def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer.get_extra_info("peername"))
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    process = await start_process(
        sys.executable, "-m", "tui_feeder", "--demo", "--no-ui", "--symbols", "BTCUSDT",
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {
            "FEEDER_KAFKA__ENABLED": "true", "FEEDER_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
            "FEEDER_DATABASE__ENABLED": "true", "FEEDER_DATABASE__HOST": "127.0.0.1",
            "FEEDER_DATABASE__PORT": str(port), "FEEDER_FILE__ENABLED": "true",
            "FEEDER_TECHNICAL_ANALYSIS__MIN_HISTORY_DAYS": "2",
        },
    )  # fmt: skip
    assert process.stdout is not None
    told = b""
    while b" closed: " not in told:  # a minute, which would be published
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        assert line, told.decode()
        told += line
    process.terminate()
    rest, _ = await process.communicate()
    assert process.returncode == 0, (told + (rest or b"")).decode()
    assert came == []
    assert not (tmp_path / "messages").exists()
    server.close()


async def test_a_configuration_of_the_older_program_publishes_to_its_topic(mock: str, tmp_path: Path) -> None:
    market = synthetic_market(["BTCUSDT", "ETHUSDT"], as_of_ms=NOON)
    async with Exchange(market, clock_for(market, start_ms=NOON, rate=120.0)) as exchange:
        process = await start_process(
            sys.executable, "-m", "tui_feeder", "--no-ui", "--run-for", "12", "--config", str(OLDER),
            "--storage", str(tmp_path / "store"), "--symbols", "BTCUSDT,ETHUSDT",
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {
                "FEEDER_KAFKA__ENABLED": "true", "FEEDER_KAFKA__BOOTSTRAP_SERVERS": mock,
                "FEEDER_APPLICATION__START_DATE": "2026-03-08T00:00:00Z",
                "FEEDER_APPLICATION__HEALTH_SERVER_PORT": "0",  # the file states one, which others may have
                "FEEDER_TECHNICAL_ANALYSIS__MIN_HISTORY_DAYS": "2",
                "FEEDER_EXCHANGE__REST_URL": exchange.rest_url,
                "FEEDER_EXCHANGE__STREAM_URL": exchange.stream_url,
                "FEEDER_EXCHANGE__ARCHIVE_URL": exchange.archive_url,
                "FEEDER_EXCHANGE__CLOCK_RATE": "120",
            },
        )  # fmt: skip
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    consumed = await asyncio.to_thread(consume, mock, "ta_data", 2)
    assert set(consumed.order) == {"BTCUSDT", "ETHUSDT"}
    for seen in consumed.order.values():
        times = [timestamp for timestamp, _ in seen]
        assert times == list(range(times[0], times[-1] + 1, 60_000))
    store = Store(tmp_path / "store", read_only=True)  # what was made was sent: nothing waits
    for symbol, seen in consumed.order.items():
        assert store.watermark(symbol) == seen[-1][0] + 1 - 60_000
    store.close()


async def test_a_refusal_that_comes_after_the_end_of_a_session_is_not_logged_as_unheard(
    tmp_path: Path,
) -> None:
    """As aiokafka has it: what is waited for is a shield of the batch's own future."""
    loop = asyncio.get_running_loop()
    unheard: list[str] = []
    loop.set_exception_handler(lambda _, context: unheard.append(str(context["message"])))
    batches, sent = [loop.create_future()], asyncio.Event()

    class Producer:
        def create_batch(self) -> BatchBuilder:
            return BatchBuilder(1 << 20, 0)

        async def send_batch(self, *_: object, **__: object) -> asyncio.Future[Any]:
            sent.set()
            return asyncio.shield(batches[0])

    queue = Queue(tmp_path)
    await queue.fill(1)
    sink, delivery = KafkaSink(settings("127.0.0.1:1"), queue.outbox), kafka._Delivery(1, 0)
    partition = delivery.queues[0]
    partition.waiting.extend(queue.outbox.read_after(0, 1 << 20))
    sending = asyncio.create_task(sink._send(Producer(), delivery, partition))
    await sent.wait()
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert sending.cancelled()
    batches.pop().set_exception(MessageSizeTooLargeError())
    await asyncio.sleep(0)
    del sending
    gc.collect()
    assert unheard == []
    queue.store.close()
