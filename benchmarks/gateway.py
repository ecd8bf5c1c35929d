"""The gateway under load: requests a second beside aiohttp answering the same bytes from memory.

    python -m benchmarks.gateway [--seconds 3] [--symbols 50]

An embedded exchange, a feeder and its gateway run as processes of their own. Twenty clients poll all symbols;
the figures of both servers are taken in turns in the same run. Also: what the polling costs the exchange, and
how late the engine's loop wakes meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote
from urllib.request import urlopen

from aiohttp import web

from benchmarks._watching import children, cpu

_CLIENTS = 20
_ROUNDS = 3
_LIMITS = (1_500, 1)


async def _memory(folder: Path, port: int) -> None:
    """Answer with the bytes of files, by the path that is asked for: as little code as aiohttp allows."""
    bodies = await asyncio.to_thread(
        lambda: {unquote(path.name): path.read_bytes() for path in folder.iterdir()}
    )

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=bodies[request.path_qs], content_type="application/json")

    app = web.Application()
    app.add_routes([web.get("/fapi/v1/klines", answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


async def _ask(port: int, paths: list[str], until: float, took: list[float]) -> None:
    """One client: asks in turn over one connection, reads the answers by their length."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    requests = [f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() for path in paths]
    n = 0
    while time.perf_counter() < until:
        began = time.perf_counter()
        writer.write(requests[n % len(requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{paths[n % len(paths)]}: {head[:200]!r}")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
        took.append(time.perf_counter() - began)
        n += 1
    writer.close()


async def _load(port: int, paths: list[str], seconds: float) -> tuple[float, float]:
    """Requests a second, and the 99th percentile of an answer in ms."""
    took: list[float] = []
    until = time.perf_counter() + seconds
    turned = [paths[n % len(paths) :] + paths[: n % len(paths)] for n in range(_CLIENTS)]
    await asyncio.gather(*(_ask(port, turned[n], until, took) for n in range(_CLIENTS)))
    return len(took) / seconds, sorted(took)[int(len(took) * 0.99)] * 1000


@contextlib.contextmanager
def _process(*arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
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


def _wait_for(url: str, seconds: float = 90.0) -> bytes:
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


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--memory", nargs=2)
    options = parser.parse_args()
    if options.memory:
        await _memory(Path(options.memory[0]), int(options.memory[1]))
        return
    names = ["BTCUSDT", "ETHUSDT", *(f"C{n}USDT" for n in range(options.symbols - 2))]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, contextlib.ExitStack() as stack:
        home = Path(folder)
        config = home / "config.toml"
        sim, health, port, memory = 18200, 18201, 18202, 18203
        config.write_text(
            f'[application]\nsymbols = {json.dumps(names)}\nstorage_path = "{home / "store"}"\n'
            f"health_server_port = {health}\n[technical_analysis]\nmin_history_days = 3\n"
            f'[exchange]\nrest_url = "http://127.0.0.1:{sim}"\nstream_url = "ws://127.0.0.1:{sim}"\n'
            f'archive_url = "http://127.0.0.1:{sim}"\n[service]\nsocket = "{home / "s"}"\n'
            f"[gateway]\nenabled = true\nport = {port}\nclient_requests_per_minute = 0\n"
        )
        stack.enter_context(
            _process(
                "-m",
                "tui_feeder",
                "simulate",
                "--port",
                str(sim),
                "--symbols",
                ",".join(names),
                log=home / "sim.log",
            )
        )
        _wait_for(f"http://127.0.0.1:{sim}/fapi/v1/ping")
        feeder = stack.enter_context(
            _process("-m", "tui_feeder", "-c", str(config), "--no-ui", log=home / "feeder.log")
        )
        base = f"http://127.0.0.1:{port}/fapi/v1/klines?interval=1m"
        for name in names:
            _wait_for(f"{base}&symbol={name}&limit=1500")
        bodies = home / "bodies"
        bodies.mkdir()
        paths = {
            limit: [f"/fapi/v1/klines?symbol={name}&interval=1m&limit={limit}" for name in names]
            for limit in _LIMITS
        }
        for path in (path for some in paths.values() for path in some):
            (bodies / quote(path, safe="")).write_bytes(_get(f"http://127.0.0.1:{port}{path}"))
        log = home / "memory.log"
        server = stack.enter_context(
            _process("-m", "benchmarks.gateway", "--memory", str(bodies), str(memory), log=log)
        )
        _wait_for(f"http://127.0.0.1:{memory}{paths[1][0]}")
        requests = int(_metric(health, 'feeder_events_total{event="rest_requests"}'))
        _, quiet_before = _lag(health)
        await asyncio.sleep(5)
        _, quiet = _lag(health)
        for limit in _LIMITS:
            pids = {"memory": server.pid, "gateway": children(feeder.pid)[0]}
            ports = {"memory": memory, "gateway": port}
            rates: dict[str, list[float]] = {"memory": [], "gateway": []}
            costs: dict[str, list[float]] = {"memory": [], "gateway": []}
            slowest: list[float] = []
            for _ in range(_ROUNDS):
                for name, pid in pids.items():
                    before = cpu(pid)
                    rate, p99 = await _load(ports[name], paths[limit], options.seconds)
                    rates[name].append(rate)
                    costs[name].append((cpu(pid) - before) / (rate * options.seconds) * 1e6)
                    if name == "gateway":
                        slowest.append(p99)
            for what, found, unit in (("rate", rates, "requests/s"), ("CPU", costs, "us a request")):
                pairs = zip(found["gateway"], found["memory"], strict=True)
                ratio = statistics.median(g / m if what == "rate" else m / g for g, m in pairs)
                mine, theirs = statistics.median(found["gateway"]), statistics.median(found["memory"])
                print(
                    f"limit={limit}: {mine:,.0f} {unit}, aiohttp from memory {theirs:,.0f}, ratio {ratio:.2f}"
                )
            print(f"limit={limit}: p99 {statistics.median(slowest):.1f} ms")
        _, loaded = _lag(health)
        print(
            f"engine loop lag p99: {_quantile(quiet_before, quiet, 0.99) * 1000:g} ms quiet, "
            f"{_quantile(quiet, loaded, 0.99) * 1000:g} ms under load"
        )
        asked = int(_metric(health, 'feeder_events_total{event="rest_requests"}')) - requests
        print(f"requests of the feeder to the exchange meanwhile: {asked} (its clock and listings)")


def _metric(port: int, name: str) -> float:
    for line in _get(f"http://127.0.0.1:{port}/metrics").decode().splitlines():
        if line.startswith(name):
            return float(line.rpartition(" ")[2])
    return 0.0


if __name__ == "__main__":
    asyncio.run(main())
