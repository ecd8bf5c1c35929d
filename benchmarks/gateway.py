"""The gateway under load: requests a second beside aiohttp answering the same bytes from memory.

    python -m benchmarks.gateway [--json] [--check]

An embedded exchange, a feeder and its gateway run as processes of their own. Twenty clients poll fifty
symbols; the figures of both servers are taken in turns in the same run. Also: what the polling costs the
exchange, and how late the engine's loop wakes meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

from benchmarks._report import Figure, report
from benchmarks._watching import children, cpu
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.simulator.market import TRADES
from tui_feeder.simulator.synthetic import synthetic_market

_CLIENTS = 20
_ROUNDS = 3
_SYMBOLS = 50
_SECONDS = 3.0
_QUIET_SECONDS = 20.0
#: Rows of an answer, and the least ratio of requests a second.
_LIMITS = {1_500: 0.5, 1: 0.6}


@dataclass
class _Answers:
    """What clients got: seconds of each answer with rows, and how many named a minute not confirmed yet."""

    took: list[float] = field(default_factory=list)
    refused: int = 0


async def _ask(port: int, paths: list[str], until: float, answers: _Answers) -> None:
    """One client: asks in turn over one connection, reads the answers by their length.

    A made market has minutes without a trade; after one the newest rows are refused for two minutes.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    requests = [f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() for path in paths]
    n = 0
    while time.perf_counter() < until:
        began = time.perf_counter()
        writer.write(requests[n % len(requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        body = await reader.readexactly(length)
        if head.startswith(b"HTTP/1.1 200"):
            answers.took.append(time.perf_counter() - began)
        elif head.startswith(b"HTTP/1.1 503") and b"is being confirmed" in body:
            answers.refused += 1
        else:
            raise RuntimeError(f"{paths[n % len(paths)]}: {head[:200]!r} {body[:200]!r}")
        n += 1
    writer.close()


async def _load(port: int, paths: list[str], seconds: float) -> tuple[float, float, int]:
    """Answers with rows a second, the 99th percentile of one in ms, and how many were refused."""
    answers = _Answers()
    until = time.perf_counter() + seconds
    turned = [paths[n % len(paths) :] + paths[: n % len(paths)] for n in range(_CLIENTS)]
    await asyncio.gather(*(_ask(port, turned[n], until, answers) for n in range(_CLIENTS)))
    took = sorted(answers.took)
    return len(took) / seconds, took[int(len(took) * 0.99)] * 1000, answers.refused


@contextlib.contextmanager
def process(*arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, *arguments], stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _get(url: str) -> bytes:
    with urlopen(url) as answer:
        return bytes(answer.read())


def wait_for(url: str, seconds: float = 240.0) -> bytes:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return _get(url)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _lag(port: int) -> tuple[float, list[tuple[float, float]]]:
    """Count and buckets of the engine's loop lag."""
    buckets = []
    for line in _get(f"http://127.0.0.1:{port}/metrics").decode().splitlines():
        if line.startswith("feeder_loop_lag_seconds_bucket"):
            bound = line.partition('le="')[2].partition('"')[0]
            buckets.append((float(bound), float(line.rpartition(" ")[2])))
    return buckets[-1][1], buckets


def _quantile(before: list[tuple[float, float]], after: list[tuple[float, float]], q: float) -> float:
    counts = [(bound, b - a) for (bound, a), (_, b) in zip(before, after, strict=True)]
    total = counts[-1][1]
    return next(bound for bound, count in counts if count >= q * total) if total else 0.0


def _requests(counts: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads(counts.read_text())
    return found


def _always_traded() -> list[str]:
    """Names of symbols that trade in every minute.

    After a minute without a trade the engine asks REST by itself, and the newest rows are refused meanwhile.
    """
    now = int(time.time() * 1000)
    names = [f"C{n}USDT" for n in range(6 * _SYMBOLS)]
    market = synthetic_market(names, as_of_ms=now)
    found = [name for name in names if (market.minutes(name, now - DAY_MS, now).values[:, TRADES] > 0).all()]
    return ["BTCUSDT", "ETHUSDT", *found[: _SYMBOLS - 2]]


async def _measured() -> list[Figure]:
    names = await asyncio.to_thread(_always_traded)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, contextlib.ExitStack() as stack:
        home, counts = Path(folder), Path(folder) / "counts"
        config = home / "config.toml"
        sim, health, port, memory = 18200, 18201, 18202, 18203
        config.write_text(
            f'[application]\nsymbols = {json.dumps(names)}\nstorage_path = "{home / "store"}"\n'
            f"health_server_port = {health}\n[technical_analysis]\nmin_history_days = 3\n"
            f'[exchange]\nrest_url = "http://127.0.0.1:{sim}"\nstream_url = "ws://127.0.0.1:{sim}"\n'
            f'archive_url = "http://127.0.0.1:{sim}"\n[service]\nsocket = "{home / "s"}"\n'
            f"[gateway]\nenabled = true\nport = {port}\nclient_requests_per_minute = 0\n"
        )
        helpers = "benchmarks._gateway_helpers"
        exchange = ("exchange", str(sim), "1", str(counts), ",".join(names))
        stack.enter_context(process("-m", helpers, *exchange, log=home / "sim.log"))
        wait_for(f"http://127.0.0.1:{sim}/fapi/v1/ping")
        feeder = stack.enter_context(
            process("-m", "tui_feeder", "-c", str(config), "--no-ui", log=home / "feeder.log")
        )
        base = f"http://127.0.0.1:{port}/fapi/v1/klines?interval=1m"
        for name in names:
            wait_for(f"{base}&symbol={name}&limit=1500")
        bodies = home / "bodies"
        bodies.mkdir()
        paths = {
            limit: [f"/fapi/v1/klines?symbol={name}&interval=1m&limit={limit}" for name in names]
            for limit in _LIMITS
        }
        for path in (path for some in paths.values() for path in some):
            (bodies / quote(path, safe="")).write_bytes(_get(f"http://127.0.0.1:{port}{path}"))
        server = stack.enter_context(
            process("-m", helpers, "memory", str(memory), str(bodies), log=home / "memory.log")
        )
        wait_for(f"http://127.0.0.1:{memory}{paths[1][0]}")
        _, quiet_before = _lag(health)
        await asyncio.sleep(_QUIET_SECONDS)
        _, quiet = _lag(health)
        before = _requests(counts)
        for limit, least in _LIMITS.items():
            pids = {"memory": server.pid, "gateway": children(feeder.pid)[0]}
            ports = {"memory": memory, "gateway": port}
            rates: dict[str, list[float]] = {"memory": [], "gateway": []}
            costs: dict[str, list[float]] = {"memory": [], "gateway": []}
            slowest: list[float] = []
            refusals = 0
            for _ in range(_ROUNDS):
                for name, pid in pids.items():
                    used = cpu(pid)
                    rate, p99, refused = await _load(ports[name], paths[limit], _SECONDS)
                    rates[name].append(rate)
                    costs[name].append((cpu(pid) - used) / (rate * _SECONDS) * 1e6)
                    if name == "gateway":
                        slowest.append(p99)
                        refusals += refused
            what = f"limit={limit}:"
            rate = statistics.median(rates["gateway"])
            ratio = statistics.median(
                mine / theirs for mine, theirs in zip(rates["gateway"], rates["memory"], strict=True)
            )
            figures += [
                Figure(f"{what} requests", rate, "1/s"),
                Figure(f"{what} aiohttp from memory", statistics.median(rates["memory"]), "1/s"),
                Figure(f"{what} the gateway / from memory", ratio, "ratio", at_least=least),
                Figure(f"{what} CPU of a request", statistics.median(costs["gateway"]), "us"),
                Figure(f"{what} CPU of one from memory", statistics.median(costs["memory"]), "us"),
                Figure(f"{what} p99 of an answer", statistics.median(slowest), "ms"),
                Figure(f"{what} refused, a minute not confirmed", float(refusals), "requests"),
            ]
        _, loaded = _lag(health)
        after = _requests(counts)
        asked = sum(after[kind] - before.get(kind, 0) for kind in after if "klines" in kind)
        lags = _quantile(quiet_before, quiet, 0.99) * 1000, _quantile(quiet, loaded, 0.99) * 1000
        figures += [
            Figure("requests for candles the polling caused", asked, "requests", at_most=0),
            Figure("engine's loop lag p99, quiet", lags[0], "ms"),
            Figure("engine's loop lag p99, while polled", lags[1], "ms", at_most=2 * max(lags[0], 5.0)),
        ]
    return figures


if __name__ == "__main__":
    report("gateway", lambda: asyncio.run(_measured()))
