"""Spot and COIN-M listings over the trades of another market, and their entries in exchangeInfo."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tui_feeder.simulator.contracts import COIN_DECIMALS, in_contracts
from tui_feeder.simulator.dialect import Dialect
from tui_feeder.simulator.digits import archive_rows
from tui_feeder.simulator.market import (
    MINUTE,
    QUOTE,
    TAKER,
    TAKER_QUOTE,
    VOLUME,
    Instrument,
    Market,
    Minutes,
    decimal,
)

_MARGIN = "USDT"
_PERPETUAL = "USD_PERP"
#: Spot prints prices and volumes of every symbol with so many.
_SPOT_DECIMALS = 8


def contract_size(symbol: str) -> int:
    """USD that a COIN-M contract is worth.

    Args:
        symbol: such as ``BTCUSD_PERP``.

    Returns:
        100 for bitcoin, 10 for others.
    """
    return 100 if symbol.startswith("BTCUSD_") else 10


def source_name(symbol: str, dialect: Dialect) -> str:
    """The symbol of the invented market whose trades one is made of.

    Args:
        symbol: of the dialect's market, or a pattern.
        dialect: which market.

    Returns:
        ``BTCUSDT`` for COIN-M's ``BTCUSD_PERP``; the same name elsewhere.
    """
    return symbol.replace(_PERPETUAL, _MARGIN) if dialect.counts_contracts else symbol


def _listed_name(symbol: str, dialect: Dialect) -> str | None:
    if dialect.counts_contracts:
        coin, mark, delivery = symbol.partition(_MARGIN)
        return f"{coin}USD_{delivery.lstrip('_') or 'PERP'}" if mark else None
    return None if "_" in symbol else symbol


class ListedElsewhere:
    """The trades of an invented USD-M market, listed as spot or as COIN-M futures.

    Args:
        market: whose trades.
        dialect: spot or COIN-M.
    """

    def __init__(self, market: Market, dialect: Dialect) -> None:
        self._market = market
        self._names: dict[str, str] = {}
        self.instruments: Mapping[str, Instrument] = {}
        found: dict[str, Instrument] = {}
        for name, instrument in market.instruments.items():
            listed = _listed_name(name, dialect)
            if listed is None:
                continue
            self._names[listed] = name
            found[listed] = _instrument(instrument, listed, dialect)
        self.instruments = found
        names = {name: listed for listed, name in self._names.items()}
        self.symbols: Sequence[str] = [names[name] for name in market.symbols if name in names]
        self.notes: Sequence[str] = market.notes
        self.start, self.end = market.start, market.end

    def minutes(self, symbol: str, start: int, end: int) -> Minutes:
        """Reads complete candles.

        Args:
            symbol: a listed symbol.
            start: first open time, ms, inclusive.
            end: last open time, ms, exclusive.

        Returns:
            The candles in order.
        """
        name = self._names[symbol]
        times, values = self._market.minutes(name, start, end)
        if not self.instruments[symbol].contract_size:
            return Minutes(times, values)
        return Minutes(times, in_contracts(values, self._market.instruments[name], contract_size(symbol)))

    def archive_lines(self, symbol: str, start: int, end: int) -> bytes:
        """Formats candles as archive lines.

        Args:
            symbol: a listed symbol.
            start: first open time, ms, inclusive.
            end: last open time, ms, exclusive.

        Returns:
            CSV lines without a header.
        """
        return archive_rows(self.minutes(symbol, start, end), self.instruments[symbol], MINUTE)

    def archive_month(self, symbol: str, month: str) -> tuple[bytes, bytes | None] | None:
        """There are no originals.

        Args:
            symbol: a listed symbol.
            month: the month, "YYYY-MM".

        Returns:
            None.
        """
        return None


class RecordedContracts:
    """Recorded COIN-M candles, whose files count contracts and base coins.

    Args:
        market: the recording, its columns as in the files.
    """

    def __init__(self, market: Market) -> None:
        self._market = market
        self.instruments: Mapping[str, Instrument] = {
            symbol: replace(
                instrument, base=symbol.partition("USD_")[0], quote="USD",
                contract_size=contract_size(symbol),
                quantity_decimals=instrument.quote_decimals, quote_decimals=0,
            )
            for symbol, instrument in market.instruments.items()
        }  # fmt: skip
        self.symbols = market.symbols
        self.notes = market.notes
        self.start, self.end = market.start, market.end

    def minutes(self, symbol: str, start: int, end: int) -> Minutes:
        """Reads recorded candles in base coins and USD.

        Args:
            symbol: a listed symbol.
            start: first open time, ms, inclusive.
            end: last open time, ms, exclusive.

        Returns:
            The candles in order.
        """
        times, recorded = self._market.minutes(symbol, start, end)
        values, size = recorded.copy(), contract_size(symbol)
        values[:, VOLUME], values[:, QUOTE] = recorded[:, QUOTE], recorded[:, VOLUME] * size
        values[:, TAKER], values[:, TAKER_QUOTE] = recorded[:, TAKER_QUOTE], recorded[:, TAKER] * size
        return Minutes(times, values)

    def archive_lines(self, symbol: str, start: int, end: int) -> bytes:
        """Reads the recorded lines.

        Args:
            symbol: a listed symbol.
            start: first open time, ms, inclusive.
            end: last open time, ms, exclusive.

        Returns:
            CSV lines without a header.
        """
        return self._market.archive_lines(symbol, start, end)

    def archive_month(self, symbol: str, month: str) -> tuple[bytes, bytes | None] | None:
        """Reads the recorded zip of a month.

        Args:
            symbol: a listed symbol.
            month: the month, "YYYY-MM".

        Returns:
            The zip and its checksum file if there is one; None without an original.
        """
        return self._market.archive_month(symbol, month)


def _instrument(instrument: Instrument, name: str, dialect: Dialect) -> Instrument:
    if not dialect.counts_contracts:
        status = "TRADING" if instrument.status == "TRADING" else "BREAK"
        return replace(instrument, symbol=name, status=status, printed_decimals=_SPOT_DECIMALS)
    return replace(
        instrument, symbol=name, quote="USD", contract_size=contract_size(name),
        quantity_decimals=COIN_DECIMALS, quote_decimals=0,
    )  # fmt: skip


def entry_of(instrument: Instrument, dialect: Dialect) -> dict[str, Any]:
    """What exchangeInfo has of a symbol of spot or COIN-M.

    Args:
        instrument: the symbol.
        dialect: which market.

    Returns:
        Its entry; the order of the filters differs by symbol.
    """
    tick = decimal(instrument.tick, instrument.price_decimals)
    step = "1" if dialect.counts_contracts else decimal(instrument.step, instrument.quantity_decimals)
    filters: list[dict[str, Any]] = [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "9000000", "stepSize": step},
    ]
    random.Random(instrument.symbol).shuffle(filters)
    common = {
        "symbol": instrument.symbol,
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "filters": filters,
    }
    if not dialect.counts_contracts:
        return common | {
            "status": instrument.status,
            "baseAssetPrecision": 8,
            "quoteAssetPrecision": 8,
            "orderTypes": ["LIMIT", "MARKET"],
            "isSpotTradingAllowed": True,
            "permissions": ["SPOT"],
        }
    return common | {
        "pair": f"{instrument.base}USD",
        "contractType": instrument.contract,
        "contractStatus": instrument.status,
        "contractSize": instrument.contract_size,
        "deliveryDate": instrument.delivery,
        "onboardDate": instrument.onboard,
        "marginAsset": instrument.base,
        "pricePrecision": instrument.price_decimals,
        "quantityPrecision": 0,
    }
