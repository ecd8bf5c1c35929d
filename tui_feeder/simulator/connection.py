"""One WebSocket connection of a client."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from aiohttp import web

from tui_feeder.simulator.fault_wire import reset
from tui_feeder.simulator.stream_faults import Junk

#: Messages (ping, pong and JSON alike) a connection may send in a second.
MOST_MESSAGES = 10
#: Bytes a client may leave unread before it is cut off.
MOST_UNREAD = 16 * 1024 * 1024


class Connection:
    """One socket of a client: its form, its streams, and how it is written to."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        begun: int,
        *,
        combined: bool,
        live: bool,
    ) -> None:
        self.socket = socket
        self.combined = combined
        #: Whether it is on the path of klines.
        self.live = live
        #: Exchange time (ms) at which it was opened.
        self.begun = begun
        #: Whether it is dead without its client being told.
        self.frozen = False
        #: Whether a fault has ended it already.
        self.doomed = False
        self.junk = Junk()
        self.names: dict[str, None] = {}
        self.heard = time.monotonic()
        self._transport = transport
        self._recent: deque[float] = deque()

    def too_chatty(self) -> bool:
        """Counts one incoming message; whether there were too many in the last second."""
        now = time.monotonic()
        self._recent.append(now)
        while self._recent and self._recent[0] <= now - 1:
            self._recent.popleft()
        return len(self._recent) > MOST_MESSAGES

    def write(self, frames: list[bytes]) -> None:
        """Hands whole frames to the socket; cuts off a client that does not read."""
        if self.frozen or self._transport.is_closing() or self.socket.closed:
            return
        if self._transport.get_write_buffer_size() > MOST_UNREAD:
            self._transport.abort()
            return
        self._transport.write(b"".join(frames))

    async def close(self, code: int, message: bytes) -> None:
        """Says good-bye and waits for the answer; of a frozen connection nobody hears anything."""
        if self.frozen:
            self._transport.abort()
        else:
            await self.socket.close(code=code, message=message)

    def end(self, code: int, message: bytes, farewells: set[asyncio.Task[None]]) -> None:
        """Begins to say good-bye; the task is among ``farewells`` until it is done."""
        self.doomed = True
        task = asyncio.create_task(self.close(code, message))
        farewells.add(task)
        task.add_done_callback(farewells.discard)

    def cut(self, how: str) -> None:
        """Ends TCP without a close frame: "reset" with RST at once, else with FIN after what is written."""
        self.doomed = True
        if how == "reset":
            reset(self._transport)
        else:
            self._transport.close()

    def freeze(self) -> None:
        """Neither reads nor writes any more, and stays open."""
        if not self._transport.is_closing() and not self.frozen:
            self.frozen = self.doomed = True
            self._transport.pause_reading()
