"""Painter of a volume profile: horizontal bars on the price axis of the candles beside it. Pure."""

from __future__ import annotations

import numpy as np
from textual.strip import Strip

from tui_feeder.monitor import ProfileView
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.progress_bars import bar_text
from tui_feeder.widgets.scale import PriceScale

#: Cells for ``VWAP 60123.40`` at the right.
LABEL = 14


def heaviest_in_rows(profile: ProfileView, scale: PriceScale) -> list[float]:
    """Finds the heaviest row of a profile in every row of the screen.

    Where a screen row merges several, their sum would make another bar than that of the point of control the
    longest. Each profile row counts in the screen row that holds its price; a screen row between two prices
    shows the row it lies in.

    Args:
        profile: of a day.
        scale: of the screen rows.

    Returns:
        ``scale.rows`` weights, from the top; 0 outside of the profile.
    """
    weights, prices = np.asarray(profile.weights, dtype=float), profile.prices
    found = np.zeros(scale.rows)
    at = np.floor([scale.position(price) for price in prices.tolist()]).astype(np.int64)
    at[(at == scale.rows) & (prices >= scale.low)] = scale.rows - 1
    inside = (at >= 0) & (at < scale.rows)
    np.maximum.at(found, at[inside], weights[inside])
    edges = np.asarray(scale.edges())
    middles = (edges[:-1] + edges[1:]) / 2
    nearest = np.floor((middles - prices[0]) / profile.increment + 0.5).astype(np.int64)
    between = np.ones(scale.rows, dtype=bool)
    between[at[inside]] = False
    between &= (nearest >= 0) & (nearest < len(weights))
    found[between] = weights[nearest[between]]
    result: list[float] = found.tolist()
    return result


def profile_levels(profile: ProfileView) -> list[tuple[str, float, Role]]:
    """Lists the levels of a profile, the most important first.

    Args:
        profile: the profile.

    Returns:
        Name, price and role.
    """
    levels = [
        ("POC", profile.poc, Role.POC),
        ("VAH", profile.vah, Role.VALUE_AREA),
        ("VAL", profile.val, Role.VALUE_AREA),
    ]
    if profile.vwap is not None:
        levels.append(("VWAP", profile.vwap, Role.VWAP))
    return levels


def paint_profile(
    profile: ProfileView, scale: PriceScale, decimals: int, width: int, palette: Palette
) -> list[Strip]:
    """Paints bars as long as their weight; POC, VAH, VAL and VWAP are named at the right.

    Args:
        profile: the profile.
        scale: prices to rows.
        decimals: of the prices.
        width: cells.
        palette: styles and symbols.

    Returns:
        ``scale.rows`` strips of ``width`` cells.
    """
    label = LABEL if width >= 2 * LABEL - 6 else 0
    room = max(0, width - label)
    weights = heaviest_in_rows(profile, scale)
    heaviest = max(weights, default=0.0)
    edges = scale.edges()
    levels = {
        scale.row(price): role
        for _, price, role in reversed(profile_levels(profile))
        if role is not Role.VWAP
    }
    names = _place_labels(profile, scale, decimals)
    result = []
    for row in range(scale.rows):
        role = Role.VALUE_AREA if profile.val < edges[row] and edges[row + 1] < profile.vah else Role.VOLUME
        if levels.get(row) is Role.POC:
            role = Role.POC
        bar = bar_text(weights[row] / heaviest if heaviest else 0.0, room, palette.glyphs)
        filled = bar.rstrip(palette.glyphs.track)
        if weights[row] > 0 and not filled:
            filled = palette.glyphs.eighths[0]
        fill = palette.profile_fills.get(role)
        if fill is not None:
            filled = fill * len(filled)
        rest = room - len(filled)
        crossing = levels.get(row)
        line = ((palette.glyphs.level if crossing else " ") * rest, crossing or Role.TEXT)
        parts: list[Part] = [(filled, role), line]
        if label:
            text, role = names.get(row, ("", Role.TEXT))
            parts.append((cells.fit(" " + text, label), Role.TEXT if role is Role.VALUE_AREA else role))
        result.append(palette.strip(parts, width))
    return result


def _place_labels(profile: ProfileView, scale: PriceScale, decimals: int) -> dict[int, tuple[str, Role]]:
    """A row for every level's label: its own, else a neighbour that is free, else none."""
    taken: dict[int, tuple[str, Role]] = {}
    for name, price, role in profile_levels(profile):
        at = scale.position(price)
        arrow = "↑" if at < 0 else "↓" if at > scale.rows else " "
        row = min(max(int(at), 0), scale.rows - 1)
        near = (row, row + 1, row - 1) if name == "VAL" else (row, row - 1, row + 1)
        for candidate in near:
            if candidate not in taken and 0 <= candidate < scale.rows:
                text = cells.price_text(price, decimals, LABEL - 6)
                taken[candidate] = (f"{name:<4}{arrow}{text}".rstrip(), role)
                break
    return taken
