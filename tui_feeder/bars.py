"""Rows of candles and units of time: what the engine, the monitor and the screens all use.

All instants are integer milliseconds since the epoch, UTC. Knows nothing above it.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

SECOND_MS = 1_000
MINUTE_MS = 60_000
DAY_MS = 86_400_000
MINUTES_PER_DAY = 1_440

#: A one-dimensional structured array of dtype :data:`ROW`, sorted by ``open_time``, without duplicates.
Rows: TypeAlias = NDArray[Any]

#: One candle as a numpy record. ``close_time`` follows from ``open_time`` and is not kept.
ROW = np.dtype(
    [
        ("open_time", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("volume", "<f8"),
        ("quote_volume", "<f8"),
        ("trades", "<i8"),
        ("taker_buy_volume", "<f8"),
        ("taker_buy_quote_volume", "<f8"),
    ]
)


def timeframe_label(seconds: int) -> str:
    """Gives the short name of a timeframe: 60 -> ``1m``, 3600 -> ``1h``, 86400 -> ``1d``.

    Args:
        seconds: length of the timeframe.

    Returns:
        The name.

    Raises:
        ValueError: it is not a whole number of minutes.
    """
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    raise ValueError(f"{seconds} s is not a whole number of minutes")
