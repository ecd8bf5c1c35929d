"""Rows of candles and units of time: what the engine, the monitor and the screens all use; and deltas.

All instants are integer milliseconds since the epoch, UTC. Knows nothing above it.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tui_feeder.digits import digits_beside, digits_beside_of

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


def delta_of(volume: float, taker_buy_volume: float) -> float:
    """Computes the delta of a candle, or of any sum of candles: what takers bought less what they sold.

    They sold what they did not buy, so it is ``2 x taker_buy_volume - volume``.

    Args:
        volume: base asset.
        taker_buy_volume: what takers bought of it, base asset.

    Returns:
        Base asset; negative where takers sold more than they bought.
    """
    return digits_beside(2.0 * taker_buy_volume - volume, volume)


def deltas_of(volumes: NDArray[np.float64], taker_buy_volumes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Computes deltas; the array form of :func:`delta_of`.

    Args:
        volumes: shape (n,), base asset.
        taker_buy_volumes: shape (n,), base asset.

    Returns:
        Shape (n,), base asset.
    """
    return digits_beside_of(2.0 * taker_buy_volumes - volumes, volumes)


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
