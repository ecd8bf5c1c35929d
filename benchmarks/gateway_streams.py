"""The gateway's streams and its seamless subscription under load.

    python -m benchmarks.gateway_streams [--json] [--check]

Ten times as fast as a market: an exchange, a feeder and its gateway as processes of their own. A hundred
clients subscribe to fifty streams each; one of them stops reading for a minute, one for ever. A closing frame
must come once and in order to all but the last. Then a subscription of all symbols since three days ago is
read as fast as it comes, beside the store's own read of the same minutes, and one that is ended and goes on
ten times at random.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import tempfile
import time
from pathlib import Path

from benchmarks._report import Figure, report
from benchmarks._watching import children, cpu
from benchmarks.gateway import process, wait_for
from tui_feeder import follow_sync, open_store
from tui_feeder.engine.core.candle import MINUTE_MS, to_candles
from tui_feeder.engine.storage.store import Store

_SIM, _PORT = 18_300, 18_301
_URL = f"http://127.0.0.1:{_PORT}"
_SPEED = 10.0
_CLIENTS, _STREAMS = 100, 50
_STOPPED_SECONDS = 60.0
_RESUMES = 10
_SETTLED_MS = 15 * MINUTE_MS


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


async def _streams(pid: int, names: list[str]) -> list[Figure]:
    clients = [_Client() for _ in range(_CLIENTS)]
    tasks = [asyncio.create_task(client.run(names)) for client in clients]
    await asyncio.sleep(5)
    began, before, memory = time.monotonic(), cpu(pid), _resident(pid)
    clients[0].paused.clear()
    clients[1].paused.clear()
    await asyncio.sleep(_STOPPED_SECONDS)
    clients[0].paused.set()
    await asyncio.sleep(_STOPPED_SECONDS)
    seconds = time.monotonic() - began
    used = (cpu(pid) - before) / seconds
    frames = sum(client.frames for client in clients)
    wrong = lacking = 0
    reference = {name: max((c.closed.get(name, []) for c in clients[2:]), key=len) for name in names}
    for n, client in enumerate(clients):
        if n == 1:
            continue
        for name in names:
            got = client.closed.get(name, [])
            wrong += got != list(range(got[0], got[0] + len(got) * MINUTE_MS, MINUTE_MS)) if got else 0
            lacking += max(0, len(reference[name]) - len(got) - 1)
    closes = sum(map(len, reference.values()))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    what = f"{_CLIENTS} clients of {len(names)} streams:"
    return [
        Figure(f"{what} CPU of one core", used * 100, "%"),
        Figure(f"{what} CPU a client", used / _CLIENTS * 100, "%"),
        Figure(f"{what} frames", frames / seconds, "1/s"),
        Figure(f"{what} closing frames of a client", closes, "frames", at_least=len(names)),
        Figure(f"{what} streams with one twice or out of order", wrong, "streams", at_most=0),
        Figure(f"{what} closing frames lacking at the end", lacking, "frames", at_most=0),
        Figure(f"{what} memory added", _resident(pid) - memory, "MB", at_most=100),
    ]


def _catch_up(store: Path, names: list[str]) -> list[Figure]:
    with open_store(store) as opened:
        first = int(opened.candles(names[0], "1m")["open_time"][0])
        began = time.perf_counter()
        times = [opened.candles(name, "1m")["open_time"] for name in names]
        read = sum(map(len, times)) / (time.perf_counter() - began)
    # Newer ones may have to wait until REST has confirmed them.
    settled = max(int(found[-1]) for found in times) - _SETTLED_MS
    lacking = sum(int((found < settled).sum()) for found in times)
    began, got = time.perf_counter(), 0
    for candle in follow_sync(names, "1m", since=first, url=_URL):
        got += 1
        lacking -= candle.open_time < settled
        if not lacking:
            break
    rate = got / (time.perf_counter() - began)
    with contextlib.closing(Store(store, read_only=True)) as stored:
        began = time.perf_counter()
        made = sum(len(to_candles(stored.read(name, 0, 1 << 60))) for name in names)
        objects = made / (time.perf_counter() - began)
    return [
        Figure("catching up: bars", rate, "1/s", at_least=200_000),
        Figure("catching up: the store's own read", read, "1/s"),
        Figure("catching up: the same as candles", objects, "1/s"),
        Figure("catching up: bars / the store's candles", rate / objects, "ratio", at_least=0.3),
    ]


def _resumed(store: Path, names: list[str], since: int) -> list[Figure]:
    """A reader since three days ago that is ended and goes on with its cursor, at random moments."""
    moments = random.Random(1)
    got: dict[tuple[str, int], list[int]] = {}
    last: dict[str, int] = {}
    cursor: int | str = since
    twice = disordered = 0
    for n in range(_RESUMES + 1):
        reader = follow_sync(names, "1m", since=cursor, url=_URL)
        # In the midst of history, then among live bars.
        wanted = moments.randrange(1, 40_000) if n < _RESUMES // 2 else moments.randrange(1, 400)
        if n == _RESUMES // 2:
            with open_store(store) as opened:
                wanted = sum(len(opened.candles(name, "1m")) for name in names) - len(got)
        for count, candle in enumerate(reader, 1):
            revisions = got.setdefault((candle.symbol, candle.open_time), [])
            twice += candle.revision in revisions
            if not revisions:
                disordered += candle.open_time <= last.get(candle.symbol, 0)
                last[candle.symbol] = candle.open_time
            revisions.append(candle.revision)
            if count == wanted:
                break
        assert reader.cursor is not None
        cursor = reader.cursor
    lacking = 0
    for name in names:
        times = sorted(at for symbol, at in got if symbol == name)
        lacking += (times[-1] - times[0]) // MINUTE_MS + 1 - len(times)
    what = f"resumed {_RESUMES} times since three days ago:"
    return [
        Figure(f"{what} bars", len(got), "bars", at_least=len(names) * 3 * 1_440),
        Figure(f"{what} a revision twice", twice, "bars", at_most=0),
        Figure(f"{what} out of order", disordered, "bars", at_most=0),
        Figure(f"{what} lacking", lacking, "bars", at_most=0),
    ]


async def _measured() -> list[Figure]:
    names = [f"C{n}USDT" for n in range(_STREAMS)]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, contextlib.ExitStack() as stack:
        home, store = Path(folder), Path(folder) / "store"
        config = home / "config.toml"
        url = f"127.0.0.1:{_SIM}"
        config.write_text(
            f'[application]\nsymbols = {json.dumps(names)}\nstorage_path = "{store}"\n'
            "health_server_port = 0\n[technical_analysis]\nmin_history_days = 3\n"
            f'[exchange]\nrest_url = "http://{url}"\nstream_url = "ws://{url}"\n'
            f'archive_url = "http://{url}"\nclock_rate = {_SPEED}\n[service]\nsocket = "{home / "s"}"\n'
            f"[gateway]\nenabled = true\nport = {_PORT}\n"
        )
        arguments = ("exchange", str(_SIM), str(_SPEED), str(home / "counts"), ",".join(names))
        stack.enter_context(process("-m", "benchmarks._gateway_helpers", *arguments, log=home / "sim.log"))
        wait_for(f"http://{url}/fapi/v1/ping")
        feeder = stack.enter_context(
            process("-m", "tui_feeder", "-c", str(config), "--no-ui", log=home / "feeder.log")
        )
        for name in names:
            wait_for(f"{_URL}/fapi/v1/klines?interval=1m&symbol={name}&limit=100")
        pid = children(feeder.pid)[0]
        figures = await _streams(pid, [f"{name.lower()}@kline_1m" for name in names])
        figures += await asyncio.to_thread(_catch_up, store, names)
        with open_store(store) as opened:
            since = int(opened.candles(names[0], "1m")["open_time"][0])
        return figures + await asyncio.to_thread(_resumed, store, names, since)


if __name__ == "__main__":
    report("gateway_streams", lambda: asyncio.run(_measured()))
