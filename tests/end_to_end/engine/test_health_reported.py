"""What goes wrong is told once, on the screen, in the log, in status and by alerts; and that it is over."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from disks import fill, small_disk
from feed import configured, feeding, until
from holding import BTC, ETH, Feed, all_live, exchange_of, feed_of
from msgspec.structs import replace
from virtual_time import in_virtual_time

from tui_feeder.commands.status_text import status_text
from tui_feeder.config import AlertRule, Alerts, Service
from tui_feeder.engine.acquisition import fill_progress
from tui_feeder.engine.acquisition.fill_progress import FillProgress
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.journal import Journal, warnings_shown
from tui_feeder.engine.engine import Engine
from tui_feeder.monitor import Event, SymbolState
from tui_feeder.widgets.lines import news_line, status_line
from tui_feeder.widgets.palette import GLYPHS
from tui_feeder.widgets.progress_bars import progress_text


def told(engine: Engine, symbol: str | None, *words: str) -> list[Event]:
    """The lines about a symbol that begin with one of ``words``."""
    return [e for e in engine.journal.events if e.symbol == symbol and e.text.startswith(words)]


@in_virtual_time
async def test_a_symbol_that_falls_silent_is_logged_once_late_and_once_stale_and_once_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tui_feeder.engine")
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        exchange.faults.switch_on("silence", ETH)  # muted: REST closes its minutes
        await until(lambda: told(feed.engine, ETH, "stale: no frame from stream market-1"))
        await feed.minutes(4)  # it stays so, and nothing more is said of it
        assert feed.shown(ETH).state is SymbolState.STALE
        exchange.faults.switch_off()
        await until(lambda: told(feed.engine, ETH, "live again: after"))
        lines = [(e.level, e.text.partition(":")[0]) for e in told(feed.engine, ETH, "late", "stale", "live")]
        assert lines in (
            [("info", "late"), ("warning", "stale"), ("info", "live again")],
            [("warning", "stale"), ("info", "live again")],  # this machine looked away meanwhile
        )
        assert not told(feed.engine, BTC, "stale")
        logged = [record.getMessage() for record in caplog.records]
        assert sum(line.startswith("ETHUSDT: stale: no frame") for line in logged) == 1
        await feed.holds()


@in_virtual_time
async def test_many_symbols_that_fall_silent_at_once_are_one_line(tmp_path: Path) -> None:
    names = [f"C{n}USDT" for n in range(8)]
    async with exchange_of(names) as exchange, feed_of(exchange, tmp_path, names) as feed:
        await until(lambda: all_live(feed))
        exchange.faults.switch_on("silence")
        await until(lambda: all(feed.shown(name).state is SymbolState.STALE for name in names))
        await until(lambda: told(feed.engine, None, "8 symbols are stale: "))
        (line,) = told(feed.engine, None, "8 symbols are stale: ")
        assert line.text.startswith(
            "8 symbols are stale: C0USDT, C1USDT, C2USDT, C3USDT, C4USDT and 3 more; C0USDT: no frame from"
        )


@in_virtual_time
async def test_a_minute_that_a_symbol_does_not_close_is_told_of_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tui_feeder.engine.minute_log")
    async with (
        exchange_of([BTC, ETH], 60.0) as exchange,
        feed_of(exchange, tmp_path, recovery_deadline_seconds=3_000) as feed,
    ):
        await until(lambda: all_live(feed))
        exchange.faults.switch_on("no-close-frame", ETH)
        exchange.faults.switch_on("rest-empty", ETH)
        await until(lambda: any("not closed: ETHUSDT" in r.getMessage() for r in caplog.records))
        await feed.minutes(6, BTC)
        assert len(feed.engine._minute_log._closed) <= 3
        (line, *_) = [r.getMessage() for r in caplog.records if "not closed: ETHUSDT" in r.getMessage()]
        assert "closed: 1 of 2 symbols" in line


def gap_text(feed: Feed) -> str:
    return "".join(text for text, _ in news_line(feed.snapshot(), None, GLYPHS["ascii"]))


async def test_a_full_disk_is_on_the_screens_in_status_and_an_alert_until_there_is_room(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        async with exchange_of([BTC], 60.0) as exchange:
            rule = AlertRule(kind="disk_full", symbols=("ALL",), seconds=1.0)
            config = replace(
                configured(exchange, [BTC], days=1, periodic_gap_check_interval_minutes=1),
                alerts=replace(Alerts(), rules={"disk": rule}),
                service=replace(Service(), ready_free_mb=0),  # the whole disk has less than the default
            )
            async with feeding(config, disk / "store") as (engine, sink):
                feed = Feed(engine, sink, exchange, config)
                await feed.minutes(2)
                fill(disk / "filler")
                engine.store.put_note("large", bytes(2 << 20))  # more than the file has free pages
                await until(lambda: engine.store.pausing)
                snapshot = feed.snapshot()
                assert snapshot.store_pausing.startswith("disk full")
                assert snapshot.state == "degraded"
                assert snapshot.parts["store"] == "paused"
                paused = f"{snapshot.store_pausing}: writes are paused"
                assert gap_text(feed) == f"! {paused}, candles wait; free space at {disk / 'store'}"
                top = status_line(snapshot, 1, False, "", 160, GLYPHS["ascii"])
                assert "lmdb paused!" in "".join(text for text, _ in top)
                assert status_text(snapshot, "head").splitlines()[2] == f"disk      {paused}"
                await until(lambda: told(engine, None, "disk full"))
                await until(lambda: told(engine, None, "alert disk: store: disk full, no candle was written"))
                checked = exchange.clock.now() + 7 * MINUTE_MS  # checks for gaps are made meanwhile
                await until(lambda: exchange.clock.now() > checked)
                assert not feed.engine.recovery.open_gaps()
                (disk / "filler").unlink()
                await until(lambda: told(engine, None, f"the disk of {disk / 'store'} has room again"))
                assert not feed.snapshot().store_pausing
                assert len(told(engine, None, "disk full")) == 1
                await feed.holds()


def test_how_long_it_takes_is_not_told_while_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 1_000.0
    monkeypatch.setattr(fill_progress.time, "monotonic", lambda: moment)
    tracker = FillProgress(1_000, source="daily files", started=moment)
    moment += 10
    tracker.rows_done = 400
    view = tracker.view()
    assert (view.eta_seconds, view.note) == (15.0, "")
    moment += 4
    assert tracker.view().eta_seconds == 21.0
    moment += 3
    view = tracker.view()
    assert (view.eta_seconds, view.note) == (None, "nothing read for 7 s")
    shown = progress_text(view, 60, GLYPHS["ascii"])
    assert shown.endswith(" 40% nothing read for 7 s")
    assert len(shown) == 60
    view = tracker.view("disk full (No space left on device)")
    assert (view.eta_seconds, view.note) == (None, "paused: disk full (No space left on device)")
    assert progress_text(view, 45, GLYPHS["ascii"]).endswith(" 40% paused: disk full")
    assert len(progress_text(view, 45, GLYPHS["ascii"])) == len(progress_text(view, 12, GLYPHS["ascii"])) + 33
    tracker.bytes_done += 1
    assert tracker.view().eta_seconds is not None


def test_what_other_modules_warn_of_is_on_the_screen_too_and_once_a_minute() -> None:
    journal = Journal(lambda: 7)
    running, socket = (
        logging.getLogger("tui_feeder.runner"),
        logging.getLogger("tui_feeder.engine.exchanges.binance"),
    )
    with warnings_shown(journal):
        running.error("the configuration was not taken over: %s", "c.toml:3: no such key")
        running.info("configuration read again")
        for wait in (0.0, 1.0, 2.0):
            socket.warning("stream %s: lost; connecting again in %.1f s", "market-1", wait)
        socket.warning("stream %s: lost; connecting again in %.1f s", "market-2", 0.5)
        journal.note("warning", "by itself")
        try:
            raise ValueError("no")
        except ValueError:
            socket.exception("a part crashed")  # of which the engine itself says more
    running.warning("after the end")
    assert [(event.at, event.level, event.text) for event in journal.recent()] == [
        (7, "error", "the configuration was not taken over: c.toml:3: no such key"),
        (7, "warning", "stream market-1: lost; connecting again in 0.0 s"),
        (7, "warning", "stream market-2: lost; connecting again in 0.5 s"),
        (7, "warning", "by itself"),
    ]
    with warnings_shown(journal):
        for n in range(300):
            running.warning("error %s", n)
        (handler,) = logging.getLogger("tui_feeder").handlers[-1:]
        assert len(handler._shown) <= 64
