"""Alerts from the command line on: configured in a file, read again on SIGHUP, sent to a real broker."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commanding import COMMAND, environment
from feed import NOON, configured, until
from msgspec.structs import replace
from preloaded import start_process

from tui_feeder.config import AlertRule, Alerts, Kafka
from tui_feeder.engine.composition import configured_engine
from tui_feeder.engine.sinks.configured import configured_sinks
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market


def exchange_at(start: int, rate: float) -> Exchange:
    market = synthetic_market(["BTCUSDT"], as_of_ms=NOON)
    return Exchange(market, clock_for(market, start_ms=start, rate=rate))


async def test_a_file_with_rules_calls_a_program_and_other_rules_hold_after_a_hangup(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    program = [sys.executable, "-c", f"import sys; open({str(notes)!r}, 'a').write(sys.stdin.read() + '\\n')"]
    async with exchange_at(NOON, 60.0) as exchange:
        file = tmp_path / "config.toml"

        def write(rule: str) -> None:
            file.write_text(
                f"[application]\nsymbols = ['BTCUSDT']\nstorage_path = '{tmp_path / 'store'}'\n"
                "[technical_analysis]\nmin_history_days = 2\n"
                f"[alerts]\ncooldown_seconds = 0\ncommand = {json.dumps(program)}\n[alerts.rules]\n{rule}\n"
            )

        write("little = { kind = 'volume_above', quantile = 'q25', hysteresis_percent = 0 }")
        process = await start_process(
            *COMMAND, "--config", str(file), "--no-ui", cwd=tmp_path, env=environment(exchange),
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None

        async def said(words: bytes) -> None:
            while words not in (line := await asyncio.wait_for(process.stderr.readline(), 60)):
                assert line, f"it ended without {words!r}"

        def noted() -> list[str]:
            return (
                [json.loads(line)["rule"] for line in notes.read_text().splitlines()]
                if notes.exists()
                else []
            )

        await said(b"alert little: BTCUSDT: volume ")
        await until(lambda: "little" in noted())
        write(
            "mean = { kind = 'price_cross', level = 'ema', timeframe = 60, periods = [21], "
            "hysteresis_percent = 0 }"
        )
        process.send_signal(signal.SIGHUP)
        await said(b"configuration read again")
        await said(b"alert mean: BTCUSDT: price ")
        await until(lambda: noted()[-1] == "mean")
        assert noted().index("mean") > max(n for n, rule in enumerate(noted()) if rule == "little")
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0


@pytest.fixture
def mock() -> Iterator[str]:
    """librdkafka's mock cluster: the real protocol on a real socket; its address."""
    kafka = pytest.importorskip("confluent_kafka", reason="the mock cluster needs confluent-kafka")
    producer = kafka.Producer({"bootstrap.servers": "x", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = producer.list_topics(timeout=10).brokers
    yield next(f"{one.host}:{one.port}" for one in brokers.values())
    producer.flush(0)  # until here it lives, and the cluster with it


def alerts_in(servers: str, least: int) -> list[tuple[str, int, dict[str, object]]]:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": servers, "group.id": "check", "enable.auto.commit": False})
    partitions = consumer.list_topics("ta_alerts", timeout=10).topics["ta_alerts"].partitions
    consumer.assign([TopicPartition("ta_alerts", one, OFFSET_BEGINNING) for one in partitions])
    found: list[tuple[str, int, dict[str, object]]] = []
    deadline = time.monotonic() + 30
    while len(found) < least and time.monotonic() < deadline:
        for record in consumer.consume(100, timeout=0.5):
            key, value = record.key(), record.value()
            if not record.error() and key is not None and value is not None:
                found.append((key.decode(), record.timestamp()[1], json.loads(value)))
    consumer.close()
    return found


async def test_alerts_reach_their_topic_in_kafka(mock: str, tmp_path: Path) -> None:
    async with exchange_at(NOON, 120.0) as exchange:
        rule = AlertRule(kind="volume_above", quantile="q25", hysteresis_percent=0.0)
        config = replace(
            configured(exchange, ["BTCUSDT"]),
            alerts=replace(Alerts(), rules={"little": rule}, cooldown_seconds=0.0, kafka=True),
            kafka=replace(Kafka(), enabled=True, bootstrap_servers=(mock,), linger_ms=5),
        )
        store = await asyncio.to_thread(Store, tmp_path, exchange="a simulated exchange")
        engine = configured_engine(config, store, configured_sinks(config, store))
        running = asyncio.create_task(engine.run())
        try:
            await until(lambda: len(engine.alerts.recent) >= 3, seconds=60)
        finally:
            engine.request_stop()
            await asyncio.wait_for(running, 30)
        told = [(view.symbol, view.at, view.text) for view in engine.alerts.recent]
        got = await asyncio.to_thread(alerts_in, mock, len(told))
    assert [(key, at, message["text"]) for key, at, message in got] == told
    assert {message["rule"] for _, _, message in got} == {"little"}
