"""What stands in a tile of the market map, the most important first, as far as the tile has room. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from tui_feeder.monitor import SymbolState, SymbolView, timeframe_label
from tui_feeder.scanner import measures
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Glyphs
from tui_feeder.widgets.spark import spark, tall_spark

_TEXT_WIDTH = 3  # cells from which a tile has text
_CUT_WIDTH = 5  # cells from which it has a cut name
#: Cells and rows from which it has more than name and value.
MORE_WIDTH, MORE_ROWS = 10, 4
_SPARK_WIDTH = 8  # cells from which closes are drawn
_TREND_SIGNS = {"Buy": "buy", "Sell": "sell", "Neutral": "neutral"}


@dataclass(frozen=True, slots=True)
class TileDetails:
    """What a large tile shows besides name and value."""

    #: Of each line its wordings, the longest first; lines in the order of their worth.
    lines: tuple[tuple[str, ...], ...]
    closes: tuple[float, ...]  # of the day


def tile_details(view: SymbolView, with_change: bool, with_trends: bool, glyphs: Glyphs) -> TileDetails:
    """Collects what a large tile shows of a symbol.

    Args:
        view: of the symbol.
        with_change: whether the change of 24 h is among it; else the tile has it already.
        with_trends: whether the score of the alignment is.
        glyphs: symbols.

    Returns:
        The lines, without those of which nothing is known.
    """
    lines: list[tuple[str, ...]] = []
    if view.state is not SymbolState.LIVE:
        state = view.state.value
        lines.append((f"{state}: {view.reason}", state) if view.reason else (state,))
    if view.price is not None:
        lines.append((cells.price_text(view.price, view.price_decimals, 12),))
    if with_change and view.change_24h is not None:
        lines.append((f"24h {cells.percent_text(view.change_24h)}%",))
    volume = f"vol {cells.count_text(view.volume_24h)}"
    usual = view.relative_volume
    lines.append((volume,) if usual is None else (f"{volume}  RVOL {cells.ratio_text(usual)}", volume))
    lines += _trend_lines(view, with_trends, glyphs)
    distance, position = measures.level_distance(view, "poc"), measures.value_position(view)
    if distance is not None:
        text = f"POC {cells.percent_text(distance)}%"
        lines.append((text,) if position is None else (f"{text}  VA {position}", text))
    low, high = measures.level_price(view, "low"), measures.level_price(view, "high")
    if low is not None and high is not None:
        lowest, highest = (cells.price_text(price, view.price_decimals, 12) for price in (low, high))
        spread = f"RNG {cells.percent_text(measures.range_percent(view)).lstrip('+')}%"
        lines.append((f"24h {lowest} to {highest}  {spread}", f"24h {lowest} to {highest}", spread))
    return TileDetails(tuple(lines), view.day_closes)


def _trend_lines(view: SymbolView, with_score: bool, glyphs: Glyphs) -> list[tuple[str, ...]]:
    found = measures.alignment(view)
    if found is None:
        return []
    score = (f"{found.score:+d}" if found.score else "0") + ("" if found.complete else "?")
    frames = " ".join(
        timeframe_label(frame.timeframe)
        + (getattr(glyphs, _TREND_SIGNS[frame.trend]) if frame.trend in _TREND_SIGNS else "?")
        for frame in view.timeframes
    )
    return [(f"{frames}  {score}", frames, f"trends {score}") if with_score else (frames,)]


def head_lines(name: str, text: str, sign: str, signed: bool, width: int, height: int) -> list[str]:
    """Writes name and value of a tile.

    Args:
        name: short, of the symbol.
        text: the value.
        sign: one cell that stands for it where it has no room.
        signed: whether the sign stands before the value too.
        width: cells there are.
        height: rows there are.

    Returns:
        One line or two; none where there is no cell.
    """
    size = cell_len(name)
    if width < _TEXT_WIDTH:
        return [sign] if width >= 1 else []
    for value in (sign + text, text) if signed else (text,):
        if height >= 2 and size <= width and cell_len(value) <= width:
            return [name, value]
        if size + 1 + cell_len(value) <= width:
            return [f"{name} {value}"]
    if size < width:
        return [sign + name]
    return [sign + cells.fit(name, width - 1) if width >= _CUT_WIDTH else sign]


def more_lines(details: TileDetails, width: int, rows: int, glyphs: Glyphs) -> tuple[list[str], list[str]]:
    """Writes what stands below name and value: as many lines as fit, then the closes of the day.

    Args:
        details: what there is.
        width: cells there are; one stays blank before the next tile.
        rows: there are.
        glyphs: symbols.

    Returns:
        Lines of text, none of them cut, the ones of less worth left out; and rows of bars, the first blank.
    """
    if width < MORE_WIDTH:
        return [], []
    fitting = (next((text for text in wordings if cell_len(text) < width), "") for wordings in details.lines)
    lines = [text for text in fitting if text][: max(0, rows)]
    return lines, _closes(details.closes, width - 1, rows - len(lines) - 1, glyphs)


def _closes(closes: Sequence[float], width: int, rows: int, glyphs: Glyphs) -> list[str]:
    """The closes of the day under a blank line, over the whole width."""
    if rows < 1 or len(closes) < 2 or width < _SPARK_WIDTH:
        return []
    if rows == 1:
        return ["", spark(closes, min(width, len(closes)), glyphs.spark).rstrip()]
    shown = [closes[at * len(closes) // width] for at in range(width)]
    low, high = min(shown), max(shown)
    base = (high - low) / (rows * len(glyphs.rising))  # the lowest is seen too
    heights = [close - low + base for close in shown]
    return ["", *tall_spark(heights, width, rows, glyphs.rising)]
