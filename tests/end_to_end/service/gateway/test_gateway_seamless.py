"""The seamless subscription: each closed bar once for each revision, in order, whatever is cut in between."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from tests.support.feed import NOON, until
from tests.support.gateways import GatewayUnderTest, gateway_of, market_rows
from tests.support.places import DOCS
from tui_feeder import follow, follow_sync
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.following import FollowedCandle, FollowError
from tui_feeder.service.gateway import subscription
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

BTC, ETH, QUIET = "BTCUSDT", "ETHUSDT", "币安人生USDT"
SYMBOLS = [BTC, ETH, QUIET]
START = NOON - 3 * DAY_MS


@contextlib.asynccontextmanager
async def gateway(path: Path) -> AsyncIterator[tuple[GatewayUnderTest, Exchange]]:
    market = synthetic_market(SYMBOLS, as_of_ms=NOON)
    exchange = Exchange(market, SimulatedClock(NOON + 30_000, 1e-6))
    async with exchange, gateway_of(exchange, path, dict.fromkeys(SYMBOLS, (START, NOON))) as served:
        yield served, exchange


async def taken(source: AsyncIterator[FollowedCandle], count: int) -> list[FollowedCandle]:
    found = []
    async with asyncio.timeout(60):
        async for candle in source:
            found.append(candle)
            if len(found) == count:
                break
    return found


def times(candles: list[FollowedCandle], symbol: str = BTC) -> list[int]:
    return [candle.open_time for candle in candles if candle.symbol == symbol]


async def test_stored_bars_go_over_into_live_ones_without_a_seam(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (served, exchange):
        following = follow(SYMBOLS, since=START + DAY_MS, url=served.url)
        got = taken(aiter(following), 3 * (2 * 1440 + 5))
        running = asyncio.create_task(got)
        for n in range(5):
            await asyncio.sleep(0.1)
            for symbol in SYMBOLS:
                served.commit(exchange.market, symbol, NOON + n * MINUTE_MS, NOON + (n + 1) * MINUTE_MS)
        candles = await running
        for symbol in SYMBOLS:
            assert times(candles, symbol) == list(range(START + DAY_MS, NOON + 5 * MINUTE_MS, MINUTE_MS))
        wanted = market_rows(exchange.market, ETH, START + DAY_MS, NOON + 5 * MINUTE_MS)
        rows = [
            tuple(getattr(c, name) for name in wanted.dtype.names or ()) for c in candles if c.symbol == ETH
        ]
        assert np.array_equal(np.array(rows, dtype=wanted.dtype), wanted)
        assert {candle.revision for candle in candles} == {0}
        assert candles[0].close_time == candles[0].open_time + MINUTE_MS - 1


async def test_websocket_events_and_python_give_the_same_bars(tmp_path: Path) -> None:
    schema = json.loads((DOCS / "candle.schema.json").read_text())
    async with gateway(tmp_path) as (served, _):
        path = f"/api/v1/stream?symbols={BTC},{ETH}&timeframe=15m&since=2026-03-09T12:00:00Z"
        count = 2 * 96
        over: list[dict[str, object]] = []
        async with served.session.ws_connect(served.url + path) as socket, asyncio.timeout(30):
            async for message in socket:
                body = json.loads(message.data)
                over += body["candles"]
                if len(over) == count:
                    break
        jsonschema.validate(over[0], schema)
        cursor = body["cursor"]
        events: list[dict[str, object]] = []
        ident = ""
        async with served.session.get(served.url + path) as answer, asyncio.timeout(30):
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            while len(events) < count:
                line = (await answer.content.readline()).decode()
                ident = line[4:].strip() if line.startswith("id: ") else ident
                events += json.loads(line[6:]) if line.startswith("data: ") else []
        candles = await taken(aiter(follow([BTC, ETH], "15m", since=NOON - DAY_MS, url=served.url)), count)
        assert events == over
        assert ident == cursor
        keys = ("symbol", "open_time", "close", "volume", "trades", "revision")
        assert [[getattr(c, key) for key in keys] for c in candles] == [
            [one[key] for key in keys] for one in over
        ]
        wanted = json.loads(
            (
                await served.get(
                    f"/fapi/v1/klines?symbol={BTC}&interval=15m&startTime={NOON - DAY_MS}&limit=96"
                )
            )[1]
        )
        mine = [one for one in over if one["symbol"] == BTC]
        assert [float(row[5]) for row in wanted] == [one["volume"] for one in mine]
        async with served.session.get(served.url + path, headers={"Last-Event-ID": ident}) as answer:
            assert answer.status == 200  # since is stated: it wins
        resumed = f"/api/v1/stream?symbols={BTC},{ETH}&timeframe=15m"
        async with served.session.get(served.url + resumed, headers={"Last-Event-ID": ident}) as answer:
            assert (await answer.content.readline()).decode() == f"id: {ident}\n"


async def test_cut_and_resumed_at_random_each_bar_comes_once_for_each_revision(tmp_path: Path) -> None:
    random.seed(4)
    async with gateway(tmp_path) as (served, exchange):
        got: list[FollowedCandle] = []
        cursor: str | None = None
        over = asyncio.Event()

        async def read() -> None:
            """A reader that is cut off now and then, at any candle, and goes on from its cursor."""
            nonlocal cursor
            while not over.is_set():
                following = follow(SYMBOLS, since=START if cursor is None else cursor, url=served.url)
                left = random.choice((1, 2, 5, 700, 5_000, 20_000))
                async for candle in following:
                    got.append(candle)
                    cursor = following.cursor
                    left -= 1
                    if not left:
                        break
                    if over.is_set():
                        return

        reading = asyncio.create_task(read())
        live = 40
        for n in range(live):
            for symbol in SYMBOLS:
                served.commit(exchange.market, symbol, NOON + n * MINUTE_MS, NOON + (n + 1) * MINUTE_MS)
            if n % 7 == 3:  # a better source has other values
                at = NOON - (n + 1) * MINUTE_MS
                rows = market_rows(exchange.market, ETH, at, at + MINUTE_MS)
                rows["close"] = rows["high"]
                served.store.put(ETH, rows, Source.ARCHIVE_DAY).result(30)
            await asyncio.sleep(0.05)
        wanted = 3 * (3 * 1440 + live)
        await until(lambda: len({(c.symbol, c.open_time) for c in got}) == wanted)
        await until(lambda: sum(c.revision > 0 for c in got) >= 6)
        over.set()
        served.commit(exchange.market, BTC, NOON + live * MINUTE_MS, NOON + (live + 1) * MINUTE_MS)
        await reading
        counted = Counter((c.symbol, c.open_time, c.revision) for c in got)
        assert max(counted.values()) == 1
        for symbol in SYMBOLS:
            first = {}
            for candle in got:
                if candle.symbol == symbol:
                    first.setdefault(candle.open_time, candle)
            assert list(first) == sorted(first)
        last = {(c.symbol, c.open_time): c for c in got}
        stored = served.store.read(ETH, START, NOON + live * MINUTE_MS)
        assert [last[ETH, int(t)].close for t in stored["open_time"]] == stored["close"].tolist()


async def test_a_hole_is_waited_for_then_passed_and_given_as_a_correction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway(tmp_path) as (served, exchange):
        got: list[FollowedCandle] = []

        async def read() -> None:
            async for candle in follow([BTC], since=NOON, url=served.url):
                got.append(candle)

        reading = asyncio.create_task(read())
        served.commit(exchange.market, BTC, NOON + 2 * MINUTE_MS, NOON + 4 * MINUTE_MS)
        await asyncio.sleep(1.5)
        assert got == []
        served.commit(exchange.market, BTC, NOON, NOON + 2 * MINUTE_MS)
        await until(lambda: times(got) == [NOON + n * MINUTE_MS for n in range(4)])
        monkeypatch.setattr(subscription, "_HOLD_SECONDS", 0.2)
        served.commit(exchange.market, BTC, NOON + 5 * MINUTE_MS, NOON + 7 * MINUTE_MS)
        await until(lambda: times(got)[4:] == [NOON + n * MINUTE_MS for n in (5, 6)])
        served.commit(exchange.market, BTC, NOON + 4 * MINUTE_MS, NOON + 5 * MINUTE_MS)
        await until(lambda: len(got) == 7)
        assert (got[-1].open_time, got[-1].revision > 0) == (NOON + 4 * MINUTE_MS, True)
        reading.cancel()


async def test_requests_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (served, _):
        for query, status, said in (
            ("", 400, "symbols are names"),
            ("symbols=", 400, "symbols are names"),
            ("symbols=NOPE", 404, "'NOPE' is not followed"),
            (f"symbols={BTC}&timeframe=7m", 400, "timeframe is"),
            (f"symbols={BTC}&since=yesterday", 400, "since is a time"),
            (f"symbols={BTC}&since=1773144000", 400, "since is a time"),
            (f"symbols={BTC},{ETH}&since={NOON}:0:1", 400, "cursor of 2 symbols"),
            (f"symbols={BTC}&since={NOON}:0:x", 400, "cursor of 1 symbols"),
            (f"symbols={BTC}&since={'9' * 30}:0:1", 400, "cursor of 1 symbols"),
            (f"symbols={BTC}&format=packed", 400, "WebSocket alone"),
            (f"symbols={BTC}&format=xml", 400, "json or packed"),
            (f"symbols={BTC}&limit=5", 400, "no such parameter"),
        ):  # fmt: skip
            found, body, _ = await served.get(f"/api/v1/stream?{query}")
            assert (found, said in json.loads(body)["error"]) == (status, True), (query, body)
        with pytest.raises(FollowError, match=r"\(404\): 'NOPE' is not followed"):
            await taken(aiter(follow(["NOPE"], since=NOON, url=served.url)), 1)
        with pytest.raises(ValueError, match="timeframe"):
            follow(BTC, "7m")
        found, body, _ = await served.get(f"/api/v1/stream?symbols={BTC}", **{"X-MBX-APIKEY": "x"})
        assert found == 403


async def test_the_plain_iterator_gives_the_same_and_finds_a_gateway_that_comes_back(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (served, exchange):
        got: list[FollowedCandle] = []
        enough = threading.Event()

        def read() -> None:
            for candle in follow_sync(BTC, "1h", since=START, url=served.url):
                got.append(candle)
                if len(got) == 73:
                    enough.set()
                    return

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        await until(lambda: len(got) == 72)
        served.commit(exchange.market, BTC, NOON, NOON + 60 * MINUTE_MS)
        await asyncio.to_thread(enough.wait, 30)
        assert times(got) == list(range(START, NOON + 1, 60 * MINUTE_MS))


async def test_one_that_does_not_read_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tui_feeder.service.gateway import seamless

    monkeypatch.setattr(seamless, "_STUCK_SECONDS", 0.5)
    async with gateway(tmp_path) as (served, _):
        query = f"symbols={BTC},{ETH}&since={START}"
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", int(served.url.rpartition(":")[2])))
        reader, writer = await asyncio.open_connection(sock=made, limit=2_048)
        writer.write(f"GET /api/v1/stream?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        candles = await taken(aiter(follow([BTC], since=START, url=served.url)), 3 * 1440)
        assert len(candles) == 3 * 1440
        await until(lambda: served.figures.cut == 1)
        left = b""
        with contextlib.suppress(ConnectionError):
            left = await reader.read(-1)
        assert not left.endswith(b"0\r\n\r\n")  # it was cut, not ended
        writer.close()
