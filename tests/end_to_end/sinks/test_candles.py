"""The topic of candles: which revision a bar has, that each arrives, and what else may be sent beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from feed import NOON, configured, feeding, until
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from places import DOCS
from sinking import read_records
from stores import BTC, EVER, minute

from tui_feeder.config import Alerts, Kafka
from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.analytics.pipeline import PipelineSettings, SymbolPipeline
from tui_feeder.engine.composition import configured_engine
from tui_feeder.engine.core.candle import MINUTE_MS, Candle, Source, timeframe_label
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.derived.bar_messages import bar_messages
from tui_feeder.engine.derived.revisions import Revisions
from tui_feeder.engine.sinks.configured import configured_sinks
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

SCHEMA = json.loads((DOCS / "candle.schema.json").read_text(encoding="utf-8"))
SETTINGS = PipelineSettings(
    timeframes=(300, 900), ema_periods=(), trend_rule="closes_vs_ema", volume_lookback_days=0, profile=None
)


def candle(n: int, volume: float = 2.5) -> Candle:
    price = 100.0 + n % 7
    return Candle(minute(n), price, price + 1, price - 1, price + 0.5, volume, volume * price, 3, 1.0, price)


@given(
    st.lists(
        st.tuples(st.sampled_from(["live", "live", "live", "hole", "repair"]), st.integers(0, 30)),
        max_size=40,
    )
)
def test_the_revision_of_a_bar_grows_whenever_it_is_published_again(steps: list[tuple[str, int]]) -> None:
    revisions = Revisions(0)
    stored: set[int] = set()
    never: set[int] = set()
    published: dict[int, list[int]] = {}  # by the bar of five minutes
    end = 0

    def publish(minutes: list[int], revision_of: Callable[[int], int]) -> None:
        """Every bar that these minutes complete: with its last one, or a later one where that is missing."""
        for at in minutes:
            bars = {at // 5} if at % 5 == 4 else set()
            before = [one for one in stored if one < at]
            if before and max(before) // 5 < at // 5 and max(before) % 5 != 4:
                bars.add(max(before) // 5)
            for bar in bars:
                published.setdefault(bar, []).append(revision_of(at * MINUTE_MS))

    for what, back in steps:
        if what == "hole":
            never.add(end)
            end += 1
        elif what == "live":
            stored.add(end)
            publish([end], lambda at: 0)
            end += 1
        else:
            first = max(0, end - back)
            stored |= {one for one in never if one >= first}
            again = sorted(one for one in stored if one >= first)
            corrected = Coverage.of_times(
                np.array([m * MINUTE_MS for m in again if m not in never], dtype="i8")
            )
            revisions.correct(corrected)
            never -= stored
            publish(again, revisions.since_then)
    for seen in published.values():
        assert all(a < b for a, b in pairwise(seen)), published


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store", exchange="a test")
    yield store
    store.close()


def test_bars_are_written_with_the_minute_that_completes_them(store: Store) -> None:
    data = store.open_outbox(["kafka"], 64)
    bars = store.open_outbox(["kafka candles"], 64, "candles")
    pipeline = SymbolPipeline(BTC, SETTINGS)
    minutes = [n for n in range(40) if n not in (11, 12, 14)]  # the bar of ten to fourteen ends early
    for n in minutes:
        pipeline.update(candle(n))
        more = bar_messages(store, pipeline, candle(n))
        store.append(BTC, candle(n), Source.STREAM, payload=b"{}", more=more).result()
    found = [json.loads(one.payload) for one in bars.read_after(0, EVER)]
    assert len(data.read_after(0, EVER)) == len(minutes)
    rows = store.read(BTC, 0, 1 << 62)
    for timeframe in (60, 300, 900):
        wanted = aggregate(rows, timeframe)
        mine = [one for one in found if one["timeframe"] == timeframe_label(timeframe)]
        assert [(one["open_time"], one["close"], one["volume"], one["minutes"]) for one in mine] == list(
            zip(
                wanted.rows["open_time"].tolist(), wanted.rows["close"].tolist(),
                wanted.rows["volume"].tolist(), wanted.minutes.tolist(), strict=True,
            )
        )  # fmt: skip
    for one, waiting in zip(found, bars.read_after(0, EVER), strict=True):
        jsonschema.validate(one, SCHEMA)
        assert (waiting.symbol, waiting.timestamp) == (BTC, one["close_time"])
    assert min(one["minutes"] for one in found if one["timeframe"] == "5m") == 2


def test_bars_of_contracts_state_how_many_were_traded(store: Store) -> None:
    bars = store.open_outbox(["kafka candles"], 64, "candles")
    name = "coinm:ETHUSD_PERP"
    store.set_contract(name, 10.0).result()
    pipeline = SymbolPipeline(name, SETTINGS)
    for n in range(5):
        traded = replace(candle(n), volume=0.3 + n, quote_volume=10.0 * (7 + n))
        pipeline.update(traded)
        more = bar_messages(store, pipeline, traded)
        store.append(name, traded, Source.STREAM, payload=b"{}", more=more).result()
    found = [json.loads(one.payload) for one in bars.read_after(0, EVER)]
    for one in found:
        jsonschema.validate(one, SCHEMA)
    assert [one["contracts"] for one in found if one["timeframe"] == "1m"] == [7, 8, 9, 10, 11]
    assert [one["contracts"] for one in found if one["timeframe"] == "5m"] == [45]


def test_the_schema_refuses_what_no_candle_is() -> None:
    good = {
        "symbol": "X", "timeframe": "5m", "open_time": 0, "close_time": 299_999, "revision": 0, "open": 1.0,
        "high": 1.0, "low": 1.0, "close": 1.0, "volume": 0.0, "quote_volume": 0.0, "trades": 0,
        "taker_buy_volume": 0.0, "taker_buy_quote_volume": 0.0, "minutes": 5,
    }  # fmt: skip
    jsonschema.validate(good, SCHEMA)
    wrong: list[dict[str, Any]] = [
        {"open": 0.0}, {"open_time": 1}, {"timeframe": "300"}, {"volume": None}, {"more": 1}, {"minutes": 0},
    ]  # fmt: skip
    for change in wrong:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(good | change, SCHEMA)


def test_without_anybody_who_takes_candles_none_is_made(store: Store) -> None:
    store.open_outbox(["kafka"], 64)
    pipeline = SymbolPipeline(BTC, SETTINGS)
    pipeline.update(candle(4))
    assert bar_messages(store, pipeline, candle(4)) == ()


def test_what_is_sent_waits_in_the_outbox_of_its_topic_alone(tmp_path: Path) -> None:
    store = Store(tmp_path, exchange="a test")
    store.open_outbox(["kafka"], 64)
    store.open_outbox(["kafka alerts", "file alerts"], 64, "alerts")
    assert store.send("alerts", BTC, 1_234, b'{"rule": "a"}').result() is True
    assert store.send("candles", BTC, 1_234, b"{}").result() is False
    store.close()  # as good as a kill: it is committed
    store = Store(tmp_path, exchange="a test")
    data = store.open_outbox(["kafka"], 64)
    alerts = store.open_outbox(["kafka alerts", "file alerts"], 64, "alerts")
    assert data.read_after(0, EVER) == []
    (one,) = alerts.read_after(0, EVER)
    assert (one.symbol, one.timestamp, one.payload) == (BTC, 1_234, b'{"rule": "a"}')
    alerts.acknowledge("kafka alerts", one.number).result()
    assert [alerts.status(sink).depth for sink in alerts.sinks] == [0, 1]
    store.close()


def test_an_outbox_wakes_its_sinks_once_for_a_transaction(store: Store) -> None:
    outbox = store.open_outbox(["kafka"], 64)
    woken: list[int] = []
    outbox.subscribe(lambda: woken.append(outbox.last))
    outbox.acknowledge("kafka", 0).result()
    assert woken == []
    store.send("data", BTC, 1, b"{}").result()
    assert woken == [1]


async def test_a_repair_publishes_its_bars_again_and_the_last_revision_is_right(tmp_path: Path) -> None:
    market = synthetic_market(["BTCUSDT"], as_of_ms=NOON)
    async with Exchange(market, clock_for(market, start_ms=NOON, rate=240.0)) as exchange:
        config = configured(exchange, ["BTCUSDT"])
        async with feeding(config, tmp_path / "store") as (engine, sink):
            outbox = engine.store.open_outbox(["somebody"], 64, "candles")
            await until(lambda: len(sink.minutes("BTCUSDT")) >= 22, 60)
            begun = sink.minutes("BTCUSDT")[3]
            since = begun // 300_000 * 300_000 + 300_000
            # A better source has another volume for a minute that is told already.
            changed = engine.store.read("BTCUSDT", since + MINUTE_MS, since + 2 * MINUTE_MS).copy()
            for name in ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"):
                changed[name] *= 2
            await asyncio.wrap_future(engine.store.put("BTCUSDT", changed, Source.ARCHIVE_DAY))
            await engine._rebuild("BTCUSDT", since + MINUTE_MS)
            count = len(sink.minutes("BTCUSDT"))
            await until(lambda: len(sink.minutes("BTCUSDT")) >= count + 2)
            bars = [json.loads(one.payload) for one in outbox.read_after(0, EVER)]
        store = Store(tmp_path / "store", read_only=True)
        rows = store.read("BTCUSDT", begun - 86_400_000, bars[-1]["close_time"] + 1)
        store.close()
    revisions: dict[tuple[str, int], list[int]] = {}
    latest: dict[tuple[str, int], dict[str, Any]] = {}
    for bar in bars:
        key = (bar["timeframe"], bar["open_time"])
        revisions.setdefault(key, []).append(bar["revision"])
        latest[key] = bar
    assert all(a < b for seen in revisions.values() for a, b in pairwise(seen))
    assert any(len(seen) > 1 for (timeframe, _), seen in revisions.items() if timeframe == "5m")
    wanted = aggregate(rows, 300)
    volumes = dict(zip(wanted.rows["open_time"].tolist(), wanted.rows["volume"].tolist(), strict=True))
    for (timeframe, open_time), bar in latest.items():
        if timeframe == "5m":
            assert bar["volume"] == volumes[open_time]
    assert latest["5m", since]["revision"] >= 1


async def test_the_topics_of_candles_and_alerts_reach_the_broker_with_key_and_time(tmp_path: Path) -> None:
    confluent_kafka = pytest.importorskip("confluent_kafka", reason="the mock cluster needs confluent-kafka")
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": "x", "test.mock.num.brokers": 1, "log_level": 0}
    )
    broker = next(iter(producer.list_topics(timeout=10).brokers.values()))
    market = synthetic_market(["BTCUSDT"], as_of_ms=NOON)
    async with Exchange(market, clock_for(market, start_ms=NOON, rate=240.0)) as exchange:
        kafka = replace(
            Kafka(), enabled=True, bootstrap_servers=(f"{broker.host}:{broker.port}",), candles_topic=True
        )
        config = replace(configured(exchange, ["BTCUSDT"]), kafka=kafka, alerts=replace(Alerts(), kafka=True))
        store = await asyncio.to_thread(Store, tmp_path / "store", exchange="a simulated exchange")
        sinks = configured_sinks(config, store)
        assert [sink.name for sink in sinks] == ["kafka", "kafka candles", "kafka alerts"]
        engine = configured_engine(config, store, sinks)
        running = asyncio.create_task(engine.run())
        await asyncio.wrap_future(store.send("alerts", "BTCUSDT", NOON, b'{"rule": "big-volume"}'))
        await until(lambda: engine.journal.counters["kafka_candles_messages"] >= 12, 60)
        await until(lambda: engine.journal.counters["kafka_alerts_messages"] >= 1)
        engine.request_stop()
        await asyncio.wait_for(running, 30)
    bars = await asyncio.to_thread(read_records, f"{broker.host}:{broker.port}", "ta_candles", 12)
    for record in bars:
        bar = json.loads(record.value())
        jsonschema.validate(bar, SCHEMA)
        assert (record.key().decode(), record.timestamp()[1]) == (bar["symbol"], bar["close_time"])
    (alert,) = await asyncio.to_thread(read_records, f"{broker.host}:{broker.port}", "ta_alerts", 1)
    assert (alert.key(), alert.timestamp()[1], alert.value()) == (
        b"BTCUSDT", NOON, b'{"rule": "big-volume"}'
    )  # fmt: skip
    producer.flush(0)
