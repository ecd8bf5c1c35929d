"""Stored candles for research: read-only, typed, while an engine may be running.

    from tui_feeder import open_store, to_pandas

    with open_store("lmdb_data") as store:
        bars = store.candles("BTCUSDT", "4h", start="2026-01-01")
        frame = to_pandas(bars)

Instants are integer milliseconds since the epoch, UTC. Nothing is invented: a minute that is not
stored is absent, and a bar that lacks minutes is left out unless it is asked for.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.core.candle import DAY_MS, ROW, SECOND_MS, Rows
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.derived.stored_ladders import LEVEL, ladder_days, read_levels
from tui_feeder.engine.storage.lock import StoreError
from tui_feeder.engine.storage.minute_states import StateSpan, minute_states
from tui_feeder.engine.storage.store import Store
from tui_feeder.paths import FolderError, expand_user
from tui_feeder.time_format import ceil_to_minute, format_day, parse_time, parse_timeframe

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

__all__ = [
    "CANDLE", "LEVEL", "CandleStore", "Candles", "DamagedDayWarning", "Moment", "StateSpan", "open_store",
    "to_pandas",
    "to_polars",
]  # fmt: skip

#: A moment: RFC 3339 text or a plain date, a date or datetime (also of pandas or numpy), or ms since the
#: epoch; without a zone UTC.
Moment: TypeAlias = str | int | date | datetime | np.integer[Any] | np.datetime64

#: A one-dimensional structured array of dtype :data:`CANDLE`, ascending, without duplicates.
Candles: TypeAlias = NDArray[Any]

#: One candle of any timeframe: times in ms, prices in quote currency, ``volume`` and
#: ``taker_buy_volume`` in the base asset, the ``quote`` volumes in the quote asset.
CANDLE = np.dtype(
    [
        ("open_time", "<i8"),
        ("close_time", "<i8"),  # inclusive: the bar's exclusive end minus 1 ms
        *((str(name), ROW[name].str) for name in (ROW.names or ())[1:]),
    ]
)

_CHUNK_MS = 7 * DAY_MS


class DamagedDayWarning(UserWarning):
    """Stored days are damaged and were left out of what is returned."""


def open_store(path: str | os.PathLike[str]) -> CandleStore:
    """Open a store of candles for reading.

    Works while an engine writes the same store in another process. Opening the same store again in
    this process is cheap: both share one environment.

    Args:
        path: the storage directory (``application.storage_path``); ``~`` is the home.

    Returns:
        The store.

    Raises:
        StoreError: there is no store, or it is of another format.
    """
    return CandleStore(path)


class _SharedStores:
    """The stores this process has open: LMDB allows one environment a file and process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stores: dict[tuple[int, Path], tuple[Store, int]] = {}

    def acquire(self, path: Path) -> Store:
        with self._lock:
            key = (os.getpid(), path)
            store, users = self._stores.get(key) or (Store(path, read_only=True), 0)
            self._stores[key] = store, users + 1
            return store

    def release(self, path: Path) -> None:
        with self._lock:
            key = (os.getpid(), path)
            store, users = self._stores.pop(key)
            if users > 1:
                self._stores[key] = store, users - 1
            else:
                store.close()


_opened = _SharedStores()


class CandleStore:
    """Candles of every stored symbol, for reading; a context manager, safe to use from threads.

    Every call sees what is committed at that moment. Another process must open the store itself: an
    open store can't be handed over by ``fork`` or pickled.

    Args:
        path: the storage directory.

    Raises:
        StoreError: there is no store, or it is of another format; from any method, once closed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self.path = expand_user(path)
        except FolderError as error:
            raise StoreError(str(error)) from error
        self._key = self.path.resolve()
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._store: Store | None = _opened.acquire(self._key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"CandleStore({str(self.path)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("an open store can't be pickled: call open_store in the process that reads it")

    def close(self) -> None:
        """Give the store back. A second call does nothing."""
        with self._lock:
            if self._store is not None and self._process == os.getpid():
                self._store = None
                _opened.release(self._key)

    def _opened_store(self) -> Store:
        store = self._store
        if store is None:
            raise StoreError(f"the store {self.path} is closed")
        if self._process != os.getpid():
            raise StoreError(f"the store {self.path} was opened by another process: call open_store again")
        return store

    @property
    def exchange(self) -> str:
        """Whose candles these are: the address of the exchange, or "a simulated exchange"."""
        return self._opened_store().exchange

    def symbols(self) -> list[str]:
        """Every symbol of which a candle is stored, sorted."""
        store = self._opened_store()
        return [symbol for symbol in store.symbols() if store.present(symbol)]

    def coverage(self, symbol: str) -> Coverage:
        """Gives the minutes stored.

        Args:
            symbol: the symbol.

        Returns:
            Disjoint intervals ``[start, end)`` in ms; empty for an unknown symbol.
        """
        return self._opened_store().present(symbol)

    def certified(self, symbol: str) -> Coverage:
        """Gives the certified minutes: from an archive whose SHA256 agreed, or by REST after their close.

        Args:
            symbol: the symbol.

        Returns:
            Disjoint intervals ``[start, end)`` in ms.
        """
        return self._opened_store().certified(symbol)

    def damaged(self, symbol: str) -> Coverage:
        """Gives the days found damaged and not read again since.

        They are left out of what :meth:`candles` returns, with a :class:`DamagedDayWarning`.

        Args:
            symbol: the symbol.

        Returns:
            Disjoint intervals ``[start, end)`` in ms.
        """
        return self._opened_store().damaged(symbol)

    def contract_size(self, symbol: str) -> float | None:
        """Gives what a contract is worth: ``quote_volume`` by it is the number of contracts traded.

        Args:
            symbol: the symbol.

        Returns:
            In the quote asset; None where the exchange counts no contracts.
        """
        return self._opened_store().contract_size(symbol)

    def none_at_exchange(self, symbol: str) -> Coverage:
        """Gives the minutes of which the exchange has no candle, for good: its archive and REST skip them.

        Args:
            symbol: the symbol.

        Returns:
            Disjoint intervals ``[start, end)`` in ms; they are no gaps, and bars over them are whole.
        """
        return self._opened_store().omitted(symbol)

    def states(self, symbol: str, start: Moment | None = None, end: Moment | None = None) -> list[StateSpan]:
        """Gives the state of every minute.

        Args:
            symbol: such as ``"BTCUSDT"``.
            start: see :data:`Moment`; None for the first stored minute. There are no minutes before the
                listing, where that is known.
            end: exclusive; None for the last stored minute.

        Returns:
            Spans that follow each other without a hole or an overlap, neighbours of different states.

        Raises:
            KeyError: nothing of the symbol is stored.
            ValueError: ``start`` or ``end`` makes no sense.
            TypeError: ``start`` or ``end`` is of another type.
        """
        store, present = self._opened_store(), self._present_or_raise(symbol)
        low = None if start is None else ceil_to_minute(parse_time(start))
        high = None if end is None else ceil_to_minute(parse_time(end))
        if low is not None and high is not None and high < low:
            raise ValueError(f"the range ends ({end}) before it starts ({start})")
        known = present.start if low is None else low, present.end if high is None else high
        return minute_states(store, symbol, low, high, store.check(symbol, *known))

    def _present_or_raise(self, symbol: str) -> Coverage:
        present = self.coverage(symbol)
        if not present:
            known = ", ".join(self.symbols()) or "nothing"
            raise KeyError(f"no candles of {symbol} in {self.path}: it holds {known}")
        return present

    def range(self, symbol: str) -> tuple[int, int] | None:
        """Gives the range of stored minutes.

        Args:
            symbol: the symbol.

        Returns:
            First open time and exclusive end, ms; None without any.
        """
        present = self.coverage(symbol)
        return (present.start, present.end) if present else None

    def candles(
        self,
        symbol: str,
        timeframe: str | float = "1m",
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        include_partial: bool = False,
    ) -> Candles:
        """The candles of a symbol that lie wholly inside ``[start, end)``.

        Args:
            symbol: such as ``"BTCUSDT"``.
            timeframe: ``"1m"``, ``"5m"``, ``"4h"``, ``"1d"`` .. or seconds; must divide a day. Bars
                are aligned to midnight UTC.
            start: see :data:`Moment`; without a time zone UTC. None for the first stored minute.
            end: exclusive, written like ``start``; None for the last stored minute.
            include_partial: also bars that lack minutes, the one in progress included.

        Returns:
            An array of dtype :data:`CANDLE`; empty where nothing is stored.

        Raises:
            KeyError: nothing of the symbol is stored; the message names what is.
            ValueError: ``timeframe``, ``start`` or ``end`` makes no sense, as a number of seconds.
            TypeError: ``start`` or ``end`` is of another type.
        """
        parts = list(self.chunks(symbol, timeframe, start, end, include_partial=include_partial))
        return np.concatenate(parts) if parts else np.empty(0, dtype=CANDLE)

    def chunks(
        self,
        symbol: str,
        timeframe: str | float = "1m",
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        include_partial: bool = False,
    ) -> Iterator[Candles]:
        """Reads candles a week at a time, so that memory stays small however long the range.

        Args:
            symbol: see :meth:`candles`, also for the others.
            timeframe: as there.
            start: as there.
            end: as there.
            include_partial: as there.

        Yields:
            Candles of a week.

        Raises:
            KeyError: nothing of the symbol is stored.
            ValueError: ``timeframe``, ``start`` or ``end`` makes no sense.
        """
        seconds = parse_timeframe(timeframe)
        present = self._present_or_raise(symbol)
        whole = present.union(
            self._opened_store().damaged_missing(symbol)
        )  # damage is named at either end too
        low, high, bar = whole.start, whole.end, seconds * SECOND_MS
        first = None if start is None else parse_time(start)
        after = None if end is None else parse_time(end)
        if first is not None and after is not None and after < first:
            raise ValueError(f"the range ends ({end}) before it starts ({start})")
        if first is not None:
            low = max(low, -(-first // bar) * bar)
        if after is not None:
            high = min(high, ceil_to_minute(after) // bar * bar)
        return self._chunks(symbol, seconds, low, high, include_partial)

    def ladders(
        self, symbol: str, start: Moment | None = None, end: Moment | None = None
    ) -> Iterator[NDArray[Any]]:
        """Reads what was bought and sold at each price of each minute, a day at a time.

        There is something for minutes whose trades were read (``trades.symbols``) and whose candle is stored.

        Args:
            symbol: see :meth:`candles`, also for the others.
            start: as there.
            end: as there.

        Yields:
            The levels of a day, dtype :data:`LEVEL`, by minute, then by ascending price; days without any are
            left out.

        Raises:
            KeyError: nothing of the symbol is stored.
            ValueError: ``start`` or ``end`` makes no sense.
        """
        present = self._present_or_raise(symbol)
        low = present.start if start is None else ceil_to_minute(parse_time(start))
        high = present.end if end is None else ceil_to_minute(parse_time(end))
        if start is not None and end is not None and high < low:
            raise ValueError(f"the range ends ({end}) before it starts ({start})")
        return self._ladders(symbol, low, high)

    def _ladders(self, symbol: str, low: int, high: int) -> Iterator[NDArray[Any]]:
        for day in ladder_days(self._opened_store(), symbol):
            if day < high and low < day + DAY_MS:
                found = read_levels(self._opened_store(), symbol, day, low, high)
                if len(found.trades):
                    yield found.rows()

    def _chunks(self, symbol: str, seconds: int, low: int, high: int, partial: bool) -> Iterator[Candles]:
        listed, omitted = self._opened_store().listed(symbol), self._opened_store().omitted(symbol)
        # Bars never cross midnight, so whole days can be made into bars on their own.
        at = low
        while at < high:
            stop = min(high, (at // DAY_MS * DAY_MS) + _CHUNK_MS)
            store = self._opened_store()
            rows = store.read(symbol, at, stop)
            for start, end in store.damaged(symbol).clip(at, stop):
                days = " to ".join(dict.fromkeys(map(format_day, (start, end - 1))))
                warnings.warn(
                    f"{symbol}: the stored candles of {days} are damaged and left out; the running engine, "
                    "feeder-tui backfill or feeder-tui verify --repair reads them again",
                    DamagedDayWarning,
                    stacklevel=3,
                )
            if len(rows):
                bars = _bars(rows, seconds, partial, listed, omitted)
                if len(bars):
                    yield bars
            at = stop


def _bars(rows: Rows, seconds: int, partial: bool, listed: int | None, omitted: Coverage) -> Candles:
    """Bars of ``rows``, which end at a midnight or at the end of what is asked for.

    ``listed``: the symbol's first minute, ms, where that is known; ``omitted``: minutes the exchange has not.
    """
    if seconds > 60:
        count = len(rows)
        if partial:
            # A candle of the bar behind the last one completes the last one as it stands.
            after = rows[-1:].copy()
            after["open_time"] += seconds * SECOND_MS
            rows = np.concatenate([rows, after])
        bars = aggregate(rows, seconds, listed=listed, omitted=omitted)
        rows = bars.rows[bars.rows["open_time"] <= rows["open_time"][count - 1]]
        if not partial:
            rows = rows[~bars.partial]
    made = np.empty(len(rows), dtype=CANDLE)
    for name in ROW.names or ():
        made[name] = rows[name]
    made["close_time"] = made["open_time"] + (seconds * SECOND_MS - 1)
    return made


def to_pandas(candles: Candles) -> pd.DataFrame:
    """Converts candles to a pandas DataFrame.

    Args:
        candles: what :meth:`CandleStore.candles` returned.

    Returns:
        A frame with ``open_time`` (UTC) as index and ``close_time`` as a column.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("to_pandas needs pandas: pip install pandas") from error
    frame = pd.DataFrame({name: candles[name] for name in candles.dtype.names or ()})
    for name in ("open_time", "close_time"):
        frame[name] = pd.to_datetime(frame[name], unit="ms", utc=True)
    return frame.set_index("open_time")


def to_polars(candles: Candles) -> pl.DataFrame:
    """Converts candles to a polars DataFrame.

    Args:
        candles: what :meth:`CandleStore.candles` returned.

    Returns:
        A frame whose times are ``Datetime("ms", "UTC")``.

    Raises:
        ImportError: polars is not installed.
    """
    try:
        import polars as pl
    except ImportError as error:
        raise ImportError("to_polars needs polars: pip install polars") from error
    frame = pl.DataFrame({name: np.ascontiguousarray(candles[name]) for name in candles.dtype.names or ()})
    times = [
        pl.col(n).cast(pl.Datetime("ms")).dt.replace_time_zone("UTC") for n in ("open_time", "close_time")
    ]
    return frame.with_columns(times)
