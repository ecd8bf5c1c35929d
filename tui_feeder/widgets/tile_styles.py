"""Styles of the market map's tiles, derived from the colours that a theme has for text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from rich.color import blend_rgb
from rich.color_triplet import ColorTriplet
from rich.style import Style

from tui_feeder.widgets.palette import Palette, Role

#: Shares of a role's colour in the ground of a tile, from a weak one to a strong one.
_SHARES = (0.28, 0.55, 0.9)
_EVEN_SHARE = 0.2
_DARK, _LIGHT = ColorTriplet(16, 18, 20), ColorTriplet(250, 250, 250)


class Direction(StrEnum):
    """What the colour of a tile means: its role's colour is that of the tile."""

    RISE = "rise"
    FALL = "fall"
    EVEN = "even"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"


#: The role whose colour a tile has.
ROLES: Mapping[Direction, Role] = {
    Direction.RISE: Role.UP, Direction.FALL: Role.DOWN, Direction.EVEN: Role.FLAT, Direction.GOOD: Role.OK,
    Direction.WARN: Role.WARN, Direction.BAD: Role.ERROR, Direction.UNKNOWN: Role.FAINT,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tint:
    """The colour of a tile by what it means and how strongly."""

    direction: Direction
    level: int = 0  # 0 for none, 1 to 3


@dataclass(frozen=True, slots=True)
class TileStyle:
    """How a tile is drawn."""

    text: Style
    fill: Style  # of what stands for the colour where there is none, in the rest of the tile
    gap: Style  # of the lines between tiles: the ground of the screen drawn on that of the tile


def tile_style(palette: Palette, tint: Tint) -> TileStyle:
    """Derives the style of a tile.

    Args:
        palette: styles in force.
        tint: of the tile.

    Returns:
        Its style: a ground mixed of the screen's and the role's colour, with the text colour of most
        contrast. Where colours cannot be mixed (the terminal's own sixteen), reversed from level 2 on;
        without colours dim, plain and bold by level.
    """
    role = palette.styles[ROLES[tint.direction]]
    if not palette.colored:
        dim, bold = Style(dim=True), Style(bold=True)
        names = (dim, Style.null(), bold, bold)
        fills = (dim, dim, Style.null(), bold)
        return TileStyle(names[tint.level], fills[tint.level], dim)
    color = role.color.triplet if role.color is not None and palette.mixes_colors else None
    if color is None:
        style = Style(color=role.color, bgcolor=palette.background.bgcolor, reverse=tint.level >= 2)
        style += Style(bold=tint.level == 3)
        return TileStyle(style, style, palette.styles[Role.FAINT])
    strong = palette.styles[Role.STRONG].color
    light = strong.triplet if strong is not None and strong.triplet is not None else _LIGHT
    under = palette.background.bgcolor
    ground = under.triplet if under is not None and under.triplet is not None else _opposite(light)
    share = _SHARES[tint.level - 1] if tint.level else _EVEN_SHARE
    mixed = blend_rgb(ground, color, share)
    text = max((light, _opposite(light)), key=lambda candidate: contrast(candidate, mixed))
    drawn = _style(text, mixed, bold=tint.level == 3)
    return TileStyle(drawn, drawn, _style(ground, mixed))


def _style(color: ColorTriplet, ground: ColorTriplet, bold: bool = False) -> Style:
    return Style(color=color.hex, bgcolor=ground.hex, bold=bold or None)


def _opposite(color: ColorTriplet) -> ColorTriplet:
    return max((_DARK, _LIGHT), key=lambda candidate: contrast(candidate, color))


def contrast(first: ColorTriplet, second: ColorTriplet) -> float:
    """Computes the contrast of two colours as WCAG 2 defines it.

    Args:
        first: a colour.
        second: another one.

    Returns:
        1.0 for the same colour to 21.0 for black on white.
    """
    darker, lighter = sorted((_luminance(first), _luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: ColorTriplet) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color.normalized
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
