"""Request weight: what an address may use in a minute, the refusal above it, and the ban that follows."""

from __future__ import annotations

from dataclasses import dataclass

from tui_feeder.simulator.market import MINUTE

#: Weight an address may use in a minute of exchange time, as exchangeInfo states.
WEIGHT_LIMIT = 2_400
#: Requests above the limit that are refused with 429 before the address is banned.
PATIENCE = 5
#: Length of the first ban (ms); each further one is twice as long, up to the longest.
FIRST_BAN = 2 * MINUTE
LONGEST_BAN = 3 * 24 * 60 * MINUTE


@dataclass
class _Account:
    window: int = -1
    used: int = 0
    refused: int = 0
    bans: int = 0
    banned_until: int = 0


@dataclass(frozen=True)
class Verdict:
    """Whether a request may pass: status 200, 429 or 418."""

    status: int
    used: int  # weight of this minute, this request counted
    retry_after: int = 0  # seconds of exchange time
    banned_until: int = 0  # ms


class WeightLedger:
    """Weight used per address and minute of exchange time."""

    def __init__(self, limit: int = WEIGHT_LIMIT) -> None:
        self.limit = limit
        self._accounts: dict[str, _Account] = {}

    def charge(self, address: str, weight: int, now: int) -> Verdict:
        """Books a request and decides on it.

        Args:
            address: the client's IP address.
            weight: request weight.
            now: exchange time, ms.

        Returns:
            The status to answer with, and the weight used in this minute.
        """
        account = self._account(address, now)
        account.used += weight
        if now < account.banned_until:
            return self._ban(account, now)
        if account.used <= self.limit:
            return Verdict(200, account.used)
        account.refused += 1
        if account.refused > PATIENCE:
            account.banned_until = now + min(FIRST_BAN << account.bans, LONGEST_BAN)
            account.bans += 1
            return self._ban(account, now)
        return Verdict(429, account.used, retry_after=-(-((account.window + 1) * MINUTE - now) // 1000))

    def spend_elsewhere(self, address: str, used: int, now: int) -> None:
        """Books weight that another process at the same address has used.

        Args:
            address: the client's IP address.
            used: the least weight used so far in this minute.
            now: exchange time, ms.
        """
        account = self._account(address, now)
        account.used = max(account.used, used)

    def _account(self, address: str, now: int) -> _Account:
        account = self._accounts.setdefault(address, _Account())
        window = now // MINUTE
        if window != account.window:
            account.window, account.used, account.refused = window, 0, 0
        return account

    def _ban(self, account: _Account, now: int) -> Verdict:
        wait = -(-(account.banned_until - now) // 1000)
        return Verdict(418, account.used, retry_after=wait, banned_until=account.banned_until)


def klines_weight(limit: int) -> int:
    """Gives the weight of a klines request.

    Args:
        limit: rows requested.

    Returns:
        Request weight.
    """
    if limit < 100:
        return 1
    if limit < 500:
        return 2
    return 5 if limit <= 1000 else 10
