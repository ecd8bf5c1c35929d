"""Alerts of engines that stop, are killed, and start again: each once, and those of the minutes between."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from commanding import COMMAND, environment
from feed import NOON, Collected, configured, feeding, until
from msgspec.structs import replace
from preloaded import start_process
from virtual_time import in_virtual_time

from tui_feeder.config import AlertRule, Alerts, Config
from tui_feeder.engine.alerts.settings import alert_rules
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.core.candle import MINUTE_MS, to_candles
from tui_feeder.engine.core.checksum import without_checksum
from tui_feeder.engine.derived.settings import pipeline_settings
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import AlertView
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

BTC = "BTCUSDT"
MEAN = AlertRule(kind="price_cross", level="ema", timeframe=60, periods=(21,), hysteresis_percent=0.0)
RULES = {
    "mean": MEAN,
    "seldom": replace(MEAN, cooldown_seconds=1_800.0),
    "trend": AlertRule(kind="trend_flip", timeframe=60),
    "busy": AlertRule(kind="volume_above", quantile="q90", hysteresis_percent=0.0, cooldown_seconds=600.0),
}


def exchange_at(rate: float) -> Exchange:
    market = synthetic_market([BTC], as_of_ms=NOON)
    return Exchange(market, clock_for(market, start_ms=NOON, rate=rate))


async def told_by_one_run(
    config: Config, storage: Path, tick: float, first: int
) -> list[tuple[int, str, str]]:
    """What rules that never stopped make of the stored minutes from ``first`` on."""
    store = await asyncio.to_thread(Store, storage, read_only=True)
    watched = alert_rules(config)
    pipeline = SymbolPipeline(BTC, pipeline_settings(config, BTC, tick))
    pipeline.load(store.read(BTC, 0, first))
    found = []
    for candle in to_candles(store.read(BTC, first, store.present(BTC).end)):
        message = pipeline.update(msgspec.structs.replace(candle))
        found += [(alert.at, alert.rule, alert.text) for alert in watched.minute(candle, message)]
    store.close()
    return found


@in_virtual_time
async def test_engines_that_stop_and_start_tell_what_one_that_never_stopped_would(tmp_path: Path) -> None:
    seen: dict[int, AlertView] = {}
    sink = Collected()
    away: list[tuple[int, int]] = []  # the last minute before a stop, the first that closed after the start

    def note(engine: Engine) -> None:
        for view in engine.alerts.recent:
            assert seen.setdefault(view.number, view).at == view.at, "a number is given once"

    async with exchange_at(300.0) as exchange:
        config = replace(
            configured(exchange, [BTC]), alerts=replace(Alerts(), rules=RULES, cooldown_seconds=0.0)
        )

        async def run_until(moment: int) -> float:
            """Run an engine until it has told the minute of ``moment``; the tick size of its symbol."""
            async with feeding(config, tmp_path, sink) as (engine, _):
                await until(lambda: BTC in sink.messages and sink.minutes(BTC)[-1] >= moment)
                tick = engine.tracked[BTC].info.tick_size
                note(engine)
            note(engine)  # what was told while it stopped
            return tick

        async def pass_by(moment: int) -> None:
            await until(lambda: exchange.clock.now() > moment)

        tick = await run_until(exchange.clock.now() + 20 * MINUTE_MS)
        for _ in range(2):
            last = sink.minutes(BTC)[-1]
            back = last + 40 * MINUTE_MS  # longer than any side of the average lasts
            await pass_by(back + 2 * MINUTE_MS)
            away.append((last, back))
            await run_until(exchange.clock.now() + 20 * MINUTE_MS)
    wanted = await told_by_one_run(config, tmp_path, tick, sink.minutes(BTC)[0])
    told = [(view.at, view.rule, view.text) for _, view in sorted(seen.items())]
    assert told == wanted
    assert {rule for _, rule, _ in told} == set(RULES)
    for start, end in away:
        between = [rule for at, rule, _ in told if start + MINUTE_MS < at < end]
        assert "mean" in between, "nothing was crossed while it was away: the test tests nothing"


def kept_of(storage: Path | None) -> dict[str, Any]:
    """What the store knows of the rule ``mean``: told, reported_at; read beside whoever writes."""
    block = None
    if storage is not None:
        store = Store(storage, read_only=True)
        block = store.notes("alert rules of ").get(BTC)
        store.close()
    if block is None:
        return {"told": None, "reported_at": None}
    ((_, _, told, reported_at, _, _),) = msgspec.msgpack.decode(without_checksum(b"feeder alerts 1\0", block))
    return {"told": told, "reported_at": reported_at}


async def test_killed_it_tells_nothing_again_that_the_store_knows_to_be_told(tmp_path: Path) -> None:
    storage = tmp_path / "store"
    (tmp_path / "config.toml").write_text(
        f"[application]\nsymbols = ['{BTC}']\nstorage_path = '{storage}'\n"
        "[technical_analysis]\nmin_history_days = 2\n"
        "[alerts]\ncooldown_seconds = 0\n[alerts.rules]\n"
        "mean = { kind = 'price_cross', level = 'ema', timeframe = 60, periods = [21], "
        "hysteresis_percent = 0 }\n"
    )
    knew = kept_of(None)
    async with exchange_at(300.0) as exchange:
        for _ in range(4):
            log = tmp_path / "log"
            with log.open("wb") as stream:
                process = await start_process(
                    *COMMAND, "--no-ui", cwd=tmp_path, env=environment(exchange),
                    stdin=subprocess.DEVNULL, stderr=stream,
                )  # fmt: skip

            def told(log: Path = log) -> list[str]:
                return re.findall(
                    r"alert mean: BTCUSDT: price \S+ crossed (above|below) EMA", log.read_text()
                )

            def known(before: int = knew["reported_at"] or 0) -> bool:
                """What was told is in the store; it is written while it runs, not only in the end."""
                now = kept_of(storage)
                return (now["reported_at"] or 0) > before and now["told"] == told()[-1]

            try:
                await until(lambda: len(told()) >= 2, 60)
                await until(known, 60)
            finally:
                process.send_signal(signal.SIGKILL)
                await process.wait()
            assert told()[0] != knew["told"], "a side that was known to be told was told again"
            assert all(side != following for side, following in pairwise(told()))
            knew = kept_of(storage)


@in_virtual_time
async def test_a_silence_that_lasts_over_a_restart_is_told_once_and_a_new_one_again(tmp_path: Path) -> None:
    rules = {"mute": AlertRule(kind="stream_stale", seconds=200.0)}

    def told(engine: Engine) -> int:
        return len(engine.alerts.recent)

    async with exchange_at(60.0) as exchange:
        config = replace(
            configured(exchange, [BTC]), alerts=replace(Alerts(), rules=rules, cooldown_seconds=0.0)
        )
        async with feeding(config, tmp_path) as (engine, _):
            await until(lambda: engine.state == "live")
            exchange.faults.switch_on("silence", BTC)
            await until(lambda: told(engine) == 1, 60)
        async with feeding(config, tmp_path) as (engine, _):
            await until(lambda: engine.state == "live")
            live_at = engine.clock.now()
            await until(lambda: engine.clock.now() > live_at + 400_000)  # too long again, from this start on
            assert told(engine) == 1
            exchange.faults.switch_off()
            await until(lambda: engine.clock.now() - (engine.ingest.queue(BTC).last_frame or 0) < 5_000, 60)
            await asyncio.sleep(2.5)  # it is looked at once a second
            exchange.faults.switch_on("silence", BTC)
            await until(lambda: told(engine) == 2, 60)
