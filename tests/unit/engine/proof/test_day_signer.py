"""Signing a day: what waits, what is signed after seven days, corrections, heads that wait."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from samples import MIDNIGHT, walk

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.engine.proof.day_signer import DaySigner
from tui_feeder.engine.proof.folder import HeadPlace, ProofWriter
from tui_feeder.engine.proof.signing import make_key
from tui_feeder.engine.storage.store import FileRecord, Store

NOON_AFTER = MIDNIGHT + DAY_MS + DAY_MS // 2
A, B = "ADAUSDT", "BTCUSDT"


@dataclass
class Signing:
    """A signer with a store, an archive that is given by hand, and a clock moved by hand."""

    store: Store
    writer: ProofWriter
    workers: ThreadPoolExecutor
    now: int = NOON_AFTER
    archive: set[str] = field(default_factory=set)  # symbols whose file is there
    asked: list[str] = field(default_factory=list)
    lacking: str = ""  # of what others know of the day

    def signer(self) -> DaySigner:
        return DaySigner(
            self.store, lambda _: USDM.facts, lambda: self.now, self.writer, self.workers, self.compare,
            concurrency=2, more=lambda _symbol, _day: ({"note": "more"}, self.lacking),
        )  # fmt: skip

    async def compare(self, symbol: str, day: int) -> None:
        self.asked.append(symbol)
        if symbol in self.archive:
            path = f"/data/futures/um/daily/klines/{symbol}/1m/{symbol}-1m-2026-01-01.zip"
            self.store.set_file(path, FileRecord("", "cd" * 32, 5, self.now)).result()
            self.store.put(symbol, walk(1_440), Source.ARCHIVE_DAY).result()

    def leaf(self, head: HeadPlace | None, symbol: str = A) -> dict[str, Any]:
        assert head is not None
        (found,) = [leaf for leaf in head.leaves() if leaf.name == f"usdm/{symbol}"]
        fields = json.loads(found.raw)
        assert isinstance(fields, dict)
        return fields


@pytest.fixture
def signing(tmp_path: Path) -> Iterator[Signing]:
    store = Store(tmp_path / "store", exchange="a test")
    writer = ProofWriter(tmp_path / "proof", make_key(tmp_path / "key"))
    workers = ThreadPoolExecutor(1)
    yield Signing(store, writer, workers)
    workers.shutdown()
    writer.close()
    store.close()


async def test_live_minutes_are_compared_with_the_archive_and_signed(signing: Signing) -> None:
    signing.store.put(A, walk(1_440), Source.STREAM).result()
    signing.archive = {A}
    result = await signing.signer().sign(MIDNIGHT, [A], together=True)
    assert (result.signed, result.corrected, result.waiting, result.settled) == (1, 0, {}, [A])
    assert signing.asked == [A]
    assert signing.leaf(result.head)["sources"]["minutes"] == {"archive": 1_440}
    again = await signing.signer().sign(MIDNIGHT, [A], together=True)
    assert (again.head, again.settled, signing.asked) == (None, [A], [A])


async def test_an_archive_is_not_asked_for_before_it_can_be_there(signing: Signing) -> None:
    signing.store.put(A, walk(1_440), Source.STREAM).result()
    signing.now = MIDNIGHT + DAY_MS + 60 * MINUTE_MS
    result = await signing.signer().sign(MIDNIGHT, [A], together=True)
    assert (result.head, result.waiting, signing.asked) == (None, {A: "no archive file yet"}, [])


async def test_without_an_archive_a_day_is_signed_after_seven_days(signing: Signing) -> None:
    signing.store.put(A, walk(1_440), Source.STREAM).result()
    signing.now = MIDNIGHT + 8 * DAY_MS - 1
    result = await signing.signer().sign(MIDNIGHT, [A], together=False)
    assert result.waiting == {A: "no archive file yet"}
    signing.now += 1
    result = await signing.signer().sign(MIDNIGHT, [A], together=False)
    assert signing.leaf(result.head)["sources"]["archive"] is None
    assert signing.asked == [A, A]  # the last time too


async def test_missing_minutes_are_waited_for_and_signed_as_missing_at_last(signing: Signing) -> None:
    signing.store.put(A, walk(1_440)[:1_000], Source.STREAM).result()
    path = f"/data/futures/um/daily/klines/{A}/1m/{A}-1m-2026-01-01.zip"
    signing.store.set_file(path, FileRecord("", "cd" * 32, 5, signing.now)).result()
    signing.store.put(A, walk(1_440)[:1_000], Source.ARCHIVE_DAY).result()
    result = await signing.signer().sign(MIDNIGHT, [A], together=False)
    assert result.waiting == {A: "minutes are missing"}
    signing.now = MIDNIGHT + 8 * DAY_MS
    result = await signing.signer().sign(MIDNIGHT, [A], together=False)
    assert signing.leaf(result.head)["counts"]["m"] == 440


async def test_what_others_lack_is_waited_for_and_left_out_at_last(signing: Signing) -> None:
    for symbol in (A, B):
        signing.store.put(symbol, walk(1_440), Source.STREAM).result()
    signing.archive, signing.lacking = {A, B}, "its partition cannot be written"
    result = await signing.signer().sign(MIDNIGHT, [A], together=False)
    assert (result.head, result.waiting) == (None, {A: "its partition cannot be written"})
    signing.lacking = ""
    result = await signing.signer().sign(MIDNIGHT, [A], together=False)
    assert signing.leaf(result.head)["note"] == "more"
    signing.now, signing.lacking = MIDNIGHT + 8 * DAY_MS, "its partition cannot be written"
    result = await signing.signer().sign(MIDNIGHT, [B], together=False)
    assert (result.signed, result.waiting) == (1, {})


async def test_a_head_waits_two_days_for_the_last_symbols(signing: Signing) -> None:
    for symbol in (A, B):
        signing.store.put(symbol, walk(1_440), Source.STREAM).result()
    signing.archive = {A}
    result = await signing.signer().sign(MIDNIGHT, [A, B], together=True)
    assert (result.head, result.settled, list(result.waiting)) == (None, [], [B])
    signing.now = MIDNIGHT + 3 * DAY_MS
    result = await signing.signer().sign(MIDNIGHT, [A, B], together=True)
    assert (result.signed, result.settled) == (1, [A])
    signing.archive = {A, B}
    result = await signing.signer().sign(MIDNIGHT, [A, B], together=True)
    assert result.head is not None
    assert [leaf.name for leaf in result.head.leaves()] == [f"usdm/{B}"]


async def test_changed_minutes_are_a_correction_that_names_the_old_leaf(signing: Signing) -> None:
    for symbol in (A, B):
        signing.store.put(symbol, walk(1_440), Source.STREAM).result()
    signing.archive = {A, B}
    first = await signing.signer().sign(MIDNIGHT, [A, B], together=True)
    assert first.head is not None
    rows = walk(1_440)[75:76].copy()
    rows["close"] = rows["high"]
    rows["volume"] += 1
    signing.store.put(A, rows, Source.ARCHIVE_MONTH).result()
    result = await signing.signer().sign(MIDNIGHT, [A, B], together=True)
    assert (result.signed, result.corrected) == (0, 1)
    assert signing.leaf(result.head)["revision"] == 2
    assert result.head is not None
    (replaced,) = json.loads(result.head.read()[0])["replaces"]
    old = first.head.leaves()[0]
    assert (replaced["leaf"], replaced["name"]) == (old.hash, f"usdm/{A}")
    assert replaced["reason"].startswith("stored values were replaced: minute 01:15, field ")
    assert "volume" in replaced["reason"]


async def test_a_reason_can_be_given(signing: Signing) -> None:
    signing.store.put(A, walk(1_440), Source.STREAM).result()
    signing.archive = {A}
    await signing.signer().sign(MIDNIGHT, [A], together=True)
    rows = walk(1_440)[:1].copy()
    rows["volume"] += 1
    signing.store.put(A, rows, Source.ARCHIVE_MONTH).result()
    result = await signing.signer().sign(MIDNIGHT, [A], together=True, reason="replaced there")
    assert result.head is not None
    assert b'"reason":"replaced there"' in result.head.read()[0]


async def test_a_symbol_without_minutes_that_day_has_no_leaf(signing: Signing) -> None:
    signing.store.put(A, walk(10, start=MIDNIGHT + DAY_MS), Source.STREAM).result()
    result = await signing.signer().sign(MIDNIGHT, [A], together=True)
    assert (result.head, result.settled, signing.asked) == (None, [A], [])
