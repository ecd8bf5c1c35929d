from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import msgspec
import numpy as np
import pytest
from examples import some_of
from samples import MONTHS, real_month, walk
from store_child import FIRST, candle_of, rows_of
from stores import BTC, EVER, append, minute

from tui_feeder.engine.core.candle import DAY_MS, Candle, Source, to_candles
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.storage.store import Quarantined, Store, Unavailable, Written

RANKED = [Source.ARCHIVE_UNCHECKED, Source.STREAM, Source.REST, Source.ARCHIVE_DAY, Source.ARCHIVE_MONTH]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store", exchange="a test")
    yield opened
    opened.close()


def reopened(store: Store) -> Store:
    store.close()
    return Store(store.path, exchange="a test")


def with_close(candle: Candle, close: float) -> Candle:
    return msgspec.structs.replace(candle, close=close)


@pytest.mark.parametrize("month", MONTHS[:3])
def test_a_real_month_comes_back_equal_after_a_restart(store: Store, month: str) -> None:
    rows = real_month(month)
    written = store.put(month, rows, Source.ARCHIVE_MONTH).result()
    assert written == Written(added=len(rows))
    again = reopened(store)
    found, sources = again.read_sourced(month, 0, EVER)
    assert np.array_equal(found, rows)
    assert set(sources.tolist()) == {Source.ARCHIVE_MONTH}
    assert again.present(month) == Coverage.of_times(rows["open_time"])
    assert again.candles() == len(rows)
    again.close()


def test_the_same_rows_in_any_order_of_days_and_overlap_are_stored_once(store: Store) -> None:
    rows = walk(4 * 1_440, start=FIRST)
    pieces = [slice(2_000, 4_000), slice(0, 100), slice(5_000, 5_760), slice(90, 2_100), slice(3_999, 5_001)]
    added = sum(store.put(BTC, rows[piece], Source.REST).result().added for piece in pieces)
    assert added == len(rows)
    assert np.array_equal(store.read(BTC, 0, EVER), rows)
    assert store.present(BTC) == span(FIRST, FIRST + 4 * DAY_MS)


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 2_880), (1_430, 1_450), (1_439, 1_440), (1_440, 1_441), (100, 100), (200, 100), (2_879, 9_999)],
)
def test_reading_goes_across_days_and_takes_nothing_outside(store: Store, start: int, end: int) -> None:
    rows = walk(2_880, start=FIRST)
    store.put(BTC, rows, Source.REST).result()
    store.put("BTCUSDT2", rows, Source.REST).result()
    store.put("BTCUSD", rows, Source.REST).result()
    found = store.read(BTC, minute(start), minute(end))
    assert np.array_equal(found, rows[start : max(start, end)])


def test_a_symbol_that_was_never_seen_is_empty(store: Store) -> None:
    assert len(store.read(BTC, 0, EVER)) == 0
    assert store.present(BTC) == store.certified(BTC) == store.outages(BTC) == EMPTY
    assert store.listed(BTC) is store.watermark(BTC) is None
    assert store.unavailable(BTC) == ()
    assert store.quarantined(BTC) == []
    assert store.symbols() == []
    assert store.candles() == 0


def test_symbols_are_kept_apart_whatever_their_names(store: Store) -> None:
    names = ["BTC", "BTCUSDT", "BTCUSDT2", "币安人生USDT", "a b", "1000PEPEUSDT"]
    for n, name in enumerate(names):
        store.append(name, candle_of(minute(n), Source.REST), Source.REST).result()
    assert store.symbols() == sorted(names)
    for n, name in enumerate(names):
        assert store.read(name, 0, EVER)["open_time"].tolist() == [minute(n)]
        assert store.present(name) == span(minute(n), minute(n + 1))
    assert store.candles() == len(names)
    with pytest.raises(ValueError, match="not a symbol"):
        store.put("A\0B", rows_of(FIRST, minute(5), Source.REST), Source.REST).result()


def tail_rows(store: Store) -> int:
    environment = store._environment
    with environment.reading() as txn:
        return int(txn.stat(environment.tail.database)["entries"])


def test_live_minutes_wait_in_the_tail_and_are_folded_when_the_day_is_over(store: Store) -> None:
    for n in range(1_430, 1_440):
        assert append(store, n) == Written(added=1)
    assert tail_rows(store) == 10
    append(store, 1_440)
    assert tail_rows(store) == 1
    append(store, 1_441)
    rows, sources = store.read_sourced(BTC, 0, EVER)
    wanted = [candle_of(minute(n), Source.STREAM) for n in range(1_430, 1_442)]
    assert to_candles(rows) == wanted
    assert set(sources.tolist()) == {Source.STREAM}
    assert to_candles(store.read(BTC, minute(1_435), minute(1_441))) == wanted[5:11]


def test_a_tail_left_by_an_earlier_run_is_folded_too(store: Store) -> None:
    append(store, 1_439)
    again = reopened(store)
    append(again, 3 * 1_440)
    assert tail_rows(again) == 1
    assert len(again.read(BTC, 0, EVER)) == 2
    again.close()


def test_minutes_closed_one_by_one_by_rest_stay_in_the_tail(store: Store) -> None:
    for n in range(5):
        store.put(BTC, rows_of(minute(n), minute(n + 1), Source.REST), Source.REST).result()
    assert tail_rows(store) == 5
    assert len(store.read(BTC, 0, EVER)) == 5


def test_a_repair_in_the_middle_of_the_live_day_leaves_every_minute_once(store: Store) -> None:
    for n in (0, 1, 2, 50, 51):
        append(store, n)
    written = store.put(BTC, rows_of(minute(1), minute(51), Source.REST), Source.REST).result()
    assert written.added == 47
    assert written.changed == (minute(1), minute(2), minute(50))
    append(store, 52)
    rows, sources = store.read_sourced(BTC, 0, EVER)
    assert rows["open_time"].tolist() == [minute(n) for n in range(53)]
    assert sources.tolist() == [2] + [3] * 50 + [2, 2]


def test_an_older_minute_that_comes_late_is_stored_in_its_place(store: Store) -> None:
    append(store, 5 * 1_440)
    append(store, 3)
    append(store, 5 * 1_440 + 1)
    assert store.read(BTC, 0, EVER)["open_time"].tolist() == [
        minute(3), minute(5 * 1_440), minute(5 * 1_440 + 1),
    ]  # fmt: skip


@pytest.mark.parametrize(("first", "second", "tail"), some_of(tuple(product(RANKED, RANKED, (True, False)))))
def test_where_sources_disagree_the_better_one_is_kept_and_the_difference_is_counted(
    store: Store, first: Source, second: Source, tail: bool
) -> None:
    end = minute(1 if tail else 1_440)
    store.put(BTC, rows_of(FIRST, end, first), first).result()
    written = store.put(BTC, rows_of(FIRST, end, second), second).result()
    rows, sources = store.read_sourced(BTC, 0, EVER)
    kept = max(first, second, key=RANKED.index)
    assert np.array_equal(rows, rows_of(FIRST, end, kept))
    assert set(sources.tolist()) == {kept}
    assert written.added == 0
    assert written.conflicts == (len(rows) if first != second else 0)
    wins = RANKED.index(second) > RANKED.index(first)
    assert written.changed == (tuple(rows["open_time"].tolist()) if wins else ())


def test_equal_values_of_a_better_source_are_no_conflict_but_their_provenance_is_kept(store: Store) -> None:
    rows = rows_of(FIRST, minute(3), Source.STREAM)
    store.put(BTC, rows, Source.STREAM).result()
    assert store.put(BTC, rows[1:2], Source.REST).result() == Written()
    assert store.read_sourced(BTC, 0, EVER)[1].tolist() == [2, 3, 2]


def test_a_second_read_of_the_same_source_replaces_the_first(store: Store) -> None:
    append(store, 0, Source.REST)
    other = with_close(candle_of(minute(0), Source.REST), candle_of(minute(0), Source.REST).high)
    assert store.append(BTC, other, Source.REST).result() == Written(0, (minute(0),), 1)
    assert to_candles(store.read(BTC, 0, EVER)) == [other]


def test_rows_that_are_there_already_are_not_written_again(store: Store) -> None:
    rows = walk(10 * 1_440, start=FIRST)
    store.put(BTC, rows, Source.ARCHIVE_DAY).result()
    size = store.file_bytes()
    for _ in range(20):
        assert store.put(BTC, rows, Source.REST).result() == Written()
    assert store.file_bytes() <= size + 10 * 4_096


def test_only_rows_that_were_given_are_certified(store: Store) -> None:
    append(store, 2)  # from the stream: nobody vouches for it
    rows = rows_of(FIRST, minute(10), Source.ARCHIVE_MONTH)
    file = np.delete(rows, [2, 7])
    store.put(BTC, file, Source.ARCHIVE_MONTH, certify=span(FIRST - DAY_MS, FIRST + DAY_MS)).result()
    certified = Coverage([(FIRST, minute(2)), (minute(3), minute(7)), (minute(8), minute(10))])
    assert store.certified(BTC) == certified
    assert store.present(BTC) == certified.union(span(minute(2), minute(3)))
    again = reopened(store)
    assert again.certified(BTC) == certified
    again.close()


def test_nothing_is_certified_that_was_not_asked_to_be(store: Store) -> None:
    rows = rows_of(FIRST, minute(10), Source.ARCHIVE_DAY)
    store.put(BTC, rows, Source.ARCHIVE_DAY).result()
    assert store.certified(BTC) == EMPTY
    store.put(BTC, rows, Source.ARCHIVE_DAY, certify=span(minute(2), minute(4))).result()
    assert store.certified(BTC) == span(minute(2), minute(4))


def test_a_minute_read_by_rest_is_certified_even_where_the_stream_was_first(store: Store) -> None:
    append(store, 0, Source.STREAM)
    assert store.certified(BTC) == EMPTY
    append(store, 0, Source.REST)
    append(store, 1, Source.REST)
    assert store.certified(BTC) == span(minute(0), minute(2))


def test_the_watermark_never_goes_back(store: Store) -> None:
    store.set_watermark(BTC, minute(5)).result()
    store.set_watermark(BTC, minute(3)).result()
    assert store.watermark(BTC) == minute(5)
    append(store, 4)
    assert store.watermark(BTC) == minute(5)
    append(store, 9)
    store.append(BTC, candle_of(minute(12), Source.REST), Source.REST, watermark=False).result()
    assert store.watermark(BTC) == minute(9)
    again = reopened(store)
    assert again.watermark(BTC) == minute(9)
    again.close()


def test_the_message_of_a_minute_counts_as_made_even_where_its_row_was_there_first(store: Store) -> None:
    store.put(BTC, rows_of(FIRST, minute(3), Source.REST), Source.REST).result()
    assert store.watermark(BTC) is None
    append(store, 1)
    assert store.watermark(BTC) == minute(1)


def test_what_is_known_of_a_symbol_survives_a_restart(store: Store) -> None:
    hopeless = (Unavailable(minute(3), minute(9), "no source has these minutes", 4, minute(500)),
                Unavailable(minute(20), minute(21), "é", 1, 0))  # fmt: skip
    store.set_listed(BTC, minute(1)).result()
    store.set_unavailable(BTC, hopeless).result()
    store.add_outage(BTC, span(minute(4), minute(6))).result()
    store.add_outage(BTC, span(minute(6), minute(7))).result()
    again = reopened(store)
    assert again.listed(BTC) == minute(1)
    assert again.unavailable(BTC) == hopeless
    assert again.outages(BTC) == span(minute(4), minute(7))
    assert again.symbols() == [BTC]
    again.set_unavailable(BTC, ()).result()
    once_more = reopened(again)
    assert once_more.unavailable(BTC) == ()
    once_more.close()


def test_refused_candles_are_kept_with_their_reason_by_minute_and_source(store: Store) -> None:
    long = b'{"raw":"' + b"x" * 10_000 + b'"}'
    store.quarantine(BTC, minute(1), Source.STREAM, b'{"reason":"a"}').result()
    store.quarantine(BTC, minute(1), Source.STREAM, b'{"reason":"b"}').result()
    store.quarantine(BTC, minute(1), Source.REST, long).result()
    store.quarantine("BTCUSDT2", minute(1), Source.REST, b"{}").result()
    for odd in (-5, 1 << 80):
        store.quarantine("ODD", odd, Source.STREAM, b"{}").result()
    assert store.quarantined(BTC) == [
        Quarantined(minute(1), Source.STREAM, b'{"reason":"b"}'),
        Quarantined(minute(1), Source.REST, long),
    ]
    assert len(store.quarantined("ODD")) == 2
    assert store.present(BTC) == EMPTY
