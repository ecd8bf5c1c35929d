"""Writes the partitions of past days, and for each day a manifest of its symbols and their digests."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from tui_feeder.atomic_write import atomic_write
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.clock import ExchangeClock
from tui_feeder.engine.core.decoding import UNREADABLE
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.core.supervisor import OUTSIDE_SECONDS, heartbeat
from tui_feeder.engine.partitions.day_file import encode_partition, partition_path
from tui_feeder.engine.storage.store_reader import StoreReader
from tui_feeder.time_format import format_day

#: A day is written so long after its end: by then REST has confirmed its last minutes.
_AFTER_MS = 60 * MINUTE_MS
#: A day that lacks minutes still is written after so many days, with their states.
_WAIT_DAYS = 7
#: Days before today that are looked at, and of them those that no manifest names yet.
_DAYS = 30
_ROUND_SECONDS = 60.0
#: Between two files, s: what is written is not urgent, and holds nobody up.
_REST_SECONDS = 0.05


class Partition(msgspec.Struct, frozen=True):
    """A symbol's day in a manifest."""

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
    """Which symbols existed on a day, and the files of their minutes."""

    day: str
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
    """

    def __init__(
        self,
        folder: Path,
        store: StoreReader,
        clock: ExchangeClock,
        journal: Journal,
        workers: ThreadPoolExecutor,
        symbols: Callable[[], Iterable[str]],
    ) -> None:
        self._folder = folder
        self._store = store
        self._clock = clock
        self._journal = journal
        self._workers = workers
        self._symbols = symbols
        self._writing = threading.Lock()
        self._editions: dict[int, dict[str, int]] = {}  # by day (ms) and symbol, of the files that are there

    def write(self, symbol: str, day: int) -> Partition | None:
        """Writes a symbol's day unless its file is there and still right. Blocks.

        Args:
            symbol: the symbol.
            day: midnight, ms.

        Returns:
            What the day's manifest has of it; None where the symbol had no minute on that day.

        Raises:
            OSError: it cannot be written.
        """
        with self._writing:
            manifest = read_manifest(self._folder, day)
            edition = self._store.edition(symbol)
            known = manifest.symbols.get(symbol)
            if known is not None and known.edition == edition and (self._folder / known.path).is_file():
                return known
            content, minutes = encode_partition(self._store, symbol, day)
            if not minutes.keys() - {"missing"}:
                return None
            path = partition_path(symbol, day)
            (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._folder / path) as target:
                target.write(content)
            made = Partition(
                path.as_posix(), hashlib.sha256(content).hexdigest(), len(content), minutes, edition
            )
            symbols = dict(sorted({**manifest.symbols, symbol: made}.items()))
            _write_manifest(self._folder, day, Manifest(manifest.day, symbols))
            self._journal.count("partitions_written")
            return made

    async def run(self) -> None:
        """Write every complete past day of the symbols, and again what was replaced, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            days = self._days()
            self._editions = {day: self._editions[day] for day in days if day in self._editions}
            for day in days:
                heartbeat(_REST_SECONDS, OUTSIDE_SECONDS)
                if day not in self._editions:
                    self._editions[day] = await loop.run_in_executor(self._workers, self._known, day)
                known = self._editions[day]
                for symbol in list(self._symbols()):
                    edition = self._store.edition(symbol)
                    if known.get(symbol) != edition and self._is_due(symbol, day):
                        heartbeat(_REST_SECONDS, OUTSIDE_SECONDS)
                        _, failed = await loop.run_in_executor(self._workers, self.try_to_write, symbol, day)
                        if not failed:
                            known[symbol] = edition
                        await asyncio.sleep(_REST_SECONDS)
                await asyncio.sleep(0)  # 600 symbols are compared in a millisecond or two
            heartbeat(_ROUND_SECONDS)
            await asyncio.sleep(_ROUND_SECONDS)

    def _known(self, day: int) -> dict[str, int]:
        """The editions of the symbols whose files of a day are there."""
        return {
            symbol: partition.edition
            for symbol, partition in read_manifest(self._folder, day).symbols.items()
            if (self._folder / partition.path).is_file()
        }

    def _days(self) -> list[int]:
        last = (self._clock.now() - _AFTER_MS) // DAY_MS * DAY_MS
        return list(range(last - _DAYS * DAY_MS, last, DAY_MS))

    def _is_due(self, symbol: str, day: int) -> bool:
        stored = self._store.settled(symbol).clip(day, day + DAY_MS)
        if not stored:
            return False
        whole = stored.minutes == DAY_MS // MINUTE_MS or self._begins(symbol, day) == stored.intervals[0]
        return whole or self._clock.now() >= day + (_WAIT_DAYS + 1) * DAY_MS

    def _begins(self, symbol: str, day: int) -> tuple[int, int] | None:
        """All minutes there can be on a day in which the symbol was listed or delivered."""
        low, high = self._store.listed(symbol), self._store.delivery(symbol)
        if (low is None or low <= day) and (high is None or high >= day + DAY_MS):
            return None
        return max(day, low or day), min(day + DAY_MS, high or day + DAY_MS)

    def try_to_write(self, symbol: str, day: int) -> tuple[Partition | None, bool]:
        """Does what :meth:`write` does; where a file cannot be written, that is noted in the journal.

        Args:
            symbol: the symbol.
            day: midnight, ms.

        Returns:
            What :meth:`write` gives, and whether it failed.
        """
        try:
            return self.write(symbol, day), False
        except OSError as error:
            text = f"the partition of {format_day(day)} could not be written: {error}; tried again"
            self._journal.fault("partitions_failed", text, symbol)
            return None, True


def read_manifest(folder: Path, day: int) -> Manifest:
    """Reads the manifest of a day.

    Args:
        folder: of the partitions.
        day: midnight, ms.

    Returns:
        The manifest; an empty one where there is none, or none that can be read.
    """
    try:
        return msgspec.json.decode(_manifest_path(folder, day).read_bytes(), type=Manifest)
    except (OSError, *UNREADABLE):
        return Manifest(format_day(day), {})


def _manifest_path(folder: Path, day: int) -> Path:
    return folder / "manifest" / f"{format_day(day)}.json"


def _write_manifest(folder: Path, day: int, manifest: Manifest) -> None:
    path = _manifest_path(folder, day)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as target:
        target.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
