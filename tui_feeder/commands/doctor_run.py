"""``feeder-tui doctor``: everything a run needs, tried once, with the remedy where it is not well."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path

import orjson
import typer

from tui_feeder.commands import doctor_checks as checks
from tui_feeder.commands import doctor_exchange_checks as exchange_checks
from tui_feeder.commands.doctor_checks import Finding
from tui_feeder.commands.doctor_recording import Recording
from tui_feeder.commands.formatting import plural
from tui_feeder.config import Config, ConfigError, LoadedConfig
from tui_feeder.configuration.requirements import unmet_requirements
from tui_feeder.engine.core.event_loop import worker_thread
from tui_feeder.engine.exchanges.base import AnswersProbes, RecordsAnswers
from tui_feeder.errors import ExitCode

_WIDTH = 11


def run(read: Callable[[], LoadedConfig], patience: float, as_json: bool, record: Path | None = None) -> int:
    """Runs every check and prints the results.

    Args:
        read: gives the configuration.
        patience: seconds that a stream may stay without a frame.
        as_json: one object instead of lines.
        record: folder for what is seen of the exchange; None keeps nothing.

    Returns:
        The exit code.

    Raises:
        RecordingError: the folder cannot be written.
    """
    recording = None if record is None else Recording(record)
    for noisy in ("aiokafka", "tui_feeder.engine.exchanges"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)  # their errors are reported in one line
    found: list[Finding] = []

    async def collect() -> None:
        async for finding in _findings(read, patience, recording):
            found.append(finding)
            if not as_json:
                typer.echo(_line(finding))

    try:
        asyncio.run(collect())
    finally:
        if recording is not None:
            recording.close()
    if recording is not None:
        lost = f", {recording.dropped} more beyond the bound left out" if recording.dropped else ""
        typer.echo(f"{recording.kept} answers and messages are kept in {recording.folder}{lost}", err=True)
    failed = [finding for finding in found if finding.state == "fail"]
    doubtful = [finding for finding in found if finding.state == "warn"]
    if as_json:
        answer = {"ok": not failed, "findings": [asdict(finding) for finding in found]}
        typer.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
    else:
        typer.echo(
            f"\n{plural(len(found), 'check')}: {len(failed)} failed, {plural(len(doubtful), 'warning')}"
        )
    return ExitCode.DIFFERENCES if failed else ExitCode.OK


def _line(finding: Finding) -> str:
    text = f"{finding.state:<5} {finding.check:<{_WIDTH}} {finding.text}"
    return f"{text}\n{'':<{_WIDTH + 7}}-> {finding.remedy}" if finding.remedy else text


async def _findings(
    read: Callable[[], LoadedConfig], patience: float, recording: Recording | None
) -> AsyncIterator[Finding]:
    try:
        loaded = read()
    except ConfigError as error:
        for problem in error.problems:
            remedy = problem.hint or (f"allowed: {problem.allowed}" if problem.allowed else "")
            yield Finding("config", "fail", str(problem), remedy)
        return
    config = loaded.config
    for warning in loaded.warnings:
        yield Finding("config", "warn", f"{warning.key}: {warning.message}", warning.hint or "")
    needs = [
        need for need in unmet_requirements(config) if not need.key.startswith("application.")
    ]  # that is the disk
    for need in needs:
        yield Finding("config", "fail", f"{need.key} {need.message}", need.hint)
    if not loaded.warnings and not needs:
        yield Finding("config", "ok", ", ".join(loaded.files) or "no file, the defaults")
    yield checks.storage(config)
    if rows := checks.profile_rows(config):
        yield rows
    yield await checks.http_port(loaded)
    way = exchange_checks.proxies(config)
    yield way
    reported = {need.key.partition(".")[0] for need in needs}
    asked = asyncio.create_task(
        checks.sinks(config, reported)
    )  # they may take long: no other check waits for them
    if way.state == "fail":  # no address can be reached
        for finding in await asked:
            yield finding
        return
    yield await exchange_checks.dns(config)
    async for finding in _exchange(config, patience, recording):
        yield finding
    for finding in await asked:
        yield finding


async def _exchange(config: Config, patience: float, recording: Recording | None) -> AsyncIterator[Finding]:
    """REST, streams and archive of the exchange."""
    workers = worker_thread()
    exchange = exchange_checks.exchange_of(config, workers)
    if recording is not None and isinstance(exchange, RecordsAnswers):
        exchange.record_answers(recording.answer)
    try:
        found, market = await exchange_checks.rest(config, exchange)
        for finding in found:
            yield finding
        for part in market.parts():
            archive = asyncio.create_task(exchange_checks.archive(config, part))
            yield await exchange_checks.streams(
                config, part, patience, None if recording is None else recording.message
            )
            if (read := await archive) is not None:
                yield read
        if recording is not None and isinstance(exchange, AnswersProbes):
            for probe in await exchange.probe(recording.message, patience):
                recording.probe(probe.question, probe.answer)
                yield Finding("probe", "ok", f"{probe.question} {probe.answer}")
    finally:
        await exchange.close()
        workers.shutdown(wait=False, cancel_futures=True)
