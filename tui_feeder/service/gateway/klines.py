"""Candles from the store, as the exchange answers: whole, or refused with the minutes that are missing."""

from __future__ import annotations

import asyncio
import contextlib

from tui_feeder.engine.core.candle import MINUTE_MS, Candle, Rows
from tui_feeder.engine.core.coverage import Coverage, span
from tui_feeder.service.gateway.answer_cache import AnswerCache, AnswerKey, KeptAnswer
from tui_feeder.service.gateway.feeder import Feeder
from tui_feeder.service.gateway.markets import served_market
from tui_feeder.service.gateway.queries import KlinesQuery
from tui_feeder.service.gateway.refusals import RefusalError, invalid_symbol, later, named
from tui_feeder.service.gateway.series import Chunk, Series
from tui_feeder.service.gateway.watch import StoreWatch

#: A minute is waited for until so long after its end (real seconds): its closing frame comes up to 2 s late,
#: and REST is asked 3 s after its end.
_CLOSE_SECONDS = 6.0
#: When to ask again where nothing is known of a recovery.
_USUAL_SECONDS = 4.0
_FAR_SECONDS = 3_600.0
#: REST confirms a minute once it shows two later ones, and some seconds have passed.
_CONFIRMED_MS = 2 * MINUTE_MS + 15_000
#: The last minutes of a contract that was delivered have none later.
_LAST_CONFIRMED_MS = 10 * MINUTE_MS + 15_000
#: Answers that read the store at the same time.
_READERS = 2


class Klines:
    """Answers requests for the candles of followed symbols.

    Args:
        series: what is rendered.
        feeder: whose store it is.
        watch: notifies of what is committed.
        most_bytes: of answers that are kept for polls.
    """

    def __init__(self, series: Series, feeder: Feeder, watch: StoreWatch, most_bytes: int) -> None:
        self._series = series
        self._feeder = feeder
        self._watch = watch
        self._reading = asyncio.Semaphore(_READERS)
        self._answers = AnswerCache(most_bytes)
        self._flat: dict[str, Candle] = {}
        self._looked = False

    async def answer(self, query: KlinesQuery) -> bytes:
        """The body of the answer.

        Args:
            query: checked; its symbol is followed.

        Returns:
            A JSON list of rows.

        Raises:
            RefusalError: minutes of it are missing.
            FeederGoneError: the feeder does not answer.
            StoreError: the store is closed.
        """
        self._look()
        start = self._start(query.symbol)
        while True:
            now = self._feeder.now()
            minute = now - now % MINUTE_MS
            first, after = self._range(query, now, start)
            if after <= first:
                return self._nothing(query, now, start)
            if (delivery := self._delivery(query.symbol, now)) is not None and after > delivery:
                return await self._delivered(query, first, delivery)
            if query.partial:
                return await self._partial(query, first, after, minute)
            key = AnswerKey(query.symbol, query.interval.name, first, after)
            kept = self._answers.get(key)
            if kept is not None and kept.version == self._series.version:
                if kept.seen is None:
                    if after <= kept.chunks[-1].until:
                        return kept.body
                elif kept.seen.open_time == minute and kept.seen is self._feeder.forming(query.symbol):
                    return kept.body
            seen = self._seen(query.symbol, minute) if first == minute else None
            if seen is None:
                # A minute is in progress, and not over, where the one before it is stored.
                before = min(first, max(start, minute - MINUTE_MS)) if after > minute else first
                await self._present(query.symbol, before, min(after, minute))
            version = self._series.version
            chunks = self._series.ready(query.symbol, query.interval, first, after)
            if chunks is None:
                async with self._reading:
                    chunks = await asyncio.to_thread(
                        self._series.load, query.symbol, query.interval, first, after
                    )
            candle = seen
            if candle is None and after > chunks[-1].until:
                candle = self.minute_in_progress(query.symbol, chunks[-1].until)
                if candle is None or self._is_over(candle):  # meanwhile, and on its way to the store
                    await self._committed(query.symbol, chunks[-1].until)
                    continue
            answer = self._made(query, first, after, version, tuple(chunks), candle, kept)
            self._answers.put(key, answer)
            return answer.body

    def _delivery(self, symbol: str, now: int) -> int | None:
        """The end (ms) of a contract that was delivered by now."""
        delivery = self._series.summary(symbol).delivery
        return delivery if delivery is not None and delivery <= now else None

    async def _delivered(self, query: KlinesQuery, first: int, delivery: int) -> bytes:
        """The rows up to the end of a contract: the last bar has the minutes until then."""
        if first >= delivery:
            return b"[]"
        if not query.partial:
            await self._present(query.symbol, first, delivery)
        return await self._partial(query, first, delivery, delivery)

    def _look(self) -> None:
        """Take notice of what was committed, once for all requests that one turn of the loop answers."""
        if not self._looked:
            self._series.look()
            self._looked = True
            asyncio.get_running_loop().call_soon(self._look_again)

    def _look_again(self) -> None:
        self._looked = False

    def _made(
        self,
        query: KlinesQuery,
        first: int,
        after: int,
        version: int,
        chunks: tuple[Chunk, ...],
        candle: Candle | None,
        kept: KeptAnswer | None,
    ) -> KeptAnswer:
        """The rows of the chunks and of the minute in progress; those of an earlier answer if they hold."""
        if kept is not None and kept.closed and kept.chunks == chunks:
            closed = kept.closed
        else:
            parts: list[bytes | memoryview] = [b"["]
            for chunk in chunks:
                if rows := chunk.rows(first, after):
                    parts += (rows, b",")
            if candle is None:
                body = b"".join((*parts[:-1], b"]")) if len(parts) > 1 else b"[]"
                return KeptAnswer(version, chunks, b"", body, None)
            closed = b"".join(parts)
        if candle is None:
            return KeptAnswer(version, chunks, closed, closed[:-1] + b"]", None)
        row = self._series.forming(query.symbol, query.interval, chunks[-1], candle)
        # A flat minute that was made here holds as long as no frame comes, and the symbol is live.
        seen = candle if candle is self._feeder.forming(query.symbol) else None
        return KeptAnswer(version, chunks, closed, b"".join((closed, row, b"]")), seen)

    async def _committed(self, symbol: str, minute: int) -> None:
        """Wait for the next commit, as long as the minute (ms) may still be on its way."""
        left = self._close_seconds(minute)
        if left > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._watch.changed()
                    return
        raise self._hole(symbol, span(minute, minute + MINUTE_MS))

    def _close_seconds(self, minute: int) -> float:
        """How long (real seconds) the closing frame of a minute (ms) is still waited for."""
        since = self._feeder.now() - minute - MINUTE_MS
        return min(_CLOSE_SECONDS, _CLOSE_SECONDS - since / 1000 / self._feeder.rate())

    def _seen(self, symbol: str, minute: int) -> Candle | None:
        """What frames have shown of the minute (ms) in progress; no minute before it is needed for that."""
        candle = self._feeder.forming(symbol)
        return candle if candle is not None and candle.open_time == minute else None

    def _is_over(self, candle: Candle) -> bool:
        return candle.open_time + MINUTE_MS <= self._feeder.now()

    def _start(self, symbol: str) -> int:
        """The first minute (ms) that is kept of a symbol."""
        followed = self._feeder.followed().get(symbol)
        if followed is None or followed.start is None:
            present = self._series.summary(symbol).present
            if present and self._delivery(symbol, self._feeder.now()) is not None:
                return present.start  # nothing is read any more of a contract that has ended
            why = "" if followed is None or not followed.reason else f": {followed.reason}"
            raise later(f"the history of {symbol} is not read yet{why}", _USUAL_SECONDS)
        return followed.start

    def _range(self, query: KlinesQuery, now: int, start: int) -> tuple[int, int]:
        """Open time of the first bar that is asked for, and the end (ms, exclusive) of the last one.

        A history begins like a listing does: with its first bar, which of a listing may be shorter.
        """
        interval, listed = query.interval, self._series.summary(query.symbol).listed
        last = interval.floor(now if query.end is None else min(query.end, now))
        first = interval.later(last, 1 - query.limit) if query.start is None else interval.ceil(query.start)
        is_listing = listed is not None and listed >= start
        if query.newest:
            first = max(first, interval.later(last, 1 - query.limit))
        first = max(first, interval.floor(start) if is_listing else interval.ceil(start))
        return first, interval.later(min(last, interval.later(first, query.limit - 1)), 1)

    def _nothing(self, query: KlinesQuery, now: int, start: int) -> bytes:
        """The answer to a request that no bar fits: of a time in which there was none yet, or to come."""
        bar = query.interval.floor(now)
        if bar < start and (query.end is None or query.end >= bar) and (query.start or 0) <= bar:
            since = named(span(start, start + MINUTE_MS), now)
            text = f"the history of {query.symbol} begins with {since}, inside the bar in progress"
            raise later(f"{text}: see application.start_date", _FAR_SECONDS)
        return b"[]"

    async def _present(self, symbol: str, first: int, until: int) -> None:
        """See that the minutes of ``[first, until)`` (ms) are stored; wait for one that has just ended."""
        while (missing := self._missing(symbol, first, until)) is not None:
            left = self._close_seconds(missing.start)
            followed = self._feeder.followed().get(symbol)
            if left <= 0 or followed is None or not followed.live:
                raise self._hole(symbol, missing)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._watch.changed()

    def _missing(self, symbol: str, first: int, until: int) -> Coverage | None:
        now = self._series.summary(symbol)
        first = max(first, now.listed or 0)
        if now.present:
            start, end = now.present.intervals[-1]
            if start <= first and until <= end:
                return None
        return now.present.missing(first, until) or None

    def _hole(self, symbol: str, missing: Coverage) -> RefusalError:
        now = self._feeder.now()
        where, verb = named(missing, now), "is" if missing.minutes == 1 else "are"
        unconfirmed = self._series.summary(symbol).unconfirmed
        if not missing.subtract(unconfirmed):
            took = _CONFIRMED_MS if self._delivery(symbol, now) is None else _LAST_CONFIRMED_MS
            sure = (missing.end + took - now) / 1000 / self._feeder.rate()
            return later(f"{where} {verb} being confirmed", max(sure, 1.0))
        seconds = self._feeder.recovery_seconds(symbol, missing)
        return later(f"{where} {verb} being recovered", _USUAL_SECONDS if seconds is None else seconds)

    async def newest(self, symbol: str) -> Candle:
        """The minute in progress, flat at the close before it while nothing was traded.

        Args:
            symbol: that is followed.

        Returns:
            The candle.

        Raises:
            RefusalError: no frame has shown it, and minutes right before it are missing; or its contract was
                delivered.
            FeederGoneError: the feeder does not answer.
            StoreError: the store is closed.
        """
        while True:
            now = self._feeder.now()
            minute = now - now % MINUTE_MS
            if self._delivery(symbol, now) is not None:
                raise invalid_symbol(f" {served_market(symbol).bare(symbol)} was delivered")
            if (seen := self._seen(symbol, minute)) is not None:
                return seen
            await self._present(symbol, minute - MINUTE_MS, minute)
            until = self._series.summary(symbol).present.end
            candle = self.minute_in_progress(symbol, until)
            if candle is not None and not self._is_over(candle):
                return candle
            await self._committed(symbol, until)

    async def day_before(self, symbol: str, until: int, length: int) -> Rows:
        """The stored minutes of the ``length`` ms before ``until``, all of those since the listing.

        Args:
            symbol: that is followed.
            until: ms, exclusive.
            length: ms.

        Returns:
            Rows of dtype ROW, sorted.

        Raises:
            RefusalError: some are missing.
            StoreError: the store is closed.
        """
        await self._present(symbol, until - length, until)
        async with self._reading:
            return await asyncio.to_thread(self._series.minutes, symbol, until - length, until)

    def minute_in_progress(self, symbol: str, minute: int) -> Candle | None:
        """The forming candle of the minute that follows the stored ones; None once a later one is known.

        Before its first trade it is flat at the close before it, as the exchange shows it.

        Args:
            symbol: whose minutes before it are stored.
            minute: ms.

        Returns:
            The candle, or None.

        Raises:
            RefusalError: it is not known, since no frames arrive.
        """
        candle = self._feeder.forming(symbol)
        if candle is not None and candle.open_time >= minute:
            return candle if candle.open_time == minute else None
        followed = self._feeder.followed().get(symbol)
        if followed is None or followed.reason or not followed.live:  # frames are missing, perhaps trades
            why = "" if followed is None else f": {followed.reason}"
            raise later(f"nothing is known of the minute in progress of {symbol}{why}", _USUAL_SECONDS)
        flat = self._flat.get(symbol)
        if flat is None or flat.open_time != minute:
            rows = self._series.minutes(symbol, minute - MINUTE_MS, minute)
            if not len(rows):
                raise self._hole(symbol, span(minute - MINUTE_MS, minute))
            price = float(rows["close"][-1])
            flat = Candle(minute, price, price, price, price, 0.0, 0.0, 0, 0.0, 0.0)
            self._flat[symbol] = flat
        return flat

    async def _partial(self, query: KlinesQuery, first: int, after: int, minute: int) -> bytes:
        """What there is, whatever is missing."""
        forming = self._feeder.forming(query.symbol) if after > minute else None
        if forming is not None and forming.open_time != minute:
            forming = None
        async with self._reading:
            rows = await asyncio.to_thread(
                self._series.loose, query.symbol, query.interval, first, min(after, minute), forming
            )
        return b"[" + rows + b"]"
