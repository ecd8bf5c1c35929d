"""``feeder-tui proof seal``: signs stored days, and reports what was done."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
import typer

from tui_feeder.commands.exchange_connection import Connection
from tui_feeder.commands.formatting import format_count, plural, shorten
from tui_feeder.commands.options import parse_day
from tui_feeder.commands.symbols import stored_symbols
from tui_feeder.config import Config
from tui_feeder.configuration.rules import exchange_label
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.core.event_loop import worker_thread
from tui_feeder.engine.proof.day_signer import DaySigner
from tui_feeder.engine.proof.folder import ProofWriter
from tui_feeder.engine.proof.signing import Signer
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import ExitCode, UsageError
from tui_feeder.time_format import format_day

_LINE_SECONDS = 3.0
_REASON = 1_000  # characters; a head has one for each correction


@dataclass(frozen=True, slots=True)
class SealRequest:
    """What the command line asks for. ``start`` and ``end`` are whole minutes in ms."""

    symbols: Sequence[str] | None
    day: str | None
    start: int | None
    end: int | None
    reason: str
    json: bool


@dataclass(slots=True)
class _Report:
    """What was done so far."""

    heads: int = 0
    signed: int = 0
    corrected: int = 0
    days: int = 0
    looked_at: int = 0  # symbols of days
    now: str = ""
    waiting: dict[str, dict[str, str]] = field(default_factory=dict)  # by day and symbol: why


def run(config: Config, request: SealRequest) -> int:
    """Signs the stored days that are not signed, and corrects those that changed.

    Args:
        config: with the key and the folder.
        request: which days.

    Returns:
        The exit code.

    Raises:
        UsageError: no key is named, or a symbol or day makes no sense.
        KeyFileError: the key cannot be used.
        ProofFolderError: the folder cannot be written.
        StoreError: there is no store, or an engine has it.
        ExchangeError: the exchange cannot be reached.
    """
    if config.proof.key_file is None:
        raise UsageError(
            "no key to sign with: --key or proof.key_file; make one with: feeder-tui proof keygen proof_key"
        )
    if request.day is not None and (request.start, request.end) != (None, None):
        raise UsageError("--day names one day: leave out --from and --to")
    if len(request.reason) > _REASON or not request.reason.isprintable():
        raise UsageError(f"--reason is one line of at most {_REASON} characters that can be printed")
    signer = Signer(config.proof.key_file)
    path = config.application.storage_path
    Store(path, read_only=True).close()  # one that is not there must not be made
    store = Store(path, exchange=exchange_label(config))
    try:
        writer = ProofWriter(config.proof.folder, signer)
        try:
            report = asyncio.run(_seal(config, request, store, writer))
        finally:
            writer.close()
    finally:
        store.close()
    typer.echo(_json(report) if request.json else _text(report, config, signer))
    return ExitCode.INCOMPLETE if report.waiting else ExitCode.OK


async def _seal(config: Config, request: SealRequest, store: Store, writer: ProofWriter) -> _Report:
    report = _Report()
    symbols = stored_symbols(store, request.symbols)
    reporting = asyncio.create_task(_report_progress(report))
    workers = worker_thread()

    def count_symbol() -> None:
        report.looked_at += 1

    try:
        async with Connection(config, store) as connection:
            await connection.listed(symbols)
            history = connection.history(lambda _symbol, _read, _text: None)
            signer = DaySigner(
                store, connection.exchange.facts, connection.clock.now, writer, workers,
                history.compare_day, concurrency=config.exchange.archive_concurrency,
                more=lambda symbol, day: (store.live_agreement(symbol, day).leaf_fields(), ""),
                on_symbol=count_symbol,
            )  # fmt: skip
            for day, there in _days(request, store, symbols, connection.clock.now()):
                report.now = format_day(day)
                result = await signer.sign(day, there, together=False, reason=request.reason)
                report.days += 1
                report.heads += result.head is not None
                report.signed += result.signed
                report.corrected += result.corrected
                if result.waiting:
                    report.waiting[report.now] = result.waiting
    finally:
        reporting.cancel()
        workers.shutdown(wait=True, cancel_futures=True)
    return report


def _days(
    request: SealRequest, store: Store, symbols: Sequence[str], now: int
) -> list[tuple[int, list[str]]]:
    """The days (ms) that are over and of which something is stored, with their symbols."""
    low, high = request.start or 0, request.end if request.end is not None else now
    if request.day is not None:
        low = parse_day(request.day)
        high = low + DAY_MS
        if high > now:
            raise UsageError(f"--day {request.day} is not over yet at the exchange")
    high = min(high, now // DAY_MS * DAY_MS)
    days: dict[int, list[str]] = {}
    for symbol in symbols:
        for start, end in store.present(symbol).clip(low, high):
            for day in range(start // DAY_MS * DAY_MS, end, DAY_MS):
                if low <= day and day + DAY_MS <= high and symbol not in days.setdefault(day, []):
                    days[day].append(symbol)
    return sorted(days.items())


async def _report_progress(report: _Report) -> None:
    """A line on stderr every few seconds."""
    while True:
        await asyncio.sleep(_LINE_SECONDS)
        done = f"{format_count(report.looked_at)} symbol-days looked at, {format_count(report.signed)} signed"
        sys.stderr.write(f"proof seal: {report.now or 'the exchange is asked'}; {done}\n")
        sys.stderr.flush()


def _json(report: _Report) -> str:
    found = {
        "days": report.days,
        "heads": report.heads,
        "signed": report.signed,
        "corrected": report.corrected,
        "waiting": report.waiting,
    }
    return orjson.dumps(found, option=orjson.OPT_INDENT_2).decode()


def _text(report: _Report, config: Config, signer: Signer) -> str:
    lines = [
        f"{day}: {shorten([f'{symbol} ({why})' for symbol, why in waiting.items()])}, not signed yet"
        for day, waiting in report.waiting.items()
    ]
    done = f"{plural(report.signed, 'leaf', 'leaves')} and {plural(report.corrected, 'correction')} signed"
    if not report.signed + report.corrected:
        done = "nothing new to sign"
    lines.append(f"{done}, {plural(report.days, 'day')} looked at; {config.proof.folder}")
    lines.append(f"key {signer.fingerprint}")
    return "\n".join(lines)
