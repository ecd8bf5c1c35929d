"""The embedded exchange of :mod:`benchmarks.full_size`, which notes when closing frames go out.

``python -m benchmarks._full_size_exchange SYMBOLS CLOSES``: its addresses as a JSON line, then it serves
until stdin ends. ``CLOSES`` gets a line for each closing frame: symbol, end of the minute (ms),
time of day (s).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO
from unittest import mock

from tui_feeder.simulator import stream
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.klines import Frame, KlineStream
from tui_feeder.simulator.synthetic import synthetic_market


def _noting(closes: TextIO) -> type[KlineStream]:
    class Noting(KlineStream):
        def due(self, now: int, *, forming: bool = True) -> Iterator[Frame]:
            for frame in super().due(now, forming=forming):
                if frame.closed:
                    closes.write(f"{self.symbol} {frame.minute_end} {time.time():.6f}\n")
                yield frame

    return Noting


async def _serve(names: list[str], closes: TextIO) -> None:
    now = int(time.time() * 1000)
    market = await asyncio.to_thread(synthetic_market, names, as_of_ms=now)
    with mock.patch.object(stream, "KlineStream", _noting(closes)):
        async with Exchange(market, SimulatedClock(now, 1.0)) as exchange:
            print(json.dumps([exchange.rest_url, exchange.stream_url, exchange.archive_url]), flush=True)
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    with Path(sys.argv[2]).open("w") as opened:
        asyncio.run(_serve(sys.argv[1].split(","), opened))
