"""Kline events as WebSocket frames, made of the rows of a klines answer. Pure."""

from __future__ import annotations

import struct

import orjson

_TEXT, _SHORT, _MIDDLE = b"\x81", 126, 65_536


class Frame:
    """One event of a stream as whole frames, made once for all who listen.

    Args:
        name: of the stream.
        body: the event as JSON.
    """

    __slots__ = ("_body", "_combined", "_name", "_raw")

    def __init__(self, name: str, body: bytes) -> None:
        self._name = name
        self._body = body
        self._raw: bytes | None = None
        self._combined: bytes | None = None

    def of(self, *, combined: bool) -> bytes:
        """The frame for connections of one form.

        Args:
            combined: wrapped with the name of its stream, as on ``/stream``.

        Returns:
            Header and payload.
        """
        if not combined:
            if self._raw is None:
                self._raw = text_frame(self._body)
            return self._raw
        if self._combined is None:
            name = orjson.dumps(self._name)
            self._combined = text_frame(b'{"stream":%b,"data":%b}' % (name, self._body))
        return self._combined


def text_frame(payload: bytes) -> bytes:
    """A final text frame of a server (RFC 6455).

    Args:
        payload: UTF-8.

    Returns:
        Header and payload.
    """
    size = len(payload)
    if size < _SHORT:
        return _TEXT + bytes((size,)) + payload
    if size < _MIDDLE:
        return _TEXT + struct.pack("!BH", _SHORT, size) + payload
    return _TEXT + struct.pack("!BQ", _SHORT + 1, size) + payload


def kline_event(symbol: str, interval: str, row: bytes, event_time: int, *, closed: bool) -> bytes:
    """The event of a bar. Trade ids are not stored: they are -1.

    Args:
        symbol: whose.
        interval: its name.
        row: of a klines answer.
        event_time: ms.
        closed: whether the bar is over.

    Returns:
        JSON.
    """
    begin, o, h, low, c, volume, end, quote, trades, taker, taker_quote, _ = row[1:-1].split(b",")
    name = orjson.dumps(symbol)
    return (
        b'{"e":"kline","E":%d,"s":%b,"k":{"t":%b,"T":%b,"s":%b,"i":"%b","f":-1,"L":-1,"o":%b,"c":%b,"h":%b,'
        b'"l":%b,"v":%b,"n":%b,"x":%b,"q":%b,"V":%b,"Q":%b,"B":"0"}}'
        % (
            event_time, name, begin, end, name, interval.encode(), o, c, h, low, volume, trades,
            b"true" if closed else b"false", quote, taker, taker_quote,
        )
    )  # fmt: skip
