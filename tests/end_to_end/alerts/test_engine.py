"""Alerts of a running engine against the embedded exchange and its faults."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import msgspec
from feed import NOON, Collected, configured, feeding, until
from msgspec.structs import replace
from virtual_time import in_virtual_time
from webhooks import Receiver, receiving

from tui_feeder.config import AlertRule, Alerts, Config
from tui_feeder.engine import snapshots
from tui_feeder.engine.alerts.settings import alert_rules
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.core.candle import MINUTE_MS, to_candles
from tui_feeder.engine.derived.settings import pipeline_settings
from tui_feeder.engine.storage.store import Store
from tui_feeder.safe_text import Secret
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

SYMBOLS = ["BTCUSDT", "ETHUSDT"]


def exchange_at(start: int, rate: float) -> Exchange:
    market = synthetic_market(SYMBOLS, as_of_ms=NOON)
    return Exchange(market, clock_for(market, start_ms=start, rate=rate))


def watching(config: Config, **rules: AlertRule) -> Config:
    return replace(config, alerts=replace(Alerts(), rules=rules, cooldown_seconds=0.0))


@in_virtual_time
async def test_what_a_running_engine_tells_is_what_its_stored_minutes_give_again(tmp_path: Path) -> None:
    rules = {
        "mean": AlertRule(
            kind="price_cross", level="ema", timeframe=60, periods=(21,), hysteresis_percent=0.0
        ),
        "busy": AlertRule(kind="volume_above", quantile="q50", hysteresis_percent=0.0, symbols=("BTC*",)),
    }
    async with exchange_at(NOON, 200.0) as exchange:
        config = watching(configured(exchange, SYMBOLS), **rules)
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: all(len(sink.minutes(s)) >= 25 for s in SYMBOLS))
            seen = snapshots.take(engine, 1).alerts
            ticks = {s: engine.tracked[s].info.tick_size for s in SYMBOLS}
    assert {view.rule for view in seen} == {"mean", "busy"}
    assert [view.number for view in seen] == sorted(view.number for view in seen)
    again: list[tuple[int, str, str]] = []
    store = await asyncio.to_thread(Store, tmp_path, read_only=True)
    for symbol in SYMBOLS:
        watched = alert_rules(config)
        minutes = sink.minutes(symbol)
        pipeline = SymbolPipeline(symbol, pipeline_settings(config, symbol, ticks[symbol]))
        pipeline.load(store.read(symbol, 0, minutes[0]))
        for candle in to_candles(store.read(symbol, minutes[0], minutes[-1] + MINUTE_MS)):
            message = pipeline.update(msgspec.structs.replace(candle))
            again += [(alert.at, alert.rule, alert.text) for alert in watched.minute(candle, message)]
    store.close()
    last = max(view.at for view in seen)
    wanted = {one for one in again if one[0] <= last}
    got = {(view.at, view.rule, view.text) for view in seen}
    assert got <= set(again)
    assert len(wanted - got) <= 2, "the last minute of one symbol may not have been looked at yet"


@in_virtual_time
async def test_a_symbol_whose_frames_stop_and_a_gap_that_stays_are_told_once(tmp_path: Path) -> None:
    rules = {
        "mute": AlertRule(kind="stream_stale", seconds=200.0),
        "hole": AlertRule(kind="gap_open", seconds=60.0),
    }
    async with exchange_at(NOON, 60.0) as exchange:
        config = watching(configured(exchange, SYMBOLS), **rules)
        async with feeding(config, tmp_path) as (engine, _):
            await until(lambda: engine.state == "live")
            exchange.faults.switch_on("silence", "BTCUSDT")
            exchange.faults.switch_on("rest-empty", "BTCUSDT")

            def told(rule: str) -> list[str | None]:
                return [view.symbol for view in engine.alerts.recent if view.rule == rule]

            await until(lambda: told("mute") and told("hole"), seconds=60)
            await asyncio.sleep(3)
            assert told("mute") == ["BTCUSDT"]
            assert told("hole") == ["BTCUSDT"]
            exchange.faults.switch_off()
            before = len(engine.alerts.recent)
            engine.alerts.acknowledge()
            assert all(view.acknowledged for view in engine.alerts.recent)
            await until(lambda: not [gap for gap in engine.recovery.open_gaps() if gap.notable], seconds=60)
            assert len(engine.alerts.recent) == before, "an end of trouble is no alert"


@in_virtual_time
async def test_a_stop_waits_for_whoever_is_still_to_be_called_and_not_for_ever(tmp_path: Path) -> None:
    rules = {"busy": AlertRule(kind="volume_above", quantile="q25", hysteresis_percent=0.0)}
    receiver = Receiver()
    receiver.hold = 1.0
    async with exchange_at(NOON, 60.0) as exchange, receiving(receiver) as url:
        config = watching(configured(exchange, SYMBOLS), **rules)
        config = replace(
            config,
            alerts=replace(config.alerts, webhook_url=Secret(url), webhook_timeout_seconds=30.0),
            service=replace(config.service, shutdown_timeout_seconds=20.0),
        )
        async with feeding(config, tmp_path / "patient") as (engine, _):
            await until(lambda: engine.journal.counters["alerts"] >= 2)
        sent = engine.journal.counters["alerts"] - engine.journal.counters["past_alerts_not_sent"]
        assert engine.journal.counters["alert_webhook_sent"] == sent == len(receiver.bodies)
        assert not engine.journal.counters["alerts_undelivered"]

        receiver.hold = 25.0
        config = replace(config, service=replace(config.service, shutdown_timeout_seconds=1.0))
        async with feeding(config, tmp_path / "short") as (engine, _):
            await until(lambda: engine.journal.counters["alerts"] >= 1)
        left = engine.journal.counters["alerts_undelivered"]
        assert left >= 1
        assert any(event.text.startswith(f"{left} alerts were not handed") for event in engine.journal.events)


@in_virtual_time
async def test_sinks_end_while_a_receiver_of_alerts_hangs(tmp_path: Path) -> None:
    """A worker of a cluster lets its partitions go when its sinks end: nobody waits for a receiver there."""
    rules = {"busy": AlertRule(kind="volume_above", quantile="q25", hysteresis_percent=0.0)}
    receiver = Receiver()
    receiver.hold = 60.0
    given_up: list[int] = []

    class Closing(Collected):
        def close(self, timeout: float) -> None:
            given_up.append(engine.journal.counters["alerts_undelivered"])
            super().close(timeout)

    async with exchange_at(NOON, 60.0) as exchange, receiving(receiver) as url:
        config = watching(configured(exchange, SYMBOLS), **rules)
        config = replace(config, alerts=replace(config.alerts, webhook_url=Secret(url)))
        async with feeding(config, tmp_path, Closing()) as (engine, _):
            await until(lambda: engine.journal.counters["alerts"] >= 1)
            assert snapshots.take(engine, 1).receivers["webhook"].waiting >= 1
        assert given_up == [0], "the receiver was given up before the sinks were closed"
        assert engine.journal.counters["alerts_undelivered"] >= 1


@in_virtual_time
async def test_a_sink_that_hangs_at_the_end_holds_up_no_other(tmp_path: Path) -> None:
    other_closed, in_time = threading.Event(), []

    class Hanging(Collected):
        def close(self, timeout: float) -> None:
            in_time.append(other_closed.wait(20))

    class Other(Collected):
        def close(self, timeout: float) -> None:
            other_closed.set()

    async with exchange_at(NOON, 60.0) as exchange:
        async with feeding(configured(exchange, SYMBOLS), tmp_path, Hanging()) as (engine, _):
            engine.sinks = (*engine.sinks, Other())
        assert in_time == [True]
