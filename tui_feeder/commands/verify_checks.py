"""What ``verify`` finds: in the stored rows themselves, and between them and another source."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Rows, Source, fault_of, faulty, to_candles
from tui_feeder.engine.core.coverage import EMPTY, Coverage
from tui_feeder.engine.storage.codec import Sources
from tui_feeder.engine.storage.store import Store

KEPT = 100  # findings of a kind and symbol that are kept with their values; all are counted

_FIELDS = (ROW.names or ())[1:]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with the stored minutes ``[start, end)``, whatever other sources have."""

    start: int
    end: int
    what: str

    @property
    def minutes(self) -> int:
        """How many minutes it is about."""
        return (self.end - self.start) // MINUTE_MS


@dataclass(frozen=True, slots=True)
class Difference:
    """A stored minute whose values another source states otherwise."""

    open_time: int
    stored_source: Source
    other_source: Source
    values: dict[str, tuple[float, float]]  # field: stored, other; only fields that differ

    @property
    def better(self) -> bool:
        """Whether the other source ranks at least as high, so that a repair takes its values."""
        return self.other_source >= self.stored_source


@dataclass(slots=True)
class Findings:
    """What was checked of one symbol and what was found."""

    symbol: str
    start: int = 0  # ms: what is checked, from the first stored minute on
    end: int = 0
    damaged: Coverage = EMPTY  # minutes of days that can't be read
    restored: Coverage = EMPTY  # those of them that were read again
    minutes: int = 0  # stored rows looked at
    certified: int = 0
    faults: list[Fault] = field(default_factory=list)
    faulty: int = 0  # minutes
    files: int = 0  # archives hashed again and compared
    by_archive: int = 0  # minutes compared
    by_rest: int = 0
    differing: int = 0  # rows, by either comparison
    differences: list[Difference] = field(default_factory=list)
    lost: int = 0  # minutes recorded as stored whose row another source still has
    defects: int = 0  # minutes an archive shows without a trade though REST has them
    repaired: int = 0
    replaced: list[str] = field(default_factory=list)  # archives that are not the ones read before
    unasked: list[str] = field(default_factory=list)  # which source could not be request, and why
    _wrong: set[int] = field(default_factory=set)  # open times of differing rows, not repaired
    _mended: set[int] = field(default_factory=set)

    def fault(self, start: int, end: int, what: str) -> None:
        """Records something wrong with stored minutes.

        Args:
            start: ms, inclusive.
            end: ms, exclusive.
            what: what is wrong.
        """
        self.faulty += (end - start) // MINUTE_MS
        if len(self.faults) < KEPT:
            self.faults.append(Fault(start, end, what))

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong, or all of it was repaired."""
        return self.faulty == self.restored.minutes and not self.lost and self.differing == self.repaired


def check_stored(store: Store, findings: Findings, start: int, end: int) -> None:
    """Checks the store against itself: blocks decode, rows keep every invariant, the record agrees with them.

    Args:
        store: the store.
        findings: receives what is wrong.
        start: ms, inclusive.
        end: ms, exclusive.
    """
    symbol = findings.symbol
    certified = store.certified(symbol)
    present = store.present(symbol)  # read after it: an engine may be adding to both
    for low, high in certified.subtract(present).clip(start, end):
        findings.fault(low, high, "certified, yet not recorded as stored")
    for at in range(start // DAY_MS * DAY_MS, end, 30 * DAY_MS):
        low, high = max(at, start), min(at + 30 * DAY_MS, end)
        # An engine may be writing: what it has just added is in the rows, not yet in this record.
        recorded = store.present(symbol).union(store.damaged_missing(symbol)).clip(low, high)
        rows = store.read(symbol, low, high)
        findings.minutes += len(rows)
        findings.certified += certified.clip(low, high).minutes
        there = Coverage.of_times(rows["open_time"])
        damaged = store.damaged(symbol).intersect(recorded).subtract(there)
        findings.damaged = findings.damaged.union(damaged)
        for a, b in damaged:
            findings.fault(a, b, "the stored day is damaged and can't be read")
        for a, b in recorded.subtract(there).subtract(damaged):
            findings.fault(a, b, "recorded as stored, and not there")
        for a, b in there.subtract(recorded).subtract(store.present(symbol)):
            findings.fault(a, b, "stored, and not recorded as stored")
        for candle in to_candles(rows[faulty(rows)]):
            findings.fault(candle.open_time, candle.open_time + MINUTE_MS, fault_of(candle) or "refused")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows of another source beside the stored ones of the same minutes."""

    stored: Rows
    sources: Sources
    other: Rows
    differs: NDArray[np.bool_]
    lost: Rows  # rows of the other source whose minute is recorded as stored and is not there


def compare(store: Store, findings: Findings, other: Rows, start: int, end: int) -> Comparison:
    """Compares rows with the stored ones, number by number.

    Args:
        store: the store.
        findings: receives what is wrong.
        other: rows of dtype ROW, sorted, unique, valid.
        start: ms, inclusive.
        end: ms, exclusive.

    Returns:
        What differs.
    """
    recorded = store.present(findings.symbol).union(findings.damaged)
    stored, sources = store.read_sourced(findings.symbol, start, end)
    _, ours, theirs = np.intersect1d(
        stored["open_time"], other["open_time"], assume_unique=True, return_indices=True
    )
    absent = np.setdiff1d(np.arange(len(other)), theirs, assume_unique=True)
    lost = other[[i for i in absent.tolist() if int(other["open_time"][i]) in recorded]]
    stored, sources, other = stored[ours], sources[ours], other[theirs]
    differs: NDArray[np.bool_] = stored != other
    return Comparison(stored, sources, other, differs, lost)


def record_differences(
    findings: Findings, found: Comparison, source: Source, wrong: NDArray[np.bool_]
) -> None:
    """Counts rows that differ, each minute once, and keeps the first of them with both values.

    Args:
        findings: receives them.
        found: the comparison.
        source: where the other rows come from.
        wrong: shape (n,), True for the rows of ``found`` that differ.
    """
    findings.lost += Coverage.of_times(found.lost["open_time"]).subtract(findings.damaged).minutes
    for at in np.flatnonzero(wrong).tolist():
        ours, theirs = found.stored[at], found.other[at]
        time = int(ours["open_time"])
        if time not in findings._wrong:
            findings._wrong.add(time)
            findings.differing += 1
        if len(findings.differences) < KEPT:
            values = {n: (ours[n].item(), theirs[n].item()) for n in _FIELDS if ours[n] != theirs[n]}
            findings.differences.append(Difference(time, Source(int(found.sources[at])), source, values))


def record_repair(findings: Findings, open_times: list[int], lost: Rows) -> None:
    """Counts minutes whose stored values were replaced by a better source's, and those restored.

    Args:
        findings: receives them.
        open_times: minutes replaced, ms.
        lost: rows that were missing, dtype ROW.
    """
    fresh = set(open_times) & findings._wrong - findings._mended
    findings._mended |= fresh
    findings.repaired += len(fresh)
    back = Coverage.of_times(lost["open_time"])
    findings.lost -= back.subtract(findings.damaged).minutes
    findings.restored = findings.restored.union(back.intersect(findings.damaged))
