"""Signs a day of many symbols: compares each with its archive, makes its leaf, and appends the head."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

from tui_feeder.engine.core.archive_file import FileKind, file_of
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.core.supervisor import OUTSIDE_SECONDS, heartbeat
from tui_feeder.engine.exchanges.base import MarketFacts
from tui_feeder.engine.proof.canonical import differing_places
from tui_feeder.engine.proof.folder import HeadPlace, ProofWriter, Replaced, SignedLeaf
from tui_feeder.engine.proof.leaf import MoreEvidence, evidence_of, format_moment, leaf_name, make_leaf
from tui_feeder.engine.storage.store_reader import StoreReader
from tui_feeder.time_format import format_day

_T = TypeVar("_T")
#: A day whose archive has not come, or of which minutes are missing, is signed all the same after so long.
PATIENCE_MS = 7 * DAY_MS
#: A day's first head waits for the last symbols so long after the day's end; they come with another head.
_TOGETHER_MS = 2 * DAY_MS
_LEAVES = 10  # that are read at once: others need the interpreter too
_NO_ARCHIVE, _MISSING, _DAMAGED = "no archive file yet", "minutes are missing", "stored day is damaged"


@dataclass(slots=True)
class SigningResult:
    """What signing a day came to."""

    head: HeadPlace | None = None  # None where nothing was signed
    signed: int = 0  # leaves of days that had none
    corrected: int = 0  # leaves in the place of earlier ones
    waiting: dict[str, str] = field(default_factory=dict)  # symbols that cannot be signed yet, and why
    settled: list[str] = field(default_factory=list)  # symbols whose day is signed as it is stored, or empty


class _Examined(NamedTuple):
    """What there is to do about a symbol's day."""

    leaf: bytes | None = None
    replaces: Replaced | None = None
    waits: str = ""
    uncompared: bool = False  # its archive should be there, and was not read yet


class DaySigner:
    """Signs days of a store.

    Args:
        store: what is signed.
        facts: of the market of a symbol.
        now: exchange time, ms.
        writer: where heads are appended.
        workers: the thread for computing in bulk.
        compare: reads the archive of a symbol's day (midnight, ms) into the store.
        concurrency: of ``compare``.
        more: what others know of a symbol's day.
        rest: of the processor time spent, so many times as much is spent waiting: others compute too.
        busy: gives for how long (s) nothing may be begun, as others have to compute in time.
        on_symbol: called after each symbol.
    """

    def __init__(
        self,
        store: StoreReader,
        facts: Callable[[str], MarketFacts],
        now: Callable[[], int],
        writer: ProofWriter,
        workers: Executor,
        compare: Callable[[str, int], Awaitable[object]],
        *,
        concurrency: int,
        more: MoreEvidence = lambda _symbol, _day: ({}, ""),
        rest: float = 0.0,
        busy: Callable[[], float] = lambda: 0.0,
        on_symbol: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._facts = facts
        self._now = now
        self._writer = writer
        self._workers = workers
        self._compare = compare
        self._slots = asyncio.Semaphore(concurrency)
        self._more = more
        self._rest = rest
        self._busy = busy
        self._on_symbol = on_symbol

    async def sign(
        self, day: int, symbols: Sequence[str], *, together: bool, reason: str = ""
    ) -> SigningResult:
        """Signs what is ready of a day, and corrects leaves of which the stored minutes are others now.

        Args:
            day: midnight, ms; it is over.
            symbols: whose.
            together: nothing is signed while symbols are waited for, for two days after the day's end.
            reason: of corrections; without one it names the minutes and fields that changed.

        Returns:
            What was done.

        Raises:
            ProofFolderError: the folder cannot be read or written.
        """
        name = format_day(day)
        signed = await self._signed(name)
        result, leaves, replaces = SigningResult(), dict[str, bytes](), list[Replaced]()
        uncompared = await self._examine(day, symbols, signed, reason, result, leaves, replaces, again=False)
        if uncompared:
            await self._compare_all(uncompared, day)
            await self._examine(day, uncompared, signed, reason, result, leaves, replaces, again=True)
        hold = together and result.waiting and self._now() < day + DAY_MS + _TOGETHER_MS
        if not leaves or (hold and not replaces):
            result.settled = [symbol for symbol in result.settled if self._name(symbol) not in leaves]
            return result
        append = partial(self._writer.append, name, leaves, format_moment(self._now()), replaces)
        result.head = await self._in_thread(append)
        result.corrected, result.signed = len(replaces), len(leaves) - len(replaces)
        return result

    async def _signed(self, day: str) -> dict[str, SignedLeaf]:
        """The last leaf of each name; no more of them at once than are read within about 1 ms."""
        found = dict[str, SignedLeaf]()
        leaves = await self._in_thread(partial(self._writer.leaves_of, day))
        while some := await self._in_thread(lambda: list(islice(leaves, _LEAVES))):
            found.update({leaf.name: leaf for leaf in some})
        return found

    def _name(self, symbol: str) -> str:
        return leaf_name(self._facts(symbol), symbol)

    async def _examine(
        self,
        day: int,
        symbols: Sequence[str],
        signed: Mapping[str, SignedLeaf],
        reason: str,
        result: SigningResult,
        leaves: dict[str, bytes],
        replaces: list[Replaced],
        *,
        again: bool,
    ) -> list[str]:
        """Makes the leaves that can be made; which symbols must be compared with their archive first."""
        uncompared = []
        for symbol in symbols:
            before = signed.get(self._name(symbol))
            found = await self._in_thread(partial(self._examined, symbol, day, before, reason))
            if found.uncompared and not again:
                uncompared.append(symbol)
                continue
            self._on_symbol()
            if found.leaf is not None:
                leaves[self._name(symbol)] = found.leaf
            if found.replaces is not None:
                replaces.append(found.replaces)
            if found.waits:
                result.waiting[symbol] = found.waits
            else:
                result.settled.append(symbol)
        return uncompared

    def _examined(self, symbol: str, day: int, before: SignedLeaf | None, reason: str) -> _Examined:
        """In the worker thread: about 10 ms, of which no step holds the interpreter for more than one."""
        facts, late = self._facts(symbol), self._now() >= day + DAY_MS + PATIENCE_MS
        found = evidence_of(self._store, facts, symbol, day)
        if found.damaged:
            return _Examined(waits=_DAMAGED)
        if before is not None and before.fields["canonical"] == found.digest:
            return _Examined()
        if found.empty and before is None:
            return _Examined()
        published = facts.archive_published
        file = file_of(day, FileKind.DAY)
        uncompared = found.archive is None and published is not None and published(file) <= self._now()
        if found.archive is None and not late:
            return _Examined(waits=_NO_ARCHIVE, uncompared=uncompared)
        if found.missing and not late:
            return _Examined(waits=_MISSING)
        more, lacking = self._more(symbol, day)
        if lacking and not late:
            return _Examined(waits=lacking)
        revision = 1 if before is None else before.revision + 1
        leaf = make_leaf(self._store, facts, symbol, day, found, revision, more)
        if before is None:
            return _Examined(leaf, uncompared=uncompared)
        places = differing_places(found.lines, before.fields["locator"])
        why = reason or f"stored values were replaced: {places}"
        return _Examined(leaf, Replaced(before.hash, before.name, why))

    async def _compare_all(self, symbols: Sequence[str], day: int) -> None:
        async def compare(symbol: str) -> None:
            async with self._slots:
                heartbeat(works=OUTSIDE_SECONDS)
                await self._compare(symbol, day)

        async with asyncio.TaskGroup() as group:
            for symbol in symbols:
                group.create_task(compare(symbol))

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        if (pause := self._busy()) > 0:
            heartbeat(pause, OUTSIDE_SECONDS)
            await asyncio.sleep(pause)
        heartbeat(works=OUTSIDE_SECONDS)
        found, seconds = await asyncio.get_running_loop().run_in_executor(self._workers, _timed, work)
        if self._rest:
            await asyncio.sleep(self._rest * seconds)
        return found


def _timed(work: Callable[[], _T]) -> tuple[_T, float]:
    """What some work gives, and the processor time of it, s: not what it waited for others."""
    began = time.thread_time()
    found = work()
    return found, time.thread_time() - began
