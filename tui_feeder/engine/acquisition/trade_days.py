"""Reads the trades of past days from the exchange's archive, and keeps them as ladders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from tui_feeder.configuration.sections import Trades
from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol
from tui_feeder.engine.analytics.orderflow.ladder import Ladder, LadderBuilder
from tui_feeder.engine.analytics.orderflow.reconcile import better_of, first_difference
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.supervisor import OUTSIDE_SECONDS, heartbeat
from tui_feeder.engine.derived.stored_ladders import (
    LadderOrigin,
    known_minutes,
    origins,
    put_ladder,
    read_ladder,
)
from tui_feeder.engine.exchanges.base import ArchiveError, Exchange, GivesTrades, TradesFile, shows_trades
from tui_feeder.engine.storage.store import Store
from tui_feeder.time_format import format_day

_ROUND_SECONDS = 30.0
#: A file that is not there is asked for again after so long (exchange time); after other faults sooner.
_AGAIN_MS, _SOONER_MS = 20 * MINUTE_MS, 3 * MINUTE_MS
#: A download that stands still is given up by the client; the whole of a large one may take so long.
_DOWNLOAD_SECONDS = 600.0


class TradeDays:
    """Reads the trades of days that are over; run it as a part of the engine.

    Args:
        config: which symbols, and how many days.
        store: keeps the ladders.
        exchange: its archive.
        clock: of the exchange.
        journal: where it reports.
        workers: the thread for computing in bulk.
        tracked: the followed symbols, by name.
        kept: called with a symbol of which a day is kept, and from when on (ms) it differs from what live
            trades showed of it; None: nowhere.
    """

    def __init__(
        self,
        config: Trades,
        store: Store,
        exchange: Exchange,
        clock: ExchangeClock,
        journal: Journal,
        workers: ThreadPoolExecutor,
        tracked: Mapping[str, TrackedSymbol],
        kept: Callable[[str, int | None], None] = lambda *_: None,
    ) -> None:
        self._config = config
        self._store = store
        self._exchange = exchange
        self._clock = clock
        self._journal = journal
        self._workers = workers
        self._tracked = tracked
        self._kept = kept
        self._next: dict[tuple[str, int], int] = {}  # when a file is asked for again, exchange ms
        self._unable: set[str] = set()  # symbols whose market has no such files; reported once

    async def run(self) -> None:
        """Read whatever is published and not stored, again and again."""
        while True:
            heartbeat(OUTSIDE_SECONDS)
            for symbol in self._config.symbols:
                if symbol in self._tracked and self._may_be_read(symbol):
                    await self._read_days(symbol)
            await asyncio.sleep(max(0.05, self._clock.real_seconds(int(_ROUND_SECONDS * 1000))))

    def _may_be_read(self, symbol: str) -> bool:
        """Whether the exchange has such files of the symbol at all."""
        if shows_trades(self._exchange, symbol):
            return True
        if symbol not in self._unable:
            self._unable.add(symbol)
            text = "trades.symbols: of its market no trades are read; its profiles are those of candles"
            self._journal.note("warning", text, symbol)
        return False

    async def _read_days(self, symbol: str) -> None:
        exchange = self._exchange
        assert isinstance(exchange, GivesTrades)
        now = self._clock.now()
        today = now - now % DAY_MS
        first = today - self._config.days * DAY_MS
        known = origins(self._store, symbol)
        for key in [key for key in self._next if key[1] < first]:
            del self._next[key]
        for day in range(today - DAY_MS, first - DAY_MS, -DAY_MS):
            published = exchange.trades_published(symbol, day)
            if day in known or published is None or max(published, self._next.get((symbol, day), 0)) > now:
                continue
            if not self._store.present(symbol).clip(day, day + DAY_MS):
                continue  # without candles there is nothing to hold them against
            heartbeat(_DOWNLOAD_SECONDS)
            try:
                await self._read_day(symbol, day, first)
            except ArchiveError as error:
                self._next[symbol, day] = self._clock.now() + (_AGAIN_MS if error.missing else _SOONER_MS)
                if not error.missing:
                    self._journal.count("trade_files_refused")
                    self._journal.note("warning", f"trades of {format_day(day)}: {error}", symbol)

    async def _read_day(self, symbol: str, day: int, keep_from: int) -> None:
        exchange = self._exchange
        assert isinstance(exchange, GivesTrades)
        builder = LadderBuilder(day)
        file = await exchange.read_trades(symbol, day, builder.add)
        loop = asyncio.get_running_loop()
        keep = partial(self._keep, symbol, builder, file, keep_from)
        ladder, changed, committed = await loop.run_in_executor(self._workers, keep)
        await asyncio.wrap_future(committed)
        self._kept(symbol, changed)
        candles, known = await loop.run_in_executor(
            self._workers, partial(known_minutes, self._store, symbol, ladder)
        )
        self._journal.count("trade_days_read")
        share = known.exact_share(candles["volume"])
        unproved = int(known.unproved.sum())
        more = f", {unproved} minutes unproved: ids of trades are missing" if unproved else ""
        text = f"trades of {format_day(day)}: {builder.trades:,}, {share:.2%} of the volume exact{more}"
        self._journal.note("info", text, symbol)

    def _keep(
        self, symbol: str, builder: LadderBuilder, file: TradesFile, keep_from: int
    ) -> tuple[Ladder, int | None, Future[None]]:
        ladder, live = builder.ladder(), read_ladder(self._store, symbol, builder.day)
        changed = None
        if live is not None:
            candles = self._store.read(symbol, builder.day, builder.day + DAY_MS)
            ladder = better_of(ladder, live, candles)
            changed = first_difference(live, ladder)
        elif len(ladder.minutes):
            changed = int(ladder.minutes["minute"][0]) * MINUTE_MS + ladder.day
        origin = LadderOrigin(file.path, file.sha256, file.checked, builder.trades, file.refused)
        return ladder, changed, put_ladder(self._store, symbol, ladder, origin, keep_from)
