"""One WebSocket connection of a client: its streams, and what it has not read."""

from __future__ import annotations

import asyncio
import socket as sockets
import time
from collections import deque
from collections.abc import Collection

from aiohttp import web

from tui_feeder.service.gateway.markets import ServedMarket

#: Bytes that a client may leave unread; above it forming bars are left out, and closed ones are read from the
#: store again once there is room.
MOST_UNREAD = 256 << 10
#: Bytes that the kernel may take beside them.
_KERNEL = 64 << 10
#: Below it there is room.
_ROOM = MOST_UNREAD // 4
#: A client that makes no room for so long is cut, real seconds.
STUCK_SECONDS = 120.0
#: Messages (pings, pongs and requests) a client may send in a second, as at the exchange.
_MOST_MESSAGES = 10
#: Bars that came late and wait for room, at most.
_MOST_LATE = 500


class StreamClient:
    """A connection.

    Args:
        socket: of it.
        transport: of it.
        market: that it is served under.
        combined: whether events are wrapped with the name of their stream.

    Attributes:
        names: the streams it listens to with their market before them, in order of subscription.
        behind: by stream, the first closed bar (ms) that it was not sent.
        late: streams and open times of bars that are sent out of order, and were not yet.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        market: ServedMarket,
        *,
        combined: bool,
    ) -> None:
        self.socket = socket
        self.market = market
        self.combined = combined
        self.names: dict[str, None] = {}
        self.behind: dict[str, int] = {}
        self.late: deque[tuple[str, int]] = deque(maxlen=_MOST_LATE)
        self.last_message_at = time.monotonic()
        self.catching_up = False
        # Else the kernel takes megabytes for a client that does not read: forming bars of minutes ago.
        transport.get_extra_info("socket").setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, _KERNEL)
        #: Bars it has from the store before they were sent late to those who kept up.
        self._given: set[tuple[str, int]] = set()
        self._transport = transport
        self._recent: deque[float] = deque()
        self._full_since: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether anything can be written.

        Returns:
            False once either side has begun to close.
        """
        return not self._transport.is_closing() and not self.socket.closed

    def has_room(self) -> bool:
        """Whether it has read enough to be written to.

        Returns:
            False from :data:`MOST_UNREAD` on until most of it was read.
        """
        unread = self._transport.get_write_buffer_size()
        if unread > MOST_UNREAD or (self._full_since is not None and unread > _ROOM):
            if self._full_since is None:
                self._full_since = time.monotonic()
            return False
        self._full_since = None
        return True

    def is_stuck(self) -> bool:
        """Whether it has made no room for so long that it is hopeless.

        Returns:
            True after :data:`STUCK_SECONDS`.
        """
        if self.has_room() or self._full_since is None:
            return False
        return time.monotonic() - self._full_since >= STUCK_SECONDS

    def write(self, frames: bytes) -> None:
        """Hand whole frames to the socket.

        Args:
            frames: one or more.
        """
        if self.is_open:
            self._transport.write(frames)

    def leave(self, name: str) -> None:
        """End a subscription.

        Args:
            name: of the stream.
        """
        self.names.pop(name, None)
        self.behind.pop(name, None)
        self._given = {bar for bar in self._given if bar[0] != name}

    def give(self, bars: Collection[tuple[str, int]], owed: Collection[tuple[str, int]]) -> None:
        """Note that bars are sent to it from the store: none of them is sent once more as a late one.

        Args:
            bars: stream and open time (ms) of each.
            owed: the bars of the same streams that will come late to those who kept up.
        """
        given = set(bars)
        self.late = deque((bar for bar in self.late if bar not in given), maxlen=_MOST_LATE)
        self._given |= given.intersection(owed)

    def was_given(self, name: str, begin: int) -> bool:
        """Whether a bar that comes late was sent from the store already; asked once.

        Args:
            name: of the stream.
            begin: open time of the bar, ms.

        Returns:
            True where it must not be sent again.
        """
        if (name, begin) not in self._given:
            return False
        self._given.discard((name, begin))
        return True

    def talks_too_much(self) -> bool:
        """Count one incoming message.

        Returns:
            Whether there were too many in the last second.
        """
        now = time.monotonic()
        self._recent.append(now)
        while self._recent[0] <= now - 1.0:
            self._recent.popleft()
        return len(self._recent) > _MOST_MESSAGES

    async def cut(self, code: int, reason: str) -> None:
        """Send why it is cut, and end it whether it reads that or not.

        Args:
            code: of the close frame.
            reason: 120 bytes at most.
        """
        try:
            async with asyncio.timeout(3.0):
                await self.socket.close(code=code, message=reason.encode())
        except (TimeoutError, ConnectionError):
            pass
        finally:
            self._transport.abort()
