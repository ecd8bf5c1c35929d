"""Fault 12 of the table: nineteen days of files, another fault in each, read by one engine at its start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from feed import until
from holding import BTC, NOON, all_live, exchange_of, feed_of
from virtual_time import in_virtual_time

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.core.coverage import span

TODAY = NOON - NOON % DAY_MS
#: Day of a fault, 1 being yesterday: its name, its parameters, and whether that day's file is believed.
FAULTS: tuple[tuple[str, dict[str, Any], bool], ...] = (
    ("missing-file", {}, False),
    ("forbidden-file", {}, False),
    ("bad-checksum", {}, False),
    ("bad-checksum", {"how": "empty"}, True),  # as good as none
    ("no-checksum", {}, True),
    ("corrupt-zip", {}, False),
    ("corrupt-zip", {"how": "end"}, False),
    ("corrupt-zip", {"signed": False}, False),
    ("zip-bomb", {}, False),
    ("zip-path", {"prefix": "../../escaped/"}, False),
    ("two-members", {}, False),
    ("csv-long-header", {}, True),
    ("csv-no-header", {}, True),
    ("csv-crlf", {}, True),
    ("csv-microseconds", {}, True),
    ("missing-rows", {"minute": 600}, True),
    ("duplicate-rows", {}, True),
    ("unsorted-rows", {}, True),
    ("zero-rows", {}, True),
)


@in_virtual_time
async def test_12_every_bad_file_costs_its_own_day_a_source_and_nothing_more(tmp_path: Path) -> None:
    storage = tmp_path / "here" / "store"
    storage.parent.mkdir()
    async with exchange_of([BTC]) as exchange:
        for day, (fault, parameters, _) in enumerate(FAULTS, 1):
            exchange.faults.switch_on(fault, target=_date(day), **parameters)
        async with feed_of(exchange, storage, [BTC], days=len(FAULTS)) as feed:
            await until(lambda: all_live(feed), 90)
            await feed.holds()
            for day, (fault, _, believed) in enumerate(FAULTS, 1):
                start = TODAY - day * DAY_MS
                _, sources = feed.engine.store.read_sourced(BTC, start, start + DAY_MS)
                by_rest = int((sources == Source.REST).sum())
                few = {"missing-rows": 30, "zero-rows": 74}.get(fault, 0)
                assert by_rest == (few if believed else 1440), fault
                certified = feed.engine.store.certified(BTC).clip(start, start + DAY_MS)
                assert bool(certified) == (day not in (4, 5)), fault
            everything = span(TODAY - len(FAULTS) * DAY_MS, TODAY)
            unchecked = span(TODAY - 5 * DAY_MS, TODAY - 3 * DAY_MS)
            assert not everything.subtract(feed.engine.store.certified(BTC)).subtract(unchecked)
            for day, (_, _, believed) in enumerate(FAULTS[2:11], 3):
                assert believed or feed.said(f"BTCUSDT-1m-{_date(day)}", "the next source is asked")
            assert feed.counted("archive_files_missing") == 2
            assert feed.counted("archive_files_refused") == 7
            assert feed.counted("archive_defects") == 74
            assert feed.engine.tracked[BTC].start == everything.start
            assert MINUTE_MS * everything.minutes == len(FAULTS) * DAY_MS
    # Nothing was written beside the store.
    assert {path.relative_to(tmp_path).parts[:2] for path in _files(tmp_path)} == {("here", "store")}
    assert not [
        path for path in _files(tmp_path) if path.suffix in (".csv", ".zip") or "escaped" in str(path)
    ]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _date(day: int) -> str:
    """The date of the day that was ``day`` days ago."""
    return f"2026-03-{10 - day:02}" if day < 10 else f"2026-02-{38 - day:02}"
