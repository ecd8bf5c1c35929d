"""Soak: an exchange that misbehaves for a month, and whether every minute ends up right.

``python -m benchmarks.soak [--seed N] [--seeds N] [--jobs N] [--days D] [--markets usdm,spot,coinm]
[--storage DIR] [--json] [--check]``, and more. A seed of 30 days and 20 symbols takes some ten minutes of a
core.

Engine and exchange are one process on a loop of virtual time (:mod:`tests.support.virtual_time`): sockets,
threads and the store are real, and time goes on only while all of them wait. So no machine is too slow for
it, and none makes gaps that the seed did not mean. Exchange time runs ``--speed`` times as fast as the time
in which the engine's own patience is counted; forming frames come once in ``--cadence`` seconds.

By the seed are drawn: faults of seconds to 40 hours (see :mod:`tui_feeder.simulator.fault_kinds`), several
at a time, and where there are several markets, in each of them; stops of the engine, and kills, of which
half each; and how long it is away then. What a kill leaves is the store's file as it is at that moment:
whatever the engine had not committed is gone.

At the end the faults cease and the engine gets time to heal by itself. Then no minute may be missing from
the first wanted one on but those that the exchange never had, and each of these must be settled as such; no
revision of a minute may have been published twice (after a kill, those that were not acknowledged before it
are counted on their own); every stored candle must be the exchange's own in every column; the newest
message, the state of every timeframe, the last word on the minutes of every tenth day and the volume profile
of every past day must equal those computed from scratch. Of every day the store's count of what was published
live, stood, was corrected and came late must be that of somebody who saw all messages come, and trade ids may
break only where a closing frame was wrong.

With ``--trades`` the live trades of so many symbols are followed, with faults of their own: rows that stream
or REST lack, ids without a trade, cuts; files of one symbol come late, what the insurance fund filled is
among no trades of another, and each minute's last trade of a third bears a time in the next one. Every minute
must be labelled as what it is, by the exchange's own sums; of days whose archive came every minute must hold
all trades that the exchange shows of it, which make it exact but for the last two symbols; and what was
published last rests on ladders.

Beside each engine a gateway serves its store, and a client polls it all the time, during faults and repairs:
symbols, intervals, limits and beginnings at random. Every row of a bar that was over when it was asked for
must be the exchange's own in every character (``invented``: how many were not).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import logging
import math
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from unittest import mock

from msgspec.structs import replace

from benchmarks._soak_gateway import Client
from benchmarks._soak_live import LiveRecord, LiveWitness, judge_live
from benchmarks._soak_messages import Collector, Outcome, PublishedMessages, Witness, judge
from benchmarks._soak_trades import TradeFaults, judge_ladders, with_archives
from tests.support.virtual_time import VirtualTimeStore, virtual_time
from tui_feeder.config import Application, Config, Exchange, TechnicalAnalysis, Trades
from tui_feeder.configuration.sections.exchange import CoinM, Spot
from tui_feeder.engine.composition import configured_engine
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.sinks import Sink
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator import exchange as simulated
from tui_feeder.simulator.clock import SimulatedClock, clock_for
from tui_feeder.simulator.dialect import COINM, DIALECTS, SPOT, USDM, Dialect
from tui_feeder.simulator.fault_random import RandomFaults
from tui_feeder.simulator.market import Market
from tui_feeder.simulator.other_markets import ListedElsewhere
from tui_feeder.simulator.synthetic import synthetic_market
from tui_feeder.symbol_name import market_of

_START = 1_773_144_000_000  # 2026-03-10T12:00:00Z
_HISTORY_DAYS = 2
_HOUR_MS = 60 * MINUTE_MS
#: Exchange time the engine gets to heal once the faults are over: a ban of 40 hours ends when it said.
_HEALING_MS = 48 * _HOUR_MS
#: Faults last at most so long, seconds of exchange time.
_FAULT_LONGEST = 40 * 3_600.0
#: An engine that was stopped or killed is away from seconds to 40 hours.
_AWAY = (10.0, 40 * 3_600.0)

#: Of a market that is not part of the run.
_NOWHERE = ("http://127.0.0.1:9", "ws://127.0.0.1:9", "http://127.0.0.1:9")

Report = Callable[[str], None]


class SurvivingStore(VirtualTimeStore):
    """A store of which a copy can be had as a kill would leave it."""

    def survivor(self, path: Path) -> None:
        """Copy to ``path`` what would be left if the process died now: all that is committed."""
        path.mkdir()
        self._environment._env.copy(str(path))


class _Run:
    """One seed."""

    def __init__(self, given: argparse.Namespace, seed: int, folder: Path, report: Report) -> None:
        self.outcome = Outcome(seed)
        self.counters: Counter[str] = Counter()
        self._names: list[str] = []
        #: The markets by name; the first one's clock is that of all of them.
        self.exchanges: dict[str, simulated.Exchange] = {}
        self._dice = random.Random(f"runs {seed}")
        self._stop_every = given.stop_every
        self._hasty_closes = given.hasty_closes
        self._trade_days = math.ceil(given.days) + 6
        self._folder = folder
        self._report = report
        self._end = _START + int(given.days * DAY_MS)
        for place, dialect in enumerate(given.markets):
            first, last = (given.symbols * part // len(given.markets) for part in (place, place + 1))
            self._open(dialect, [f"C{n}USDT" for n in range(first, last)], given, seed)
        minutes = (self._end + _HEALING_MS - _START) // MINUTE_MS + 2 * 1_440
        self.published = PublishedMessages(self._names, _START - DAY_MS, minutes)
        self.live_record = LiveRecord(self._names, _START - DAY_MS, minutes)
        self.traded = [name for name in self._names if ":" not in name][: given.trades]
        self._trade_faults = TradeFaults(seed, self.traded)
        self._trade_faults_stand()
        self.witnesses: list[Witness] = []
        self._client = Client(self.exchanges, self._names, given.poll_every, self.outcome)

    def _open(self, dialect: Dialect, coins: list[str], given: argparse.Namespace, seed: int) -> None:
        """A market, with faults of its own."""
        market: Market = synthetic_market(coins, as_of_ms=_START)
        if dialect != USDM:
            market = ListedElsewhere(market, dialect)
        faults = RandomFaults(
            seed + 1_000 * len(self.exchanges), given.fault_every, _FAULT_LONGEST, given.clock_steps
        )
        leader = next(iter(self.exchanges.values()), None)
        usdm = self.exchanges.get(USDM.name)
        self.exchanges[dialect.name] = simulated.Exchange(
            market,
            clock_for(market, start_ms=_START, rate=given.speed) if leader is None else leader.clock,
            random_faults=faults,
            cadence=int(given.cadence * 1000),
            dialect=dialect,
            ledger=usdm.rest.ledger if usdm is not None and dialect == COINM else None,
            clock_faults=None if leader is None else leader.faults,
        )
        prefix = "" if dialect == USDM else f"{dialect.name}:"
        self._names += [prefix + name for name in market.symbols]

    def _trade_faults_stand(self) -> None:
        if self.traded:
            self._trade_faults.stand(self.exchanges[USDM.name])

    @property
    def clock(self) -> SimulatedClock:
        """Of all markets."""
        return next(iter(self.exchanges.values())).clock

    @property
    def config(self) -> Config:
        """Points at the exchange; the first minute wanted stays the same from run to run."""
        addresses = {
            name: (exchange.rest_url, exchange.stream_url, exchange.archive_url)
            for name, exchange in self.exchanges.items()
        }
        rest_url, stream_url, archive_url = addresses.get(USDM.name, _NOWHERE)
        begin = datetime.fromtimestamp(_START // DAY_MS * DAY_MS / 1000 - _HISTORY_DAYS * 86_400, UTC)
        return Config(
            application=replace(Application(), symbols=tuple(self._names), start_date=begin),
            technical_analysis=replace(TechnicalAnalysis(), min_history_days=_HISTORY_DAYS),
            trades=Trades(symbols=tuple(self.traded), days=self._trade_days),
            exchange=replace(
                Exchange(),
                rest_url=rest_url,
                stream_url=stream_url,
                archive_url=archive_url,
                spot=Spot(*addresses.get(SPOT.name, _NOWHERE)),
                coinm=CoinM(*addresses.get(COINM.name, _NOWHERE)),
                clock_rate=self.clock.rate,
            ),
        )

    async def live(self) -> Path:
        """From the first start to the end of healing; the store that is left."""
        path = self._folder / "store-0"
        async with contextlib.AsyncExitStack() as stack:
            for exchange in self.exchanges.values():
                await stack.enter_async_context(exchange)
            while True:
                days = max(0.1, self._dice.expovariate(1 / self._stop_every))
                until = self.clock.now() + int(days * DAY_MS)
                last = until >= self._end
                path = await self._one_run(path, min(until, self._end), last)
                if last:
                    break
                low, high = (math.log(edge) for edge in _AWAY)
                away = math.exp(self._dice.uniform(low, high)) * 1000
                await asyncio.sleep(self.clock.real_seconds(away))
            struck = [exchange.faults.struck for exchange in self.exchanges.values()]
            self.outcome.faults = sum(sum(counts.values()) for counts in struck)
        return path

    async def _one_run(self, path: Path, until: int, last: bool) -> Path:
        """One engine from start to stop; where the store is that the next one finds."""
        store = SurvivingStore(path, exchange="soak")
        outbox = store.open_outbox([Collector.name], max_mb=4096)
        collector = Collector(outbox, self.published)
        bars = store.open_outbox([LiveWitness.name], max_mb=4096, topic="candles")
        seeing = LiveWitness(bars, self.live_record)
        sinks: list[Sink] = [collector, seeing]
        engine = configured_engine(self.config, store, sinks)
        seeing.now = engine.clock.now
        running = asyncio.create_task(engine.run())
        async with self._client.polling(engine, store):
            await self._observed(engine, collector, seeing, running, until, last)
        killed = not last and self._dice.random() < 0.5
        survivor = path
        if killed:
            self.outcome.kills += 1
            survivor = path.with_name(f"store-{self.outcome.kills}")
            seeing.drain()
            collector.deaf = seeing.deaf = True
            store.survivor(survivor)
        engine.request_stop()
        await running
        self.witnesses = [Witness(one.symbol, one.start, one.states) for one in engine.tracked.values()]
        self.counters.update(engine.journal.counters)
        self.outcome.stops += not killed
        self.outcome.twice += collector.twice
        self.outcome.published_again += collector.again
        if killed:
            shutil.rmtree(path)
        return survivor

    async def _observed(
        self,
        engine: Engine,
        collector: Collector,
        seeing: LiveWitness,
        running: asyncio.Task[None],
        until: int,
        last: bool,
    ) -> None:
        """Take what an engine publishes until it is to end; after the last faults until it has healed."""
        clock = self.clock
        said, hour = clock.now(), 0
        while clock.now() < until:
            if self._hasty_closes and clock.now() // _HOUR_MS != hour:
                hour = clock.now() // _HOUR_MS
                for exchange in self.exchanges.values():
                    exchange.faults.switch_on("hasty-close", count=self._hasty_closes)
            if self.traded:
                self._trade_faults.draw(self.exchanges[USDM.name])
            await self._wait(10 * MINUTE_MS, running)
            collector.drain()
            seeing.drain()
            if clock.now() - said >= DAY_MS:
                said = clock.now()
                self._say(engine)
        if last:
            for exchange in self.exchanges.values():
                exchange.calm()
            self._trade_faults_stand()
            if not await self._healed(engine, collector, seeing, running):
                gaps = [gap.view() for gap in engine.recovery.open_gaps()]
                self.outcome.unhealed = max(1, len(gaps))
                self.outcome.findings.append(f"not healed; gaps: {gaps[:5]}")

    async def _healed(
        self, engine: Engine, collector: Collector, seeing: LiveWitness, running: asyncio.Task[None]
    ) -> bool:
        """Wait until nothing is missing and nothing under way; whether it came to that."""
        clock = self.clock
        deadline = clock.now() + _HEALING_MS
        while clock.now() < deadline:
            await self._wait(10 * MINUTE_MS, running)
            collector.drain()
            seeing.drain()
            end = clock.now() // MINUTE_MS * MINUTE_MS - 5 * MINUTE_MS
            whole = len(engine.tracked) == len(self._names) and all(
                one.phase == "live" and not engine.store.settled(name).missing(one.start, end)
                and not engine.store.unconfirmed(name).clip(0, end)
                for name, one in engine.tracked.items()
            )  # fmt: skip
            whole = whole and with_archives(engine.store, self.config, self.traded, clock.now())
            if whole and not any(gap.start < end for gap in engine.recovery.open_gaps()):
                await self._wait(60 * MINUTE_MS, running)
                collector.drain()
                seeing.drain()
                return True
        return False

    async def _wait(self, exchange_ms: int, running: asyncio.Task[None]) -> None:
        await asyncio.sleep(self.clock.real_seconds(exchange_ms))
        if running.done():
            running.result()

    def _say(self, engine: Engine) -> None:
        now = self.clock.now()
        on = ", ".join(
            f"{name} {fault.name}{':' + fault.symbol if fault.symbol else ''}"
            for name, exchange in self.exchanges.items()
            for fault in exchange.faults.active()
        )
        gaps = engine.recovery.open_gaps()
        missing = sum(gap.missing for gap in gaps)
        published = f"{self.published.count} messages, {self.published.corrections} corrections"
        day = (now - _START) / DAY_MS
        self._report(f"day {day:.1f}: {published}, {len(gaps)} gaps of {missing} minutes; {on}")


def _soak(given: argparse.Namespace, seed: int) -> tuple[Outcome, Counter[str]]:
    """What a seed came to, and everything its engines counted."""
    with tempfile.TemporaryDirectory(prefix="feeder-soak-", dir=given.storage) as folder:
        return _soak_in(Path(folder), given, seed)


def _soak_in(folder: Path, given: argparse.Namespace, seed: int) -> tuple[Outcome, Counter[str]]:
    logging.disable(logging.CRITICAL)
    report: Report = (lambda text: print(f"  seed {seed} {text}", flush=True)) if given.verbose else _silent
    with virtual_time() as runner, mock.patch("random.Random", _seeded(seed)):
        real, cpu = time.perf_counter(), time.process_time()
        run = _Run(given, seed, folder, report)
        path = runner.run(run.live())
    outcome = run.outcome
    outcome.messages, outcome.corrections = run.published.count, run.published.corrections
    outcome.gaps = run.counters["gaps_filled"]
    store = Store(path, read_only=True)
    for witness in run.witnesses:
        exchange = run.exchanges[market_of(witness.symbol) or USDM.name]
        market = exchange.market
        judge(store, run.config, market, run.published, witness, outcome, given.every)
        judge_live(store, market, run.live_record, witness, outcome)
        if witness.symbol in run.traded:
            judge_ladders(store, run.config, exchange, witness.symbol, outcome)
    store.close()
    outcome.seconds, outcome.cpu = time.perf_counter() - real, time.process_time() - cpu
    return outcome, run.counters


def _outcomes(given: argparse.Namespace) -> Iterator[tuple[Outcome, Counter[str]]]:
    """Of every seed, in order; each that runs beside others in a process of its own."""
    seeds = range(given.seed, given.seed + given.seeds)
    if given.jobs == 1:
        yield from (_soak(given, seed) for seed in seeds)
        return
    apart = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.jobs, mp_context=apart, max_tasks_per_child=1) as pool:
        yield from pool.map(partial(_soak, given), seeds)


def _silent(text: str) -> None:
    pass


def _seeded(seed: int) -> type[random.Random]:
    """Dice that are no other each time a seed is run, though nobody gave them one."""
    nth = itertools.count(seed << 32)

    class Seeded(random.Random):
        def __new__(cls, given: int | str | None = None) -> Seeded:
            return super().__new__(cls)

        def __init__(self, given: int | str | None = None) -> None:
            super().__init__(next(nth) if given is None else given)

    return Seeded


#: Heading, attribute and width of the columns of the table; those from "missing" on should be 0.
_COLUMNS = (
    ("seed", "seed", 4), ("minutes", "minutes", 8), ("messages", "messages", 9),
    ("corrections", "corrections", 11), ("stops", "stops", 5), ("kills", "kills", 5),
    ("faults struck", "faults", 13), ("gaps filled", "gaps", 11),
    ("live", "live", 8), ("corrected", "corrected", 9), ("late", "late", 7),
    ("ids join", "joins", 8), ("ids break", "breaks", 9),
    ("ladders", "ladders", 8), ("partial", "partial", 7),
    ("published again", "published_again", 15), ("polls", "polls", 6), ("rows served", "served", 11),
    ("missing", "missing", 7), ("twice", "twice", 5), ("unpublished", "unpublished", 11),
    ("wrong", "wrong", 5),
    ("unequal", "unequal", 7), ("profiles", "profiles", 8), ("unhealed", "unhealed", 8),
    ("mislabelled", "mislabelled", 11), ("inexact", "inexact", 7),
    ("invented", "invented", 8), ("disagreeing", "disagreeing", 11), ("false alarms", "false_alarms", 12),
    ("seconds", "seconds", 7), ("CPU s", "cpu", 6),
)  # fmt: skip


def _markets(text: str) -> list[Dialect]:
    try:
        return [DIALECTS[name] for name in text.split(",")]
    except KeyError as error:
        raise argparse.ArgumentTypeError(f"no market {error}: there are {', '.join(DIALECTS)}") from None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--seed", type=int, default=1, help="first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--jobs", type=int, default=1, help="how many seeds run at the same time")
    parser.add_argument("--days", type=float, default=30.0, help="simulated days a seed")
    parser.add_argument("--symbols", type=int, default=20, help="of all markets together")
    parser.add_argument(
        "--markets", type=_markets, default=[USDM], help="separated by commas; usdm alone unless given"
    )
    parser.add_argument("--speed", type=float, default=10.0, help="exchange seconds in a second of patience")
    parser.add_argument("--cadence", type=float, default=300.0, help="seconds between forming frames")
    parser.add_argument("--fault-every", type=float, default=7_200.0, help="mean seconds between faults")
    parser.add_argument(
        "--hasty-closes",
        type=int,
        default=0,
        help="closing frames an hour and market that lack the last trades: what was published live is then "
        "corrected",
    )
    parser.add_argument(
        "--trades", type=int, default=0, help="USD-M symbols whose trades are followed, with faults of these"
    )
    parser.add_argument("--stop-every", type=float, default=2.5, help="mean days between stops and kills")
    parser.add_argument(
        "--poll-every", type=float, default=120.0, help="mean seconds between a client's polls"
    )
    parser.add_argument(
        "--clock-steps",
        type=float,
        default=7_200.0,
        help="seconds between the steps of a clock that steps: more than the 20 s of life, as frames, which "
        "show it, are rarer",
    )
    parser.add_argument("--every", type=int, default=10, help="of so many days one is compared with a replay")
    parser.add_argument("--storage", type=Path, help="folder for stores; one in memory is faster: /dev/shm")
    parser.add_argument("--check", action="store_true", help="exit 1 where something is wrong")
    parser.add_argument("--json", action="store_true", help="an object a seed instead of the table")
    parser.add_argument("--verbose", action="store_true", help="report the state every day")
    given = parser.parse_args()
    if not given.json:
        print(" ".join(f"{heading:>{width}}" for heading, _, width in _COLUMNS), flush=True)
    good = True
    for outcome, counters in _outcomes(given):
        good = good and outcome.good
        if given.json:
            published = {name: getattr(outcome, name) for _, name, _ in _COLUMNS}
            print(json.dumps(published | {"findings": outcome.findings}), flush=True)
            continue
        figures = ((getattr(outcome, name), width) for _, name, width in _COLUMNS)
        print(" ".join(f"{figure:{width}.0f}" for figure, width in figures), flush=True)
        if given.verbose:
            print("  " + ", ".join(f"{name} {n}" for name, n in sorted(counters.items())), flush=True)
        for finding in outcome.findings:
            print(f"  {finding}", flush=True)
    if given.check and not good:
        sys.exit(1)


if __name__ == "__main__":
    main()
