"""``feeder-tui backfill``: read history into the store, print the result, and exit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Sequence

import typer
from msgspec.structs import replace

from tui_feeder.commands.backfill_jobs import Backfill, Job
from tui_feeder.commands.backfill_progress import Display, display
from tui_feeder.commands.exchange_connection import Connection, ExchangeError
from tui_feeder.commands.formatting import (
    format_bytes,
    format_count,
    format_duration,
    format_table,
    plural,
    shorten,
)
from tui_feeder.commands.symbols import listed_symbols
from tui_feeder.config import LoadedConfig
from tui_feeder.configuration.rules import exchange_label
from tui_feeder.engine.core.candle import Source
from tui_feeder.engine.core.journal import shortened
from tui_feeder.engine.exchanges.base import SymbolInfo
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import ExitCode, UsageError
from tui_feeder.logs import configure_logging
from tui_feeder.spelling import closest
from tui_feeder.symbol_name import is_pattern
from tui_feeder.time_format import format_minute

_RANGES = 10  # missing ranges a symbol, and lines of trouble, in the report
_SOURCES = {
    Source.ARCHIVE_MONTH: "monthly",
    Source.ARCHIVE_DAY: "daily",
    Source.REST: "REST",
    Source.STREAM: "live",
    Source.ARCHIVE_UNCHECKED: "unchecked",
}


def run(loaded: LoadedConfig, start: int | None, end: int | None) -> int:
    """Fills ``[start, end)`` of the configured symbols.

    Args:
        loaded: the configuration.
        start: first minute in ms; None for what the configuration wants.
        end: exclusive; None for the last closed minute.

    Returns:
        The exit code.

    Raises:
        StoreError: the store cannot be opened for writing.
        ExchangeError: the exchange cannot be reached.
        UsageError: it lists none of the symbols.
    """
    config = loaded.config
    store = Store(config.application.storage_path, exchange=exchange_label(config))
    try:
        return asyncio.run(_run(loaded, store, start, end))
    finally:
        store.close()


async def _run(loaded: LoadedConfig, store: Store, start: int | None, end: int | None) -> int:
    config = loaded.config
    async with Connection(config, store) as connection:
        listed = await connection.listed(config.application.symbols)
        symbols, unknown = _choose(loaded, connection, listed)
        if connection.refused:
            typer.echo(f"REST cannot be used: {connection.refused}; archives alone are read", err=True)
        if connection.unusable:
            odd = shortened([f"{name}: {why}" for name, why in connection.unusable.items()])
            typer.echo(f"entries of the exchange's list that cannot be used: {odd}", err=True)
        closed = max(map(connection.closed_until, symbols))
        if start is not None and start >= closed:
            raise UsageError(f"--from is after the exchange's last closed minute, {format_minute(closed)}")
        if end is not None and end > closed:
            typer.echo(f"--to is in the future: minutes before {format_minute(closed)} are read", err=True)
        for info in (listed[symbol] for symbol in symbols if symbol in listed):
            if info.contract_size or info.end is not None:
                await asyncio.wrap_future(store.set_contract(info.symbol, info.contract_size, info.end))
        work = Backfill(config, store, connection, symbols, start, end)
        show = display(lambda: store.pausing)
        show.start(work.jobs)
        try:
            # After the display has begun: log lines then go above its bars.
            chosen = loaded.origins.get("service.log_level", "default") != "default"
            quiet = replace(config, service=replace(config.service, log_level="warning"))
            configure_logging(config if chosen else quiet)
            showing = asyncio.create_task(show.run())
            interrupted = await _run_until_interrupted(work, show)
            showing.cancel()
        finally:
            show.stop()
        jobs = [*work.jobs, *unknown]
        typer.echo(report(jobs, connection))
    if interrupted:
        typer.echo("interrupted; the same command resumes", err=True)
        return ExitCode.INTERRUPTED
    return ExitCode.OK if all(job.complete for job in jobs) else ExitCode.INCOMPLETE


def _choose(
    loaded: LoadedConfig, connection: Connection, listed: dict[str, SymbolInfo]
) -> tuple[list[str], list[Job]]:
    """The symbols to read, and jobs for those the exchange does not list."""
    wanted = loaded.config.application.symbols
    if connection.refused:
        if patterns := [name for name in wanted if is_pattern(name)]:
            raise ExchangeError(
                f"{', '.join(patterns)} needs the exchange's list of symbols, which it refuses "
                f"({connection.refused}): name the symbols"
            )
        return list(dict.fromkeys(wanted)), []
    symbols, absent = listed_symbols(wanted, listed)
    unknown = []
    for name in absent:
        near = closest(name, listed)
        hint = f"; did you mean {near}?" if near else ""
        unknown.append(Job(name, f"the exchange does not list it{hint}", ended=True))
    if not symbols:
        reason = unknown[0].reason if unknown else "none matches"
        raise UsageError(f"{shorten(wanted)}: {reason} (--symbols or application.symbols)")
    return symbols, unknown


async def _run_until_interrupted(work: Backfill, show: Display) -> bool:
    """Run the work; true when a signal ended it early."""
    task = asyncio.create_task(work.run())
    with _signals(task, show) as interrupts:
        try:
            await task
        except asyncio.CancelledError:
            if not interrupts:
                raise
            return True
        except ExceptionGroup as group:
            error: Exception = group
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            raise error from group
    return False


@contextlib.contextmanager
def _signals(task: asyncio.Task[None], show: Display) -> Iterator[list[int]]:
    """While inside, SIGINT and SIGTERM cancel ``task``; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    interrupts: list[int] = []

    def stop(number: int) -> None:
        if interrupts:
            os._exit(128 + number)
        interrupts.append(number)
        show.print_line("shutting down; once more stops at once")
        task.cancel()

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        yield interrupts
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def report(jobs: Sequence[Job], connection: Connection) -> str:
    """Formats the table of what was read, then deviations from the plan, then what is missing.

    Args:
        jobs: one a symbol.
        connection: the exchange as it was reached.

    Returns:
        The text.
    """
    used = [source for source in _SOURCES if any(job.sources[source] for job in jobs)]
    rows = [
        [
            job.symbol,
            format_count(job.added),
            *(format_count(job.sources[source]) for source in used),
            format_count(job.files),
            format_bytes(job.tracker.bytes_done if job.tracker else 0),
            format_duration(job.seconds),
            format_count(job.missing.minutes) if job.tracker else "all",
        ]
        for job in jobs
    ]
    if len(jobs) > 1:
        rows.append(
            [
                "total",
                format_count(sum(job.added for job in jobs)),
                *(format_count(sum(job.sources[source] for job in jobs)) for source in used),
                format_count(sum(job.files for job in jobs)),
                format_bytes(sum(job.tracker.bytes_done for job in jobs if job.tracker)),
                "",
                format_count(sum(job.missing.minutes for job in jobs)),
            ]
        )
    names = [_SOURCES[source] for source in used]
    lines = [format_table(["symbol", "added", *names, "files", "bytes", "time", "missing"], rows)]
    for job in jobs:
        lines.extend(_limited(job.symbol, job.troubles))
    for job in jobs:
        if job.listed is not None:
            lines.append(f"{job.symbol}: not listed before {format_minute(job.listed)}")
        lines.extend(_limited(job.symbol, _missing(job)))
        if job.uncertified:
            why = f": {job.reason}" if job.failed else ""
            lines.append(f"{job.symbol}: {plural(job.uncertified, 'minute')} stored, not certified{why}")
    if connection.refused:
        lines.append(f"REST could not be used: {connection.refused}")
    if all(job.complete for job in jobs):
        lines.append(
            "complete" if any(job.wanted for job in jobs) else "complete: everything was stored and certified"
        )
    return "\n".join(lines)


def _missing(job: Job) -> list[str]:
    """Which minutes a symbol lacks, and why."""
    if not job.ended:
        return [f"interrupted, {plural(job.missing.minutes, 'minute')} left"] if job.missing else []
    if job.tracker is None:
        return [job.reason]
    return [
        f"missing {format_minute(low)} .. {format_minute(high)}: "
        + (job.reason if job.failed.clip(low, high) else "no source has it")
        for low, high in job.missing
    ]


def _limited(symbol: str, lines: Sequence[str]) -> list[str]:
    limited = [f"{symbol}: {line}" for line in lines[:_RANGES]]
    if len(lines) > _RANGES:
        limited.append(f"{symbol}: and {len(lines) - _RANGES} more of the kind")
    return limited
