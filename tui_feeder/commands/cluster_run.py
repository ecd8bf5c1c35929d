"""``feeder-tui cluster status``: the group, its partitions and what each worker reports."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import aiohttp
import msgspec
import typer

from tui_feeder.commands.formatting import format_duration, format_table, plural
from tui_feeder.config import Config, LoadedConfig
from tui_feeder.engine.cluster.cluster_status import ClusterStatus, PartitionStatus, cluster_status
from tui_feeder.errors import ExitCode
from tui_feeder.time_format import format_second

#: Workers are asked over HTTP so many at once, and have so long to answer.
_AT_ONCE, _ANSWER_SECONDS = 32, 3.0
#: A partition with symbols in which nothing was published for so long is behind; live ones are every minute.
_BEHIND_SECONDS = 150.0
_SHOWN = 12


def status(loaded: LoadedConfig, as_json: bool) -> int:
    """Prints the state of the configured cluster.

    Args:
        loaded: the configuration with the origin of each value.
        as_json: print JSON.

    Returns:
        The exit code.

    Raises:
        SinkError: the broker cannot be asked.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the reason is reported in one line
    found, answers = asyncio.run(_ask(loaded.config))
    now = time.time()
    behind = [at for at in found.partitions if at.symbols and _age(at, now) > _BEHIND_SECONDS]
    orphans = [at for at in found.partitions if not at.worker]
    if as_json:
        whole = msgspec.to_builtins(found) | {"answers": answers}
        typer.echo(msgspec.json.format(msgspec.json.encode(whole), indent=1).decode())
    else:
        _print(found, answers, orphans, behind, now)
    published = any(partition.symbols for partition in found.partitions)
    whole_and_live = found.state == "Stable" and found.workers and published and not orphans and not behind
    return ExitCode.OK if whole_and_live else ExitCode.INCOMPLETE


async def _ask(config: Config) -> tuple[ClusterStatus, dict[str, Any]]:
    found = await cluster_status(config)
    slots = asyncio.Semaphore(_AT_ONCE)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS)) as session:

        async def ask(name: str, address: str) -> tuple[str, Any]:
            async with slots:
                try:
                    async with session.get(f"{address}/api/v1/cluster") as answer:
                        return name, await answer.json()
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    return name, {"error": f"{address} does not answer: {error or type(error).__name__}"}

        asked = [(worker.name, worker.address) for worker in found.workers if worker.address]
        return found, dict(await asyncio.gather(*(ask(*worker) for worker in asked)))


def _age(partition: PartitionStatus, now: float) -> float:
    return 0.0 if partition.published_at is None else max(0.0, now - partition.published_at / 1000)


def _print(
    found: ClusterStatus,
    answers: dict[str, Any],
    orphans: list[PartitionStatus],
    behind: list[PartitionStatus],
    now: float,
) -> None:
    symbols = sum(partition.symbols for partition in found.partitions)
    count = len(found.partitions)
    typer.echo(
        f"group {found.group}: {found.state}, {plural(len(found.workers), 'worker')}, "
        f"{plural(count, 'partition')}, {plural(symbols, 'symbol')} published"
    )
    if found.workers:
        rows = []
        for worker in found.workers:
            mine = [partition for partition in found.partitions if partition.worker == worker.name]
            ages = [_age(partition, now) for partition in mine if partition.symbols]
            answer = answers.get(worker.name, {})
            beat, takeovers = answer.get("heartbeat_age"), answer.get("takeovers") or []
            rows.append(
                (
                    worker.name,
                    str(len(mine)),
                    str(sum(partition.symbols for partition in mine)),
                    format_duration(max(ages)) if ages else "-",
                    "-" if beat is None else format_duration(beat),
                    "-" if not takeovers else format_duration(takeovers[-1]["seconds"]),
                    str(answer.get("fenced", "-")),
                    answer.get("error") or worker.address or "no address",
                )
            )
        head = (
            "worker", "partitions", "symbols", "published", "heartbeat", "last takeover", "refused writes",
            "address",
        )  # fmt: skip
        typer.echo(format_table(head, rows))
    for title, partitions in (("no worker has", orphans), ("nothing new in", behind)):
        for partition in partitions[:_SHOWN]:
            last = ""
            if partition.published_at is not None:
                by = f" by {partition.former} (epoch {partition.epoch})" if partition.former else ""
                last = f": last published {format_second(partition.published_at)}{by}"
            typer.echo(
                f"{title} partition {partition.partition}, {plural(partition.symbols, 'symbol')}{last}"
            )
        if len(partitions) > _SHOWN:
            typer.echo(f"{title} {len(partitions) - _SHOWN} more partitions")
    if found.workers and not symbols:
        typer.echo("nothing was published yet: see the logs of the workers")
    for problem in found.problems:
        typer.echo(problem)
