"""The exchange's own long bars from before a short history, read to seed the EMAs of long timeframes.

An EMA89 on 4 h bars over 60 days still holds 0.23 % of its seed. Where a history has too few bars of a
timeframe, its native klines are read back to 922 bars (in proportion to the longest period), after which
less than 1e-8 of the seed is left. For a timeframe of which the exchange has none, like 45 minutes or three
hours, they are made of the longest native ones that divide it.
"""

from __future__ import annotations

import asyncio

import numpy as np

from tui_feeder.engine.analytics.indicators import longest_span
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.core.candle import SECOND_MS, Rows, faulty
from tui_feeder.engine.derived.inputs import SEED, Seed, SymbolInputs
from tui_feeder.engine.exchanges.base import Exchange, Refusal, RestError

_BARS, _BARS_FOR_PERIOD = 922, 89
_TRIES = 3


def bars_needed(settings: PipelineSettings) -> int:
    """Computes how many bars of a timeframe its indicators need before and inside the history.

    Args:
        settings: what is derived.

    Returns:
        Number of bars.
    """
    return -(-_BARS * longest_span(settings) // _BARS_FOR_PERIOD)


def short_timeframes(settings: PipelineSettings, inputs: SymbolInputs, start: int, end: int) -> list[int]:
    """Lists the timeframes whose history is too short and whose seeds are missing.

    Args:
        settings: what is derived.
        inputs: seeds already known.
        start: beginning of the history, ms.
        end: its exclusive end, ms.

    Returns:
        Timeframes, seconds.
    """
    needed = bars_needed(settings)
    known = inputs.seeds_before(start)
    return [
        timeframe
        for timeframe in settings.timeframes
        if timeframe > 60  # a history that lacks minutes lacks them altogether
        and timeframe not in known
        and (end - start) // (timeframe * SECOND_MS) < needed
    ]


async def read_seed(
    exchange: Exchange, symbol: str, settings: PipelineSettings, timeframe: int, start: int
) -> Seed:
    """The exchange's bars that lead up to a history; few if listed late.

    Args:
        exchange: asked for them.
        symbol: whose.
        settings: its slowest indicator decides how many are needed.
        timeframe: of the bars, seconds.
        start: where the history begins, ms.

    Returns:
        The bars before ``start``.

    Raises:
        RestError: the exchange refused, or gave no usable answer in several tries.
    """
    facts = exchange.facts(symbol)
    native = max(length for length in facts.native_timeframes if timeframe % length == 0)
    span = native * SECOND_MS
    until = end = start - start % (timeframe * SECOND_MS)
    pages: list[Rows] = []
    left = bars_needed(settings) * (timeframe // native)
    while left > 0:
        asked = min(facts.page_candles, left)
        rows = await _page(exchange, symbol, native, end - asked * span, end)
        pages.append(rows)
        left -= asked
        end -= asked * span
        if not len(rows) or rows["open_time"][0] > end:  # its listing is reached
            break
    return Seed(until, bars_of(np.concatenate(pages[::-1]), timeframe))


def bars_of(rows: Rows, timeframe: int) -> bytes:
    """Combines bars to longer ones for seeding.

    A bar's close is that of the last shorter bar in it; other parts may be missing where the symbol was
    just listed.

    Args:
        rows: shorter bars, dtype ROW, ascending.
        timeframe: seconds of the longer bars.

    Returns:
        Bytes of an array of dtype SEED.
    """
    openings = rows["open_time"] - rows["open_time"] % (timeframe * SECOND_MS)
    ends = np.flatnonzero(np.diff(openings, append=-1))
    made = np.empty(len(ends), dtype=SEED)
    made["open_time"], made["close"] = openings[ends], rows["close"][ends]
    return made.tobytes()


async def _page(exchange: Exchange, symbol: str, timeframe: int, start: int, end: int) -> Rows:
    for attempt in range(1, _TRIES + 1):
        try:
            rows = (await exchange.candles(symbol, timeframe, max(0, start), end)).rows
            sound: Rows = rows[~faulty(rows)]
            return sound
        except RestError as error:
            if attempt == _TRIES or error.kind.final or error.kind is Refusal.FORBIDDEN:
                raise
            if error.retry_ms is not None:
                await exchange.clock.sleep_until(error.retry_ms)
            else:
                await asyncio.sleep(0.25 * 2**attempt)
    raise AssertionError("unreachable")
