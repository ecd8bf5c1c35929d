"""The ladders of minutes as messages count them: those on their way to the store, and those in it."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import msgspec

from tui_feeder.engine.analytics.orderflow.ladder import Ladder, of_day
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.coverage import Coverage, span
from tui_feeder.engine.core.decoding import UNREADABLE
from tui_feeder.engine.derived.stored_ladders import (
    CHANGES,
    origins,
    put_minute,
    read_ladder,
    read_minute,
)
from tui_feeder.engine.storage.store import Store


class Ladders:
    """Ladders by minute; used by one thread.

    Args:
        store: where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()  # the writer's thread takes out what is committed
        self._coming: dict[tuple[str, int], Ladder] = {}
        self._day: tuple[tuple[str, int, str], Ladder | None] | None = None  # the one read last

    def put(self, symbol: str, minute: int, ladder: Ladder, owed_to: int) -> Future[None]:
        """Stores the ladder of a minute in place of one that is there.

        Args:
            symbol: whose.
            minute: open time, ms.
            ladder: of that minute alone.
            owed_to: exclusive end (ms) of the minutes whose messages are made without it.

        Returns:
            Done when committed.
        """
        key = symbol, minute
        with self._lock:
            self._coming[key] = ladder
        owe(self._store, symbol, minute, owed_to)
        committed = put_minute(self._store, symbol, minute, ladder)

        def done(_: Future[None]) -> None:
            with self._lock:
                if self._coming.get(key) is ladder:
                    del self._coming[key]

        committed.add_done_callback(done)
        return committed

    def minute(self, symbol: str, minute: int) -> Ladder | None:
        """Gives the ladder of a minute.

        Args:
            symbol: whose.
            minute: open time, ms.

        Returns:
            The ladder; None where there is none.
        """
        coming = self._coming.get((symbol, minute))
        if coming is not None:
            return coming
        day = of_day(minute)
        origin = origins(self._store, symbol).get(day)
        if origin is None:
            return read_minute(self._store, symbol, minute)
        key = symbol, day, origin.sha256
        if self._day is None or self._day[0] != key:
            self._day = key, read_ladder(self._store, symbol, day)
        ladder = self._day[1]
        if ladder is None:
            return None
        chosen = ladder.minutes["minute"] == (minute - day) // MINUTE_MS
        return ladder.of_minutes(chosen) if chosen.any() else None


class Owed(msgspec.Struct, frozen=True, array_like=True):
    """Messages that are to be made again, for ladders that they rest on have changed."""

    version: int = 0  # another one with each change
    minutes: tuple[tuple[int, int], ...] = ()

    @property
    def messages(self) -> Coverage:
        """The minutes whose messages they are."""
        return Coverage(self.minutes)


def owe(store: Store, symbol: str, minute: int, until: int) -> None:
    """Notes that messages are to be made again; those of other days rest on profiles of their own.

    Args:
        store: the store.
        symbol: whose.
        minute: the first of which a ladder has changed, open time in ms.
        until: exclusive end (ms) of the minutes whose messages are made.
    """
    until = min(until, of_day(minute) + DAY_MS)
    if minute >= until:
        return

    def change(kept: bytes | None) -> bytes:
        known = _decoded(store, symbol, kept)
        minutes = known.messages.union(span(minute, until)).intervals
        return msgspec.msgpack.encode(Owed(known.version + 1, minutes))

    store.update_note(CHANGES + symbol, change)


def owed(store: Store, symbol: str) -> Owed:
    """Finds which messages are to be made again for their ladders.

    Args:
        store: the store.
        symbol: whose.

    Returns:
        What is owed.
    """
    return _decoded(store, symbol, store.note(CHANGES + symbol))


def paid(store: Store, symbol: str, made: Owed) -> Future[None]:
    """Notes that messages are made again, unless more are owed by now.

    Args:
        store: the store.
        symbol: whose.
        made: what was owed before they were.

    Returns:
        Done when committed.
    """

    def change(kept: bytes | None) -> bytes | None:
        if _decoded(store, symbol, kept).version != made.version:
            return kept
        return msgspec.msgpack.encode(Owed(made.version))  # by its version others see that ladders changed

    return store.update_note(CHANGES + symbol, change)


def _decoded(store: Store, symbol: str, kept: bytes | None) -> Owed:
    if kept is None:
        return Owed()
    try:
        return msgspec.msgpack.decode(kept, type=Owed)
    except (*UNREADABLE, ValueError) as error:
        store.report_unusable(CHANGES + symbol, str(error))
        return Owed()
