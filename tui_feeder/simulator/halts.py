"""A market with spans without trades, as an outage leaves them, and contracts that end with their delivery.

What is seen so in REST, stream and archive alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tui_feeder.simulator import digits
from tui_feeder.simulator.faults import Event, Fault
from tui_feeder.simulator.listing import midnight, next_month
from tui_feeder.simulator.market import CLOSE, MINUTE, OPEN, PERPETUAL, VOLUME, Instrument, Market, Minutes

_NEVER = 1 << 62
#: Faults that stop trade.
STOPS_TRADE = ("outage", "delist")


@dataclass(frozen=True)
class _Halt:
    """No trade of ``symbol``, or of any, in minutes with ``begin <= open time < end``."""

    begin: int
    end: int
    symbol: str | None


class HaltedMarket:
    """A market, and the halts that faults bring upon it. Threads may read it.

    Args:
        market: what would have been traded.
        furthest: the latest exchange time (ms) anybody has seen; minutes before it are not touched.
        changed: called after the minutes from a moment (ms) on have changed.
        omits_outages: minutes of an outage of all symbols are absent, not flat.
    """

    def __init__(
        self,
        market: Market,
        furthest: Callable[[], int],
        changed: Callable[[int], None],
        *,
        omits_outages: bool = False,
    ) -> None:
        self._omits = omits_outages
        self._market = market
        self._furthest = furthest
        self._changed = changed
        self._halts: tuple[_Halt, ...] = ()
        self._of_fault: dict[Fault, _Halt] = {}

    def follow(self, event: Event, fault: Fault) -> None:
        """Starts and ends halts together with their faults.

        Args:
            event: "begin" or "end".
            fault: the fault; other kinds than halts are ignored.
        """
        if fault.name not in STOPS_TRADE:
            return
        coming = self._furthest() // MINUTE * MINUTE + MINUTE
        if event == "begin":
            wanted = int(fault.number("begin")) if fault.name == "outage" else 0
            begin = wanted // MINUTE * MINUTE or coming
            late = begin - fault.begins if wanted else 0
            end = _NEVER if fault.ends is None else -(-(fault.ends + late) // MINUTE) * MINUTE
            halt = _Halt(begin, max(begin + MINUTE, end), fault.symbol)
            self._of_fault[fault] = halt
            self._set((*self._halts, halt), begin)
            return
        ended = self._of_fault.pop(fault, None)
        if ended is not None and ended.end > coming and fault.why_ended == "off":
            shorter = replace(ended, end=max(coming, ended.begin))
            self._set(tuple(shorter if halt is ended else halt for halt in self._halts), coming)

    def _set(self, halts: tuple[_Halt, ...], since: int) -> None:
        self._halts = tuple(sorted(halts, key=lambda halt: halt.begin))
        self._changed(since)

    # -- the market

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """Every listing by symbol."""
        return self._market.instruments

    @property
    def symbols(self) -> Sequence[str]:
        """The perpetuals in trading."""
        return self._market.symbols

    @property
    def notes(self) -> Sequence[str]:
        """What a user must know about this market."""
        return self._market.notes

    @property
    def start(self) -> int | None:
        """Where a clock should start, ms."""
        return self._market.start

    @property
    def end(self) -> int | None:
        """Where the recorded data ends, ms."""
        return self._market.end

    def minutes(self, symbol: str, start: int, end: int) -> Minutes:
        """Reads complete candles, without trades where the market was halted.

        Args:
            symbol: a listed symbol.
            start: first open time, ms, inclusive.
            end: last open time, ms, exclusive.

        Returns:
            The candles in order.
        """
        end = self._before_delivery(symbol, end)
        if not self._halts:
            return self._market.minutes(symbol, start, end)
        return self._halted(symbol, start, end, self._halts)

    def archive_lines(self, symbol: str, start: int, end: int) -> bytes:
        """Formats candles as archive lines.

        Args:
            symbol: a listed symbol.
            start: first open time, ms, inclusive.
            end: last open time, ms, exclusive.

        Returns:
            CSV lines without a header.
        """
        end = self._before_delivery(symbol, end)
        if not self._touched(symbol, start, end):
            return self._market.archive_lines(symbol, start, end)
        return digits.archive_rows(self.minutes(symbol, start, end), self.instruments[symbol], MINUTE)

    def archive_month(self, symbol: str, month: str) -> tuple[bytes, bytes | None] | None:
        """Reads the original zip of a month, unless a halt contradicts it.

        Args:
            symbol: a listed symbol.
            month: the month, "YYYY-MM".

        Returns:
            The zip and its checksum file if there is one; None without an original.
        """
        found = self._market.archive_month(symbol, month)
        if found is None or not self._halts:
            return found
        first = np.datetime64(month, "D").item()
        return None if self._touched(symbol, midnight(first), midnight(next_month(first))) else found

    def _before_delivery(self, symbol: str, end: int) -> int:
        """The end of a span of time, or where a contract ends in it."""
        instrument = self.instruments[symbol]
        return end if instrument.contract == PERPETUAL else min(end, instrument.delivery)

    def _touched(self, symbol: str, start: int, end: int) -> bool:
        return any(
            halt.symbol in (None, symbol) and halt.begin < end and start < halt.end for halt in self._halts
        )

    def _halted(self, symbol: str, start: int, end: int, halts: tuple[_Halt, ...]) -> Minutes:
        times, values = self._market.minutes(symbol, start, end)
        if not len(times):
            return Minutes(times, values)
        copied = False
        for place, halt in enumerate(halts):
            if halt.symbol not in (None, symbol) or halt.end <= start or end <= halt.begin:
                continue
            left, right = np.searchsorted(times, (halt.begin, halt.end))
            if left == right:
                continue
            if self._omits and halt.symbol is None:
                times, values = np.delete(times, slice(left, right)), np.delete(values, slice(left, right), 0)
                copied = True
                continue
            if not copied:
                values, copied = values.copy(), True
            before = self._halted(symbol, halt.begin - MINUTE, halt.begin, halts[:place]).values
            values[left:right, OPEN:VOLUME] = before[0, CLOSE] if len(before) else values[left, OPEN]
            values[left:right, VOLUME:] = 0
        return Minutes(times, values)
