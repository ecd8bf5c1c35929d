from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from history_parts import (
    FEBRUARY,
    LTC,
    NOON,
    TODAY,
    Reading,
    assert_whole,
    days_before,
    minutes_from,
    reading,
    truth,
)

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.archive import HEADER

YESTERDAY = TODAY - DAY_MS


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Reading]:
    async with reading(tmp_path / "store", [LTC, "AVAXUSDT", "BTCUSDT"]) as made:
        yield made


def sources(store: Store, start: int, end: int) -> dict[Source, int]:
    codes, counts = np.unique(store.read_sourced(LTC, start, end)[1], return_counts=True)
    return {Source(code): int(count) for code, count in zip(codes, counts, strict=True)}


async def test_months_days_and_pages_are_read_where_each_is_cheapest(parts: Reading) -> None:
    wanted = span(FEBRUARY[0] - 90 * MINUTE_MS, NOON - MINUTE_MS)  # the next one is not sure yet
    filled = await parts.fill(wanted)
    assert filled.got == parts.store.certified(LTC) == wanted
    assert sorted(parts.zips()) == sorted(
        [*(f"daily 2026-03-{day:02}" for day in range(1, 10)), "monthly 2026-02"]
    )
    assert sources(parts.store, *FEBRUARY) == {Source.ARCHIVE_MONTH: 28 * 1440}
    assert sources(parts.store, FEBRUARY[1], TODAY) == {Source.ARCHIVE_DAY: 9 * 1440}
    assert sources(parts.store, TODAY, NOON) == {Source.REST: 719}
    assert_whole(parts.store, parts.exchange, LTC, wanted.start, wanted.end)
    again = await parts.fill(wanted.subtract(parts.store.certified(LTC)))
    assert again.got == EMPTY


@pytest.mark.parametrize(
    ("fault", "parameters", "says"),
    [
        ("missing-file", {}, ""),
        ("forbidden-file", {}, ""),
        ("bad-checksum", {}, "SHA256"),
        ("corrupt-zip", {}, ""),
        ("zip-bomb", {}, "64 MiB"),
        ("zip-path", {}, "a path in its name"),
        ("two-members", {}, "2 members"),
        ("cut-file", {}, "3 tries"),
        ("missing-rows", {"minute": 500}, ""),
    ],
)
async def test_one_bad_file_costs_its_span_a_source_and_the_others_nothing(
    parts: Reading, fault: str, parameters: dict[str, Any], says: str
) -> None:
    parts.exchange.faults.switch_on(fault, target="2026-03-08", **parameters)
    wanted = days_before(3)
    filled = await parts.fill(wanted)
    assert filled.got == parts.store.certified(LTC) == wanted
    assert_whole(parts.store, parts.exchange, LTC, wanted.start, wanted.end)
    by_rest = sources(parts.store, YESTERDAY - DAY_MS, YESTERDAY).get(Source.REST, 0)
    assert by_rest == (30 if fault == "missing-rows" else 1440)
    assert sources(parts.store, YESTERDAY, TODAY) == {Source.ARCHIVE_DAY: 1440}
    counters = parts.journal.counters
    if fault.endswith("-file") and fault != "cut-file":
        assert counters["archive_files_missing"] == 1
    elif fault != "missing-rows":
        assert counters["archive_files_refused"] == 1
        assert parts.said("LTCUSDT-1m-2026-03-08.zip")
        assert parts.said(says)
        assert parts.said("the next source is asked")


@pytest.mark.parametrize("fault", ["missing-file", "bad-checksum", "corrupt-zip"])
async def test_a_bad_month_is_read_by_days(parts: Reading, fault: str) -> None:
    parts.exchange.faults.switch_on(fault, target="monthly")
    filled = await parts.fill(span(*FEBRUARY))
    assert filled.got == parts.store.certified(LTC) == span(*FEBRUARY)
    assert sources(parts.store, *FEBRUARY) == {Source.ARCHIVE_DAY: 28 * 1440}
    assert_whole(parts.store, parts.exchange, LTC, *FEBRUARY)


async def test_a_day_that_a_month_lacks_comes_from_its_daily_file_and_its_holes_from_rest(
    parts: Reading,
) -> None:
    parts.exchange.faults.switch_on("missing-rows", day=17, minute=60, minutes=5)
    filled = await parts.fill(span(*FEBRUARY))
    assert filled.got == parts.store.certified(LTC) == span(*FEBRUARY)
    assert parts.zips() == ["monthly 2026-02", "daily 2026-02-17"]
    assert sources(parts.store, *FEBRUARY) == {
        Source.ARCHIVE_MONTH: 27 * 1440, Source.ARCHIVE_DAY: 1435, Source.REST: 5,
    }  # fmt: skip
    assert_whole(parts.store, parts.exchange, LTC, *FEBRUARY)


async def test_without_checksums_all_is_there_and_nothing_is_certified(parts: Reading) -> None:
    parts.exchange.faults.switch_on("no-checksum")
    wanted = days_before(2)
    await parts.fill(wanted)
    assert_whole(parts.store, parts.exchange, LTC, wanted.start, wanted.end)
    assert parts.store.certified(LTC) == EMPTY
    assert parts.said("has no checksum: usable, not certified")
    parts.exchange.faults.switch_off()
    await parts.fill(wanted)
    assert parts.store.certified(LTC) == wanted
    assert parts.journal.counters["source_conflicts"] == 0


@pytest.mark.parametrize("target", ["daily", "monthly"])
async def test_zero_rows_though_there_was_trade_are_read_again_and_never_come_back(
    parts: Reading, target: str
) -> None:
    wanted = span(*FEBRUARY) if target == "monthly" else days_before(1)
    day = YESTERDAY if target == "daily" else FEBRUARY[0] + 16 * DAY_MS
    wrong = minutes_from(day + 1200 * MINUTE_MS, 74)
    parts.exchange.faults.switch_on("zero-rows", target=target)
    filled = await parts.fill(wanted)
    assert filled.got == parts.store.certified(LTC) == wanted
    assert_whole(parts.store, parts.exchange, LTC, wanted.start, wanted.end)
    assert sources(parts.store, wrong.start, wrong.end) == {Source.REST: 74}
    assert parts.journal.counters["archive_defects"] == 74
    assert parts.said("an archive shows 74 minutes without a trade; REST has their trades")
    # The archive says the same the next time, and is still wrong.
    file = "archive_month" if target == "monthly" else "archive_day"
    rows = truth(parts.exchange, LTC, wrong.start, wrong.end)
    rows["volume"] = 0.0
    parts.store.put(LTC, rows, Source[file.upper()], certify=wrong).result()
    assert_whole(parts.store, parts.exchange, LTC, wrong.start, wrong.end)


async def test_an_outage_that_rest_confirms_is_an_outage(parts: Reading) -> None:
    begin = YESTERDAY + 16 * 60 * MINUTE_MS
    parts.exchange.faults.switch_on("outage", duration=900, begin=begin)
    wanted = days_before(2)
    filled = await parts.fill(wanted)
    assert filled.got == parts.store.certified(LTC) == wanted
    assert parts.store.outages(LTC) == minutes_from(begin, 15)
    assert parts.journal.counters["outage_minutes"] == 15
    assert parts.journal.counters["archive_defects"] == 0
    assert_whole(parts.store, parts.exchange, LTC, wanted.start, wanted.end)


async def test_zero_rows_that_rest_cannot_be_asked_about_are_kept_and_not_certified(parts: Reading) -> None:
    parts.exchange.faults.switch_on("zero-rows", target="daily")
    parts.exchange.faults.switch_on("rest-451")
    wanted, wrong = days_before(1), minutes_from(YESTERDAY + 1200 * MINUTE_MS, 74)
    await parts.fill(wanted)
    assert parts.store.present(LTC) == wanted
    assert parts.store.certified(LTC) == wanted.subtract(wrong)
    assert parts.said("could not be read again (refused here")
    # Asked for again because it is not certified, it is settled.
    parts.exchange.faults.switch_off("rest-451")
    await parts.fill(wanted.subtract(parts.store.certified(LTC)))
    assert parts.store.certified(LTC) == wanted
    assert_whole(parts.store, parts.exchange, LTC, wanted.start, wanted.end)


async def test_a_minute_that_all_archives_show_without_trade_is_settled_although_it_is_one(
    parts: Reading,
) -> None:
    names = [LTC, "AVAXUSDT", "BTCUSDT"]
    parts.exchange.faults.switch_on("zero-rows", target="daily", minute=700, minutes=1)
    wanted, minute = days_before(1), YESTERDAY + 700 * MINUTE_MS
    for name in names:
        await parts.fill(wanted, name)
        assert parts.store.read(name, minute, minute + MINUTE_MS)["volume"].tolist() == [0.0]
        assert minute in parts.store.certified(name)  # alone it is nothing
    assert await parts.history.recheck_shared_zeros(names) == dict.fromkeys(names, minute)
    for name in names:
        assert_whole(parts.store, parts.exchange, name, wanted.start, wanted.end)
        assert parts.store.certified(name) == wanted
        np.testing.assert_array_equal(
            parts.store.read_sourced(name, minute, minute + MINUTE_MS)[1], [Source.REST]
        )
    assert await parts.history.recheck_shared_zeros(names) == {}


async def test_a_file_that_was_replaced_is_noticed(parts: Reading) -> None:
    wanted = days_before(1)
    await parts.fill(wanted)
    path = parts.exchange.archive_log[-1]
    kept = parts.store.file(path)
    assert kept is not None
    assert (len(kept.sha256), kept.etag[:1], kept.read_at) == (64, '"', NOON + 30_000)
    await parts.fill(wanted)
    assert not parts.said("another file")
    parts.exchange.faults.switch_on("csv-crlf")
    await parts.fill(wanted)
    assert parts.said("LTCUSDT-1m-2026-03-09.zip is another file than the one read before")
    assert parts.journal.counters["archive_files_replaced"] == 1
    after = parts.store.file(path)
    assert after is not None
    assert after.sha256 != kept.sha256


@contextlib.asynccontextmanager
async def archive_of(files: dict[str, bytes]) -> AsyncIterator[str]:
    """An archive that has these zips, by name, and their checksums."""

    async def serve(request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2]
        body = files.get(name.removesuffix(".CHECKSUM"))
        if body is None:
            return web.Response(status=404)
        if name.endswith(".CHECKSUM"):
            return web.Response(text=f"{hashlib.sha256(body).hexdigest()}  {name}\n")
        return web.Response(body=body)

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_one_bad_row_is_quarantined_with_its_text_and_the_others_count(tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    async with archive_of(files) as url, reading(tmp_path, archive_url=url) as parts:
        lines = parts.exchange.market.archive_lines(LTC, YESTERDAY, TODAY).split(b"\n")
        close_time = str(YESTERDAY + 101 * MINUTE_MS - 1).encode()
        assert close_time in lines[100]
        lines[100] = lines[100].replace(close_time, close_time[:-1] + b"0")
        fields = lines[200].split(b",")
        lines[200] = b",".join([*fields[:2], b"0.01", *fields[3:]])  # high below low
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("LTCUSDT-1m-2026-03-09.csv", HEADER + b"\n".join(lines))
        files["LTCUSDT-1m-2026-03-09.zip"] = packed.getvalue()
        wanted = days_before(1)
        filled = await parts.fill(wanted)
        assert filled.got == parts.store.certified(LTC) == wanted
        assert_whole(parts.store, parts.exchange, LTC, wanted.start, wanted.end)
        assert sources(parts.store, YESTERDAY, TODAY) == {Source.ARCHIVE_DAY: 1438, Source.REST: 2}
        first, second = parts.store.quarantined(LTC)
        assert [first.open_time, second.open_time] == [YESTERDAY + at * MINUTE_MS for at in (100, 200)]
        record = json.loads(first.record)
        assert record["row"] == lines[100].decode()
        assert record["reason"] == "it does not close 60000 ms after it opens"
        assert json.loads(second.record)["reason"] == "open or close lies outside low..high"
        assert parts.journal.counters["quarantined_candles"] == 2


async def test_what_no_source_has_is_told_apart_from_what_could_not_be_asked(parts: Reading) -> None:
    parts.exchange.faults.switch_on("missing-file")
    parts.exchange.faults.switch_on("rest-empty")
    wanted = days_before(1)
    filled = await parts.fill(wanted)
    assert (filled.absent, filled.failed, filled.got) == (wanted, EMPTY, EMPTY)
    assert filled.reason == "no source has these minutes"
    parts.exchange.faults.switch_off("rest-empty")
    parts.exchange.faults.switch_on("rest-5xx")
    filled = await parts.fill(wanted)
    assert (filled.absent, filled.failed) == (Coverage(), wanted)
    assert filled.reason == "exchange error: the exchange answers 503"
