"""What a gateway beside a running feeder needs of it, several times a second: messages and the protocol.

A gateway reads closed minutes from the store by itself. From the feeder it needs what is not stored: the
exchange's clock, minutes in progress, which symbols are followed and how they are, and requests that go to
the exchange within the one weight budget of the address.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol, TypeAlias

import msgspec

#: Fields of a candle in the order of ``Candle.as_tuple``.
CandleValues: TypeAlias = tuple[int, float, float, float, float, float, float, int, float, float]


class MinutesInProgress(msgspec.Struct, frozen=True, array_like=True):
    """The exchange's clock, and minutes in progress that have changed."""

    now: int  # exchange ms
    rate: float  # exchange seconds in a real second
    stamp: int  # to be given at the next look
    candles: tuple[tuple[str, CandleValues], ...]  # by symbol


class FollowedState(msgspec.Struct, frozen=True, array_like=True):
    """A symbol that is followed, and how it is."""

    symbol: str
    state: str  # of tui_feeder.monitor.SymbolState
    reason: str
    start: int | None  # first minute (ms) that is wanted and that the exchange has
    eta_seconds: float | None = None  # real, until its history is read


class GapState(msgspec.Struct, frozen=True, array_like=True):
    """An open gap."""

    symbol: str
    start: int  # ms
    end: int  # ms, exclusive
    next_try: int | None  # exchange ms
    eta_seconds: float | None  # real


class FeederState(msgspec.Struct, frozen=True, array_like=True):
    """What a feeder follows, where it keeps it, and what it lacks."""

    store_path: str
    symbols: tuple[FollowedState, ...]
    gaps: tuple[GapState, ...]
    traded: tuple[str, ...]  # names of all symbols that the exchange trades


class Forwarded(msgspec.Struct, frozen=True, array_like=True):
    """The exchange's answer to a forwarded request, or that it was not sent."""

    status: int  # of HTTP
    body: bytes
    retry_seconds: float | None = None  # real: when to ask again, where it was refused
    weight: int = 0  # that was spent for it


class GatewayFigures(msgspec.Struct, frozen=True, array_like=True):
    """What a gateway does, for the feeder's screens and metrics."""

    address: str  # host and port
    connections: int
    streams: int  # that are subscribed to, summed over the clients
    requests: int  # answered, since it began
    requests_per_second: float
    refused: int  # since it began
    forwarded: int  # requests sent to the exchange
    forwarded_weight: int
    frames: int  # sent to the clients of streams
    cut: int  # clients that read too slowly


class LiveAccess(Protocol):
    """A feeder as its gateway sees it. Called from any thread; every call returns at once."""

    def minutes_in_progress(self, since: int) -> MinutesInProgress:
        """Minutes in progress.

        Args:
            since: stamp of the last look; 0 for all of them.

        Returns:
            Those whose frames came after it.
        """
        ...

    def forward(self, name: str, parameters: Sequence[tuple[str, str]]) -> Future[Forwarded]:
        """Send a public request to the exchange, within the weight budget.

        Args:
            name: of the call.
            parameters: of its query.

        Returns:
            The answer, once it is there.
        """
        ...

    def report(self, figures: GatewayFigures) -> None:
        """Takes what a gateway reports of itself.

        Args:
            figures: newest.
        """
        ...
