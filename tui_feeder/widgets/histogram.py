"""Painter of a volume profile: horizontal bars on the price axis of the candles beside it. Pure."""

from __future__ import annotations

import numpy as np
from textual.strip import Strip

from tui_feeder.monitor import ProfileView
from tui_feeder.widgets import cells
from tui_feeder.widgets.grid import bar_text
from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.scale import PriceScale

#: Cells for ``VWAP 60123.40`` at the right.
LABEL = 14


def bin_rows(profile: ProfileView, scale: PriceScale) -> list[float]:
    """Weight of the profile in every screen row.

    A profile row stands for the prices half an increment around its own; where it crosses an edge of the
    screen's rows it is shared out by the part on each side, so no weight is lost or counted twice.
    """
    total = np.concatenate(([0.0], np.cumsum(np.asarray(profile.weights, dtype=float))))
    prices, half = profile.prices, profile.increment / 2
    edges = np.concatenate((prices - half, prices[-1:] + half))
    at_edges = np.interp(np.asarray(scale.edges()), edges, total)
    weights: list[float] = (at_edges[:-1] - at_edges[1:]).tolist()
    return weights


def profile_levels(profile: ProfileView) -> list[tuple[str, float, Role]]:
    """Name, price and role of the lines of a profile, the most important first."""
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
    """Bars from the left, as long as their weight; POC, VAH, VAL and VWAP named at the right.

    Returns:
        ``scale.rows`` strips of ``width`` cells.
    """
    label = LABEL if width >= 2 * LABEL - 6 else 0
    room = max(0, width - label)
    weights = bin_rows(profile, scale)
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
