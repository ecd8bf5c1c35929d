"""The command as a user runs it: real processes, real sockets, a real store."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import commanding
import pytest
from history_parts import assert_whole
from preloaded import PreloadedPopen, run_process, start_process
from samples import KLINES, real_month

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

NOON = 1_773_144_000_000  # 2026-03-10T12:00:00Z
COMMAND = [sys.executable, "-m", "tui_feeder"]
#: Where the history is not the point.
SHORT = {"FEEDER_TECHNICAL_ANALYSIS__MIN_HISTORY_DAYS": "2"}


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FEEDER_")}
    return kept | {"PYTHONUNBUFFERED": "1"} | more


def run(
    *arguments: str | Path, timeout: float = 60, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    return run_process([*COMMAND, *map(str, arguments)], timeout, text=True, env=environment(**env), cwd=cwd)


def told_until(word: str, process: subprocess.Popen[str]) -> str:
    """What a run tells on stderr; once ``word`` is there, it is asked to end."""
    assert process.stderr is not None
    told = ""
    for line in process.stderr:
        if word in line and word not in told:
            process.terminate()  # once: a second time stops it at once
        told += line
    return told


def test_a_demo_on_real_candles_prints_every_minute_with_the_close_of_the_file(tmp_path: Path) -> None:
    files = {name: real_month(name) for name in ("FILUSDT-1m-2024-11", "AVAXUSDT-1m-2026-02")}
    messages: dict[str, list[dict[str, Any]]] = {"FILUSDT": [], "AVAXUSDT": []}
    log = tmp_path / "log"
    with PreloadedPopen(
        [*COMMAND, "--demo", "--demo-data", str(KLINES), "--symbols", ",".join(messages),
         "--demo-speed", "60", "--output", "jsonl", "--run-for", "100"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log.open("w"), text=True, env=environment(),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        asked = False
        for line in process.stdout:
            message = json.loads(line)
            messages[message["symbol"]].append(message)
            if not asked and all(len(printed) >= 8 for printed in messages.values()):
                process.terminate()  # once: a second time stops it at once
                asked = True
        process.wait()
    stderr = log.read_text()
    assert process.returncode == 0, stderr
    shifted = re.search(r"FILUSDT: recorded .* shown (\d+) days later", stderr)
    assert shifted, stderr
    for name, rows in files.items():
        symbol = name.split("-")[0]
        shift = int(shifted[1]) * DAY_MS if symbol == "FILUSDT" else 0
        closes = dict(zip((rows["open_time"] + shift).tolist(), rows["close"].tolist(), strict=True))
        times = [message["timestamp"] for message in messages[symbol]]
        assert len(times) >= 8
        assert {b - a for a, b in pairwise(times)} == {MINUTE_MS}
        for message in messages[symbol]:
            assert message["close_1m"] == closes[message["timestamp"] + 1 - MINUTE_MS]


@pytest.mark.parametrize(
    ("text", "env", "listed"),
    [
        ("[ui]\nslow = true\n", {}, 14),  # 12 perpetuals, and two that are none
        ("[application]\nsymbols = ['BTCUSDT']\n", {}, 3),
        ("", {"FEEDER_APPLICATION__SYMBOLS": "BTCUSDT,ETHUSDT"}, 4),
    ],
)
def test_a_demo_follows_the_symbols_that_are_stated_and_else_all_it_has(
    tmp_path: Path, text: str, env: dict[str, str], listed: int
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with PreloadedPopen(
        [*COMMAND, "--demo", "--no-ui", "--config", str(file)],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(**SHORT, **env),
    ) as process:  # fmt: skip
        told = told_until("symbols listed", process)
    assert process.returncode == 0, told
    assert f": {listed} symbols listed" in told


def test_headless_loads_no_screen() -> None:
    tell = (
        "import atexit, sys\n"
        "@atexit.register\n"
        "def told():\n"
        "    names = {name.split('.')[0] for name in sys.modules}\n"
        "    no = {'textual', 'rich', 'pandas', 'aiokafka', 'asyncpg', 'cramjam'}\n"
        "    print('LOADED', sorted(names & no))\n"
        "from tui_feeder.cli import main\n"
        "main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", tell, "--demo", "--symbols", "BTCUSDT", "--no-ui"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(**SHORT),
    ) as process:  # fmt: skip
        told = told_until(" closed: ", process)
        assert process.stdout is not None
        assert "LOADED []" in process.stdout.read()
    assert process.returncode == 0, told
    assert "minute" in told


def test_help_is_plain_and_loads_neither_screen_nor_engine() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "tui_feeder", "--no-ui", "--help"],
        capture_output=True, text=True, timeout=60, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "--demo" in done.stdout
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {"textual", "rich", "numpy", "lmdb", "aiohttp", "websockets"}


def test_a_broken_configuration_tells_all_its_problems_and_exits_2(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        "[application]\n"
        "symbols = []\n"
        "storage_pth = 'x'\n"
        "monthly_threshold_months = 'three'\n"
        "[volume_profile]\n"
        "calculation_mode = 'Volum'\n"
    )
    done = run("--config", file, "--no-ui")
    assert done.returncode == 2
    assert "4 problems" in done.stderr
    for line, key in enumerate(("symbols", "storage_pth", "monthly_threshold_months"), 2):
        assert f"{file}:{line}: application.{key}" in done.stderr
    assert f"{file}:6: volume_profile.calculation_mode" in done.stderr
    assert 'did you mean "storage_path"' in done.stderr
    assert 'did you mean "Volume"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_in_order_and_frees_the_store(tmp_path: Path, number: signal.Signals) -> None:
    process = PreloadedPopen(
        [*COMMAND, "--demo", "--symbols", "BTCUSDT", "--no-ui", "--storage", str(tmp_path)],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(**SHORT),
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "closed" in line:
            break
    process.send_signal(number)
    rest = process.stderr.read()
    assert process.wait(30) == 0, rest
    assert "shut down cleanly" in rest
    store = Store(tmp_path, exchange="a simulated exchange")  # would refuse if it were still locked
    assert store.watermark("BTCUSDT") is not None
    store.close()


def test_a_second_engine_on_the_same_store_is_told_who_holds_it(tmp_path: Path) -> None:
    store = Store(tmp_path, exchange="a simulated exchange")
    try:
        done = run(
            "--demo", "--symbols", "BTCUSDT", "--no-ui", "--storage", tmp_path, "--run-for", "5", **SHORT
        )
    finally:
        store.close()
    assert done.returncode == 1
    assert f"pid {os.getpid()}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_symbol_nobody_lists_is_refused_with_a_guess() -> None:
    done = run("--demo", "--symbols", "BTCUSD_NO", "--no-ui", "--run-for", "20")
    assert done.returncode == 1
    assert "BTCUSD_NO" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_terminal_means_headless_and_is_said() -> None:
    done = run("--demo", "--symbols", "BTCUSDT", "--run-for", "3", **SHORT)
    assert done.returncode == 0
    assert "not a terminal" in done.stderr


def test_a_reader_that_leaves_ends_the_run_quietly() -> None:
    command = " ".join([*COMMAND, "--demo --symbols BTCUSDT --demo-speed 60 --output jsonl | head -n 1"])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env=environment(**SHORT),
        check=False,
    )  # fmt: skip
    assert done.returncode == 141, done.stderr
    assert json.loads(done.stdout)["symbol"] == "BTCUSDT"
    assert "Traceback" not in done.stderr


async def test_killed_during_backfill_it_goes_on_and_downloads_no_certified_file_again(
    tmp_path: Path,
) -> None:
    market = synthetic_market(["BTCUSDT", "ETHUSDT"], as_of_ms=NOON)
    async with Exchange(market, clock_for(market, start_ms=NOON)) as exchange:
        env = environment(
            FEEDER_EXCHANGE__REST_URL=exchange.rest_url,
            FEEDER_EXCHANGE__STREAM_URL=exchange.stream_url,
            FEEDER_EXCHANGE__ARCHIVE_URL=exchange.archive_url,
        )
        command = [*COMMAND, "--symbols", "BTCUSDT,ETHUSDT", "--storage", str(tmp_path), "--no-ui"]

        def start() -> PreloadedPopen:
            return PreloadedPopen(
                command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )

        def zips() -> list[str]:
            return [path for path in exchange.archive_log if path.endswith(".zip")]

        process = start()
        deadline = time.monotonic() + 60
        while len(zips()) < 40:
            await asyncio.sleep(0.01)
            assert time.monotonic() < deadline, "the backfill did not begin in time"
        process.kill()
        process.wait()
        before = len(zips())
        store = await asyncio.to_thread(Store, tmp_path, read_only=True)
        certified = {symbol: store.certified(symbol) for symbol in ("BTCUSDT", "ETHUSDT")}
        for symbol, ranges in certified.items():
            assert not ranges.subtract(store.present(symbol)), "certified and not stored"
        store.close()
        done_files = sum(ranges.minutes for ranges in certified.values()) // 1440
        assert 5 <= done_files <= before

        process = start()
        deadline = time.monotonic() + 60
        while True:
            await asyncio.sleep(0.5)
            assert time.monotonic() < deadline, "history was not completed in time"
            store = await asyncio.to_thread(Store, tmp_path, read_only=True)
            full = all(store.present(s).minutes >= 60 * 1440 for s in ("BTCUSDT", "ETHUSDT"))
            store.close()
            if full:
                break
        process.terminate()
        assert process.wait(30) == 0
        again = zips()[before:]
        assert again
        for path in again:
            found = re.search(r"/(\w+)-1m-(\d{4}-\d\d-\d\d)\.zip$", path)
            assert found
            day = int(time.mktime(time.strptime(found[2], "%Y-%m-%d")) - time.timezone) * 1000
            assert not certified[found[1]].clip(day, day + DAY_MS), f"{path} was certified already"


async def test_hangup_reads_the_configuration_again_and_follows_its_symbols(tmp_path: Path) -> None:
    market = synthetic_market(["BTCUSDT", "ETHUSDT"], as_of_ms=NOON)
    async with Exchange(market, clock_for(market, start_ms=NOON, rate=60.0)) as exchange:
        file = tmp_path / "config.toml"

        def write(symbols: str) -> None:
            file.write_text(
                f"[application]\nsymbols = {symbols}\nstorage_path = '{tmp_path / 'store'}'\n"
                "[technical_analysis]\nmin_history_days = 2\n"
                f"[exchange]\nrest_url = '{exchange.rest_url}'\nstream_url = '{exchange.stream_url}'\n"
                f"archive_url = '{exchange.archive_url}'\nclock_rate = 60.0\n"
            )

        write("['BTCUSDT']")
        logged = tmp_path / "log"
        with logged.open("wb") as log:
            process = await start_process(
                *COMMAND, "--config", str(file), "--output", "jsonl",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environment(),
            )  # fmt: skip
        assert process.stdout is not None

        async def symbol() -> str:
            line = await asyncio.wait_for(process.stdout.readline(), 30)
            return str(json.loads(line)["symbol"])

        assert await symbol() == "BTCUSDT"
        write("['nonsense")
        process.send_signal(signal.SIGHUP)  # a broken file changes nothing
        assert [await symbol() for _ in range(3)] == ["BTCUSDT"] * 3
        write("['ETHUSDT']")
        process.send_signal(signal.SIGHUP)
        while await symbol() != "ETHUSDT":
            pass
        assert [await symbol() for _ in range(5)][-3:] == ["ETHUSDT"] * 3
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
            process.send_signal(number)
            while f"{number.name} is ignored" not in logged.read_text():
                assert await symbol() == "ETHUSDT"
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_a_full_disk_is_said_waited_for_and_gone_on_from(tmp_path: Path) -> None:
    market = synthetic_market(["BTCUSDT", "ETHUSDT"], as_of_ms=NOON)
    async with Exchange(market, clock_for(market, start_ms=NOON)) as exchange:
        env = environment(
            FEEDER_EXCHANGE__REST_URL=exchange.rest_url,
            FEEDER_EXCHANGE__STREAM_URL=exchange.stream_url,
            FEEDER_EXCHANGE__ARCHIVE_URL=exchange.archive_url,
        )
        # No file of the process may grow beyond this: to it, the disk is full. 60 days need about 4.4 MB.
        limit = (2 << 20, resource.RLIM_INFINITY)
        process = await start_process(
            *COMMAND, "--symbols", "BTCUSDT,ETHUSDT", "--storage", str(tmp_path / "store"), "--no-ui",
            cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limit)  # it has not begun to read yet
        assert process.stderr is not None
        told: list[str] = []

        async def until_said(word: str) -> None:
            while not told or word not in told[-1]:
                line = await asyncio.wait_for(process.stderr.readline(), 40)
                assert line, f"it ended before it said {word!r}:\n{''.join(told)}"
                told.append(line.decode())

        await until_said("full")
        await asyncio.sleep(2.0)
        assert process.returncode is None
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
        await until_said("live: 2")
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0
    store = await asyncio.to_thread(Store, tmp_path / "store", read_only=True)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        present = store.present(symbol)
        assert present.minutes >= 60 * 1440
        assert not present.missing(present.start, present.end)
        assert_whole(store, exchange, symbol, present.end - DAY_MS, present.end)
    store.close()


def test_a_storage_nobody_can_write_is_refused_with_a_remedy() -> None:
    done = run("--demo", "--symbols", "BTCUSDT", "--no-ui", "--storage", "/proc/feeder", "--run-for", "5")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "--storage" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_theme_that_does_not_exist_is_refused_without_a_screen_too(tmp_path: Path) -> None:
    done = commanding.command("--demo", "--no-ui", "--run-for", "1", "--theme", "nope", cwd=tmp_path)
    assert done.code == 2
    assert done.err.startswith("feeder-tui: --theme: unknown theme 'nope'; there are: feeder-dark, ")
    assert done.err.count("\n") == 1
