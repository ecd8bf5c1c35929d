"""Trades of past days from the archive, through the store, to the API: exact against the candles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from feed import NOON, configured, until
from serving import Served, serving

from tui_feeder.config import Config, Trades
from tui_feeder.engine.analytics.orderflow.reconcile import Known
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.derived.stored_ladders import known_minutes, origins, read_ladder
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

SYMBOL, TODAY = "C1USDT", NOON - NOON % DAY_MS
DAY = TODAY - DAY_MS


def with_trades(config: Config) -> Config:
    """Reads two days; the embedded exchange makes a day's trades while it is asked for them."""
    exchange = msgspec.structs.replace(config.exchange, request_timeout_seconds=30.0)
    return msgspec.structs.replace(config, exchange=exchange, trades=Trades(symbols=(SYMBOL,), days=2))


async def test_trades_of_days_come_from_the_archive_and_are_exact(tmp_path: Path) -> None:
    market = synthetic_market([SYMBOL, "BTCUSDT"], as_of_ms=NOON)
    exchange = Exchange(market, clock_for(market, start_ms=NOON, rate=60.0))
    async with exchange, serving(with_trades(configured(exchange, [SYMBOL])), tmp_path) as feeder:
        await feeder.until_ready(True)
        store = feeder.engine.engine.store
        await until(lambda: set(origins(store, SYMBOL)) == {DAY - DAY_MS, DAY}, seconds=60)
        assert all(origin.checked and origin.trades for origin in origins(store, SYMBOL).values())
        for day in (DAY - DAY_MS, DAY):
            ladder = read_ladder(store, SYMBOL, day)
            assert ladder is not None
            candles, known = known_minutes(store, SYMBOL, ladder)
            assert len(candles) == 1_440
            assert (known.known == Known.EXACT).all()
        profile = await feeder.get(f"/api/v1/profile/traded?symbol={SYMBOL}&date=2026-03-09&limit=5000")
        plain = await feeder.get(f"/api/v1/profile?symbol={SYMBOL}&date=2026-03-09&limit=5000")
        assert (profile["source"], profile["exact_share"]) == ("trades", 1.0)
        for same in ("vwap", "total_volume", "price_increment", "candle_count"):
            assert profile[same] == plain[same]
        volumes = np.array(profile["rows"])
        np.testing.assert_allclose(volumes[:, 1], volumes[:, 2] + volumes[:, 3])
        poc = volumes[volumes[:, 0] == profile["poc"]][0]
        assert poc[1] == volumes[:, 1].max()
        assert (profile["buy_volume"], profile["sell_volume"]) == (poc[2], poc[3])
        got, start = [], DAY + 600 * MINUTE_MS
        while start is not None and len(got) < 100:
            page = await feeder.get(f"/api/v1/ladder?symbol={SYMBOL}&start={start}&limit=50")
            got += page["minutes"]
            start = page["next_start"]
        rows = store.read(SYMBOL, DAY + 600 * MINUTE_MS, DAY + 700 * MINUTE_MS)
        for minute, candle in zip(got, rows, strict=True):
            adds_up(minute, candle)
        # Screens and tools ask the monitor.
        monitor = feeder.engine.monitor
        shown = monitor.profile(SYMBOL, DAY)
        bars = monitor.footprint(SYMBOL, 3_600, 6, 40, DAY + 12 * 3_600_000)
        assert shown is not None
        assert bars is not None
        assert (shown.exact_share, shown.poc, shown.vah) == (1.0, profile["poc"], profile["vah"])
        assert [bar.exact_share for bar in bars.bars] == [1.0] * 6
        hours = store.read(SYMBOL, DAY + 6 * 3_600_000, DAY + 12 * 3_600_000)
        for bar, start in zip(bars.bars, range(0, 360, 60), strict=True):
            bought = hours["taker_buy_volume"][start : start + 60].sum()
            np.testing.assert_allclose(sum(bar.bought), bought, rtol=1e-9)
        assert len(hours) == 360
        part = f"start={DAY + 6 * 3_600_000}&end={DAY + 12 * 3_600_000}"
        ranged = await feeder.get(f"/api/v1/profile/range?symbol={SYMBOL}&{part}")
        assert (ranged["exact_share"], ranged["candle_count"]) == (1.0, 360)
        await feeder.get(f"/api/v1/profile/traded?symbol={SYMBOL}&date=2026-03-01", 404)
        await feeder.get(f"/api/v1/profile/traded?symbol={SYMBOL}&date=yesterday", 400)
        await feeder.get(f"/api/v1/ladder?symbol={SYMBOL}", 400)
        old = await feeder.get(f"/api/v1/ladder?symbol={SYMBOL}&start={DAY - 5 * DAY_MS}", 404)
        assert old["error"] == "trades are read and kept of 2 days before today; see trades.days"
        # Of today live trades: a minute that has all of them is exact, those before the start are candles.
        await until(lambda: exact_minutes(store, TODAY), seconds=60)
        live = exact_minutes(store, TODAY)[0]
        assert live >= NOON
        (minute,) = (await feeder.get(f"/api/v1/ladder?symbol={SYMBOL}&start={live}&limit=1"))["minutes"]
        adds_up(minute, store.read(SYMBOL, live, live + MINUTE_MS)[0])
        await only_candles_from(feeder, NOON - 3 * MINUTE_MS)


async def test_while_no_trade_of_today_is_there_its_minutes_are_known_by_their_candles(
    tmp_path: Path,
) -> None:
    symbols = [SYMBOL, "BTCUSDT"]
    market = synthetic_market(symbols, as_of_ms=NOON)
    # The first minute of live trades ends a minute after the start.
    exchange = Exchange(market, clock_for(market, start_ms=NOON, rate=1.0))
    async with exchange, serving(with_trades(configured(exchange, symbols)), tmp_path) as feeder:
        await feeder.until_ready(True)
        await only_candles_from(feeder, NOON - 3 * MINUTE_MS)
        tomorrow = await feeder.get(f"/api/v1/ladder?symbol={SYMBOL}&start={TODAY + DAY_MS}")
        assert tomorrow["minutes"] == []
        profile = await feeder.get(f"/api/v1/profile/traded?symbol={SYMBOL}&date=2026-03-10", 404)
        assert profile["error"].startswith("no trades of this day are stored yet")
        newest = await feeder.get(f"/api/v1/profile/traded?symbol={SYMBOL}", 404)  # of today
        assert newest["error"] == profile["error"]
        wrong = await feeder.get(f"/api/v1/profile/traded?symbol={SYMBOL}&date=today", 400)
        assert wrong["error"] == "date: today is no day such as 2026-02-21"
        for path in (f"ladder?start={NOON}", "profile/traded?date=2026-03-10", "profile/traded?limit=5"):
            answer = await feeder.get(f"/api/v1/{path}&symbol=BTCUSDT", 404)
            assert answer["error"] == "the trades of this symbol are not read; see trades.symbols"


async def only_candles_from(feeder: Served, start: int) -> None:
    """Once the candles of three minutes are stored, they are what is known of them."""
    store, end = feeder.engine.engine.store, start + 3 * MINUTE_MS
    await until(lambda: store.present(SYMBOL).clip(start, end).minutes == 3)
    page = await feeder.get(f"/api/v1/ladder?symbol={SYMBOL}&start={start}&limit=3")
    assert page["minutes"] == [
        {"open_time": time, "known": "candle", "share": 0.0, "unproved": False, "levels": []}
        for time in range(start, end, MINUTE_MS)
    ]
    assert page["next_start"] == end


def exact_minutes(store: Store, day: int) -> list[int]:
    ladder = read_ladder(store, SYMBOL, day)
    if ladder is None:
        return []
    candles, known = known_minutes(store, SYMBOL, ladder)
    return [int(time) for time in candles["open_time"][known.known == Known.EXACT]]


def adds_up(minute: dict[str, Any], candle: np.void) -> None:
    """The levels of an exact minute are its candle."""
    levels = np.array(minute["levels"]).reshape(-1, 4)
    assert (minute["open_time"], minute["known"]) == (candle["open_time"], "exact")
    np.testing.assert_allclose(levels[:, 1:3].sum(), candle["volume"], rtol=1e-12)
    assert levels[:, 3].sum() == candle["trades"]
    if len(levels):
        assert (levels[:, 0].max(), levels[:, 0].min()) == (candle["high"], candle["low"])
