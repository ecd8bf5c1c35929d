"""Fetching what is missing: executes the plan, source by source, until nothing more can be had."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np

from tui_feeder.engine.acquisition.download_plan import Plan, make_plan, rest_pages
from tui_feeder.engine.acquisition.fill_progress import FillProgress
from tui_feeder.engine.acquisition.quarantine import Quarantine
from tui_feeder.engine.core import zero_volume as zeros
from tui_feeder.engine.core.archive_file import File, FileKind
from tui_feeder.engine.core.candle import (
    DAY_MS,
    MINUTE_MS,
    MINUTES_PER_DAY,
    SECOND_MS,
    Rows,
    Source,
    faulty,
)
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.core.event_names import event_name
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.exchanges.base import (
    ArchiveError,
    ArchiveRows,
    Exchange,
    Page,
    Refusal,
    RestError,
)
from tui_feeder.engine.storage.rest_reads import RestRead
from tui_feeder.engine.storage.store import FileRecord, Store, Written

_REST_TRIES = 3
#: Archives whose rows are in memory at once are so many more than those that are downloaded at once.
_FILES_AHEAD = 2
#: Of a line that is no candle, the bytes that are kept.
_TEXT_KEPT = 500
#: A minute read by REST before it is final is kept, not yet certified. The clock may be wrong about what is
#: over, or step. So certifying takes more: the answer shows that many minutes after it, by which the exchange
#: itself shows that it ended more than a minute ago; or all this time passed.
_PROOF_MINUTES, _PROOF_MS = 2, 10 * MINUTE_MS


@dataclass(slots=True)
class FillResult:
    """What a fill came to."""

    got: Coverage = EMPTY
    absent: Coverage = EMPTY  # every source was asked and none has it
    omitted: Coverage = EMPTY  # archive and REST both skip it: the exchange has no candle, for good
    archive_skips: Coverage = EMPTY  # what files lack whose checksums agreed
    failed: Coverage = EMPTY  # a source refused: worth another try
    unconfirmed: Coverage = EMPTY  # read so soon after their end that they may still change
    kind: Refusal | None = None  # of the last request that was refused
    reason: str = ""  # of the last failure
    changed: list[int] = field(default_factory=list)  # open times whose stored values were replaced
    restored: int = 0  # minutes of damaged days that came back with the values they had


class History:
    """Fills missing minutes of a symbol from archives and REST into the store.

    Args:
        exchange: what is asked.
        store: where it goes.
        journal: what went wrong is reported there.
        workers: the thread for computing in bulk.
        monthly_threshold_months: length of a missing range from which monthly files are used.
        concurrency: archives of one symbol under way at once.
        on_archive: called for each archive that was asked for: its symbol, whether it was read, and what was
            wrong with it or odd, "" when nothing.
    """

    def __init__(
        self,
        exchange: Exchange,
        store: Store,
        journal: Journal,
        workers: Executor,
        *,
        monthly_threshold_months: int,
        concurrency: int = 4,
        on_archive: Callable[[str, bool, str], None] = lambda *_: None,
    ) -> None:
        self._exchange = exchange
        self._store = store
        self._journal = journal
        self._workers = workers
        self._now = exchange.clock.now
        self._threshold = monthly_threshold_months
        self._concurrency = concurrency
        self._on_archive = on_archive
        self._in_memory = asyncio.Semaphore(concurrency + _FILES_AHEAD)  # files whose rows are held
        self.shared_zeros = zeros.SharedZeros()
        #: Of candles that break an invariant.
        self.quarantine = Quarantine(store, journal)

    async def listed_start(self, symbol: str, start: int) -> int | None:
        """Cuts a wanted start at the listing of a symbol; asks for it where the store does not know it.

        Args:
            symbol: its name.
            start: first minute wanted, ms.

        Returns:
            ``start``, or the first minute the exchange has after it; None where it has none.

        Raises:
            RestError: the exchange could not be asked.
        """
        listed = self._store.listed(symbol)
        if listed is None or listed > start:
            listed = await self._exchange.first_minute(symbol, start)
            if listed is None:
                return None
            if listed > start:
                await asyncio.wrap_future(self._store.set_listed(symbol, listed))
        return max(start, listed)

    async def fill(
        self, symbol: str, missing: Coverage, tracker: FillProgress, *, urgent: bool = False
    ) -> FillResult:
        """Fetches missing minutes into the store, cheapest source first.

        One bad file or refused request never discards the others: its span falls through to the next
        source, and is reported if that fails too.

        Args:
            symbol: the symbol.
            missing: closed minutes.
            tracker: receives the progress.
            urgent: live repair: may use the weight reserved for it.

        Returns:
            What was fetched, what is left, and why.
        """
        done = FillResult()
        barred: dict[FileKind, Coverage] = {FileKind.MONTH: EMPTY, FileKind.DAY: EMPTY}
        left = missing
        published = self._exchange.facts(symbol).archive_published
        while left:
            plan = make_plan(
                left,
                now=self._now(),
                published=published,
                monthly_threshold_months=self._threshold,
                without=barred,
            )
            tracker.files_total = tracker.files_done + len(plan.files)
            # Files first: what they lack joins the REST part of the next round.
            if plan.files:
                await self._fetch_files(symbol, plan, barred, tracker, done)
                left = missing.subtract(done.got)
                continue
            tracker.source = "REST"
            await self._fetch_pages(symbol, plan.rest, tracker, done, urgent)
            left = missing.subtract(done.got).subtract(done.absent).subtract(done.failed)
        if done.absent and self._exchange.facts(symbol).omits_minutes:
            await self._settle_omitted(symbol, tracker, done)
        return done

    async def _settle_omitted(self, symbol: str, tracker: FillProgress, done: FillResult) -> None:
        """Records what the archive skips as REST does: the exchange has no candle of it, for good."""
        published = self._exchange.facts(symbol).archive_published
        for start, end in done.absent.subtract(done.archive_skips):
            for day in range(start // DAY_MS * DAY_MS, end, DAY_MS):
                file = File(day, day + DAY_MS, FileKind.DAY)
                if published is None or published(file) > self._now():
                    continue
                if (unsure := await self._read_file(symbol, file, tracker, done)) is not None:
                    await self._confirm_zero_volume(symbol, *unsure, tracker, done)
        done.absent = done.absent.subtract(done.got)
        if omitted := done.absent.intersect(done.archive_skips):
            await asyncio.wrap_future(self._store.set_omitted(symbol, omitted))
            done.absent, done.omitted = done.absent.subtract(omitted), omitted
            self._journal.count("minutes_none_at_exchange", omitted.minutes)
            text = f"{omitted.minutes} minutes are none at the exchange: archive and REST both skip them"
            self._journal.note("info", text, symbol)

    async def _fetch_files(
        self,
        symbol: str,
        plan: Plan,
        barred: dict[FileKind, Coverage],
        tracker: FillProgress,
        done: FillResult,
    ) -> None:
        waiting = list(reversed(plan.files))

        async def work() -> None:
            while waiting:
                file = waiting.pop()
                tracker.source = file.kind.value
                # Tried once is tried: whatever it lacks is planned without this kind of file.
                barred[file.kind] = barred[file.kind].union(span(file.start, file.end))
                async with self._in_memory:
                    unsure = await self._read_file(symbol, file, tracker, done)
                tracker.files_done += 1
                if unsure is not None:
                    await self._confirm_zero_volume(symbol, *unsure, tracker, done)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._concurrency, len(waiting))):
                group.create_task(work())

    async def _read_file(
        self, symbol: str, file: File, tracker: FillProgress, done: FillResult
    ) -> tuple[Rows, Coverage] | None:
        """Fetch a file into the store; the rows and minutes REST must confirm before they are believed."""
        try:
            found = await self._exchange.read_archive(
                file, symbol, lambda n: setattr(tracker, "bytes_done", tracker.bytes_done + n)
            )
        except ArchiveError as error:
            self._on_archive(symbol, False, str(error))
            self._journal.count("archive_files_missing" if error.missing else "archive_files_refused")
            if not error.missing:
                self._journal.note("warning", f"{error}; the next source is asked", symbol)
            return None
        self._on_archive(symbol, True, found.note)
        if found.note:
            self._journal.note("warning", found.note, symbol)
        source = file.source(checked=found.checked)
        self._record_file(symbol, found)
        for line in found.refused:
            text = line.text[:_TEXT_KEPT].decode(errors="replace")
            self.quarantine.record(symbol, line.open_time, source, line.reason, text)
        rows, bad, doubted = await asyncio.get_running_loop().run_in_executor(
            self._workers, _examine, found.rows, file
        )
        if len(bad):
            self.quarantine.rows(symbol, bad, source)
        if found.checked:
            # Of a row that cannot be used nobody knows whether its minute is right.
            odd = [line.open_time for line in found.refused] + bad["open_time"].tolist()
            there = Coverage.of_times(rows["open_time"]).union(
                Coverage((at // MINUTE_MS * MINUTE_MS, at // MINUTE_MS * MINUTE_MS + MINUTE_MS) for at in odd)
            )
            done.archive_skips = done.archive_skips.union(span(file.start, file.end).subtract(there))
        self.shared_zeros.add(rows)
        mask = zeros.inside(rows, doubted)
        certify = span(file.start, file.end).subtract(doubted) if found.checked else EMPTY
        await self._store_rows(symbol, rows[~mask] if doubted else rows, source, certify, tracker, done)
        return (rows[mask], doubted) if doubted else None

    def _record_file(self, symbol: str, found: ArchiveRows) -> None:
        """Keep what the file was, and log it if it is another than the one read before."""
        before = self._store.file(found.path)
        if before is not None and before.sha256 != found.sha256:
            self._journal.count("archive_files_replaced")
            name = found.path.rpartition("/")[2]
            self._journal.note("warning", f"{name} is another file than the one read before", symbol)
        record = FileRecord(
            found.etag, found.sha256, found.size, self._now(), found.checksum, found.last_modified
        )
        self._store.set_file(found.path, record)

    async def _confirm_zero_volume(
        self, symbol: str, rows: Rows, doubted: Coverage, tracker: FillProgress, done: FillResult
    ) -> None:
        """Ask REST for minutes an archive shows without a trade, and believe REST.

        What REST cannot be asked about is kept as the archive has it, uncertified.
        """
        confirmed = FillResult()
        await self._fetch_pages(symbol, doubted, tracker, confirmed, urgent=False, doubted=doubted)
        done.got, done.changed = done.got.union(confirmed.got), done.changed + confirmed.changed
        done.restored += confirmed.restored
        again = self._store.read(symbol, doubted.start, doubted.end)
        again = again[zeros.inside(again, confirmed.got)]
        silent = Coverage.of_times(again["open_time"][again["volume"] == 0])
        if silent:
            self._journal.count("outage_minutes", silent.minutes)
            await asyncio.wrap_future(self._store.add_outage(symbol, silent))
        if wrong := confirmed.got.minutes - silent.minutes:
            self._journal.count("archive_defects", wrong)
            self._journal.note(
                "warning", f"an archive shows {wrong} minutes without a trade; REST has their trades", symbol
            )
        if unread := doubted.subtract(confirmed.got):
            self._journal.note(
                "warning",
                f"{unread.minutes} minutes without a trade could not be read again ({confirmed.reason}): "
                "kept, not certified",
                symbol,
            )
            kept = rows[zeros.inside(rows, unread)]
            await self._store_rows(symbol, kept, Source.ARCHIVE_UNCHECKED, EMPTY, tracker, done)

    async def recheck_shared_zeros(self, symbols: list[str]) -> dict[str, int]:
        """Reads again what most symbols show without trades at the same time, once their files are read.

        Args:
            symbols: the symbols whose history was read.

        Returns:
            The symbols of which stored minutes were replaced, and the first of those minutes.
        """
        suspected = self.shared_zeros.minutes()
        self.shared_zeros = zeros.SharedZeros()
        replaced = {}
        for symbol in symbols if suspected else ():
            done = FillResult()
            for start, end in suspected:
                rows = self._store.read(symbol, start, end)
                silent = Coverage.of_times(rows["open_time"][rows["volume"] == 0])
                unsure = silent.subtract(self._store.outages(symbol))
                if unsure:
                    mask = zeros.inside(rows, unsure)
                    await self._confirm_zero_volume(
                        symbol, rows[mask], unsure, FillProgress(unsure.minutes), done
                    )
            if done.changed:
                replaced[symbol] = min(done.changed)
        return replaced

    async def compare_day(self, symbol: str, day: int) -> FillResult:
        """Reads the archive of a day whose minutes are stored already: what it has otherwise replaces them.

        Args:
            symbol: the symbol.
            day: midnight, ms.

        Returns:
            What was fetched; nothing where there is no usable file.
        """
        done, tracker = FillResult(), FillProgress(MINUTES_PER_DAY)
        file = File(day, day + DAY_MS, FileKind.DAY)
        async with self._in_memory:
            unsure = await self._read_file(symbol, file, tracker, done)
        if unsure is not None:
            await self._confirm_zero_volume(symbol, *unsure, tracker, done)
        return done

    async def confirm(self, symbol: str, minutes: Coverage) -> FillResult:
        """Reads minutes again by REST that were read too soon after their end, and certifies them.

        Args:
            symbol: the symbol.
            minutes: the minutes.

        Returns:
            What was fetched, what is left, and why.
        """
        done = FillResult()
        await self._fetch_pages(symbol, minutes, FillProgress(minutes.minutes), done, urgent=True)
        return done

    async def _fetch_pages(
        self,
        symbol: str,
        ranges: Coverage,
        tracker: FillProgress,
        done: FillResult,
        urgent: bool,
        doubted: Coverage = EMPTY,
    ) -> None:
        facts = self._exchange.facts(symbol)
        for start, end in rest_pages(ranges, facts.page_candles):
            page, asked = span(start, end), self._now()
            tracker.asks_rest += 1
            tracker.rest_waits = lambda: self._exchange.status().waiting
            try:
                rows, newest = await self._page(symbol, start, end, urgent)
            except RestError as error:
                done.failed = done.failed.union(page)
                done.kind, done.reason = error.kind, f"{error.kind}: {error}"
                continue
            finally:
                tracker.asks_rest -= 1
            proven = min(asked - facts.final_ms, newest - (_PROOF_MINUTES - 1) * MINUTE_MS)
            sure = page.clip(start, max(proven, asked - _PROOF_MS) // MINUTE_MS * MINUTE_MS)
            kept = self.quarantine.sound_rows(symbol, rows, Source.REST)
            traded = Coverage.of_times(kept["open_time"][kept["volume"] > 0])
            archive_rejected = traded.intersect(doubted)
            read = RestRead(start, end, asked)
            await self._store_rows(symbol, kept, Source.REST, sure, tracker, done, archive_rejected, read)
            done.unconfirmed = done.unconfirmed.union(Coverage.of_times(kept["open_time"]).subtract(sure))
            absent = page.subtract(Coverage.of_times(kept["open_time"]))
            if absent:
                done.absent = done.absent.union(absent)
                done.reason = "no source has these minutes"
                if len(kept) < len(rows):
                    done.reason = "no source has sound candles of these minutes: see the quarantine"

    async def _page(self, symbol: str, start: int, end: int, urgent: bool) -> Page:
        """Closed rows of ``[start, end)``, and which is the newest minute that was shown, also after it."""
        facts = self._exchange.facts(symbol)
        limit = (end - start) // MINUTE_MS
        more = min(_PROOF_MINUTES, facts.page_candles - limit) if end > self._now() - _PROOF_MS else 0
        until = end + more * MINUTE_MS
        for attempt in range(1, _REST_TRIES + 1):
            try:
                rows, newest = await self._exchange.candles(
                    symbol, MINUTE_MS // SECOND_MS, start, until, urgent=urgent
                )
                rows = rows[rows["open_time"] < end]
                if not len(rows) and attempt < _REST_TRIES and end <= self._now() - facts.final_ms:
                    # It has been seen to answer so by mistake: only the last try is believed.
                    raise RestError(Refusal.EMPTY_ANSWER, f"no minute of {limit} is there")
                return Page(rows, newest)
            except RestError as error:
                self._journal.fault(event_name("rest", error.kind), str(error), symbol)
                if attempt == _REST_TRIES or error.kind.final:
                    raise
                if error.retry_ms is not None:
                    await self._exchange.clock.sleep_until(error.retry_ms)
                else:
                    await asyncio.sleep(0.25 * 2**attempt)
        raise AssertionError("unreachable")

    async def _store_rows(
        self,
        symbol: str,
        rows: Rows,
        source: Source,
        certify: Coverage,
        tracker: FillProgress,
        done: FillResult,
        archive_rejected: Coverage = EMPTY,
        read: RestRead | None = None,
    ) -> None:
        put = self._store.put(
            symbol, rows, source, certify=certify, reject_archives=archive_rejected, read=read
        )
        written: Written = await asyncio.wrap_future(put)
        if written.conflicts:
            self._journal.count("source_conflicts", written.conflicts)
            self._journal.note(
                "warning",
                f"{written.conflicts} minutes differ between {source.name.lower()} and the store",
                symbol,
            )
        done.changed.extend(written.changed)
        done.restored += written.restored
        done.got = done.got.union(Coverage.of_times(rows["open_time"]))
        tracker.rows_done += len(rows)


def _examine(rows: Rows, file: File) -> tuple[Rows, Rows, Coverage]:
    """The sound rows of a file, those that break an invariant, and minutes to be doubted.

    Runs in a thread: the rows of a month are too many for the loop.
    """
    inside = rows[slice(*np.searchsorted(rows["open_time"], (file.start, file.end)))]
    bad = faulty(inside)
    sound = inside[~bad]
    return sound, inside[bad], zeros.doubtful(sound)
