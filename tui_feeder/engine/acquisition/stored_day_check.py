"""Looks at the stored days again and again, so that damage is found while it can still be read anew."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.core.journal import Journal, shortened
from tui_feeder.engine.core.supervisor import OUTSIDE_SECONDS, heartbeat
from tui_feeder.engine.storage.store import DamagedDay, Store
from tui_feeder.time_format import format_day

_AT_ONCE_MS = 30 * DAY_MS
_ROUND_SECONDS = 3_600.0  # between the beginnings of two rounds, at least
_FILES_SECONDS = 5.0
_MB = 1 << 20
_REST = 20  # of the time, this many times as much is spent waiting as looking


class StoredDayCheck:
    """Checks the stored days of the tracked symbols; run it as a part of the engine.

    Args:
        store: open for writing; its losses are reported from here.
        journal: where they are logged.
        workers: threads that read.
        tracked: the symbols, by name.
        on_damaged_day: called on the loop of :meth:`run` for every day that proved to be damaged.
        min_free_bytes: bytes that must be free on its disk.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        workers: ThreadPoolExecutor,
        tracked: Mapping[str, TrackedSymbol],
        on_damaged_day: Callable[[DamagedDay], None],
        min_free_bytes: int,
    ) -> None:
        self._store = store
        self._journal = journal
        self._workers = workers
        self._tracked = tracked
        self._on_damaged_day = on_damaged_day
        self._min_free_bytes = min_free_bytes
        self._files_problem: str | None = None  # what became of the files of the store behind its back
        self._room: str | None = None  # what is wrong with the room on its disk
        self._loop = asyncio.get_running_loop()
        store.on_damaged_day = self._found

    def _found(self, loss: DamagedDay) -> None:
        """On the writer's thread."""
        with contextlib.suppress(RuntimeError):  # the engine has ended: the next start finds them missing
            self._loop.call_soon_threadsafe(self._report, loss)

    def _report(self, loss: DamagedDay) -> None:
        self._journal.count("damaged_days")
        self._journal.note("error", loss.text, loss.symbol)
        self._on_damaged_day(loss)

    async def watch_files(self) -> None:
        """Notice that files of the store are deleted or replaced, or its disk gets full, until cancelled."""
        while True:
            files_problem = self._store.files_problem()
            if files_problem is not None and files_problem != self._files_problem:
                self._journal.note("error", files_problem)
            room = self._low_space()
            if room is not None and self._room is None:
                self._journal.note("warning", room)
            self._files_problem, self._room = files_problem, room
            heartbeat(_FILES_SECONDS)
            await asyncio.sleep(_FILES_SECONDS)

    def _low_space(self) -> str | None:
        try:
            free = shutil.disk_usage(self._store.path).free
        except OSError:
            return f"the directory {self._store.path} cannot be looked at"
        if free >= self._min_free_bytes:
            return None
        return f"{free // _MB} MB are free at {self._store.path}, less than {self._min_free_bytes // _MB} MB"

    def troubles(self) -> dict[str, str]:
        """What is wrong with the store, as :attr:`Snapshot.store_troubles` shows it."""
        found = {}
        if self._room is not None and not self._store.pausing:  # a pause is the graver one
            found["disk"] = self._room
        if self._files_problem is not None:
            found["stored days"] = self._files_problem
        elif damaged := self._store.damaged_days():
            days = [f"{symbol} {format_day(day)}" for symbol, at in damaged.items() for day in at]
            found["stored days"] = f"damaged, being read again: {shortened(days, 3)}"
        return found

    async def _drop_damaged_records(self) -> None:
        """Remove records that are damaged: nothing else would where nobody asks for them any more."""
        found = await self._loop.run_in_executor(self._workers, self._store.damaged_records)
        if not found:
            return
        await asyncio.wrap_future(self._store.drop_damaged_records())
        left = set(await self._loop.run_in_executor(self._workers, self._store.damaged_records))
        if gone := [record for record in found if record not in left]:
            text = f"damaged records of the store, removed and made anew: {shortened(gone, 3)}"
            self._journal.note("warning", text)

    async def run(self) -> None:
        """Look at every record and stored day about once an hour, until cancelled."""
        while True:
            began = time.monotonic()
            heartbeat(works=OUTSIDE_SECONDS)
            await self._drop_damaged_records()
            for symbol in list(self._tracked):
                present = self._store.present(symbol)
                for at in range(present.start, present.end, _AT_ONCE_MS) if present else ():
                    until = min(at + _AT_ONCE_MS, present.end)
                    heartbeat(works=OUTSIDE_SECONDS)
                    looked = time.monotonic()
                    await self._loop.run_in_executor(self._workers, self._store.check, symbol, at, until)
                    pause = _REST * (time.monotonic() - looked)
                    heartbeat(pause)
                    await asyncio.sleep(pause)
            pause = max(1.0, _ROUND_SECONDS - (time.monotonic() - began))
            heartbeat(pause)
            await asyncio.sleep(pause)
