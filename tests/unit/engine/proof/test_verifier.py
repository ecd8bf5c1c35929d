"""``verify_proof.py``: it stands alone, is short, and reads the zips of every market as the store does."""

from __future__ import annotations

import ast
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import proof_from_document
import pytest
from places import SHARED_DATA

from tui_feeder import verify_proof
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.exchanges.binance.archive import unpack
from tui_feeder.engine.exchanges.binance.contracts import rows_in_assets
from tui_feeder.engine.proof.canonical import canonical_bytes, canonical_lines
from tui_feeder.time_format import parse_time

SOURCE = Path(verify_proof.__file__)
#: Real days: milliseconds with and without a header, microseconds, and contracts.
ZIPS = {
    "klines/BTCUSDT-1m-2025-01-02.zip": ("usdm", "2025-01-02"),
    "spot/BTCUSDT-1m-2025-01-02.zip": ("spot", "2025-01-02"),
    "spot/ETHUSDT-1m-2022-08-14.zip": ("spot", "2022-08-14"),
    "coinm/BTCUSD_PERP-1m-2022-10-24.zip": ("coinm", "2022-10-24"),
}


def test_it_needs_the_standard_library_alone_and_is_short() -> None:
    text = SOURCE.read_text()
    assert len(text.splitlines()) < 200
    imported = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize("name", ZIPS)
def test_it_reads_a_zip_as_the_store_does(name: str) -> None:
    file = SHARED_DATA / name
    if not file.exists():
        pytest.skip(f"real market data is not here: {name}")
    market, day = ZIPS[name]
    midnight = parse_time(day)
    rows = unpack(file.read_bytes(), None, may_end_early=True)[0].rows
    if market == "coinm":
        rows = rows_in_assets(rows, 100.0)
    rows = rows[(rows["open_time"] >= midnight) & (rows["open_time"] < midnight + DAY_MS)]
    lines = canonical_lines(midnight, rows)
    leaf: dict[str, Any] = {"market": market, "day": day, "contract_size": "100"}
    found, otherwise = verify_proof._lines(file.read_bytes(), leaf)
    assert [line.encode() for line in found] == lines
    assert otherwise == 0
    size = "100" if market == "coinm" else None
    minutes = proof_from_document.read_zip(file.read_bytes(), day, size, spot=market == "spot")
    rests = proof_from_document.day_rests(minutes)
    assert proof_from_document.canonical_bytes(rests) == canonical_bytes(lines)


def test_of_contracts_coins_and_quote_are_made() -> None:
    file = SHARED_DATA / "coinm/BTCUSD_PERP-1m-2022-10-24.zip"
    if not file.exists():
        pytest.skip("real market data is not here")
    leaf: dict[str, Any] = {"market": "coinm", "day": "2022-10-24", "contract_size": "100"}
    first = verify_proof._lines(file.read_bytes(), leaf)[0][0]
    # 19431 contracts of 100 USD, 99.33183109 BTC; 9916 and 50.69336469 of them bought by takers.
    assert first == "0000,p,19560.7,19566.7,19555.5,19556.2,99.33183109,1943100,425,50.69336469,991600"


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 600])
def test_its_root_is_that_of_the_reference(count: int) -> None:
    leaves = [str(number).encode() for number in range(count)]
    hashes = [proof_from_document.leaf_hash(leaf) for leaf in leaves]
    root = proof_from_document.merkle_root(hashes).hex()
    assert verify_proof._root([found.hex() for found in hashes]) == root


def test_other_minutes_take_the_place_of_the_zips() -> None:
    file = SHARED_DATA / "klines/BTCUSDT-1m-2025-01-02.zip"
    if not file.exists():
        pytest.skip("real market data is not here")
    leaf: dict[str, Any] = {"market": "usdm", "day": "2025-01-02"}
    plain, _ = verify_proof._lines(file.read_bytes(), leaf)
    same = [10, 11, plain[10][5:]]
    other = {**leaf, "other": [same, [20, 23, "n,,,,,,,,,"]]}
    found, otherwise = verify_proof._lines(file.read_bytes(), other)
    assert otherwise == 3
    assert np.flatnonzero(np.array(found) != np.array(plain)).tolist() == [20, 21, 22]


LINE = (
    b"1769904000000,10.1130,10.1300,10.10900,10.1280,38521,1769904059999,389800.3310,1077,28754,290983.0070,0"
)


@pytest.mark.parametrize(
    ("line", "state"),
    [
        (LINE, "p"),
        (LINE.replace(b"000,10", b"000 \t,10", 1), "p"),
        (LINE.replace(b",1077,", b",-3,"), "p"),
        (b" " + LINE, "m"),
    ],
    ids=["no newline at the end", "blanks after the first", "trades below 0", "a blank before the first"],
)
def test_it_reads_odd_lines_as_the_document_states(line: bytes, state: str) -> None:
    with zipfile.ZipFile(packed := io.BytesIO(), "w") as file:
        file.writestr("x.csv", line)
    leaf = {"market": "usdm", "day": "2026-02-01"}
    lines, _ = verify_proof._lines(packed.getvalue(), leaf)
    assert lines[0][5] == state
    read = proof_from_document.read_zip(packed.getvalue(), leaf["day"])
    assert lines[0] == f"0000,{proof_from_document.day_rests(read)[0]}"
