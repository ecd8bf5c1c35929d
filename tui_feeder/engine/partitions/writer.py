"""Writes the partitions of past days or months, and for each a manifest of its symbols and their digests."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from tui_feeder.atomic_write import atomic_write
from tui_feeder.engine.core.archive_file import FileKind, file_of
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.coverage import span
from tui_feeder.engine.core.decoding import UNREADABLE
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.supervisor import OUTSIDE_SECONDS, heartbeat
from tui_feeder.engine.partitions.day_file import encode_partition, partition_path, period_name
from tui_feeder.engine.storage.store_reader import StoreReader

#: A day or month is written so long after its end: by then REST has confirmed its last minutes.
_AFTER_MS = 60 * MINUTE_MS
#: One that lacks minutes still is written after so many days, with their states.
_WAIT_MS = 7 * DAY_MS
#: Days before today, and months before this one, that are looked at.
_DAYS, _MONTHS = 30, 2
_ROUND_SECONDS = 60.0
#: Between two files, s: what is written is not urgent, and holds nobody up.
_REST_SECONDS = 0.05


class Partition(msgspec.Struct, frozen=True):
    """A symbol's day or month in a manifest."""

    path: str
    """Below the folder of partitions."""
    sha256: str
    """Of the file."""
    bytes: int
    minutes: dict[str, int]
    """Minutes by state."""
    edition: int
    """The store's edition of the symbol when it was written: another one means that values were replaced."""


class Manifest(msgspec.Struct, frozen=True):
    """Which symbols existed on a day or in a month, and the files of their minutes."""

    day: str
    """``2026-02-01``, or ``2026-02``."""
    symbols: dict[str, Partition]


class PartitionWriter:
    """Writes partitions; run it as a part of the engine. :meth:`write` may be called from any thread.

    Args:
        folder: of the partitions.
        store: what is written.
        clock: exchange time.
        journal: counts ``partitions_written``.
        workers: the thread for computing in bulk.
        symbols: gives the symbols to write.
        kind: whether a file has a day or a month.
    """

    def __init__(
        self,
        folder: Path,
        store: StoreReader,
        clock: ExchangeClock,
        journal: Journal,
        workers: ThreadPoolExecutor,
        symbols: Callable[[], Iterable[str]],
        kind: FileKind = FileKind.DAY,
    ) -> None:
        self._folder = folder
        self._store = store
        self._clock = clock
        self._journal = journal
        self._workers = workers
        self._symbols = symbols
        self._kind = kind
        self._writing = threading.Lock()
        self._editions: dict[int, dict[str, int]] = {}  # by beginning (ms) and symbol, of the files there

    def write(self, symbol: str, start: int) -> Partition | None:
        """Writes a symbol's day or month unless its file is there and still right. Blocks.

        Args:
            symbol: the symbol.
            start: the first minute, ms.

        Returns:
            What the manifest has of it; None where the symbol had no minute then.

        Raises:
            OSError: it cannot be written.
        """
        with self._writing:
            manifest = self._manifest(start)
            edition = self._store.edition(symbol)
            known = manifest.symbols.get(symbol)
            there = known is not None and (self._folder / known.path).is_file()
            if known is not None and there and known.edition == edition:
                return known
            content, minutes = encode_partition(self._store, symbol, start, self._kind)
            if not minutes.keys() - {"missing"}:
                return None
            path = partition_path(symbol, start, self._kind)
            digest = hashlib.sha256(content).hexdigest()
            if not there or known is None or known.sha256 != digest:  # minutes of other days were replaced
                (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(self._folder / path) as target:
                    target.write(content)
                self._journal.count("partitions_written")
            made = Partition(path.as_posix(), digest, len(content), minutes, edition)
            symbols = dict(sorted({**manifest.symbols, symbol: made}.items()))
            _write_manifest(self._folder, Manifest(manifest.day, symbols))
            return made

    def _manifest(self, start: int) -> Manifest:
        return read_manifest(self._folder, start, self._kind)

    async def run(self) -> None:
        """Write what is over and complete of the symbols, and again what was replaced, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            starts = self._starts()
            self._editions = {start: self._editions[start] for start in starts if start in self._editions}
            for start in starts:
                heartbeat(_REST_SECONDS, OUTSIDE_SECONDS)
                if start not in self._editions:
                    self._editions[start] = await loop.run_in_executor(self._workers, self._known, start)
                known = self._editions[start]
                for symbol in list(self._symbols()):
                    edition = self._store.edition(symbol)
                    if known.get(symbol) != edition and self._is_due(symbol, start):
                        heartbeat(_REST_SECONDS, OUTSIDE_SECONDS)
                        _, failed = await loop.run_in_executor(
                            self._workers, self.try_to_write, symbol, start
                        )
                        if not failed:
                            known[symbol] = edition
                        await asyncio.sleep(_REST_SECONDS)
                await asyncio.sleep(0)  # 600 symbols are compared in a millisecond or two
            heartbeat(_ROUND_SECONDS)
            await asyncio.sleep(_ROUND_SECONDS)

    def _known(self, start: int) -> dict[str, int]:
        """The editions of the symbols whose files of a day or month are there."""
        return {
            symbol: partition.edition
            for symbol, partition in self._manifest(start).symbols.items()
            if (self._folder / partition.path).is_file()
        }

    def _starts(self) -> list[int]:
        """The days or months (ms) to look at, in their order."""
        last = file_of((self._clock.now() - _AFTER_MS) // DAY_MS * DAY_MS, self._kind).start
        if self._kind is FileKind.DAY:
            return list(range(last - _DAYS * DAY_MS, last, DAY_MS))
        starts = [last]
        for _ in range(_MONTHS):
            starts.insert(0, file_of(starts[0] - DAY_MS, self._kind).start)
        return starts[:-1]

    def _is_due(self, symbol: str, start: int) -> bool:
        end = file_of(start, self._kind).end
        stored = self._store.settled(symbol).clip(start, end)
        if not stored:
            return False
        low, high = self._store.listed(symbol) or start, self._store.delivery(symbol) or end
        whole = stored == span(max(start, low), min(end, high))
        return whole or self._clock.now() >= end + _WAIT_MS

    def try_to_write(self, symbol: str, start: int) -> tuple[Partition | None, bool]:
        """Does what :meth:`write` does; where a file cannot be written, that is noted in the journal.

        Args:
            symbol: the symbol.
            start: the first minute, ms.

        Returns:
            What :meth:`write` gives, and whether it failed.
        """
        try:
            return self.write(symbol, start), False
        except OSError as error:
            name = period_name(start, self._kind)
            text = f"the partition of {name} could not be written: {error}; tried again"
            self._journal.fault("partitions_failed", text, symbol)
            return None, True


def read_manifest(folder: Path, start: int, kind: FileKind = FileKind.DAY) -> Manifest:
    """Reads the manifest of a day or month.

    Args:
        folder: of the partitions.
        start: its first minute, ms.
        kind: which of both it is.

    Returns:
        The manifest; an empty one where there is none, or none that can be read.
    """
    name = period_name(start, kind)
    try:
        return msgspec.json.decode(_manifest_path(folder, name).read_bytes(), type=Manifest)
    except (OSError, *UNREADABLE):
        return Manifest(name, {})


def _manifest_path(folder: Path, name: str) -> Path:
    return folder / "manifest" / f"{name}.json"


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    path = _manifest_path(folder, manifest.day)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as target:
        target.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
