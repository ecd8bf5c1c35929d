"""Faults of the stream, 1 to 5, 7 and 8 of the table: a whole engine, real sockets, what holds after each."""

from __future__ import annotations

from pathlib import Path

import pytest
from feed import until
from holding import BTC, ETH, all_live, exchange_of, feed_of
from virtual_time import in_virtual_time

from tui_feeder.engine.core.backoff import Backoff
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.event_names import event_name
from tui_feeder.engine.exchanges.binance import stream_connection, stream_pool
from tui_feeder.monitor import SymbolState


@in_virtual_time
async def test_1_an_acknowledgement_without_data_is_noticed_and_rest_closes_minutes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stream_connection._FIRST_DATA_SECONDS <= 15.0
    monkeypatch.setattr(stream_connection, "_FIRST_DATA_SECONDS", 1.0)
    async with exchange_of([BTC, ETH]) as exchange:
        exchange.faults.switch_on("ack-without-data")
        async with feed_of(exchange, tmp_path) as feed:
            await feed.minutes(4)  # by REST alone
            await until(lambda: feed.socket.reconnects >= 2)
            assert exchange.faults.struck["ack-without-data"] >= 3
            assert feed.socket.reason == "no data for 1 s after subscribing"
            assert feed.socket.name in feed.shown(BTC).reason
            assert feed.shown(BTC).state in (SymbolState.LATE, SymbolState.STALE)
            assert feed.counted("minutes_recovered") >= 6
            await feed.holds()
            exchange.faults.switch_off()
            await until(lambda: all_live(feed), 90)
            await feed.holds()


@in_virtual_time
async def test_2_one_silent_symbol_is_late_then_stale_and_closed_by_rest_and_the_others_untouched(
    tmp_path: Path,
) -> None:
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await feed.minutes(2)
        closed_by_rest = feed.counted("minutes_recovered")
        exchange.faults.switch_on("silence", ETH)
        await until(lambda: feed.shown(ETH).state is SymbolState.LATE)
        await until(lambda: feed.shown(ETH).state is SymbolState.STALE)
        assert "no frame" in feed.shown(ETH).reason
        assert "closed by REST" in feed.shown(ETH).reason
        assert feed.shown(BTC).state is SymbolState.LIVE
        assert feed.snapshot().state == "degraded"
        await feed.minutes(2, ETH)
        assert feed.counted("minutes_recovered") > closed_by_rest
        assert feed.socket.reconnects == 0
        await feed.holds()
        exchange.faults.switch_off()
        await until(lambda: all_live(feed))
        await feed.holds()


class CountedBackoff(Backoff):
    """Waits that a test does not want to wait, and the numbers of the tries."""

    tries_made: list[int]

    def __init__(self, **_: float) -> None:
        super().__init__(first=0.01, most=0.02)

    def next(self) -> float:
        wait = super().next()
        self.tries_made.append(self.tries)
        return wait


@in_virtual_time
async def test_3_every_end_of_a_connection_is_followed_by_another_and_only_data_ends_the_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = CountedBackoff.tries_made = []
    monkeypatch.setattr(stream_connection, "Backoff", CountedBackoff)
    monkeypatch.setattr(stream_connection, "_FIRST_DATA_SECONDS", 0.3)
    monkeypatch.setattr(stream_connection, "_SILENCE_SECONDS", 1.0)
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        for how in ("1001", "1006", "1008", "reset", "half-open"):
            tried = len(made)  # a busy machine may have taken a pause for an end already
            if how == "half-open":
                exchange.faults.switch_on(how)
            else:
                exchange.faults.switch_on("disconnect", code=how)
            await until(lambda tried=tried: len(made) > tried)
            await until(lambda: feed.socket.state == "live")
            assert made[tried] == 1  # at once, each time: there was data between them
        tried = len(made)
        exchange.faults.switch_on("ack-without-data")
        exchange.faults.switch_on("disconnect", code="1001")
        await until(lambda: len(made) >= tried + 3)
        assert made[tried : tried + 3] == [1, 2, 3]  # an acknowledgement is no proof
        assert "after subscribing" in feed.socket.reason or feed.socket.state != "live"
        exchange.faults.switch_off()
        await until(lambda: all_live(feed))
        await feed.holds()


@in_virtual_time
async def test_4_a_socket_is_renewed_with_overlap_and_no_minute_is_missing_or_told_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # After 4 minutes instead of 23 h; that the 23 h are before the exchange's 24 is shown in test_stream.
    monkeypatch.setattr(stream_pool, "_RENEWED_AFTER_MS", 4 * MINUTE_MS)
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        streams = feed.engine.streams
        assert streams is not None
        await until(lambda: streams.sockets[0].renewals >= 3)
        assert feed.socket.reconnects == 0
        assert all_live(feed)
        assert feed.counted("revisions") == 0
        await feed.holds()


@in_virtual_time
async def test_5_a_closing_frame_that_is_missing_is_replaced_by_rest(tmp_path: Path) -> None:
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await feed.minutes(1)
        exchange.faults.switch_on("no-close-frame", BTC)
        await feed.minutes(5)
        assert feed.counted("minutes_recovered") >= 4
        await feed.holds()


@pytest.mark.parametrize("seconds", [3, 35])
@in_virtual_time
async def test_5_a_late_closing_frame_changes_nothing(tmp_path: Path, seconds: int) -> None:
    # 35 s are over the deadline at this rate, 3 s are not.
    async with exchange_of([BTC, ETH], 60.0) as exchange, feed_of(exchange, tmp_path) as feed:
        exchange.faults.switch_on("late-close", seconds=seconds)
        await feed.minutes(3)
        if seconds == 35:
            await until(lambda: feed.counted("duplicate_candles") >= 2)
            assert feed.counted("minutes_recovered") >= 2
        await feed.holds()
        assert feed.counted("revisions") == 0
        assert feed.counted("source_conflicts") == 0


@pytest.mark.parametrize("fault", ["duplicate-frames", "out-of-order"])
@in_virtual_time
async def test_5_frames_that_come_twice_or_out_of_order_change_nothing(tmp_path: Path, fault: str) -> None:
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        exchange.faults.switch_on(fault)
        await feed.minutes(6)
        assert exchange.faults.struck[fault] > 20
        await feed.holds()
        if fault == "duplicate-frames":
            assert feed.counted("duplicate_candles") >= 6
        assert feed.counted("revisions") == 0
        assert all(at % MINUTE_MS == 0 for at in feed.sink.minutes(BTC))


@in_virtual_time
async def test_7_frames_that_are_none_are_counted_said_once_and_nothing_else(tmp_path: Path) -> None:
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        for only, name in (
            ("json", "unreadable frame"), ("truncated", "unreadable frame"), ("binary", "unreadable frame"),
            ("event", "unknown event"), ("product", "unexpected candle"),
        ):  # fmt: skip
            event = event_name("stream", name)
            before = feed.counted(event)
            exchange.faults.switch_on("garbage", only=only, every=5.0)
            await until(
                lambda name=name, before=before: feed.counted(event_name("stream", name)) >= before + 3
            )
            exchange.faults.switch_off()
        assert feed.socket.reconnects == 0
        lines = [event.text for event in feed.engine.journal.events]
        assert sum("stream unreadable frame" in line for line in lines) == 1
        for number, only in enumerate(("huge", "cut"), 1):
            exchange.faults.switch_on("garbage", only=only, every=5.0)
            await until(lambda number=number: feed.socket.reconnects >= number)
            exchange.faults.switch_off()
        await until(lambda: all_live(feed))
        await feed.holds()
        assert feed.engine.store.quarantined(BTC) == []


@pytest.mark.parametrize("closes", [True, False])
@in_virtual_time
async def test_8_impossible_values_are_quarantined_and_their_minutes_filled_by_rest(
    tmp_path: Path, closes: bool
) -> None:
    # At 120 the last frame of every minute would get the same of the impossible values.
    async with exchange_of([BTC, ETH], 100.0) as exchange, feed_of(exchange, tmp_path) as feed:
        await until(lambda: all_live(feed))
        exchange.faults.switch_on("bad-values", BTC, closes=closes)
        price = feed.shown(BTC).price
        assert price is not None
        shown = []

        def enough() -> bool:
            shown.append(feed.shown(BTC))
            return feed.counted("quarantined_candles") >= 4 and feed.counted("stream_unexpected_candle") >= 1

        await until(enough)
        await until(lambda: feed.counted("minutes_recovered") >= 4)
        assert feed.said("quarantined candles", "minute")
        for view in shown:  # what cannot be is not shown either
            assert view.price is not None
            assert 0.5 < view.price / price < 2
            assert view.forming is None or view.forming.low <= view.forming.close <= view.forming.high
            assert view.forming is None or view.forming.open_time <= feed.snapshot().exchange_time
        exchange.faults.switch_off()
        await feed.holds()
        assert set(feed.sink.minutes(ETH)) >= set(feed.sink.minutes(BTC)[:-1])
