from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from commanding import COMMAND, command_at, environment, recorded, zips
from damaging import damage_day
from examples import some_of
from preloaded import start_process
from samples import MONTHS, real_month

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Rows
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.recorded import recorded_market
from tui_feeder.simulator.synthetic import synthetic_market

NOON = 1_773_144_000_000  # 2026-03-10T12:00:00Z
LATE_MARCH = 1_773_964_800_000  # 2026-03-20, when the files of February 2026 are published
CHRISTMAS = 1_734_912_000_000  # 2024-12-23, when those of November 2024 are
FEBRUARY = tuple(some_of(("AVAXUSDT", "DOTUSDT", "LINKUSDT", "LTCUSDT", "NEARUSDT")))
IN_FEBRUARY = ("--from", "2026-02-01", "--to", "2026-03-01")
IN_AUTUMN = ("--from", "2024-09-01", "--to", "2024-12-01")


def file_rows(symbol: str) -> Rows:
    return np.concatenate([real_month(name) for name in MONTHS if name.startswith(symbol + "-")])


async def exported(exchange: Exchange, symbol: str, store: Path) -> Rows:
    """What ``export`` writes as CSV, read back with nothing of ours."""
    done = await command_at(exchange, "export", "--symbol", symbol, "--storage", store, cwd=store)
    assert done.code == 0, done.err
    head, *lines = done.out.splitlines()
    assert head == (
        "open_time,close_time,open,high,low,close,volume,quote_volume,trades,"
        "taker_buy_volume,taker_buy_quote_volume"
    )
    columns = list(zip(*(line.split(",") for line in lines), strict=True))
    rows = np.zeros(len(lines), dtype=ROW)
    for name, column in zip(head.split(","), columns, strict=True):
        if name != "close_time":
            rows[name] = np.array(column, dtype=ROW[name])
    closes = np.array(columns[1], dtype=np.int64)
    assert np.array_equal(closes, rows["open_time"] + 59_999)
    return rows


async def test_every_row_of_the_real_months_is_exported_as_it_is_in_the_file(tmp_path: Path) -> None:
    total = 0
    for symbols, now, period in ((("FILUSDT",), CHRISTMAS, IN_AUTUMN), (FEBRUARY, LATE_MARCH, IN_FEBRUARY)):
        store = tmp_path / symbols[0]
        arguments = ("backfill", "--symbols", ",".join(symbols), *period, "--storage", store)
        # With one month at least the monthly files are used, where there are whole ones.
        months = {"FEEDER_APPLICATION__MONTHLY_THRESHOLD_MONTHS": "1"}
        async with Exchange(recorded(*symbols), SimulatedClock(now)) as exchange:
            done = await command_at(exchange, *arguments, cwd=tmp_path, **months)
            assert done.code == 0, done.out + done.err
            assert done.out.endswith("complete\n")
            assert all(re.fullmatch(r".+-1m-\d{4}-\d\d\.zip", name) for name in zips(exchange.archive_log))
            for symbol in symbols:
                rows, wanted = await exported(exchange, symbol, store), file_rows(symbol)
                assert len(rows) == len(wanted)
                for name in ROW.names or ():
                    assert np.array_equal(rows[name], wanted[name]), (symbol, name)
                total += len(rows)

            served, klines = len(exchange.archive_log), exchange.requests["klines"]
            done = await command_at(exchange, *arguments, cwd=tmp_path, **months)
            assert done.code == 0, done.err
            assert "everything was stored and certified" in done.out
            assert len(exchange.archive_log) == served
            # One request a symbol at most may ask where its history begins.
            assert exchange.requests["klines"] - klines <= len(symbols)
    assert total == (91 + 28 * len(FEBRUARY)) * 1_440


async def test_bad_files_are_replaced_by_other_routes_and_told(tmp_path: Path) -> None:
    async with Exchange(recorded("FILUSDT"), SimulatedClock(CHRISTMAS)) as exchange:
        exchange.faults.switch_on("corrupt-zip", target="FILUSDT-1m-2024-09.zip")
        exchange.faults.switch_on("bad-checksum", target="FILUSDT-1m-2024-10.zip")
        exchange.faults.switch_on("missing-file", target="FILUSDT-1m-2024-11.zip")
        exchange.faults.switch_on("forbidden-file", target="FILUSDT-1m-2024-11-11.zip")
        done = await command_at(
            exchange, "backfill", "--symbols", "FILUSDT", *IN_AUTUMN, "--storage", tmp_path, cwd=tmp_path
        )
        assert done.code == 0, done.out + done.err
        rows = await exported(exchange, "FILUSDT", tmp_path)
    assert np.array_equal(rows, file_rows("FILUSDT"))
    assert re.search(r"FILUSDT-1m-2024-09.zip: .*(readable zip|CRC)", done.out)
    assert "FILUSDT-1m-2024-10.zip: its SHA256 is not the one stated" in done.out
    assert "FILUSDT-1m-2024-11.zip is not there" in done.out
    assert "FILUSDT-1m-2024-11-11.zip is not there" in done.out
    assert re.search(r"^symbol +added +daily +REST +files", done.out, re.M)


async def test_interrupted_it_says_how_to_go_on_and_the_next_run_reads_only_the_rest(tmp_path: Path) -> None:
    market = synthetic_market(["BTCUSDT", "ETHUSDT"], as_of_ms=NOON)
    async with Exchange(market, SimulatedClock(NOON)) as exchange:
        arguments = ("backfill", "--symbols", "ALL", "--from", "2026-01-20", "--to", "2026-03-09")
        process = await start_process(
            *COMMAND, *arguments, "--storage", tmp_path,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(exchange), cwd=tmp_path,
        )  # fmt: skip
        async with asyncio.timeout(60):
            while len(zips(exchange.archive_log)) < 12:  # noqa: ASYNC110 - the exchange tells no one
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 130, err.decode()
        assert "the same command resumes" in err.decode()
        assert "interrupted" in out.decode()
        assert "Traceback" not in err.decode()
        store = await asyncio.to_thread(Store, tmp_path, read_only=True)
        kept = {symbol: store.certified(symbol) for symbol in ("BTCUSDT", "ETHUSDT")}
        store.close()
        assert any(kept.values())

        before = len(exchange.archive_log)
        done = await command_at(exchange, *arguments, "--storage", tmp_path, cwd=tmp_path)
        assert done.code == 0, done.out + done.err
        again = zips(exchange.archive_log[before:])
    assert again
    for name in again:
        found = re.fullmatch(r"(\w+)-1m-(\d{4}-\d\d-\d\d)\.zip", name)
        assert found
        day = int(np.datetime64(found[2], "ms").astype(np.int64))
        assert not kept[found[1]].clip(day, day + DAY_MS), f"{name} was certified already"


def month_with_a_hole(folder: Path) -> int:
    """A month of ODDUSDT whose minutes 3000..3004 nobody has; its first minute, ms."""
    july = 1_751_328_000_000
    lines = [
        f"{july + i * MINUTE_MS},1.5,1.75,1.25,1.5,2.0,{july + i * MINUTE_MS + 59_999},3.0,3,1.0,1.5,0"
        for i in range(10 * 1440)
        if not 3000 <= i < 3005
    ]
    with zipfile.ZipFile(folder / "ODDUSDT-1m-2025-07.zip", "w") as packed:
        packed.writestr("ODDUSDT-1m-2025-07.csv", "\n".join([*lines, ""]))
    return july


async def test_minutes_nobody_has_end_in_code_3_are_remembered_and_told_by_gaps(tmp_path: Path) -> None:
    july = month_with_a_hole(tmp_path)
    store = tmp_path / "store"
    arguments = ("backfill", "--symbols", "ODDUSDT", "--from", "2025-07-01", "--to", "2025-07-09")
    async with Exchange(recorded_market(tmp_path), SimulatedClock(july + 12 * DAY_MS)) as exchange:
        done = await command_at(exchange, *arguments, "--storage", store, cwd=tmp_path)
        assert done.code == 3, done.out + done.err
        assert "ODDUSDT: missing 2025-07-03T02:00Z .. 2025-07-03T02:05Z: no source has it" in done.out

        gaps = await command_at(exchange, "gaps", "--json", "--storage", store, cwd=tmp_path)
        (symbol,) = json.loads(gaps.out)["symbols"]
        (gap,) = symbol["gaps"]
        assert (gap["start"], gap["end"]) == (july + 3000 * MINUTE_MS, july + 3005 * MINUTE_MS)
        assert (gap["state"], gap["minutes"], gap["tries"]) == ("unavailable", 5, 1)
        assert gap["next_try"] > july + 12 * DAY_MS
        shown = await command_at(exchange, "gaps", "--storage", store, cwd=tmp_path)
        assert "2025-07-03T02:00Z  2025-07-03T02:05Z        5  2025-07-13T" in shown.out
        assert "ODDUSDT: 1 gap: no source has these minutes" in shown.out

        served = len(exchange.archive_log)
        done = await command_at(exchange, *arguments, "--storage", store, cwd=tmp_path)
        assert done.code == 3
        assert len(exchange.archive_log) == served
        (symbol,) = json.loads(
            (await command_at(exchange, "gaps", "--json", "--storage", store, cwd=tmp_path)).out
        )["symbols"]
        assert symbol["gaps"][0]["tries"] == 2


async def test_where_rest_is_refused_by_country_the_archive_is_read_all_the_same(tmp_path: Path) -> None:
    async with Exchange(synthetic_market(["BTCUSDT"], as_of_ms=NOON), SimulatedClock(NOON)) as exchange:
        exchange.faults.switch_on("rest-451")
        arguments = ("backfill", "--from", "2026-03-01", "--storage", tmp_path)
        done = await command_at(
            exchange, *arguments, "--to", "2026-03-04", "--symbols", "BTCUSDT", cwd=tmp_path
        )
        assert done.code == 0, done.out + done.err
        assert "REST cannot be used: refused by country (451)" in done.err
        done = await command_at(
            exchange, *arguments, "--to", "2026-03-04T01:00:00Z", "--symbols", "BTCUSDT", cwd=tmp_path
        )
        assert done.code == 3
        assert re.search(r"missing 2026-03-04T00:00Z \.\. 2026-03-04T01:00Z: refused here", done.out), (
            done.out
        )
        done = await command_at(exchange, *arguments, "--symbols", "*USDT", cwd=tmp_path)
        assert done.code == 1
        assert "name the symbols" in done.err


async def test_during_a_ban_no_later_run_asks(tmp_path: Path) -> None:
    async with Exchange(synthetic_market(["BTCUSDT"], as_of_ms=NOON), SimulatedClock(NOON)) as exchange:
        exchange.faults.switch_on("rest-418", target="klines", duration=600)
        arguments = ("backfill", "--symbols", "BTCUSDT", "--from", "2026-03-01", "--to", "2026-03-02")
        done = await command_at(exchange, *arguments, "--storage", tmp_path, cwd=tmp_path)
        assert done.code == 0, done.out + done.err  # the archive has it all
        asked = exchange.requests.copy()
        done = await command_at(exchange, *arguments, "--storage", tmp_path, cwd=tmp_path)
        assert done.code == 0
        assert "no request during a ban" in done.err
        assert exchange.requests == asked
        assert "everything was stored and certified" in done.out


async def test_what_cannot_be_done_is_one_message(tmp_path: Path) -> None:
    async with Exchange(synthetic_market(["BTCUSDT"], as_of_ms=NOON), SimulatedClock(NOON)) as exchange:
        store = await asyncio.to_thread(Store, tmp_path / "held", exchange="a simulated exchange")
        done = await command_at(exchange, "backfill", "--storage", store.path, cwd=tmp_path)
        await asyncio.to_thread(store.close)
        assert done.code == 1
        assert f"pid {os.getpid()}" in done.err
        done = await command_at(exchange, "backfill", "--symbols", "BTCUSD", cwd=tmp_path)
        assert done.code == 2
        assert "did you mean BTCUSDT?" in done.err
        done = await command_at(exchange, "backfill", "--from", "2026-13-01", cwd=tmp_path)
        assert done.code == 2
        assert "--from: '2026-13-01' is not a time" in done.err
        done = await command_at(
            exchange, "backfill", "--from", "2026-03-02", "--to", "2026-03-02", cwd=tmp_path
        )
        assert done.code == 2
        assert "--to is exclusive" in done.err
        done = await command_at(exchange, "backfill", "--from", "2026-03-11", cwd=tmp_path)
        assert done.code == 2
        assert "--from is after the exchange's last closed minute, 2026-03-10T1" in done.err
        exchange.faults.switch_on("rest-empty")
        done = await command_at(exchange, "backfill", cwd=tmp_path)
        assert done.code == 3
        assert "BTCUSDT: nothing there: REST has no candle from 2026-01-09T00:00Z on" in done.out
        exchange.faults.switch_on("rest-5xx")
        done = await command_at(exchange, "backfill", "--symbols", "BTCUSDT", cwd=tmp_path)
        assert done.code == 1
        assert "the exchange answers 503" in done.err
        assert done.err.count("\n") == 1


async def test_a_span_before_the_listing_says_so(tmp_path: Path) -> None:
    listed = 1_772_668_800_000  # 2026-03-05
    market = synthetic_market(["BTCUSDT"], as_of_ms=NOON, listed={"BTCUSDT": listed})
    async with Exchange(market, SimulatedClock(NOON)) as exchange:
        span = ("--symbols", "BTCUSDT", "--from", "2026-02-01", "--storage", tmp_path)
        for until, added in (("2026-03-04", 0), ("2026-03-06", 1440)):
            done = await command_at(exchange, "backfill", *span, "--to", until, cwd=tmp_path)
            assert done.code == 0, done.err
            assert "BTCUSDT: not listed before 2026-03-05T00:00Z\n" in done.out
            done = await command_at(exchange, "gaps", *span, "--to", until, cwd=tmp_path)
            if added:
                assert "BTCUSDT: not listed before 2026-03-05T00:00Z\n" in done.out
                assert f"1 symbol, {added:,} minutes checked: none missing" in done.out


async def test_a_damaged_day_is_read_again(tmp_path: Path) -> None:
    market = synthetic_market(["BTCUSDT"], as_of_ms=NOON)
    async with Exchange(market, SimulatedClock(NOON)) as exchange:
        span = ("--symbols", "BTCUSDT", "--from", "2026-03-05", "--to", "2026-03-08", "--storage", tmp_path)
        assert (await command_at(exchange, "backfill", *span, cwd=tmp_path)).code == 0
        damage_day(tmp_path, "BTCUSDT", NOON - NOON % DAY_MS - 4 * DAY_MS)
        done = await command_at(exchange, "backfill", *span, cwd=tmp_path)
        assert done.code == 0, done.err
        assert "the stored day 2026-03-06 is damaged" in done.err
        assert re.search(r"BTCUSDT +1,440 ", done.out)
        assert (
            await command_at(exchange, "verify", "--offline", "--storage", tmp_path, cwd=tmp_path)
        ).code == 0


@pytest.mark.parametrize("terminal", [True, False])
async def test_bars_are_drawn_on_a_terminal_alone(tmp_path: Path, terminal: bool) -> None:
    market = synthetic_market(["BTCUSDT", "ETHUSDT"], as_of_ms=NOON)
    async with Exchange(market, SimulatedClock(NOON)) as exchange:
        ours, theirs = pty.openpty() if terminal else os.pipe()
        process = await start_process(
            *COMMAND, "backfill", "--symbols", "ALL", "--from", "2026-02-20", "--to", "2026-03-08",
            "--storage", tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs,
            env=environment(exchange, TERM="xterm-256color", COLUMNS="80"), cwd=tmp_path,
        )  # fmt: skip
        os.close(theirs)
        reading = asyncio.create_task(asyncio.to_thread(everything, ours))
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        shown = await reading
    assert process.returncode == 0
    assert b"\x1b" not in out
    assert ("\x1b" in shown) == terminal
    assert (re.search(r"BTCUSDT.*\d %.*\d/s.*\d (k|M)?B.*\d+ files?", shown) is not None) == terminal


def everything(descriptor: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(descriptor, 65_536)
        except OSError:  # what a terminal answers when its other side is closed
            part = b""
        if not part:
            os.close(descriptor)
            return b"".join(parts).decode()
        parts.append(part)
