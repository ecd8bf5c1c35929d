from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from history_parts import FEBRUARY, LTC, TODAY, Reading, reading, truth

from tui_feeder.engine.core.archive_file import File, FileKind
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.exchanges.base import ArchiveError
from tui_feeder.engine.exchanges.binance import archive

DAY = File(TODAY - DAY_MS, TODAY, FileKind.DAY)
MONTH = File(*FEBRUARY, FileKind.MONTH)


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Reading]:
    async with reading(tmp_path / "store", timeout=5.0) as made:
        yield made


@pytest.mark.parametrize("file", [DAY, MONTH])
async def test_a_file_is_what_its_checksum_says_and_is_known_by_hash_and_etag(
    parts: Reading, file: File
) -> None:
    found = await parts.archive.fetch(file, LTC)
    np.testing.assert_array_equal(found.rows, truth(parts.exchange, LTC, file.start, file.end))
    url = parts.exchange.archive_url + found.path
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        body, etag = await answer.read(), answer.headers["ETag"]
    assert (found.checked, found.note, found.refused) == (True, "", ())
    assert (found.sha256, found.etag, found.size) == (hashlib.sha256(body).hexdigest(), etag, len(body))


@pytest.mark.parametrize(
    ("fault", "parameters", "says"),
    [
        ("bad-checksum", {}, "its SHA256 is not the one stated"),
        ("corrupt-zip", {}, "LTCUSDT-1m-2026-03-09.zip: "),
        ("corrupt-zip", {"how": "end"}, "not a readable zip"),
        ("corrupt-zip", {"how": "html"}, "not a readable zip"),
        ("corrupt-zip", {"signed": False}, "its SHA256 is not the one stated"),
        ("zip-bomb", {}, "unpacks to more than 64 MiB"),
        ("zip-bomb", {"lying": True}, "unpacks to more than 64 MiB"),
        ("zip-path", {}, "has a path in its name"),
        ("zip-path", {"prefix": "/etc/"}, "has a path in its name"),
        ("zip-path", {"prefix": "..\\"}, "has a path in its name"),
        ("two-members", {}, "it has 2 members, not one"),
    ],
)
async def test_a_file_that_is_wrong_is_tried_once_more_and_then_refused_with_its_reason(
    parts: Reading, tmp_path: Path, fault: str, parameters: dict[str, Any], says: str
) -> None:
    before = sorted(tmp_path.parent.rglob("*.csv"))
    parts.exchange.faults.switch_on(fault, **parameters)
    with pytest.raises(ArchiveError) as refused:
        await parts.archive.fetch(DAY, LTC)
    assert "LTCUSDT-1m-2026-03-09.zip" in str(refused.value)
    assert says in str(refused.value)
    assert not refused.value.missing
    assert parts.zips() == ["daily 2026-03-09"] * 2
    # Nothing of it went to disk, in the store or above it.
    assert sorted(tmp_path.parent.rglob("*.csv")) == before
    parts.exchange.faults.switch_off()
    parts.exchange.faults.switch_on(fault, count=1, **parameters)
    assert (await parts.archive.fetch(DAY, LTC)).checked


@pytest.mark.parametrize("fault", ["missing-file", "forbidden-file"])
async def test_a_file_that_is_not_there_is_missing_and_not_asked_for_again(
    parts: Reading, fault: str
) -> None:
    parts.exchange.faults.switch_on(fault)
    with pytest.raises(ArchiveError, match="is not there") as refused:
        await parts.archive.fetch(DAY, LTC)
    assert refused.value.missing
    assert parts.exchange.faults.struck[fault] == 2  # the checksum and the zip


async def test_the_file_of_today_is_not_there(parts: Reading) -> None:
    with pytest.raises(ArchiveError) as refused:
        await parts.archive.fetch(File(TODAY, TODAY + DAY_MS, FileKind.DAY), LTC)
    assert refused.value.missing


@pytest.mark.parametrize(
    ("fault", "parameters"),
    [("no-checksum", {}), ("bad-checksum", {"how": "empty"}), ("bad-checksum", {"how": "html"})],
)
async def test_without_a_checksum_a_file_is_read_and_not_vouched_for(
    parts: Reading, fault: str, parameters: dict[str, Any]
) -> None:
    parts.exchange.faults.switch_on(fault, **parameters)
    found = await parts.archive.fetch(DAY, LTC)
    assert not found.checked
    assert found.note == "LTCUSDT-1m-2026-03-09.zip has no checksum: usable, not certified"
    np.testing.assert_array_equal(found.rows, truth(parts.exchange, LTC, DAY.start, DAY.end))


@pytest.mark.parametrize(
    "fault",
    ["csv-no-header", "csv-long-header", "csv-crlf", "csv-microseconds", "duplicate-rows", "unsorted-rows"],
)
@pytest.mark.parametrize("file", [DAY, MONTH])
async def test_every_form_of_a_file_gives_the_same_candles(parts: Reading, fault: str, file: File) -> None:
    parts.exchange.faults.switch_on(fault)
    found = await parts.archive.fetch(file, LTC)
    assert parts.exchange.faults.struck[fault] == 1
    np.testing.assert_array_equal(found.rows, truth(parts.exchange, LTC, file.start, file.end))


async def test_a_download_that_breaks_off_is_taken_up_again(parts: Reading) -> None:
    told: list[int] = []
    parts.exchange.faults.switch_on("cut-file", count=2)
    found = await parts.archive.fetch(DAY, LTC, on_bytes=told.append)
    assert found.checked
    assert parts.exchange.faults.struck["cut-file"] == 2
    assert sum(told) > found.size  # what came in vain is traffic too
    parts.exchange.faults.switch_on("cut-file")
    with pytest.raises(ArchiveError, match="3 tries"):
        await parts.archive.fetch(DAY, LTC)


async def test_an_archive_that_hangs_is_given_up(tmp_path: Path) -> None:
    async with reading(tmp_path / "store", timeout=1.0) as parts:
        parts.exchange.faults.switch_on("refuse-connections", how="blackhole")
        with pytest.raises(ArchiveError, match="3 tries"):
            await parts.archive.fetch(DAY, LTC)


async def test_a_download_that_trickles_holds_its_slot_for_a_time_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:  # never still for as long as a read may be, and never at its end
            await answer.write(b"x")
            await asyncio.sleep(0.02)

    monkeypatch.setattr(archive, "_WHOLE_TIMEOUTS", 4)
    server = TestServer(web.Application())
    server.app.router.add_get("/{path:.*}", trickle)
    await server.start_server()
    workers = ThreadPoolExecutor(1)
    client = archive.ArchiveClient(str(server.make_url("/")), workers, concurrency=1, timeout=0.5)
    try:
        with pytest.raises(ArchiveError, match=r"\.CHECKSUM: not read within 2 s"):
            async with asyncio.timeout(20):
                await client.fetch(DAY, LTC)
    finally:
        await client.close()
        await server.close()
        workers.shutdown()
