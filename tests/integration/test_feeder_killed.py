"""The whole feeder, killed -9 while it publishes to a real Kafka and mirrors to a real PostgreSQL.

``--kills 30`` kills it more often. Its configuration is a file of the older program.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from feed import NOON
from mirrored import COLUMNS, connected
from places import DOCS, OLD_CONFIG
from services import Kafka as Broker
from services import Postgres as Server
from sinking import consume, read_records

from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.core.candle import MINUTE_MS, timeframe_label
from tui_feeder.engine.derived.revisions import Revisions
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

pytest.importorskip("asyncpg", reason="the postgres extra is not installed")
confluent_kafka = pytest.importorskip("confluent_kafka", reason="the consumer needs confluent-kafka")


OLDER = OLD_CONFIG
SYMBOLS = ("1000PEPEUSDT", "BTCUSDT", "ETHUSDT")  # of that file
TIMEFRAMES = (60, 300, 900, 3600, 14_400)
RATE = 240.0


class Feeder:
    """``feeder-tui --no-ui`` as a process of its own."""

    def __init__(self, exchange: Exchange, kafka: Broker, postgres: Server, store: Path) -> None:
        self._arguments = [
            sys.executable, "-m", "tui_feeder", "--no-ui", "--config", str(OLDER), "--storage", str(store),
        ]  # fmt: skip
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FEEDER_")}
        self._environment = inherited | {
            "FEEDER_APPLICATION__START_DATE": "2026-03-09T00:00:00Z",
            "FEEDER_APPLICATION__HEALTH_SERVER_PORT": "0",
            "FEEDER_TECHNICAL_ANALYSIS__MIN_HISTORY_DAYS": "1",
            "FEEDER_EXCHANGE__REST_URL": exchange.rest_url,
            "FEEDER_EXCHANGE__STREAM_URL": exchange.stream_url,
            "FEEDER_EXCHANGE__ARCHIVE_URL": exchange.archive_url,
            "FEEDER_EXCHANGE__CLOCK_RATE": str(exchange.clock.rate),
            "FEEDER_KAFKA__ENABLED": "true",
            "FEEDER_KAFKA__BOOTSTRAP_SERVERS": kafka.servers,
            "FEEDER_KAFKA__CANDLES_TOPIC": "true",
            "FEEDER_DATABASE__ENABLED": "true",
            "FEEDER_DATABASE__HOST": "127.0.0.1",
            "FEEDER_DATABASE__PORT": str(postgres.port),
            "FEEDER_DATABASE__USERNAME": postgres.user,
            "FEEDER_DATABASE__PASSWORD": postgres.password,
            "FEEDER_DATABASE__BATCH_TIMEOUT_SECONDS": "0.2",
            "FEEDER_SERVICE__SOCKET": "off",
        }
        self._log = store.parent / "feeder.log"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self._arguments, stdout=log, stderr=log, env=self._environment, cwd=self._log.parent
            )

    async def stop(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 60)

    @property
    def log(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(line for line in lines if " info " in line or " error " in line)[-3_000:]


class Topic:
    """How many records a topic has."""

    def __init__(self, servers: str, name: str) -> None:
        self._consumer = confluent_kafka.Consumer({"bootstrap.servers": servers, "group.id": "count"})
        self._name = name

    def close(self) -> None:
        self._consumer.close()

    def records(self) -> int:
        try:
            partitions = self._consumer.list_topics(self._name, timeout=10).topics[self._name].partitions
            places = [confluent_kafka.TopicPartition(self._name, one) for one in partitions]
            return sum(self._consumer.get_watermark_offsets(place, 10)[1] for place in places)
        except confluent_kafka.KafkaException:  # it is just being made
            return 0


@pytest.mark.timeout(900)
async def test_a_feeder_killed_while_it_publishes_loses_nothing(
    kafka: Broker, postgres: Server, tmp_path: Path, kills: int
) -> None:
    draw = random.Random(30)
    market = synthetic_market(list(SYMBOLS), as_of_ms=NOON)
    async with Exchange(market, clock_for(market, start_ms=NOON, rate=RATE)) as exchange:
        feeder = Feeder(exchange, kafka, postgres, tmp_path / "store")
        topic = Topic(kafka.servers, "ta_data")
        before = 0
        for kill in range(kills + 1):
            await feeder.start()
            assert feeder.process is not None
            wanted = before + (40 if kill < kills else 60)
            deadline = asyncio.get_running_loop().time() + 60
            while await asyncio.to_thread(topic.records) < wanted:
                assert feeder.process.returncode is None, feeder.log
                assert asyncio.get_running_loop().time() < deadline, feeder.log
                await asyncio.sleep(0.05)
            if kill < kills:
                await asyncio.sleep(draw.uniform(0.0, 1.0))
                assert await feeder.stop(signal.SIGKILL) == -signal.SIGKILL
            before = await asyncio.to_thread(topic.records)
        assert await feeder.stop(signal.SIGTERM) == 0, feeder.log
    topic.close()
    store = Store(tmp_path / "store", read_only=True)
    made = messages_of(store)
    consumed = await asyncio.to_thread(consume, kafka.servers, "ta_data", len(made))
    assert consumed.keys() == made
    schema = json.loads((DOCS / "message.schema.json").read_text(encoding="utf-8"))
    for record in consumed.records:
        message = json.loads(record.value())
        jsonschema.validate(message, schema)
        assert (record.key().decode(), record.timestamp()[1]) == (message["symbol"], message["timestamp"])
    for seen in consumed.order.values():
        assert [one for one in seen if one[1] == 0] == sorted(one for one in seen if one[1] == 0)
    bars = await candles_are_those_of(store, kafka)
    rows = await tables_are_those_of(store, postgres)
    print(
        f"{kills} kills: {len(made)} messages, {consumed.duplicates} duplicates; "
        f"{bars} candles on their topic; {rows} rows in the tables"
    )
    assert consumed.duplicates <= 200 * kills  # only what was under way at a kill
    store.close()


def messages_of(store: Store) -> set[tuple[str, int, int]]:
    """Every message that the store says was made."""
    made = set()
    for symbol in SYMBOLS:
        kept, watermark = store.note(f"revisions {symbol}"), store.watermark(symbol)
        assert kept is not None
        assert watermark is not None
        revisions = Revisions.decode(kept)
        for at in store.read(symbol, revisions.since, watermark + MINUTE_MS)["open_time"].tolist():
            made |= {(symbol, at + MINUTE_MS - 1, n) for n in range(revisions.of(at) + 1)}
    return made


async def candles_are_those_of(store: Store, kafka: Broker) -> int:
    """Every bar completed since publishing began is on its topic, as the store's minutes make it."""
    records = await asyncio.to_thread(read_records, kafka.servers, "ta_candles", 1)
    schema = json.loads((DOCS / "candle.schema.json").read_text(encoding="utf-8"))
    latest: dict[tuple[str, str, int], dict[str, Any]] = {}
    for record in records:
        bar = json.loads(record.value())
        jsonschema.validate(bar, schema)
        assert (record.key().decode(), record.timestamp()[1]) == (bar["symbol"], bar["close_time"])
        key = (bar["symbol"], bar["timeframe"], bar["open_time"])
        if key not in latest or bar["revision"] > latest[key]["revision"]:
            latest[key] = bar
    wanted: dict[tuple[str, str, int], tuple[Any, ...]] = {}
    for symbol in SYMBOLS:
        kept, watermark = store.note(f"revisions {symbol}"), store.watermark(symbol)
        assert kept is not None
        assert watermark is not None
        since = Revisions.decode(kept).since
        rows = store.read(symbol, 0, watermark + MINUTE_MS)
        for timeframe in TIMEFRAMES:
            made = aggregate(rows, timeframe)
            for row, minutes in zip(made.rows.tolist(), made.minutes.tolist(), strict=True):
                if row[0] + timeframe * 1000 > since:
                    wanted[symbol, timeframe_label(timeframe), row[0]] = (*row, minutes)
    fields = ("open_time", "open", "high", "low", "close", "volume", "quote_volume", "trades",
              "taker_buy_volume", "taker_buy_quote_volume", "minutes")  # fmt: skip
    assert {key: tuple(bar[name] for name in fields) for key, bar in latest.items()} == wanted
    return len(latest)


async def tables_are_those_of(store: Store, postgres: Server) -> int:
    """The tables equal the store; how many rows they have."""
    connection = await connected(postgres)
    count = 0
    for symbol in SYMBOLS:
        for timeframe in TIMEFRAMES:
            found = await connection.fetch(
                f"SELECT (extract(epoch FROM time) * 1000)::bigint, {', '.join(COLUMNS)} FROM candles_1m "
                "WHERE symbol = $1 AND time_frame = $2 ORDER BY time",
                symbol, timeframe_label(timeframe),
            )  # fmt: skip
            rows = aggregate(store.read(symbol, 0, 1 << 62), timeframe).rows
            assert [tuple(row) for row in found] == rows.tolist(), (symbol, timeframe)
            count += len(rows)
    assert await connection.fetchval("SELECT count(*) FROM candles_1m") == count
    await connection.close()
    return count
