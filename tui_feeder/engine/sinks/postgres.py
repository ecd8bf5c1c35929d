"""The PostgreSQL mirror: every stored candle of every timeframe, and the profiles, behind the live path.

It reads the store and nothing else. What the tables have is written down in them, in the transaction of the
candles, so whatever happens to either side it goes on where the tables are. That they have what they claim is
compared day by day; what differs is written again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import asyncpg

from tui_feeder.config import Config
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.sinks import postgres_tables as tables
from tui_feeder.engine.sinks.mirror_check import Comparing, Difference, differences
from tui_feeder.engine.sinks.mirror_plan import bars_of, mirrored_timeframes, next_piece
from tui_feeder.engine.sinks.mirror_profiles import Differing, Profiles, Provenance, resting_on
from tui_feeder.engine.sinks.postgres_schema import (
    AGAIN_SECONDS,
    MIGRATION_SECONDS,
    inspect,
    migrate,
    transaction,
)
from tui_feeder.engine.sinks.thread import SessionSink, SinkError
from tui_feeder.engine.storage.store import Store

#: Candles in one transaction while it catches up.
_AT_ONCE = 20_000
#: A symbol whose rows the table refuses is tried again so much later, seconds.
_REFUSED_SECONDS = 60.0
#: Connections that write at once while it catches up: more only wait for the processor here.
_WRITERS = 4


class _Part(NamedTuple):
    """What a transaction does for one symbol and timeframe."""

    symbol: str
    timeframe: int
    minutes: Coverage
    candles: int
    rows: bytes  # for a COPY


class PostgresSink(SessionSink):
    """Keeps ``candles_1m`` and ``volume_profiles`` equal to the store.

    Args:
        config: the whole configuration.
        store: what is mirrored.
    """

    name = "postgres"
    #: A statement ends after 60 s, and a transaction has two.
    replace_after_seconds = 180.0

    def __init__(self, config: Config, store: Store) -> None:
        super().__init__()
        self._config = config
        self._database = config.database
        self._store = store
        self._timeframes = mirrored_timeframes(config)
        self._profiles = Profiles(config, store)
        self._mirrored: dict[tuple[str, int], Coverage] = {}
        self._refused: dict[str, tuple[str, float]] = {}  # symbol: reason, time.monotonic() of the next try
        self._files: dict[str, int] | None = None  # of the tables
        #: Candles in the profile of a symbol and day (ms), and the settings it was made with.
        self._counted: dict[tuple[str, int], Provenance] = {}
        self._stale: dict[str, set[int]] = {}  # days of a symbol whose profile may have changed
        self._archived: dict[str, dict[int, str]] = {}  # by symbol: days whose trades the archive gave
        self._since = 0  # minutes closed since the last pass
        self._waits = 0  # minutes the tables lacked when last looked at
        self._marking = asyncio.Lock()  # one transaction at a time writes down what is mirrored, and commits
        self._level = time.monotonic()  # when the tables last had everything there was

    def minute_stored(self) -> None:
        """Counts a stored minute; enough of them are written at once."""
        self._since += 1
        if self._since >= self._database.batch_size:
            self._wake()

    def status(self) -> str:
        """``ok``, or what is wrong, and how far behind the tables are."""
        text = self.wrong()
        refused = next(iter(self._refused.items()), None)
        if not text and refused is not None:
            more = f" and {len(self._refused) - 1} more symbols" if len(self._refused) > 1 else ""
            text = f"the table refuses rows of {refused[0]}{more}: {refused[1][0]}"
        if self._waits > self._database.batch_size:
            text = f"{text or 'catching up'}; {self._waits:,} minutes wait"
        return text or "ok"

    def lag_seconds(self) -> float:
        """Seconds since the tables last had everything that was stored; up to the wait for a batch."""
        return time.monotonic() - self._level

    async def session(self) -> None:
        """Connect, bring the tables up to date, and keep them so."""
        self._marking = asyncio.Lock()
        try:
            pool = await tables.pool(self._database)
        except tables.FAULTS as error:
            raise SinkError(tables.describe_error(error, self._database)) from error
        try:
            self.expect_idle(MIGRATION_SECONDS)  # an index on a large table takes its time
            async with pool.acquire() as connection:
                version, made = await migrate(connection)
                async with transaction(connection):
                    self._mirrored = await tables.mirrored(connection)
                    self._counted = await tables.profiles(connection)
            self._stale = {symbol: self._profiles.days(symbol) for symbol in self._store.symbols()}
            if made:
                self.note("info", f"postgres: created {', '.join(made)}")
            self.connected(f"mirroring to {self._database.database} ({version})")
            comparing, self._files = Comparing(), None
            while True:
                ending, self._since, began = self.ending, 0, time.monotonic()
                await self._find_truncation(pool, comparing)
                await self._catch_up(pool)
                if not self._refused:
                    self._level = began
                wait = self._database.batch_timeout_seconds
                if self.over(idle=ending):
                    return
                if self.ending:  # what was stored before the end came may have missed this pass
                    continue
                if not await self._compare(pool, comparing):
                    wait = min(wait, comparing.pause(time.monotonic()))
                    self.progress()
                    self.expect_idle(wait)
                    await self.woken(wait)
        except tables.FAULTS as error:
            raise SinkError(tables.describe_error(error, self._database)) from error
        finally:
            pool.terminate()

    async def _find_truncation(self, pool: Any, comparing: Comparing) -> None:  # noqa: ANN401
        """Whether somebody has emptied or rewritten a table since the last pass: every row matters then."""
        async with pool.acquire() as connection, transaction(connection):
            files = await tables.files_of(connection)
            if files == self._files:
                return
            known, self._files = self._files, files
            if known is None:
                return
            if files.keys() != known.keys():
                raise SinkError("a table was dropped: it is made again")
            (await inspect(connection)).check()  # a column of another type has the table written anew
            changed = [table for table in files if files[table] != known[table]]
            emptied = [table for table in changed if await tables.is_empty(connection, table)]
            if "candles_1m" in emptied:
                await tables.set_mirrored(connection, dict.fromkeys(self._mirrored, EMPTY))
        if "candles_1m" in emptied:
            self._mirrored = {}
        if "volume_profiles" in emptied:
            self._counted = {}
            self._stale = {symbol: self._profiles.days(symbol) for symbol in self._store.symbols()}
        for table in emptied:
            self.note("warning", f"postgres: {table} was emptied; everything is written again")
        if changed != emptied:
            comparing.soon()  # written anew, as by VACUUM FULL, or emptied and filled

    async def _compare(self, pool: Any, comparing: Comparing) -> bool:  # noqa: ANN401 - a pool of asyncpg
        """Compare the next day, if one is due; whether anything is to be written again."""
        begun = time.monotonic()
        due = comparing.next(self._mirrored, begun)
        if due is None:
            return False
        day, digests = due
        held = self._refused.keys()
        mirrored = {key: minutes for key, minutes in self._mirrored.items() if key[0] not in held}
        async with pool.acquire() as connection, transaction(connection):
            found = await differences(
                connection, self._store, mirrored, self._timeframes, day, digests=digests
            )
            profiles = await self._differing_profiles(connection, day, held, digests)
            now = time.monotonic()
            rewrite, left = comparing.done(day, digests, found, now - begun, now)
            claimed = {}
            for difference in rewrite:
                key = (difference.symbol, difference.timeframe)
                claimed[key] = self._mirrored[key].subtract(span(day, day + DAY_MS))
            await tables.set_mirrored(connection, claimed)
        self._mirrored |= claimed
        for symbol in {profile.symbol for profile in profiles}:
            self._counted.pop((symbol, day), None)
            self._stale.setdefault(symbol, set()).add(day)
        self.progress()
        if rewrite or profiles:
            what = str(rewrite[0]) if rewrite else str(profiles[0])
            more = len(rewrite) + len(profiles) - 1
            self.note("warning", f"postgres: {what}{_and_more(more)}; written again")
            self.count("postgres_differences", more + 1)
        if left:
            await self._check_leftovers(pool, left)
        return bool(rewrite or profiles)

    async def _check_leftovers(self, pool: Any, left: Sequence[Difference]) -> None:  # noqa: ANN401
        """What differs although it was written again: rows of somebody else, or ours are not kept as written.

        Raises:
            SinkError: they are not; the next session compares, and heals, everything.
        """
        async with pool.acquire() as connection, transaction(connection):
            (await inspect(connection)).check()
        ours = [difference for difference in left if difference.found <= difference.expected]
        if ours:
            raise SinkError(
                f"{ours[0]}{_and_more(len(ours) - 1)}, also when written again: something in the database "
                "changes what is written to candles_1m: look for triggers and rules",
                wait=AGAIN_SECONDS,
            )
        self.note(
            "warning", f"postgres: {left[0]}{_and_more(len(left) - 1)}, also when written again: left so"
        )

    async def _differing_profiles(
        self,
        connection: Any,  # noqa: ANN401
        day: int,
        held: Collection[str],
        digests: bool,
    ) -> list[Differing]:
        """The profiles of a day that were written and are not in the table as they should be."""
        symbols = [
            symbol
            for symbol, written in self._counted
            if written == day and symbol not in held and day not in self._stale.get(symbol, ())
        ]
        if digests:
            for symbol in symbols:  # such as another tick size: the next pass writes it
                provenance = self._profiles.provenance(symbol, day)
                if provenance is not None and provenance != self._counted[symbol, day]:
                    self._stale.setdefault(symbol, set()).add(day)
            return await self._profiles.differing(
                connection, day, symbols, lambda symbol: self._counted[symbol, day]
            )
        there = await tables.profiles(connection, day)
        return [
            Differing(symbol, day, (symbol, day) in there)
            for symbol in symbols
            if there.get((symbol, day)) != self._counted[symbol, day]
        ]

    async def _catch_up(self, pool: Any) -> None:  # noqa: ANN401 - a pool of asyncpg
        """Write everything the tables lack now."""
        now = time.monotonic()
        for symbol, days in self._store.damaged_days().items():  # what is read again may be other values
            lost = Coverage((day, day + DAY_MS) for day in days)
            for timeframe in self._timeframes:
                if (had := self._mirrored.get((symbol, timeframe))) is not None:
                    self._mirrored[symbol, timeframe] = had.subtract(lost)
        self._refused = {s: refusal for s, refusal in self._refused.items() if refusal[1] > now}
        symbols = [symbol for symbol in self._store.symbols() if symbol not in self._refused]
        self._waits = sum(self._lacking(symbol, 60).minutes for symbol in symbols)
        altered = {symbol: found for symbol in symbols if (found := self._store.altered(symbol))}
        batches = self._batches(symbols, altered)
        writers = [
            asyncio.create_task(self._write_all(pool, batches))
            for _ in range(min(_WRITERS, self._database.max_connections))
        ]
        try:
            await asyncio.gather(*writers)
        finally:
            for writer in writers:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)
        if self.over(idle=False):
            return
        for symbol, minutes in altered.items():
            if symbol not in self._refused:
                for day in resting_on(minutes):
                    self._counted.pop((symbol, day), None)
                    self._stale.setdefault(symbol, set()).add(day)
        for symbol in symbols:
            if (archived := self._profiles.archived(symbol)) != self._archived.get(symbol, {}):
                known = self._archived.get(symbol, {})
                changed = {day for day, of in archived.items() if known.get(day) != of}
                self._stale.setdefault(symbol, set()).update(changed)
                self._archived[symbol] = archived
        for symbol in [symbol for symbol in self._stale if symbol not in self._refused]:
            await self._write_profiles(pool, symbol)
            if self.over(idle=False):
                return
        for symbol, minutes in altered.items():
            if symbol not in self._refused:
                self._store.forget_altered(symbol, minutes)
        self._waits = 0

    def _batches(self, symbols: Sequence[str], altered: dict[str, Coverage]) -> Iterator[list[_Part]]:
        """Everything to be written, in pieces of a transaction; no candle is in two of them."""
        parts: list[_Part] = []
        for symbol in symbols:
            for timeframe in self._timeframes:
                had = self._mirrored.get((symbol, timeframe), EMPTY)
                todo = self._lacking(symbol, timeframe).union(altered.get(symbol, EMPTY).intersect(had))
                while (part := self._next(symbol, timeframe, todo)) is not None:
                    todo = todo.subtract(part.minutes)
                    parts.append(part)
                    if sum(part.candles for part in parts) >= _AT_ONCE:
                        yield parts
                        parts = []
        if parts:
            yield parts

    async def _write_all(self, pool: Any, batches: Iterator[list[_Part]]) -> None:  # noqa: ANN401
        """One of the writers: batch by batch, on a connection of its own if there is any."""
        parts = next(batches, None)
        if parts is None:
            return
        async with pool.acquire() as connection:
            while parts is not None and not self.over(idle=False):
                await self._write(connection, parts)
                parts = next(batches, None)

    def _lacking(self, symbol: str, timeframe: int) -> Coverage:
        return self._store.present(symbol).subtract(self._mirrored.get((symbol, timeframe), EMPTY))

    def _next(self, symbol: str, timeframe: int, todo: Coverage) -> _Part | None:
        while True:
            damaged, present = self._store.damaged(symbol), self._store.present(symbol)
            piece = next_piece(present.subtract(damaged), todo.subtract(damaged), timeframe)
            if piece is None:
                return None
            rows = self._store.read(symbol, piece.start, piece.end)
            if self._store.damaged(symbol) != damaged:
                continue  # found just now: what it lacks must not count as mirrored
            bars = bars_of(rows, piece, timeframe, self._store.listed(symbol))
            return _Part(
                symbol,
                timeframe,
                piece.minutes,
                len(bars.rows),
                tables.copied(symbol, bars, self._store.contract_size(symbol)),
            )

    async def _write(self, connection: Any, parts: Sequence[_Part]) -> None:  # noqa: ANN401
        """The parts in one transaction; where the table refuses a row, each symbol by itself."""
        try:
            await self._transact(connection, parts)
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError) as error:
            symbols = list(dict.fromkeys(part.symbol for part in parts))
            if len(symbols) > 1:
                for symbol in symbols:
                    await self._write(connection, [part for part in parts if part.symbol == symbol])
                return
            self._refused[symbols[0]] = (str(error), time.monotonic() + _REFUSED_SECONDS)
            self.note("error", f"postgres: the table refuses rows of {symbols[0]}: {error}")
            self.count("postgres_rows_refused", sum(part.candles for part in parts))

    async def _transact(self, connection: Any, parts: Sequence[_Part]) -> None:  # noqa: ANN401
        async with contextlib.AsyncExitStack() as marking:
            async with transaction(connection):
                await tables.upsert(connection, (part.rows for part in parts))
                # Others write candles of the same symbol: what they had mirrored meanwhile must not be lost.
                await marking.enter_async_context(self._marking)
                minutes: dict[tuple[str, int], Coverage] = {}
                for part in parts:
                    key = (part.symbol, part.timeframe)
                    minutes[key] = minutes.get(key, self._mirrored.get(key, EMPTY)).union(part.minutes)
                await tables.set_mirrored(connection, minutes)
            self._mirrored |= minutes
        for part in parts:
            if part.timeframe == 60:
                self._stale.setdefault(part.symbol, set()).update(resting_on(part.minutes))
        written = sum(part.candles for part in parts)
        self._waits = max(0, self._waits - sum(p.minutes.minutes for p in parts if p.timeframe == 60))
        self.count("postgres_candles", written)
        self.progress()

    async def _write_profiles(self, pool: Any, symbol: str) -> None:  # noqa: ANN401
        """The profiles of days that have other candles or settings than those in the table."""
        settings, rows = self._profiles.settings(symbol), {}
        for day in sorted(self._stale.pop(symbol) & self._profiles.days(symbol)):
            known = self._counted.get((symbol, day))
            if settings is None or (known and known == self._profiles.provenance(symbol, day)):
                continue
            if (row := self._profiles.row(symbol, day)) is not None:
                rows[day] = row
        if not rows:
            return
        async with pool.acquire() as connection, transaction(connection):
            for row in rows.values():
                await tables.upsert_profile(connection, row)
        for day, row in rows.items():
            self._counted[symbol, day] = tables.provenance_of(row)
        self.progress()


def _and_more(count: int) -> str:
    return f" (and {count} more)" if count else ""
