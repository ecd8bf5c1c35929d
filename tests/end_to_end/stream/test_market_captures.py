"""Frames recorded at the exchange, of three markets, through the stream's real handlers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from pathlib import Path

import pytest
from feed import until
from places import SHARED_DATA
from websockets.asyncio.server import ServerConnection, serve

from tui_feeder.engine.core.candle import Candle
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.exchanges.base import StreamHandlers
from tui_feeder.engine.exchanges.binance.archive import ArchiveClient
from tui_feeder.engine.exchanges.binance.coinm import COINM
from tui_feeder.engine.exchanges.binance.exchange import BinanceExchange
from tui_feeder.engine.exchanges.binance.market_type import Market
from tui_feeder.engine.exchanges.binance.rest_client import RestClient
from tui_feeder.engine.exchanges.binance.spot import SPOT
from tui_feeder.engine.exchanges.binance.usdm import USDM

CAPTURES = SHARED_DATA / "captures"
TESTNET = CAPTURES / "testnet-2026-08"
pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures are not in ../shared/data")


def lines_of(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line]


async def through_the_stream(
    market: Market, symbol: str, lines: list[str]
) -> tuple[list[tuple[str, Candle, bool]], Counter[str]]:
    """What the handlers of a market's stream are given of lines that a server sends."""
    taken: list[tuple[str, Candle, bool]] = []
    faults: Counter[str] = Counter()

    async def handler(connection: ServerConnection) -> None:
        for line in lines:
            await connection.send(line)
        await connection.send("the end")
        await connection.wait_closed()

    handlers = StreamHandlers(
        lambda name, candle, closed, _: taken.append((name, candle, closed)),
        lambda kind, _: faults.update([kind]),
    )
    async with serve(handler, "127.0.0.1", 0) as server:
        url = f"127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        rest = RestClient(f"http://{url}", ExchangeClock(), market=market)
        exchange = BinanceExchange(
            rest, ArchiveClient(f"http://{url}", None, market=market), f"ws://{url}", None, market,
        )  # fmt: skip
        streams = exchange.streams(handlers)
        streams.assign([symbol])
        running = asyncio.create_task(streams.run())
        await until(lambda: faults["unreadable frame"] == 1)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await exchange.close()
    del faults["unreadable frame"]
    return taken, faults


@pytest.mark.parametrize(
    ("market", "symbol", "folder", "frames", "others"),
    [
        (USDM, "BTCUSDT", "binance-futures-testnet", 132, 946 - 132),
        (SPOT, "spot:BTCUSDT", "binance-spot-testnet", 34, 128 - 34),
    ],
)
async def test_the_testnet_captures(
    market: Market, symbol: str, folder: str, frames: int, others: int
) -> None:
    lines = lines_of(TESTNET / folder / "btcusdt.jsonl")
    taken, faults = await through_the_stream(market, symbol, lines)
    assert (len(taken), faults) == (frames, Counter({"unknown event": others}))
    assert {name for name, _, _ in taken} == {symbol}
    closed = [candle for _, candle, ended in taken if ended]
    assert len(closed) == 2
    stated = [k for line in lines if (k := json.loads(line)["data"].get("k")) is not None]
    assert [candle.volume for _, candle, _ in taken] == [float(k["v"]) for k in stated]
    # The trades of a minute follow on those of the minute before it.
    ends = [k for k in stated if k["x"]]
    assert ends[1]["f"] == ends[0]["L"] + 1
    assert closed[1].trades == ends[1]["L"] - ends[1]["f"] + 1


async def test_a_spot_minute_without_a_trade_is_pushed() -> None:
    lines = lines_of(TESTNET / "binance-spot-testnet/btcusdt.jsonl")
    taken, _ = await through_the_stream(SPOT, "spot:BTCUSDT", lines)
    empty = [k for line in lines if (k := json.loads(line)["data"].get("k")) and k["f"] == -1]
    assert len(empty) == len([candle for _, candle, _ in taken if candle.trades == 0]) > 0
    assert {(k["L"], k["n"]) for k in empty} == {(-1, 0)}


async def test_the_quoted_frame_of_a_coin_margined_contract() -> None:
    lines = lines_of(CAPTURES / "quoted/coinm-2026-09-25.jsonl")
    taken, faults = await through_the_stream(COINM, "coinm:BTCUSD_PERP", lines)
    ((name, candle, closed),) = taken
    assert (name, closed, faults) == ("coinm:BTCUSD_PERP", True, Counter({"unknown event": 3}))
    assert (candle.volume, candle.quote_volume) == (0.21498328, 18_000.0)
    assert candle.low < candle.quote_volume / candle.volume < candle.high
