"""Which candles a mirror still lacks: from what is stored and what it has, a piece at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tui_feeder.config import Config
from tui_feeder.engine.analytics.aggregate import Bars, aggregate
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, SECOND_MS, Rows
from tui_feeder.engine.core.coverage import Coverage

#: Minutes looked at in one piece.
_PIECE_MS = 7 * DAY_MS


class Piece(NamedTuple):
    """A stretch of one symbol and timeframe that is written at once."""

    start: int  # the candles that open in [start, end) are read and written
    end: int
    minutes: Coverage  # that are mirrored once they are


def next_piece(present: Coverage, todo: Coverage, timeframe: int) -> Piece | None:
    """Finds the first piece whose candles are complete.

    A candle is complete when its last minute or a later one is stored. Only minutes of complete candles
    count as mirrored, so those of a candle that a far later minute completes are still in ``todo`` then.

    Args:
        present: minutes stored.
        todo: minutes of ``present`` to be written, again where they are mirrored.
        timeframe: seconds.

    Returns:
        The piece; None if there is none.
    """
    if not todo:
        return None
    size = timeframe * SECOND_MS
    first = todo.start
    # Pieces meet at midnight, where a candle of every timeframe ends: none is in two of them.
    last = min(todo.end, (first + _PIECE_MS) // DAY_MS * DAY_MS)
    closing = min(-(-last // size) * size, present.end // size * size)
    if first >= closing:
        return None
    return Piece(first // size * size, closing, present.clip(first, closing))


def bars_of(rows: Rows, piece: Piece, timeframe: int, listed: int | None = None) -> Bars:
    """Aggregates the complete candles of a piece.

    Args:
        rows: its one-minute rows, dtype ROW, sorted.
        piece: the piece.
        timeframe: seconds.
        listed: the symbol's first minute, ms, where known.

    Returns:
        The candles.
    """
    if timeframe > 60 and len(rows) and rows["open_time"][-1] < piece.end - MINUTE_MS:
        # The last candle lacks its last minute, and a later minute is stored: one there completes it.
        later = rows[-1:].copy()
        later["open_time"] = piece.end
        rows = np.concatenate((rows, later))
    return aggregate(rows, timeframe, listed=listed)


def mirrored_timeframes(config: Config) -> tuple[int, ...]:
    """Lists the timeframes of the mirror's tables; one minute is always among them.

    Args:
        config: the configuration.

    Returns:
        Seconds.
    """
    return tuple(dict.fromkeys((60, *config.technical_analysis.timeframes)))
