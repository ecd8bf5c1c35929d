from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tui_feeder.simulator import recorded
from tui_feeder.simulator.market import DAY, MINUTE
from tui_feeder.simulator.recorded import recorded_market

JUNE, JULY = 1_748_736_000_000, 1_751_328_000_000  # 2025


def month_of(folder: Path, symbol: str, month: str, begin: int, minutes: int, unit: int = 1) -> list[str]:
    """A monthly zip whose times are ``unit`` a millisecond; its lines."""
    lines = [
        f"{moment * unit},1.5,1.75,1.25,1.5,2.0,{(moment + MINUTE) * unit - 1},3.0,3,1.0,1.5,0"
        for moment in range(begin, begin + minutes * MINUTE, MINUTE)
    ]
    with zipfile.ZipFile(folder / f"{symbol}-1m-{month}.zip", "w") as packed:
        packed.writestr(f"{symbol}-1m-{month}.csv", "\n".join([*lines, ""]))
    return lines


def test_each_month_is_unpacked_once_for_all_its_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = month_of(tmp_path, "ODDUSDT", "2025-06", JUNE, 10 * 1440)
    market = recorded_market(tmp_path)
    read: list[Path] = []
    whole = recorded._read
    monkeypatch.setattr(recorded, "_read", lambda path: read.append(path) or whole(path))
    days = [market.archive_lines("ODDUSDT", at, at + DAY) for at in range(JUNE, JUNE + 10 * DAY, DAY)]
    assert b"".join(days).decode().splitlines() == lines
    assert len(read) == 1


def test_only_the_months_that_were_used_last_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "_MOST_TEXTS", 2)
    months = {}
    for symbol in ("AUSDT", "BUSDT", "CUSDT"):
        months[symbol] = month_of(tmp_path, symbol, "2025-06", JUNE, 30)
    market = recorded_market(tmp_path)
    read: list[str] = []
    whole = recorded._read
    monkeypatch.setattr(recorded, "_read", lambda path: read.append(path.name[:1]) or whole(path))
    for letter in "ABACAB":
        served = market.archive_lines(f"{letter}USDT", JUNE, JUNE + DAY)
        assert served.decode().splitlines() == months[f"{letter}USDT"]
    assert read == ["A", "B", "C", "B"]


@pytest.mark.parametrize("unit", [1, 1000])
def test_lines_of_an_earlier_month_are_moved_in_their_own_unit(tmp_path: Path, unit: int) -> None:
    month_of(tmp_path, "OLDUSDT", "2025-06", JUNE, 90, unit)
    month_of(tmp_path, "NEWUSDT", "2025-07", JULY, 90)
    market = recorded_market(tmp_path)
    shift = JULY - JUNE
    served = market.archive_lines("OLDUSDT", JULY + 30 * MINUTE, JULY + 60 * MINUTE).decode().splitlines()
    rows = [line.split(",") for line in served]
    assert [int(row[0]) for row in rows] == [
        (JUNE + shift + minute * MINUTE) * unit for minute in range(30, 60)
    ]
    assert [int(row[6]) for row in rows] == [int(row[0]) + MINUTE * unit - 1 for row in rows]
    assert {",".join(row[1:6] + row[7:]) for row in rows} == {"1.5,1.75,1.25,1.5,2.0,3.0,3,1.0,1.5,0"}
