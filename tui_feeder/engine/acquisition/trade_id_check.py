"""Live minutes are proved by the ids of their trades; of one that is not REST is asked.

At once where ids break. Where nothing can be judged, as the minute after it was not seen, REST confirms it:
a closing frame that lacked the last trades of its minute would never be found otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from tui_feeder.engine.acquisition.recovery import Recovery
from tui_feeder.engine.core.candle import MINUTE_MS, SECOND_MS, Source
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.supervisor import heartbeat
from tui_feeder.engine.core.trade_ids import Judged, Link, TradeIdChain, TradeIds
from tui_feeder.engine.exchanges.base import Exchange
from tui_feeder.engine.storage.evidence import links_of
from tui_feeder.engine.storage.store import Store, StoreError
from tui_feeder.time_format import format_second

#: A minute may seem to close this early: the two clocks never agree to the last millisecond.
_EARLY_MS = 5 * SECOND_MS
#: Minutes that are read at once in a minute, at most, of all symbols: were ids to break as a rule, REST would
#: have no weight left for gaps. Those beyond it are read with the others that REST has yet to confirm.
_MOST_AT_ONCE = 120
#: Ids are saved so long after the first of them came, s.
_SAVE_SECONDS = 0.5
#: Minutes that nothing has judged are given up once a minute, so long after its beginning, ms: the closing
#: frames of the minute before have come by then, and requests at its beginning have gone out.
_LOOK_MS, _LOOK_SECONDS = 30 * SECOND_MS, 0.5
#: They had ended a minute before then; ten minutes where all after them are without a trade, which the next
#: trade judges all together: of symbols that are rarely traded REST must not be asked every minute.
_ENDED_MS, _QUIET_MS = MINUTE_MS, 10 * MINUTE_MS
#: What a run leaves unjudged is not older than so long before its newest minute.
_LEFT_MS = _QUIET_MS + 5 * MINUTE_MS


class TradeIdCheck:
    """Judges every end of a live minute by the ids of the trades on both sides. Runs on the engine's loop.

    Args:
        store: keeps the ids.
        recovery: reads minutes again.
        journal: counts ``trade_id_joins``, ``trade_id_breaks``, of these those that are ``_exact`` by now
            and those that stayed ``_unproved`` when REST was asked, and ``trade_id_ends_unknown``.
        exchange: knows how soon after its end a minute can be asked for.
    """

    def __init__(self, store: Store, recovery: Recovery, journal: Journal, exchange: Exchange) -> None:
        self._store = store
        self._recovery = recovery
        self._journal = journal
        self._exchange = exchange
        self._clock = exchange.clock
        self._unsaved: list[tuple[str, int, TradeIds]] = []
        self._chains: dict[str, TradeIdChain] = {}
        self._waiting: dict[str, Coverage] = {}  # to be read at once
        self._unproved: dict[str, Coverage] = {}  # read, and not certain yet
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._asked: deque[int] = deque(maxlen=_MOST_AT_ONCE)  # when minutes were read at once, exchange ms
        recovery.on_confirmed = self._confirmed

    def frame(self, symbol: str, open_time: int, ids: TradeIds | None, closed: bool) -> None:
        """Takes the ids of a frame.

        Args:
            symbol: whose.
            open_time: of the minute, ms.
            ids: of its first and last trade so far; None where it has none that can be.
            closed: whether it is a closing frame.
        """
        if closed and not self._can_be(open_time):
            return
        chain = self._chains.get(symbol)
        if ids is None:
            if chain is not None and closed:  # its other frames have some: nothing will judge this minute
                self._take(symbol, [(open_time, Link.UNKNOWN)])
            return
        if chain is None:
            chain = self._chains[symbol] = TradeIdChain()
        if not closed:
            self._take(symbol, chain.forming(open_time, ids))
            return
        if not self._unsaved:
            asyncio.get_running_loop().call_later(_SAVE_SECONDS, self._save)
        self._unsaved.append((symbol, open_time, ids))
        self._take(symbol, chain.closed(open_time, ids))

    def _can_be(self, open_time: int) -> bool:
        """Whether the ingest takes a closing frame of a minute."""
        over = open_time + MINUTE_MS <= self._clock.now() + _EARLY_MS
        return over and not open_time % MINUTE_MS and open_time >= 0

    async def watch(self) -> None:
        """Has minutes confirmed by REST that no later frame has judged in time, until cancelled."""
        late = self._clock.at_least(_LOOK_MS, _LOOK_SECONDS)
        while True:
            ended = (self._clock.now() - late) // MINUTE_MS * MINUTE_MS + MINUTE_MS
            heartbeat(self._clock.real_seconds(MINUTE_MS + late))
            await self._clock.sleep_until(ended + late)
            for symbol, chain in self._chains.items():
                self._take(symbol, chain.overdue(ended - _ENDED_MS, ended - _QUIET_MS))

    def _save(self) -> None:
        """All that came meanwhile in one go, so that no minute's own commit waits for it."""
        unsaved, self._unsaved = self._unsaved, []
        if unsaved:
            with contextlib.suppress(StoreError):  # it was closed
                self._store.put_trade_ids(unsaved)

    def forget(self, symbol: str) -> None:
        """Drops what is known of a symbol that is not tracked any more.

        Args:
            symbol: which.
        """
        for known in (self._chains, self._waiting, self._unproved):
            known.pop(symbol, None)
        if (task := self._tasks.pop(symbol, None)) is not None:
            task.cancel()

    def _confirmed(self, symbol: str, minutes: Coverage) -> None:
        if exact := self._unproved.get(symbol, EMPTY).intersect(minutes):
            self._unproved[symbol] = self._unproved[symbol].subtract(exact)
            self._journal.count("trade_id_breaks_exact", exact.minutes)
            at = format_second(exact.start)
            text = f"REST has confirmed {exact.minutes} minutes whose trade ids did not join, from {at}"
            self._journal.note("info", text, symbol)

    async def stop(self) -> None:
        """Ends every task, and saves what was not yet."""
        self._save()
        tasks = [task for task in self._tasks.values() if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self, symbol: str, judged: Judged) -> None:
        unknown = EMPTY
        for minute, link in judged:
            doubted = span(minute, minute + MINUTE_MS)
            if link is Link.JOINED:
                self._journal.count("trade_id_joins")
            elif link is Link.BROKEN:
                self._broken(symbol, doubted)
            else:
                unknown = unknown.union(doubted)
        if unknown:
            self._unknown(symbol, unknown)

    def _broken(self, symbol: str, minute: Coverage) -> None:
        now = self._clock.now()
        text = f"those after minute {format_second(minute.start)} do not follow on its last; REST is asked"
        self._journal.fault("trade_id_breaks", text, symbol)
        self._doubt(symbol, minute)
        if len(self._asked) == _MOST_AT_ONCE and self._asked[0] > now - MINUTE_MS:
            self._left_to_recovery(symbol, minute)
            return
        self._asked.append(now)
        self._waiting[symbol] = self._waiting.get(symbol, EMPTY).union(minute)
        if symbol not in self._tasks or self._tasks[symbol].done():
            task = asyncio.create_task(self._read_at_once(symbol), name=f"unproved {symbol}")
            self._tasks[symbol] = task

    def _unknown(self, symbol: str, minutes: Coverage) -> None:
        """What REST or an archive has certified meanwhile is known."""
        certified = self._store.certified(symbol).clip(minutes.start, minutes.end)
        if unknown := minutes.subtract(certified):
            self._journal.count("trade_id_ends_unknown", unknown.minutes)
            self._doubt(symbol, unknown)
            self._recovery.confirm(symbol, unknown)

    def _doubt(self, symbol: str, minutes: Coverage) -> None:
        """Should this run end before they are confirmed, the next one goes on with it."""
        with contextlib.suppress(StoreError):  # it was closed
            self._store.mark_unconfirmed(symbol, minutes)

    def _left_to_recovery(self, symbol: str, minutes: Coverage) -> None:
        """Once more when they are final: only then what REST shows is certain."""
        self._unproved[symbol] = self._unproved.get(symbol, EMPTY).union(minutes)
        self._recovery.confirm(symbol, minutes)

    async def _read_at_once(self, symbol: str) -> None:
        while minutes := self._waiting.get(symbol, EMPTY):
            await self._clock.sleep_until(minutes.end + self._exchange.facts(symbol).settle_ms + 1)
            minutes = self._waiting.pop(symbol, EMPTY)
            done = await self._recovery.read_again(symbol, minutes)
            if left := done.failed.union(done.absent).intersect(minutes):
                self._journal.count("trade_id_breaks_unproved", left.minutes)
                text = f"{left.minutes} minutes are unproved until REST shows them: {done.reason}"
                self._journal.note("warning", text, symbol)
            self._left_to_recovery(symbol, minutes)


def unproved_minutes(store: Store, symbol: str) -> Coverage:
    """Finds the live minutes that an earlier run has left without a proof, as it ended right after them.

    Args:
        store: read before minutes of this run are in it.
        symbol: whose.

    Returns:
        The newest stored minutes from the stream that are not certified, and that trade ids do not prove.
    """
    present = store.present(symbol)
    if not present:
        return EMPTY
    start, end = present.end - _LEFT_MS, present.end
    rows, sources = store.read_sourced(symbol, start, end)
    live = Coverage.of_times(rows["open_time"][sources == Source.STREAM])
    links = links_of(store.trade_ids(symbol, start, end))
    proved = [(at, at + MINUTE_MS) for at, link in links.items() if link is Link.JOINED]
    return live.subtract(Coverage(proved)).subtract(store.certified(symbol).clip(start, end))
