"""A feeder that was not ready, and why, is ready again once the reason is gone: a disk, a broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from pathlib import Path

import pytest
from disks import fill, small_disk
from feed import NOON, configured, until
from msgspec.structs import replace
from serving import serving
from sinking import consume

from tui_feeder.config import File, Kafka, Service
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.sinks.file import FileSink
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

SYMBOLS = ["BTCUSDT", "ETHUSDT"]


def exchange_at(rate: float) -> Exchange:
    market = synthetic_market(SYMBOLS, as_of_ms=NOON)
    return Exchange(market, clock_for(market, start_ms=NOON, rate=rate))


async def test_a_disk_that_is_full_makes_it_unready_until_there_is_room_and_loses_no_minute(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        await fill_it_and_make_room(disk)


async def fill_it_and_make_room(disk: Path) -> None:
    out = replace(File(), enabled=True, path=disk / "out")

    def sinks(store: Store) -> list[FileSink]:
        return [FileSink(out, store.open_outbox(["file"], 100))]

    async with exchange_at(60.0) as exchange:
        config = replace(configured(exchange, SYMBOLS), service=replace(Service(), ready_free_mb=1))
        async with serving(config, disk / "store", sinks) as feeder:
            await feeder.until_ready(True)
            filler = disk / "filler"
            await asyncio.to_thread(fill, filler)
            # A write that the disk cut short is told by LMDB as an I/O error: full, or failing.
            await feeder.until_ready(False, "disk: writes wait: disk full")
            store = feeder.engine.engine.store
            stood = {symbol: store.present(symbol).end for symbol in SYMBOLS}
            assert "feeder_store_waiting 1.0" in await feeder.get("/metrics")
            await asyncio.sleep(4.0)  # four of its minutes
            ready, reasons = await feeder.ready()
            assert not ready
            assert any("writes wait" in reason for reason in reasons)
            assert {symbol: store.present(symbol).end for symbol in SYMBOLS} == stood
            health = await feeder.get("/health")
            assert health["status"] == "ok", "it lives, and a restart would make no room"
            filler.unlink()
            await feeder.until_ready(True)
            await until(lambda: all(store.present(s).end > stood[s] + 8 * MINUTE_MS for s in SYMBOLS))
            await until(lambda: store.outboxes["data"].status("file").depth == 0)
            made = feeder.engine.engine.journal.counters["messages"]
        for symbol in SYMBOLS:
            store = await asyncio.to_thread(Store, disk / "store", read_only=True)
            present = store.present(symbol)
            store.close()
            assert present.missing(present.start, present.end).minutes == 0
            assert present.end > stood[symbol] + 8 * MINUTE_MS
            lines = [line for one in sorted(out.path.iterdir()) for line in one.read_bytes().splitlines()]
            told = [one for line in lines if (one := json.loads(line))["symbol"] == symbol]
            first = sorted(one["timestamp"] for one in told if one["revision"] == 0)
            assert first == list(range(first[0], present.end, MINUTE_MS)), "each minute was told, and once"
        assert made <= len(lines)


async def test_an_outbox_that_was_too_far_behind_is_well_once_the_broker_comes(tmp_path: Path) -> None:
    confluent_kafka = pytest.importorskip("confluent_kafka", reason="the mock cluster needs confluent-kafka")
    from tui_feeder.engine.sinks.kafka import KafkaSink

    cluster = confluent_kafka.Producer({"bootstrap.servers": "x", "test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = cluster.list_topics(timeout=10).brokers.values()

    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection(broker.host, broker.port)

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(1 << 16):
                    target.write(data)
                    await target.drain()
            target.close()

        await asyncio.gather(copy(reader, there), copy(there_reader, writer))

    door = socket.socket()
    door.bind(("127.0.0.1", 0))  # nothing listens there yet: the broker is down
    address = f"127.0.0.1:{door.getsockname()[1]}"
    kafka = replace(Kafka(), enabled=True, bootstrap_servers=(address,))

    def sinks(store: Store) -> list[KafkaSink]:
        return [KafkaSink(kafka, store.open_outbox(["kafka"], 10))]

    async with exchange_at(60.0) as exchange:
        config = replace(
            configured(exchange, SYMBOLS), service=replace(Service(), ready_sink_lag_seconds=2.5)
        )
        async with serving(config, tmp_path, sinks) as feeder:
            await feeder.until_ready(False, "sinks: kafka is ")
            _, reasons = await feeder.ready()
            assert any("connection refused" in reason for reason in reasons), reasons
            assert (await feeder.get("/health"))["status"] == "ok"
            server = await asyncio.start_server(passed_on, sock=door)
            await feeder.until_ready(True)
            await until(lambda: feeder.engine.engine.sinks[0].status() == "ok")
            made = feeder.engine.engine.journal.counters["messages"]
        server.close()
    consumed = await asyncio.to_thread(consume, f"{broker.host}:{broker.port}", "ta_data", made)
    for symbol in SYMBOLS:
        times = [timestamp for timestamp, _ in consumed.order[symbol]]
        assert times == list(range(times[0], times[-1] + 1, MINUTE_MS))
    assert len(consumed.keys()) >= made
