"""What the exchange grants one address: request weight, pauses and bans; markets may share it."""

from __future__ import annotations

from collections.abc import Callable

from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.exchanges.binance.weight import WeightLedger


class RequestBudget:
    """The weight of a minute and the bans of the markets that are counted together.

    Args:
        limit: weight a minute, until the exchange states another.
        clock: exchange time.
        banned_until: exchange ms of a ban known from an earlier run.
        on_ban: called with the exchange ms until which a ban lasts, when one is learnt.

    Attributes:
        ledger: of the weight.
        banned_until: exchange ms; in the past or 0 where there is no ban.
        paused_until: exchange ms until which the exchange asked for silence.
        on_ban: see there.
    """

    def __init__(
        self,
        limit: int,
        clock: ExchangeClock,
        *,
        banned_until: int = 0,
        on_ban: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.ledger = WeightLedger(limit, clock.now, clock.sleep_until)
        self.banned_until = banned_until
        self.paused_until = 0
        self.on_ban = on_ban
        self._stated: dict[str, int] = {}
        clock.on_first_measured.append(self._move)

    def _move(self, step: float) -> None:
        """Another market has shown the time: how long a ban lasts is known, not when by a wrong clock."""
        self.banned_until += round(step) if self.banned_until else 0
        self.paused_until += round(step) if self.paused_until else 0

    def state_limit(self, market: str, limit: int) -> None:
        """Take over the weight a minute that a market states; of those that share it the least counts.

        Args:
            market: its name.
            limit: weight a minute.
        """
        self._stated[market] = limit
        self.ledger.limit = min(self._stated.values())
