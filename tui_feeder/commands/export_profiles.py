"""``feeder-tui export --profile``: profiles of stored minutes as CSV, JSON lines or Parquet."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import typer

from tui_feeder.commands.export_run import ExportRequest, check_request, stored_range, write_rows
from tui_feeder.commands.formatting import plural
from tui_feeder.commands.symbols import not_stored
from tui_feeder.config import Config
from tui_feeder.digits import digits_beside_of
from tui_feeder.engine.analytics.profile.tools.sessions import parse_session, sessions_of
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.derived.profile_tools import ProfileTools
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import ExitCode, UsageError
from tui_feeder.monitor import LONGEST_RANGE
from tui_feeder.research import Candles
from tui_feeder.time_format import parse_timeframe

_LEVELS = [("poc", "<f8"), ("vah", "<f8"), ("val", "<f8"), ("vwap", "<f8")]
_ROW = np.dtype([("price", "<f8"), ("volume", "<f8")])
#: Rows that count candles (TPO) have no sides.
_ROW_OF_SIDES = np.dtype(
    [*((name, _ROW[name]) for name in _ROW.names or ()), ("bought", "<f8"), ("sold", "<f8")]
)
_SESSION = np.dtype(
    [("day", "<i8"), ("session", "O"), ("start", "<i8"), ("end", "<i8"), *_LEVELS, ("volume", "<f8"),
     ("minutes", "<i8"), ("exact_share", "<f8")]
)  # fmt: skip
_NAKED = np.dtype([("day", "<i8"), ("poc", "<f8")])
_DEVELOPING = np.dtype([("time", "<i8"), *_LEVELS])
_BANDS = ("upper_1", "lower_1", "upper_2", "lower_2")
_VWAP = np.dtype(
    [("time", "<i8"), ("vwap", "<f8"), ("deviation", "<f8"), *((name, "<f8") for name in _BANDS)]
)

_Made: TypeAlias = Callable[[ProfileTools, Config, ExportRequest, int, int], Candles]


def run(config: Config, request: ExportRequest, kind: str) -> int:
    """Writes profiles of a range.

    Args:
        config: whose settings shape them.
        request: symbol, range and form.
        kind: one of :data:`KINDS`.

    Returns:
        The exit code.

    Raises:
        StoreError: there is no store.
        UsageError: the symbol is not stored, or the request makes no sense.
        ExportError: the file cannot be written.
    """
    if request.states or request.ladders or request.include_partial:
        raise UsageError("--profile goes without --states, --ladders and --include-partial")
    check_request(request)
    with contextlib.closing(Store(config.application.storage_path, read_only=True)) as store:
        present = store.present(request.symbol)
        if not present:
            there = [symbol for symbol in store.symbols() if store.present(symbol)]
            raise not_stored(request.symbol, there, store.path)
        low = max(present.start, request.start or 0)
        high = present.end if request.end is None else min(present.end, request.end)
        if high - low > LONGEST_RANGE:
            raise UsageError(
                f"profiles are of {LONGEST_RANGE // DAY_MS} days at most, not {(high - low) // DAY_MS}: "
                "narrow --from and --to"
            )
        rows = KINDS[kind](ProfileTools(store, config), config, request, low, high)
    write_rows(rows, request)
    if request.output is not None:
        typer.echo(f"wrote {plural(len(rows), 'row')} of {request.symbol} to {request.output}", err=True)
    if not len(rows):
        found = stored_range(config.application.storage_path, request)
        typer.echo(f"no {kind} in this range; {found}", err=True)
    return ExitCode.OK


def _days(low: int, high: int) -> range:
    return range(low - low % DAY_MS, high, DAY_MS)


def _rows(tools: ProfileTools, config: Config, request: ExportRequest, low: int, high: int) -> Candles:
    view = tools.range_profile(request.symbol, ((low, high),), high) if low < high else None
    if view is None:
        return np.empty(0, _ROW)
    rows = np.empty(len(view.weights), _ROW if view.bought is None else _ROW_OF_SIDES)
    rows["price"], rows["volume"] = view.prices, view.weights
    if view.bought is not None:
        rows["bought"] = view.bought
        rows["sold"] = digits_beside_of(rows["volume"] - rows["bought"], rows["volume"])
    return rows[rows["volume"] > 0]


def _sessions(tools: ProfileTools, config: Config, request: ExportRequest, low: int, high: int) -> Candles:
    sessions = [parse_session(text) for text in config.volume_profile.sessions]
    found = []
    for day in _days(low, high):
        for span in sessions_of(day, sessions):
            view = tools.range_profile(request.symbol, ((span.start, span.end),), high)
            if view is not None and span.start >= low:
                vwap = np.nan if view.vwap is None else view.vwap
                levels = view.poc, view.vah, view.val, vwap
                about = view.total_volume, view.candles, view.exact_share
                found.append((day, span.name, span.start, span.end, *levels, *about))
    return np.array(found, _SESSION)


def _naked(tools: ProfileTools, config: Config, request: ExportRequest, low: int, high: int) -> Candles:
    first = low // DAY_MS * DAY_MS
    days = ((high - MINUTE_MS) // DAY_MS * DAY_MS - first) // DAY_MS
    levels = tools.day_levels(request.symbol, days, high) if days > 0 else []
    return np.array([(level.day, level.price) for level in levels if level.touched_at is None], _NAKED)


def _developing(tools: ProfileTools, config: Config, request: ExportRequest, low: int, high: int) -> Candles:
    every = parse_timeframe(request.timeframe) * 1_000 // MINUTE_MS
    found = []
    for day in _days(low, high):
        lines = tools.developing(request.symbol, day, every, high)
        if lines is not None:
            columns = (lines.times, lines.poc, lines.vah, lines.val, lines.vwap)
            found += [point for point in zip(*columns, strict=True) if point[0] > low]
    return np.array(found, _DEVELOPING)


def _vwap(tools: ProfileTools, config: Config, request: ExportRequest, low: int, high: int) -> Candles:
    line = tools.anchored(request.symbol, low, parse_timeframe(request.timeframe), high)
    rows = np.empty(len(line.times), _VWAP)
    rows["time"], rows["vwap"], rows["deviation"] = line.times, line.vwap, line.deviation
    for name, times in zip(_BANDS, (1, -1, 2, -2), strict=True):
        rows[name] = rows["vwap"] + times * rows["deviation"]
    return rows


#: How each kind is made of the minutes from one time to another, ms.
KINDS: dict[str, _Made] = {
    "rows": _rows,
    "sessions": _sessions,
    "naked-pocs": _naked,
    "developing": _developing,
    "vwap": _vwap,
}
