"""How each symbol is, from the age of what arrived; and every change of it told, once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol
from tui_feeder.engine.core.candle import MINUTE_MS, SECOND_MS
from tui_feeder.engine.core.journal import shortened
from tui_feeder.engine.core.supervisor import heartbeat
from tui_feeder.engine.exchanges.base import StreamSocket
from tui_feeder.monitor import SymbolState

if TYPE_CHECKING:
    from tui_feeder.engine.engine import Engine

LATE_MS = 5 * SECOND_MS
_STALE_MS = 90 * SECOND_MS
#: The first minutes of a queue may have ended before its symbol was followed on a socket.
_JOINING_MS = 3 * MINUTE_MS
_PHASES = {
    "waiting": SymbolState.WAITING,
    "backfill": SymbolState.BACKFILL,
    "no data": SymbolState.NO_DATA,
    "pending": SymbolState.NO_DATA,
    "unknown": SymbolState.UNKNOWN,
    "delisted": SymbolState.DELISTED,
    "failed": SymbolState.FAILED,
}

_CHECK_SECONDS = 1.0
#: Of so many symbols that change in the same way at once each has a line of its own; of more there is one.
_LINES = 3
#: What is told here; how a symbol fails, is refused, or leaves is told where that happens.
_LOG_LEVELS = {SymbolState.LIVE: "info", SymbolState.LATE: "info", SymbolState.STALE: "warning"}


def health_of_symbol(engine: Engine, tracked: TrackedSymbol, now: int) -> tuple[SymbolState, str]:
    """State of a symbol, from the age of what arrived and nothing else."""
    if tracked.phase in _PHASES:
        return _PHASES[tracked.phase], tracked.reason
    queue = engine.ingest.queue(tracked.symbol)
    if queue.next is None:
        return SymbolState.BACKFILL, "its history is being read again"
    overdue = now - (queue.next + MINUTE_MS)
    floor = engine.clock.at_least
    if overdue > floor(_STALE_MS, 5.0):
        return SymbolState.STALE, f"no closed minute for {(overdue + MINUTE_MS) // 1000} s"
    if overdue > floor(LATE_MS, 1.0):
        return SymbolState.LATE, f"minute {overdue // 1000} s overdue"
    # A minute without trade needs no frame; one of which REST alone tells that there was should have some.
    since, traded = queue.last_frame, tracked.last_traded or 0
    if since is None or traded > since:
        socket = _socket(engine, tracked.symbol)
        joined = (queue.opened or 0) + _JOINING_MS
        if since is not None or traded > joined or socket is None or not socket.frames:
            age = now - (since or queue.opened or now)
            name = "any stream" if socket is None else f"stream {socket.name}"
            trouble = f" ({socket.reason})" if socket is not None and socket.reason else ""
            reason = f"no frame from {name}{trouble} for {age // 1000} s; closed by REST"
            return SymbolState.STALE if age > floor(_STALE_MS, 5.0) else SymbolState.LATE, reason
    return SymbolState.LIVE, ""


def _socket(engine: Engine, symbol: str) -> StreamSocket | None:
    """The socket that a symbol's frames should come from."""
    return next((socket for socket in engine.streams.sockets if socket.carries(symbol)), None)


class HealthLog:
    """Tells when symbols fall silent, and when they are back.

    Args:
        engine: looked at once a second; :meth:`run` is a part of it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[str, tuple[SymbolState, int]] = {}  # state, since when not live

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            heartbeat(_CHECK_SECONDS)
            await asyncio.sleep(_CHECK_SECONDS)
            self.check()

    def check(self) -> None:
        """Tell what is otherwise than at the look before."""
        engine = self._engine
        now, changed = engine.clock.now(), {state: list[tuple[str, str]]() for state in _LOG_LEVELS}
        known, self._known = self._known, {}
        for symbol, tracked in engine.tracked.items():
            state, reason = health_of_symbol(engine, tracked, now)
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
                    engine.journal.note(_LOG_LEVELS[state], f"{word}: {reason}", symbol)
                continue
            names = shortened([symbol for symbol, _ in found])
            engine.journal.note(
                _LOG_LEVELS[state], f"{len(found)} symbols are {word}: {names}; {found[0][0]}: {found[0][1]}"
            )
