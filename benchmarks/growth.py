"""Whether a feeder grows with uptime: hundreds of symbols for a day of exchange time.

``python -m benchmarks.growth [--symbols 600] [--hours 24] [--json] [--check]``. A day of 600 symbols
takes some 15 minutes of a core.

Engine and exchange are one process on a loop of virtual time (see :mod:`tests.support.virtual_time`), so
that no machine is too slow for it; sockets, threads and the store are real. The settings are those of a
first start, except two days of history instead of 60, and no 4h bars, for which the exchange would have
to invent 154 days of every symbol first. Messages and closed bars go through outboxes, and whoever takes
them acknowledges them; a snapshot is taken for a screen twenty times in an exchange hour. Forming frames
come once in a minute.

Reported is the anonymous memory of the process, exchange included, at every hour. What has a bound reaches
it: with ``--check`` the mean of the last quarter may be 3 % above that of the quarter before. For 230 MB
that is a leak of 32 bytes in each of 36,000 messages an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import statistics
import sys
import tempfile
from pathlib import Path

from msgspec.structs import replace

from benchmarks._report import anonymous_mb
from tests.support.virtual_time import VirtualTimeStore, virtual_time
from tui_feeder.config import Application, Config, Exchange, TechnicalAnalysis
from tui_feeder.engine import snapshots
from tui_feeder.engine.composition import configured_engine
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.storage.outbox import Outbox
from tui_feeder.simulator import exchange as simulated
from tui_feeder.simulator.clock import Clock, clock_for
from tui_feeder.simulator.synthetic import synthetic_market

_START = 1_773_144_000_000  # 2026-03-10T12:00:00Z
_SPEED = 10.0
_TOPICS = ("data", "candles")
_SINK = "growth"
_TAKEN_AT_ONCE = 4 << 20  # bytes
_MOST_GROWTH = 1.03


async def _hours(symbols: int, hours: int, folder: Path, *, report: bool) -> list[float]:
    """Anonymous memory at the end of each hour of exchange time, MB."""
    names = [f"C{n:03}USDT" for n in range(symbols)]
    market = synthetic_market(names, as_of_ms=_START)
    clock = clock_for(market, start_ms=_START, rate=_SPEED)
    async with simulated.Exchange(market, clock, cadence=MINUTE_MS) as exchange:
        config = Config(
            application=replace(Application(), symbols=tuple(names)),
            technical_analysis=replace(
                TechnicalAnalysis(), min_history_days=2, timeframes=(60, 300, 900, 3600)
            ),
            exchange=replace(
                Exchange(), rest_url=exchange.rest_url, stream_url=exchange.stream_url,
                archive_url=exchange.archive_url, clock_rate=_SPEED,
            ),
        )  # fmt: skip
        store = VirtualTimeStore(folder / "store", exchange="growth")
        outboxes = [store.open_outbox([_SINK], max_mb=512, topic=topic) for topic in _TOPICS]
        engine = configured_engine(config, store, [])
        running = asyncio.create_task(engine.run())
        measured: list[float] = []
        messages = 0
        while engine.state != "live":
            await _turn(clock, running)
            messages += sum(map(_take, outboxes))
        began = clock.now()
        while len(measured) < hours:
            await _turn(clock, running)
            messages += sum(map(_take, outboxes))
            snapshots.take(engine, 1)
            if clock.now() - began >= (len(measured) + 1) * 60 * MINUTE_MS:
                measured.append(anonymous_mb())
                if report:
                    line = f"hour {len(measured):>3}: {measured[-1]:.1f} MB, {messages:,} messages and bars"
                    print(line, flush=True)
        engine.request_stop()
        await running
    return measured


async def _turn(clock: Clock, running: asyncio.Task[None]) -> None:
    """Three exchange minutes."""
    await asyncio.sleep(clock.real_seconds(3 * MINUTE_MS))
    if running.done():
        running.result()


def _take(outbox: Outbox) -> int:
    """Take and acknowledge everything that waits, as a broker would; how much it was."""
    taken, count = outbox.cursors[_SINK], 0
    while waiting := outbox.read_after(taken, _TAKEN_AT_ONCE):
        taken, count = waiting[-1].number, count + len(waiting)
    if count:
        outbox.acknowledge(_SINK, taken)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth")
    parser.add_argument("--symbols", type=int, default=600)
    parser.add_argument("--hours", type=int, default=24, help="of exchange time, at least 4")
    parser.add_argument(
        "--storage", type=Path, help="folder for the store; one in memory is faster: /dev/shm"
    )
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 where it still grows")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with (
        tempfile.TemporaryDirectory(prefix="feeder-growth-", dir=given.storage) as folder,
        virtual_time() as runner,
    ):
        hours = runner.run(_hours(given.symbols, given.hours, Path(folder), report=not given.json))
    quarter = len(hours) // 4
    before, last = statistics.fmean(hours[-2 * quarter : -quarter]), statistics.fmean(hours[-quarter:])
    good = last <= before * _MOST_GROWTH
    if given.json:
        print(json.dumps({"hours_mb": hours, "quarters_mb": [before, last], "good": good}))
    else:
        print(f"third quarter {before:.1f} MB, last {last:.1f} MB: {'bounded' if good else 'still growing'}")
    sys.exit(1 if given.check and not good else 0)


if __name__ == "__main__":
    main()
