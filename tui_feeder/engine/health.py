"""How healthy the feeder and its symbols are: states to show, lines of the log, and what alerts are about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from tui_feeder.engine.acquisition.ingest import Ingest, SymbolQueue
from tui_feeder.engine.acquisition.live_trades import FollowedTrades
from tui_feeder.engine.acquisition.recovery import Gap
from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol
from tui_feeder.engine.alerts.rules import Health
from tui_feeder.engine.core.candle import MINUTE_MS, SECOND_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.journal import Journal, shortened
from tui_feeder.engine.core.supervisor import heartbeat
from tui_feeder.engine.exchanges.base import StreamSocket
from tui_feeder.monitor import SymbolState

LATE_MS = 5 * SECOND_MS
_STALE_MS = 90 * SECOND_MS
#: The first minutes of a queue may have ended before its symbol was subscribed to on a socket.
_JOINING_MS = 3 * MINUTE_MS
_PHASES = {
    "waiting": SymbolState.WAITING,
    "backfill": SymbolState.BACKFILL,
    "no data": SymbolState.NO_DATA,
    "pending": SymbolState.NO_DATA,
    "unknown": SymbolState.UNKNOWN,
    "delisted": SymbolState.DELISTED,
    "delivered": SymbolState.DELIVERED,
    "failed": SymbolState.FAILED,
}

_CHECK_SECONDS = 1.0
#: Of so many symbols that change in the same way at once each has a line of its own; of more there is one.
_LINES = 3
#: What is logged here; that a symbol fails, is refused, or leaves is logged where it happens.
_LOG_LEVELS = {SymbolState.LIVE: "info", SymbolState.LATE: "info", SymbolState.STALE: "warning"}


class SymbolHealth:
    """Derives the state of each symbol from the age of what arrived, and logs its changes.

    Args:
        tracked: the symbols, by name.
        ingest: has the queue of each.
        clock: the exchange's.
        journal: where changes are logged.
        socket_of: the socket on which a symbol's frames should come; None without one.
    """

    def __init__(
        self,
        tracked: Mapping[str, TrackedSymbol],
        ingest: Ingest,
        clock: ExchangeClock,
        journal: Journal,
        socket_of: Callable[[str], StreamSocket | None],
    ) -> None:
        self._tracked = tracked
        self._ingest = ingest
        self._clock = clock
        self._journal = journal
        self._socket_of = socket_of
        self._known: dict[str, tuple[SymbolState, int]] = {}  # state, since when not live

    def state(self, tracked: TrackedSymbol, now: int) -> tuple[SymbolState, str]:
        """Derives the state of a symbol.

        Args:
            tracked: the symbol.
            now: exchange ms.

        Returns:
            The state, and why it is not live; "" where it is.
        """
        if tracked.phase in _PHASES:
            return _PHASES[tracked.phase], tracked.reason
        queue = self._ingest.queue(tracked.symbol)
        if queue.next is None:
            return SymbolState.BACKFILL, "its history is being read again"
        if tracked.end is not None and queue.next >= tracked.end:  # it is found to have ended in a moment
            return SymbolState.LIVE, ""
        overdue = now - (queue.next + MINUTE_MS)
        floor = self._clock.at_least
        if overdue > floor(_STALE_MS, 5.0):
            return SymbolState.STALE, f"no closed minute for {(overdue + MINUTE_MS) // 1000} s"
        if overdue > floor(LATE_MS, 1.0):
            return SymbolState.LATE, f"minute {overdue // 1000} s overdue"
        # A minute without trade needs no frame; one with trades that REST alone has shown should have some.
        since, traded = queue.last_frame, tracked.last_traded or 0
        if since is None or traded > since:
            socket = self._socket_of(tracked.symbol)
            joined = (queue.opened or 0) + _JOINING_MS
            if since is not None or traded > joined or socket is None or not socket.frames:
                age = now - (since or queue.opened or now)
                name = "any stream" if socket is None else f"stream {socket.name}"
                trouble = f" ({socket.reason})" if socket is not None and socket.reason else ""
                reason = f"no frame from {name}{trouble} for {age // 1000} s; closed by REST"
                return SymbolState.STALE if age > floor(_STALE_MS, 5.0) else SymbolState.LATE, reason
        return SymbolState.LIVE, ""

    async def run(self) -> None:
        """Checks every second, until cancelled."""
        while True:
            heartbeat(_CHECK_SECONDS)
            await asyncio.sleep(_CHECK_SECONDS)
            self.check()

    def check(self) -> None:
        """Logs which symbols have fallen silent, and which are back, since the check before."""
        now, changed = self._clock.now(), {state: list[tuple[str, str]]() for state in _LOG_LEVELS}
        known, self._known = self._known, {}
        for symbol, tracked in self._tracked.items():
            state, reason = self.state(tracked, now)
            before, since = known.get(symbol, (SymbolState.LIVE, now))
            if state not in _LOG_LEVELS:  # from there on it begins anew
                continue
            self._known[symbol] = (state, now if before is SymbolState.LIVE else since)
            if state is not before:
                if state is SymbolState.LIVE:
                    reason = f"after {(now - since) / 1000:.0f} s"
                changed[state].append((symbol, reason))
        for state, found in changed.items():
            word = "live again" if state is SymbolState.LIVE else state.value
            if len(found) <= _LINES:
                for symbol, reason in found:
                    self._journal.note(_LOG_LEVELS[state], f"{word}: {reason}", symbol)
                continue
            names = shortened([symbol for symbol, _ in found])
            self._journal.note(
                _LOG_LEVELS[state], f"{len(found)} symbols are {word}: {names}; {found[0][0]}: {found[0][1]}"
            )


def trades_health(
    sockets: Sequence[StreamSocket],
    followed: Mapping[str, FollowedTrades],
    tracked: Mapping[str, TrackedSymbol],
    now: int,
    at_least: Callable[[int, float], int],
) -> tuple[str, str, tuple[str, ...]]:
    """Derives how live trades come from what came lately: a connection alone proves nothing.

    Args:
        sockets: of the trades.
        followed: what is known of the trades of each symbol.
        tracked: the symbols, by name; their candles show which minutes have trades.
        now: exchange ms.
        at_least: raises a span (exchange ms) to a minimum of real seconds.

    Returns:
        The state and the reason of a :class:`tui_feeder.monitor.TradesView`, and the symbols of which candles
        show trades that did not come.
    """
    live = {name: tracked[name] for name in followed if name in tracked and tracked[name].phase == "live"}
    due = now - MINUTE_MS - at_least(LATE_MS, 1.0)
    behind, quiet = [], []
    for name, symbol in live.items():
        trades, traded = followed[name], symbol.last_traded
        newest = trades.newest or 0
        if traded is not None and trades.since <= traded <= due and newest < traded:
            behind.append(name)
        closed = 0 if symbol.last is None else symbol.last.open_time + MINUTE_MS
        quiet.append((now - max(newest, closed, trades.since), name))
    unwell = next((socket for socket in sockets if socket.state != "live"), None)
    if not followed:
        return "idle", "none of trades.symbols is followed", ()
    if unwell is not None:
        return unwell.state, f"{unwell.name}: {unwell.reason or 'no trade yet'}", tuple(behind)
    if behind:
        return "behind", f"{shortened(behind)}: candles have trades that did not come", tuple(behind)
    if quiet and max(quiet)[0] > at_least(_STALE_MS, 5.0):
        age, name = max(quiet)
        return "silent", f"{name}: neither a trade nor a closed minute for {age // 1000} s", ()
    return "live", "", ()


def feeder_health(
    now: int,
    live: Iterable[SymbolQueue],
    gaps: Iterable[Gap],
    lags: Mapping[str, float],
    paused_seconds: float,
    degraded_seconds: float = 0.0,
) -> Health:
    """Puts together what the rules about the feeder itself look at.

    Args:
        now: exchange ms.
        live: the queues of the live symbols.
        gaps: every open gap, of any symbol.
        lags: by sink, seconds since the oldest thing that waits for it was made.
        paused_seconds: for how long the store has taken nothing.
        degraded_seconds: for how long the cluster has not been what it should be.

    Returns:
        What the rules about the feeder itself are evaluated on.
    """
    missing: dict[str, tuple[float, int]] = {}
    silences: dict[str, float] = {}
    for queue in live:
        missing[queue.symbol] = (0.0, 0)
        since = queue.last_frame if queue.last_frame is not None else queue.opened
        if since is not None:
            silences[queue.symbol] = max(0.0, (now - since) / 1000)
    for gap in gaps:
        if gap.symbol in missing:
            seconds, minutes = missing[gap.symbol]
            missing[gap.symbol] = (max(seconds, (now - gap.opened) / 1000), minutes + gap.missing)
    return Health(now, missing, silences, lags, paused_seconds, degraded_seconds)
