"""Where messages go. A sink is one small class; the engine knows no more of it than this protocol."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.storage.lock import StoreError


class Sink(Protocol):
    """Takes every message once its minute is committed. Calls come from the engine's loop."""

    name: str

    def start(self, journal: Journal) -> None:
        """Starts the sink.

        Args:
            journal: receives counters and events, on the engine's loop alone.
        """
        ...

    def publish(self, symbol: str, timestamp: int, message: bytes) -> None:
        """Takes a message; returns at once.

        Args:
            symbol: its symbol.
            timestamp: end of its minute, ms.
            message: one JSON object.
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
