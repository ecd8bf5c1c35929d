"""Corrected minutes are numbered, in order, for readers that have passed them."""

from __future__ import annotations

from pathlib import Path

from tests.support.store_child import candle_of
from tests.support.stores import BTC, append, minute
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source, to_rows
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.storage.corrections import Correction, decode_corrections, with_correction
from tui_feeder.engine.storage.store import Store


def test_replaced_and_late_minutes_are_corrections_and_appended_ones_are_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for n in (0, 1, 2, 5, 6):
        append(store, n)
    assert store.corrections(BTC) == ()
    append(store, 3)  # late: 4 is still missing
    assert store.corrections(BTC) == (Correction(1, minute(3), minute(4)),)
    same = to_rows([candle_of(minute(n), Source.STREAM) for n in range(3)])
    store.put(BTC, same, Source.REST).result()
    assert len(store.corrections(BTC)) == 1
    other = to_rows([candle_of(minute(1), Source.REST), candle_of(minute(2), Source.REST)])
    store.put(BTC, other, Source.REST).result()
    assert store.corrections(BTC)[1:] == (Correction(2, minute(1), minute(3)),)
    store.close()
    reader = Store(tmp_path, read_only=True)
    assert [found.number for found in reader.corrections(BTC)] == [1, 2]
    reader.close()


def test_history_that_is_read_later_is_no_correction(tmp_path: Path) -> None:
    store = Store(tmp_path)
    append(store, 10 * 1440)
    old = to_rows([candle_of(minute(n), Source.ARCHIVE_DAY) for n in range(3)])
    store.put(BTC, old, Source.ARCHIVE_DAY).result()
    assert store.corrections(BTC) == ()
    store.close()


def test_the_record_is_bounded_and_loses_no_minute() -> None:
    record: bytes | None = None
    for n in range(1_000):
        record = with_correction(record, Coverage([(n * DAY_MS, n * DAY_MS + MINUTE_MS)]))
    found = decode_corrections(record)
    assert len(found) <= 256
    assert [one.number for one in found] == sorted({one.number for one in found})
    assert found[-1] == Correction(1_000, 999 * DAY_MS, 999 * DAY_MS + MINUTE_MS)
    for n in range(1_000):
        assert any(one.start <= n * DAY_MS < one.end and one.number > n for one in found)


def test_a_damaged_record_counts_as_a_correction_of_everything() -> None:
    (found,) = decode_corrections(b"\xff")
    assert (found.start, found.number > 1 << 32) == (0, True)
    later = decode_corrections(with_correction(b"\xff", Coverage([(0, MINUTE_MS)])))
    assert later[-1].number > found.number
