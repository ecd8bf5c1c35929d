"""What the gateway needs of the feeder whose store it serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tui_feeder.engine.core.candle import Candle
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.errors import RunFailure
from tui_feeder.live_access import Forwarded


class FeederGoneError(RunFailure):
    """The feeder does not answer; the text has the reason."""


@dataclass(frozen=True, slots=True)
class FollowedSymbol:
    """A symbol that the feeder follows."""

    symbol: str
    live: bool  # its frames arrive and its minutes close
    start: int | None  # first minute (ms) that is kept, or that the exchange has; None while it is not known
    reason: str = ""  # why it is not live


class Feeder(Protocol):
    """A running feeder. Every call but :meth:`forward` returns at once.

    Raises:
        FeederGoneError: from every method: it does not answer.
    """

    def now(self) -> int:
        """The exchange's clock, ms."""
        ...

    def rate(self) -> float:
        """Seconds that clock moves in a second; 1.0 but for simulated exchanges."""
        ...

    def followed(self) -> Mapping[str, FollowedSymbol]:
        """The symbols that are followed."""
        ...

    def knows_listing(self) -> bool:
        """Whether it has learned which symbols there are.

        Returns:
            False right after its start, and while the exchange does not answer.
        """
        ...

    def is_traded(self, symbol: str) -> bool:
        """Whether the exchange trades a symbol, followed or not.

        Args:
            symbol: any text.

        Returns:
            True also while it is followed.
        """
        ...

    def forming(self, symbol: str) -> Candle | None:
        """The newest minute that the stream delivered; of a minute that is over, its last state.

        Args:
            symbol: whose.

        Returns:
            The candle; None while no frame came.
        """
        ...

    def recovery_seconds(self, symbol: str, minutes: Coverage) -> float | None:
        """In how many (real) seconds missing minutes should be there; None where nothing is known.

        Args:
            symbol: whose.
            minutes: that are missing.

        Returns:
            Seconds, or None.
        """
        ...

    async def forward(self, name: str, parameters: Sequence[tuple[str, str]]) -> Forwarded:
        """Send a public request to the exchange, within the weight budget.

        Args:
            name: of the call.
            parameters: of its query.

        Returns:
            The exchange's answer, or why it was not sent.
        """
        ...

    def follow(self, symbol: str) -> None:
        """Bring a symbol to live, soon.

        Args:
            symbol: that the exchange trades.
        """
        ...
