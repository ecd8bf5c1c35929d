"""The exchange's own long bars from before a short history, read to seed the EMAs of long timeframes.

An EMA89 on 4 h bars over 60 days still holds 0.23 % of its seed. Where a history has too few bars of a
timeframe, its native klines are read back to 922 bars (in proportion to the longest period), after which
less than 1e-8 of the seed is left. For a timeframe of which the exchange has none, like 45 minutes or three
hours, they are made of the longest native ones that divide it.
"""

from __future__ import annotations

import asyncio

import numpy as np

from tui_feeder.engine.analytics.pipeline import PipelineSettings
from tui_feeder.engine.core.candle import SECOND_MS, Rows, faulty, timeframe_label
from tui_feeder.engine.derived.inputs import SEED, Seed, SymbolInputs
from tui_feeder.engine.exchanges.binance.rest import RestClient, RestError

_BARS, _BARS_FOR_PERIOD = 922, 89
_PAGE = 499  # the cheapest page by weight
_TRIES = 3
_HOPELESS = ("banned", "refused here", "unknown symbol", "forbidden")
#: Timeframes of which the exchange has klines, seconds.
NATIVE = (60, 180, 300, 900, 1800, 3600, 7200, 14400, 21600, 28800, 43200, 86400)


def bars_needed(settings: PipelineSettings) -> int:
    """How many bars of a timeframe its EMAs want before and inside the history."""
    return -(-_BARS * max(settings.ema_periods, default=0) // _BARS_FOR_PERIOD)


def short_timeframes(settings: PipelineSettings, inputs: SymbolInputs, start: int, end: int) -> list[int]:
    """The timeframes whose history ``[start, end)`` is too short, and whose seeds ``basis`` lacks."""
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
    rest: RestClient, symbol: str, settings: PipelineSettings, timeframe: int, start: int
) -> Seed:
    """The exchange's bars of ``timeframe`` that lead up to a history from ``start`` on; few if listed late.

    Raises:
        RestError: the exchange refused, or gave no usable answer in several tries.
    """
    native = max(interval for interval in NATIVE if timeframe % interval == 0)
    span = native * SECOND_MS
    until = end = start - start % (timeframe * SECOND_MS)
    pages: list[Rows] = []
    left = bars_needed(settings) * (timeframe // native)
    while left > 0:
        asked = min(_PAGE, left)
        rows = await _page(rest, symbol, timeframe_label(native), end - asked * span, end)
        pages.append(rows)
        left -= asked
        end -= asked * span
        if not len(rows) or rows["open_time"][0] > end:  # its listing is reached
            break
    return Seed(until, bars_of(np.concatenate(pages[::-1]), timeframe))


def bars_of(rows: Rows, timeframe: int) -> bytes:
    """The bars of ``timeframe`` seconds that shorter ones (ascending) make up, dtype SEED.

    Their closes are those of the last one in each; it may lack others where the symbol was just listed.
    """
    openings = rows["open_time"] - rows["open_time"] % (timeframe * SECOND_MS)
    ends = np.flatnonzero(np.diff(openings, append=-1))
    made = np.empty(len(ends), dtype=SEED)
    made["open_time"], made["close"] = openings[ends], rows["close"][ends]
    return made.tobytes()


async def _page(rest: RestClient, symbol: str, interval: str, start: int, end: int) -> Rows:
    for attempt in range(1, _TRIES + 1):
        try:
            rows = await rest.klines(symbol, interval=interval, start=max(0, start), end=end, limit=_PAGE)
            sound: Rows = rows[~faulty(rows)]
            return sound
        except RestError as error:
            if attempt == _TRIES or error.kind in _HOPELESS:
                raise
            if error.retry_ms is not None:
                await rest.clock.sleep_until(error.retry_ms)
            else:
                await asyncio.sleep(0.25 * 2**attempt)
    raise AssertionError("unreachable")
