"""``feeder-tui sinks check`` and ``discard``: whether sinks work, and dropping what waits for result."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys

import typer

from tui_feeder.config import Config, LoadedConfig
from tui_feeder.engine.sinks.configured import check_sinks
from tui_feeder.engine.sinks.draining import span_text
from tui_feeder.engine.sinks.registry import kafka_topics, outbox_kinds
from tui_feeder.engine.sinks.thread import SinkError
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import ExitCode, UsageError


def check(loaded: LoadedConfig, as_json: bool) -> int:
    """Checks every enabled sink and prints the results.

    Args:
        loaded: the configuration with the origin of each value.
        as_json: print JSON.

    Returns:
        The exit code.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the reason is reported in one line
    found = asyncio.run(_check(loaded.config))
    if as_json:
        answer = {
            name: {
                "state": "off" if result is None else "failed" if isinstance(result, SinkError) else "ok",
                "lines": [] if result is None else [str(result)] if isinstance(result, SinkError) else result,
            }
            for name, result in found.items()
        }
        typer.echo(json.dumps(answer, indent=1))
    else:
        for name, result in found.items():
            state = (
                "off" if result is None else f"failed: {result}" if isinstance(result, SinkError) else "ok"
            )
            typer.echo(f"{name:<9} {state}")
            for line in result if isinstance(result, list) else []:
                typer.echo(f"{'':<9} {line}")
    failed = any(isinstance(result, SinkError) for result in found.values())
    return ExitCode.DIFFERENCES if failed else ExitCode.OK


async def _check(config: Config) -> dict[str, list[str] | SinkError | None]:
    """Checks the sinks, and of a cluster its topics."""
    found = await check_sinks(config)
    lines = found["kafka"]
    if config.cluster.enabled and isinstance(lines, list):
        from tui_feeder.engine.cluster.topics import prepare, topics_of

        topics = topics_of(config.kafka.topic_prefix, kafka_topics(config))
        try:
            of_cluster = await prepare(config.kafka, topics, config.cluster.partitions, create=False)
            found["kafka"] = [line for line in lines if not line.startswith("topic ")] + of_cluster
        except SinkError as error:
            found["kafka"] = error
    return found


def discard(loaded: LoadedConfig, kind: str, confirmed: bool) -> int:
    """Drops what waits for disabled sinks, after confirmation.

    Args:
        loaded: the configuration with the origin of each value.
        kind: kind of the disabled sinks, such as "kafka".
        confirmed: do not ask.

    Returns:
        The exit code.

    Raises:
        StoreError: there is no store, or a feeder runs on it.
        UsageError: no messages wait for such a sink, or there is no terminal to confirm it on.
    """
    known = [each.name for each in outbox_kinds()]
    if kind not in known:
        raise UsageError(f"{kind} is no sink that messages wait for: name one of {', '.join(known)}")
    path = loaded.config.application.storage_path
    with contextlib.closing(Store(path, read_only=True)) as store:
        found = [backlog for backlog in store.backlogs() if backlog.kind == kind]
    if not found:
        typer.echo(f"nothing waits for {kind}")
        return 0
    for backlog in found:
        typer.echo(f"{backlog.sink}: {backlog.messages:,} messages, the oldest {span_text(backlog.age)} old")
    if not confirmed:
        if not sys.stdin.isatty():
            raise UsageError("this drops them for good: add --yes")
        typer.confirm("drop them for good?", abort=True)
    with contextlib.closing(Store(path)) as store:
        for backlog in found:
            store.open_outbox((), loaded.config.kafka.outbox_max_mb, backlog.topic).discard(backlog.sink)
    typer.echo("dropped")
    return 0
