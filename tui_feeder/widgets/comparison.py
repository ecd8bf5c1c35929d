"""What a chart shows of a second symbol: its change in percent, and the basis of a future over spot. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from tui_feeder.monitor import Rows
from tui_feeder.scanner.measures import spot_of


def aligned_closes(bars: Rows, others: Rows) -> NDArray[np.float64]:
    """Finds for each bar the close of another symbol.

    Args:
        bars: rows of dtype ROW, ascending.
        others: of the other symbol and the same timeframe.

    Returns:
        A close for each of ``bars``, NaN where the other has no bar of that time.
    """
    closes = np.full(len(bars), math.nan)
    if len(bars) and len(others):
        at = np.searchsorted(others["open_time"], bars["open_time"])
        at[at == len(others)] = 0
        same = others["open_time"][at] == bars["open_time"]
        closes[same] = others["close"][at[same]]
    return closes


def first_common(bars: Rows, closes: NDArray[np.float64]) -> int | None:
    """Finds the first bar that both symbols have, from which both are counted.

    Args:
        bars: rows of dtype ROW.
        closes: of the other symbol, aligned with them.

    Returns:
        Its index; None where there is no such bar with prices above 0.
    """
    usable = np.flatnonzero((closes > 0) & (bars["close"] > 0))
    return int(usable[0]) if len(usable) else None


def rescaled(bars: Rows, closes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Brings the closes of another symbol to the price axis of a chart.

    Equal changes in percent since the first common bar lie at equal heights.

    Args:
        bars: rows of dtype ROW, of the symbol whose axis it is.
        closes: of the other symbol, aligned with them.

    Returns:
        Prices; NaN before the first common bar and where the other has no bar.
    """
    first = first_common(bars, closes)
    if first is None:
        return np.full(len(closes), math.nan)
    prices: NDArray[np.float64] = closes * (bars["close"][first] / closes[first])
    prices[:first] = math.nan
    return prices


def basis_pair(symbol: str, followed: Collection[str]) -> tuple[str, str] | None:
    """Finds the future and the spot pair that a basis can be computed of.

    Args:
        symbol: one of the two.
        followed: names of all symbols there are.

    Returns:
        Name of the future and of the pair in spot; None where not both are followed.
    """
    prefix = spot_of("")
    future = symbol.removeprefix(prefix)
    pair = future, spot_of(future)
    return pair if all(name in followed for name in pair) else None


def basis_points(futures: NDArray[np.float64], spots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Computes the basis, future / spot - 1.

    Args:
        futures: closes of the future.
        spots: closes of the pair in spot, aligned with them.

    Returns:
        Basis points, NaN where a close is missing or not above 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        values: NDArray[np.float64] = (futures / spots - 1) * 10_000
    values[~((futures > 0) & (spots > 0))] = math.nan
    return values
