"""Markets live: what 200 USD-M, 200 spot and 50 COIN-M symbols cost beside as many of USD-M alone.

``python -m benchmarks.live_markets [--json] [--check]``, some six minutes; as :mod:`benchmarks.live`, whose
store, processes and way of measuring these are. The markets are played by one process with one clock, for the
exchange's is one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._markets import market_of
from benchmarks._report import Figure, percentile, report
from benchmarks.live import START, busiest, fill, running, say
from tui_feeder.simulator.dialect import DIALECTS

_USDM, _SPOT, _COINM = 200, 200, 50
_SECONDS = 60.0
#: A symbol of the mixture may cost so much more than one of USD-M alone.
_MOST = 1.2


@contextmanager
def _markets(markets: dict[str, list[str]]) -> Iterator[dict[str, list[str]]]:
    """The addresses of markets that are played by a process of their own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks._markets"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"markets": markets, "start": START}) + "\n")
        process.stdin.flush()
        yield json.loads(process.stdout.readline())
        process.stdin.close()
        process.wait(60)
    finally:
        process.kill()
        process.wait()


def _seen(folder: Path, markets: dict[str, list[str]]) -> dict[str, Any]:
    """What the engine cost that follows the markets' symbols."""
    storage, names = folder / "-".join(markets), list[str]()
    for name, symbols in markets.items():
        prefix = "" if name == "usdm" else f"{name}:"
        fill(storage, market_of(DIALECTS[name], symbols, START), symbols, prefix)
        names += [prefix + symbol for symbol in symbols]
    with _markets(markets) as urls:
        others = {name: found for name, found in urls.items() if name != "usdm"}
        with running(storage, names, urls["usdm"], others) as engine:
            took = engine.ask(follow=names)["took"]
            say(f"{len(names)} symbols of {', '.join(markets)} are live after {took:.0f} s")
            return engine.ask(seconds=_SECONDS)


def measure() -> list[Figure]:
    names = busiest(_USDM + _SPOT + _COINM)
    coins = [name.removesuffix("USDT") + "USD_PERP" for name in names[-_COINM:]]
    mixture = {"usdm": names[:_USDM], "spot": names[_USDM : _USDM + _SPOT], "coinm": coins}
    with tempfile.TemporaryDirectory(prefix="feeder-bench-") as folder:
        alone = _seen(Path(folder), {"usdm": names})
        mixed = _seen(Path(folder), mixture)
    count, figures = len(names), list[Figure]()
    for title, seen in ((f"{count} USD-M symbols", alone), (f"{_USDM} + {_SPOT} + {_COINM} symbols", mixed)):
        delays = [delay for burst in seen["delays"] for delay in burst]
        figures += [
            Figure(f"{title}: frames", seen["frames"], "1/s"),
            Figure(f"{title}: CPU of one core", seen["cpu"] * 100, "%"),
            Figure(f"{title}: CPU of a symbol", seen["cpu"] / count * 1e6, "us/s"),
            Figure(f"{title}: closes that became messages", len(delays) / count, "share", at_least=1.0),
            Figure(f"{title}: received to message, p99", percentile(delays, 0.99), "ms"),
            Figure(f"{title}: waited for a processor / worked", seen["waited"], "ratio"),
            Figure(f"{title}: anonymous memory, highest", seen["memory"], "MB"),
        ]
    return [
        *figures,
        Figure(
            "CPU of the three markets / of USD-M alone", mixed["cpu"] / alone["cpu"], "ratio", at_most=_MOST
        ),
        Figure("memory, likewise", mixed["memory"] / alone["memory"], "ratio", at_most=_MOST),
    ]


if __name__ == "__main__":
    report("live_markets", measure)
