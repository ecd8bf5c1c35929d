"""A socket that carries the aggregated trades of up to 200 symbols."""

from __future__ import annotations

import time

from websockets.typing import BytesLike

from tui_feeder.engine.core.decoding import UNREADABLE
from tui_feeder.engine.exchanges.base import TradeHandlers
from tui_feeder.engine.exchanges.binance.routes import trade_stream
from tui_feeder.engine.exchanges.binance.stream_connection import MarketSocket, StreamEndpoint
from tui_feeder.engine.exchanges.binance.stream_messages import decode_trade_message

_EVENT = "aggTrade"
#: Symbols of which nobody trades for minutes are no dead path; pings show that the connection lives.
_SILENCE_SECONDS = 300.0
#: Of many thousand trades a second not each is looked at for what screens show of a connection.
_LOOK_SECONDS = 0.25


class TradeSocket(MarketSocket):
    """The aggregated trades of some symbols.

    Args:
        name: shown to people.
        symbols: at most ``STREAMS_PER_SOCKET``.
        endpoint: where it connects.
        handlers: where trades go.
    """

    def __init__(
        self, name: str, symbols: list[str], endpoint: StreamEndpoint, handlers: TradeHandlers
    ) -> None:
        self._trade = handlers.trade
        self._look_at = 0.0
        super().__init__(name, symbols, endpoint, handlers.fault)

    _stream = staticmethod(trade_stream)

    def _patience(self, any_frame: bool) -> float:
        return _SILENCE_SECONDS

    def _take(self, raw: str | BytesLike) -> None:
        try:
            envelope = decode_trade_message(raw)
        except UNREADABLE as error:
            self._fault("unreadable frame", str(error))
            return
        data = envelope.data
        if data is None or data.e != _EVENT:
            self._other(envelope, data.e if data is not None else "")
            return
        symbol = self._market.prefix + data.s
        if symbol not in self._known:
            self._fault("unexpected trade", symbol)
            return
        self.frames += 1
        if (at := time.monotonic()) >= self._look_at or self.state != "live":
            self._look_at = at + _LOOK_SECONDS
            self._received(data.E)
        self._trade(symbol, data.row())
