"""The vectors of docs/proof.md: the program, ``verify_proof.py`` and an implementation of the page agree."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import proof_from_document as document
import pytest
from proof_vectors import (
    BEGIN,
    COIN,
    DAY,
    DIGEST,
    FIRST_DIGEST,
    FIRST_HASH,
    FIRST_HEAD,
    FIRST_LEAF,
    HEADS,
    LINES,
    LOCATOR,
    SECOND_DIGEST,
    SECOND_HASH,
    SECOND_HEAD,
    SECOND_LEAF,
    SYMBOL,
    ZIP,
    VectorFolder,
)  # fmt: skip
from samples import MIDNIGHT

from tui_feeder import verify_proof
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Rows, Source, faulty
from tui_feeder.engine.core.coverage import span
from tui_feeder.engine.exchanges.binance.archive import unpack
from tui_feeder.engine.exchanges.binance.contracts import rows_in_assets
from tui_feeder.engine.exchanges.binance.usdm import USDM
from tui_feeder.engine.proof import leaf as leaf_module
from tui_feeder.engine.proof.canonical import canonical_bytes, canonical_lines, locator
from tui_feeder.engine.proof.folder import HeadPlace
from tui_feeder.engine.proof.leaf import evidence_of, make_leaf
from tui_feeder.engine.proof.merkle import leaf_hash
from tui_feeder.engine.storage.rest_reads import RestRead
from tui_feeder.engine.storage.store import FileRecord, Store
from tui_feeder.time_format import parse_time

AT = parse_time(DAY)


def zip_of(text: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("of a day.csv", text)
    return content.getvalue()


def test_the_zip_has_the_lines() -> None:
    with zipfile.ZipFile(io.BytesIO(ZIP)) as archive:
        assert archive.read(archive.namelist()[0]).decode() == LINES


def test_canonical_bytes_and_locator() -> None:
    lines = canonical_lines(AT, unpack(ZIP, None)[0].rows)
    rests = document.day_rests(document.read_zip(ZIP, DAY))
    found, otherwise = verify_proof._lines(ZIP, {"day": DAY, "market": "usdm"})
    assert [line.decode() for line in lines] == found
    assert canonical_bytes(lines) == document.canonical_bytes(rests)
    assert canonical_bytes(lines).decode().startswith(BEGIN)
    assert sha256(canonical_bytes(lines)).hexdigest() == DIGEST.strip()
    assert locator(lines) == document.locator(rests) == LOCATOR.strip()
    assert otherwise == 0


def test_a_line_of_contracts() -> None:
    given, wanted = COIN.splitlines()
    zipped, midnight = zip_of(given.encode()), parse_time("2022-10-24")
    ours = canonical_lines(midnight, rows_in_assets(unpack(zipped, None)[0].rows, 100.0))
    leaf: dict[str, Any] = {"market": "coinm", "day": "2022-10-24", "contract_size": "100"}
    theirs = document.day_lines(document.day_rests(document.read_zip(zipped, "2022-10-24", "100")))
    assert ours[0].decode() == verify_proof._lines(zipped, leaf)[0][0] == wanted
    assert theirs[0] == f"{wanted}\n"


def rows_of(content: bytes) -> Rows:
    return unpack(content, None)[0].rows


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store", exchange="a test")
    yield opened
    opened.close()


def stored_leaf(store: Store, revision: int) -> bytes:
    found = evidence_of(store, USDM.facts, SYMBOL, AT)
    return make_leaf(store, USDM.facts, SYMBOL, AT, found, revision, {})


def test_the_leaves_are_those_of_such_a_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaf_module, "__version__", "1.0")
    archive = json.loads(FIRST_LEAF)["sources"]["archive"]
    read_at = parse_time(archive["read"])
    record = FileRecord(
        archive["etag"], sha256(ZIP).hexdigest(), len(ZIP), read_at, archive["checksum"],
        archive["last_modified"],
    )  # fmt: skip
    store.set_contract(SYMBOL, 0.0, delivery=AT + 1_200 * MINUTE_MS).result()
    store.put(SYMBOL, rows_of(ZIP), Source.ARCHIVE_DAY).result()
    store.set_file(archive["path"], record).result()
    assert stored_leaf(store, 1).decode() == FIRST_LEAF
    better = rows_of(ZIP)[1:].copy()
    better["volume"] = better["taker_buy_volume"] = 1200
    better["quote_volume"] = better["taker_buy_quote_volume"] = 0.01824
    better["trades"] = 1
    minute = span(AT + MINUTE_MS, AT + 2 * MINUTE_MS)
    read = RestRead(minute.start, minute.end, parse_time("2026-02-03T10:00:00Z"))
    store.put(SYMBOL, better, Source.REST, reject_archives=minute, read=read).result()
    assert stored_leaf(store, 2).decode() == SECOND_LEAF


def test_leaves_and_heads_are_those_of_the_other_implementation() -> None:
    for leaf, hashed in ((FIRST_LEAF, FIRST_HASH), (SECOND_LEAF, SECOND_HASH)):
        raw = leaf.encode()
        assert document.canonical_json(json.loads(raw)) == raw
        assert leaf_hash(raw).hex() == document.leaf_hash(raw).hex() == hashed
        assert document.check_leaf(raw, ZIP).holds
    for head, digest in ((FIRST_HEAD, FIRST_DIGEST), (SECOND_HEAD, SECOND_DIGEST)):
        assert document.canonical_json(json.loads(head)) == head.encode()
        assert sha256(head.encode()).hexdigest() == digest
    assert json.loads(SECOND_HEAD)["previous"] == FIRST_DIGEST
    heads = [(name, head.encode(), document.leaves_text([leaf.encode()])) for name, head, leaf in HEADS]
    assert document.check_chain(heads, SECOND_DIGEST) == []


def test_the_verifier_takes_the_chain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)  # signatures are of a key that the page has not
    days = VectorFolder(tmp_path)
    for name, _, leaf in HEADS:
        assert HeadPlace(1, DAY, days.proof / name).leaves()[0].raw == leaf.encode()
    options = [str(days.proof), "--archive", f"{days.archive}/", "--known", SECOND_DIGEST]
    assert verify_proof.main(options) == 0
    # 1,440 minutes, of which one is REST's and 240 are after the delivery: the zip has none of those.
    assert "but for 241 that the leaf has otherwise\nholds: " in capsys.readouterr().out
    days.checksum.write_text(days.checksum.read_text().upper())
    verify_proof._read.cache_clear()
    assert verify_proof.main(options) == 0
    capsys.readouterr()


# --- lines of a zip ------------------------------------------------------------------------------

GOOD = "1.5,1.6,1.4,1.5,10,{end},15,3,4,6,0"


def line(minute: float, numbers: str = GOOD, start: str = "{start}", end: int = 59_999) -> str:
    at = int(MIDNIGHT + minute * MINUTE_MS)
    return f"{start},{numbers}".format(start=at, end=at + end)


#: What stands beside good lines, as others may write it: read, or left out, alike by everybody.
ODD = {
    "a header": b"open_time,open,high,low,close,volume,close_time,quote_volume,count,a,b,ignore",
    "an empty line": b"",
    "a short line": line(5).rpartition(",")[0].encode(),
    "a long line": line(5).encode() + b",0",
    "words": b"nothing",
    "a time alone": b"%d" % MIDNIGHT,
    "bytes that are no text": line(5).encode() + b"\xff",
    "a line feed of another kind": line(5).encode() + b"\x0b",
    "a byte order mark": b"\xef\xbb\xbf" + line(5).encode(),
    "a text for a number": line(5, GOOD.replace("10,", '"10",')).encode(),
    "not a number": line(5, GOOD.replace("10,", "nan,")).encode(),
    "no number": line(5, GOOD.replace("10,", ",")).encode(),
    "null": line(5, GOOD.replace("10,", "null,")).encode(),
    "an underscore": line(5, GOOD.replace("10,", "1_0,")).encode(),
    "a plus": line(5, GOOD.replace("10,", "+10,")).encode(),
    "no digit before the point": line(5, GOOD.replace("1.4,", ".14,")).encode(),
    "too large": line(5, GOOD.replace("10,", "1e999,")).encode(),
    "an exponent": line(5, GOOD.replace("10,", "1E1,")).encode(),
    "blanks": line(5, GOOD.replace("10,", " 10\t,")).encode(),
    "blanks around the close time": line(5, GOOD.replace("{end}", " {end}\t")).encode(),
    "a close time with decimals": line(5, GOOD.replace("{end}", "{end}.00")).encode(),
    "a close time half a millisecond late": line(5, GOOD.replace("{end}", "{end}.5")).encode(),
    "a close time in microseconds": line(5, GOOD.replace("{end}", "{end}999")).encode(),
    "a close time that is too large": line(5, GOOD.replace("{end}", "1e999")).encode(),
    "a last column that is too large": line(5, GOOD[:-1] + "1e999").encode(),
    "more trades than a double counts": line(5, GOOD.replace("15,3", "15,9007199254740992")).encode(),
    "a fraction of a trade": line(5, GOOD.replace("15,3", "15,3.5")).encode(),
    "a negative zero": line(5, "1.5,1.5,1.5,1.5,-0.0,{end},-0.0,0,-0.0,0,0").encode(),
    "an early close": line(5, end=50_000).encode(),
    "a late close": line(5, end=60_000).encode(),
    "within a minute": line(5.5).encode(),
    "within a minute that is there": line(2.5, GOOD.replace("10,", "10.1,")).encode(),
    "the same minute once more": line(2, GOOD.replace("10,", "10.1,")).encode(),
    "the same minute with a late close": line(2, GOOD.replace("10,", "10.1,"), end=60_000).encode(),
    "the same minute with half a trade": line(2, GOOD.replace("15,3", "15,3.5")).encode(),
    "the same minute with a word": line(2, GOOD.replace("15,3", "15,x")).encode(),
    "another day": line(1_440).encode(),
    "the day before": line(-1).encode(),
    "a carriage return": line(5).encode() + b"\r",
    "microseconds": f"{MIDNIGHT + 5 * MINUTE_MS}000,{GOOD}".format(
        end=f"{MIDNIGHT + 6 * MINUTE_MS - 1}999"
    ).encode(),
}


@pytest.mark.parametrize("market", ["usdm", "spot"])
@pytest.mark.parametrize("name", ODD)
def test_odd_lines_are_read_alike(name: str, market: str) -> None:
    good = [line(minute).encode() for minute in (0, 1, 2, 3, 4, *range(6, 30))]
    zipped = zip_of(b"\n".join([*good, ODD[name], b""]))
    rows = unpack(zipped, None, may_end_early=market == "spot")[0].rows
    rows = rows[(rows["open_time"] >= MIDNIGHT) & (rows["open_time"] < MIDNIGHT + DAY_MS)]
    rows = rows[~faulty(rows)]  # which go into quarantine
    day = "2026-01-01"
    wanted = canonical_lines(MIDNIGHT, rows)
    found = [text.encode() for text in verify_proof._lines(zipped, {"day": day, "market": market})[0]]
    theirs = document.day_rests(document.read_zip(zipped, day, spot=market == "spot"))
    stored = {at for at, text in enumerate(wanted) if text[5:6] != b"m"}
    assert stored >= {0, 1, 2, 3, 4, *range(6, 30)}
    assert [found[at] for at in stored] == [wanted[at] for at in stored]
    assert [theirs[at].encode() for at in stored] == [wanted[at][5:] for at in stored]
    assert found == wanted
    assert document.day_lines(theirs) == [text.decode() + "\n" for text in wanted]


def test_a_zip_of_two_files_is_refused() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("1.csv", LINES)
        archive.writestr("2.csv", LINES)
    with pytest.raises(ValueError, match="not one file"):
        verify_proof._lines(content.getvalue(), {"day": DAY, "market": "usdm"})


@pytest.mark.parametrize(
    "run",
    [
        [-1, 1, "m,,,,,,,,,"],
        [5, 5, "m,,,,,,,,,"],
        [5, 1_441, "m,,,,,,,,,"],
        [1, 5, "m,,,,,,,,,"],  # after another to 2
        [5, 6, "x,,,,,,,,,"],
        [5, 6, "m,,,,,,,,"],
        [5, 6, "p,,,,,,,,,"],
        [5, 6, "m,,,,,,,,,\n0006,m,,,,,,,,,"],
        [5, 6, "p,1,1,1,1,1,1,1,1,1.0"],
        [5, 6, "p,1,1,1,1,1,1,0,1,1"],
        [5, 6, "q,1,1,1,1,1,1,1,1,1"],
        [5, 6, "p,1,1,1,1,1,1,nan,1,1"],
        [5, 6, "p,1,1,1,1,1,1,NaN,1,1"],
        [5, 6, "p,1,1,1,1,Infinity,1,1,1,1"],
        [5, 6, "p,1,1,1,1,1,1,1.5,1,1"],
        [5, 6, "p,1,1,1,1,1,1,1"],
        [5, 6, "p,1,1,1,1,1,1,1,1,1,1"],
        [5, 6, "p,1,1,1,1,1,1,1,1,-0"],
        [5, 6, ""],
        [5, 6, None],
    ],
)
def test_minutes_that_no_leaf_may_have_otherwise_are_refused(run: list[Any]) -> None:
    leaf = {**json.loads(SECOND_LEAF), "other": [[0, 2, "n,,,,,,,,,"], run]}
    with pytest.raises((ValueError, TypeError)):
        verify_proof._lines(ZIP, leaf)


def test_rows_have_the_fields_of_the_document() -> None:
    assert tuple(ROW.names or ())[1:] == document.FIELDS[1:]
