"""Kline frames: which are due for a stream at a moment, and their bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from tui_feeder.simulator import noise
from tui_feeder.simulator.contracts import as_printed
from tui_feeder.simulator.forming import SLOT
from tui_feeder.simulator.market import (
    CLOSE,
    HIGH,
    INTERVALS,
    LOW,
    MINUTE,
    OPEN,
    QUOTE,
    TAKER,
    TAKER_QUOTE,
    TRADES,
    VOLUME,
    Instrument,
    Minutes,
    aggregate,
    decimal,
)
from tui_feeder.simulator.tape import Tape


class Frame:
    """One event as WebSocket frames ready for the socket, raw and wrapped; made once for all subscribers.

    Attributes:
        body: the event as JSON.
        minute_end: exclusive end (ms) of the minute it is of.
        closed: whether it is a closing frame.
        trade: whether it is an aggregate trade and not a candle.
        held_back: whether it goes out later than it should, by a fault.
    """

    def __init__(self, name: str, body: bytes, minute_end: int, *, closed: bool, trade: bool = False) -> None:
        self._name = name
        self.body = body
        self.minute_end = minute_end
        self.closed = closed
        self.trade = trade
        self.held_back = False

    def changed(self, body: bytes) -> Frame:
        """Copies the frame with another body.

        Args:
            body: the JSON payload.

        Returns:
            The copy.
        """
        other = Frame(self._name, body, self.minute_end, closed=self.closed, trade=self.trade)
        other.held_back = self.held_back
        return other

    @cached_property
    def raw(self) -> bytes:
        """For connections of the ``/ws`` form."""
        return text_frame(self.body)

    @cached_property
    def combined(self) -> bytes:
        """For connections of the ``/stream`` form."""
        return text_frame(b'{"stream":"%b","data":%b}' % (self._name.encode(), self.body))


def text_frame(payload: bytes) -> bytes:
    """Encodes a final, unmasked WebSocket text frame (RFC 6455, section 5.2).

    Args:
        payload: UTF-8 text.

    Returns:
        The frame's bytes.
    """
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + struct.pack("!H", size) + payload
    return b"\x81\x7f" + struct.pack("!Q", size) + payload


def stream_of(name: str) -> tuple[str, str] | None:
    """Splits the name of a kline stream.

    Args:
        name: such as ``btcusdt@kline_1m``.

    Returns:
        Symbol in lower case and interval; None for the name of anything else.
    """
    symbol, mark, interval = name.partition("@kline_")
    return (symbol, interval) if mark and symbol and interval in INTERVALS else None


class KlineStream:
    """The events of one symbol and interval, in order: updates as they come about, and every close.

    Args:
        tape: what can be seen of the market.
        instrument: the symbol.
        interval: name of the interval.
        now: exchange time (ms) from which events are wanted.
        untraded: whether minutes without a trade are pushed, flat.
    """

    def __init__(
        self, tape: Tape, instrument: Instrument, interval: str, now: int, *, untraded: bool = False
    ) -> None:
        self._untraded = untraded
        self.symbol = instrument.symbol
        self._tape = tape
        self._instrument = instrument
        self._label = interval
        self._interval = INTERVALS[interval]
        self._name = f"{instrument.symbol.lower()}@kline_{interval}"
        self._open_time = now - now % MINUTE
        if now < self._tape.settles(instrument.symbol, self._open_time - MINUTE):
            self._open_time -= MINUTE
        self._shown = -1  # trades in the latest update of the open minute
        self._before: list[int] | None = None
        self._before_known = False
        self._first_id: int | None = None
        # The path of the coming minute is made at a moment of this minute that differs by stream: all at its
        # beginning would hold up the loop.
        self._prepares_at = noise.key_of(self._name) % MINUTE
        self._prepared = False

    def closes_at(self) -> int:
        """When (ms) the close of the minute that is open comes about."""
        return self._tape.settles(self.symbol, self._open_time)

    def due(self, now: int, *, forming: bool = True) -> Iterator[Frame]:
        """Makes the events since the last call: the closes of past minutes, then at most one update.

        Args:
            now: exchange time, ms.
            forming: whether to add an update of the minute that is forming.

        Yields:
            Frames in order of minute.
        """
        symbol = self._instrument.symbol
        while self._open_time + MINUTE <= now:
            settled = self._tape.settles(symbol, self._open_time)
            if settled > now:
                return
            if (self._open_time + MINUTE) % self._interval == 0:
                bar = self._bar(self._candle())
                if bar is not None:
                    yield self._frame(bar, settled, closed=True)
            self._step()
        if not forming:
            return
        minute = self._tape.minute(symbol, self._open_time)
        state = None if minute is None else minute.at(now)
        if state is None and minute is not None and self._untraded:
            state = self._tape.untraded(symbol, minute)
        if not self._prepared and now >= self._open_time + self._prepares_at:
            self._prepared = True
            following = self._tape.minute(symbol, self._open_time + MINUTE)
            if following is not None:
                following.prepare()
        if state is None or state[TRADES] == self._shown:
            return
        self._shown = state[TRADES]
        bar = self._bar(state)
        if bar is not None:
            yield self._frame(bar, now - (now - self._open_time) % SLOT, closed=False)

    def _step(self) -> None:
        self._open_time += MINUTE
        self._shown = -1
        self._before_known = False
        self._first_id = None
        self._prepared = False

    def _candle(self) -> list[int] | None:
        minute = self._tape.minute(self._instrument.symbol, self._open_time)
        if minute is None or (not minute.candle[TRADES] and not self._untraded):
            return None
        return minute.candle

    def _bar(self, minute: list[int] | None) -> list[int] | None:
        """The bar this stream shows, with the open minute as given; None while nothing was traded in it."""
        if self._interval == MINUTE:
            return minute
        if not self._before_known:
            begin = self._open_time - self._open_time % self._interval
            block = self._tape.market.minutes(self._instrument.symbol, begin, self._open_time)
            bars = aggregate(block, self._interval).values
            self._before = bars[0].tolist() if len(bars) else None
            self._before_known = True
        before = self._before
        if before is None or minute is None:
            both = minute or before
            return both if both and (both[TRADES] or self._untraded) else None
        times = np.array([self._open_time - self._open_time % self._interval] * 2, np.int64)
        bar: list[int] = (
            aggregate(Minutes(times, np.array([before, minute])), self._interval).values[0].tolist()
        )
        return bar

    def _frame(self, bar: list[int], event_time: int, *, closed: bool) -> Frame:
        instrument = self._instrument
        price = instrument.price_decimals
        quantity, quote = instrument.quantity_decimals, instrument.quote_decimals
        if instrument.contract_size or instrument.printed_decimals:
            printed, price, quantity, quote = as_printed(np.array([bar], np.int64), instrument)
            bar = printed[0].tolist()
        begin = self._open_time - self._open_time % self._interval
        if self._first_id is None:
            self._first_id = self._tape.first_trade_id(instrument.symbol, begin)
        first = self._first_id if bar[TRADES] else -1
        last = self._first_id + bar[TRADES] - 1 if bar[TRADES] else -1
        body = (
            f'{{"e":"kline","E":{event_time},"s":"{instrument.symbol}",'
            f'"k":{{"t":{begin},"T":{begin + self._interval - 1},'
            f'"s":"{instrument.symbol}","i":"{self._label}","f":{first},"L":{last},'
            f'"o":"{decimal(bar[OPEN], price)}","c":"{decimal(bar[CLOSE], price)}",'
            f'"h":"{decimal(bar[HIGH], price)}","l":"{decimal(bar[LOW], price)}",'
            f'"v":"{decimal(bar[VOLUME], quantity)}","n":{bar[TRADES]},"x":{"true" if closed else "false"},'
            f'"q":"{decimal(bar[QUOTE], quote)}","V":"{decimal(bar[TAKER], quantity)}",'
            f'"Q":"{decimal(bar[TAKER_QUOTE], quote)}","B":"0"}}}}'
        )
        return Frame(self._name, body.encode(), self._open_time + MINUTE, closed=closed)
