"""Whether the tables of the mirror have what the store has: counts and digests of each day.

A digest is the MD5 of a day's rows as PostgreSQL's binary protocol has them, so equal doubles, and only
those, have equal digests. Only what the mirror claims to have is compared: rows beside it are a user's own.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from tui_feeder.engine.analytics.aggregate import Bars
from tui_feeder.engine.core.candle import DAY_MS, SECOND_MS, timeframe_label
from tui_feeder.engine.core.coverage import EMPTY, Coverage
from tui_feeder.engine.sinks.mirror_plan import Piece, bars_of
from tui_feeder.engine.sinks.postgres_tables import FIELDS, POSTGRES_EPOCH_MS, contracts_of, seconds_of
from tui_feeder.engine.storage.store import Store

Mirrored = Mapping[tuple[str, int], Coverage]  # by symbol and timeframe (seconds)
#: Rows whose digests are asked for in one statement: the server sorts them.
_ROWS_AT_ONCE = 100_000
_HOUR_SECONDS = 3_600.0
#: Days whose digests are compared every hour, and hours in which those of all others come round.
_NEWEST, _TURNS = 2, 24
#: After a comparison nothing is compared for so many times what it took.
_PAUSE = 4.0

_COUNTS = """SELECT symbol, time_frame, count(*), NULL FROM candles_1m
    WHERE time >= $1 AND time < $2 AND symbol = ANY($3) GROUP BY symbol, time_frame"""
_DIGESTS = """SELECT symbol, time_frame, count(*), md5(string_agg(timestamptz_send(time) || float8send(open)
        || float8send(high) || float8send(low) || float8send(close) || float8send(volume)
        || int8send(trade_count::bigint) || float8send(taker_buy_volume) || float8send(quote_volume)
        || float8send(taker_buy_quote_volume) || int8send(minutes::bigint)
        || coalesce(int8send(contracts::bigint), ''::bytea), ''::bytea ORDER BY time))
    FROM candles_1m WHERE time >= $1 AND time < $2 AND symbol = ANY($3) GROUP BY symbol, time_frame"""
_RECORD = np.dtype([("time", ">i8"), *FIELDS, ("minutes", ">i8")])
_RECORD_WITH_CONTRACTS = np.dtype([*_RECORD.descr, ("contracts", ">i8")])


class Difference(NamedTuple):
    """A day of a symbol and timeframe of which the table has not what it should."""

    symbol: str
    timeframe: int  # seconds
    day: int  # ms
    expected: int  # rows
    found: int  # rows in the table
    digest: str | None  # of the table's rows

    def __str__(self) -> str:
        day = datetime.fromtimestamp(self.day / 1000, UTC).date()
        what = f"{self.symbol} {timeframe_label(self.timeframe)} of {day}"
        if self.expected == self.found:
            return f"{what}: other values than in the store"
        return f"{what}: {self.found:,} rows, the store has {self.expected:,}"


class _Expected(NamedTuple):
    rows: int
    bars: Bars | None  # None where only their number is wanted


def mirrored_days(mirrored: Mirrored) -> list[int]:
    """Lists the UTC days of which the tables should have anything.

    Args:
        mirrored: minutes that the tables claim to have.

    Returns:
        Midnights (ms), the newest first.
    """
    days: set[int] = set()
    for (_, timeframe), minutes in mirrored.items():
        if timeframe == 60:
            for start, end in minutes:
                days.update(range(start // DAY_MS * DAY_MS, end, DAY_MS))
    return sorted(days, reverse=True)


def level(store: Store, mirrored: Mirrored, day: int) -> list[str]:
    """Lists the symbols of whose day the tables have every minute.

    Args:
        store: the store.
        mirrored: minutes that the tables claim to have.
        day: midnight, ms.

    Returns:
        Symbols.
    """
    return [
        symbol
        for symbol, timeframe in mirrored
        if timeframe == 60
        and mirrored[symbol, 60].clip(day, day + DAY_MS) == store.present(symbol).clip(day, day + DAY_MS)
    ]


async def differences(
    connection: Any,  # noqa: ANN401 - asyncpg is imported only where it is enabled
    store: Store,
    mirrored: Mirrored,
    timeframes: Sequence[int],
    day: int,
    *,
    digests: bool,
) -> list[Difference]:
    """Compares one day of all symbols; call it in a transaction.

    Args:
        connection: of the database.
        store: what the tables should have.
        mirrored: the minutes that they claim to have.
        timeframes: that are mirrored, seconds.
        day: which.
        digests: values too, not only the number of rows.

    Returns:
        What differs.
    """
    symbols = sorted({symbol for symbol, _ in mirrored})
    wanted = {
        (symbol, timeframe): expected
        for symbol in symbols
        for timeframe in timeframes
        if (expected := _expected(store, mirrored, symbol, timeframe, day, digests)) is not None
    }
    total = sum(expected.rows for expected in wanted.values())
    parts = min(24, -(-total // _ROWS_AT_ONCE)) if digests else 1
    there: dict[tuple[str, int], list[tuple[int, str | None]]] = {key: [] for key in wanted}
    for n in range(parts):
        start, end = (day + DAY_MS * k // parts for k in (n, n + 1))
        rows = await connection.fetch(
            _DIGESTS if digests else _COUNTS, _instant(start), _instant(end), sorted({s for s, _ in wanted})
        )
        seen = {(symbol, seconds_of(label)): (count, digest) for symbol, label, count, digest in rows}
        for key, parts_of in there.items():
            parts_of.append(seen.get(key, (0, None)))
    found = []
    for key, expected in wanted.items():
        mine: list[tuple[int, str | None]] = [(expected.rows, None)]
        if expected.bars is not None:
            mine = list(_digests(expected.bars, day, parts, store.contract_size(key[0])))
        if mine != there[key] and not store.altered(key[0]).clip(day, day + DAY_MS):
            digest = " ".join(str(digest) for _, digest in there[key])
            found.append(Difference(*key, day, expected.rows, sum(count for count, _ in there[key]), digest))
    return found


def _expected(
    store: Store, mirrored: Mirrored, symbol: str, timeframe: int, day: int, values: bool
) -> _Expected | None:
    """What the table should have; None where that changes just now, or is nothing."""
    minutes = mirrored.get((symbol, timeframe), EMPTY).clip(day, day + DAY_MS)
    size = timeframe * SECOND_MS
    if not minutes or store.altered(symbol).clip(day, day + DAY_MS):
        return None
    until = -(-minutes.end // size) * size  # of a bar that has a mirrored minute all are
    if store.present(symbol).clip(day, until) != minutes:
        return None
    if not values:
        return _Expected(_bars(minutes, size), None)
    rows = store.read(symbol, day, until)
    if store.damaged(symbol).clip(day, until):
        return None
    bars = bars_of(rows, Piece(day, until, minutes), timeframe, store.listed(symbol))
    return _Expected(len(bars.rows), bars)


def _bars(minutes: Coverage, size: int) -> int:
    """How many bars of ``size`` ms hold any of ``minutes``."""
    count, last = 0, -1
    for start, end in minutes:
        first, until = max(start // size, last + 1), (end - 1) // size
        count += max(0, until - first + 1)
        last = max(last, until)
    return count


def _digests(
    bars: Bars, day: int, parts: int, contract_size: float | None
) -> Iterator[tuple[int, str | None]]:
    """Of each part of the day the rows and their digest; None without any, as SQL has it."""
    made = np.empty(len(bars.rows), dtype=_RECORD if contract_size is None else _RECORD_WITH_CONTRACTS)
    if contract_size is not None:
        made["contracts"] = contracts_of(bars, contract_size)
    made["time"] = (bars.rows["open_time"] - POSTGRES_EPOCH_MS) * 1000
    for name, _ in FIELDS:
        made[name] = bars.rows[name]
    made["minutes"] = bars.minutes
    for n in range(parts):
        bounds = [day + DAY_MS * k // parts for k in (n, n + 1)]
        inside = made[slice(*np.searchsorted(bars.rows["open_time"], bounds))]
        digest = hashlib.md5(inside.tobytes(), usedforsecurity=False).hexdigest() if len(inside) else None
        yield len(inside), digest


class Comparing:
    """Which day is compared when, and what follows from what was found.

    At the start the counts of all days, then their digests; every hour the counts again, and the digests of
    the newest days and of one in so many of the others, so that all come round in a day.
    """

    def __init__(self) -> None:
        self._queue: deque[tuple[int, bool]] = deque()
        self._begun = False
        self._hour_at = 0.0  # time.monotonic() of the next hour's work
        self._next_at = 0.0  # and of the next day's, so that most of the time is for others
        self._turn = 0
        self._rewritten: set[tuple[str, int, int]] = set()  # written again, and not yet compared again
        self._left: dict[tuple[str, int, int], Difference] = {}  # what writing again did not change

    def next(self, mirrored: Mirrored, now: float) -> tuple[int, bool] | None:
        """Chooses the next comparison.

        Args:
            mirrored: what the tables claim to have.
            now: of time.monotonic().

        Returns:
            The day (ms), and whether to compare digests; None if nothing is due.
        """
        if not self._queue and now >= self._hour_at:
            self._hour_at = now + _HOUR_SECONDS
            days = mirrored_days(mirrored)
            self._queue.extend((day, False) for day in days)
            older = days[_NEWEST:]
            chosen = older if not self._begun else older[self._turn % _TURNS :: _TURNS]
            self._queue.extend((day, True) for day in [*days[:_NEWEST], *chosen])
            self._turn += self._begun
            self._begun = self._begun or bool(days)
        if not self._queue or now < self._next_at:
            return None
        return self._queue.popleft()

    def soon(self) -> None:
        """Compare the counts of all days as soon as may be."""
        self._hour_at = 0.0

    def pause(self, now: float) -> float:
        """Computes how long nothing is due.

        Args:
            now: of time.monotonic().

        Returns:
            Seconds.
        """
        return max(0.0, (self._next_at if self._queue else self._hour_at) - now)

    def done(
        self, day: int, digests: bool, found: Sequence[Difference], took: float, now: float
    ) -> tuple[list[Difference], list[Difference]]:
        """Takes the result of a comparison.

        Args:
            day: midnight, ms.
            digests: whether values were compared.
            found: what differs.
            took: seconds it took.
            now: of time.monotonic().

        Returns:
            What is to be written again, and what still differs after that: rows of another writer.
        """
        self._next_at = now + _PAUSE * took
        rewrite, left = [], []
        for difference in found:
            key = difference[:3]
            before = self._left.get(key)
            if (
                before is not None
                and before.found == difference.found
                and (not digests or before.digest == difference.digest)
            ):
                continue
            if key in self._rewritten and digests:
                self._rewritten.discard(key)
                self._left[key] = difference
                left.append(difference)
            else:
                self._rewritten.add(key)
                rewrite.append(difference)
        if digests:
            differ = {difference[:3] for difference in found}
            self._rewritten = {key for key in self._rewritten if key[2] != day or key in differ}
            self._left = {key: known for key, known in self._left.items() if key[2] != day or key in differ}
        if rewrite:
            self._queue.appendleft((day, True))
        return rewrite, left


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
