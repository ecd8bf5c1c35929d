"""The process that plays three markets for :mod:`benchmarks.live_markets`: one clock, one loop.

A JSON line on stdin names the symbols of each market; one on stdout gives the addresses. It ends with stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence

from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.dialect import COINM, DIALECTS, USDM, Dialect
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.market import Market
from tui_feeder.simulator.other_markets import ListedElsewhere, source_name
from tui_feeder.simulator.synthetic import synthetic_market


def market_of(dialect: Dialect, names: Sequence[str], start: int) -> Market:
    """The market that lists ``names`` as the dialect writes them."""
    invented = synthetic_market([source_name(name, dialect) for name in names], as_of_ms=start)
    return invented if dialect is USDM else ListedElsewhere(invented, dialect)


async def _serve(given: dict[str, list[str]], start: int) -> None:
    clock = SimulatedClock(start)
    urls: dict[str, list[str]] = {}
    async with contextlib.AsyncExitStack() as stack:
        ledger = None
        for name, symbols in given.items():
            dialect = DIALECTS[name]
            exchange = Exchange(
                market_of(dialect, symbols, start), clock, dialect=dialect,
                ledger=ledger if dialect is COINM else None,
            )  # fmt: skip
            ledger = exchange.rest.ledger if dialect is USDM else ledger
            await stack.enter_async_context(exchange)
            urls[name] = [exchange.rest_url, exchange.stream_url, exchange.archive_url]
        print(json.dumps(urls), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    order = json.loads(sys.stdin.readline())
    asyncio.run(_serve(order["markets"], order["start"]))
