"""Closed candles from Python without a seam: everything since a moment, then whatever closes, for ever.

    from tui_feeder import follow

    async for candle in follow(["BTCUSDT", "ETHUSDT"], "5m", since="2026-01-01"):
        ...

The candles come from a gateway (``feeder-tui gateway``). A connection that breaks is made again and goes on
where it was. Instants are integer milliseconds since the epoch, UTC.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date, datetime
from typing import Any, TypeAlias
from urllib.parse import quote

import msgspec
import numpy as np
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import connect as connect_sync

from tui_feeder.bars import ROW
from tui_feeder.errors import RunFailure
from tui_feeder.time_format import parse_time, parse_timeframe

__all__ = ["Follow", "FollowError", "FollowSync", "FollowedCandle", "follow", "follow_sync"]

#: A moment: RFC 3339 text or a plain date, a date or datetime, or ms since the epoch; without a zone UTC.
Moment: TypeAlias = str | int | date | datetime

_URL = "ws://127.0.0.1:8090"
_MOST_BYTES = 64 << 20
_WAITS = (0.2, 0.5, 1.0, 2.0, 5.0)
#: Statuses that mean: ask again later.
_LATER = (429, 500, 502, 503, 504)
#: A cursor; by symbol the bars, what a contract is worth (quote asset) and the revisions.
_Packed: TypeAlias = tuple[str, list[tuple[str, bytes, float | None, bytes]]]
_QUOTE_VOLUME = (ROW.names or ()).index("quote_volume")


class FollowError(RunFailure):
    """The gateway refuses the subscription; the text has the reason."""


class FollowedCandle(msgspec.Struct, frozen=True, gc=False):
    """A closed candle. With a higher ``revision`` it corrects the one of the same open time."""

    symbol: str
    timeframe: int  # seconds
    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trades: int
    taker_buy_volume: float
    taker_buy_quote_volume: float
    revision: int
    contracts: int | None = None  # of COIN-M futures

    @property
    def close_time(self) -> int:
        """Its inclusive end, ms."""
        return self.open_time + self.timeframe * 1_000 - 1


class _Subscription:
    """Where a reader is, and what the gateway's messages come to."""

    def __init__(
        self, symbols: Sequence[str] | str, timeframe: str | float, since: Moment | None, url: str
    ) -> None:
        self.symbols = [symbols] if isinstance(symbols, str) else list(symbols)
        self.timeframe = parse_timeframe(timeframe)
        self._frame = self.timeframe * 1_000
        self._url = url.replace("http", "ws", 1) if url.startswith("http") else url
        self._since = since if isinstance(since, str) and _is_cursor(since) else None
        self._begin = None if since is None or self._since is not None else parse_time(since)
        self._first = 0
        self._next: dict[str, int] = {}
        self._seen = dict.fromkeys(self.symbols, 0)

    def cursor(self) -> str | None:
        """For ``since`` of another reader of the same symbols; None before the first candle."""
        if len(self._next) < len(self.symbols):
            return self._since
        base = min(self._next.values())
        parts = []
        for symbol in self.symbols:
            offset, seen = (self._next[symbol] - base) // self._frame, self._seen[symbol]
            parts.append(f"{offset}~{seen}" if seen else str(offset))
        return f"{base}:{self._first}:{','.join(parts)}"

    def address(self) -> str:
        """What to connect to."""
        query = f"symbols={quote(','.join(self.symbols))}&timeframe={self.timeframe // 60}m&format=packed"
        since = self.cursor() or self._begin
        return f"{self._url}/api/v1/stream?{query}" + ("" if since is None else f"&since={quote(str(since))}")

    def candles(self, data: bytes) -> Iterator[FollowedCandle]:
        """The candles of a message; a position moves with each."""
        cursor, batches = msgspec.msgpack.decode(data, type=_Packed)
        seconds, frame, ahead = self.timeframe, self._frame, self._next
        for symbol, rows, contract_size, revisions in batches:
            values: list[tuple[Any, ...]] = np.frombuffer(rows, dtype=ROW).tolist()
            numbers = np.frombuffer(revisions, dtype="<i8").tolist()
            position = ahead.get(symbol, 0)
            for value, number in zip(values, numbers, strict=True):
                end = value[0] + frame
                if end > position:
                    position = ahead[symbol] = end
                fields: tuple[Any, ...] = (symbol, seconds, *value, number)
                if contract_size is not None:
                    fields += (round(value[_QUOTE_VOLUME] / contract_size),)
                yield FollowedCandle(*fields)
        self._take(cursor)

    def _take(self, cursor: str) -> None:
        """The gateway's own position: it knows of corrections, and of bars that it has passed over."""
        base, first, rest = cursor.split(":")
        self._first = int(first)
        for symbol, part in zip(self.symbols, rest.split(","), strict=True):
            offset, _, seen = part.partition("~")
            self._next[symbol] = int(base) + int(offset) * self._frame
            self._seen[symbol] = int(seen or 0)


class Follow:
    """The candles of :func:`follow`, to be iterated over once.

    Args:
        subscription: what is wanted.
    """

    def __init__(self, subscription: _Subscription) -> None:
        self._subscription = subscription

    @property
    def cursor(self) -> str | None:
        """Where another :func:`follow` of the same symbols goes on exactly.

        Returns:
            For ``since``; None before the first message.
        """
        return self._subscription.cursor()

    async def __aiter__(self) -> AsyncIterator[FollowedCandle]:
        tries = 0
        while True:
            try:
                async with connect(
                    self._subscription.address(), compression=None, max_size=_MOST_BYTES, max_queue=4
                ) as socket:
                    async for data in socket:
                        assert isinstance(data, bytes)
                        for candle in self._subscription.candles(data):
                            yield candle
                        tries = 0
            except InvalidStatus as error:
                _raise_if_final(error)
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError, EOFError):
                pass
            await asyncio.sleep(_WAITS[min(tries, len(_WAITS) - 1)])
            tries += 1


class FollowSync:
    """The candles of :func:`follow_sync`, to be iterated over once.

    Args:
        subscription: what is wanted.
    """

    def __init__(self, subscription: _Subscription) -> None:
        self._subscription = subscription

    @property
    def cursor(self) -> str | None:
        """Where another :func:`follow_sync` of the same symbols goes on exactly.

        Returns:
            For ``since``; None before the first message.
        """
        return self._subscription.cursor()

    def __iter__(self) -> Iterator[FollowedCandle]:
        tries = 0
        while True:
            try:
                with connect_sync(
                    self._subscription.address(), compression=None, max_size=_MOST_BYTES
                ) as socket:
                    for data in socket:
                        assert isinstance(data, bytes)
                        yield from self._subscription.candles(data)
                        tries = 0
            except InvalidStatus as error:
                _raise_if_final(error)
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError, EOFError):
                pass
            time.sleep(_WAITS[min(tries, len(_WAITS) - 1)])
            tries += 1


def follow(
    symbols: Sequence[str] | str,
    timeframe: str | float = "1m",
    *,
    since: Moment | None = None,
    url: str = _URL,
) -> Follow:
    """Closed candles for ``async for``: everything from ``since`` on, then whatever closes.

    Of each symbol they come in order, each once; a correction comes as such, with a higher revision.

    Args:
        symbols: that the feeder follows.
        timeframe: ``"5m"``, or seconds; divides a day.
        since: open time of the first candle, or the cursor of another reader; None for those to come.
        url: of the gateway.

    Returns:
        An iterable that ends only with its reader.

    Raises:
        ValueError: timeframe or since make no sense.
        FollowError: from the iteration: the gateway refuses the subscription.
    """
    return Follow(_Subscription(symbols, timeframe, since, url))


def follow_sync(
    symbols: Sequence[str] | str,
    timeframe: str | float = "1m",
    *,
    since: Moment | None = None,
    url: str = _URL,
) -> FollowSync:
    """As :func:`follow`, for a plain ``for``.

    Args:
        symbols: that the feeder follows.
        timeframe: ``"5m"``, or seconds; divides a day.
        since: open time of the first candle, or the cursor of another reader; None for those to come.
        url: of the gateway.

    Returns:
        An iterable that ends only with its reader.

    Raises:
        ValueError: timeframe or since make no sense.
        FollowError: from the iteration: the gateway refuses the subscription.
    """
    return FollowSync(_Subscription(symbols, timeframe, since, url))


def _is_cursor(text: str) -> bool:
    base, mark, _ = text.partition(":")
    return bool(mark) and base.isdigit()


def _raise_if_final(error: InvalidStatus) -> None:
    status, body = error.response.status_code, error.response.body
    if status in _LATER:
        return
    try:
        found: Any = msgspec.json.decode(body or b"")
        text = found.get("error") or found.get("msg")
    except (msgspec.DecodeError, AttributeError):
        text = None
    raise FollowError(
        f"the gateway refuses the subscription ({status}): {text or 'without a reason'}"
    ) from error
