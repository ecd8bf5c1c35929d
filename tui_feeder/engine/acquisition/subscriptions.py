"""Which symbols are followed: names and patterns wanted, what the exchange lists, who comes and goes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol
from tui_feeder.engine.acquisition.wanted import choose_symbols
from tui_feeder.engine.core.backoff import Backoff
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.journal import Journal, shortened
from tui_feeder.engine.core.supervisor import OUTSIDE_SECONDS, heartbeat
from tui_feeder.engine.exchanges.base import (
    Exchange,
    Listings,
    Refusal,
    RestError,
    SymbolInfo,
    Trading,
)
from tui_feeder.spelling import closest
from tui_feeder.time_format import format_second

_LISTINGS_MS = 5 * MINUTE_MS
#: What the exchange's list no longer shows is believed after so many reads in a row, and so long.
_DELISTED_READS, _DELISTED_MS, _DELISTED_READ_MS = 3, 3 * MINUTE_MS, MINUTE_MS
#: From the delivery of a contract on its last minute is looked for, each time so long.
_AFTER_DELIVERY_MS = 10_000

_REASON = 600  # characters of a refusal that screens show


class SubscriptionListener(Protocol):
    """Whoever brings symbols to live and lets them go: the engine."""

    def start_symbol(self, tracked: TrackedSymbol) -> None:
        """Called to bring a symbol to live, unless that is under way.

        Args:
            tracked: the symbol.
        """
        ...

    def remove_symbol(self, symbol: str) -> None:
        """Called when a symbol is no longer tracked.

        Args:
            symbol: the symbol.
        """
        ...

    def has_recent_data(self, symbol: str, since: int) -> bool:
        """Checks whether frames or trades of a symbol came lately.

        Args:
            symbol: the symbol.
            since: exchange time, ms.

        Returns:
            True if any came from ``since`` on.
        """
        ...

    def halt_symbol(self, symbol: str) -> None:
        """Called when the exchange no longer trades a symbol: nothing more is requested of it.

        Args:
            symbol: the symbol.
        """
        ...

    def phases_changed(self) -> None:
        """Symbols came, went, or changed their phase."""
        ...


class Subscriptions:
    """Keeps the tracked symbols what they should be. All calls come from the engine's loop.

    Args:
        wanted: names and patterns.
        exchange: asked for the listings.
        journal: what comes and goes is logged there.
        listener: does what follows.
    """

    def __init__(
        self,
        wanted: Sequence[str],
        exchange: Exchange,
        journal: Journal,
        listener: SubscriptionListener,
    ) -> None:
        self.tracked: dict[str, TrackedSymbol] = {}
        self.listed: dict[str, SymbolInfo] = {}  # what the exchange listed when it was asked last
        self.unusable: dict[str, str] = {}  # entries that cannot be used, by name, and why
        #: Symbols that the list shows as traded no longer: since when (exchange ms), in how many reads.
        self._disappearing: dict[str, tuple[int, int]] = {}
        #: Takes the symbols to subscribe to, once there are streams.
        self.subscribe: Callable[[list[str]], None] = lambda _: None
        #: Takes what the exchange lists of the tracked symbols, as it came: all but them, and each of them.
        self.keep_listings: Callable[[Mapping[str, bytes], Mapping[str, bytes]], None] = lambda *_: None
        self._entries: Mapping[str, bytes] = {}
        self._heads: Mapping[str, bytes] = {}
        self.not_ready = ""  # why the exchange was not reached when it was tried last at the start
        #: When a symbol of an earlier run ended for good, exchange ms; None where that is not known.
        self.known_end: Callable[[str], int | None] = lambda _: None
        #: Whether a symbol is this feeder's; those that are not are not tracked.
        self.owns: Callable[[str], bool] = lambda _: True
        self._wanted = tuple(wanted)
        self._dropped: set[str] = set()  # let go by the user, whatever pattern they match
        self._replaced = False  # the wanted symbols are others than those of the start
        self._read_now = asyncio.Event()
        self._listings_failed = False  # the listings were refused when they were asked for last
        self._exchange = exchange
        self._clock = exchange.clock
        self._journal = journal
        self._listener = listener

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names and patterns of the symbols to follow."""
        return self._wanted

    def chosen(self) -> list[str]:
        """The symbols that are wanted of those listed."""
        return choose_symbols(self._wanted, self.listed)

    def replace(self, wanted: Sequence[str]) -> None:
        """Replaces the wanted names and patterns.

        Args:
            wanted: names and patterns.
        """
        self._wanted, self._replaced = tuple(wanted), True
        self._dropped.clear()
        self._read_now.set()

    def add(self, symbol: str) -> None:
        """Adds a symbol to the wanted ones.

        Args:
            symbol: the symbol.
        """
        self._dropped.discard(symbol)
        if symbol not in self._wanted:
            self._wanted = (*self._wanted, symbol)
        self._read_now.set()

    def drop(self, symbol: str) -> None:
        """Stops tracking a symbol; its stored candles stay.

        Args:
            symbol: the symbol.
        """
        self._dropped.add(symbol)
        self._wanted = tuple(name for name in self._wanted if name != symbol)
        self._read_now.set()

    def retry_refused(self) -> None:
        """REST answers again: listings that it refused are read now."""
        if self._listings_failed:
            self._read_now.set()

    async def connect(self) -> None:
        """Learn the exchange's clock and symbols; tried for ever."""
        backoff = Backoff()
        while True:
            try:
                await self._exchange.sync_clock()
                found = await self._exchange.listings(self._wanted)
                self._apply_listings(found)
                if not found.symbols:
                    raise RestError(Refusal.EMPTY_ANSWER, "it lists no symbol that can be used")
            except RestError as error:
                wait = backoff.next()
                if error.retry_ms is not None:
                    wait = max(wait, self._clock.real_seconds(error.retry_ms - self._clock.now()))
                self.not_ready = str(error)[:_REASON]
                self._journal.note("warning", f"exchange not ready: {error}; tried again in {wait:.1f} s")
                await asyncio.sleep(wait)
                continue
            self.not_ready = ""
            self._journal.note(
                "info", f"connected to {self._exchange.address}: {len(self.listed)} symbols listed, "
                f"exchange time {format_second(self._clock.now())}",
            )  # fmt: skip
            return

    async def run(self) -> None:
        """Symbols that come and go: patterns take in new ones, those that leave are shown as such."""
        while True:
            until, floor = (_DELISTED_READ_MS, 0.7) if self._disappearing else (_LISTINGS_MS, 20.0)
            pause = self._clock.real_seconds(self._clock.at_least(min(until, self._until_delivery()), floor))
            heartbeat(pause, OUTSIDE_SECONDS, unless=lambda: self._exchange.status().silenced)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):  # wait_for of Python 3.11 can lose a cancellation
                    await self._read_now.wait()
            self._read_now.clear()
            try:
                self._apply_listings(await self._exchange.listings(self._wanted))
            except RestError as error:
                self._journal.fault("listings_failed", str(error))
                self._listings_failed = True
                continue
            self._listings_failed = False
            self.assign_again()

    def _until_delivery(self) -> int:
        """Time until a contract that is tracked ends and its last minute should have come, ms."""
        now = self._clock.now()
        ends = [
            tracked.end for tracked in self.tracked.values()
            if tracked.end is not None and tracked.phase != "delivered"
        ]  # fmt: skip
        return min((max(end - now, 0) + _AFTER_DELIVERY_MS for end in ends), default=_LISTINGS_MS)

    def _apply_listings(self, found: Listings) -> None:
        """Take over a list. One that is empty or short for a moment, or shows an entry as odd, ends nothing.

        What it no longer shows as traded is kept as it was until that has lasted, over several reads, without
        a sign of life.
        """
        now, lasting = self._clock.now(), self._clock.at_least(_DELISTED_MS, 2.0)
        listed, leaving = dict(found.symbols), {}
        for name, info in self.listed.items():
            shown = listed.get(name)
            if info.trading is not Trading.NOW or (shown is not None and shown.trading is Trading.NOW):
                continue
            if info.delivery and info.delivery <= now:  # its contract has ended: it is to leave the list
                continue
            if shown is None and name in found.unusable:
                listed[name] = info
                continue
            since, reads = self._disappearing.get(name, (now, 0))
            if self._listener.has_recent_data(name, since):
                since, reads = now, 0
            if reads + 1 < _DELISTED_READS or now - since < lasting:
                listed[name], leaving[name] = info, (since, reads + 1)
        if new := [name for name in leaving if name not in self._disappearing]:
            text = f"{shortened(new)}: believed if that lasts {_DELISTED_MS // MINUTE_MS} minutes"
            self._journal.fault("incomplete_listings", text)
        if new := [
            f"{name}: {why}" for name, why in found.unusable.items() if self.unusable.get(name) != why
        ]:
            self._journal.count("unusable_listings", len(new))
            self._journal.note("warning", f"odd entries in the exchange's list, left out: {shortened(new)}")
        self.listed, self._disappearing, self.unusable = listed, leaving, found.unusable
        self._entries, self._heads = found.entries, found.heads

    def assign_again(self) -> None:
        """Tracks what is wanted of what was listed last."""
        # One that the exchange delisted stays on the screen as such; one the user dropped does not.
        names = dict.fromkeys(() if self._replaced else self.tracked)
        names |= dict.fromkeys(self.chosen())
        self._replaced = False
        self.assign([name for name in names if name not in self._dropped])

    def assign(self, symbols: Sequence[str]) -> None:
        """Tracks exactly the given symbols: new ones are started, those that stay are left alone.

        Args:
            symbols: the symbols, each once; those that this feeder does not own are left out.
        """
        symbols = [name for name in symbols if self.owns(name)]
        for name in [name for name in self.tracked if name not in symbols]:
            del self.tracked[name]
            self._listener.remove_symbol(name)
            self._journal.note("info", "followed no longer", name)
        for name in symbols:
            self._update_phase(self.tracked.setdefault(name, TrackedSymbol(name)))
        self.keep_listings(
            self._heads, {name: raw for name in self.tracked if (raw := self._entries.get(name)) is not None}
        )
        self.subscribe([tracked.symbol for tracked in self.tracked.values() if tracked.info is not None])
        self._listener.phases_changed()

    def _update_phase(self, tracked: TrackedSymbol) -> None:
        """What becomes of a symbol, as it is listed now."""
        name, info = tracked.symbol, self.listed.get(tracked.symbol)
        trades = info is not None and info.trading is Trading.NOW
        tracked.info = info or tracked.info
        now = self._clock.now()
        if tracked.end is not None and now >= tracked.end:
            if tracked.phase == "waiting":  # what it had until then may not be stored yet
                tracked.reason = "queued"
                self._listener.start_symbol(tracked)
            elif tracked.phase != "delivered" and tracked.has_ended(now):
                self._end_contract(tracked, tracked.end)
            return
        if tracked.info is None and (end := self.known_end(name)) is not None and now >= end:
            if tracked.phase != "delivered":
                self._end_contract(tracked, end)
            return
        if tracked.info is None and tracked.phase == "waiting":
            tracked.phase, tracked.reason = "unknown", "the exchange does not list it"
            guess = f" (did you mean {near}?)" if (near := self.closest_name(name)) else ""
            text = f"the exchange does not list this symbol{guess}"
            if name in self.unusable:
                text = tracked.reason = (
                    f"its entry in the exchange's list cannot be used: {self.unusable[name]}"
                )
            self._journal.note("error", text, name)
        elif not trades and tracked.phase in ("waiting", "backfill", "live", "no data"):
            status = f" ({info.status})" if info is not None and info.status else ""
            if info is not None and info.trading is Trading.NOT_YET:
                tracked.phase, tracked.reason = "pending", f"the exchange does not trade it yet{status}"
            else:
                tracked.phase, tracked.reason = "delisted", f"the exchange trades it no longer{status}"
            tracked.tracker = None
            self._listener.halt_symbol(name)
            self._journal.note("warning", tracked.reason, name)
        elif trades and tracked.phase in ("waiting", "unknown", "delisted", "delivered", "pending"):
            tracked.phase, tracked.reason = "waiting", "queued"
            self._listener.start_symbol(tracked)

    def _end_contract(self, tracked: TrackedSymbol, end: int) -> None:
        tracked.phase, tracked.reason = "delivered", f"its contract was delivered at {format_second(end)}"
        tracked.tracker = None
        self._listener.halt_symbol(tracked.symbol)
        self._journal.note("info", f"{tracked.reason}; it is followed no longer", tracked.symbol)

    def closest_name(self, symbol: str) -> str | None:
        """Suggests a listed symbol for a name that is not listed.

        Args:
            symbol: the name.

        Returns:
            The nearest listed symbol, or None.
        """
        return closest(symbol, self.listed)
