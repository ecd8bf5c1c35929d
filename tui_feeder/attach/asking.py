"""One connection to a feeder's socket for a program that asks questions and waits for their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tui_feeder.attach.sockets import SocketError, check_peer
from tui_feeder.attach.wire import (
    MAX_ANSWER,
    PROTOCOL,
    Answer,
    Decompressor,
    Hello,
    Question,
    Refusal,
    Welcome,
    WireError,
    decode_server_message,
    encode_frame,
    read_frame,
)
from tui_feeder.errors import RunFailure
from tui_feeder.version import __version__

_CONNECT_SECONDS = 5.0


class NotAnsweredError(RunFailure):
    """The feeder does not answer, or refuses; the text gives the reason."""


class Asking:
    """Asks a feeder, one question at a time.

    Args:
        find: finds its socket, at every connection.
    """

    def __init__(self, find: Callable[[], Path]) -> None:
        self._find = find
        self._turn = asyncio.Lock()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._decompressor = Decompressor(MAX_ANSWER)
        self._number = 0

    async def ask(self, what: str, *args: str | int | None, seconds: float = 5.0) -> Any:  # noqa: ANN401
        """Ask a question; the connection is made when there is none.

        Args:
            what: its name.
            args: of it.
            seconds: until the answer must be there.

        Returns:
            What the feeder answers.

        Raises:
            NotAnsweredError: it does not, or refuses.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(seconds):
                    return await self._asked(what, args)
            except (OSError, EOFError, WireError, SocketError, TimeoutError) as error:
                self.close()
                text = (
                    str(error) if isinstance(error, WireError | SocketError) else "the feeder does not answer"
                )
                raise NotAnsweredError(text) from error
            except asyncio.CancelledError:
                self.close()  # an answer may be under way, and would be taken for the next one
                raise

    async def _asked(self, what: str, args: tuple[str | int | None, ...]) -> Any:  # noqa: ANN401
        if self._writer is None:
            await self._connect()
        assert self._writer is not None
        assert self._reader is not None
        self._number += 1
        self._writer.write(encode_frame(Question(self._number, what, args)))
        await self._writer.drain()
        body = self._decompressor.body(await read_frame(self._reader, MAX_ANSWER))
        received = decode_server_message(body)
        if isinstance(received, Refusal):
            raise WireError(received.text)
        if not isinstance(received, Answer) or received.id != self._number:
            raise WireError("an answer to another question")
        return received.value

    async def _connect(self) -> None:
        async with asyncio.timeout(_CONNECT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(str(self._find()))
            try:
                check_peer(writer.get_extra_info("socket"))
                writer.write(encode_frame(Hello(PROTOCOL, __version__)))
                received = decode_server_message(await read_frame(reader, MAX_ANSWER))
                if isinstance(received, Refusal):
                    raise WireError(received.text)
                if not isinstance(received, Welcome):
                    raise WireError("what listens there is no feeder")
            except BaseException:
                writer.close()
                raise
        self._reader, self._writer = reader, writer
        self._decompressor = Decompressor(MAX_ANSWER)

    def close(self) -> None:
        """Let the feeder go."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None
