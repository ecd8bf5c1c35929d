"""Days, minutes and incidents as the store knows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tui_feeder.day_evidence import DayState
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, Source, to_rows
from tui_feeder.engine.core.coverage import span
from tui_feeder.engine.core.trade_ids import TradeIds
from tui_feeder.engine.storage.day_evidence import days_of, incidents_of, minute_of
from tui_feeder.engine.storage.store import Store, Unavailable

BTC = "BTCUSDT"
DAY = 1_773_100_800_000  # 2026-03-10T00:00:00Z


def minute(number: int) -> int:
    return DAY + number * MINUTE_MS


def candle(number: int, volume: float = 2.0) -> Candle:
    trades = 1 if volume else 0
    return Candle(minute(number), 1.0, 1.0, 1.0, 1.0, volume, volume, trades, 0.0, 0.0)


def put(
    store: Store, first: int, last: int, source: Source = Source.STREAM, *, certify: bool = False
) -> None:
    minutes = span(minute(first), minute(last)) if certify else span(0, 0)
    store.put(BTC, to_rows([candle(n) for n in range(first, last)]), source, certify=minutes).result()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store", exchange="test")
    opened.now = lambda: minute(1)
    yield opened
    opened.close()


def states(store: Store, days: int, now: int) -> list[DayState]:
    return [view.state for view in days_of(store, BTC, DAY, DAY + days * DAY_MS, now)]


def test_each_day_has_one_state(store: Store) -> None:
    store.set_listed(BTC, minute(1_440)).result()
    put(store, 1_440, 2_880, Source.ARCHIVE_DAY, certify=True)
    put(store, 2_880, 4_320)
    store.append(BTC, candle(2_880), Source.REST).result()
    put(store, 4_320, 5_700)
    now = minute(8_000)
    assert states(store, 6, now) == [
        DayState.NONE, DayState.CERTIFIED, DayState.LIVE, DayState.LACKING, DayState.UNKNOWN,
        DayState.UNKNOWN,
    ]  # fmt: skip
    # What is not over yet is not due.
    assert states(store, 6, minute(5_700))[3:] == [DayState.LIVE, DayState.NONE, DayState.NONE]


def test_a_day_is_corrected_where_what_was_published_live_did_not_stand(store: Store) -> None:
    for number in range(1_440):
        store.append(BTC, candle(number), Source.STREAM, payload=b"{}")
    store.flushed().result()
    store.put(BTC, to_rows([candle(7, 3.0)]), Source.REST, certify=span(minute(7), minute(8))).result()
    (view,) = days_of(store, BTC, DAY, DAY + DAY_MS, minute(2_000))
    assert (view.state, view.live, view.stood, view.corrected) == (DayState.CORRECTED, 1_440, 1_439, 1)
    assert (view.due, view.present, view.certified, view.missing) == (1_440, 1_440, 1, 0)


def test_what_lacks_is_told_apart_and_adds_up(store: Store) -> None:
    put(store, 0, 100)
    put(store, 130, 200)
    store.set_omitted(BTC, span(minute(100), minute(110))).result()
    store.set_unavailable(BTC, (Unavailable(minute(110), minute(120), "none has them", 4, 0),)).result()
    (view,) = days_of(store, BTC, DAY, DAY + DAY_MS, minute(200) + 30_000)
    assert (view.due, view.present, view.none_at_exchange) == (200, 170, 10)
    assert (view.unavailable, view.missing, view.damaged) == (10, 10, 0)
    assert view.state is DayState.LACKING
    kinds = [
        (found.kind, (found.end - found.start) // MINUTE_MS) for found in incidents_of(store, BTC, 0, 1 << 50)
    ]
    assert kinds == [("none_at_exchange", 10), ("unavailable", 10)]


def test_a_minute_shows_every_value_it_had(store: Store) -> None:
    for number in range(3):
        store.append(BTC, candle(number), Source.STREAM, payload=b"{}").result()
        store.put_trade_ids([(BTC, minute(number), TradeIds(10 * number, 10 * number + 9 - number))]).result()
    store.now = lambda: minute(9)
    store.put(BTC, to_rows([candle(1, 5.0)]), Source.REST, certify=span(minute(1), minute(2))).result()
    view = minute_of(store, BTC, minute(1))
    assert (view.state, view.certified, view.published) == ("present", True, "corrected")
    assert (view.first_trade, view.last_trade, view.trade_ids) == (10, 18, "broken")
    assert [(value.volume, value.source, value.until) for value in view.values] == [
        (2.0, "stream", minute(9)), (5.0, "rest", None),
    ]  # fmt: skip
    assert minute_of(store, BTC, minute(0)).trade_ids == "joined"
    assert minute_of(store, BTC, minute(2)).trade_ids == ""
    absent = minute_of(store, BTC, minute(50))
    assert (absent.state, absent.values, absent.published) == ("missing", (), "")
    breaks = [found for found in incidents_of(store, BTC, 0, 1 << 50) if found.kind == "trade_ids"]
    assert [found.start for found in breaks] == [minute(1)]
    assert "REST has confirmed it since" in breaks[0].text


def test_a_quiet_minute_is_named_so(store: Store) -> None:
    store.put(BTC, to_rows([candle(0, 0.0)]), Source.REST).result()
    assert minute_of(store, BTC, minute(0)).state == "quiet"
