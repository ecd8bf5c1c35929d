"""A socket that carries the aggregated trades of up to 200 symbols."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from websockets.typing import BytesLike

from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.decoding import UNREADABLE
from tui_feeder.engine.core.proxy import Proxies
from tui_feeder.engine.exchanges.base import TradeHandlers
from tui_feeder.engine.exchanges.binance.market_type import Market
from tui_feeder.engine.exchanges.binance.routes import trade_stream
from tui_feeder.engine.exchanges.binance.stream_connection import MarketSocket
from tui_feeder.engine.exchanges.binance.stream_messages import decode_trade_message
from tui_feeder.engine.exchanges.binance.usdm import USDM

_EVENT = "aggTrade"
#: Symbols of which nobody trades for minutes are no dead path; pings show that the connection lives.
_SILENCE_SECONDS = 300.0
#: Of many thousand trades a second not each is looked at for what screens show of a connection.
_LOOK_SECONDS = 0.25


class TradeSocket(MarketSocket):
    """The aggregated trades of some symbols; documented at :class:`MarketSocket`.

    Args:
        name: shown to people.
        stream_url: such as ``wss://fstream.binance.com``.
        symbols: at most ``STREAMS_PER_SOCKET``.
        clock: exchange time.
        handlers: where trades go.
        gate: awaited before every connection attempt.
        proxies: on the way there.
        market: whose streams these are.
    """

    def __init__(
        self,
        name: str,
        stream_url: str,
        symbols: list[str],
        clock: ExchangeClock,
        handlers: TradeHandlers,
        gate: Callable[[], Any],
        proxies: Proxies | None = None,
        market: Market = USDM,
    ) -> None:
        self._trade = handlers.trade
        self._look_at = 0.0
        super().__init__(name, stream_url, symbols, clock, handlers.fault, gate, proxies, market)

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
