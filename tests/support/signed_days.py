"""Signed days of real candles: read from the simulator's archive, signed, with its files beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from history_parts import Reading, reading
from places import KLINES

from tui_feeder.engine.acquisition.fill_progress import FillProgress
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.core.coverage import span
from tui_feeder.engine.proof.day_signer import DaySigner
from tui_feeder.engine.proof.folder import ProofWriter
from tui_feeder.engine.proof.signing import make_key
from tui_feeder.engine.storage.rest_reads import RestRead
from tui_feeder.simulator.dialect import USDM, Dialect
from tui_feeder.simulator.market import Market
from tui_feeder.simulator.recorded import recorded_market
from tui_feeder.time_format import parse_time

AVAX, FIL = "AVAXUSDT", "FILUSDT"
AFTER = parse_time("2026-03-04T12:00:00Z")


@dataclass(frozen=True)
class SignedDays:
    """Folders that a test copies before it changes anything in them."""

    home: Path

    @property
    def proof(self) -> Path:
        return self.home / "proof"

    @property
    def archive(self) -> Path:
        return self.home / "archive"

    @property
    def store(self) -> Path:
        return self.home / "store"

    @property
    def key(self) -> Path:
        return self.home / "key"

    def head(self, number: int) -> Path:
        (found,) = self.proof.glob(f"{number:06}-*")
        return found

    def zip_of(self, symbol: str, day: str) -> Path:
        (found,) = self.archive.rglob(f"{symbol}-1m-{day}.zip")
        return found


async def _download(parts: Reading, target: Path) -> None:
    """Everything that was served of the archive."""
    async with aiohttp.ClientSession() as session:
        for path in list(dict.fromkeys(parts.exchange.archive_log)):
            file = target / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            async with session.get(parts.exchange.archive_url + path) as answer:
                file.write_bytes(await answer.read())


def signer_of(parts: Reading, writer: ProofWriter) -> DaySigner:
    return DaySigner(
        parts.store, parts.source.facts, parts.clock.now, writer, parts.workers,
        parts.history.compare_day, concurrency=4,
    )  # fmt: skip


async def _sign(
    home: Path,
    symbols: tuple[str, ...],
    start: str,
    end: str,
    then: Callable[[Reading, int], None] | None,
    market: Market,
    dialect: Dialect,
    faults: Sequence[str],
    threshold: int,
) -> SignedDays:
    low, high = parse_time(start), parse_time(end)
    opened = reading(home / "store", symbols, now=AFTER, market=market, dialect=dialect, threshold=threshold)
    async with opened as parts:
        for fault in faults:
            parts.exchange.faults.switch_on(fault)
        for symbol in symbols:
            filled = await parts.history.fill(
                symbol, span(low, high), FillProgress((high - low) // MINUTE_MS)
            )
            assert not filled.failed, filled.reason
            if dialect.omits_outages:
                await asyncio.wrap_future(parts.store.set_omitted(symbol, filled.omitted))
        writer = ProofWriter(home / "proof", make_key(home / "key"))
        signer = signer_of(parts, writer)
        for day in range(low, high, DAY_MS):
            result = await signer.sign(day, symbols, together=True)
            assert (result.signed, result.waiting) == (len(symbols), {})
        if then is not None:
            await asyncio.to_thread(then, parts, low)
            for day in range(low, high, DAY_MS):
                await signer.sign(day, symbols, together=True)
        writer.close()
        await _download(parts, home / "archive")
    return SignedDays(home)


def correct_a_minute(parts: Reading, day: int) -> None:
    """REST shows trades of a minute of the second day, of which the archive has others."""
    at = day + DAY_MS + 671 * MINUTE_MS
    rows = parts.store.read(AVAX, at, at + MINUTE_MS).copy()
    rows["trades"] += 1
    minute = span(at, at + MINUTE_MS)
    parts.store.put(AVAX, rows, Source.REST, reject_archives=minute).result()


def correct_all(parts: Reading, day: int) -> None:
    """REST shows trades of minutes of the first two days of all symbols, of which the archive has others."""
    for symbol in parts.store.symbols():
        for at in (day + 3 * MINUTE_MS, day + DAY_MS + 671 * MINUTE_MS, day + DAY_MS + 672 * MINUTE_MS):
            rows = parts.store.read(symbol, at, at + MINUTE_MS).copy()
            rows["trades"] += 1
            minute = span(at, at + MINUTE_MS)
            read = RestRead(minute.start, minute.end, AFTER)
            parts.store.put(symbol, rows, Source.REST, reject_archives=minute, read=read).result()


def sign_days(
    home: Path,
    symbols: tuple[str, ...],
    start: str,
    end: str,
    then: Callable[[Reading, int], None] | None = None,
    *,
    market: Market | None = None,
    dialect: Dialect = USDM,
    faults: Sequence[str] = (),
    threshold: int = 1,
) -> SignedDays:
    """Reads the days of ``[start, end)`` into a store and signs them; after ``then``, what it has changed.

    The real candles of USD-M are signed where no market is given, with ``faults`` of the exchange on;
    months are read as such from so many (``threshold``) of them on, and by days otherwise.
    """
    if market is None and not KLINES.is_dir():
        pytest.skip("the real candles are not in ../shared/data/klines")
    chosen = recorded_market(KLINES, symbols) if market is None else market
    return asyncio.run(_sign(home, symbols, start, end, then, chosen, dialect, faults, threshold))
