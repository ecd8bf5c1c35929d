"""What one transaction of the store changes: rows, coverage, certification, messages that wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import lmdb
import msgspec
import numpy as np

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, Rows, Source, to_candles, to_rows
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.core.trade_ids import TradeIds
from tui_feeder.engine.core.zero_volume import inside
from tui_feeder.engine.storage.checked_records import DAMAGED
from tui_feeder.engine.storage.codec import Sources, block_matches
from tui_feeder.engine.storage.corrections import CORRECTIONS, with_correction
from tui_feeder.engine.storage.damage import DamagedDay
from tui_feeder.engine.storage.day_blocks import DayBlocks, merge, prefix_of, without_archives
from tui_feeder.engine.storage.environment import Environment
from tui_feeder.engine.storage.evidence import Evidence
from tui_feeder.engine.storage.inheritance import Inheritance, InheritedDay, check_of, inherited_key
from tui_feeder.engine.storage.outbox import Outbox, OutgoingMessage
from tui_feeder.engine.storage.rest_reads import REST_READS, RestRead, decode_rest_reads, with_rest_read
from tui_feeder.engine.storage.symbol_state import STORED_AS, SymbolState, intervals, number


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did to a symbol."""

    added: int = 0  # minutes that were not there before
    changed: tuple[int, ...] = ()  # open times whose values were replaced, by a source at least as good
    conflicts: int = 0  # rows that disagreed with what is stored, whichever won
    restored: int = 0  # minutes of a damaged day that came back with the values they had


class _SetAsideBlock(msgspec.Struct, frozen=True, array_like=True):
    """A damaged block put aside, and the minutes it had."""

    minutes: tuple[tuple[int, int], ...]  # ms
    block: bytes


def _set_aside_key(day: int) -> bytes:
    return b"damaged " + (day // DAY_MS).to_bytes(4, "big")


#: So many new minutes of the live day, put at once, still go to its tail.
_TAIL_MINUTES = 10
#: Certified stretches that are kept. Minutes of the stream lie between those of REST: without a bound they
#: grow for ever, and are written whole with each (at 100,000 of them 48 ms a commit instead of 3).
_CERTIFIED_INTERVALS = 2_000
#: Minutes filled in later than this behind the newest one are history being read, not a repair.
_LATE_MS = 2 * DAY_MS
#: Stretches of replaced minutes that are kept apart for a mirror.
_ALTERED_INTERVALS = 400


class Write:
    """One transaction's view of the symbols it touches; thrown away if the transaction fails.

    Args:
        txn: the transaction.
        environment: of it.
        day_blocks: of the environment.
        outboxes: by topic.
        committed: the state of a symbol as it was before; never changed.
        evidence: of the environment.
        now: exchange time, ms; None where no clock is known.
    """

    def __init__(
        self,
        txn: lmdb.Transaction,
        environment: Environment,
        day_blocks: DayBlocks,
        outboxes: Mapping[str, Outbox],
        committed: Callable[[str], SymbolState],
        evidence: Evidence,
        now: Callable[[], int] | None,
    ) -> None:
        self.txn = txn
        self.touched: dict[str, SymbolState] = {}
        self.damaged_days: list[DamagedDay] = []
        self.sound: list[tuple[str, int]] = []  # days that seemed damaged and are not
        self.outboxes = {topic: outbox.write(txn) for topic, outbox in outboxes.items()}
        self._states = environment.state
        self._day_blocks = day_blocks
        self._committed = committed
        self._evidence = evidence
        self._now = now

    def of(self, symbol: str) -> SymbolState:
        """Gives the state of a symbol, to be changed.

        Args:
            symbol: the symbol.

        Returns:
            The state as of this transaction.
        """
        state = self.touched.get(symbol)
        if state is None:
            state = self.touched[symbol] = self._committed(symbol).copy()
        return state

    def append(self, symbol: str, candle: Candle, source: Source) -> Written:
        """Stores one closed minute; from REST it is certified.

        Args:
            symbol: the symbol.
            candle: the minute.
            source: where it comes from.

        Returns:
            What was written.

        Raises:
            ValueError: the minute lies before 1970.
        """
        at = candle.open_time
        if at < 0:
            raise ValueError(f"a minute before 1970: {at}")
        written = self._add(symbol, [candle], source)
        if written is None:
            written = self._merge_in(symbol, to_rows([candle]), source)
        if source == Source.REST:
            self.certify(symbol, span(at, at + MINUTE_MS))
        return written

    def put(
        self, symbol: str, rows: Rows, source: Source, certify: Coverage, reject_archives: Coverage
    ) -> Written:
        """Stores many closed minutes; see :meth:`~tui_feeder.engine.storage.store.Store.put`.

        Args:
            symbol: the symbol.
            rows: shape (n,), dtype ROW.
            source: where they come from.
            certify: minutes to certify.
            reject_archives: minutes about which archives are wrong.

        Returns:
            What was written.

        Raises:
            ValueError: the rows are not sorted, not unique, or lie before 1970.
        """
        times = Coverage.of_times(rows["open_time"])
        if times.minutes != len(rows) or (times and times.start < 0):
            raise ValueError("rows are stored sorted, each minute once, from 1970 on")
        self.reject_archives(symbol, reject_archives.intersect(times))
        written = None
        if len(rows) <= _TAIL_MINUTES:
            written = self._add(symbol, to_candles(rows), source)
        if written is None:
            written = self._merge_in(symbol, rows, source)
        self.certify(symbol, certify.intersect(times))
        if source == Source.REST:
            self.mark_unconfirmed(symbol, times.subtract(certify))
        return written

    def add_rest_read(self, symbol: str, read: RestRead) -> None:
        """Notes that minutes were read by REST.

        Args:
            symbol: the symbol.
            read: which, and when.
        """
        reads = decode_rest_reads(self._states.get(self.txn, prefix_of(symbol) + REST_READS))
        self.save(symbol, REST_READS, with_rest_read(reads, read))

    def _add(self, symbol: str, candles: list[Candle], source: Source) -> Written | None:
        """New minutes of the live day into its tail; None, and nothing done, where they are not that."""
        state = self.of(symbol)
        if not candles:
            return Written()
        day = candles[0].open_time // DAY_MS * DAY_MS
        newest = (state.present.end - MINUTE_MS) // DAY_MS * DAY_MS if state.present else day
        if day < newest or candles[-1].open_time >= day + DAY_MS:
            return None
        if any(
            candle.open_time in state.present or candle.open_time in state.lost_published
            for candle in candles
        ):
            return None
        prefix = prefix_of(symbol)
        for over in sorted(tail_day for tail_day in state.tail_days if tail_day < day):
            rows, sources = self._sound_day(symbol, over)
            self._write_day(symbol, over, rows, sources)
        for candle in candles:
            self._day_blocks.add_to_tail(self.txn, prefix, candle, source)
        state.tail_days.add(day)
        added = Coverage((candle.open_time, candle.open_time + MINUTE_MS) for candle in candles)
        self._set_present(symbol, added, published=state.inherited)
        return Written(added=len(candles))

    def _merge_in(self, symbol: str, rows: Rows, source: Source) -> Written:
        """Rows into the blocks of their days, minute by minute the better source."""
        added = conflicts = 0
        changed: list[int] = []
        days = rows["open_time"] // DAY_MS
        bounds = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(rows)]
        for a, b in pairwise(bounds):
            part, day = rows[a:b], int(days[a]) * DAY_MS
            old, old_sources = self._sound_day(symbol, day)
            sources = np.full(len(part), source, dtype=np.uint8)
            ranks = old_sources
            # Of minutes about which archives were shown to be wrong they are the worst source.
            proven = self.of(symbol).archive_rejected.clip(day, day + DAY_MS)
            ranks, sources = (
                without_archives(old, old_sources, proven),
                without_archives(part, sources, proven),
            )
            merged, merged_sources, new, replaced, differing = merge(old, ranks, part, sources)
            if len(replaced):
                before = np.searchsorted(old["open_time"], replaced)
                self._keep_replaced(symbol, old[before], old_sources[before], source)
            if new or len(replaced) or not np.array_equal(merged_sources, old_sources):
                self._write_day(symbol, day, merged, merged_sources)
            added += new
            conflicts += differing
            changed.extend(replaced.tolist())
        state = self.of(symbol)
        if conflicts:  # what was made of the values on either side may be wrong
            state.edition += 1
            self.save(symbol, b"edition", number(state.edition))
        if changed:
            altered = state.altered.union(Coverage.of_times(np.array(changed, dtype=np.int64)))
            # Without a mirror nobody ever takes them: they must not grow for ever. One that comes later is
            # given a few minutes more than it lacks.
            state.altered = altered.coarse(_ALTERED_INTERVALS)
            self.save_minutes(symbol, "altered")
            self.set_stale_published(symbol, Coverage.of_times(np.array(changed, dtype=np.int64)))
            self._add_correction(symbol, Coverage.of_times(np.array(changed, dtype=np.int64)))
            self._evidence.corrected(self.txn, symbol, changed)
        minutes = Coverage.of_times(rows["open_time"])
        self._set_present(symbol, minutes, published=state.lost_published.union(state.inherited))
        restored = sum(self._resolve_lost(symbol, int(days[at]) * DAY_MS) for at in bounds[:-1])
        return Written(added, tuple(changed), conflicts, restored)

    def _keep_replaced(self, symbol: str, rows: Rows, sources: Sources, by: Source) -> None:
        now = 0 if self._now is None else self._now()
        self._evidence.replaced(self.txn, symbol, rows, sources, by, now)

    def published_otherwise(self, symbol: str, published: Candle, source: Source) -> None:
        """Compares a minute as it was published with what is stored, and notes it where they differ.

        Args:
            symbol: the symbol.
            published: the minute of the message.
            source: where that came from.
        """
        at = published.open_time
        rows, sources, _ = self._day_blocks.read(self.txn, prefix_of(symbol), at, at + MINUTE_MS)
        if len(rows) and to_candles(rows)[0] != published:
            asked = np.full(1, source, dtype=np.uint8)
            self._keep_replaced(symbol, to_rows([published]), asked, Source(int(sources[0])))
            self._evidence.corrected(self.txn, symbol, [at])

    def put_trade_ids(self, symbol: str, open_time: int, ids: TradeIds) -> None:
        """Keeps the trade ids of a live minute.

        Args:
            symbol: the symbol.
            open_time: of the minute, ms.
            ids: of its first and last trade.
        """
        self._evidence.put_trade_ids(self.txn, symbol, open_time, ids)

    def mark_damaged(self, symbol: str, day: int) -> None:
        """Checks a day that seems damaged; if it is, its minutes count as missing from now on.

        The damaged block is set aside until all of them are there again: the checksum it was written with
        shows whether they have the values that messages were made of.

        Args:
            symbol: the symbol.
            day: midnight, ms.
        """
        prefix, end = prefix_of(symbol), day + DAY_MS
        rows, _, damaged = self._day_blocks.read(self.txn, prefix, day, end)
        state = self.of(symbol)
        gone = state.present.clip(day, end).subtract(Coverage.of_times(rows["open_time"]))
        if not gone and not damaged:
            self.sound.append((symbol, day))
            return
        block = self._day_blocks.drop_damaged(self.txn, prefix, day)
        if not gone:
            self.sound.append((symbol, day))
            return
        if published := self._passed(state, gone).subtract(state.unpublished):
            aside = _SetAsideBlock(gone.intervals, block)
            self.save(symbol, _set_aside_key(day), msgspec.msgpack.encode(aside))
            state.lost_published = state.lost_published.union(published)
            self.save_minutes(symbol, "lost_published")
        # Whoever opens the store next must know that this is damage, and no gap like any other.
        state.damaged_missing = state.damaged_missing.union(gone)
        self.save_minutes(symbol, "damaged_missing")
        # The checkpoint rests on minutes that are not there now.
        state.edition += 1
        self.save(symbol, b"edition", number(state.edition))
        for name in ("present", "certified", "unconfirmed", "unpublished"):
            left = getattr(state, name).subtract(gone)
            setattr(state, name, left)
            self.save_minutes(symbol, name)
        self.damaged_days.append(
            DamagedDay(symbol, day, gone, damaged.get(day, "minutes of it are not there"))
        )

    def mark_published_without_lost(self, symbol: str) -> None:
        """Records that messages were made without the lost minutes; they are revised when these come back.

        Args:
            symbol: the symbol.
        """
        for start, end in self.of(symbol).lost_published:
            for day in range(start // DAY_MS * DAY_MS, end, DAY_MS):
                self._states.delete(self.txn, prefix_of(symbol) + _set_aside_key(day))
                self._resolve_lost(symbol, day)

    def _resolve_lost(self, symbol: str, day: int) -> int:
        """Minutes of a day that was damaged may be there again: what follows from their values.

        Messages that were made of other values, or may have been, are to be revised.

        Returns:
            How many minutes came back with the values they had, once all are there.
        """
        state, key = self.of(symbol), prefix_of(symbol) + _set_aside_key(day)
        lost = state.lost_published.clip(day, day + DAY_MS)
        if not lost:
            return 0
        kept, same = self._states.get(self.txn, key), 0
        if kept is not None and kept != DAMAGED:
            aside = msgspec.msgpack.decode(kept, type=_SetAsideBlock)
            gone = Coverage(aside.minutes)
            if gone.subtract(state.present):
                return 0
            rows = self._day_blocks.read(self.txn, prefix_of(symbol), day, day + DAY_MS)[0]
            same = gone.minutes if block_matches(aside.block, rows[inside(rows, gone)]) else 0
            self._states.delete(self.txn, key)
        back = lost.intersect(state.present)
        changes = {
            "lost_published": state.lost_published.subtract(back),
            "altered": state.altered.union(back),
        }
        if back and not same:
            changes["stale_published"] = state.stale_published.union(back)
            self._add_correction(symbol, back)
            state.edition += 1
            self.save(symbol, b"edition", number(state.edition))
        for name, minutes in changes.items():
            setattr(state, name, minutes)
            self.save_minutes(symbol, name)
        return same

    def _sound_day(self, symbol: str, day: int) -> tuple[Rows, Sources]:
        """What can be read of a day that is to be written; if it is damaged its minutes are lost first."""
        rows, sources, damaged = self._day_blocks.read(self.txn, prefix_of(symbol), day, day + DAY_MS)
        if damaged:
            self.mark_damaged(symbol, day)
        return rows, sources

    def _write_day(self, symbol: str, day: int, rows: Rows, sources: Sources) -> None:
        state = self.of(symbol)
        in_tail = day in state.tail_days
        self._day_blocks.write_day(self.txn, prefix_of(symbol), day, rows, sources, in_tail=in_tail)
        state.tail_days.discard(day)

    def _set_present(self, symbol: str, minutes: Coverage, published: Coverage = EMPTY) -> None:
        """``minutes`` are stored; those of ``published`` have had a message before."""
        state = self.of(symbol)
        before = state.present
        state.present = before.union(minutes)
        if state.present != before:
            self.save_minutes(symbol, "present")
            self._set_unpublished(symbol, self._passed(state, minutes).subtract(before).subtract(published))
            if before and minutes.start < before.end:  # whoever follows may have gone on without them
                late = minutes.subtract(before).clip(max(0, before.end - _LATE_MS), before.end)
                self._add_correction(symbol, late)
        if state.omitted.intersect(minutes):
            state.omitted = state.omitted.subtract(minutes)
            self.save_minutes(symbol, "omitted")
        if state.damaged_missing.intersect(minutes):
            state.damaged_missing = state.damaged_missing.subtract(minutes)
            self.save_minutes(symbol, "damaged_missing")
        if came := state.inherited.intersect(minutes):
            state.inherited = state.inherited.subtract(came)
            self.save_minutes(symbol, "inherited")
            for day in sorted({at // DAY_MS * DAY_MS for start, end in came for at in (start, end - 1)}):
                self.compare_inherited(symbol, day)

    def inherit(self, symbol: str, given: Inheritance) -> None:
        """The symbol's messages were made elsewhere: what was known of those made here is given up.

        Args:
            symbol: whose.
            given: what was made elsewhere; its notes are the caller's to keep.
        """
        state = self.of(symbol)
        state.watermark = given.watermark
        self.save(symbol, b"watermark", number(given.watermark))
        if given.listed is not None and state.listed is None:
            state.listed = given.listed
            self.save(symbol, b"listed", number(given.listed))
        begin = given.counted.start if given.counted else given.watermark
        # What is stored here and was not counted there is still to be published.
        changes = {
            "inherited": given.counted.subtract(state.present),
            "unpublished": self._passed(state, state.present.clip(begin, 1 << 53)).subtract(given.counted),
            "stale_published": EMPTY,
            "lost_published": EMPTY,
        }
        for name, minutes in changes.items():
            setattr(state, name, minutes)
            self.save_minutes(symbol, name)
        for before in (b"damaged ", b"inherited "):
            self._drop_all(symbol, before)
        for day, check in given.days.items():
            minutes = given.counted.clip(day, min(day + DAY_MS, given.until))
            expected = InheritedDay(minutes.intervals, check)
            self.save(symbol, inherited_key(day), msgspec.msgpack.encode(expected))
        block = given.checkpoint(state.edition)
        if block is not None:
            self.save(symbol, b"numbers", block)

    def forget_inherited(self, symbol: str) -> None:
        """Counts minutes that are inherited as lost from now on: they have had their messages.

        Args:
            symbol: the symbol.
        """
        state = self.of(symbol)
        state.lost_published, state.inherited = state.lost_published.union(state.inherited), EMPTY
        for name in ("lost_published", "inherited"):
            self.save_minutes(symbol, name)
        self._drop_all(symbol, b"inherited ")

    def _drop_all(self, symbol: str, prefix: bytes) -> None:
        """Delete all parts of the symbol's state whose names begin with ``prefix``."""
        for key, _ in list(self._states.with_prefix(self.txn, prefix_of(symbol) + prefix)):
            self._states.delete(self.txn, key)

    def compare_inherited(self, symbol: str, day: int) -> None:
        """Compares a day that was taken over, if it is whole and was not yet.

        Once all minutes of a day are here that numbers made elsewhere rest on: are they the same ones?
        Where they are not, the messages that rest on them are to be revised.

        Args:
            symbol: the symbol.
            day: midnight, ms.
        """
        state, key = self.of(symbol), prefix_of(symbol) + inherited_key(day)
        kept = self._states.get(self.txn, key)
        if kept is None or kept == DAMAGED:
            return
        expected = msgspec.msgpack.decode(kept, type=InheritedDay)
        minutes = Coverage(expected.minutes)
        if minutes.intersect(state.inherited):
            return
        self._states.delete(self.txn, key)
        rows = self._day_blocks.read(self.txn, prefix_of(symbol), day, day + DAY_MS)[0]
        if check_of(rows[inside(rows, minutes)]) != expected.check:
            self.set_stale_published(symbol, minutes)
            state.edition += 1
            self.save(symbol, b"edition", number(state.edition))

    def _add_correction(self, symbol: str, minutes: Coverage) -> None:
        """Minutes have other values than before, or came after later ones."""
        if minutes:
            key = prefix_of(symbol) + CORRECTIONS
            self._states.put(self.txn, key, with_correction(self._states.get(self.txn, key), minutes))

    def _set_unpublished(self, symbol: str, minutes: Coverage) -> None:
        if minutes:
            state = self.of(symbol)
            state.unpublished = state.unpublished.union(minutes)
            self.save_minutes(symbol, "unpublished")

    def _passed(self, state: SymbolState, minutes: Coverage) -> Coverage:
        """Those of ``minutes`` whose time to be published was over."""
        return EMPTY if state.watermark is None else minutes.clip(0, state.watermark + MINUTE_MS)

    def set_stale_published(self, symbol: str, minutes: Coverage) -> None:
        """Records that the published messages of minutes are computed from values that have changed.

        Args:
            symbol: the symbol.
            minutes: the minutes; those without a message are ignored.
        """
        state = self.of(symbol)
        if published := self._passed(state, minutes):
            state.stale_published = state.stale_published.union(published)
            self.save_minutes(symbol, "stale_published")

    def mark_republished(self, symbol: str, minutes: Coverage) -> None:
        """Records that all messages computed from some minutes are made again.

        Args:
            symbol: the symbol.
            minutes: the minutes.
        """
        state = self.of(symbol)
        if state.unpublished.intersect(minutes):
            state.unpublished = state.unpublished.subtract(minutes)
            self.save_minutes(symbol, "unpublished")
        if state.stale_published.intersect(minutes):
            state.stale_published = state.stale_published.subtract(minutes)
            self.save_minutes(symbol, "stale_published")

    def certify(self, symbol: str, minutes: Coverage) -> None:
        """Certifies minutes from a checked archive, or read by REST after their close.

        Args:
            symbol: the symbol.
            minutes: the minutes.
        """
        state = self.of(symbol)
        before = state.certified
        # What is let go is the least: ``backfill`` reads it once more, and all around it with it.
        state.certified = before.union(minutes).longest(_CERTIFIED_INTERVALS)
        if state.certified != before:
            self.save_minutes(symbol, "certified")
        if state.unconfirmed.intersect(minutes):
            state.unconfirmed = state.unconfirmed.subtract(minutes)
            self.save_minutes(symbol, "unconfirmed")

    def mark_unconfirmed(self, symbol: str, minutes: Coverage) -> None:
        """Marks minutes that REST gave so soon after their end that they may change.

        Args:
            symbol: the symbol.
            minutes: the minutes.
        """
        state = self.of(symbol)
        if doubted := minutes.subtract(state.certified).subtract(state.unconfirmed):
            state.unconfirmed = state.unconfirmed.union(doubted)
            self.save_minutes(symbol, "unconfirmed")

    def reject_archives(self, symbol: str, minutes: Coverage) -> None:
        """Records that archives were shown to be wrong about minutes.

        Args:
            symbol: the symbol.
            minutes: the minutes.
        """
        state = self.of(symbol)
        if minutes.subtract(state.archive_rejected):
            state.archive_rejected = state.archive_rejected.union(minutes)
            self.save_minutes(symbol, "archive_rejected")

    def set_watermark(
        self, symbol: str, open_time: int, payload: bytes | None, more: Sequence[OutgoingMessage]
    ) -> None:
        """Records that the message of a minute is made, and adds messages to their outboxes.

        Args:
            symbol: the symbol.
            open_time: of the minute, ms.
            payload: the minute's message.
            more: other messages that it caused.
        """
        if payload is not None and (data := self.outboxes.get("data")) is not None:
            data.add(symbol, open_time + MINUTE_MS - 1, payload)
        for message in more:
            if (outbox := self.outboxes.get(message.topic)) is not None:
                outbox.add(message.key, message.timestamp, message.payload)
        state = self.of(symbol)
        before, minute = state.watermark, span(open_time, open_time + MINUTE_MS)
        first = before is None or open_time > before or open_time in state.unpublished
        if first and payload is not None and self._now is not None:
            self._evidence.published(self.txn, symbol, open_time, self._now())
        if before is None or open_time > before:
            state.watermark = open_time
            self.save(symbol, b"watermark", number(open_time))
            # Minutes that the engine skipped, and that were stored before it got here.
            if payload is not None and before is not None and open_time > before + MINUTE_MS:
                self._set_unpublished(symbol, state.present.clip(before + MINUTE_MS, open_time))
        elif payload is not None and open_time in state.unpublished:
            # In the transaction of its message. What follows it is still to be made again: a kill before
            # that must not forget it.
            state.unpublished = state.unpublished.subtract(minute)
            self.save_minutes(symbol, "unpublished")
            self.set_stale_published(symbol, minute)

    def save_minutes(self, symbol: str, name: str) -> None:
        """Store a set of minutes of the symbol's state as it is now.

        Args:
            symbol: whose.
            name: a field of :class:`SymbolState`, one of ``symbol_state.STORED_AS``.
        """
        self.save(symbol, STORED_AS[name], intervals(getattr(self.of(symbol), name)))

    def save(self, symbol: str, name: bytes, value: bytes) -> None:
        """Stores a part of a symbol's state.

        Args:
            symbol: the symbol.
            name: name of the part, see ``symbol_state.NAMES``.
            value: its encoded value.
        """
        self._states.put(self.txn, prefix_of(symbol) + name, value)
