"""Connections are bounded: a flood takes neither the feeder's descriptors nor its log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from commanding import COMMAND, command, environment
from feed import until

from tui_feeder.listener import Listener, ListenError, listen_at, most_connections
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market
from tui_feeder.web_server import serving_http

NOON = 1_773_144_000_000
FILES = 256
SYMBOLS = ["BTCUSDT", "ETHUSDT"]


def exchange_at(start: int, rate: float = 1.0) -> Exchange:
    market = synthetic_market(SYMBOLS, as_of_ms=NOON)
    return Exchange(market, clock_for(market, start_ms=start, rate=rate))


@contextlib.contextmanager
def open_files(soft: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def _flood(address: tuple[str, int] | str, count: int, word: bytes) -> list[socket.socket]:
    """Open connections that say ``word`` and no more; those that are refused are among them."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    made = []
    loop = asyncio.get_running_loop()
    for _ in range(count):
        one = socket.socket(family, socket.SOCK_STREAM)
        one.setblocking(False)
        with contextlib.suppress(OSError):
            async with asyncio.timeout(5):
                await loop.sock_connect(one, address)
                await loop.sock_sendall(one, word)
        made.append(one)
    return made


def _ended(connections: list[socket.socket]) -> int:
    """How many of them the other side has closed."""
    count = 0
    for one in connections:
        try:
            count += not one.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            continue
        except OSError:
            count += 1
    return count


# --- the listener by itself ------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _echoing(most: int) -> AsyncIterator[tuple[Listener, tuple[str, int]]]:
    listener = Listener(listen_at("127.0.0.1", 0), "the test's port", most)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    address = listener.getsockname()
    server = await asyncio.start_server(echo, sock=listener)
    try:
        yield listener, address
    finally:
        server.close()


async def _echoes(address: tuple[str, int]) -> bool:
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(b"x")
        async with asyncio.timeout(10):
            return await reader.read(1) == b"x"
    except OSError:
        return False
    finally:
        writer.close()


async def test_connections_beyond_the_bound_are_closed_and_the_place_of_one_that_ended_is_free() -> None:
    async with _echoing(4) as (listener, address):
        flood = await _flood(address, 10, b"")
        await until(lambda: _ended(flood) == 6)
        assert listener.refused == 6
        assert not await _echoes(address)
        for one in flood:
            one.close()
        for _ in range(100):
            if await _echoes(address):
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("no place was free again")


async def test_without_a_free_descriptor_a_connection_is_closed_and_one_line_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with _echoing(1_000) as (listener, address):
        flood = [socket.socket() for _ in range(40)]
        used: list[int] = []
        with open_files(len(os.listdir("/proc/self/fd")) + 20):
            with contextlib.suppress(OSError):
                while True:
                    used.append(os.open(os.devnull, os.O_RDONLY))
            for one in flood:
                one.setblocking(False)
                await asyncio.get_running_loop().sock_connect(one, address)
            await until(lambda: _ended(flood) == 40)
            began = time.process_time()
            for _ in range(20):
                await asyncio.sleep(0.01)
            assert time.process_time() - began < 0.15, "the loop spins"
            for descriptor in used:
                os.close(descriptor)
            assert await _echoes(address)
        for one in flood:
            one.close()
        assert listener.refused == 40
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "connections to the test's port are refused (1 so far): the process has no file descriptor left: "
        "raise its limit (ulimit -n, LimitNOFILE=)"
    ]


def test_the_bound_follows_the_limit_of_open_files() -> None:
    with open_files(FILES):
        assert most_connections(128) == 32
        assert most_connections(10) == 10
        assert most_connections(1_000, share=2) == 128
    with open_files(1_024):
        assert most_connections(128) == 128


def test_an_address_that_cannot_be_had_is_told_in_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            ListenError, match=f"^port {port} of 127.0.0.1 is in use, perhaps by another feeder$"
        ):
            listen_at("127.0.0.1", port)
    for host in ("nowhere.invalid", "192.0.2.1", "a" * 70):
        with pytest.raises(ListenError, match="is not an address of this machine") as told:
            listen_at(host, 0)
        assert told.value.no_address


# --- HTTP: who says nothing makes room ------------------------------------------------------------


@contextlib.asynccontextmanager
async def _pages(
    most: int, first: float, idle: float
) -> AsyncIterator[tuple[tuple[str, int], asyncio.Event]]:
    go_on = asyncio.Event()

    async def quick(request: web.Request) -> web.Response:
        return web.Response(text="quick")

    async def slow(request: web.Request) -> web.Response:
        await go_on.wait()
        return web.Response(text="slow")

    app = web.Application()
    app.router.add_get("/quick", quick)
    app.router.add_get("/slow", slow)
    made = listen_at("127.0.0.1", 0)
    async with serving_http(
        app, made, "the test's port", most=most, first_seconds=first, idle_seconds=idle
    ) as runner:
        yield runner.addresses[0], go_on


@pytest.mark.parametrize("word", [b"", b"GET /quick HTTP/1.1\r\nX-"])
async def test_a_connection_without_a_whole_request_is_ended_in_time(word: bytes) -> None:
    async with _pages(100, first=1.0, idle=60.0) as (address, go_on), aiohttp.ClientSession() as session:
        answering = asyncio.create_task(session.get(f"http://{address[0]}:{address[1]}/slow"))
        flood = await _flood(address, 20, word)
        assert _ended(flood) == 0
        await until(lambda: _ended(flood) == 20)
        go_on.set()  # a request that is under way takes the time it takes
        assert await (await answering).text() == "slow"
        async with session.get(f"http://{address[0]}:{address[1]}/quick") as answer:
            assert await answer.text() == "quick"


async def test_a_connection_that_was_served_may_rest_longer_and_not_for_ever() -> None:
    async with _pages(100, first=0.1, idle=3.0) as (address, _):
        reader, writer = await asyncio.open_connection(*address)
        ask = b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"
        for _ in range(2):
            writer.write(ask)
            async with asyncio.timeout(10):
                await reader.readuntil(b"quick")
            await asyncio.sleep(1.5)  # longer than a first request may take, looks included
        writer.write(ask[:-1])
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


async def test_who_has_said_nothing_for_longest_goes_when_places_are_few() -> None:
    async with _pages(16, first=60.0, idle=60.0) as (address, go_on), aiohttp.ClientSession() as session:
        url = f"http://{address[0]}:{address[1]}"
        slow = [asyncio.create_task(session.get(f"{url}/slow")) for _ in range(4)]
        first = await _flood(address, 8, b"GET ")
        await asyncio.sleep(0)
        flood = await _flood(address, 40, b"GET ")
        async with session.get(f"{url}/quick") as answer:  # the newest, though 48 came before it
            assert await answer.text() == "quick"
        await until(lambda: _ended(first) == 8)
        assert _ended(flood) >= 40 - 16
        go_on.set()
        assert [await (await one).text() for one in slow] == ["slow"] * 4


# --- a whole feeder --------------------------------------------------------------------------------


@dataclass
class _Feeder:
    process: asyncio.subprocess.Process
    port: int
    socket: Path
    messages: list[dict[str, object]]
    log: Path

    def health(self) -> dict[str, object]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=10) as answer:
            found: dict[str, object] = json.load(answer)
            return found


@contextlib.asynccontextmanager
async def _feeder(exchange: Exchange, folder: Path) -> AsyncIterator[_Feeder]:
    """A feeder that may open few files, from a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log, path = folder / "log", folder / "feeder.sock"
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", f'ulimit -n {FILES}; exec "$@"', "sh", *COMMAND,
        "--symbols", "BTCUSDT,ETHUSDT", "--storage", str(folder / "store"), "--output", "jsonl",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=log.open("wb"),
        limit=1 << 20,
        env=environment(
            exchange, FEEDER_APPLICATION__HEALTH_SERVER_PORT=str(port), FEEDER_SERVICE__SOCKET=str(path),
            FEEDER_TECHNICAL_ANALYSIS__MIN_HISTORY_DAYS="1",
        ),
        cwd=folder,
    )  # fmt: skip
    feeder = _Feeder(process, port, path, [], log)
    assert process.stdout is not None

    async def read(pipe: asyncio.StreamReader) -> None:
        while line := await pipe.readline():
            feeder.messages.append(json.loads(line))

    reading = asyncio.create_task(read(process.stdout))
    try:
        yield feeder
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(40):
            await process.wait()
            await reading


async def test_a_flood_stops_neither_the_minutes_nor_the_log_and_health_answers(tmp_path: Path) -> None:
    async with exchange_at(NOON, rate=30) as exchange, _feeder(exchange, tmp_path) as feeder:
        await until(lambda: len(feeder.messages) > 4, 60)
        flood = await _flood(("127.0.0.1", feeder.port), 400, b"GET /health HTTP/1.1\r\nX-")
        flood += await _flood(str(feeder.socket), 200, b"\0\0")
        before = len(feeder.messages)
        await until(lambda: len(feeder.messages) >= before + 12, 60)  # six minutes of both symbols
        assert _ended(flood) > 600 - FILES
        health = await asyncio.to_thread(feeder.health)  # while the flood is still there
        assert health["status"] == "ok"
        status = await asyncio.to_thread(command, "status", "--socket", feeder.socket, cwd=tmp_path)
        for _ in range(100):
            if status.code in (0, 3):
                break
            await asyncio.sleep(0.1)
            status = await asyncio.to_thread(command, "status", "--socket", feeder.socket, cwd=tmp_path)
        assert "2 symbols" in status.out or "symbols   2" in status.out, (status.out, status.err)
        for one in flood:
            one.close()
        assert (await asyncio.to_thread(feeder.health))["status"] == "ok"
        minutes = {(str(one["symbol"]), one["timestamp"]) for one in feeder.messages}
        stamps = sorted(int(str(stamp)) for symbol, stamp in minutes if symbol == "BTCUSDT")
        assert stamps == list(range(stamps[0], stamps[-1] + 1, 60_000))  # none was lost
    log = feeder.log.read_text()
    assert "Traceback" not in log
    assert len(log) < 200_000
    assert log.count("connections to ") <= 4
    assert "connections to the socket" in log


@pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")
async def test_a_flood_at_the_exchange_alone_leaves_it_answering() -> None:
    with open_files(FILES):
        async with exchange_at(NOON) as exchange:
            host, port = exchange.rest_url.removeprefix("http://").split(":")
            flooding = await asyncio.create_subprocess_exec(
                sys.executable, "-c",
                "import socket, sys\n"
                f"held = [socket.create_connection(({host!r}, {port})) for _ in range(200)]\n"
                "print('there', flush=True)\nsys.stdin.read()",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert flooding.stdout is not None
            assert await flooding.stdout.readline() == b"there\n"
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{exchange.rest_url}/fapi/v1/time") as answer,
            ):
                assert "serverTime" in await answer.json()
            flooding.kill()
            await flooding.wait()
