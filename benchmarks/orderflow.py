"""Order flow: a day's archive of trades to packed ladders, ladders to a profile, live trades to ladders.

``python -m benchmarks.orderflow [--json] [--check]``. The day is made by the embedded exchange at the density
of BTCUSDT. Times are of the processor. The ratio is to reading the file, hashing and inflating it alone. Live
trades come over a socket from another process, 600,000 as fast as they are read; what that takes is stated as
a share of a core at 20,000 a second. What screens ask for is asked of a store of eight such days and a day in
progress: how long what draws them waits at most, at first and with each new minute, and until all is there.

``python -m benchmarks.orderflow --distances [FILE...]`` prints the table of docs/orderflow.md: how far levels
of candles are from those of trades. Files are the exchange's archives of aggregated trades (zip), or raw
trades (``.csv.gz``); without any they are the real trades of ``../shared/data/trades``, where these are. Days
of the embedded exchange follow; how prices walk within its candles is made up.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks._report import KLINES, Figure, report
from tests.support.raw_trades import ladder_of_raw_trades
from tui_feeder.engine.analytics.orderflow.ladder import Ladder, LadderBuilder, of_day
from tui_feeder.engine.analytics.orderflow.packing import day_sums, pack, sums_of, unpack
from tui_feeder.engine.analytics.orderflow.traded_profile import TradedProfile, traded_profile
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.profile.tools.traded import MinuteVolume
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, MINUTES_PER_DAY, ROW, Rows
from tui_feeder.engine.exchanges.binance import kline_csv
from tui_feeder.engine.exchanges.binance.agg_trades_csv import TradesReader
from tui_feeder.engine.exchanges.binance.zip_member import only_member, parts_of
from tui_feeder.time_format import format_day

_AS_OF = 1_773_144_000_000  # 2026-03-10T12:00Z
_DAY = _AS_OF // DAY_MS - 3
_MOST = 1 << 30
_ROUNDS = 5
#: What draws the screens waits for an answer at most so long, ms.
_LONGEST_WAIT = 15
#: What may be seen of it: a day's archive alone in a process.
_ALONE = "--alone"
_DISTANCES = "--distances"
REAL = KLINES.parent / "trades"
_SIMULATED = ("BTCUSDT", "ETHUSDT", "DOGEUSDT")
_SPREADS: tuple[Literal["WeightedOHLC", "ClosingPrice", "HighLowWeighted", "UniformOHLC"], ...] = (
    "WeightedOHLC", "ClosingPrice", "HighLowWeighted", "UniformOHLC",
)  # fmt: skip


def _made(folder: Path, symbol: str = "BTCUSDT") -> tuple[Path, Rows]:
    """A day's archive and its candles."""
    # Not where memory is measured: the process that reads a day knows no embedded exchange.
    from tui_feeder.simulator import trades as simulated
    from tui_feeder.simulator.dialect import USDM
    from tui_feeder.simulator.packing import pack_parts
    from tui_feeder.simulator.synthetic import synthetic_market
    from tui_feeder.simulator.tape import Tape
    from tui_feeder.simulator.trade_forms import HEADER, archive_lines

    market = synthetic_market([symbol], as_of_ms=_AS_OF)
    instrument, made = market.instruments[symbol], simulated.Trades(market, Tape(market))

    def parts() -> Iterator[bytes]:
        yield HEADER
        for rows in made.day(symbol, _DAY):
            yield archive_lines(rows, instrument, USDM)

    path = folder / "day.zip"
    path.write_bytes(pack_parts("day.csv", parts(), large=True))
    text = market.archive_lines(symbol, _DAY * DAY_MS, (_DAY + 1) * DAY_MS)
    return path, kline_csv.parse(text).rows


def _read_alone(path: Path) -> int:
    """Bytes of text of a file that is read, hashed and inflated."""
    zipped = path.read_bytes()
    hashlib.sha256(zipped).hexdigest()
    return sum(len(part) for part in parts_of(zipped, only_member(zipped), _MOST))


def _packed(path: Path) -> tuple[bytes, int, int]:
    """The block of the file's day, its trades and its levels."""
    zipped = path.read_bytes()
    hashlib.sha256(zipped).hexdigest()
    builder = LadderBuilder(_DAY * DAY_MS)
    for trades in TradesReader().read(parts_of(zipped, only_member(zipped), _MOST)):
        builder.add(trades)
    del zipped  # as where the engine reads a file: it is gone before its ladders are made
    ladder = builder.ladder()
    return pack(ladder), builder.trades, len(ladder.levels)


def _seconds(what: Callable[[], object], rounds: int = _ROUNDS) -> float:
    """Processor seconds of the quickest round: what else the machine does is no part of it."""
    spent = []
    for _ in range(rounds):
        before = time.process_time()
        what()
        spent.append(time.process_time() - before)
    return min(spent)


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        path, candles = _made(Path(name))
        block, trades, levels = _packed(path)
        plain, packed = _seconds(lambda: _read_alone(path)), _seconds(lambda: _packed(path))
        child = [sys.executable, "-m", "benchmarks.orderflow", _ALONE, str(path)]
        peak = float(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
    # Not where memory is measured: the process that reads a day knows no engine.
    from benchmarks._live_trades import SYMBOLS, measured
    from benchmarks._screen_answers import measured as screen_waits

    live, _, exact_minutes = measured()
    waits = screen_waits(unpack(block), candles)
    settings = ProfileSettings(tick_size=0.1)

    def profile_of_block() -> TradedProfile | None:
        return traded_profile(candles, MinuteVolume(candles, (day_sums(block),)), settings)

    profile, exact = _seconds(profile_of_block, 20), profile_of_block()
    return [
        Figure("archive: trades", trades, "trades"),
        Figure("archive to packed ladders", trades / packed, "trades/s", at_least=1.5e6),
        Figure("archive: of reading, hashing, inflating alone", plain / packed, "ratio", at_least=0.15),
        Figure("archive: memory of a process", peak, "MB", at_most=150),
        Figure("packed: bytes a price row", len(block) / levels, "bytes", at_most=3),
        Figure("packed: a day", len(block) / 1e6, "MB", at_most=3),
        Figure("a day of ladders read and made a profile", profile * 1000, "ms", at_most=10),
        Figure("live: 20,000 trades/s of 40 symbols, of a core", live, "ratio", at_most=0.35),
        Figure("live: minutes that are exact", exact_minutes, "minutes", at_least=SYMBOLS),
        Figure("profile: share of exact minutes", 0.0 if exact is None else exact.exact_share, "ratio", 1.0),
        *(
            Figure(f"screen waits: {what}", wait.longest, "ms", at_most=_LONGEST_WAIT)
            for what, wait in waits.items()
        ),
        *(Figure(f"until it is there: {what}", wait.until_whole, "ms") for what, wait in waits.items()),
    ]


def _ladder_of_archive(path: Path) -> Ladder:
    zipped = path.read_bytes()
    builder: LadderBuilder | None = None
    for trades in TradesReader().read(parts_of(zipped, only_member(zipped), _MOST)):
        builder = builder or LadderBuilder(of_day(int(trades.times[0])))
        builder.add(trades)
    assert builder is not None, f"{path}: no trades"
    return builder.ladder()


def _candles_of(ladder: Ladder) -> Rows:
    """The candles that the trades of whole minutes make; those of raw trades equal the exchange's own."""
    minutes, levels = ladder.minutes, ladder.levels
    if minutes["minute"][-1] < MINUTES_PER_DAY - 1:
        minutes = minutes[:-1]  # it was cut off
    begins = np.searchsorted(levels["minute"], minutes["minute"])
    levels = levels[: int(np.searchsorted(levels["minute"], minutes["minute"][-1], side="right"))]
    prices = ladder.prices()[: len(levels)]
    rows = np.zeros(len(minutes), dtype=ROW)
    rows["open_time"] = minutes["minute"] * MINUTE_MS + ladder.day
    for name in ("open", "close"):
        rows[name] = minutes[name] * ladder.tick / float(10**ladder.price_places)
    rows["low"], rows["high"] = np.minimum.reduceat(prices, begins), np.maximum.reduceat(prices, begins)
    rows["volume"] = ladder.quantities(minutes["bought"] + minutes["sold"])
    rows["taker_buy_volume"], rows["trades"] = ladder.quantities(minutes["bought"]), minutes["trades"]
    both = ladder.quantities(levels["bought"] + levels["sold"])
    rows["quote_volume"] = np.add.reduceat(prices * both, begins)
    return rows


def _distances(name: str, ladder: Ladder, candles: Rows) -> Iterator[str]:
    """Lines of the table: distances of candle-made levels from exact ones, in ticks."""
    tick, sums = ladder.increment, sums_of(ladder, np.ascontiguousarray(candles["open_time"]))
    for place, spread in enumerate(_SPREADS):
        settings = ProfileSettings(
            price_increment_mode="Fixed", fixed_price_increment=tick, tick_size=tick,
            volume_distribution_mode=spread,
        )  # fmt: skip
        exact = traded_profile(candles, MinuteVolume(candles, (sums,)), settings)
        guessed = traded_profile(candles, MinuteVolume(candles), settings)
        assert exact is not None
        assert guessed is not None
        assert exact.exact_share == 1.0, f"{name}: its candles are not of these trades"
        low = min(exact.low_index, guessed.low_index)
        rows = np.zeros((2, max(p.low_index + len(p.weights) for p in (exact, guessed)) - low))
        for row, made in zip(rows, (exact, guessed), strict=True):
            row[made.low_index - low : made.low_index - low + len(made.weights)] = made.weights
        misplaced = float(np.abs(rows[0] - rows[1]).sum()) / 2 / exact.total_volume
        ticks = [round((getattr(guessed, of) - getattr(exact, of)) / tick) for of in ("poc", "vah", "val")]
        span = round((exact.max_price - exact.min_price) / tick)
        about = f"{name}, {len(ladder.levels):,} levels, {span:,} ticks high" if not place else ""
        poc, vah, val = (f"{value:+,}" if value else "0" for value in ticks)
        far = abs(ticks[0]) / span
        yield f"| {about} | `{spread}` | {poc} | {far:.1%} | {vah} | {val} | {misplaced:.1%} |"


def print_distances(files: list[Path]) -> None:
    print("| | distribution | POC | of the range | VAH | VAL | misplaced |\n|---|---|---|---|---|---|---|")
    for path in files or sorted([*REAL.glob("*-aggTrades-*.zip"), *REAL.glob("*-trades-*.csv.gz")]):
        ladder = _ladder_of_archive(path) if path.suffix == ".zip" else ladder_of_raw_trades(path)
        candles = _candles_of(ladder)
        name = f"{path.name.partition('-')[0]} {format_day(ladder.day)}, {len(candles):,} minutes"
        print(*_distances(name, ladder, candles), sep="\n", flush=True)
    for symbol in _SIMULATED:
        with tempfile.TemporaryDirectory() as folder:
            archive, candles = _made(Path(folder), symbol)
            name = f"{symbol} {format_day(_DAY * DAY_MS)}, simulated"
            print(*_distances(name, _ladder_of_archive(archive), candles), sep="\n", flush=True)


def main() -> None:
    if _DISTANCES in sys.argv:
        print_distances([Path(name) for name in sys.argv[1:] if name != _DISTANCES])
        return
    if _ALONE in sys.argv:
        _packed(Path(sys.argv[-1]))
        # Not ru_maxrss, which counts what the process was before it became this program.
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        print(int(peak[1]) / 1024 if peak else 0.0)
        return
    report("orderflow", measure)


if __name__ == "__main__":
    main()
