"""Order flow: a day's archive of trades to packed ladders, and ladders to a profile.

``python -m benchmarks.orderflow [--json] [--check]``. The day is made by the embedded exchange at the density
of BTCUSDT. Times are of the processor. The ratio is to reading the file, hashing and inflating it alone.
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

from benchmarks._report import Figure, report
from tui_feeder.engine.analytics.orderflow.ladder import LadderBuilder
from tui_feeder.engine.analytics.orderflow.packing import day_sums, pack
from tui_feeder.engine.analytics.orderflow.traded_profile import traded_profile
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import DAY_MS, Rows
from tui_feeder.engine.exchanges.binance import kline_csv
from tui_feeder.engine.exchanges.binance.agg_trades_csv import TradesReader
from tui_feeder.engine.exchanges.binance.zip_member import only_member, parts_of

_AS_OF = 1_773_144_000_000  # 2026-03-10T12:00Z
_DAY = _AS_OF // DAY_MS - 3
_MOST = 1 << 30
_ROUNDS = 5
#: What may be seen of it: a day's archive alone in a process.
_ALONE = "--alone"


def _made(folder: Path) -> tuple[Path, Rows]:
    """A day's archive and its candles."""
    # Not where memory is measured: the process that reads a day knows no embedded exchange.
    from tui_feeder.simulator import trades as simulated
    from tui_feeder.simulator.dialect import USDM
    from tui_feeder.simulator.packing import pack_parts
    from tui_feeder.simulator.synthetic import synthetic_market
    from tui_feeder.simulator.tape import Tape
    from tui_feeder.simulator.trade_forms import HEADER, archive_lines

    market = synthetic_market(["BTCUSDT"], as_of_ms=_AS_OF)
    instrument, made = market.instruments["BTCUSDT"], simulated.Trades(market, Tape(market))

    def parts() -> Iterator[bytes]:
        yield HEADER
        for rows in made.day("BTCUSDT", _DAY):
            yield archive_lines(rows, instrument, USDM)

    path = folder / "day.zip"
    path.write_bytes(pack_parts("day.csv", parts(), large=True))
    text = market.archive_lines("BTCUSDT", _DAY * DAY_MS, (_DAY + 1) * DAY_MS)
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
    settings = ProfileSettings(tick_size=0.1)
    profile = _seconds(lambda: traded_profile(candles, day_sums(block), settings), 20)
    exact = traded_profile(candles, day_sums(block), settings)
    return [
        Figure("archive: trades", trades, "trades"),
        Figure("archive to packed ladders", trades / packed, "trades/s", at_least=1.5e6),
        Figure("archive: of reading, hashing, inflating alone", plain / packed, "ratio", at_least=0.15),
        Figure("archive: memory of a process", peak, "MB", at_most=150),
        Figure("packed: bytes a price row", len(block) / levels, "bytes", at_most=3),
        Figure("packed: a day", len(block) / 1e6, "MB", at_most=3),
        Figure("a day of ladders read and made a profile", profile * 1000, "ms", at_most=10),
        Figure("profile: share of exact minutes", 0.0 if exact is None else exact.exact_share, "ratio", 1.0),
    ]


def main() -> None:
    if _ALONE in sys.argv:
        _packed(Path(sys.argv[-1]))
        # Not ru_maxrss, which counts what the process was before it became this program.
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        print(int(peak[1]) / 1024 if peak else 0.0)
        return
    report("orderflow", measure)


if __name__ == "__main__":
    main()
