"""Real trades: a whole day of APEUSDT, and seventeen minutes of TRXUSDT with the candles of these minutes."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import NamedTuple

import pytest
from places import SHARED_DATA
from raw_trades import ladder_of_raw_trades

from tui_feeder.engine.analytics.orderflow.ladder import Ladder, LadderBuilder, of_day
from tui_feeder.engine.core.candle import MINUTE_MS, Candle, Rows, to_rows
from tui_feeder.engine.exchanges.binance.agg_trades_csv import TradeLine, TradesReader, trades_of

TRADES = SHARED_DATA / "trades"
APE = TRADES / "APEUSDT-aggTrades-2024-10-18.zip"
TRX, TRX_CANDLES = (
    TRADES / "TRXUSDT-trades-2025-03-04.um.csv.gz",
    TRADES / "TRXUSDT-1m-2025-03.um.extract.csv",
)
APE_DAY, TRX_DAY = 1_729_209_600_000, 1_741_046_400_000


class PlainTrade(NamedTuple):
    """A trade as the standard library reads it."""

    id: int
    price: Decimal
    quantity: Decimal
    count: int
    time: int
    sold: bool


@cache
def ape_text() -> bytes:
    if not APE.is_file():
        pytest.skip("the real trades of ../shared/data are not here")
    with zipfile.ZipFile(APE) as archive:
        return archive.read(archive.namelist()[0])


@cache
def ape_plain() -> tuple[PlainTrade, ...]:
    lines = csv.DictReader(io.StringIO(ape_text().decode()))
    return tuple(
        PlainTrade(
            int(line["agg_trade_id"]), Decimal(line["price"]), Decimal(line["quantity"]),
            int(line["last_trade_id"]) - int(line["first_trade_id"]) + 1, int(line["transact_time"]),
            line["is_buyer_maker"] == "true",
        )
        for line in lines
    )  # fmt: skip


@cache
def ape_ladder() -> Ladder:
    builder = LadderBuilder(APE_DAY)
    for trades in TradesReader().read([ape_text()]):
        builder.add(trades)
    return builder.ladder()


def ladder_of(trades: Sequence[PlainTrade]) -> Ladder:
    """Ladders of trades of the day of the first one."""
    builder = LadderBuilder(of_day(trades[0].time))
    builder.add(trades_of([TradeLine(t.id, str(t.price), str(t.quantity), *t[3:]) for t in trades]))
    return builder.ladder()


@cache
def trx() -> tuple[Ladder, Rows]:
    """Ladders of raw trades, each a trade of its own, of the day from midnight on, and its candles."""
    if not TRX.is_file():
        pytest.skip("the real trades of ../shared/data are not here")
    with TRX_CANDLES.open() as candles:
        rows = [
            Candle(
                int(c["open_time"]), *(float(c[n]) for n in ("open", "high", "low", "close", "volume")),
                float(c["quote_volume"]), int(c["count"]), float(c["taker_buy_volume"]),
                float(c["taker_buy_quote_volume"]),
            )
            for c in csv.DictReader(candles)
        ]  # fmt: skip
    return ladder_of_raw_trades(TRX), to_rows(sorted(rows, key=lambda c: c.open_time))


@cache
def ape_candles() -> Rows:
    """One-minute candles of the day, in decimals, minutes without a trade flat; not to be written to."""
    trades = ape_plain()
    by_minute: dict[int, list[PlainTrade]] = {}
    for trade in trades:
        by_minute.setdefault(trade.time // MINUTE_MS * MINUTE_MS, []).append(trade)
    made, close = [], float(trades[0].price)
    for at in range(of_day(trades[0].time), of_day(trades[0].time) + 1440 * MINUTE_MS, MINUTE_MS):
        part = by_minute.get(at, [])
        if not part:
            made.append(Candle(at, close, close, close, close, 0.0, 0.0, 0, 0.0, 0.0))
            continue
        prices = [trade.price for trade in part]
        close = float(prices[-1])
        bought = [trade for trade in part if not trade.sold]
        sums = [
            float(sum((trade.quantity * (trade.price if quote else 1) for trade in of), Decimal(0)))
            for of in (part, bought)
            for quote in (False, True)
        ]
        made.append(
            Candle(
                at,
                float(prices[0]),
                float(max(prices)),
                float(min(prices)),
                close,
                sums[0],
                sums[1],
                sum(trade.count for trade in part),
                sums[2],
                sums[3],
            )
        )  # fmt: skip
    rows = to_rows(made)
    rows.flags.writeable = False
    return rows
