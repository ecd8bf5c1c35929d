"""The other side of ``benchmarks.peers``: one library at one task, run by the Python that has it.

``python -P benchmarks/_peer_stages.py NAME FOLDER ROUNDS`` prints JSON: processor seconds of each round, and
a sum of what came out, by which the parent sees that the same was read. It imports nothing of this program.
Each is used as its documentation says; what is not part of the task (imports, reading the inputs) is not
measured.
"""

from __future__ import annotations

import asyncio
import gc
import io
import json
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

TIMEFRAMES = (5, 15, 60, 240)
PERIODS = (21, 89)
#: Of an archive's twelve columns.
COLUMNS = [
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades",
    "taker_buy_volume", "taker_buy_quote_volume", "ignore",
]  # fmt: skip

Work = Callable[[], float]


def zipped(folder: Path) -> bytes:
    """The month that is read in."""
    return (folder / "month.zip").read_bytes()


def pandas_archive(folder: Path) -> Work:
    """``read_csv`` of the zip, times as timestamps."""
    import pandas as pd

    content = zipped(folder)

    def work() -> float:
        frame = pd.read_csv(io.BytesIO(content), compression="zip")
        frame["open_time"] = pd.to_datetime(frame["open_time"], unit="ms", utc=True)
        return float(frame["close"].sum())

    return work


def polars_archive(folder: Path) -> Work:
    """``read_csv`` of the member, times as timestamps; on one thread as all others."""
    import polars as pl

    content = zipped(folder)

    def work() -> float:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            frame = pl.read_csv(archive.read(archive.namelist()[0]))
        frame = frame.with_columns(pl.from_epoch("open_time", time_unit="ms"))
        return float(frame["close"].sum())

    return work


def freqtrade_archive(folder: Path) -> Work:
    """``get_daily_ohlcv`` of ``download-data``, given the bytes instead of a connection."""
    from datetime import date

    from freqtrade.enums import CandleType
    from freqtrade.exchange.binance_public_data import get_daily_ohlcv

    content = zipped(folder)

    class Answer:
        status = 200

        async def __aenter__(self) -> Answer:
            return self

        async def __aexit__(self, *_: object) -> None:
            pass

        async def read(self) -> bytes:
            return content

    class Session:
        def get(self, url: str) -> Answer:
            return Answer()

    def work() -> float:
        day = date(2026, 2, 1)
        frame = asyncio.run(get_daily_ohlcv("X", "1m", CandleType.FUTURES, day, Session()))
        return float(frame["close"].sum())

    return work


def frames(folder: Path) -> list[str]:
    """Kline frames of a combined stream, as text."""
    return (folder / "frames.jsonl").read_text().splitlines()


def python_binance_frames(folder: Path) -> Work:
    """``json_loads`` of its socket: dicts whose numbers are strings, which is all it does."""
    from binance.ws.reconnecting_websocket import ReconnectingWebsocket

    texts = frames(folder)
    socket = ReconnectingWebsocket.__new__(ReconnectingWebsocket)

    def work() -> float:
        count = 0
        for text in texts:
            count += socket.json_loads(text)["data"]["k"]["n"]
        return float(count)

    return work


def ccxt_frames(folder: Path) -> Work:
    """ccxt.pro: its decoder and ``handle_ohlcv``, which adds to its cache of candles."""
    import ccxt.pro
    import orjson

    texts = frames(folder)
    exchange: Any = ccxt.pro.binanceusdm()
    names = sorted({json.loads(text)["data"]["s"] for text in texts})
    market = {
        "quote": "USDT",
        "settle": "USDT",
        "type": "swap",
        "swap": True,
        "linear": True,
        "contract": True,
    }
    exchange.set_markets(
        [
            exchange.safe_market_structure(
                {"id": name, "symbol": f"{name[:-4]}/USDT:USDT", "base": name[:-4], "spot": False, **market}
            )
            for name in names
        ]
    )

    class Client:
        url = "wss://fstream.binance.com/ws"

        def resolve(self, result: Any, name: str) -> None:  # noqa: ANN401 - whatever it hands on
            pass

    client = Client()

    def work() -> float:
        for text in texts:
            exchange.handle_ohlcv(client, orjson.loads(text)["data"])
        return float(sum(cached["1m"][-1][4] for cached in exchange.ohlcvs.values()))

    return work


def cryptofeed_frames(folder: Path) -> Work:
    """``message_handler`` of its exchange: decimals instead of floats, and its ``Candle``."""
    from cryptofeed.exchanges.binance_futures import BinanceFutures

    texts = frames(folder)
    found: list[Any] = []

    class Feed(BinanceFutures):  # type: ignore[misc]  # only the peers' environment has it
        def __init__(self) -> None:  # without a list of symbols, which it would ask the exchange for
            self.requires_authentication = False
            self.candle_closed_only = False

        def exchange_symbol_to_std_symbol(self, symbol: str) -> str:
            return symbol

        async def callback(self, data_type: str, obj: Any, receipt_timestamp: float) -> None:  # noqa: ANN401
            found.append(obj)

    feed = Feed()

    async def all_of_them() -> None:
        for text in texts:
            await feed.message_handler(text, None, 0.0)

    def work() -> float:
        found.clear()
        asyncio.run(all_of_them())
        return float(sum(candle.trades for candle in found))

    return work


def candles(folder: Path) -> dict[str, Any]:
    """Columns of two months of minutes, as arrays."""
    import numpy as np

    with np.load(folder / "candles.npz") as held:
        return {name: held[name] for name in held.files}


def talib_ema(folder: Path) -> Work:
    """``EMA`` of the minutes' closes."""
    import talib

    closes = candles(folder)["close"]
    return lambda: float(sum(talib.EMA(closes, period)[-1] for period in PERIODS))


def pandas_ema(folder: Path) -> Work:
    """``ewm`` of the minutes' closes."""
    import pandas as pd

    closes = pd.Series(candles(folder)["close"])
    return lambda: float(sum(closes.ewm(span=period, adjust=False).mean().iloc[-1] for period in PERIODS))


def talipp_ema(folder: Path) -> Work:
    """``EMA.add`` of one close after the other, as it is used live."""
    from talipp.indicators import EMA

    closes = candles(folder)["close"][-20_000:].tolist()

    def work() -> float:
        lines = [EMA(period) for period in PERIODS]
        for close in closes:
            for line in lines:
                line.add(close)
        return float(sum(line[-1] for line in lines))

    return work


def pandas_bars(folder: Path) -> Work:
    """``resample`` into bars of four timeframes."""
    import pandas as pd

    frame = pd.DataFrame(candles(folder))
    frame.index = pd.to_datetime(frame.pop("open_time"), unit="ms")
    how = {"open": "first", "high": "max", "low": "min", "close": "last"} | dict.fromkeys(
        ("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume"), "sum"
    )
    return lambda: float(
        sum(frame.resample(f"{minutes}min").agg(how)["close"].sum() for minutes in TIMEFRAMES)
    )


def polars_bars(folder: Path) -> Work:
    """``group_by_dynamic`` into bars of four timeframes; on one thread as all others."""
    import polars as pl

    frame = pl.DataFrame(candles(folder)).with_columns(pl.from_epoch("open_time", time_unit="ms"))
    summed = ("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")
    how = [pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last()]
    how += [pl.col(name).sum() for name in summed]
    return lambda: float(
        sum(
            frame.group_by_dynamic("open_time", every=f"{minutes}m").agg(how)["close"].sum()
            for minutes in TIMEFRAMES
        )
    )


def marketprofile_day(folder: Path) -> Work:
    """``MarketProfile`` of a day: volume at the close's price, POC and value area."""
    import pandas as pd
    from market_profile import MarketProfile

    held = {name: column[:1_440] for name, column in candles(folder).items()}
    names = {"open": "Open", "high": "High", "low": "Low", "close": "Close", "volume": "Volume"}
    frame = pd.DataFrame({title: held[name] for name, title in names.items()})
    frame.index = pd.to_datetime(held["open_time"], unit="ms")

    def work() -> float:
        day = MarketProfile(frame, tick_size=0.001)[frame.index.min() : frame.index.max()]
        return float(day.total_volume)

    return work


def main() -> None:
    """Measure one stage."""
    name, folder, rounds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    work: Work = globals()[name](folder)
    seconds, outcome = [], work()  # once to warm up
    for _ in range(rounds):
        gc.collect()
        began = time.process_time()
        outcome = work()
        seconds.append(time.process_time() - began)
    print(json.dumps({"seconds": seconds, "sum": outcome}))


if __name__ == "__main__":
    main()
