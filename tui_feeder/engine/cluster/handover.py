"""What a worker hands over of a symbol beside what it published: its pipeline, and what that rests on."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import msgspec

from tui_feeder.engine.analytics.pipeline import PipelineState
from tui_feeder.engine.analytics.profile.increments import DAYS_BEFORE
from tui_feeder.engine.cluster.records import CHECKPOINT_MARK, LARGEST, Progress
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.checksum import ChecksumError, with_checksum, without_checksum
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.core.decoding import UNREADABLE
from tui_feeder.engine.core.zero_volume import inside
from tui_feeder.engine.derived import checkpoint
from tui_feeder.engine.derived.checkpoint import Provenance
from tui_feeder.engine.derived.inputs import INPUTS_NOTE, known_minutes
from tui_feeder.engine.derived.revisions import NOTE as REVISIONS_NOTE
from tui_feeder.engine.derived.revisions import Revisions
from tui_feeder.engine.storage.inheritance import Inheritance, check_of
from tui_feeder.engine.storage.store import Store

#: Raised with every change of what is handed over or of how its numbers are made.
_FORMAT = CHECKPOINT_MARK + b"1\0"
_LEVEL = 3  # of zlib: 20 KB become 8 KB in under a millisecond
#: Bytes of what a record comes to at most.
_LARGEST_CONTENT = 64 << 20


class Handover(msgspec.Struct, frozen=True, array_like=True):
    """A symbol after some minute."""

    minute: int  # the last that is counted, open time in ms
    start: int  # first minute (ms) of the history that the numbers rest on
    made_with: bytes  # digest of settings and inputs
    state: PipelineState
    counted: tuple[tuple[int, int], ...]  # the minutes that all of it rests on, ms
    days: dict[int, int]  # by midnight (ms): check of that day's counted minutes
    inputs: bytes | None  # the note of the symbol's inputs
    listed: int | None
    alerts: bytes | None  # what the rules of alerts know after the minute, as the store keeps it


class DayChecks:
    """The checks of a symbol's days, each made once as long as the day stays the same.

    Used by one thread. As large as there are days in the histories of the symbols it was asked about.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[int, dict[int, tuple[Coverage, int]]]] = {}

    def of(self, symbol: str, counted: Coverage) -> dict[int, int]:
        """Makes the checks of a symbol's days.

        Args:
            symbol: whose.
            counted: the minutes that its numbers rest on.

        Returns:
            By midnight (ms) the check. A day that was taken over and has not all its candles here keeps the
            check that came with it; one of which that is not known has none.
        """
        edition = self._store.edition(symbol)
        before = self._known.get(symbol, (edition, {}))
        known = before[1] if before[0] == edition else {}
        inherited, elsewhere = self._store.inherited(symbol), self._store.inherited_days(symbol)
        found: dict[int, tuple[Coverage, int]] = {}
        for day in days_of(counted):
            minutes = counted.clip(day, day + DAY_MS)
            if minutes.intersect(inherited):
                given = elsewhere.get(day)
                if given is not None and Coverage(given.minutes) == minutes:
                    found[day] = minutes, given.check
            elif known.get(day, (EMPTY, 0))[0] == minutes:
                found[day] = known[day]
            else:
                rows = self._store.read(symbol, day, day + DAY_MS)
                found[day] = minutes, check_of(rows[inside(rows, minutes)])
        self._known[symbol] = edition, found
        return {day: check for day, (_, check) in found.items()}

    def forget(self, symbol: str) -> None:
        """Forgets a symbol.

        Args:
            symbol: whose checks are not needed any more.
        """
        self._known.pop(symbol, None)


def days_of(minutes: Coverage) -> list[int]:
    """Lists the UTC days that hold any of some minutes.

    Args:
        minutes: covered minutes.

    Returns:
        Their midnights, ms, ascending.
    """
    found = {day for start, end in minutes for day in range(start // DAY_MS * DAY_MS, end, DAY_MS)}
    return sorted(found)


def make_handover(
    store: Store,
    symbol: str,
    provenance: Provenance,
    state: PipelineState,
    checks: DayChecks,
    alerts: bytes | None,
) -> bytes:
    """Encodes what is handed over of a symbol. Reads the store, up to all days of its history.

    Args:
        store: of this worker.
        symbol: whose.
        provenance: what its pipeline is computed from.
        state: of the pipeline.
        checks: of days that were looked at before.
        alerts: what the rules know of the symbol, as the store keeps it.

    Returns:
        The value of the symbol's checkpoint record.
    """
    minute = state.last or 0
    first = min(provenance.start, minute // DAY_MS * DAY_MS - DAYS_BEFORE * DAY_MS)
    counted = known_minutes(store, symbol).clip(first, minute + MINUTE_MS)
    made = Handover(
        minute, provenance.start, provenance.made_with, state, counted.intervals,
        checks.of(symbol, counted), store.note(INPUTS_NOTE + symbol), store.listed(symbol), alerts,
    )  # fmt: skip
    return with_checksum(_FORMAT, zlib.compress(msgspec.msgpack.encode(made), _LEVEL))


def read_handover(block: bytes) -> Handover:
    """Reads what :func:`make_handover` made.

    Args:
        block: the value of a symbol's checkpoint record.

    Returns:
        What is handed over.

    Raises:
        ChecksumError: damaged, too large, or of another format.
    """
    if len(block) > LARGEST:
        raise ChecksumError(f"{len(block):,} bytes are too many")
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(without_checksum(_FORMAT, block), _LARGEST_CONTENT)
        return msgspec.msgpack.decode(content, type=Handover)
    except (*UNREADABLE, zlib.error) as error:
        raise ChecksumError(f"it cannot be read: {error}") from error


def inheritance_of(symbol: str, progress: Progress, handed: Handover | None) -> Inheritance:
    """Combines what was published of a symbol with what was handed over of it.

    Args:
        symbol: whose.
        progress: what was published.
        handed: what its last owner handed over; None where there is nothing that can be used.

    Returns:
        What the store takes over.
    """
    notes: dict[str, bytes | None] = {REVISIONS_NOTE + symbol: progress.revisions}
    if handed is None or handed.minute > progress.watermark:
        # What its numbers rest on is not known, so all of it is read; what was published has its messages.
        since = Revisions.decode(progress.revisions).since
        published = span(since, progress.watermark + MINUTE_MS) if progress.watermark >= since > 0 else EMPTY
        return Inheritance(progress.watermark, published, {}, 0, None, notes, lambda _: None)
    counted = Coverage(progress.counted).clip(0, progress.watermark + MINUTE_MS)
    counted = counted.clip(handed.minute + MINUTE_MS, 1 << 53).union(Coverage(handed.counted))
    notes[INPUTS_NOTE + symbol] = handed.inputs

    def block(edition: int) -> bytes:
        return checkpoint.encode(Provenance(handed.start, edition, handed.made_with), handed.state)

    days: Mapping[int, int] = handed.days
    until = handed.minute + MINUTE_MS
    return Inheritance(progress.watermark, counted, days, until, handed.listed, notes, block)
