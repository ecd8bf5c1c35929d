"""Live trades through sockets, ladders and messages: exact, or labelled, and made again for better ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from feed import exchange_at, feeding, until
from live_trades import (
    DAY,
    EARLY,
    SYMBOL,
    counted,
    last_words_are_those_of_a_run_from_scratch,
    minutes_known,
    volume_of,
    with_live_trades,
)
from virtual_time import in_virtual_time

from tui_feeder.engine.analytics.orderflow.reconcile import Known
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.derived.stored_ladders import known_minutes, read_ladder
from tui_feeder.engine.derived.stored_reads import StoredReads
from tui_feeder.engine.snapshots import take
from tui_feeder.monitor import TradesView


@in_virtual_time
async def test_live_minutes_are_exact_and_part_of_their_own_message(tmp_path: Path) -> None:
    async with (
        exchange_at(EARLY, [SYMBOL], rate=20.0) as exchange,
        feeding(with_live_trades(exchange), tmp_path) as (engine, sink),
    ):
        await until(lambda: counted(engine, "ladder_minutes_exact") >= 5, 120)
        exact = [minute for minute, how in minutes_known(engine.store).items() if how is Known.EXACT]
        assert len(exact) >= 5
        live = [m for m in sink.messages[SYMBOL] if m["timestamp"] + 1 - MINUTE_MS in exact]
        assert max(message["revision"] for message in live) == 0, "no minute waited for its trades in vain"
        shares = [message["volume_profile"]["exact_share"] for message in live]
        assert shares == sorted(shares)
        assert 0.0 < shares[0] < shares[-1] < 1.0
        profile = live[-1]["volume_profile"]
        assert profile["buy_volume"] + profile["sell_volume"] > 0
        last_words_are_those_of_a_run_from_scratch(engine, sink)
        # Screens show the same of the same minutes.
        end = live[-1]["timestamp"] + 1
        reads = StoredReads(engine.store, engine.config)
        shown, bars = reads.profile(SYMBOL, DAY, end), reads.footprint(SYMBOL, 60, 10, 40, end, end)
        assert shown is not None
        assert bars is not None
        area = profile["value_area"]
        levels = profile["poc"], area["high"], area["low"], profile["vwap"]
        assert (shown.poc, shown.vah, shown.val, shown.vwap) == levels
        assert shown.exact_share == profile["exact_share"]
        assert {bar.time for bar in bars.bars if bar.exact_share == 1.0} == {
            m for m in exact if bars.bars[0].time <= m < end
        }
        lines = reads.developing(SYMBOL, DAY, 60, end)
        assert lines is not None
        assert (lines.poc[-1], lines.vah[-1], lines.val[-1], lines.vwap[-1]) == levels
        ladder = read_ladder(engine.store, SYMBOL, DAY)
        assert ladder is not None
        rows = engine.store.read(SYMBOL, exact[0], exact[0] + MINUTE_MS)
        np.testing.assert_allclose(volume_of(ladder, exact[0]), rows["volume"][0], rtol=1e-9)


@in_virtual_time
async def test_a_cut_inside_a_minute_is_filled_by_rest_and_its_messages_made_again(tmp_path: Path) -> None:
    async with (
        exchange_at(EARLY, [SYMBOL], rate=20.0) as exchange,
        feeding(with_live_trades(exchange), tmp_path) as (engine, sink),
    ):
        await until(lambda: counted(engine, "ladder_minutes_exact") >= 2, 120)
        began = exchange.clock.now()
        exchange.faults.switch_on("disconnect", code="1006")
        await until(lambda: exchange.clock.now() > began + 6 * MINUTE_MS, 120)
        await until(lambda: counted(engine, "trade_requests") >= 1, 120)
        until_now = exchange.clock.now() // MINUTE_MS * MINUTE_MS - 2 * MINUTE_MS
        await until(
            lambda: all(
                how is Known.EXACT
                for minute, how in minutes_known(engine.store).items()
                if began // MINUTE_MS * MINUTE_MS <= minute < until_now
            ),
            120,
        )
        await until(lambda: not engine.live_trades._changed, 60)
        last_words_are_those_of_a_run_from_scratch(engine, sink)


@in_virtual_time
async def test_the_state_of_live_trades_is_what_came_of_them_lately(tmp_path: Path) -> None:
    async with (
        exchange_at(EARLY, [SYMBOL], rate=20.0) as exchange,
        feeding(with_live_trades(exchange), tmp_path) as (engine, _),
    ):

        def view() -> TradesView:
            trades = take(engine, 1).trades
            assert trades is not None
            return trades

        await until(lambda: counted(engine, "ladder_minutes_exact") >= 2, 120)
        well = view()
        assert (well.state, well.reason, well.behind) == ("live", "", ())
        assert (well.symbols, well.cuts, [stream.state for stream in well.streams]) == (1, 0, ["live"])
        assert well.last_trade is not None
        # Connected, and no trade comes, while candles show some.
        exchange.faults.switch_on("missing-trades", target="stream", share=1.0)
        await until(lambda: view().state == "behind", 120)
        assert view().behind == (SYMBOL,)
        exchange.faults.switch_off("missing-trades")
        await until(lambda: view().state == "live", 120)
        await until(lambda: view().missing > 0, 60)
        await until(lambda: view().missing == 0, 120)
        exchange.faults.switch_on("disconnect", code="1006")
        await until(lambda: view().state in ("backing off", "connecting"), 60)
        await until(lambda: view().state == "live", 60)
        assert view().cuts >= 1
        assert view().reconnects >= 1


@in_virtual_time
async def test_trades_that_never_come_leave_a_minute_partial_and_labelled(tmp_path: Path) -> None:
    async with (
        exchange_at(EARLY, [SYMBOL], rate=20.0) as exchange,
        feeding(with_live_trades(exchange), tmp_path) as (engine, sink),
    ):
        await until(lambda: counted(engine, "ladder_minutes_exact") >= 2, 120)
        exchange.faults.switch_on("insurance-fills", share=0.5)
        await until(lambda: counted(engine, "ladder_minutes_partial") >= 2, 120)
        exchange.faults.switch_off("insurance-fills")
        ladder = read_ladder(engine.store, SYMBOL, DAY)
        assert ladder is not None
        candles, known = known_minutes(engine.store, SYMBOL, ladder)
        partial = np.flatnonzero(known.known == Known.PARTIAL)
        for at in partial.tolist():
            there = volume_of(ladder, int(candles["open_time"][at]))
            assert abs(known.shares[at] - there / float(candles["volume"][at])) < 1e-9
        last_words_are_those_of_a_run_from_scratch(engine, sink)


@in_virtual_time
async def test_many_holes_of_a_minute_are_one_request(tmp_path: Path) -> None:
    async with (
        exchange_at(EARLY, [SYMBOL], rate=20.0) as exchange,
        feeding(with_live_trades(exchange), tmp_path) as (engine, sink),
    ):
        await until(lambda: counted(engine, "ladder_minutes_exact") >= 2, 120)
        exchange.faults.switch_on("missing-trades", target="stream", share=0.3, duration=120.0)
        began = exchange.clock.now()
        await until(lambda: exchange.clock.now() > began + 5 * MINUTE_MS, 120)
        ended = exchange.clock.now() // MINUTE_MS * MINUTE_MS - MINUTE_MS
        struck = range(began // MINUTE_MS * MINUTE_MS, ended, MINUTE_MS)
        await until(
            lambda: all(minutes_known(engine.store).get(minute) is Known.EXACT for minute in struck), 120
        )
        pages = counted(engine, "trade_requests")
        assert 1 <= pages <= 15, "not one for each of hundreds of trades"
        await until(lambda: not engine.live_trades._changed, 60)
        last_words_are_those_of_a_run_from_scratch(engine, sink)


@in_virtual_time
async def test_after_a_stop_the_trades_that_nobody_heard_are_asked_for(tmp_path: Path) -> None:
    async with exchange_at(EARLY, [SYMBOL], rate=20.0) as exchange:
        config = with_live_trades(exchange)
        async with feeding(config, tmp_path) as (engine, _):
            await until(lambda: counted(engine, "ladder_minutes_exact") >= 3, 120)
            first = min(m for m, how in minutes_known(engine.store).items() if how is Known.EXACT)
        stopped = exchange.clock.now()
        await until(lambda: exchange.clock.now() > stopped + 2 * MINUTE_MS, 60)
        async with feeding(config, tmp_path) as (engine, sink):
            await until(lambda: counted(engine, "ladder_minutes_exact") >= 3, 120)
            begun = exchange.clock.now() // MINUTE_MS * MINUTE_MS
            minutes = range(first, begun - MINUTE_MS, MINUTE_MS)
            await until(
                lambda: all(minutes_known(engine.store).get(minute) is Known.EXACT for minute in minutes), 120
            )
            assert counted(engine, "trade_requests") >= 1
            await until(lambda: not engine.live_trades._changed, 60)
            last_words_are_those_of_a_run_from_scratch(engine, sink)
