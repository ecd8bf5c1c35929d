"""Months of candles, signed from the simulator's archive, and an implementation of docs/proof.md alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import proof_from_document as document
import pytest
from examples import some_of
from history_parts import Reading
from markets import invented, recorded_day, spring_of_2021
from signed_days import AVAX, FIL, SignedDays, correct_all, sign_days

from tui_feeder import verify_proof
from tui_feeder.simulator.dialect import COINM, SPOT, USDM, Dialect
from tui_feeder.simulator.market import Market
from tui_feeder.simulator.other_markets import ListedElsewhere
from tui_feeder.simulator.synthetic import synthetic_market
from tui_feeder.time_format import parse_time

OTHER_LETTERS = "币安人生USDT"
LISTED = {OTHER_LETTERS: parse_time("2024-01-01")}
FEBRUARY = ("2026-02-01", "2026-03-01")


@dataclass(frozen=True)
class Months:
    """What is signed, and what of its leaves is expected beside the exchange's own minutes."""

    symbols: tuple[str, ...]
    start: str
    end: str
    then: Callable[[Reading, int], None] | None = None
    market: Callable[[Path], Market] | None = None  # real USD-M without one
    dialect: Dialect = USDM
    faults: tuple[str, ...] = ()
    daily: bool = False  # files of days
    absent: str = ""  # states of minutes that no source has
    corrections: int = 0
    otherwise: int = 0  # minutes that are not the zip's


#: FILUSDT has an outage in October; beside others the simulator shows it later.
MONTHS = {
    "October of FILUSDT": Months((FIL,), "2024-10-01", "2024-11-01"),
    "spot with absent minutes": Months(
        ("spot:BTCUSDT",), "2021-04-03", "2021-05-13", market=spring_of_2021, dialect=SPOT, absent="n",
        daily=True, otherwise=434,
    ),
    "contracts": Months(
        ("coinm:BTCUSD_PERP", "coinm:ETHUSD_PERP"), *FEBRUARY, correct_all,
        lambda _: invented(COINM, ("BTCUSD_PERP", "ETHUSD_PERP")), COINM,
        corrections=4, otherwise=6,
    ),
    "corrected days": Months((AVAX, FIL), *FEBRUARY, correct_all, corrections=4, otherwise=6),
    "files of days that lack minutes": Months(
        (AVAX,), "2026-02-01", "2026-02-08", faults=("missing-rows",), daily=True, otherwise=7 * 30
    ),
    "September of FILUSDT": Months((FIL,), "2024-09-01", "2024-10-01"),
    "November of FILUSDT": Months((FIL,), "2024-11-01", "2024-12-01"),
    "two others of February": Months(("DOTUSDT", "LINKUSDT"), *FEBRUARY),
    "the last two of February": Months(("LTCUSDT", "NEARUSDT"), *FEBRUARY),
    "days of spot, a name of other letters": Months(
        (f"spot:{OTHER_LETTERS}",), "2025-01-29", "2025-02-03", correct_all,
        lambda _: ListedElsewhere(synthetic_market([OTHER_LETTERS], listed=LISTED), SPOT), SPOT,
        daily=True, corrections=2, otherwise=3,
    ),
    **{
        f"a real day of {folder}/{symbol}": Months(
            (f"{folder}:{symbol}",), day, until, dialect=dialect, daily=True,
            market=lambda at, of=(dialect, f"{folder}/{symbol}-1m-{day}.zip"): recorded_day(at, *of),
        )
        for folder, dialect, symbol, day, until in (
            ("spot", SPOT, "BTCUSDT", "2025-01-02", "2025-01-03"),
            ("spot", SPOT, "ETHUSDT", "2022-08-14", "2022-08-15"),
            ("coinm", COINM, "BTCUSD_PERP", "2022-10-24", "2022-10-25"),
        )
    },
}  # fmt: skip


def made_again(days: SignedDays, leaf: bytes) -> tuple[bytes, dict[str, Any]]:
    """A leaf of the zip and of what the given one says that the zip does not have."""
    given = json.loads(leaf)
    stated, other, size = given["sources"]["archive"], given.get("other", ()), given.get("contract_size")
    file = days.archive / unquote(stated["path"]).lstrip("/")
    zipped, line = file.read_bytes(), file.with_name(f"{file.name}.CHECKSUM").read_text()
    spot, monthly = given["market"] == "spot", "/monthly/" in stated["path"]
    in_zip = document.day_rests(document.read_zip(zipped, given["day"], size, spot=spot))
    rests, differing = document.apply_other(in_zip, other)
    check = document.check_leaf(leaf, zipped)
    assert check.holds
    assert check.differing == differing
    elsewhere = [at for first, end, _ in other for at in range(first, end)]
    own = [at for at, text in enumerate(rests) if text[0] in "pq" and at not in elsewhere]
    by_rest = [at for at in elsewhere if rests[at][0] in "pq"]
    assert sorted({at for first, end, _ in given["sources"]["rest"] for at in range(first, end)}) == by_rest
    sources = {
        "archive": {
            **stated,
            "path": document.archive_path(given["market"], given["symbol"], given["day"], monthly),
            "sha256": hashlib.sha256(zipped).hexdigest(),
            "checksum": line.removesuffix("\n"),
        },
        "minutes": {name: len(found) for name, found in (("archive", own), ("rest", by_rest)) if found},
        "rest": given["sources"]["rest"],
    }
    named = (given["feeder"], given["market"], given["symbol"], given["day"])
    made = document.make_leaf(*named, rests, sources, given["revision"], other, size)
    return made, {"differing": differing, "monthly": monthly, **given}


@pytest.mark.parametrize("name", some_of(tuple(MONTHS), 4))
def test_leaves_and_heads_are_those_of_an_independent_implementation(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    months = MONTHS[name]
    (data := tmp_path / "data").mkdir()
    days = sign_days(
        tmp_path, months.symbols, months.start, months.end, months.then,
        market=months.market(data) if months.market else None, dialect=months.dialect,
        faults=months.faults, threshold=100 if months.daily else 1,
    )  # fmt: skip
    heads, before, seen = document.read_folder(days.proof), None, dict[str, str]()
    found, last, size = list[dict[str, Any]](), dict[tuple[str, str], dict[str, Any]](), 0
    for _, raw, text in heads:
        head, leaves = json.loads(raw), [leaf for _, leaf in document.read_leaves(text)]
        replaces = []
        for leaf in leaves:
            made, fields = made_again(days, leaf)
            assert made == leaf
            name_of = f"{fields['market']}/{fields['symbol']}"
            if (old := seen.get(f"{name_of} {fields['day']}")) is not None:
                replaces.append({"leaf": old, "name": name_of})
            seen[f"{name_of} {fields['day']}"] = document.leaf_hash(leaf).hex()
            found.append(fields)
            last[fields["day"], fields["symbol"]] = fields
            size += len(leaf) + 65
        assert document.leaves_text(leaves) == text
        stated = [{"leaf": item["leaf"], "name": item["name"]} for item in head["replaces"]]
        assert stated == replaces
        named = (head["feeder"], head["number"], head["day"], head["time"])
        assert document.make_head(*named, text, before, head["replaces"]) == raw
        before = raw
    assert before is not None
    assert document.check_chain(heads, hashlib.sha256(before).hexdigest()) == []

    span = np.arange(months.start, months.end, dtype="datetime64[D]")
    assert sorted({day for day, _ in last}) == [str(day) for day in span]
    assert len(last) == len(span) * len(months.symbols)
    assert len(found) == len(last) + months.corrections
    assert {fields["revision"] for fields in found} == ({1, 2} if months.corrections else {1})
    assert {fields["monthly"] for fields in found} == {not months.daily}
    assert set().union(*(fields["counts"] for fields in found)) - {*"pq"} == set(months.absent)
    assert sum(fields["differing"] for fields in last.values()) == months.otherwise
    assert all(("contract_size" in fields) == months.dialect.counts_contracts for fields in found)
    assert months.faults or size / len(found) <= 1_500  # bytes of a symbol-day
    options = [str(days.proof), "--archive", str(days.archive), "--known", hashlib.sha256(before).hexdigest()]
    assert verify_proof.main(options) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("holds: ")
