"""Painter of a volume profile: horizontal bars on the price axis of the candles beside it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from textual.strip import Strip

from tui_feeder.bars import delta_of
from tui_feeder.monitor import ProfileView
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.progress_bars import bar_text
from tui_feeder.widgets.scale import PriceScale

#: Cells for ``VWAP 60123.40`` at the right.
LABEL = 14
#: Cells of a row's delta, and of a level's name behind it; cells from which there is room for names.
_DELTA, _NAME, _WITH_NAMES = 7, 5, 26


def places_in_rows(profile: ProfileView, scale: PriceScale) -> NDArray[np.int64]:
    """Finds the place of the heaviest row of a profile in every row of the screen.

    Where a screen row merges several, their sum would make another bar than that of the point of control the
    longest. Each profile row counts in the screen row that holds its price; a screen row between two prices
    shows the row it lies in.

    Args:
        profile: of a day.
        scale: of the screen rows.

    Returns:
        ``scale.rows`` places in the profile, from the top; -1 outside of it.
    """
    weights, prices = np.asarray(profile.weights, dtype=float), profile.prices
    found = np.full(scale.rows, -1)
    at = _rows_of_prices(profile, scale)
    inside = np.flatnonzero(at >= 0)
    inside = inside[np.argsort(weights[inside], kind="stable")]
    found[at[inside]] = inside  # of several the last one stays: the heaviest
    edges = np.asarray(scale.edges())
    middles = (edges[:-1] + edges[1:]) / 2
    nearest = np.floor((middles - prices[0]) / profile.increment + 0.5).astype(np.int64)
    between = (found < 0) & (nearest >= 0) & (nearest < len(weights))
    found[between] = nearest[between]
    return found


def _rows_of_prices(profile: ProfileView, scale: PriceScale) -> NDArray[np.int64]:
    """The screen row that holds the price of each profile row; -1 outside of the scale."""
    prices = profile.prices
    at = np.floor([scale.position(price) for price in prices.tolist()]).astype(np.int64)
    at[(at == scale.rows) & (prices >= scale.low)] = scale.rows - 1
    return np.where((at >= 0) & (at < scale.rows), at, -1)


@dataclass(frozen=True, slots=True)
class Sides:
    """What the rows of a screen show of a profile with sides, from the top, base asset."""

    traded: NDArray[np.float64]
    bought: NDArray[np.float64]
    named: NDArray[np.bool_]  # rows that hold the price of a profile row: those whose sums add up


def sides_in_rows(profile: ProfileView, scale: PriceScale) -> Sides:
    """Sums what was traded and what takers bought over the profile rows of every row of the screen.

    Each profile row counts once, in the screen row that holds its price: the sums of the named rows add up to
    those of the profile, as far as it lies on the scale. A screen row between two prices is drawn like the
    profile row that it lies in, and is not named.

    Args:
        profile: one whose ``bought`` is known.
        scale: of the screen rows.

    Returns:
        ``scale.rows`` sums of each.
    """
    at, places = _rows_of_prices(profile, scale), places_in_rows(profile, scale)
    named = np.isin(np.arange(scale.rows), at)
    between = ~named & (places >= 0)

    def sums(rows: tuple[float, ...]) -> NDArray[np.float64]:
        values = np.asarray(rows, dtype=float)
        found = np.zeros(scale.rows)
        np.add.at(found, at[at >= 0], values[at >= 0])
        found[between] = values[places[between]]
        return found

    return Sides(sums(profile.weights), sums(profile.bought or ()), named)


def heaviest_in_rows(profile: ProfileView, scale: PriceScale) -> list[float]:
    """Finds the weight of the heaviest row of a profile in every row of the screen.

    Args:
        profile: of a day.
        scale: of the screen rows.

    Returns:
        ``scale.rows`` weights, from the top; 0 outside of the profile.
    """
    at = places_in_rows(profile, scale)
    found: list[float] = np.where(at < 0, 0.0, np.asarray(profile.weights, dtype=float)[at]).tolist()
    return found


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
    levels = {scale.row(price): role for _, price, role in reversed(profile_levels(profile))}
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
        line = ((palette.glyphs.level_of(crossing) if crossing else " ") * rest, crossing or Role.TEXT)
        parts: list[Part] = [(filled, role), line]
        if label:
            text, role = names.get(row, ("", Role.TEXT))
            parts.append((cells.fit(" " + text, label), Role.TEXT if role is Role.VALUE_AREA else role))
        result.append(palette.strip(parts, width))
    return result


def paint_sides(profile: ProfileView, scale: PriceScale, width: int, palette: Palette) -> list[Strip]:
    """Paints bars of what was bought and sold beside each other, and the delta of each row of the screen.

    A bar is as long as the heaviest profile row in its screen row weighs, so that none is longer than
    that of the point of control. How it is divided, and the delta, are of all profile rows whose price
    the screen row holds, so that the deltas add up to that of the profile. A profile row higher than a
    screen row is drawn in all that it spans, and has its delta in the one of its price. Before the bars
    stands a line along the value area, and a pointer at the point of control. Where there is room the
    levels are named at the right.

    Args:
        profile: one whose ``bought`` is known.
        scale: prices to rows.
        width: cells.
        palette: styles and symbols.

    Returns:
        ``scale.rows`` strips of ``width`` cells.
    """
    glyphs = palette.glyphs
    label = _NAME if width >= _WITH_NAMES else 0
    room = max(1, width - 1 - _DELTA - label)
    sides = sides_in_rows(profile, scale)
    weights = heaviest_in_rows(profile, scale)
    heaviest = max(weights, default=0.0)
    names = {scale.row(price): (name, role) for name, price, role in reversed(profile_levels(profile))}
    poc, edges = scale.row(profile.poc), scale.edges()
    strips = []
    shown = zip(sides.traded.tolist(), sides.bought.tolist(), sides.named.tolist(), strict=True)
    for row, (traded, bought, named) in enumerate(shown):
        mark: Part = (" ", Role.TEXT)
        if row == poc:
            mark = (glyphs.pointer, Role.POC)
        elif profile.val < edges[row] and edges[row + 1] < profile.vah:
            mark = (glyphs.wall, Role.VALUE_AREA)
        filled = max(1, round(weights[row] / heaviest * room)) if weights[row] > 0 else 0
        left = round(bought / traded * filled) if traded > 0 else 0
        delta, crossing = delta_of(traded, bought), names.get(row)
        number = cells.signed_text(delta) if named and traded > 0 else ""
        line = glyphs.level_of(crossing[1]) if crossing else " "
        parts: list[Part] = [
            mark, (glyphs.body * left, Role.UP), (glyphs.sold * (filled - left), Role.DOWN),
            (line * (room - filled), crossing[1] if crossing else Role.TEXT),
            (cells.fit(number, _DELTA, right=True), _side(delta)),
        ]  # fmt: skip
        if label:
            name, role = crossing or ("", Role.TEXT)
            parts.append((cells.fit(f" {name}", label), Role.TEXT if role is Role.VALUE_AREA else role))
        strips.append(palette.strip(parts, width))
    return strips


def _side(delta: float) -> Role:
    return Role.UP if delta > 0 else Role.DOWN if delta < 0 else Role.FLAT


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
