"""Live minutes are proved by the ids of their trades; one that is not is read by REST at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from tui_feeder.engine.acquisition.recovery import Recovery
from tui_feeder.engine.core.candle import MINUTE_MS, SECOND_MS
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.trade_ids import Link, TradeIdChain, TradeIds
from tui_feeder.engine.exchanges.base import Exchange
from tui_feeder.engine.storage.store import Store, StoreError
from tui_feeder.time_format import format_second

#: A minute may seem to close this early: the two clocks never agree to the last millisecond.
_EARLY_MS = 5 * SECOND_MS
#: Minutes that are read at once in a minute, at most, of all symbols: were ids to break as a rule, REST would
#: have no weight left for gaps. Those beyond it are read with the others that REST has yet to confirm.
_MOST_AT_ONCE = 120


_SAVE_SECONDS = 0.5


class TradeIdCheck:
    """Judges every end of a live minute by the ids of the trades on both sides. Runs on the engine's loop.

    Args:
        store: keeps the ids.
        recovery: reads minutes again.
        journal: counts ``trade_id_joins``, ``trade_id_breaks``, and of these those that are ``_exact`` by now
            and those that stayed ``_unproved`` when REST was asked.
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

    def frame(self, symbol: str, open_time: int, ids: TradeIds, closed: bool) -> None:
        """Takes the ids of a frame.

        Args:
            symbol: whose.
            open_time: of the minute, ms.
            ids: of its first and last trade so far.
            closed: whether it is a closing frame.
        """
        chain = self._chains.get(symbol)
        if chain is None:
            chain = self._chains[symbol] = TradeIdChain()
        if not closed:
            if (link := chain.forming(open_time, ids)) is not None:
                self._judged(symbol, open_time - MINUTE_MS, link)
            return
        if open_time + MINUTE_MS > self._clock.now() + _EARLY_MS or open_time % MINUTE_MS or open_time < 0:
            return  # refused by the ingest too
        if not self._unsaved:
            asyncio.get_running_loop().call_later(_SAVE_SECONDS, self._save)
        self._unsaved.append((symbol, open_time, ids))
        for minute, link in chain.closed(open_time, ids):
            self._judged(symbol, minute, link)

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

    def _judged(self, symbol: str, minute: int, link: Link) -> None:
        if link is Link.JOINED:
            self._journal.count("trade_id_joins")
            return
        now, doubted = self._clock.now(), span(minute, minute + MINUTE_MS)
        text = f"those after minute {format_second(minute)} do not follow on its last; REST is asked"
        self._journal.fault("trade_id_breaks", text, symbol)
        if len(self._asked) == _MOST_AT_ONCE and self._asked[0] > now - MINUTE_MS:
            self._left_to_recovery(symbol, doubted)
            return
        self._asked.append(now)
        self._waiting[symbol] = self._waiting.get(symbol, EMPTY).union(doubted)
        if symbol not in self._tasks or self._tasks[symbol].done():
            task = asyncio.create_task(self._read_at_once(symbol), name=f"unproved {symbol}")
            self._tasks[symbol] = task

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
