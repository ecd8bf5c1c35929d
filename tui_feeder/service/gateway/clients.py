"""Who asks, and how much: limits of each client, and the figures for metrics and screens."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from tui_feeder.service.gateway.refusals import too_many

_MINUTE_SECONDS = 60.0
#: Clients whose use is remembered; of more the oldest are forgotten.
_MOST_CLIENTS = 4_096


@dataclass(slots=True)
class _Use:
    minute: int = -1
    requests: int = 0
    weight: int = 0


@dataclass(slots=True)
class Figures:
    """What the gateway has done since it began."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)  # by endpoint and status
    refused: Counter[str] = field(default_factory=Counter)  # by reason
    forwarded: int = 0  # requests
    forwarded_weight: int = 0
    cached: int = 0  # forwarded requests that were answered from the cache
    frames: int = 0
    cut: int = 0  # clients of streams that did not read


class Clients:
    """What each client address has used in the current minute.

    Args:
        most: requests a client may make in a minute; 0: any number.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._uses: dict[str, _Use] = {}

    def charge(self, client: str, weight: int) -> int:
        """Count a request of a client; the weight it has used in this minute.

        Args:
            client: its address.
            weight: of the request.

        Returns:
            Weight of its requests in this minute, this one counted.

        Raises:
            RefusalError: it has made too many.
        """
        now = time.time()
        minute = int(now // _MINUTE_SECONDS)
        use = self._uses.get(client)
        if use is None:
            while len(self._uses) >= _MOST_CLIENTS:
                del self._uses[next(iter(self._uses))]
            use = self._uses[client] = _Use()
        if use.minute != minute:
            use.minute, use.requests, use.weight = minute, 0, 0
        use.requests += 1
        if self._most and use.requests > self._most:
            left = _MINUTE_SECONDS - now % _MINUTE_SECONDS
            raise too_many(f"Too many requests; this gateway answers {self._most} of a client a minute", left)
        use.weight += weight
        return use.weight
