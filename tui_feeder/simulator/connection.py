"""One WebSocket connection of a client."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from aiohttp import web

from tui_feeder.simulator.fault_wire import reset
from tui_feeder.simulator.stream_faults import Junk

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
        most_messages: int = 10,
    ) -> None:
        self.socket = socket
        self.combined = combined
        #: Whether it is on the path of klines.
        self.live = live
        #: Exchange time (ms) at which it was opened.
        self.begun = begun
        #: Whether it is dead without its client knowing.
        self.frozen = False
        #: Whether a fault has ended it already.
        self.doomed = False
        #: Whether it was notified that it will end.
        self.warned = False
        self.junk = Junk()
        self.names: dict[str, None] = {}
        #: Payload of the latest ping.
        self.pinged = b""
        self._most_messages = most_messages  # ping, pong and JSON alike, in a second
        self.last_message_at = time.monotonic()
        self._transport = transport
        self._recent: deque[float] = deque()

    def too_chatty(self) -> bool:
        """Counts one incoming message; whether there were too many in the last second."""
        now = time.monotonic()
        self._recent.append(now)
        while self._recent and self._recent[0] <= now - 1:
            self._recent.popleft()
        return len(self._recent) > self._most_messages

    def write(self, frames: list[bytes]) -> None:
        """Writes whole frames to the socket; disconnects a client that does not read.

        Args:
            frames: encoded WebSocket frames, in order.
        """
        if self.frozen or self._transport.is_closing() or self.socket.closed:
            return
        if self._transport.get_write_buffer_size() > MOST_UNREAD:
            self._transport.abort()
            return
        self._transport.write(b"".join(frames))

    async def close(self, code: int, message: bytes) -> None:
        """Closes with a handshake; a frozen connection is aborted instead, without a close frame.

        Args:
            code: WebSocket close code.
            message: reason sent with it.
        """
        if self.frozen:
            self._transport.abort()
        else:
            await self.socket.close(code=code, message=message)

    def end(self, code: int, message: bytes, closing: set[asyncio.Task[None]]) -> None:
        """Starts to close the connection in a task of its own.

        Args:
            code: WebSocket close code.
            message: reason sent with it.
            closing: set that holds the task until it is done.
        """
        self.doomed = True
        task = asyncio.create_task(self.close(code, message))
        closing.add(task)
        task.add_done_callback(closing.discard)

    def cut(self, how: str) -> None:
        """Ends TCP without a close frame.

        Args:
            how: "reset" for RST at once, anything else for FIN after what is already written.
        """
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
