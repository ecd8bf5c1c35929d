"""The leaf of a symbol's day: what its minutes were, and where from, as one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from itertools import groupby
from typing import NamedTuple, TypeAlias

import numpy as np

from tui_feeder.engine.core.archive_file import FileKind, file_of
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, MINUTES_PER_DAY, Source
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.exchanges.base import MarketFacts
from tui_feeder.engine.proof.canonical import (
    NONE_AT_EXCHANGE,
    UNAVAILABLE,
    canonical_bytes,
    canonical_lines,
    locator,
    state_counts,
)
from tui_feeder.engine.storage.codec import Sources
from tui_feeder.engine.storage.records import FileRecord
from tui_feeder.engine.storage.store_reader import StoreReader
from tui_feeder.time_format import format_day, format_second
from tui_feeder.version import __version__

_FORMAT = 1
_TEXT_AT = 5  # in a canonical line: what follows its time and comma
_WINDOWS = 24  # of REST in a leaf
_ARCHIVES = ((Source.ARCHIVE_MONTH, FileKind.MONTH), (Source.ARCHIVE_DAY, FileKind.DAY))

#: What others know of a symbol's day (symbol, midnight in ms), by field of the leaf: whole numbers, texts,
#: and mappings and lists of them; and what is lacking for now, for which the leaf waits: "" where nothing is.
MoreEvidence: TypeAlias = Callable[[str, int], tuple[Mapping[str, object], str]]


class ArchiveEvidence(NamedTuple):
    """The file that a day was compared with."""

    path: str
    record: FileRecord
    source: Source  # of the minutes that are its own


class DayEvidence(NamedTuple):
    """A symbol's day as it is stored now."""

    lines: list[bytes]  # canonical
    digest: str  # SHA-256 of the canonical bytes, hex
    archive: ArchiveEvidence | None  # None where it was not compared with a file
    sources: Sources  # of each minute of the day, 0 where it has none, shape (1440,)
    empty: bool  # no minute of it is stored
    missing: Coverage  # minutes that may still come
    damaged: bool  # some of it cannot be read, and is read again


def leaf_name(facts: MarketFacts, symbol: str) -> str:
    """Names a symbol among the leaves of a head, which are sorted by it.

    Args:
        facts: of its market.
        symbol: its name here.

    Returns:
        ``market/SYMBOL``.
    """
    return f"{facts.name}/{_bare(symbol)}"


def _bare(symbol: str) -> str:
    return symbol.rpartition(":")[2]


def evidence_of(store: StoreReader, facts: MarketFacts | None, symbol: str, day: int) -> DayEvidence:
    """Reads a symbol's day.

    Args:
        store: the store.
        facts: of its market; None where its archive does not matter.
        symbol: the symbol.
        day: midnight, ms.

    Returns:
        What is stored of it.
    """
    end = day + DAY_MS
    rows, row_sources = store.read_sourced(symbol, day, end)
    listed, delivery = store.listed(symbol), store.delivery(symbol)
    outside = span(day, min(end, listed or 0)).union(span(max(day, delivery or end), end))
    none = store.omitted(symbol).clip(day, end).union(outside)
    unavailable = EMPTY
    for known in store.unavailable(symbol):
        unavailable = unavailable.union(span(known.start, known.end).clip(day, end))
    there = Coverage.of_times(rows["open_time"])
    sources = np.zeros(MINUTES_PER_DAY, dtype=np.uint8)
    sources[(rows["open_time"] - day) // MINUTE_MS] = row_sources
    lines = canonical_lines(day, rows, ((UNAVAILABLE, unavailable), (NONE_AT_EXCHANGE, none)))
    return DayEvidence(
        lines,
        sha256(canonical_bytes(lines)).hexdigest(),
        _archive(store, facts, symbol, day, sources),
        sources,
        not len(rows),
        span(day, end).subtract(there).subtract(none).subtract(unavailable),
        bool(store.damaged(symbol).clip(day, end)),
    )


def _archive(
    store: StoreReader, facts: MarketFacts | None, symbol: str, day: int, sources: Sources
) -> ArchiveEvidence | None:
    if facts is None or facts.archive_path is None:
        return None
    for source, kind in _ARCHIVES:
        if (sources == source).any():
            path = facts.archive_path(file_of(day, kind), symbol)
            if (record := store.file(path)) is not None:
                return ArchiveEvidence(path, record, source)
    return None


def make_leaf(
    store: StoreReader,
    facts: MarketFacts,
    symbol: str,
    day: int,
    found: DayEvidence,
    revision: int,
    more: Mapping[str, object],
) -> bytes:
    """Makes the leaf of a symbol's day.

    Args:
        store: the store.
        facts: of its market.
        symbol: the symbol.
        day: midnight, ms.
        found: of :func:`evidence_of`.
        revision: 1, or one more than that of the leaf it replaces.
        more: what others know of the day, see :data:`MoreEvidence`.

    Returns:
        JSON, see :func:`canonical_json`.
    """
    named = {source.name.partition("_")[0].lower(): 0 for source in Source}
    for source in Source:
        named[source.name.partition("_")[0].lower()] += int((found.sources == source).sum())
    leaf: dict[str, object] = {
        **more,
        "version": _FORMAT,
        "feeder": __version__,
        "market": facts.name,
        "symbol": _bare(symbol),
        "day": format_day(day),
        "revision": revision,
        "canonical": found.digest,
        "locator": locator(found.lines),
        "counts": state_counts(found.lines),
        "sources": {
            "archive": None if found.archive is None else _archive_fields(found.archive),
            "minutes": {name: count for name, count in named.items() if count},
            "rest": _rest_windows(store, symbol, day, found.sources),
        },
    }
    if found.archive is not None and (other := _otherwise(found.lines, found.sources, found.archive.source)):
        leaf["other"] = other
    if facts.contract_size is not None:
        size = store.contract_size(symbol) or facts.contract_size(_bare(symbol))
        leaf["contract_size"] = f"{size:.17g}"
    return canonical_json(leaf)


def _archive_fields(archive: ArchiveEvidence) -> dict[str, object]:
    record = archive.record
    return {
        "path": archive.path,
        "sha256": record.sha256,
        "checksum": record.checksum,
        "etag": record.etag,
        "last_modified": record.last_modified,
        "read": format_moment(record.read_at),
    }


def _otherwise(lines: list[bytes], sources: Sources, archive: Source) -> list[list[object]]:
    """Runs of minutes that are not the archive's: first minute of the day, end, and what their lines have."""
    own = (sources == archive).tolist()
    if all(own):
        return []
    texts = [b"" if of_archive else line[_TEXT_AT:] for line, of_archive in zip(lines, own, strict=True)]
    runs: list[list[object]] = []
    at = 0
    for text, same in groupby(texts):
        count = len(list(same))
        if text:
            runs.append([at, at + count, text.decode()])
        at += count
    return runs


def _rest_windows(store: StoreReader, symbol: str, day: int, sources: Sources) -> list[list[object]]:
    """Of the minutes that REST gave: windows (first minute of the day, end) and when they were read."""
    given = np.flatnonzero(sources == Source.REST)
    if not len(given):
        return []
    minutes = Coverage.of_times(day + given * MINUTE_MS)
    found = []
    for read in store.rest_reads(symbol):
        for start, end in minutes.clip(read.start, read.end):
            found.append([(start - day) // MINUTE_MS, (end - day) // MINUTE_MS, format_moment(read.at)])
    return found[-_WINDOWS:]


def canonical_json(content: object) -> bytes:
    """Writes an object so that equal ones have equal bytes.

    Args:
        content: texts, whole numbers, None, and lists and mappings of them.

    Returns:
        JSON in UTF-8: keys sorted, no blanks.
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def format_moment(ms: int) -> str:
    """Formats a moment as ``2026-02-02T08:41:07Z``.

    Args:
        ms: the moment.

    Returns:
        The second in which it lies.
    """
    return format_second(ms).replace(" ", "T")
