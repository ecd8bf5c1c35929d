"""Evidence of live minutes in the store: trade ids, what became of messages, values that were replaced.

All lies beside the parts of a symbol's state, under names of its own, and is bounded: trade ids are kept for
ten days, replaced values of about the newest 2,000 minutes of a symbol, and of a day's publication there are
some 20 bytes beside its candles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import lmdb

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Rows, Source, to_candles
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.core.trade_ids import Link, TradeIdChain, TradeIds
from tui_feeder.engine.storage.checked_records import DAMAGED, CheckedDatabase
from tui_feeder.engine.storage.codec import Sources
from tui_feeder.engine.storage.day_blocks import prefix_of
from tui_feeder.engine.storage.live_agreement import (
    LIVE_MS,
    LiveAgreement,
    Publication,
    decode_day,
    encode_day,
)
from tui_feeder.engine.storage.replaced_values import ReplacedValue, decode_values, with_value
from tui_feeder.engine.storage.trade_id_hours import append_minute, decode_hour, encode_hour

_HOUR_MS = 60 * MINUTE_MS
_IDS, _PUBLISHED, _REPLACED = b"trade ids ", b"published ", b"replaced "
#: A day is signed seven days later at the latest: until then its ids are needed.
_IDS_KEPT_MS = 10 * DAY_MS
#: Minutes of a symbol whose replaced values are kept.
_MINUTES_KEPT = 2_000
#: Of a bulk of replaced minutes so many are kept, the newest: a replaced archive changes whole months.
_AT_ONCE = 500


class _NewestIds(NamedTuple):
    """The record of trade ids of a symbol that was written last, and what the next minute adds to it."""

    hour: int
    record: bytes
    minute: int
    expected: int


class Evidence:
    """Writes and reads it within a transaction it is given.

    Args:
        states: the database of symbols' states.
        unusable: called with a record that cannot be used, and why.
    """

    def __init__(self, states: CheckedDatabase, unusable: Callable[[str, str], None]) -> None:
        self._states = states
        self._unusable = unusable
        self._newest: dict[str, _NewestIds] = {}  # by symbol: what was written last
        #: By symbol a record of a day that was written last, and its states.
        self._days: dict[str, tuple[bytes | None, bytearray]] = {}
        self._replaced: dict[str, int] = {}  # by symbol: about how many minutes have replaced values

    # --- trade ids -----------------------------------------------------------------------------

    def put_trade_ids(self, txn: lmdb.Transaction, symbol: str, open_time: int, ids: TradeIds) -> None:
        """Keeps the ids of a minute; with the first of an hour, those older than ten days are deleted.

        Args:
            txn: a write transaction.
            symbol: whose.
            open_time: of the minute, ms.
            ids: of its first and last trade.
        """
        prefix, hour = prefix_of(symbol) + _IDS, open_time // _HOUR_MS
        record = self._states.get(txn, key := prefix + hour.to_bytes(4, "big"))
        if record is None:
            oldest = max(0, hour - _IDS_KEPT_MS // _HOUR_MS - 1)
            low, high = prefix + bytes(4), prefix + oldest.to_bytes(4, "big")
            for old, _ in list(self._states.scan(txn, low, high)):
                self._states.delete(txn, old)
        minute, newest = open_time % _HOUR_MS // MINUTE_MS, self._newest.get(symbol)
        if record is None:
            newest = _NewestIds(hour, b"", -1, 0)
        if newest is not None and newest[:2] == (hour, record or b"") and minute > newest.minute:
            made = bytearray(newest.record)  # the usual case, without reading what is there
            expected = append_minute(made, newest.minute, newest.expected, minute, ids)
            self._newest[symbol] = _NewestIds(hour, bytes(made), minute, expected)
        else:
            minutes = self._hour(symbol, hour, record)
            minutes[minute] = ids
            self._newest.pop(symbol, None)
            made = bytearray(encode_hour(minutes))
        self._states.put(txn, key, bytes(made))

    def trade_ids(self, txn: lmdb.Transaction, symbol: str, start: int, end: int) -> dict[int, TradeIds]:
        """Reads the ids of live minutes.

        Args:
            txn: the transaction.
            symbol: whose.
            start: ms, inclusive.
            end: ms, exclusive.

        Returns:
            By open time (ms), ascending; without the minutes of which none are kept.
        """
        found: dict[int, TradeIds] = {}
        if end <= start:
            return found
        prefix = prefix_of(symbol) + _IDS
        first, last = (max(0, at) // _HOUR_MS for at in (start, end - 1))
        for key, record in self._states.scan(
            txn, prefix + first.to_bytes(4, "big"), prefix + last.to_bytes(4, "big")
        ):
            hour = int.from_bytes(key[-4:], "big")
            for minute, ids in self._hour(symbol, hour, DAMAGED if record is None else record).items():
                if start <= (at := hour * _HOUR_MS + minute * MINUTE_MS) < end:
                    found[at] = ids
        return found

    def _hour(self, symbol: str, hour: int, record: bytes | None) -> dict[int, TradeIds]:
        try:
            return decode_hour(record or b"")
        except ValueError as error:
            self._unusable(f"{symbol}: trade ids of hour {hour}", str(error))
            return {}

    # --- publication ---------------------------------------------------------------------------

    def published(self, txn: lmdb.Transaction, symbol: str, open_time: int, now: int) -> None:
        """Notes that the first message of a minute is committed.

        Args:
            txn: a write transaction.
            symbol: whose.
            open_time: of the minute, ms.
            now: exchange ms.
        """
        live = now <= open_time + MINUTE_MS + LIVE_MS
        self._mark(
            txn, symbol, [open_time], Publication.NONE, Publication.STOOD if live else Publication.LATE
        )

    def corrected(self, txn: lmdb.Transaction, symbol: str, minutes: Iterable[int]) -> None:
        """Notes that other values took the place of those that were published.

        Args:
            txn: a write transaction.
            symbol: whose.
            minutes: open times, ms; those that were not published live are ignored.
        """
        self._mark(txn, symbol, minutes, Publication.STOOD, Publication.CORRECTED)

    def _mark(
        self,
        txn: lmdb.Transaction,
        symbol: str,
        minutes: Iterable[int],
        before: Publication,
        after: Publication,
    ) -> None:
        days: dict[int, list[int]] = {}
        for at in minutes:
            days.setdefault(at // DAY_MS, []).append(at % DAY_MS // MINUTE_MS)
        for day, places in days.items():
            key = prefix_of(symbol) + _PUBLISHED + day.to_bytes(4, "big")
            record, (known, states) = self._states.get(txn, key), self._days.get(symbol, (None, bytearray()))
            if record is None or known != record:
                states = self._day(symbol, day, record)
            else:
                states = bytearray(states)  # a transaction that fails must leave what is remembered as it is
            changing = [place for place in places if states[place] == before]
            if changing:
                for place in changing:
                    states[place] = after
                made = encode_day(states)
                self._states.put(txn, key, made)
                self._days[symbol] = (made, states)
            else:
                self._days.pop(symbol, None)

    def publications(self, txn: lmdb.Transaction, symbol: str, day: int) -> bytes:
        """Reads what became of the first message of each minute of a day.

        Args:
            txn: the transaction.
            symbol: whose.
            day: midnight, ms.

        Returns:
            A :class:`Publication` a minute, 1,440 of them.
        """
        key = prefix_of(symbol) + _PUBLISHED + (day // DAY_MS).to_bytes(4, "big")
        return bytes(self._day(symbol, day // DAY_MS, self._states.get(txn, key)))

    def _day(self, symbol: str, day: int, record: bytes | None) -> bytearray:
        try:
            return decode_day(record)
        except ValueError as error:
            self._unusable(f"{symbol}: what was published of day {day}", str(error))
            return decode_day(None)

    def agreement(self, txn: lmdb.Transaction, symbol: str, day: int, certified: Coverage) -> LiveAgreement:
        """Counts what became of a day's live minutes.

        Args:
            txn: the transaction.
            symbol: whose.
            day: midnight, ms.
            certified: minutes that REST or a checked archive has confirmed.

        Returns:
            The counts.
        """
        states = self.publications(txn, symbol, day)
        stood, corrected, late = (
            states.count(state) for state in (Publication.STOOD, Publication.CORRECTED, Publication.LATE)
        )
        # The end of the day's last minute is proved by the first trade of the next one, and minutes without
        # a trade at its beginning by that and the last one of the day before.
        links = links_of(self.trade_ids(txn, symbol, day - _HOUR_MS, day + DAY_MS + _HOUR_MS))
        inside = {at: link for at, link in links.items() if day <= at < day + DAY_MS}
        broken = [at for at, link in inside.items() if link is Link.BROKEN]
        exact = sum(at in certified for at in broken)
        joined = len(inside) - len(broken)
        return LiveAgreement(stood + corrected, stood, corrected, late, joined, exact, len(broken) - exact)

    # --- replaced values -----------------------------------------------------------------------

    def replaced(
        self, txn: lmdb.Transaction, symbol: str, rows: Rows, sources: Sources, by: Source, now: int
    ) -> None:
        """Keeps values that others take the place of.

        Args:
            txn: a write transaction.
            symbol: whose.
            rows: shape (n,), dtype ROW: the values before.
            sources: shape (n,), uint8: where they came from.
            by: where those come from that take their place.
            now: exchange ms, 0 where no clock is known.
        """
        prefix = prefix_of(symbol) + _REPLACED
        candles = to_candles(rows[-_AT_ONCE:])
        for candle, source in zip(candles, sources[-_AT_ONCE:].tolist(), strict=True):
            key = prefix + candle.open_time.to_bytes(8, "big")
            known = self._states.get(txn, key)
            value = ReplacedValue(candle, source, now, by)
            self._states.put(txn, key, with_value(known, value))
            if known is None:
                self._replaced[symbol] = self._replaced.get(symbol, _MINUTES_KEPT) + 1  # unknown at first
        if self._replaced.get(symbol, 0) > _MINUTES_KEPT:
            keys = [key for key, _ in self._states.with_prefix(txn, prefix)]
            over = keys[: len(keys) - _MINUTES_KEPT * 9 // 10] if len(keys) > _MINUTES_KEPT else []
            for key in over:
                self._states.delete(txn, key)
            self._replaced[symbol] = len(keys) - len(over)

    def replaced_values(
        self, txn: lmdb.Transaction, symbol: str, open_time: int
    ) -> tuple[ReplacedValue, ...]:
        """Reads the values that a minute had before its present ones.

        Args:
            txn: the transaction.
            symbol: whose.
            open_time: of the minute, ms.

        Returns:
            In the order in which they were replaced.
        """
        key = prefix_of(symbol) + _REPLACED + open_time.to_bytes(8, "big")
        return decode_values(self._states.get(txn, key))


def links_of(ids: dict[int, TradeIds]) -> dict[int, Link]:
    """Judges the ends of live minutes.

    Args:
        ids: by open time (ms), ascending.

    Returns:
        By open time what the ids prove of a minute's end; without those of which they prove nothing.
    """
    chain, found = TradeIdChain(), dict[int, Link]()
    for open_time, both in ids.items():
        found.update(chain.closed(open_time, both))
    return {at: link for at, link in found.items() if link is not Link.UNKNOWN}
