"""What a store takes over of messages that were made elsewhere, and how it learns whether it is the same."""

from __future__ import annotations

from pathlib import Path

from store_child import rows_of
from stores import BTC, minute

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows, Source
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.storage.inheritance import Inheritance, check_of
from tui_feeder.engine.storage.store import Store

DAY = 1_440
#: Two days and an hour, of which the numbers lack ten minutes.
COUNTED = span(minute(0), minute(2 * DAY + 60)).subtract(span(minute(100), minute(110)))
END = minute(2 * DAY + 60)


def rows(start: int, end: int, source: Source = Source.REST) -> Rows:
    return rows_of(minute(start), minute(end), source)


def given(**more: object) -> Inheritance:
    """Made of REST rows, one checked at each midnight and at the end."""
    days = {}
    for day in (0, 1, 2):
        start = minute(day * DAY)
        held = rows_of(start, min(start + DAY_MS, END), Source.REST)
        inside = [bool(COUNTED.clip(at, at + MINUTE_MS)) for at in held["open_time"].tolist()]
        days[start] = check_of(held[inside])
    made = Inheritance(END - MINUTE_MS, COUNTED, days, END, minute(-5), {"a note": b"kept"}, lambda _: None)
    return made._replace(**more)


def put(store: Store, start: int, end: int, source: Source = Source.REST) -> None:
    store.put(BTC, rows(start, end, source), source).result()


def test_minutes_that_come_later_have_had_their_messages(tmp_path: Path) -> None:
    store = Store(tmp_path, exchange="a test")
    store.inherit(BTC, given()).result()
    assert store.watermark(BTC) == END - MINUTE_MS
    assert store.inherited(BTC) == COUNTED
    assert store.listed(BTC) == minute(-5)
    assert store.note("a note") == b"kept"
    put(store, 2 * DAY, 2 * DAY + 60)
    put(store, 0, 2 * DAY)
    assert store.inherited(BTC) == EMPTY
    assert store.stale_published(BTC) == EMPTY
    assert store.edition(BTC) == 0
    # The ten that the numbers lacked are here now: those have no message yet.
    assert store.unpublished(BTC) == span(minute(100), minute(110))
    store.close()


def test_a_day_of_other_values_is_to_be_revised_once_it_is_whole(tmp_path: Path) -> None:
    store = Store(tmp_path, exchange="a test")
    store.inherit(BTC, given()).result()
    put(store, DAY, DAY + 700, Source.ARCHIVE_DAY)  # the candles of another source are others
    assert store.stale_published(BTC) == EMPTY  # what is missing may still say
    put(store, DAY + 700, 2 * DAY, Source.ARCHIVE_DAY)
    assert store.stale_published(BTC) == span(minute(DAY), minute(2 * DAY))
    assert store.edition(BTC) == 1
    put(store, 2 * DAY, 2 * DAY + 60)
    assert store.stale_published(BTC) == span(minute(DAY), minute(2 * DAY))
    store.close()


def test_what_was_here_before_is_compared_when_asked_for(tmp_path: Path) -> None:
    store = Store(tmp_path, exchange="a test")
    put(store, 0, DAY)
    put(store, DAY, 2 * DAY, Source.ARCHIVE_DAY)
    put(store, 2 * DAY + 50, 2 * DAY + 70)
    store.set_watermark(BTC, minute(2 * DAY + 69)).result()
    store.inherit(BTC, given()).result()
    assert store.watermark(BTC) == END - MINUTE_MS  # it goes back
    assert store.inherited(BTC) == span(minute(2 * DAY), minute(2 * DAY + 50))
    assert list(store.inherited_days(BTC)) == [minute(0), minute(DAY), minute(2 * DAY)]
    assert store.stale_published(BTC) == EMPTY
    for day in store.inherited_days(BTC):
        store.compare_inherited(BTC, day).result()
    assert list(store.inherited_days(BTC)) == [minute(2 * DAY)]  # not whole
    assert store.stale_published(BTC) == span(minute(DAY), minute(2 * DAY))
    assert store.unpublished(BTC) == span(minute(100), minute(110))
    store.close()


def test_what_was_owed_before_is_forgotten(tmp_path: Path) -> None:
    store = Store(tmp_path, exchange="a test")
    put(store, 0, 10)
    store.set_watermark(BTC, minute(9)).result()
    store.mark_stale_published(BTC, span(minute(0), minute(5))).result()
    assert store.stale_published(BTC)
    counted = span(minute(0), minute(10))
    check = {minute(0): check_of(rows(0, 10))}
    store.inherit(BTC, given(counted=counted, days=check, watermark=minute(9), until=minute(10))).result()
    assert (store.stale_published(BTC), store.unpublished(BTC)) == (EMPTY, EMPTY)
    assert store.inherited(BTC) == EMPTY
    store.close()


def test_it_is_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    store = Store(tmp_path, exchange="a test")
    store.inherit(BTC, given(checkpoint=lambda edition: b"edition %d" % edition)).result()
    store.close()
    store = Store(tmp_path, exchange="a test")
    assert (store.watermark(BTC), store.inherited(BTC)) == (END - MINUTE_MS, COUNTED)
    assert store.checkpoint(BTC) == b"edition 0"
    put(store, DAY, 2 * DAY, Source.ARCHIVE_DAY)
    assert store.stale_published(BTC) == span(minute(DAY), minute(2 * DAY))
    store.close()


def test_minutes_of_the_stream_after_it_go_on_as_ever(tmp_path: Path) -> None:
    store = Store(tmp_path, exchange="a test")
    store.inherit(BTC, given()).result()
    put(store, 2 * DAY + 60, 2 * DAY + 62, Source.STREAM)
    assert store.unpublished(BTC) == EMPTY
    assert store.present(BTC) == Coverage([(END, END + 2 * MINUTE_MS)])
    store.close()
