"""Lists in the exchange's answers, decoded entry by entry: one that makes no sense costs itself alone."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec
import numpy as np

from tui_feeder.engine.core.candle import ROW, SECOND_MS, Rows
from tui_feeder.engine.core.decoding import UNREADABLE, ExactInt
from tui_feeder.engine.exchanges.base import Listings, SymbolInfo, Trading
from tui_feeder.safe_text import show

#: Longest name of a symbol, characters: it is part of keys, paths and addresses.
_LONGEST_NAME = 64
#: Tick sizes that prices can have.
_TICKS = (Decimal("1e-12"), Decimal("1e9"))
_TEXT = 60  # characters shown of an entry that makes no sense
_UNITS = {"m": 60, "h": 3_600, "d": 86_400}
#: Contracts that never end; what they state as their delivery means nothing.
_PERPETUALS = ("PERPETUAL", "TRADIFI_PERPETUAL")
_TRADING = {
    "TRADING": Trading.NOW,
    "PENDING_TRADING": Trading.NOT_YET,
    "PRE_TRADING": Trading.NOT_YET,
}


class _Filter(msgspec.Struct):
    filterType: str
    tickSize: str | float | None = None


class _Symbol(msgspec.Struct):
    symbol: str
    filters: list[Any]
    status: str = ""
    contractStatus: str = ""
    contractSize: Any = 0
    contractType: str = "PERPETUAL"
    onboardDate: Any = 0
    deliveryDate: Any = 0


class _RateLimit(msgspec.Struct):
    rateLimitType: str
    interval: str
    intervalNum: ExactInt
    limit: ExactInt


class _ExchangeInfo(msgspec.Struct):
    symbols: list[msgspec.Raw]
    rateLimits: Any = ()


class _Name(msgspec.Struct):
    symbol: Any = None


_exchange_info = msgspec.json.Decoder(_ExchangeInfo)
_symbol = msgspec.json.Decoder(_Symbol)
_name = msgspec.json.Decoder(_Name)
#: openTime o h l c v closeTime quote count takerBase takerQuote ignore; numbers come as strings.
_Kline = tuple[ExactInt, float, float, float, float, float, ExactInt, float, ExactInt, float, float, Any]
_klines = msgspec.json.Decoder(list[_Kline], strict=False)
_kline = msgspec.json.Decoder(_Kline, strict=False)
_raws = msgspec.json.Decoder(list[msgspec.Raw])


def listings(body: bytes) -> tuple[Listings, int | None]:
    """The symbols of an exchangeInfo answer, the first of a name.

    Args:
        body: of the answer.

    Returns:
        The symbols, and the request weight of a minute where it is stated.

    Raises:
        msgspec.MsgspecError: it has no list of symbols.
        UnicodeDecodeError: it is no text.
    """
    info = _exchange_info.decode(body)
    symbols: dict[str, SymbolInfo] = {}
    unusable: dict[str, str] = {}
    entries: dict[str, bytes] = {}
    for place, raw in enumerate(info.symbols, 1):
        try:
            symbol_info = _symbol_info(_symbol.decode(raw))
            if symbol_info.symbol in symbols:
                raise ValueError("it is listed twice")
            symbols[symbol_info.symbol] = symbol_info
            entries[symbol_info.symbol] = bytes(raw)
        except (*UNREADABLE, ValueError) as error:
            unusable[_name_of(raw, place)] = str(error)
    head = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    for name in ("symbols", "serverTime"):
        head.pop(name, None)
    found = Listings(symbols, unusable, entries, {"": msgspec.json.encode(head)})
    return found, _weight_limit(info.rateLimits)


def _name_of(raw: msgspec.Raw, place: int) -> str:
    """The name of an entry for people, or its place in the list."""
    try:
        name = _name.decode(raw).symbol
    except UNREADABLE:
        name = None
    if not isinstance(name, str) or not name:
        return f"entry {place}"
    return name if is_name(name) else show(name[:_TEXT])


def is_name(name: str) -> bool:
    """Checks whether a symbol may have a name: names go into keys, paths, addresses and terminals.

    Args:
        name: the name.

    Returns:
        True if it is short, printable, and without blanks and slashes.
    """
    return (
        0 < len(name) <= _LONGEST_NAME
        and name.isprintable()
        and not any(char.isspace() or char in "/\\" for char in name)
    )


def _symbol_info(raw: _Symbol) -> SymbolInfo:
    if not is_name(raw.symbol):
        raise ValueError("its name is no name of a symbol")
    stated = None
    for entry in raw.filters:
        if isinstance(entry, dict) and entry.get("filterType") == "PRICE_FILTER":
            stated = msgspec.convert(entry, _Filter).tickSize
    tick = _tick(stated)
    status = raw.contractStatus or raw.status
    if not status:
        raise ValueError("it has no status")
    size = raw.contractSize
    ends = raw.contractType not in _PERPETUALS
    return SymbolInfo(
        symbol=raw.symbol,
        tick_size=float(tick),
        trading=_TRADING.get(status, Trading.NO_LONGER),
        status=status,
        matches_patterns=not ends,
        listed_hint=_moment(raw.onboardDate),
        delivery=_moment(raw.deliveryDate) if ends else 0,
        contract_size=float(size) if isinstance(size, int | float) and 0 < size < _TICKS[1] else 0.0,
    )


def _moment(stated: object) -> int:
    """An instant of the list, ms; 0 where it states none that could be."""
    known = isinstance(stated, int) and not isinstance(stated, bool) and 0 <= stated < 1 << 53
    return stated if known else 0  # type: ignore[return-value]


def _tick(stated: str | float | None) -> Decimal:
    if stated is None:
        raise ValueError("it has no tickSize")
    try:
        tick = Decimal(str(stated)[:_TEXT])
        if _TICKS[0] <= tick <= _TICKS[1]:  # a NaN cannot be compared
            return tick
    except InvalidOperation:
        pass
    raise ValueError(f"its tickSize is {show(stated)}")


def _weight_limit(stated: object) -> int | None:
    """The request weight of a minute; None where no entry states it."""
    for entry in stated if isinstance(stated, list | tuple) else ():
        try:
            limit = msgspec.convert(entry, _RateLimit)
        except msgspec.ValidationError:
            continue
        counted = limit.rateLimitType == "REQUEST_WEIGHT" and limit.interval == "MINUTE"
        if counted and limit.limit > 0 and limit.intervalNum > 0:
            return max(1, limit.limit // limit.intervalNum)
    return None


class Klines(NamedTuple):
    """What a klines answer came to."""

    rows: Rows  # sorted, each open time once, unchecked for the invariants of prices
    ends: np.ndarray[Any, np.dtype[np.int64]]  # their close times, ms
    unusable: tuple[str, ...]  # why entries were left out, each one


def klines(body: bytes, interval: str, *, may_end_early: bool = False) -> Klines:
    """Decodes a klines response in whatever order; entries that are no candles are left out.

    Args:
        body: of the response.
        interval: of the candles, as requested: ``1m``, ``4h``, ``1d``.
        may_end_early: whether a candle may end before its interval is over, as before an outage.

    Returns:
        The rows, and what was left out.

    Raises:
        msgspec.MsgspecError: it is no list.
        UnicodeDecodeError: it is no text.
    """
    unusable: list[str] = []
    try:
        table = _klines.decode(body)
    except msgspec.MsgspecError:
        table = []
        for raw in _raws.decode(body):
            try:
                table.append(_kline.decode(raw))
            except UNREADABLE as error:
                unusable.append(f"{error}: {show(bytes(raw)[:_TEXT].decode(errors='replace'))}")
    rows = np.array([(*r[:6], *r[7:11]) for r in table], dtype=ROW)
    ends = np.array([r[6] for r in table], dtype=np.int64)
    length = int(interval[:-1]) * _UNITS[interval[-1]] * SECOND_MS
    last = rows["open_time"] + (length - 1)
    wrong = (ends > last) | (ends <= rows["open_time"]) if may_end_early else ends != last
    unusable += [
        f"the candle of {at} does not end {length} ms after it begins" for at in rows["open_time"][wrong]
    ]
    rows, ends = rows[~wrong], ends[~wrong]
    order = np.argsort(rows["open_time"], kind="stable")
    rows, ends = rows[order], ends[order]
    if (again := np.diff(rows["open_time"], prepend=-1) == 0).any():
        # Of a minute that is there twice with different values nobody knows which is right.
        clash = set(rows["open_time"][1:][again[1:] & (rows[1:] != rows[:-1])].tolist())
        unusable += [f"the candle of {at} is there twice with different values" for at in sorted(clash)]
        keep = ~again & ~np.isin(rows["open_time"], list(clash))
        rows, ends = rows[keep], ends[keep]
    return Klines(rows, ends, tuple(unusable))
