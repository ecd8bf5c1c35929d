"""The records of the state topic: what was published last, as the next owner of a partition needs it. Pure.

Three kinds, each with keys of its own; of each key the last committed record counts, older ones go:

- ``#position``: how far the owner's outbox is published, a record a partition;
- ``SYMBOL``: what was published of a symbol, see :class:`Progress`;
- ``SYMBOL checkpoint``: what its pipeline was at some minute, see :mod:`.handover`.

A record is written in the transaction of the messages that it is about: both are there, or neither.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Annotated, TypeVar

import msgspec

from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.checksum import ChecksumError, with_checksum, without_checksum
from tui_feeder.engine.core.coverage import EMPTY, Coverage
from tui_feeder.engine.core.decoding import UNREADABLE
from tui_feeder.engine.derived.revisions import Revisions
from tui_feeder.safe_text import printable

#: Raised with every change of what a record holds.
_FORMAT = b"feeder cluster 1\0"
POSITION_KEY = b"#position"
_CHECKPOINT_SUFFIX = b" checkpoint"
#: Minutes published since the checkpoint are kept as so many stretches; usually there is one.
_MOST_STRETCHES = 200
#: Minutes whose messages are remembered for the checkpoints that are made of them.
_RECENT = 64
#: Bytes of a record that is read at most.
LARGEST = 8 << 20
#: Begins the records of every version, behind their checksum; and the checkpoints.
_MARK, CHECKPOINT_MARK = b"feeder cluster ", b"feeder handover "
_CHECKSUM = 4  # bytes
#: Bytes of a key that may be a feeder's; of others as many are shown.
_LONGEST_KEY, _SHOWN = 256, 40
#: Symbols that are looked for behind records of others.
_MOST_HIDDEN = 10_000

_Ms = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
_T = TypeVar("_T")


class Position(msgspec.Struct, frozen=True, array_like=True):
    """How far a partition's owner is."""

    store: str  # which store the outboxes are of
    worker: str  # name of the owner
    epoch: int  # of its producer
    numbers: dict[str, int]  # by topic: the last message of its outbox that is published, or is not to be
    at: _Ms  # when, by its clock


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """What was published of a symbol."""

    watermark: _Ms  # open time of the last minute published
    check: int  # crc32 of the last message of that minute
    revisions: bytes  # of :meth:`Revisions.encode`: how often each minute was corrected
    counted: tuple[tuple[_Ms, _Ms], ...]  # minutes published since the last checkpoint
    alerted: dict[str, _Ms]  # by rule: the time of its last alert


class Published:
    """Follows what is published of a symbol, message by message.

    Args:
        known: what was published before; None for nothing.
    """

    def __init__(self, known: Progress | None = None) -> None:
        self._watermark = -1 if known is None else known.watermark
        self._check = 0 if known is None else known.check
        self._revisions = None if known is None else Revisions.decode(known.revisions)
        self._counted = EMPTY if known is None else Coverage(known.counted)
        self._alerted = {} if known is None else dict(known.alerted)
        self._corrected: dict[int, list[tuple[int, int]]] = {}  # by revision, since the last record
        self._recent: dict[int, int] = {}  # crc32 of the last message of the newest minutes, in their order

    @property
    def watermark(self) -> int:
        """Open time (ms) of the last minute published; -1 before the first."""
        return self._watermark

    def message(self, minute: int, revision: int, payload: bytes) -> None:
        """A minute's message is published.

        Args:
            minute: its open time, ms.
            revision: of the message.
            payload: the message.
        """
        end = minute + MINUTE_MS
        if self._revisions is None:
            self._revisions = Revisions(minute)
        check = zlib.crc32(payload)
        if minute >= self._watermark:
            self._watermark, self._check = minute, check
        self._recent.pop(minute, None)
        self._recent[minute] = check
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        self._counted = self._counted.union(Coverage(((minute, end),)))
        if revision > 0:
            self._corrected.setdefault(revision, []).append((minute, end))

    def begins(self, since: int) -> None:
        """Messages from the minute ``since`` (ms) on may be corrected, though it may have none itself.

        Args:
            since: open time of that minute, ms.
        """
        if self._revisions is None:
            self._revisions = Revisions(since)
        self._revisions.since = min(self._revisions.since, since)

    def alert(self, rule: str, at: int) -> None:
        """Notes that an alert is published.

        Args:
            rule: its rule.
            at: the time it is about, ms.
        """
        self._alerted[rule] = max(at, self._alerted.get(rule, 0))

    def fits(self, minute: int, check: int, alerted: Mapping[str, int]) -> bool | None:
        """Finds whether a pipeline is the one that made what was published.

        Args:
            minute: the last that it has counted, open time in ms.
            check: crc32 of its message of that minute.
            alerted: by rule the time (ms) of the last alert that was found.

        Returns:
            None while that minute's message is not published yet, or one of the alerts: a next owner who went
            on from there would not find it again.
        """
        if minute > self._watermark or any(at > self._alerted.get(rule, 0) for rule, at in alerted.items()):
            return None
        return self._recent.get(minute) == check

    def checkpoint(self, minute: int) -> None:
        """Notes that a checkpoint is written: minutes up to it need no mention.

        Args:
            minute: the last that it has counted, open time in ms.
        """
        self._counted = self._counted.clip(minute + MINUTE_MS, 1 << 53)

    def progress(self) -> Progress:
        """Returns the record of all that was published so far."""
        revisions = self._revisions or Revisions(max(0, self._watermark))
        for level, minutes in sorted(self._corrected.items()):
            corrected = Coverage(minutes)
            while lacking := _below(revisions, corrected, level):
                revisions.correct(lacking)
        self._corrected.clear()
        counted = self._counted.coarse(_MOST_STRETCHES)
        return Progress(
            max(0, self._watermark), self._check, revisions.encode(), counted.intervals, dict(self._alerted)
        )


def _below(revisions: Revisions, minutes: Coverage, level: int) -> Coverage:
    """Those of ``minutes`` whose revision is less than ``level``."""
    starts = [at for start, end in minutes for at in range(start, end, MINUTE_MS)]
    return Coverage((at, at + MINUTE_MS) for at in starts if revisions.of(at) < level)


class NewerFormatError(ChecksumError):
    """A record was written by another version of this program."""


class PartitionState:
    """What the state topic holds of a partition, record by record; of each key the last one holds.

    A record that no feeder has written changes nothing, as far as the one before it is still there.

    Attributes:
        position: None where nobody has published in this partition.
        progress: by symbol.
        checkpoints: by symbol, as they were written.
        foreign: how many records were read that no feeder has written.
        example: one of them, for people; "" without any.
    """

    def __init__(self) -> None:
        self.position: Position | None = None
        self.progress: dict[str, Progress] = {}
        self.checkpoints: dict[str, bytes] = {}
        self.foreign = 0
        self.example = ""
        self._unreadable: dict[bytes, str] = {}  # by key: why the last record of ours cannot be read
        self._newer: dict[bytes, str] = {}  # the same of another version's records
        self._hidden: set[str] = set()  # symbols of which only records of others are there

    @property
    def newer(self) -> str:
        """Why the whole partition cannot be used; "" where it can."""
        for key, why in (*self._newer.items(), *self._unreadable.items()):
            if key in self._newer or key == POSITION_KEY:
                return f"{_text(key)}: {why}"
        return ""

    @property
    def refused(self) -> dict[str, str]:
        """By symbol why it is not known what was published of it."""
        found = {_text(key): why for key, why in self._unreadable.items() if key != POSITION_KEY}
        if self.position is not None:
            found |= dict.fromkeys(self._hidden, "no feeder has written it")
        return found

    def take(self, key: bytes, value: bytes | None) -> None:
        """Takes the next record.

        Args:
            key: of the record.
            value: of the record; None deletes the key.
        """
        if len(key) > _LONGEST_KEY:
            self._ignore(key, f"its key has {len(key):,} bytes")
            return
        if key.endswith(_CHECKPOINT_SUFFIX):
            self._take_checkpoint(key, value)
            return
        try:
            name = key.decode()
            read = None if value is None else decode(value, Position if key == POSITION_KEY else Progress)
        except UnicodeDecodeError as error:
            self._ignore(key, str(error))
            return
        except NewerFormatError as error:
            self._newer[key] = str(error)
            return
        except ChecksumError as error:
            if value is not None and _is_marked(value, _MARK):
                self._unreadable[key] = str(error)
                self.progress.pop(name, None)
            else:
                self._ignore(key, str(error))
                if key != POSITION_KEY and name not in self.progress and len(self._hidden) < _MOST_HIDDEN:
                    self._hidden.add(name)
            return
        self._newer.pop(key, None)
        self._unreadable.pop(key, None)
        self._hidden.discard(name)
        if key == POSITION_KEY:
            self.position = read if isinstance(read, Position) else None
        else:
            self._set(self.progress, name, read if isinstance(read, Progress) else None)

    def _take_checkpoint(self, key: bytes, value: bytes | None) -> None:
        """One that is a feeder's is kept as it is: what cannot be read is found when it is needed."""
        try:
            symbol = key.removesuffix(_CHECKPOINT_SUFFIX).decode()
        except UnicodeDecodeError as error:
            self._ignore(key, str(error))
            return
        if value is not None and (len(value) > LARGEST or not _is_marked(value, CHECKPOINT_MARK)):
            self._ignore(key, "no feeder has written it")
        else:
            self._set(self.checkpoints, symbol, value)

    def _ignore(self, key: bytes, why: str) -> None:
        self.foreign += 1
        self.example = self.example or f"{_text(key)}: {why}"

    @staticmethod
    def _set(known: dict[str, _T], symbol: str, value: _T | None) -> None:
        if value is None:
            known.pop(symbol, None)
        else:
            known[symbol] = value

    @classmethod
    def of(cls, records: Iterable[tuple[bytes, bytes | None]]) -> PartitionState:
        """Makes the state of a partition's records.

        Args:
            records: keys and values, in the order in which they were written.

        Returns:
            The state after all of them.
        """
        state = cls()
        for key, value in records:
            state.take(key, value)
        return state


def symbol_key(symbol: str) -> bytes:
    """Makes the key of a symbol's :class:`Progress`.

    Args:
        symbol: whose.

    Returns:
        The key.
    """
    return symbol.encode()


def checkpoint_key(symbol: str) -> bytes:
    """Makes the key of a symbol's checkpoint.

    Args:
        symbol: whose.

    Returns:
        The key.
    """
    return symbol.encode() + _CHECKPOINT_SUFFIX


def encode(record: Position | Progress) -> bytes:
    """Makes the value of a record, with a checksum.

    Args:
        record: what it holds.

    Returns:
        The value.
    """
    return with_checksum(_FORMAT, msgspec.msgpack.encode(record))


def decode(value: bytes, form: type[_T]) -> _T:
    """Reads the value of a record.

    Args:
        value: what :func:`encode` returned.
        form: the kind of record.

    Returns:
        The record.

    Raises:
        NewerFormatError: another version of this program has written it.
        ChecksumError: damaged, too large, or of another kind.
    """
    if len(value) > LARGEST:
        raise ChecksumError(f"{len(value):,} bytes are too many")
    if _is_marked(value, _MARK) and not _is_marked(value, _FORMAT):
        without_checksum(_MARK, value)
        raise NewerFormatError("it is of another version")
    try:
        read = msgspec.msgpack.decode(without_checksum(_FORMAT, value), type=form)
        if isinstance(read, Progress):
            Revisions.decode(read.revisions)
        return read
    except (*UNREADABLE, ValueError) as error:
        raise ChecksumError(f"it cannot be read: {error}") from error


def _is_marked(value: bytes, mark: bytes) -> bool:
    return value[_CHECKSUM : _CHECKSUM + len(mark)] == mark


def _text(key: bytes) -> str:
    """A key for people: nothing in it reaches a terminal as it is."""
    shown = printable(key[:_SHOWN].decode(errors="replace"))
    return shown if len(key) <= _SHOWN else f"{shown}..."
