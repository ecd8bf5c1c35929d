"""Signs the days of the tracked symbols while the engine runs; a supervised part of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tui_feeder.configuration.sections import Proof
from tui_feeder.engine.acquisition.backfill import History
from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, SECOND_MS
from tui_feeder.engine.core.journal import Journal, shortened
from tui_feeder.engine.core.supervisor import OUTSIDE_SECONDS, heartbeat
from tui_feeder.engine.exchanges.base import Exchange
from tui_feeder.engine.proof.day_signer import DaySigner, SigningResult
from tui_feeder.engine.proof.folder import HeadPlace, ProofWriter
from tui_feeder.engine.proof.leaf import MoreEvidence
from tui_feeder.engine.proof.signing import Signer
from tui_feeder.engine.storage.store import Store
from tui_feeder.time_format import format_day, parse_time

#: Days before today that are looked at: older ones are signed by ``feeder-tui proof seal``.
_DAYS = 30
#: Where no day is signed yet, so many are.
_FIRST_DAYS = 7
_ROUND_SECONDS = 60.0
#: A day that waits for archives or minutes is tried again after so many rounds.
_WAITING_ROUNDS = 10
#: Phases of symbols whose stored minutes are still being read.
_READING = ("waiting", "backfill")
#: Of the time, so many times as much is spent waiting as computing.
_REST = 4.0
#: Closing frames of all symbols are worked on so long after a minute's end, ms; what would be under way then
#: is not begun right before it.
_RUSH_MS, _BEFORE_MS = 4 * SECOND_MS, SECOND_MS // 10


class Sealing:
    """Signs the days of the tracked symbols; run it as a part of the engine.

    Args:
        config: key and folder.
        store: what is signed.
        exchange: its archives and clock.
        history: reads archives into the store.
        journal: where it reports.
        workers: the thread for computing in bulk.
        tracked: the symbols, by name.
        rebuild: called with a symbol and the first minute (ms) whose stored values were replaced.
        concurrency: archives under way at once.
        more: what others know of a symbol's day.

    Raises:
        KeyFileError: the key cannot be used.
        ProofFolderError: the folder cannot be written.
    """

    def __init__(
        self,
        config: Proof,
        store: Store,
        exchange: Exchange,
        history: History,
        journal: Journal,
        workers: ThreadPoolExecutor,
        tracked: Mapping[str, TrackedSymbol],
        rebuild: Callable[[str, int], Awaitable[None]],
        *,
        concurrency: int,
        more: MoreEvidence = lambda _symbol, _day: ({}, ""),
    ) -> None:
        assert config.key_file is not None  # a rule of the configuration
        self._writer = ProofWriter(config.folder, Signer(config.key_file))
        self._store = store
        self._clock = exchange.clock
        self._history = history
        self._journal = journal
        self._workers = workers
        self._tracked = tracked
        self._rebuild = rebuild
        self._signer = DaySigner(
            store,
            exchange.facts,
            exchange.clock.now,
            self._writer,
            workers,
            self._compare,
            concurrency=concurrency,
            more=more,
            rest=_REST,
            busy=lambda: exchange.clock.real_seconds(left_of_rush(exchange.clock.now())),
        )
        #: By day (ms) and symbol the store's edition at which its leaf was found to be right.
        self._settled: dict[int, dict[str, int]] = {}
        self._waiting: dict[int, int] = {}  # by day (ms): rounds until it is tried again
        self._reported: dict[int, int] = {}  # by day (ms): symbols that it waited for when that was logged

    def close(self) -> None:
        """Let others write to the folder."""
        self._writer.close()

    async def run(self) -> None:
        """Sign every day that can be, and correct what changed, until cancelled."""
        while True:
            # A folder of years has thousands of names: they are not read on the loop.
            heads = await asyncio.get_running_loop().run_in_executor(self._workers, self._writer.heads)
            for day in self._days(heads):
                await self._sign(day)
            heartbeat(_ROUND_SECONDS)
            await asyncio.sleep(_ROUND_SECONDS)

    def _days(self, heads: Sequence[HeadPlace]) -> list[int]:
        """The days (ms) to look at, in their order; what is kept of others is dropped."""
        today = self._clock.now() // DAY_MS * DAY_MS
        first = today - _FIRST_DAYS * DAY_MS
        if heads:
            first = min(first, parse_time(heads[0].day))
        days = list(range(max(first, today - _DAYS * DAY_MS), today, DAY_MS))
        for kept in (self._settled, self._waiting, self._reported):
            for day in kept.keys() - set(days):
                del kept[day]
        return days

    async def _sign(self, day: int) -> None:
        settled = self._settled.setdefault(day, {})
        symbols = [
            symbol
            for symbol, tracked in list(self._tracked.items())
            if tracked.phase not in _READING
            and settled.get(symbol) != self._store.edition(symbol)
            and self._store.present(symbol).clip(day, day + DAY_MS)
        ]
        rounds = self._waiting.get(day, 0)
        if not symbols or rounds > 0:
            self._waiting[day] = rounds - 1
            return
        editions = {symbol: self._store.edition(symbol) for symbol in symbols}
        result = await self._signer.sign(day, symbols, together=True)
        settled.update({symbol: editions[symbol] for symbol in result.settled})
        self._waiting[day] = _WAITING_ROUNDS if result.waiting else 0
        self._report(day, result)

    async def _compare(self, symbol: str, day: int) -> None:
        done = await self._history.compare_day(symbol, day)
        if done.changed:
            text = f"{len(done.changed)} minutes of {format_day(day)} corrected by the archive"
            self._journal.note("warning", text, symbol)
            heartbeat(works=OUTSIDE_SECONDS)
            await self._rebuild(symbol, min(done.changed))

    def _report(self, day: int, result: SigningResult) -> None:
        name = format_day(day)
        if result.head is not None:
            self._journal.count("leaves_signed", result.signed + result.corrected)
            what = [f"{result.signed} symbols"] if result.signed else []
            what += [f"{result.corrected} corrections"] if result.corrected else []
            self._journal.note("info", f"{name} signed: {', '.join(what)}; head {result.head.number}")
        if result.waiting and self._reported.get(day) != len(result.waiting):
            self._reported[day] = len(result.waiting)
            reasons = [f"{symbol} ({why})" for symbol, why in result.waiting.items()]
            self._journal.note("info", f"{name} waits to be signed: {shortened(reasons, 3)}")


def left_of_rush(now: int) -> int:
    """Computes how long the rush at the end of a minute goes on, from right before it.

    Args:
        now: exchange ms.

    Returns:
        ms, 0 where there is none.
    """
    since = (now + _BEFORE_MS) % MINUTE_MS
    return max(0, _RUSH_MS + _BEFORE_MS - since)
