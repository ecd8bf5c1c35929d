"""Where messages go. A sink is one small class; the engine knows no more of it than these protocols.

A sink that delivers from an outbox, or from what is stored, is handed nothing: the outbox wakes it, and what
it has not delivered when the process ends is delivered by the next one. Only a :class:`DirectSink` is given
messages, and keeps none of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.storage.lock import StoreError


class Sink(Protocol):
    """Delivers what is published. Calls come from the engine's loop."""

    name: str

    def start(self, journal: Journal) -> None:
        """Starts the sink.

        Args:
            journal: receives counters and events, on the engine's loop alone.
        """
        ...

    def status(self) -> str:
        """``ok``, or what is wrong, for people."""
        ...

    def close(self, timeout: float) -> None:
        """Delivers what waits, then stops.

        Args:
            timeout: seconds it may take.
        """
        ...


@runtime_checkable
class DirectSink(Sink, Protocol):
    """Is given every message once its minute is committed.

    What it has not delivered when the process ends is not delivered.
    """

    def publish(self, symbol: str, timestamp: int, message: bytes) -> None:
        """Takes a message; returns at once.

        Args:
            symbol: its symbol.
            timestamp: end of its minute, ms.
            message: one JSON object.
        """
        ...


@runtime_checkable
class StoreSink(Sink, Protocol):
    """Reads the store and finds out itself what is missing; it is notified of each minute that was stored."""

    def minute_stored(self) -> None:
        """A minute of some symbol was committed; returns at once."""
        ...


@runtime_checkable
class Lagging(Protocol):
    """A sink that can fall behind. May be asked from any thread."""

    name: str

    def lag_seconds(self) -> float:
        """Seconds since the oldest thing that waits for it was made; 0.0 where nothing waits.

        Raises:
            StoreError: the store, in which it waits, is closed.
        """
        ...


def sink_lags(sinks: Iterable[Sink]) -> dict[str, float]:
    """Asks the sinks that can fall behind how far they are.

    Args:
        sinks: all of them.

    Returns:
        By name: seconds since the oldest thing that waits for it was made. Those whose store is closed are
        left out.
    """
    lags = {}
    for sink in sinks:
        if isinstance(sink, Lagging):
            try:
                lags[sink.name] = sink.lag_seconds()
            except StoreError:  # the engine has ended
                continue
    return lags
