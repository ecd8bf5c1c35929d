"""The exchange's own long bars from before a short history, read to seed the EMAs of long timeframes.

An EMA89 on 4 h bars over 60 days still holds 0.23 % of its seed. Where a history has too few bars of a
timeframe, its native klines are read back to 922 bars (in proportion to the longest period), after which
less than 1e-8 of the seed is left.
"""

from __future__ import annotations

import asyncio

import numpy as np

from tui_feeder.engine.basis import SEED, Basis, Seed
from tui_feeder.engine.binance.rest import RestClient, RestError
from tui_feeder.engine.candle import SECOND_MS, Rows, timeframe_label
from tui_feeder.engine.pipeline import PipelineSettings

_BARS, _BARS_FOR_PERIOD = 922, 89
_PAGE = 499  # the cheapest page by weight
_TRIES = 3
_HOPELESS = ("banned", "refused here", "unknown symbol", "forbidden")
#: Timeframes of which the exchange has klines, seconds.
NATIVE = (180, 300, 900, 1800, 3600, 7200, 14400, 21600, 28800, 43200, 86400)


def bars_needed(settings: PipelineSettings) -> int:
    """How many bars of a timeframe its EMAs want before and inside the history."""
    return -(-_BARS * max(settings.ema_periods, default=0) // _BARS_FOR_PERIOD)


def short_timeframes(settings: PipelineSettings, basis: Basis, start: int, end: int) -> list[int]:
    """The timeframes whose history ``[start, end)`` is too short, and whose seeds ``basis`` lacks."""
    needed = bars_needed(settings)
    known = basis.seeds_before(start)
    return [
        timeframe
        for timeframe in settings.timeframes
        if timeframe in NATIVE
        and timeframe not in known
        and (end - start) // (timeframe * SECOND_MS) < needed
    ]


async def read_seed(
    rest: RestClient, symbol: str, settings: PipelineSettings, timeframe: int, start: int
) -> Seed:
    """The native bars of ``timeframe`` that lead up to a history from ``start`` on; few if listed late.

    Raises:
        RestError: the exchange refused, or gave no usable answer in several tries.
    """
    span = timeframe * SECOND_MS
    until = end = start - start % span
    parts: list[bytes] = []
    left = bars_needed(settings)
    while left > 0:
        asked = min(_PAGE, left)
        rows = await _page(rest, symbol, timeframe_label(timeframe), end - asked * span, end)
        part = np.empty(len(rows), dtype=SEED)
        part["open_time"], part["close"] = rows["open_time"], rows["close"]
        parts.append(part.tobytes())
        left -= asked
        end -= asked * span
        if len(rows) < asked:  # its listing is reached
            break
    return Seed(until, b"".join(reversed(parts)))


async def _page(rest: RestClient, symbol: str, interval: str, start: int, end: int) -> Rows:
    for attempt in range(1, _TRIES + 1):
        try:
            return await rest.klines(symbol, interval=interval, start=max(0, start), end=end, limit=_PAGE)
        except RestError as error:
            if attempt == _TRIES or error.kind in _HOPELESS:
                raise
            if error.retry_ms is not None:
                await rest.clock.sleep_until(error.retry_ms)
            else:
                await asyncio.sleep(0.25 * 2**attempt)
    raise AssertionError("unreachable")
