"""A quarterly contract ends at its delivery: its last bar, then nothing is asked of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from commanding import command_at
from feed import feeding, until
from history_parts import HandClock
from markets import exchanges, invented, pointed_at
from virtual_time import in_virtual_time

from tui_feeder.engine import snapshots
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.coverage import EMPTY
from tui_feeder.engine.storage.minute_states import minute_states
from tui_feeder.monitor import MinuteState, SymbolState
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.dialect import COINM, USDM, Dialect
from tui_feeder.simulator.synthetic import synthetic_market

DELIVERY = 1_774_598_400_000  # Friday 2026-03-27T08:00:00Z


@in_virtual_time
@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize(
    ("dialect", "quarterly", "perpetual"),
    [(COINM, "coinm:BTCUSD_260327", "coinm:BTCUSD_PERP"), (USDM, "BTCUSDT_260327", "BTCUSDT")],
)
async def test_a_quarterly_contract_ends_with_its_last_bar(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    dialect: Dialect,
    quarterly: str,
    perpetual: str,
    lost: bool,
) -> None:
    caplog.set_level("INFO", "tui_feeder.engine.minute_log")
    bare = perpetual.rpartition(":")[2]
    markets = {dialect.name: invented(dialect, [bare])}
    async with exchanges(SimulatedClock(DELIVERY - 5 * MINUTE_MS + 20_000, 30), markets) as running:
        exchange = running[dialect.name]
        config = pointed_at(running, [perpetual, quarterly])
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: len(sink.minutes(quarterly)) >= 2, 90)
            tracked = engine.tracked[quarterly]
            assert tracked.phase == "live"
            if lost:  # the closing frame of the last minute does not come: REST has it
                exchange.faults.switch_on("no-close-frame", quarterly.rpartition(":")[2], duration=900)
            await until(lambda: tracked.phase == "delivered", 200)
            view = {view.symbol: view for view in snapshots.take(engine, 1).symbols}[quarterly]
            assert view.state is SymbolState.DELIVERED
            assert MinuteState.MISSING not in snapshots.coverage(
                engine, tracked, (), DELIVERY - 60 * MINUTE_MS, DELIVERY + 60 * MINUTE_MS, 120
            )
            assert not engine.journal.counters["incomplete_listings"]
            assert view.reason == "its contract was delivered at 2026-03-27 08:00:00Z"
            assert sink.minutes(quarterly)[-1] == DELIVERY - MINUTE_MS
            bars = {state.timeframe: state.bar_time for state in tracked.states}
            assert bars[14_400] == DELIVERY - 14_400_000
            count = len(sink.minutes(perpetual))
            await until(lambda: len(sink.minutes(perpetual)) >= count + 15, 200)
            assert not engine.recovery.open_gaps()
            assert not engine.store.unavailable(quarterly)
            # The others' first minute after it is logged without it, its end noticed by then or not.
            (line,) = [text for text in caplog.messages if text.startswith("minute 08:00 closed")]
            assert line.startswith("minute 08:00 closed: 1 of 1 symbols"), line
            assert engine.store.present(quarterly).end == DELIVERY
            assert tracked.phase == "delivered"  # also when the exchange lists it no longer
            assert engine.state == "live"
            await until(lambda: not engine.store.unconfirmed(quarterly), 90)
        async with feeding(config, tmp_path) as (engine, sink):  # the exchange lists it no longer
            await until(lambda: engine.tracked and engine.tracked[perpetual].phase == "live", 90)
            tracked = engine.tracked[quarterly]
            assert (tracked.phase, tracked.reason) == ("delivered", view.reason)
            assert quarterly not in engine.subscriptions.listed
            states = minute_states(engine.store, quarterly, None, DELIVERY + 60 * MINUTE_MS, EMPTY)
            assert [(span.end, span.state) for span in states] == [(DELIVERY, "present")]
        beyond = [
            start for symbol, start, _ in exchange.rest.klines_log
            if symbol == quarterly.rpartition(":")[2] and start >= DELIVERY
        ]  # fmt: skip
        assert not beyond


@in_virtual_time
async def test_the_last_bars_are_read_where_nobody_ran_at_the_delivery(tmp_path: Path) -> None:
    quarterly = "coinm:BTCUSD_260327"
    markets = {"coinm": invented(COINM, ["BTCUSD_PERP"])}
    clock = SimulatedClock(DELIVERY - 12 * MINUTE_MS, 30)
    async with exchanges(clock, markets) as running:
        config = pointed_at(running, ["coinm:BTCUSD_PERP", quarterly])
        async with feeding(config, tmp_path) as (_, sink):
            await until(lambda: len(sink.minutes(quarterly)) >= 2, 90)
            stopped = sink.minutes(quarterly)[-1]
        await until(lambda: clock.now() > DELIVERY + MINUTE_MS, 90)
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: quarterly in engine.tracked, 90)
            tracked = engine.tracked[quarterly]
            await until(lambda: tracked.phase == "delivered", 200)
            minutes = sink.minutes(quarterly)
            assert minutes[0] <= stopped + MINUTE_MS
            assert minutes[-1] == DELIVERY - MINUTE_MS
            assert engine.store.present(quarterly).end == DELIVERY
            assert not engine.recovery.open_gaps()


async def test_backfill_ends_with_the_contract(tmp_path: Path) -> None:
    market = invented(COINM, ["BTCUSD_PERP"])
    async with exchanges(HandClock(DELIVERY + 5 * MINUTE_MS), {"coinm": market}) as running:
        exchange = running["coinm"]
        env = {
            f"FEEDER_EXCHANGE__COINM__{key.upper()}": getattr(exchange, key)
            for key in ("rest_url", "stream_url", "archive_url")
        }
        wanted = ("--symbols", "coinm:BTCUSD_260327", "--from", "2026-03-27", "--storage", "s")
        done = await command_at(exchange, "backfill", *wanted, cwd=tmp_path, **env)
        assert done.code == 0, done.out + done.err
        done = await command_at(
            exchange, "export", "--states", "--symbol", "coinm:BTCUSD_260327", "--storage", "s", cwd=tmp_path
        )
        assert done.out.splitlines()[1:] == [f"{DELIVERY - 480 * MINUTE_MS},{DELIVERY},480,present"]


@pytest.mark.parametrize(("minutes", "listed"), [(-8, "BTCUSDT_260327"), (0, "BTCUSDT_260626")])
def test_the_embedded_exchange_lists_a_contract_until_its_delivery(minutes: int, listed: str) -> None:
    market = synthetic_market(["BTCUSDT"], as_of_ms=DELIVERY + minutes * MINUTE_MS)
    assert {name for name, listing in market.instruments.items() if listing.contract != "PERPETUAL"} == {
        listed
    }
