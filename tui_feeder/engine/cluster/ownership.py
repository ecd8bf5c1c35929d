"""Which symbols this feeder works on: all of them, or a share of those of a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from tui_feeder.engine.acquisition.checkpoint_writer import CheckpointWriter
from tui_feeder.engine.alerts.manager import AlertManager
from tui_feeder.engine.analytics.message import Message
from tui_feeder.engine.core.candle import Candle
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.exchanges.base import Exchange
from tui_feeder.engine.sinks import Sink
from tui_feeder.errors import RunFailure
from tui_feeder.monitor import ClusterView, SymbolHolder


class OwnershipError(RunFailure):
    """This feeder may not work on any symbol; the message has the reason and the remedy."""


class Host(Protocol):
    """The engine, as far as the ownership of symbols concerns it."""

    journal: Journal
    exchange: Exchange
    alerts: AlertManager
    checkpoints: CheckpointWriter
    workers: ThreadPoolExecutor
    last_frame_at: float  # time.monotonic() of the last frame of any symbol

    @property
    def tracked(self) -> Mapping[str, object]:
        """The symbols that are worked on, by name."""
        ...

    @property
    def wanted(self) -> Sequence[str]:
        """The symbols that this feeder and all others of its cluster are to work on."""
        ...

    @property
    def named(self) -> Sequence[str]:
        """The names and patterns of symbols as they are configured."""
        ...

    def ownership_changed(self) -> None:
        """Start the symbols that are owned now, and drop those that are not any more."""
        ...

    def fail(self, error: Exception) -> None:
        """Ends the engine, which cannot go on.

        Args:
            error: why.
        """
        ...


class Ownership(Protocol):
    """Decides which symbols are this feeder's, and is notified of what becomes of them.

    Used on the engine's loop.
    """

    @property
    def sinks(self) -> Sequence[Sink]:
        """What publishes in the place of sinks that know no owners; begun by :meth:`join`."""
        ...

    @property
    def standby(self) -> bool:
        """Whether there is nothing to own for now."""
        ...

    @property
    def degraded_seconds(self) -> float:
        """For how long it has not been known, or not been possible, to work on what is owned."""
        ...

    async def join(self, host: Host) -> None:
        """Begins, and returns once it is known which symbols are this feeder's.

        Args:
            host: is notified when that changes.

        Raises:
            OwnershipError: it may not work on any.
        """
        ...

    async def run(self) -> None:
        """Follows changes, until cancelled."""
        ...

    def owns(self, symbol: str) -> bool:
        """Finds whether a symbol is this feeder's now.

        Args:
            symbol: the symbol.

        Returns:
            True if it works on it.
        """
        ...

    def elsewhere(self, symbol: str) -> SymbolHolder | None:
        """Finds which other feeder has a symbol.

        Args:
            symbol: the symbol.

        Returns:
            That feeder; None where the symbol is this one's or nobody's.
        """
        ...

    def view(self) -> ClusterView | None:
        """What screens show of the cluster; None without one."""
        ...

    def epoch(self, symbol: str) -> int:
        """Gives how often the ownership of a symbol has changed hands.

        Args:
            symbol: the symbol.

        Returns:
            A number that rises with every owner.
        """
        ...

    def opened(self, symbol: str) -> None:
        """A symbol's pipeline was made, for the first time or again.

        Args:
            symbol: whose.
        """
        ...

    def resumed(
        self, symbol: str, counted: Sequence[tuple[Candle, Message]], message: Message | None
    ) -> None:
        """A symbol's first pipeline was made.

        Args:
            symbol: whose.
            counted: the minutes after its checkpoint, with their messages.
            message: of its last minute.
        """
        ...

    def committed(self, symbol: str, minute: int, payload: bytes) -> None:
        """A minute's message is stored.

        Args:
            symbol: whose.
            minute: its open time, ms.
            payload: the message.
        """
        ...

    def forget(self, symbol: str) -> None:
        """A symbol is followed no longer.

        Args:
            symbol: whose.
        """
        ...


class SoleOwner:
    """A feeder by itself: every symbol is its own."""

    sinks: Sequence[Sink] = ()
    standby = False
    degraded_seconds = 0.0

    async def join(self, host: Host) -> None:
        """See :meth:`Ownership.join`: returns at once."""

    async def run(self) -> None:
        """Returns at once: nothing changes."""

    def owns(self, symbol: str) -> bool:
        """See :meth:`Ownership.owns`: always."""
        return True

    def elsewhere(self, symbol: str) -> SymbolHolder | None:
        """See :meth:`Ownership.elsewhere`: no other feeder has any."""
        return None

    def view(self) -> ClusterView | None:
        """There is no cluster."""
        return None

    def epoch(self, symbol: str) -> int:
        """See :meth:`Ownership.epoch`: always 0."""
        return 0

    def opened(self, symbol: str) -> None:
        """See :meth:`Ownership.opened`: no other feeder needs to know."""

    def resumed(
        self, symbol: str, counted: Sequence[tuple[Candle, Message]], message: Message | None
    ) -> None:
        """See :meth:`Ownership.resumed`: no other feeder made its messages."""

    def committed(self, symbol: str, minute: int, payload: bytes) -> None:
        """See :meth:`Ownership.committed`: no other feeder goes on from here."""

    def forget(self, symbol: str) -> None:
        """See :meth:`Ownership.forget`: nothing is known of it."""
