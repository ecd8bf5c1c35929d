"""What passes over a WebSocket of the exchange: frames of klines, answers to orders, and the orders."""

from __future__ import annotations

from typing import Any

import msgspec

from tui_feeder.engine.core.candle import Candle
from tui_feeder.engine.core.decoding import ExactInt
from tui_feeder.engine.core.trade_ids import TradeIds, trade_ids

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
    """A message: a frame, an acknowledgement, or a refusal."""

    data: FrameData | None = None
    e: str = ""  # of an event that is not wrapped
    id: ExactInt | None = None
    code: ExactInt | None = None
    msg: str = ""
    error: Any = None


#: Raises what is in ``core.decoding.UNREADABLE`` for a message that is none.
decode_message = msgspec.json.Decoder(Envelope, strict=False).decode


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
