"""Live trades become ladders, minute by minute; short holes in their ids are read by REST."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

from tui_feeder.configuration.sections import Trades
from tui_feeder.engine.acquisition.ingest import Ingest
from tui_feeder.engine.acquisition.trade_incidents import TradeIncidents
from tui_feeder.engine.analytics.orderflow.live_minutes import KnownIds, LiveMinutes, MissingIds
from tui_feeder.engine.core.candle import MINUTE_MS, SECOND_MS, Candle, to_rows
from tui_feeder.engine.core.event_names import event_name
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.supervisor import OUTSIDE_SECONDS, Supervisor, heartbeat, wait_for_work
from tui_feeder.engine.core.trades import TradeRow, of_rows
from tui_feeder.engine.derived.minute_ladders import owe
from tui_feeder.engine.derived.stored_ladders import is_exact, known_ids, known_share, read_minute
from tui_feeder.engine.exchanges.base import (
    Exchange,
    GivesTrades,
    RestError,
    Streams,
    StreamSocket,
    TradeHandlers,
    shows_trades,
)
from tui_feeder.engine.storage.store import Store, StoreError
from tui_feeder.time_format import ceil_to_minute

_TICK_SECONDS = 1.0
#: A closing frame waits for the last trades of its minute: so long after it came, or after the minute's end.
_HELD_MS, _HELD_AFTER_END_MS = 500, 2_500
#: Between two looks at a minute whose closing frame waits, s: trades come in thousands.
_LOOK_SECONDS = 0.05
#: What came by so long after the end of a minute is stored, closing frame or not.
_SEALED_MS = 5 * SECOND_MS
#: A minute that is neither exact nor proved by then is left to the archive; of a hole its end, or the start.
_GIVEN_UP_MS = 10 * MINUTE_MS
#: Trades of a symbol that are kept at most; those of a busy minute are some ten thousand.
_MOST_TRADES = 1_000_000
#: A longer hole is left to the archive: one of more ids, or of more time.
_MOST_IDS, _MOST_HOLE_MS = 10_000, 60 * MINUTE_MS
#: Requests for trades in a minute of the exchange, of all symbols: candles and live repair need the weight.
_REQUESTS_A_MINUTE = 20
#: A symbol's holes are asked for together, so often.
_ASKED_MS = 15 * SECOND_MS
#: A hole that REST does not fill is asked for so often.
_TRIES = 2


class FollowedTrades(NamedTuple):
    """What is known of the live trades of a symbol, beside its ladders."""

    since: int  # first whole minute after they were asked for, ms
    newest: int | None  # time of the newest one, ms
    missing: int  # ids that did not come and that REST may still give
    waiting: int  # trades that came and are not counted yet


class LiveTrades:
    """The live trades of ``[trades] symbols``. Runs on the engine's loop.

    Args:
        config: which symbols.
        store: keeps the ladders.
        exchange: its streams of trades, and REST.
        journal: where it reports.
        ingest: whose queues count ladders.
        supervisor: runs a part ``ladders SYMBOL`` while messages are made again.
        deliver: takes closing frames, once the trades of their minutes are here, or waited for no longer.
        counts: whether the messages of a symbol count its trades.
        rebuild: makes the messages again that rest on a ladder that has changed; symbol, first minute (ms),
            and whether it logs that. It gives how many minutes were published again.
    """

    def __init__(
        self,
        config: Trades,
        store: Store,
        exchange: Exchange,
        journal: Journal,
        ingest: Ingest,
        supervisor: Supervisor,
        deliver: Callable[[str, Candle], None],
        counts: Callable[[str], bool],
        rebuild: Callable[[str, int, bool], Awaitable[int]],
    ) -> None:
        self._wanted = frozenset(config.symbols)
        self._store = store
        self._exchange = exchange
        self._clock = exchange.clock
        self._journal = journal
        self._ingest = ingest
        self._supervisor = supervisor
        self._deliver = deliver
        self._counts = counts
        self._rebuild = rebuild
        self._symbols: dict[str, _Symbol] = {}
        self._incidents = TradeIncidents(journal)
        self._changed: dict[str, int] = {}  # by symbol the first minute whose ladder is another one
        self._by_archive: set[str] = set()  # of these, symbols of which a whole day is
        self._holes: asyncio.Queue[tuple[str, MissingIds]] = asyncio.Queue()
        self._asked: deque[int] = deque(maxlen=_REQUESTS_A_MINUTE)  # when REST was, exchange ms
        self._streams: Streams | None = None
        if self._wanted and isinstance(exchange, GivesTrades):
            self._streams = exchange.trade_streams(TradeHandlers(self._trade, self._fault))

    # --- the symbols ---------------------------------------------------------------------------

    @property
    def sockets(self) -> Sequence[StreamSocket] | None:
        """The connections of the trades; None where none are wanted, or the exchange has none."""
        return None if self._streams is None else self._streams.sockets

    def followed(self) -> dict[str, FollowedTrades]:
        """Gives what is known of the trades of each symbol that is followed."""
        return {
            name: FollowedTrades(known.joined, known.newest, known.missing, len(known.rows))
            for name, known in self._symbols.items()
        }

    def assign(self, symbols: Sequence[str]) -> None:
        """Follow the trades of those that are wanted of these symbols.

        Args:
            symbols: each once.
        """
        if self._streams is None:
            return
        followed = [name for name in symbols if name in self._wanted and shows_trades(self._exchange, name)]
        for name in followed:
            if name not in self._symbols:
                now = self._clock.now()
                stored = known_ids(self._store, name, now, _MOST_HOLE_MS, _GIVEN_UP_MS)
                self._symbols[name] = _Symbol(name, stored, ceil_to_minute(now))
        for name in [name for name in self._symbols if name not in followed]:
            self.forget(name)
        self._streams.assign(followed)

    def forget(self, symbol: str) -> None:
        """Drops what is kept of a symbol that is followed no longer.

        Args:
            symbol: which.
        """
        self._changed.pop(symbol, None)
        self._by_archive.discard(symbol)
        self._incidents.forget(symbol)
        self._supervisor.cancel(f"ladders {symbol}")
        if (known := self._symbols.pop(symbol, None)) is not None:
            known.end()

    # --- what comes ----------------------------------------------------------------------------

    def _trade(self, symbol: str, trade: TradeRow) -> None:
        known = self._symbols.get(symbol)
        if known is None:
            return
        known.rows.append(trade)
        if known.held and known.looking is None:
            loop = asyncio.get_running_loop()
            known.looking = loop.call_later(_LOOK_SECONDS, self._look, symbol, known)

    def _fault(self, kind: str, text: str) -> None:
        self._journal.fault(event_name("trade stream", kind), text)

    def closed(self, symbol: str, candle: Candle) -> None:
        """Takes a closing frame: it goes to the ingest with the ladder of its minute, at once or in a moment.

        Args:
            symbol: whose.
            candle: the minute.
        """
        known = self._symbols.get(symbol)
        if known is None or not self._counts(symbol):
            self._deliver(symbol, candle)
            return
        now = self._clock.now()
        until = max(now + _HELD_MS, candle.open_time + MINUTE_MS + _HELD_AFTER_END_MS)
        wait = self._clock.real_seconds(self._clock.at_least(until - now, _LOOK_SECONDS))
        known.held.append((candle, time.monotonic() + wait))
        self._look(symbol, known)

    def _look(self, symbol: str, known: _Symbol) -> None:
        """Hand on the closing frames whose trades are here, or need not be waited for."""
        if known.looking is not None:
            known.looking.cancel()
            known.looking = None
        while known.held:
            candle, until = known.held[0]
            left = until - time.monotonic()
            try:
                self._count(symbol, known)
                if left > 0 and known.waits_for(candle):
                    known.looking = asyncio.get_running_loop().call_later(left, self._look, symbol, known)
                    return
                self._seal(symbol, known, candle.open_time)
            except (
                ValueError,
                ArithmeticError,
                StoreError,
            ) as error:  # a candle never waits for trades that are none
                self._journal.fault("ladders_failed", repr(error), symbol)
                known.live.drop(candle.open_time)
            known.held.popleft()
            self._deliver(symbol, candle)

    def _count(self, symbol: str, known: _Symbol) -> None:
        """Put what came meanwhile to the minutes."""
        if not known.rows:
            return
        rows, known.rows = known.rows, []
        trades, refused = of_rows(rows, known.places)
        self._journal.count("live_trades", len(trades))
        # What is older was given up, or is stored; what is of the future is none.
        sane = trades.times < self._clock.now() + MINUTE_MS
        kept = trades.at(sane & (trades.times >= known.since))
        known.live.add(kept)
        if len(kept):
            known.newest = max(known.newest or 0, int(kept.times.max()))
        known.places = trades.price_places, trades.quantity_places
        if refused := refused + int((~sane).sum()):
            self._journal.count("trade_stream_unusable_trade", refused)

    # --- minutes that are over -----------------------------------------------------------------

    async def run(self) -> None:
        """Connect, store what came of each minute, and ask for what did not, until cancelled."""
        if self._streams is None:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._streams.run(), name="trade streams")
            group.create_task(self._repair(), name="trade repair")
            group.create_task(self._watch(), name="trade minutes")

    async def _watch(self) -> None:
        while True:
            pause = max(0.05, min(_TICK_SECONDS, self._clock.real_seconds(5 * SECOND_MS)))
            heartbeat(pause)
            await asyncio.sleep(pause)
            now = self._clock.now()
            for symbol, known in list(self._symbols.items()):
                self._count(symbol, known)
                self._seal_minutes(symbol, known, now)
            for symbol in list(self._changed):
                if not self._supervisor.alive(f"ladders {symbol}"):
                    self._supervisor.start(f"ladders {symbol}", partial(self._again, symbol), restart=False)
            self._incidents.report(now)

    async def _again(self, symbol: str) -> None:
        while (since := self._changed.pop(symbol, None)) is not None:
            logged = symbol in self._by_archive
            self._by_archive.discard(symbol)
            await asyncio.wrap_future(self._store.flushed())
            minutes = await self._rebuild(symbol, since, logged)
            if not logged:
                self._incidents.published_again(symbol, minutes, since, self._clock.now())

    def _seal_minutes(self, symbol: str, known: _Symbol, now: int) -> None:
        """Store what came of minutes that are over, ask for what did not, and let go what is final."""
        live, begun = known.live, (now - _SEALED_MS) // MINUTE_MS * MINUTE_MS
        known.missing = 0
        if not live.minutes:
            return
        needed = min(begun, live.minutes[-1])  # a hole that nobody knows of yet begins there
        holes = [hole for hole in live.missing() if self._is_open(symbol, known, hole, now)]
        known.missing = sum(hole.last - hole.first + 1 for hole in holes)
        crowded = live.trades > _MOST_TRADES
        for minute in [minute for minute in live.minutes if minute < begun and minute not in known.final]:
            if any(minute == candle.open_time for candle, _ in known.held):
                continue
            rows = self._store.read(symbol, minute, minute + MINUTE_MS)
            exact = is_exact(rows, live.ladder(minute))
            asked = any(hole.begin <= minute <= hole.end for hole in holes)
            late = crowded or (not asked and minute + MINUTE_MS + _GIVEN_UP_MS <= now)
            final = exact or late or (len(rows) > 0 and not asked and live.followed(minute))
            if final or minute not in known.sealed:
                self._seal(symbol, known, minute)
            if final:
                known.final.add(minute)
                self._journal.count("ladder_minutes_exact" if exact else "ladder_minutes_partial")
                share = None if exact else known_share(rows, live.ladder(minute))
                self._incidents.final(symbol, minute, share, now)
            else:
                needed = min(needed, minute)
                if len(rows):
                    self._incidents.incomplete(symbol, minute, now)
        for hole in holes:
            needed = min(needed, hole.begin)
        if holes and now >= known.ask_at:  # a page has the other holes near it too
            known.ask_at = now + _ASKED_MS
            self._ask(symbol, known, holes[0])
        # The minute before the first that is not final shows where its ids begin.
        known.forget(needed - MINUTE_MS)

    def _seal(self, symbol: str, known: _Symbol, minute: int) -> None:
        """Store the ladder of a minute, if it is another one than before."""
        ladder = known.live.ladder(minute)
        if ladder is None or minute in known.final:
            return
        sums = ladder.minutes[0].tolist()
        if known.sealed.get(minute) == sums:
            return
        if minute < known.joined:  # of an earlier run there may be more of it
            stored = read_minute(self._store, symbol, minute)
            if stored is not None and stored.volume() > ladder.volume():
                return
        known.sealed[minute] = sums
        made = self._made(symbol)
        self._ingest.ladders.put(symbol, minute, ladder, made)
        if minute < made:  # its message was published without these trades
            self._incidents.incomplete(symbol, minute, self._clock.now())
            self._changed[symbol] = min(minute, self._changed.get(symbol, minute))

    def _made(self, symbol: str) -> int:
        """Exclusive end (ms) of the minutes whose messages are made and count trades."""
        if not self._counts(symbol):
            return 0
        queue, watermark = self._ingest.queue(symbol), self._store.watermark(symbol)
        return max(queue.next or 0, 0 if watermark is None else watermark + MINUTE_MS)

    def day_kept(self, symbol: str, changed: int | None) -> None:
        """Have the messages made again that rest on the trades of a day which the archive gave.

        Args:
            symbol: whose.
            changed: from when on (ms) they are others than before; None: nowhere.
        """
        if changed is not None and changed < self._made(symbol):
            owe(self._store, symbol, changed, self._made(symbol))
            self._by_archive.add(symbol)
            self._changed[symbol] = min(changed, self._changed.get(symbol, changed))

    # --- holes ---------------------------------------------------------------------------------

    def _is_open(self, symbol: str, known: _Symbol, hole: MissingIds, now: int) -> bool:
        """Whether REST may still fill a hole; one that is too long is reported once."""
        tries = known.asked.get(hole.first, 0)
        if hole.first in known.waiting:
            return True
        if tries >= _TRIES or max(hole.end, known.joined) + _GIVEN_UP_MS <= now:
            return False
        if hole.last - hole.first < _MOST_IDS and hole.end - hole.begin <= _MOST_HOLE_MS:
            return True
        known.asked[hole.first] = _TRIES
        self._journal.count("trade_holes_left_to_archive")
        self._incidents.left_to_archive(symbol, hole.last - hole.first + 1, hole.begin, now)
        return False

    def _ask(self, symbol: str, known: _Symbol, hole: MissingIds) -> None:
        """Have REST asked for a hole."""
        if hole.first not in known.waiting:
            known.waiting.add(hole.first)
            self._holes.put_nowait((symbol, hole))

    async def _repair(self) -> None:
        """Ask REST for holes, one request at a time."""
        while True:
            wait_for_work()
            symbol, hole = await self._holes.get()
            known = self._symbols.get(symbol)
            if known is None:
                continue
            self._count(symbol, known)
            open_now = {each.first for each in known.live.missing()}
            if hole.first not in open_now or known.asked.get(hole.first, 0) >= _TRIES:
                known.waiting.discard(hole.first)  # a page that was asked for another hole had it
                continue
            try:
                await self._fill(known, hole)
            except RestError as error:  # once more, while its minutes are kept
                self._journal.count("trade_requests_refused")
                now = self._clock.now()
                pause = self._clock.at_least(max(5 * SECOND_MS, (error.retry_ms or 0) - now), 1.0)
                heartbeat(self._clock.real_seconds(pause))
                await self._clock.sleep_until(now + pause)
            finally:
                known.waiting.discard(hole.first)

    async def _fill(self, known: _Symbol, hole: MissingIds) -> None:
        exchange = self._exchange
        assert isinstance(exchange, GivesTrades)
        first = hole.first
        while first <= hole.last:
            if len(self._asked) == _REQUESTS_A_MINUTE:
                heartbeat(self._clock.real_seconds(MINUTE_MS))
                await self._clock.sleep_until(self._asked[0] + MINUTE_MS)
            self._asked.append(self._clock.now())
            heartbeat(works=OUTSIDE_SECONDS, unless=lambda: self._exchange.status().silenced)
            rows = await exchange.trades_from(known.symbol, first)
            self._journal.count("trade_requests")
            known.rows.extend(rows)
            last = max((row[0] for row in rows), default=hole.last)
            self._count(known.symbol, known)
            for each in known.live.missing():  # what a page does not have of its ids, came nowhere
                if first <= each.first and each.last <= max(last, hole.last):
                    known.asked[each.first] = known.asked.get(each.first, 0) + 1
            first = max(first, last) + 1

    def stop(self) -> None:
        """Hands on the closing frames that wait; what they lack of trades the next run asks for."""
        for symbol, known in self._symbols.items():
            self._count(symbol, known)
            for candle, _ in known.held:
                if is_exact(to_rows([candle]), known.live.ladder(candle.open_time)):
                    self._seal(symbol, known, candle.open_time)
                self._deliver(symbol, candle)
            known.end()


class _Symbol:
    """What is known of the live trades of a symbol.

    Args:
        symbol: which.
        stored: ids of ladders that are stored, ascending.
        joined: first whole minute (ms) after its trades were asked for.
    """

    def __init__(self, symbol: str, stored: Sequence[KnownIds], joined: int) -> None:
        self.symbol = symbol
        self.joined = joined
        self.newest: int | None = None  # time of the newest trade, ms
        self.missing = 0  # ids that did not come and are asked for
        self.live = LiveMinutes(stored)
        self.since = stored[0].minute + MINUTE_MS if stored else 0  # what is older is stored, or let go; ms
        self.rows: list[TradeRow] = []  # came, and are not counted yet
        self.places = (0, 0)  # decimal places of prices and quantities so far
        #: Closing frames, and until when (monotonic) they wait.
        self.held: deque[tuple[Candle, float]] = deque()
        self.looking: asyncio.TimerHandle | None = None
        self.sealed: dict[int, tuple[object, ...]] = {}  # by minute (ms) what its stored ladder comes to
        self.final = {known.minute for known in stored}
        self.asked: dict[int, int] = {}  # by its first id how often REST was asked for a hole
        self.ask_at = 0  # when REST is asked again, exchange ms
        self.waiting: set[int] = set()  # first ids of holes that are to be asked for, or are just now

    def waits_for(self, candle: Candle) -> bool:
        """Whether trades of a closing frame may be on their way still."""
        minute, live = candle.open_time, self.live
        if not candle.trades or not live.followed(minute - 2 * MINUTE_MS) or live.proved(minute):
            return False
        return not is_exact(to_rows([candle]), live.ladder(minute))

    def forget(self, before: int) -> None:
        """Let minutes go."""
        if before <= self.since:
            return
        self.since = before
        self.live.forget(before)
        self.sealed = {minute: sums for minute, sums in self.sealed.items() if minute >= before}
        self.final = {minute for minute in self.final if minute >= before}
        known = {hole.first for hole in self.live.missing()}
        self.asked = {first: tries for first, tries in self.asked.items() if first in known}

    def end(self) -> None:
        """Wait for nothing any more."""
        self.held.clear()
        if self.looking is not None:
            self.looking.cancel()
            self.looking = None
