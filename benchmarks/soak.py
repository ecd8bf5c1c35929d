"""Soak: a simulated exchange that misbehaves all the time, and whether every minute ends up right.

``python -m benchmarks.soak [--seed N] [--seeds N] [--days D] [--symbols N] [--speed X] [--check]``.
Faults are drawn at random by the seed. After the run the faults end, the engine gets time to heal, and then
nothing may be missing, no revision of a minute may have been published twice, the minutes stored must be
the exchange's own, and the newest message must equal one computed from scratch.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from tui_feeder.config import Application, Config, Exchange, TechnicalAnalysis, VolumeProfile
from tui_feeder.engine.basis import load_pipeline
from tui_feeder.engine.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.engine import Engine
from tui_feeder.engine.journal import Journal
from tui_feeder.engine.message import encode
from tui_feeder.engine.store import Store
from tui_feeder.simulator import exchange as simulated
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.fault_random import RandomFaults
from tui_feeder.simulator.market import CLOSE
from tui_feeder.simulator.synthetic import synthetic_market

_START = 1_773_144_000_000  # 2026-03-10T12:00:00Z
_HEALING_SECONDS = 90.0


class _Collected:
    """Counts what is published, by symbol, minute and revision; keeps the newest of each symbol."""

    name = "collected"

    def __init__(self) -> None:
        self.told: Counter[tuple[str, int, int]] = Counter()
        self.newest: dict[str, tuple[int, bytes]] = {}

    def start(self, journal: Journal) -> None:
        pass

    def publish(self, symbol: str, timestamp: int, message: bytes) -> None:
        self.told[(symbol, timestamp, orjson.loads(message)["revision"])] += 1
        if timestamp >= self.newest.get(symbol, (0, b""))[0]:
            self.newest[symbol] = (timestamp, message)

    def status(self) -> str:
        return "ok"

    def close(self, timeout: float) -> None:
        pass


@dataclass
class Outcome:
    """What a seed came to."""

    seed: int
    minutes: int = 0
    missing: int = 0
    twice: int = 0
    wrong: int = 0
    unequal: int = 0
    revisions: int = 0
    faults: int = 0
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return not (self.missing or self.twice or self.wrong or self.unequal)


async def _run(seed: int, days: float, count: int, speed: float, storage: Path) -> Outcome:
    names = [f"C{n}USDT" for n in range(count)]
    market = synthetic_market(names, as_of_ms=_START)
    drawn = RandomFaults(seed)
    outcome, began = Outcome(seed), time.monotonic()
    async with simulated.Exchange(
        market, clock_for(market, start_ms=_START, rate=speed), random_faults=drawn
    ) as exchange:
        config = Config(
            application=replace(Application(), symbols=tuple(names)),
            technical_analysis=replace(TechnicalAnalysis(), min_history_days=2),
            volume_profile=replace(
                VolumeProfile(),
                price_increment_mode="Adaptive",
                min_price_increment=1e-8,
                max_price_increment=1e3,
            ),
            exchange=replace(
                Exchange(),
                rest_url=exchange.rest_url,
                stream_url=exchange.stream_url,
                archive_url=exchange.archive_url,
                clock_rate=speed,
                request_timeout_seconds=2.0,
            ),
        )
        store = Store(storage, exchange="soak")
        sink = _Collected()
        engine = Engine(config, store, [sink])
        running = asyncio.create_task(engine.run())
        until = _START + int(days * DAY_MS)
        while exchange.clock.now() < until:
            await asyncio.sleep(0.2)
            if running.done():
                running.result()
        exchange.calm()
        end = exchange.clock.now() // MINUTE_MS * MINUTE_MS
        deadline = time.monotonic() + _HEALING_SECONDS
        while time.monotonic() < deadline:
            engine.recovery.retry()
            await asyncio.sleep(0.5)
            if all(store.present(s) and not store.present(s).missing(_first(store, s), end) for s in names):
                break
        await asyncio.sleep(1.0)
        engine.request_stop()
        await running
        outcome.faults = sum(exchange.faults.struck.values())
        opened = Store(storage, read_only=True)
        for symbol in names:
            _judge(opened, config, exchange, symbol, end, sink, outcome)
        opened.close()
    outcome.twice = sum(times - 1 for times in sink.told.values())
    outcome.revisions = sum(revision > 0 for _, _, revision in sink.told)
    outcome.seconds = time.monotonic() - began
    return outcome


def _first(store: Store, symbol: str) -> int:
    return store.present(symbol).start


def _judge(
    store: Store, config: Config, exchange: simulated.Exchange, symbol: str, end: int, sink: _Collected,
    outcome: Outcome,
) -> None:  # fmt: skip
    """Compare what is stored with the exchange's own candles, and the newest message with a batch."""
    present = store.present(symbol)
    outcome.missing += present.missing(present.start, end).minutes
    rows = store.read(symbol, present.start, end)
    outcome.minutes += len(rows)
    decimals = exchange.market.instruments[symbol].price_decimals
    truth = exchange.market.minutes(symbol, present.start, end)
    closes = {
        int(at): int(close) / 10**decimals
        for at, close in zip(truth.times, truth.values[:, CLOSE], strict=True)
    }
    outcome.wrong += sum(closes.get(row[0]) != row[4] for row in rows.tolist())
    timestamp, newest = sink.newest[symbol]
    message = load_pipeline(store, config, symbol, timestamp + 1).message()
    assert message is not None
    fresh, told = orjson.loads(encode(message)), orjson.loads(newest)
    outcome.unequal += fresh | {"revision": 0} != told | {"revision": 0}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--seed", type=int, default=1, help="first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--days", type=float, default=1.0, help="simulated days a seed")
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--speed", type=float, default=600.0)
    parser.add_argument("--check", action="store_true", help="exit 1 where something is wrong")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print("seed  minutes  missing  twice  wrong  unequal  revisions  faults struck  seconds")
    outcomes = []
    for seed in range(given.seed, given.seed + given.seeds):
        with tempfile.TemporaryDirectory(prefix="feeder-soak-") as folder:
            one = asyncio.run(_run(seed, given.days, given.symbols, given.speed, Path(folder) / "store"))
        outcomes.append(one)
        print(
            f"{one.seed:4} {one.minutes:8} {one.missing:8} {one.twice:6} {one.wrong:6} {one.unequal:8} "
            f"{one.revisions:10} {one.faults:14} {one.seconds:8.0f}",
            flush=True,
        )
    if given.check and not all(one.good for one in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
