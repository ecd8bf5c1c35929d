"""What the exchange grants one address: request weight, pauses and bans; markets may share it.

The exchange grants a weight per minute and states what is used in every answer; that statement is the truth,
since other programs on the same address spend from the same budget.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.clock import ExchangeClock

#: Kept free for what other programs spend between two of our answers.
_MARGIN = 10
#: Others that spent this share of the last minute's limit are expected to do so again at once.
_WARY_SHARE = 0.1
#: How often a request looks whether the answer it waits for has come, exchange ms.
_POLL_MS = 250


class WeightLedger:
    """Grants weight within the exchange's minute.

    Args:
        limit: weight a minute, until another is stated.
        now: exchange time in ms.
        sleep_until: waits until an exchange time in ms.
        reserve: share of the limit that bulk reads leave for live repair.
    """

    def __init__(
        self,
        limit: int,
        now: Callable[[], int],
        sleep_until: Callable[[int], Awaitable[None]],
        reserve: float = 0.2,
    ) -> None:
        self.limit = limit
        self.blocked_until = 0  # exchange ms: the last that a request was made to wait for
        self.waits = 0  # how often a request had to wait for the next minute
        self.sharing = 1  # programs that spend from the limit and keep to an equal share of it, this one too
        self._now = now
        self._sleep_until = sleep_until
        self._reserve = reserve
        self._minute = 0
        self._used = 0
        self._own = 0  # of it, what we spent
        self._reported = False  # an answer has stated what is used in this minute
        self._wary = False  # others spent much in the minute before

    @property
    def used(self) -> int:
        """Weight used in the current exchange minute, as far as known."""
        self._roll()
        return self._used

    def _roll(self) -> None:
        minute = self._now() // MINUTE_MS
        if minute != self._minute:
            others = self._used - self._own
            self._wary = others > self.limit * _WARY_SHARE
            self._minute, self._used, self._own, self._reported = minute, 0, 0, False

    async def spend(self, weight: int, *, urgent: bool = False) -> None:
        """Books weight, waiting for the next minute when it would exceed the limit.

        Where others at this address spent much in the minute before, the first request of a minute is sent
        alone: its response shows what they left.

        Args:
            weight: weight of the request.
            urgent: live repair: may use the reserve that bulk reads leave.
        """
        while True:
            self._roll()
            bound = self.limit if urgent else int(self.limit * (1 - self._reserve))
            # A request alone in its minute may go, however small the limit: it could never go else.
            fits = self._used + weight <= bound - _MARGIN and self._own + weight <= bound // self.sharing
            if not self._own or fits:
                if not self._own or self._reported or not self._wary:
                    self._used += weight
                    self._own += weight
                    return
                await self._sleep_until(min(self._now() + _POLL_MS, (self._minute + 1) * MINUTE_MS))
                continue
            self.waits += 1
            self.blocked_until = (self._minute + 1) * MINUTE_MS
            await self._sleep_until(self.blocked_until)

    def try_spend(self, weight: int) -> int | None:
        """Take ``weight`` at once, leaving the reserve alone.

        Args:
            weight: of a request that can be refused.

        Returns:
            None where it was taken, else the exchange ms from which on it may be there.
        """
        self._roll()
        if self._used + weight > int(self.limit * (1 - self._reserve)) - _MARGIN:
            return (self._minute + 1) * MINUTE_MS
        self._used += weight
        self._own += weight
        return None

    def correct(self, used: int, asked_at: int) -> None:
        """Takes the exchange's own count from a response.

        A response to a request of the minute before does not count for this one.

        Args:
            used: weight used in the minute of the request.
            asked_at: exchange time of the request, ms.
        """
        self._roll()
        if asked_at // MINUTE_MS == self._minute:
            self._used = max(self._used, used)
            self._reported = True


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
