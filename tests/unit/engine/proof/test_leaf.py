"""Leaves: what a day was compared with, minutes that are not the archive's, states of the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import proof_from_document
import pytest
from samples import MIDNIGHT, walk

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.core.coverage import span
from tui_feeder.engine.exchanges.binance.coinm import COINM
from tui_feeder.engine.exchanges.binance.spot import SPOT
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.engine.proof.leaf import evidence_of, leaf_name, make_leaf
from tui_feeder.engine.storage.rest_reads import RestRead
from tui_feeder.engine.storage.store import FileRecord, Store, Unavailable

BTC = "BTCUSDT"
DAILY = "/data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2026-01-01.zip"
MONTHLY = "/data/futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2026-01.zip"
RECORD = FileRecord('"e"', "ab" * 32, 5, MIDNIGHT + DAY_MS, "ab" * 32 + "  x.zip", "Fri, 02 Jan 2026")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store", exchange="a test")
    yield opened
    opened.close()


def fields_of(store: Store, symbol: str = BTC, **more: object) -> dict[str, Any]:
    found = evidence_of(store, USDM.facts, symbol, MIDNIGHT)
    raw = make_leaf(store, USDM.facts, symbol, MIDNIGHT, found, 1, more)
    fields = json.loads(raw)
    assert raw == proof_from_document.canonical_json(fields)
    assert isinstance(fields, dict)
    return fields


def minute(number: int) -> int:
    return MIDNIGHT + number * MINUTE_MS


def test_a_day_of_a_daily_file(store: Store) -> None:
    store.put(BTC, walk(1_440), Source.ARCHIVE_DAY).result()
    store.set_file(DAILY, RECORD).result()
    fields = fields_of(store)
    assert fields["day"] == "2026-01-01"
    assert (fields["market"], fields["symbol"], fields["revision"]) == ("usdm", BTC, 1)
    assert fields["sources"]["archive"] == {
        "path": DAILY, "sha256": "ab" * 32, "checksum": RECORD.checksum, "etag": '"e"',
        "last_modified": "Fri, 02 Jan 2026", "read": "2026-01-02T00:00:00Z",
    }  # fmt: skip
    assert fields["sources"]["minutes"] == {"archive": 1_440}
    assert fields["sources"]["rest"] == []
    assert "other" not in fields
    assert "contract_size" not in fields
    assert sum(fields["counts"].values()) == 1_440


def test_minutes_of_rest_are_stated_with_what_they_are(store: Store) -> None:
    rows = walk(1_440)
    store.put(BTC, rows, Source.ARCHIVE_MONTH).result()
    store.set_file(MONTHLY, RECORD).result()
    better = rows[100:103].copy()
    better["volume"] += 1
    read = RestRead(minute(90), minute(110), minute(2_000) + 5)
    store.put(BTC, better, Source.REST, reject_archives=span(minute(100), minute(103)), read=read).result()
    fields = fields_of(store)
    assert fields["sources"]["archive"]["path"] == MONTHLY
    assert fields["sources"]["minutes"] == {"archive": 1_437, "rest": 3}
    assert fields["sources"]["rest"] == [[100, 103, "2026-01-02T09:20:00Z"]]
    lines = evidence_of(store, USDM.facts, BTC, MIDNIGHT).lines
    assert fields["other"] == [[at, at + 1, lines[at][5:].decode()] for at in (100, 101, 102)]


def test_minutes_that_are_not_there_have_their_reasons(store: Store) -> None:
    rows = np.delete(walk(1_440), np.r_[0:60, 200:203, 400])
    store.set_listed(BTC, minute(60)).result()
    store.put(BTC, rows, Source.ARCHIVE_DAY).result()
    store.set_file(DAILY, RECORD).result()
    store.set_omitted(BTC, span(minute(200), minute(203))).result()
    found = evidence_of(store, USDM.facts, BTC, MIDNIGHT)
    assert found.missing == span(minute(400), minute(401))
    store.set_unavailable(BTC, (Unavailable(minute(400), minute(401), "none", 3, 0),)).result()
    assert not evidence_of(store, USDM.facts, BTC, MIDNIGHT).missing
    empty = ",,,,,,,,,"
    assert fields_of(store)["other"] == [
        [0, 60, f"n{empty}"],
        [200, 203, f"n{empty}"],
        [400, 401, f"u{empty}"],
    ]


def test_after_its_delivery_a_contract_has_no_minutes(store: Store) -> None:
    store.set_contract(BTC, 0.0, delivery=minute(480)).result()
    store.put(BTC, walk(480), Source.ARCHIVE_DAY).result()
    store.set_file(DAILY, RECORD).result()
    fields = fields_of(store)
    assert fields["other"] == [[480, 1_440, "n,,,,,,,,,"]]
    assert "contract_size" not in fields


def test_a_day_without_a_file_states_that(store: Store) -> None:
    store.put(BTC, walk(1_000), Source.STREAM).result()
    store.put(BTC, walk(1_440)[1_000:], Source.REST).result()
    found = evidence_of(store, USDM.facts, BTC, MIDNIGHT)
    assert found.archive is None
    fields = fields_of(store)
    assert fields["sources"]["archive"] is None
    assert fields["sources"]["minutes"] == {"rest": 440, "stream": 1_000}
    assert "other" not in fields


def test_a_file_whose_rows_are_not_stored_was_not_compared(store: Store) -> None:
    store.set_file(DAILY, RECORD).result()
    store.put(BTC, walk(1_440), Source.REST).result()
    assert evidence_of(store, USDM.facts, BTC, MIDNIGHT).archive is None
    store.put(BTC, walk(1_440), Source.ARCHIVE_UNCHECKED).result()
    assert evidence_of(store, USDM.facts, BTC, MIDNIGHT).archive is None


def test_further_evidence_is_part_of_the_leaf(store: Store) -> None:
    store.put(BTC, walk(1_440), Source.STREAM).result()
    live = {"published": 1_440, "stood": 1_438, "corrected": 1, "late": 1}
    assert fields_of(store, live=live)["live"] == live
    assert fields_of(store, day="another")["day"] == "2026-01-01"  # no field of its own is replaced


def test_names_and_paths_of_every_market() -> None:
    named = [(USDM, BTC), (SPOT, "spot:BTCUSDT"), (COINM, "coinm:BTCUSD_PERP")]
    names = [leaf_name(market.facts, symbol) for market, symbol in named]
    assert names == ["usdm/BTCUSDT", "spot/BTCUSDT", "coinm/BTCUSD_PERP"]


def test_the_newest_windows_of_rest_are_kept_and_joined(store: Store) -> None:
    rows = walk(1_440)
    for number in range(0, 600, 2):
        read = RestRead(minute(number), minute(number + 1), number)
        store.put(BTC, rows[number : number + 1], Source.REST, read=read).result()
    kept = store.rest_reads(BTC)
    assert len(kept) == 64
    assert kept[-1] == RestRead(minute(598), minute(599), 598)
    store.put(BTC, rows[599:700], Source.REST, read=RestRead(minute(599), minute(700), 9)).result()
    assert store.rest_reads(BTC)[-1] == RestRead(minute(598), minute(700), 9)
    assert len(fields_of(store)["sources"]["rest"]) == 24


def test_contracts_that_are_listed_no_longer_have_their_size_too(store: Store) -> None:
    """Their volumes were made with the size that all such contracts have: no list states it any more."""
    for symbol, size in (("coinm:BTCUSD_200626", "100"), ("coinm:ADAUSD_200626", "10")):
        store.put(symbol, walk(1_440), Source.REST).result()
        found = evidence_of(store, COINM.facts, symbol, MIDNIGHT)
        fields = json.loads(make_leaf(store, COINM.facts, symbol, MIDNIGHT, found, 1, {}))
        assert fields["contract_size"] == size
        store.set_contract(symbol, 7.5).result()
        fields = json.loads(make_leaf(store, COINM.facts, symbol, MIDNIGHT, found, 1, {}))
        assert fields["contract_size"] == "7.5"
