"""Whether a feeder grows with uptime: hundreds of symbols with everything on, for a day of exchange time.

``python -m benchmarks.growth [--symbols 600] [--hours 24] [--speed 60] [--kafka HOST:PORT]
[--postgres HOST:PORT:USER:PASSWORD] [--json] [--check]``. A day takes 24 minutes.

A feeder as a process of its own, on the settings of a first start except two days of history instead of 60,
and no 4h bars, for which the embedded exchange would have to invent 154 days of every symbol first: files,
alerts, HTTP and the attach socket on, Kafka and PostgreSQL where given, an attached screen on a terminal, and
``/metrics`` read all the time. Forming frames come once in a minute of exchange time, for 60
times as fast they would be 60 times as many.

Told is the anonymous memory, every hour of exchange time. What has a bound reaches it: with ``--check`` the
mean of the last quarter may be 3 % above that of the quarter before, which a leak
of 32 bytes in each of its 36,000 messages an hour would reach.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import pty
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks._watching import ROOT, environment, free_port
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

_START = 1_773_144_000_000  # 2026-03-10T12:00:00Z
_CADENCE_MS = 60_000
_HOUR = 3_600.0
_MOST_GROWTH = 1.03


def _exchange(pipe: Connection, symbols: list[str], speed: float) -> None:
    """The embedded exchange, until the other end of the pipe is closed."""

    async def serve() -> None:
        market = synthetic_market(symbols, as_of_ms=_START)
        clock = clock_for(market, start_ms=_START, rate=speed)
        async with Exchange(market, clock, cadence=_CADENCE_MS) as exchange:
            pipe.send((exchange.rest_url, exchange.stream_url, exchange.archive_url))
            await asyncio.to_thread(pipe.poll, None)

    asyncio.run(serve())


def _config(given: argparse.Namespace, urls: tuple[str, str, str], folder: Path, port: int) -> str:
    names = [f"C{n:03}USDT" for n in range(given.symbols)]
    lines = [
        "[application]", f"symbols = {json.dumps(names)}", f"health_server_port = {port}",
        "[technical_analysis]", "min_history_days = 2", "timeframes = [60, 300, 900, 3600]",
        "[exchange]", f'rest_url = "{urls[0]}"', f'stream_url = "{urls[1]}"', f'archive_url = "{urls[2]}"',
        f"clock_rate = {given.speed}",
        "[service]", f"socket = {json.dumps(str(folder / 'feeder.sock'))}",
        f"log_file = {json.dumps(str(folder / 'feeder.log'))}",
        "[file]", "enabled = true", "candles = true", f"path = {json.dumps(str(folder / 'messages'))}",
        "keep = 4",
        "[alerts.rules]",
        'trend = { kind = "trend_flip", timeframe = 900 }',
        'area = { kind = "price_cross", level = "vah" }',
        'volume = { kind = "volume_above", quantile = "q90", factor = 5.0 }',
    ]  # fmt: skip
    if given.kafka:
        lines += ["[kafka]", "enabled = true", "candles_topic = true"]
        lines += [f'bootstrap_servers = ["{given.kafka}"]']
    if given.postgres:
        host, server, user, password = given.postgres.split(":")
        lines += ["[database]", "enabled = true", f'host = "{host}"', f"port = {server}"]
        lines += [f'username = "{user}"', f'password = "{password}"']
    return "\n".join(lines) + "\n"


def _anonymous_mb(pid: int) -> float:
    found = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def _screen(socket: Path) -> subprocess.Popen[bytes]:
    """An attached screen on a terminal that somebody reads."""
    near, far = pty.openpty()
    os.set_blocking(near, True)
    screen = subprocess.Popen(
        [sys.executable, "-m", "tui_feeder", "attach", "--socket", str(socket)],
        stdin=far, stdout=far, stderr=far, cwd=ROOT, env=environment(TERM="xterm-256color"),
        start_new_session=True,
    )  # fmt: skip
    os.close(far)

    def read() -> None:
        while True:
            try:
                if not os.read(near, 1 << 16):
                    return
            except OSError:
                return

    threading.Thread(target=read, daemon=True).start()
    return screen


def _measure(given: argparse.Namespace, folder: Path) -> list[float]:
    """Anonymous memory at the end of each hour of exchange time, MB."""
    apart = multiprocessing.get_context("spawn")
    near, far = apart.Pipe()
    names = [f"C{n:03}USDT" for n in range(given.symbols)]
    exchange = apart.Process(target=_exchange, args=(far, names, given.speed), daemon=True)
    exchange.start()
    urls = near.recv()
    port = free_port()
    config = folder / "config.toml"
    config.write_text(_config(given, urls, folder, port))
    feeder = subprocess.Popen(
        [sys.executable, "-m", "tui_feeder", "--no-ui", "--config", str(config),
         "--storage", str(folder / "store")],
        cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL,
        stderr=(folder / "stderr.txt").open("wb"),
    )  # fmt: skip
    screen = None
    hours: list[float] = []
    try:
        deadline = time.monotonic() + 600
        while not _get(port, "/ready").get("ready"):
            assert feeder.poll() is None, (folder / "stderr.txt").read_text()
            assert time.monotonic() < deadline, "the feeder is not ready"
            time.sleep(1)
        screen = _screen(folder / "feeder.sock")
        began = time.monotonic()
        samples: list[float] = []
        while len(hours) < given.hours:
            time.sleep(1)
            _get(port, "/metrics")
            assert feeder.poll() is None, (folder / "stderr.txt").read_text()
            assert screen.poll() is None, "the screen ended"
            samples.append(_anonymous_mb(feeder.pid))
            if (time.monotonic() - began) * given.speed >= (len(hours) + 1) * _HOUR:
                hours.append(statistics.fmean(samples[-10:]))
                if not given.json:
                    print(f"hour {len(hours):>3}: {hours[-1]:.1f} MB", flush=True)
        ready = _get(port, "/ready")
        assert ready.get("ready"), f"not ready at the end: {ready}"
    finally:
        if screen is not None:
            screen.kill()
        feeder.terminate()
        feeder.wait(60)
        near.close()
        exchange.kill()
    return hours


def _get(port: int, path: str) -> dict[str, object]:
    """The answer if it is JSON, else an empty one."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            body = answer.read()
    except OSError:
        return {}
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth")
    parser.add_argument("--symbols", type=int, default=600)
    parser.add_argument("--hours", type=int, default=24, help="of exchange time, at least 4")
    parser.add_argument("--speed", type=float, default=60, help="exchange seconds in a real one")
    parser.add_argument("--kafka", help="a real broker, HOST:PORT")
    parser.add_argument(
        "--postgres", help="a real server, HOST:PORT:USER:PASSWORD; its database crypto_data must be empty"
    )
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 where it still grows")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="feeder-growth-") as folder:
        hours = _measure(given, Path(folder))
    quarter = len(hours) // 4
    before, last = statistics.fmean(hours[-2 * quarter : -quarter]), statistics.fmean(hours[-quarter:])
    good = last <= before * _MOST_GROWTH
    if given.json:
        print(json.dumps({"hours_mb": hours, "quarters_mb": [before, last], "good": good}))
    else:
        print(f"third quarter {before:.1f} MB, last {last:.1f} MB: {'bounded' if good else 'still growing'}")
    sys.exit(1 if given.check and not good else 0)


if __name__ == "__main__":
    main()
