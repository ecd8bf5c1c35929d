"""Every input from outside, damaged at random: what cannot be used is told, and nothing else happens.

``make test ARGS="-k fuzz --fuzz 60"`` takes a minute for each.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import logging
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest
from aiohttp import web
from fake_monitor import FakeMonitor
from feed import NOON
from fuzzing import fuzz
from places import EXAMPLE, SHARED_DATA

from tui_feeder.attach.client import AttachedMonitor
from tui_feeder.attach.server import AttachServer
from tui_feeder.attach.wire import PROTOCOL, Hello, Question, encode_frame
from tui_feeder.config import ConfigError, load
from tui_feeder.engine.acquisition.ingest import Ingest, IngestListener
from tui_feeder.engine.core.candle import MINUTE_MS, Candle, Source, faulty
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.exchanges.base import ArchiveError, RestError, StreamHandlers
from tui_feeder.engine.exchanges.binance.archive import _digest_of, unpack
from tui_feeder.engine.exchanges.binance.rest_client import RestClient
from tui_feeder.engine.exchanges.binance.stream_connection import KlineSocket, StreamEndpoint
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import Snapshot

CAPTURE = SHARED_DATA / "captures" / "usdm-2026-market-kline.jsonl"

_SOON_SECONDS = 0.1


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    return float(request.config.getoption("--fuzz"))


@pytest.fixture
def untroubled(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is logged with a traceback."""
    caplog.set_level(logging.WARNING)
    yield
    assert not [record.getMessage() for record in caplog.records if record.exc_info]


def exchanged(connect: Callable[[], socket.socket], content: bytes) -> bytes:
    """What a server says to ``content`` until it closes; an answer, or none soon, and nothing follows."""
    answer = b""
    with connect() as one, contextlib.suppress(OSError):
        one.sendall(content)
        one.settimeout(_SOON_SECONDS)
        with contextlib.suppress(TimeoutError):
            answer += one.recv(1 << 16)
        one.shutdown(socket.SHUT_WR)
        one.settimeout(10.0)
        while got := one.recv(1 << 16):
            answer += got
    return answer


@pytest.mark.timeout(300)
def test_fuzzed_requests_are_answered_or_refused(
    feeder: tuple[str, int], seconds: float, untroubled: None
) -> None:
    paths = (
        "/health", "/ready", "/metrics", "/api/v1/symbols", "/api/v1/gaps?limit=2",
        "/api/v1/candles?symbol=BTCUSDT&timeframe=60&limit=5",
        "/api/v1/candles?symbol=BTCUSDT&start=1773140400000&end=1773144000000&limit=3",
        "/api/v1/profile?symbol=BTCUSDT&date=2026-03-09", "/api/v1/message?symbol=BTCUSDT",
    )  # fmt: skip
    host = f"Host: {feeder[0]}:{feeder[1]}"
    valid = [f"GET {path} HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n".encode() for path in paths]

    def take(content: bytes) -> None:
        answer = exchanged(lambda: socket.create_connection(feeder, timeout=20), content)
        assert not answer or answer.startswith(b"HTTP/"), answer[:200]
        assert b"Traceback" not in answer
        assert b" 500 " not in answer[:40], (content, answer[:500])
        assert len(answer) < 4_000_000

    assert fuzz(seconds, valid, take) > 20
    for one in valid:
        answer = exchanged(lambda: socket.create_connection(feeder, timeout=20), one)
        assert answer[9:12] == b"200", answer[:300]


@pytest.mark.timeout(300)
def test_fuzzed_questions_of_attached_clients_harm_nobody(
    tmp_path: Path, seconds: float, untroubled: None
) -> None:
    path = tmp_path / "feeder.sock"
    server = AttachServer(FakeMonitor(20), path, "a feeder")
    hello = encode_frame(Hello(PROTOCOL, "1"))
    asked: list[tuple[Any, ...]] = [
        ("snapshot",), ("bars", "BTCUSDT", 60, 10, None), ("coverage", "BTCUSDT", NOON - MINUTE_MS, NOON, 1),
        ("profile", "BTCUSDT", NOON), ("add_symbol", "BTCUSDT"), ("retry_gap", "BTCUSDT"), ("acknowledge", 1),
    ]  # fmt: skip
    valid = [hello + encode_frame(Question(1, what, args)) for what, *args in asked]

    def connect() -> socket.socket:
        one = socket.socket(socket.AF_UNIX)
        one.connect(str(path))
        return one

    try:
        assert fuzz(seconds, valid, lambda content: bool(exchanged(connect, content))) > 20
        looking = AttachedMonitor(path)
        assert isinstance(looking.snapshot(), Snapshot)
        looking.close()
    finally:
        server.close()


@pytest.mark.skipif(not CAPTURE.is_file(), reason="the captures are not in ../shared/data")
async def test_fuzzed_frames_are_candles_or_counted(tmp_path: Path, seconds: float) -> None:
    """From the socket's decoder through the ingest; only what keeps every invariant reaches a queue."""
    lines = CAPTURE.read_bytes().splitlines()
    symbol = "BTCUSDT"
    clock = ExchangeClock()
    journal = Journal(clock.now)
    store = Store(tmp_path, exchange="a test")
    listener = create_autospec(
        IngestListener, instance=True
    )  # no queue is ever opened; some closes contradict each other
    ingest = Ingest(store, journal, listener, lambda *_: None)
    faults: list[str] = []

    def candle(of: str, one: Candle, closed: bool, event: int) -> None:
        if closed:
            ingest.closed(of, one, Source.STREAM, clock.now())
        else:
            ingest.forming(of, one, clock.now())

    handlers = StreamHandlers(candle, lambda kind, _: faults.append(kind))
    endpoint = StreamEndpoint("ws://127.0.0.1:1", clock, lambda: None)
    one = KlineSocket("market-1", [symbol], endpoint, handlers)
    frames = [line for line in lines if b'"s":"BTCUSDT"' in line]
    fuzz(seconds, frames, one._take)
    for queue in ingest.queues.values():
        for held, _ in queue.pending.values():
            assert held.low <= held.open <= held.high
            assert held.volume >= 0
            assert held.open_time % MINUTE_MS == 0
    assert one.frames > 0
    assert faults
    await asyncio.to_thread(store.close)


@pytest.mark.timeout(300)
async def test_fuzzed_answers_are_rows_or_one_kind_of_error(seconds: float) -> None:
    row = b'[%d,"1.5","2","1","1.6","10","%d","15.5",7,"3","4.5","0"]'
    rows = b"[" + b",".join(
        row.replace(b'"%d"', b"%d") % (NOON + n * MINUTE_MS, NOON + (n + 1) * MINUTE_MS - 1) for n in range(3)
    ) + b"]"  # fmt: skip
    info = (
        b'{"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":2400}],'
        b'"symbols":[{"symbol":"BTCUSDT","status":"TRADING","quoteAsset":"USDT","contractType":"PERPETUAL",'
        b'"onboardDate":1569398400000,"filters":[{"filterType":"PRICE_FILTER","tickSize":"0.10"}]}]}'
    )
    bodies = [rows, info, b'{"serverTime":%d}' % NOON, b'{"code":-1003,"msg":"banned until 1773144120000"}']
    current: list[tuple[int, bytes]] = [(200, b"")]

    async def answer(request: web.Request) -> web.Response:
        status, body = current[0]
        return web.Response(status=status, body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    loop = asyncio.get_running_loop()
    host, port = runner.addresses[0][:2]

    async def ask(content: bytes) -> None:
        for status in (200, 418, 400):
            current[0] = (status, content)
            for question in ("klines", "listings", "server_time"):
                client = RestClient(f"http://{host}:{port}", ExchangeClock(), timeout=5.0)
                try:
                    got = await getattr(client, question)(*(("BTCUSDT",) if question == "klines" else ()))
                    if question == "klines":
                        faulty(got)
                except RestError:
                    pass
                finally:
                    await client.close()

    def take(content: bytes) -> None:
        asyncio.run_coroutine_threadsafe(ask(content), loop).result(60)

    assert await asyncio.to_thread(fuzz, seconds, bodies, take) > 20
    await runner.cleanup()


@pytest.mark.timeout(300)
def test_fuzzed_archives_are_read_or_refused(seconds: float) -> None:
    header = b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,x,ignore\n"
    lines = b"".join(
        b"%d,1.5,2,1,1.6,10,%d,15.5,7,3,4.5,0\n" % (NOON + n * MINUTE_MS, NOON + (n + 1) * MINUTE_MS - 1)
        for n in range(5)
    )

    def zipped(content: bytes, compressor: int) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compressor) as archive:
            archive.writestr("BTCUSDT-1m-2026-03-10.csv", content)
        return file.getvalue()

    packings = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    zips = [
        zipped(content, compressor) for content in (header + lines, lines, b"") for compressor in packings
    ]
    stated = [hashlib.sha256(one).hexdigest().encode() + b"  BTCUSDT-1m-2026-03-10.zip\n" for one in zips]

    def archive(content: bytes) -> None:
        try:
            parsed, _ = unpack(content, None)
        except ArchiveError:
            return
        faulty(parsed.rows)

    assert fuzz(seconds / 3, zips, archive) > 20
    assert fuzz(seconds / 3, [header + lines, lines], lambda text: archive(zipped(text, packings[1]))) > 20
    assert fuzz(seconds / 3, stated, _digest_of) > 20


@pytest.mark.timeout(300)
def test_fuzzed_configurations_load_or_are_told(tmp_path: Path, seconds: float) -> None:
    example = (EXAMPLE).read_bytes()
    sections = [b"[" + part for part in example.split(b"\n[") if part.strip()]
    path = tmp_path / "config.toml"

    def take(content: bytes) -> None:
        path.write_bytes(content)
        told = str(path)
        try:
            load(path, environ={})
        except ConfigError as error:
            told = str(error)
        assert str(path) in told

    assert fuzz(seconds, [example, *sections], take) > 20
