"""Live trades that stop: a socket that is down, a kill, and the archive that makes all of it exact."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from feed import NOON, exchange_at, feeding, until
from live_trades import (
    DAY,
    EARLY,
    counted,
    last_words_are_those_of_a_run_from_scratch,
    minutes_known,
    volume_of,
    with_live_trades,
)
from virtual_time import in_virtual_time

from tui_feeder.engine.analytics.orderflow.reconcile import Known
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.derived.stored_ladders import known_minutes, origins, read_ladder
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.snapshots import take
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.exchange import Exchange

#: One whose days are read quickly.
SYMBOL = "C1USDT"


@contextlib.contextmanager
def dead_trade_socket(exchange: Exchange) -> Iterator[None]:
    """Nothing comes over the connection of the trades, which stays open until this ends; candles come."""
    dead = [c for c in exchange.streams.connections if any("@aggTrade" in name for name in c.names)]
    assert dead
    for connection in dead:
        connection.freeze()
    yield
    for connection in dead:
        connection.cut("1006")


def exact_in(store: Store, begin: int, end: int, day: int = DAY) -> list[bool]:
    """Of each minute of a span whether it is exact; ms, whole minutes."""
    known = minutes_known(store, day, SYMBOL)
    return [known.get(minute) is Known.EXACT for minute in range(begin, end, MINUTE_MS)]


def minutes_that_are(how: Known, store: Store) -> list[int]:
    """Open times (ms) of the minutes of the day that are known so."""
    return [minute for minute, known in minutes_known(store, symbol=SYMBOL).items() if known is how]


def lines_about_trades(engine: Engine) -> list[str]:
    return [event.text for event in engine.journal.recent() if event.text.startswith("live trades")]


def shares_are_right(store: Store, day: int) -> set[Known]:
    """Hold what each minute is said to be against its ladder; how minutes are known."""
    ladder = read_ladder(store, SYMBOL, day)
    assert ladder is not None
    candles, known = known_minutes(store, SYMBOL, ladder)
    for at, how in enumerate(known.known.tolist()):
        share = volume_of(ladder, int(candles["open_time"][at])) / float(candles["volume"][at])
        assert abs(known.shares[at] - share) < 1e-9
        assert (how == Known.CANDLE) == (share == 0.0)
        assert (how == Known.EXACT) == (abs(share - 1.0) < 1e-9)
    return {Known(how) for how in known.known.tolist()}


@in_virtual_time
async def test_minutes_in_which_the_socket_was_down_are_filled_by_rest(tmp_path: Path) -> None:
    async with (
        exchange_at(EARLY, [SYMBOL], rate=20.0) as exchange,
        feeding(with_live_trades(exchange, SYMBOL), tmp_path) as (engine, sink),
    ):
        await until(lambda: counted(engine, "ladder_minutes_exact") >= 2, 120)
        began = exchange.clock.now() // MINUTE_MS * MINUTE_MS
        with dead_trade_socket(exchange):
            await until(lambda: exchange.clock.now() > began + 3 * MINUTE_MS + 20_000, 60)
            trades = take(engine, 1).trades
            assert trades is not None
            assert (trades.state, trades.behind) == ("behind", (SYMBOL,)), "though its socket is open"
            assert not all(exact_in(engine.store, began, began + 3 * MINUTE_MS))
        await until(lambda: all(exact_in(engine.store, began, began + 6 * MINUTE_MS)), 120, pause=0.5)
        await until(lambda: not engine.live_trades._changed, 60)
        assert counted(engine, "ladder_minutes_partial") <= 1, "but for the minute of the start"
        last_words_are_those_of_a_run_from_scratch(engine, sink, symbol=SYMBOL)
        healed = exchange.clock.now()
        await until(lambda: exchange.clock.now() > healed + 4 * MINUTE_MS, 60)
        (line,) = [line for line in lines_about_trades(engine) if "exact again" in line]
        assert "minutes published again" in line


@in_virtual_time
async def test_what_is_too_long_for_rest_stays_labelled_until_the_archive_has_it(tmp_path: Path) -> None:
    yesterday = DAY - DAY_MS
    async with (
        exchange_at(DAY - 80 * MINUTE_MS, [SYMBOL], rate=20.0) as exchange,
        feeding(with_live_trades(exchange, SYMBOL), tmp_path) as (engine, first),
    ):
        await until(lambda: counted(engine, "ladder_minutes_exact") >= 2, 120)
        began = exchange.clock.now() // MINUTE_MS * MINUTE_MS
        exchange.faults.switch_on("missing-trades", target="stream", share=1.0)
        await until(lambda: exchange.clock.now() > began + 62 * MINUTE_MS + 20_000, 300)
        exchange.faults.switch_off()
        await until(lambda: counted(engine, "trade_holes_left_to_archive") == 1, 120)
        again = exchange.clock.now() // MINUTE_MS * MINUTE_MS + MINUTE_MS
        await until(
            lambda: all(exact_in(engine.store, again, again + 3 * MINUTE_MS, yesterday)), 120, pause=0.5
        )
        known = minutes_known(engine.store, yesterday, SYMBOL)
        before = [how for minute, how in known.items() if minute < DAY - 81 * MINUTE_MS]
        assert len(before) > 1_300, "minutes before it followed the trades, as those of another owner"
        assert set(before) == {Known.CANDLE}
        inside = {known[minute] for minute in range(began + MINUTE_MS, began + 62 * MINUTE_MS, MINUTE_MS)}
        assert inside == {Known.CANDLE}
        assert known[began] is Known.PARTIAL
        assert shares_are_right(engine.store, yesterday) == set(Known)
        await until(lambda: not engine.live_trades._changed, 60)
        last_words_are_those_of_a_run_from_scratch(engine, first, symbol=SYMBOL)
        await until(lambda: len(lines_about_trades(engine)) >= 1, 120)
        assert any("left to the day's archive" in line for line in lines_about_trades(engine))
    async with (
        exchange_at(NOON, [SYMBOL], rate=20.0) as exchange,
        feeding(with_live_trades(exchange, SYMBOL), tmp_path) as (engine, second),
    ):
        await until(lambda: yesterday in origins(engine.store, SYMBOL), 120)
        assert shares_are_right(engine.store, yesterday) == {Known.EXACT}
        assert not list(engine.store.notes(f"minute ladder {SYMBOL} {yesterday} ")), (
            "the day took their place"
        )
        await until(lambda: second.messages.get(SYMBOL), 120)
        await until(lambda: not engine.live_trades._changed, 120)
        await until(lambda: not engine.supervisor.alive(f"ladders {SYMBOL}"), 120)
        revised = [m for m in second.messages[SYMBOL] if m["timestamp"] < DAY and m["revision"] > 0]
        assert revised, "messages of yesterday rest on its trades now"
        last_words_are_those_of_a_run_from_scratch(engine, first, second, symbol=SYMBOL)


@in_virtual_time
async def test_after_a_kill_while_a_minute_is_partial_it_becomes_exact(tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    killed.mkdir()
    async with exchange_at(EARLY, [SYMBOL], rate=20.0) as exchange:
        config = with_live_trades(exchange, SYMBOL)
        async with feeding(config, tmp_path / "first") as (engine, first):
            await until(lambda: counted(engine, "ladder_minutes_exact") >= 3, 120)
            whole = minutes_that_are(Known.EXACT, engine.store)
            exchange.faults.switch_on("missing-trades", target="stream", share=0.3)
            await until(lambda: minutes_that_are(Known.PARTIAL, engine.store)[-1:] > whole[-1:], 120)
            with (killed / "data.mdb").open("wb") as copy:  # what a kill at this moment leaves
                engine.store.copy_to(copy.fileno())
            partial = minutes_that_are(Known.PARTIAL, engine.store)[-1]
            published = [dict(message) for message in first.messages[SYMBOL]]
        exchange.faults.switch_off()
        async with feeding(config, killed) as (engine, second):
            assert minutes_known(engine.store, symbol=SYMBOL)[partial] is Known.PARTIAL
            begun = exchange.clock.now() // MINUTE_MS * MINUTE_MS
            await until(lambda: all(exact_in(engine.store, whole[0], begun + 3 * MINUTE_MS)), 120, pause=0.5)
            await until(lambda: not engine.live_trades._changed, 60)
            first.messages[SYMBOL] = published
            last_words_are_those_of_a_run_from_scratch(engine, first, second, symbol=SYMBOL)


@in_virtual_time
async def test_after_a_kill_all_that_was_asked_for_and_that_nobody_heard_is_asked_for(tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    killed.mkdir()
    async with exchange_at(EARLY, [SYMBOL], rate=20.0) as exchange:
        config = with_live_trades(exchange, SYMBOL)
        async with feeding(config, tmp_path / "first") as (engine, first):
            await until(lambda: counted(engine, "ladder_minutes_exact") >= 3, 120)
            whole = minutes_that_are(Known.EXACT, engine.store)[0]
            exchange.faults.switch_on("missing-trades", target="stream", share=0.3)
            exchange.faults.switch_on("rest-5xx", target="aggTrades")
            await until(lambda: len(minutes_that_are(Known.PARTIAL, engine.store)) >= 8, 120)
            with (killed / "data.mdb").open("wb") as copy:
                engine.store.copy_to(copy.fileno())
            published = [dict(message) for message in first.messages[SYMBOL]]
        exchange.faults.switch_off()
        away = exchange.clock.now()
        await until(lambda: exchange.clock.now() > away + 40 * MINUTE_MS, 300)
        async with feeding(config, killed) as (engine, second):
            begun = exchange.clock.now() // MINUTE_MS * MINUTE_MS
            await until(lambda: all(exact_in(engine.store, whole, begun + 3 * MINUTE_MS)), 300, pause=0.5)
            assert counted(engine, "trade_holes_left_to_archive") == 0
            await until(lambda: not engine.live_trades._changed, 60)
            await until(lambda: not engine.supervisor.alive(f"ladders {SYMBOL}"), 60)
            first.messages[SYMBOL] = published
            last_words_are_those_of_a_run_from_scratch(engine, first, second, symbol=SYMBOL)
