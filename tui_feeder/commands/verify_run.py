"""``feeder-tui verify``: stored candles against themselves, the archives and REST."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_feeder.commands.exchange_connection import Connection
from tui_feeder.commands.formatting import format_count
from tui_feeder.commands.symbols import stored_symbols
from tui_feeder.commands.verify_checks import (
    Comparison,
    Findings,
    check_stored,
    compare,
    record_differences,
    record_repair,
)
from tui_feeder.commands.verify_report import print_report
from tui_feeder.config import LoadedConfig
from tui_feeder.configuration.rules import exchange_label
from tui_feeder.engine.acquisition.download_plan import make_plan, rest_pages
from tui_feeder.engine.core.archive_file import File, FileKind
from tui_feeder.engine.core.candle import MINUTE_MS, SECOND_MS, Rows, Source, faulty
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.exchanges.base import ArchiveError, RestError
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import ExitCode

_LINE_SECONDS = 3.0
_REST_TRIES = 3


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """What the command line asks for. ``start`` and ``end`` are whole minutes in ms."""

    symbols: Sequence[str] | None
    start: int | None
    end: int | None
    offline: bool
    repair: bool
    json: bool


def run(loaded: LoadedConfig, request: VerifyRequest) -> int:
    """Checks stored candles, and repairs them if asked to.

    Args:
        loaded: the configuration with the origin of each value.
        request: what to check, and how.

    Returns:
        The exit code.

    Raises:
        StoreError: there is no store, or it is in use and shall be repaired.
        ExchangeError: the exchange cannot be reached.
        UsageError: a symbol is not stored, or the request makes no sense.
    """
    config = loaded.config
    path = config.application.storage_path
    # Candles of one exchange are never compared with, or repaired from, those of another.
    exchange = "" if request.offline else exchange_label(config)
    Store(path, read_only=True).close()  # a store that is not there must not be made by --repair
    store = Store(path, exchange=exchange, read_only=not request.repair)
    try:
        records = store.damaged_records()
        if records and request.repair:
            store.drop_damaged_records().result()
        found = [Findings(symbol) for symbol in stored_symbols(store, request.symbols, gone=True)]
        asyncio.run(_Verification(loaded, store, request, found).run())
    finally:
        store.close()
    print_report(found, request.offline, request.repair, request.json, records)
    if not all(findings.clean for findings in found) or (records and not request.repair):
        return ExitCode.DIFFERENCES
    return ExitCode.INCOMPLETE if any(findings.unasked for findings in found) else ExitCode.OK


class _Verification:
    """One run over all symbols."""

    def __init__(
        self, loaded: LoadedConfig, store: Store, request: VerifyRequest, found: list[Findings]
    ) -> None:
        self._config = loaded.config
        self._store = store
        self._request = request
        self._found = found
        self._now = ""

    async def run(self) -> None:
        reporting = asyncio.create_task(self._report_progress())
        try:
            for findings in self._found:
                self._now = f"{findings.symbol}, its rows"
                findings.start, findings.end = self._bounds(findings.symbol)
                await asyncio.to_thread(check_stored, self._store, findings, findings.start, findings.end)
                if self._request.repair:
                    await asyncio.wrap_future(self._store.flushed())  # damaged days are missing from here on
            if not self._request.offline and self._found:
                async with Connection(self._config, self._store) as connection:
                    await connection.listed([findings.symbol for findings in self._found])
                    for findings in self._found:
                        await self._compare(connection, findings)
        finally:
            reporting.cancel()

    def _bounds(self, symbol: str) -> tuple[int, int]:
        there = self._store.present(symbol).union(self._store.damaged_missing(symbol))
        low, high = there.start, there.end
        if self._request.start is not None:
            low = max(low, self._request.start)
        if self._request.end is not None:
            high = min(high, self._request.end)
        return low, high

    async def _report_progress(self) -> None:
        """A line on stderr every few seconds."""
        while True:
            await asyncio.sleep(_LINE_SECONDS)
            done = sum(findings.by_archive + findings.by_rest for findings in self._found)
            sys.stderr.write(f"verify: {self._now}; {format_count(done)} minutes compared so far\n")
            sys.stderr.flush()

    async def _compare(self, connection: Connection, findings: Findings) -> None:
        low, high = findings.start, findings.end
        wanted = self._store.present(findings.symbol).union(findings.damaged).clip(low, high)
        if not wanted:
            return
        self._now = f"{findings.symbol} against archives"
        await self._against_archives(connection, findings, low, high, wanted)
        self._now = f"{findings.symbol} against REST"
        if connection.refused:
            findings.unasked.append(f"REST: {connection.refused}")
        else:
            closed = wanted.clip(low, connection.closed_until(findings.symbol))
            await self._against_rest(connection, findings, closed)
        if not findings.by_archive and not findings.by_rest and not findings.unasked:
            findings.unasked.append("anything: the exchange has none of these minutes")

    async def _against_archives(
        self, connection: Connection, findings: Findings, low: int, high: int, wanted: Coverage
    ) -> None:
        """Every published file of ``[low, high)``, the month's where there is one, else the days'."""
        barred: dict[FileKind, Coverage] = {FileKind.MONTH: EMPTY, FileKind.DAY: EMPTY}
        left = span(low, high)
        slots = asyncio.Semaphore(self._config.exchange.archive_concurrency)

        async def check(file: File) -> bool:
            async with slots:
                try:
                    found = await connection.exchange.read_archive(file, findings.symbol, lambda _: None)
                except ArchiveError as error:
                    if not error.missing:
                        findings.unasked.append(str(error))
                    barred[file.kind] = barred[file.kind].union(span(file.start, file.end))
                    return False
                source = file.source(checked=found.checked)
                inside = slice(*np.searchsorted(found.rows["open_time"], (file.start, file.end)))
                before = self._store.file(found.path)
                if before is not None and before.sha256 != found.sha256:
                    findings.replaced.append(found.path.rpartition("/")[2])
                findings.files += 1
                compared = await self._take(findings, found.rows[inside], source, file.start, file.end)
                findings.by_archive += compared
                return True

        while left:
            plan = make_plan(
                left,
                now=connection.clock.now(),
                published=connection.exchange.facts(findings.symbol).archive_published,
                monthly_threshold_months=0,
                without=barred,
            )
            files = [file for file in plan.files if wanted.clip(file.start, file.end)]
            left = EMPTY
            for file, good in zip(files, await asyncio.gather(*map(check, files)), strict=True):
                if not good and file.kind is FileKind.MONTH:
                    left = left.union(span(file.start, file.end))

    async def _against_rest(self, connection: Connection, findings: Findings, wanted: Coverage) -> None:
        for start, end in rest_pages(wanted, connection.exchange.facts(findings.symbol).page_candles):
            try:
                rows = await self._page(connection, findings.symbol, start, end)
            except RestError as error:
                findings.unasked.append(f"REST: {error}")
                return
            compared = await self._take(findings, rows, Source.REST, start, end)
            findings.by_rest += compared

    async def _page(self, connection: Connection, symbol: str, start: int, end: int) -> Rows:
        for attempt in range(1, _REST_TRIES + 1):
            try:
                return (await connection.exchange.candles(symbol, MINUTE_MS // SECOND_MS, start, end)).rows
            except RestError as error:
                if attempt == _REST_TRIES or error.kind.final:
                    raise
                if error.retry_ms is not None:
                    await connection.clock.sleep_until(error.retry_ms)
                else:
                    await asyncio.sleep(0.25 * 2**attempt)
        raise AssertionError("unreachable")

    async def _take(self, findings: Findings, rows: Rows, source: Source, start: int, end: int) -> int:
        """Compare rows with what is stored, repair where asked; how many minutes were compared."""
        rows = rows[~faulty(rows)]
        found = await asyncio.to_thread(compare, self._store, findings, rows, start, end)
        wrong = found.differs
        if source != Source.REST:
            # Archives hold zero rows for minutes with trades: about those only REST is believed.
            silent = (found.other["volume"] == 0) & (found.stored["volume"] > 0)
            findings.defects += int(silent.sum())
            wrong = wrong & ~silent
        record_differences(findings, found, source, wrong)
        if self._request.repair:
            await self._repair(findings, found, source, wrong)
        return len(found.other)

    async def _repair(
        self, findings: Findings, found: Comparison, source: Source, wrong: NDArray[np.bool_]
    ) -> None:
        rows = found.other[wrong & (found.sources <= source)]
        lost = found.lost
        if source != Source.REST:  # of minutes without a trade only REST is believed
            lost = lost[lost["volume"] > 0]
        if not len(rows) and not len(lost):
            return
        rows = np.sort(np.concatenate([rows, lost]), order="open_time")
        certify = Coverage.of_times(rows["open_time"]) if source != Source.ARCHIVE_UNCHECKED else EMPTY
        put = self._store.put(findings.symbol, rows, source, certify=certify)
        written = await asyncio.wrap_future(put)
        record_repair(findings, list(written.changed), lost)
