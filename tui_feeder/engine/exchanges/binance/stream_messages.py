"""What passes over a WebSocket of the exchange: frames of klines, answers to orders, and the orders."""

from __future__ import annotations

from typing import Any

import msgspec

from tui_feeder.engine.core.candle import Candle
from tui_feeder.engine.core.decoding import ExactInt
from tui_feeder.engine.core.trade_ids import TradeIds, trade_ids
from tui_feeder.engine.core.trades import TradeRow

_NAMES_PER_MESSAGE = 100
_BYTES_PER_MESSAGE = 3_500  # the exchange ignores messages beyond about 4,096 without an answer


class Frame(msgspec.Struct, gc=False):
    """The ``k`` of a kline frame: the candle so far. Field names as on the wire."""

    t: ExactInt
    T: ExactInt
    s: str
    i: str
    o: float
    c: float
    h: float
    l: float  # noqa: E741
    v: float
    n: ExactInt
    x: bool
    q: float
    V: float
    Q: float
    # Of any type: a frame is used whatever these are.
    f: Any = -1
    L: Any = -1

    def candle(self) -> Candle:
        """The frame's numbers as a candle; closed if ``x`` is true."""
        return Candle(self.t, self.o, self.h, self.l, self.c, self.v, self.q, self.n, self.V, self.Q)

    def trade_ids(self) -> TradeIds | None:
        """Its first and last trade; None where they are not stated, or make no sense."""
        sound = type(self.f) is int and type(self.L) is int
        return trade_ids(self.f, self.L, self.n) if sound else None


class FrameData(msgspec.Struct, gc=False):
    """The ``data`` of a message of a combined stream."""

    e: str = ""
    E: ExactInt = 0
    k: Frame | None = None


class Envelope(msgspec.Struct, gc=False):
    """A message without its data: an acknowledgement, or a refusal."""

    e: str = ""  # of an event that is not wrapped
    id: ExactInt | None = None
    code: ExactInt | None = None
    msg: str = ""
    error: Any = None


class KlineEnvelope(Envelope, gc=False):
    """A message of a socket that carries klines."""

    data: FrameData | None = None


class TradeData(msgspec.Struct, gc=False):
    """An aggregated trade of a stream or of an answer. Field names as on the wire."""

    e: str = ""
    E: ExactInt = 0
    s: str = ""
    a: ExactInt = -1
    p: float = -1.0
    q: float = -1.0
    f: ExactInt = 0
    l: ExactInt = 0  # noqa: E741
    T: ExactInt = -1
    m: bool = False

    def row(self) -> TradeRow:
        """The trade as the engine knows one."""
        return self.a, self.p, self.q, self.l - self.f + 1, self.T, self.m


class TradeEnvelope(Envelope, gc=False):
    """A message of a socket that carries aggregated trades."""

    data: TradeData | None = None


#: These raise what is in ``core.decoding.UNREADABLE`` for a message that is none.
decode_message = msgspec.json.Decoder(KlineEnvelope, strict=False).decode
decode_trade_message = msgspec.json.Decoder(TradeEnvelope, strict=False).decode
decode_trades = msgspec.json.Decoder(list[TradeData], strict=False).decode


def order_batches(names: list[str]) -> list[list[str]]:
    """Splits stream names into messages of a size the exchange accepts.

    Args:
        names: stream names.

    Returns:
        The names of each message.
    """
    batches: list[list[str]] = []
    size = _BYTES_PER_MESSAGE
    for name in names:
        length = len(name.encode()) + 3
        if size + length > _BYTES_PER_MESSAGE or len(batches[-1]) == _NAMES_PER_MESSAGE:
            batches.append([])
            size = 0
        batches[-1].append(name)
        size += length
    return batches
