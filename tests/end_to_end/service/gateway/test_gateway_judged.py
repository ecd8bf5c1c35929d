"""A client polls while an exchange misbehaves by a seed: every row that was over is the exchange's own."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.feed import NOON, configured
from tests.support.gateway_process import attached, running_gateway
from tests.support.serving import serving
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.simulator.clock import clock_for
from tui_feeder.simulator.digits import rest_rows
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.fault_random import RandomFaults
from tui_feeder.simulator.synthetic import synthetic_market

SYMBOLS = ["BTCUSDT", "ETHUSDT", "币安人生USDT"]
#: Real seconds of a seed; a minute of the exchange is one. A slow machine takes longer until there are ROWS.
SECONDS = 25.0
ROWS = 3 * 40
#: What the gateway's clock may be behind, which goes on by itself between two looks at the feeder's.
SLACK_MS = 5_000


@pytest.mark.parametrize("seed", [1, 4, 5])
async def test_every_row_that_was_served_is_the_exchanges(tmp_path: Path, seed: int) -> None:
    market = synthetic_market(SYMBOLS, as_of_ms=NOON)
    faults = RandomFaults(seed, gap=60.0, longest=240.0)
    exchange = Exchange(market, clock_for(market, start_ms=NOON, rate=60.0), random_faults=faults)
    served: dict[tuple[str, int], list[list[Any]]] = {}
    statuses: Counter[int] = Counter()
    async with (
        exchange,
        serving(configured(exchange, SYMBOLS), tmp_path) as feeder,
        attached(feeder.engine) as socket,
        running_gateway(socket) as gateway,
    ):
        until = time.monotonic() + SECONDS

        async def poll(symbol: str) -> None:
            for limit in itertools.cycle((40, 1)):
                if time.monotonic() >= until and len(served) >= ROWS:
                    break
                known = feeder.engine.live.minutes_in_progress(1 << 62).now
                over = min(exchange.clock.now(), known) - SLACK_MS
                status, body, headers = await gateway.get(
                    f"/fapi/v1/klines?symbol={symbol}&interval=1m&limit={limit}"
                )
                statuses[status] += 1
                if status == 503:
                    assert "Retry-After" in headers
                rows = json.loads(body) if status == 200 else []
                for row in [*rows[:-1], *(row for row in rows[-1:] if row[6] < over)]:
                    versions = served.setdefault((symbol, row[0]), [])
                    if row not in versions:
                        versions.append(row)
                await asyncio.sleep(0.05)

        async with asyncio.timeout(4 * SECONDS):
            await asyncio.gather(*(poll(symbol) for symbol in SYMBOLS))
        assert statuses.keys() <= {200, 503}
        for (symbol, at), versions in served.items():
            block = exchange.market.minutes(symbol, at, at + MINUTE_MS)
            truth = json.loads(rest_rows(block, market.instruments[symbol], MINUTE_MS))
            assert versions == truth, (symbol, at)
