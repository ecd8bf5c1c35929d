"""The gateway's streams and its seamless subscription under load.

    python -m benchmarks.gateway_streams [--clients 100] [--streams 50] [--seconds 60]

Ten times as fast as a market: an exchange, a feeder and its gateway as processes of their own. A hundred
clients subscribe to fifty streams each; one of them stops reading for a third of the time, one for ever. A
closing frame must come once and in order to all but the last. Then a subscription of all symbols since three
days ago is read as fast as it comes, beside the store's own read of the same minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import sys
import tempfile
import time
from pathlib import Path

from benchmarks._watching import children, cpu
from benchmarks.gateway import _process, _wait_for
from tui_feeder import follow_sync, open_store
from tui_feeder.engine.core.candle import MINUTE_MS, to_candles

_SIM, _PORT = 18_300, 18_301


class _Client:
    """Reads the frames of a combined stream; keeps the open times of closing ones."""

    def __init__(self) -> None:
        self.closed: dict[str, list[int]] = {}
        self.frames = 0
        self.paused = asyncio.Event()
        self.paused.set()

    async def run(self, names: list[str]) -> None:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 10)
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", _PORT))
        reader, writer = await asyncio.open_connection(sock=made, limit=1 << 16)
        path = f"/stream?streams={'/'.join(names)}"
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self.paused.wait()
                _, size = await reader.readexactly(2)
                if size == 126:
                    size = int.from_bytes(await reader.readexactly(2), "big")
                payload = await reader.readexactly(size)
                self.frames += 1
                if b'"x":true' in payload:
                    bar = json.loads(payload)
                    self.closed.setdefault(bar["stream"], []).append(bar["data"]["k"]["t"])
        writer.close()


def _resident(pid: int) -> float:
    """MB of memory of a process."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


async def _streams(pid: int, names: list[str], count: int, seconds: float) -> None:
    clients = [_Client() for _ in range(count)]
    tasks = [asyncio.create_task(client.run(names)) for client in clients]
    await asyncio.sleep(5)
    began, before, memory = time.monotonic(), cpu(pid), _resident(pid)
    clients[0].paused.clear()
    clients[1].paused.clear()
    await asyncio.sleep(seconds / 3)
    clients[0].paused.set()
    await asyncio.sleep(seconds * 2 / 3)
    used = (cpu(pid) - before) / (time.monotonic() - began)
    frames = sum(client.frames for client in clients)
    print(
        f"{count} clients x {len(names)} streams: {used * 100:.0f} % of a core, {used / count * 100:.2f} % a "
        f"client, {frames / seconds:,.0f} frames/s, memory {memory:.0f} to {_resident(pid):.0f} MB"
    )
    wrong = late = 0
    reference = {name: max((c.closed.get(name, []) for c in clients[2:]), key=len) for name in names}
    for n, client in enumerate(clients):
        if n == 1:
            continue
        for name in names:
            got = client.closed.get(name, [])
            wrong += got != list(range(got[0], got[0] + len(got) * MINUTE_MS, MINUTE_MS)) if got else 0
            late += max(0, len(reference[name]) - len(got) - 1)
    closes = sum(map(len, reference.values()))
    print(
        f"closing frames of a client: {closes}; out of order or twice: {wrong}; not there at the end: {late}"
    )
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _catch_up(store: Path, names: list[str]) -> None:
    with open_store(store) as opened:
        first = int(opened.candles(names[0], "1m")["open_time"][0])
        began = time.perf_counter()
        count = sum(len(opened.candles(name, "1m")) for name in names)
        read = count / (time.perf_counter() - began)
    began, got = time.perf_counter(), 0
    for _ in follow_sync(names, "1m", since=first, url=f"http://127.0.0.1:{_PORT}"):
        got += 1
        if got == count:
            break
    rate = got / (time.perf_counter() - began)
    from tui_feeder.engine.storage.store import Store

    opened_store = Store(store, read_only=True)
    began = time.perf_counter()
    made = sum(len(to_candles(opened_store.read(name, 0, 1 << 60))) for name in names)
    objects = made / (time.perf_counter() - began)
    opened_store.close()
    print(
        f"catching up: {rate:,.0f} bars/s; the store's own read {read:,.0f} (ratio {rate / read:.2f}), "
        f"as candles {objects:,.0f} (ratio {rate / objects:.2f})"
    )


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    names = [f"C{n}USDT" for n in range(options.streams)]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, contextlib.ExitStack() as stack:
        home, store = Path(folder), Path(folder) / "store"
        config = home / "config.toml"
        url = f"127.0.0.1:{_SIM}"
        config.write_text(
            f'[application]\nsymbols = {json.dumps(names)}\nstorage_path = "{store}"\n'
            "health_server_port = 0\n[technical_analysis]\nmin_history_days = 3\n"
            f'[exchange]\nrest_url = "http://{url}"\nstream_url = "ws://{url}"\n'
            f'archive_url = "http://{url}"\nclock_rate = 10.0\n[service]\nsocket = "{home / "s"}"\n'
            f"[gateway]\nenabled = true\nport = {_PORT}\n"
        )
        exchange = ("-m", "tui_feeder", "simulate", "--port", str(_SIM), "--speed", "10")
        stack.enter_context(_process(*exchange, "--symbols", ",".join(names), log=home / "sim.log"))
        _wait_for(f"http://{url}/fapi/v1/ping")
        feeder = stack.enter_context(
            _process("-m", "tui_feeder", "-c", str(config), "--no-ui", log=home / "feeder.log")
        )
        for name in names:
            _wait_for(f"http://127.0.0.1:{_PORT}/fapi/v1/klines?interval=1m&symbol={name}&limit=100")
        pid = children(feeder.pid)[0]
        await _streams(pid, [f"{name.lower()}@kline_1m" for name in names], options.clients, options.seconds)
        await asyncio.to_thread(_catch_up, store, names)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
