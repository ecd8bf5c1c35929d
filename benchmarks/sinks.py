"""The outbox to a real Kafka, the mirror to a real PostgreSQL, each against its bare client."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import numpy as np
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from benchmarks._report import Figure, anonymous_mb, percentile, report
from tui_feeder.config import Config, Database, Kafka, TechnicalAnalysis
from tui_feeder.engine.core.candle import MINUTE_MS, ROW, Rows, Source
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.sinks.kafka import KafkaSink
from tui_feeder.engine.sinks.postgres import PostgresSink
from tui_feeder.engine.sinks.thread import SessionSink
from tui_feeder.engine.storage.outbox import Outbox
from tui_feeder.engine.storage.store import Store
from tui_feeder.safe_text import Secret

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support" / "brokers"))

from services import Kafka as Broker
from services import Postgres, Unavailable

FIRST = 1_728_000_000_000
MESSAGES = 100_000
SYMBOLS = 600
CANDLES = 200_000


def payload(n: int) -> bytes:
    """About 1 KB of JSON, no two alike."""
    draw = np.random.default_rng(n).random(48)
    return b'{"values":[' + ",".join(f"{x:.15g}" for x in draw).encode() + b"]}"


async def until(what: Callable[[], bool], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise SystemExit("it did not come to pass in time")
        await asyncio.sleep(0.005)


async def fill(store: Store, first: int, payloads: list[bytes], count: int = MESSAGES) -> None:
    for start in range(first, first + count, 5_000):
        futures = [
            store.set_watermark(
                f"S{n % SYMBOLS}USDT", FIRST + n // SYMBOLS * MINUTE_MS, payloads[n % len(payloads)]
            )
            for n in range(start, min(start + 5_000, first + count))
        ]
        await asyncio.wrap_future(futures[-1])


async def raw_batches(servers: str, payloads: list[bytes]) -> float:
    """aiokafka's own batch producer: messages a second."""
    producer = AIOKafkaProducer(
        bootstrap_servers=servers,
        enable_idempotence=True,
        compression_type="snappy",
        max_batch_size=256 << 10,
    )
    await producer.start()
    partitions = len(await producer.partitions_for("raw"))
    begun = time.perf_counter()
    sent = []
    batches = [producer.create_batch() for _ in range(partitions)]
    for n in range(MESSAGES):
        at = n % SYMBOLS % partitions
        key = f"S{n % SYMBOLS}USDT".encode()
        value, when = payloads[n % len(payloads)], FIRST + n // SYMBOLS * MINUTE_MS
        if batches[at].append(key=key, value=value, timestamp=when) is None:
            sent.append(await producer.send_batch(batches[at], "raw", partition=at))
            batches[at] = producer.create_batch()
            batches[at].append(key=key, value=value, timestamp=when)
    sent += [await producer.send_batch(batch, "raw", partition=at) for at, batch in enumerate(batches)]
    await asyncio.gather(*sent)
    took = time.perf_counter() - begun
    await producer.stop()
    return MESSAGES / took


async def drain(sink: SessionSink, outbox: Outbox) -> float:
    """Seconds from the connection until everything is acknowledged."""
    before = outbox.cursors["kafka"]
    sink.start(Journal(lambda: 0))
    await until(lambda: outbox.cursors["kafka"] > before or not sink.trouble)
    begun = time.perf_counter()
    await until(lambda: outbox.cursors["kafka"] == outbox.last)
    return time.perf_counter() - begun


async def live_beside(
    sink: SessionSink, store: Store, outbox: Outbox, payloads: list[bytes]
) -> tuple[list[float], list[float]]:
    """Bursts of a message a symbol while a backlog is drained: ms to the answer and to the commit of each."""
    answers: list[float] = []
    commits: list[float] = []

    async def answered(number: int, begun: float) -> None:
        await until(lambda: outbox.cursors["kafka"] >= number)
        answers.append((time.perf_counter() - begun) * 1000)

    waiting: list[asyncio.Task[None]] = []
    sink.start(Journal(lambda: 0))
    while (backlog := outbox.last - outbox.cursors["kafka"]) > SYMBOLS or not waiting:
        begun = time.perf_counter()
        await fill(store, 0, payloads, SYMBOLS)
        commits.append((time.perf_counter() - begun) * 1000)
        waiting.append(asyncio.create_task(answered(outbox.last, begun)))
        await asyncio.sleep(0.2)
        assert backlog < 3 * MESSAGES, "the backlog grows"
    await asyncio.gather(*waiting)
    return answers, commits


async def kafka_figures(scratch: Path) -> list[Figure]:
    broker = Broker(scratch / "kafka")
    broker.start()
    payloads = [payload(n) for n in range(2_000)]
    store = Store(scratch / "store", exchange="a benchmark")
    outbox = store.open_outbox(["kafka"], 4_096)
    config = replace(Kafka(), bootstrap_servers=(broker.servers,))
    try:
        await raw_batches(broker.servers, payloads)  # the broker warms up
        raw = await raw_batches(broker.servers, payloads)
        await fill(store, 0, payloads)
        sink = KafkaSink(config, outbox)
        drained = MESSAGES / await drain(sink, outbox)
        bursts = []
        for n in range(40):
            begun = time.perf_counter()
            await fill(store, MESSAGES + n * SYMBOLS, payloads, SYMBOLS)
            await until(lambda: sink.taken == outbox.last)
            bursts.append((time.perf_counter() - begun) * 1000)
        # A backlog, and minutes that close while it is drained.
        await asyncio.to_thread(sink.close, 2.0)
        await fill(store, 200_000, payloads)
        sink = KafkaSink(config, outbox)
        beside, commits = await live_beside(sink, store, outbox, payloads)
        broker.kill()
        await fill(store, 200_000, payloads, 5_000)
        before = anonymous_mb()
        await fill(store, 205_000, payloads)
        growth = anonymous_mb() - before
        await asyncio.to_thread(sink.close, 2.0)
    finally:
        broker.kill()
        store.close()
    return [
        Figure("outbox to Kafka, snappy", drained, "messages/s", at_least=20_000),
        Figure("aiokafka's batches alone", raw, "messages/s"),
        Figure("outbox / aiokafka's batches", drained / raw, "ratio", at_least=0.5),
        Figure("burst of 600, made to acknowledged, median", percentile(bursts, 0.5), "ms"),
        Figure("burst of 600, made to acknowledged, p99", percentile(bursts, 0.99), "ms", at_most=250),
        Figure("made while 100,000 are drained, to acknowledged, worst", max(beside), "ms"),
        Figure("made while 100,000 are drained, to committed, worst", max(commits), "ms", at_most=1_000),
        Figure("memory for 100,000 messages, broker down", growth, "MB", at_most=10),
    ]


def candles(count: int) -> Rows:
    rows = np.zeros(count, dtype=ROW)
    draw = np.random.default_rng(5)
    rows["open_time"] = FIRST + np.arange(count) * MINUTE_MS
    rows["open"] = rows["close"] = rows["high"] = rows["low"] = 100 + np.round(draw.random(count), 2)
    rows["volume"] = np.round(draw.random(count) * 10, 3) + 1
    rows["quote_volume"] = rows["volume"] * rows["open"]
    rows["trades"] = 5
    rows["taker_buy_volume"] = 0.5
    rows["taker_buy_quote_volume"] = 0.5 * rows["open"]
    return rows


async def raw_copy(server: Postgres, rows: Rows) -> float:
    """COPY alone into a table without an index: candles a second."""
    connection = await asyncpg.connect(
        host="127.0.0.1",
        port=server.port,
        user=server.user,
        password=server.password,
        database=server.database,
    )
    await connection.execute(
        "CREATE TABLE raw (symbol text, time_frame text, minutes smallint, open_time bigint, a float8, "
        "b float8, c float8, d float8, e float8, f float8, g bigint, h float8, i float8)"
    )
    begun = time.perf_counter()
    await connection.copy_records_to_table(
        "raw", records=[("BTCUSDT", "1m", 1, *row) for row in rows.tolist()]
    )
    took = time.perf_counter() - begun
    await connection.close()
    return len(rows) / took


async def postgres_figures(scratch: Path) -> list[Figure]:
    server = Postgres(scratch / "postgres")
    server.start()
    store = Store(scratch / "mirrored", exchange="a benchmark")
    rows = candles(CANDLES)
    await asyncio.wrap_future(store.put("BTCUSDT", rows, Source.REST))
    database = replace(
        Database(), host="127.0.0.1", port=server.port, username=server.user, password=Secret(server.password)
    )
    config = Config(database=database, technical_analysis=replace(TechnicalAnalysis(), timeframes=(60,)))
    try:
        raw = await raw_copy(server, rows)
        sink = PostgresSink(config, store)
        journal = Journal(lambda: 0)
        sink.start(journal)
        await until(lambda: not sink.trouble)
        begun = time.perf_counter()
        await until(lambda: journal.counters["postgres_candles"] == CANDLES)
        mirrored = CANDLES / (time.perf_counter() - begun)
        assert server.sql("SELECT count(*) FROM candles_1m") == str(CANDLES)
        await asyncio.to_thread(sink.close, 5.0)
    finally:
        server.kill()
        store.close()
    return [
        Figure("store to an empty PostgreSQL table", mirrored, "candles/s", at_least=50_000),
        Figure("COPY alone, no index", raw, "candles/s"),
        Figure("store / COPY alone", mirrored / raw, "ratio", at_least=0.35),
    ]


def measure() -> list[Figure]:
    scratch = Path(tempfile.mkdtemp(prefix="feeder-bench-"))
    figures: list[Figure] = []
    try:
        for part in (kafka_figures, postgres_figures):
            try:
                figures += asyncio.run(part(scratch))
            except Unavailable as error:
                print(f"left out: {error}", file=sys.stderr)
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(scratch)
    return figures


if __name__ == "__main__":
    report("sinks", measure)
