"""Stored bars as the API gives them, with their deltas and the cumulative delta since an anchor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tui_feeder.bars import deltas_of
from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.analytics.delta import CumulativeDelta, after_bars
from tui_feeder.engine.core.candle import MINUTE_MS, SECOND_MS, timeframe_label
from tui_feeder.errors import InputError
from tui_feeder.service.engine_probe import EngineProbe
from tui_feeder.time_format import Anchor, format_minute

#: Minutes read for one answer, at most.
_MOST_MINUTES = 31 * 1440


class AnchorError(InputError):
    """The cumulative delta cannot be counted from there."""


@dataclass(frozen=True, slots=True)
class BarsRequest:
    """Which bars are asked for."""

    symbol: str
    timeframe: int  # seconds
    start: int | None  # ms; None: the last ones
    end: int | None  # ms, exclusive; None: the newest
    limit: int  # bars
    anchor: Anchor | None = None  # where the cumulative delta begins; None without one


def stored_bars(probe: EngineProbe, request: BarsRequest) -> tuple[list[dict[str, Any]], int | None]:
    """Reads a page of bars; those that lack minutes are left out.

    Args:
        probe: reads the store.
        request: what is asked for.

    Returns:
        The bars as JSON objects, and where the next page begins (ms), None at the end.

    Raises:
        AnchorError: the anchor is inside a bar, after the start, or too long before the end.
    """
    frame = request.timeframe * SECOND_MS
    limit = min(request.limit, max(1, _MOST_MINUTES * MINUTE_MS // frame))
    stored = probe.range_of(request.symbol)
    if stored is None:
        return [], None
    newest = stored[1] // frame * frame
    until = newest if request.end is None else min(request.end // frame * frame, newest)
    if request.start is None:
        low = max(until - limit * frame, stored[0] // frame * frame)
        if request.anchor is not None and not request.anchor.every:
            low = max(low, request.anchor.at)
    else:
        low = max(-(-request.start // frame) * frame, stored[0] // frame * frame)
    high = min(until, low + limit * frame)
    if high <= low:
        return [], None
    first = low if request.anchor is None else _begin(request.anchor, low, high, request.timeframe)
    minutes = probe.stored(request.symbol, first, high)
    rows = minutes[minutes["open_time"] >= low]
    made = aggregate(
        rows,
        request.timeframe,
        listed=probe.listed(request.symbol),
        omitted=probe.omitted(request.symbol),
    )
    whole = made.rows[~made.partial]
    columns = {name: whole[name].tolist() for name in whole.dtype.names or ()}
    columns["close_time"] = (whole["open_time"] + (frame - 1)).tolist()
    columns["delta"] = deltas_of(whole["volume"], whole["taker_buy_volume"]).tolist()
    if (size := probe.contract_size(request.symbol)) is not None:
        columns["contracts"] = [round(quote / size) for quote in columns["quote_volume"]]
    if request.anchor is not None and len(whole):
        cvd = CumulativeDelta(request.anchor).add(minutes)
        columns["cvd"] = after_bars(minutes, cvd, whole["open_time"], request.timeframe).tolist()
    bars = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return bars, high if high < until else None


def _begin(anchor: Anchor, low: int, high: int, timeframe: int) -> int:
    """The first minute that counts for the bars between two moments."""
    begin, frame = anchor.before(low), timeframe * SECOND_MS
    if anchor.at % frame:
        raise AnchorError(f"anchor is inside a bar of {timeframe_label(timeframe)}: take shorter bars")
    if begin > low:
        raise AnchorError(f"anchor is after the first bar: set start to {format_minute(begin)} or later")
    if high - begin > _MOST_MINUTES * MINUTE_MS:
        most = _MOST_MINUTES // 1440
        raise AnchorError(f"anchor is more than {most} days before the last bar of the page")
    return begin
