"""Palette: styles by role, a set of symbols and a time zone; makes strips of exact width for the painters.

A painter names the *role* of a text (``Role.UP``), never a colour. The palette comes from a theme; without
colours the roles keep only weight, so colour is never the only cue.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from enum import StrEnum
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip


class Role(StrEnum):
    """What a piece of text means. The names are the keys of a theme's ``[colors]``."""

    TEXT = "text"
    MUTED = "muted"  # labels, units, old values
    FAINT = "faint"  # rules, axes, empty bars
    STRONG = "strong"
    UP = "up"
    DOWN = "down"
    FLAT = "flat"
    OK = "ok"
    WARN = "warn"
    ERROR = "error"
    ACCENT = "accent"  # keys, sort mark, progress
    EMA_FAST = "ema_fast"
    EMA_SLOW = "ema_slow"
    POC = "poc"
    VALUE_AREA = "value_area"  # bars and lines of the value area
    VOLUME = "volume"  # bars outside it
    VWAP = "vwap"  # and the line of a symbol that is compared with
    PARTIAL = "partial"  # bars that lack minutes; as warn in a theme that does not state it


#: One piece of a line: a text and what it means.
Part = tuple[str, Role]

#: Weight that stands for a role where there is no colour.
_PLAIN = {
    Role.MUTED: Style(dim=True),
    Role.FAINT: Style(dim=True),
    Role.VOLUME: Style(dim=True),
    Role.STRONG: Style(bold=True),
    Role.WARN: Style(bold=True),
    Role.PARTIAL: Style(bold=True),
    Role.ERROR: Style(bold=True),
    Role.ACCENT: Style(bold=True),
    Role.POC: Style(bold=True),
}


@dataclass(frozen=True, slots=True)
class Glyphs:
    """A set of symbols. Every one of them is one cell wide."""

    name: str
    buy: str = "▲"
    sell: str = "▼"
    neutral: str = "■"
    unknown: str = "–"
    pointer: str = "▸"
    pin: str = "◆"  # of a symbol that the user pinned
    note: str = "≡"  # of one with a note
    descending: str = "▾"
    ascending: str = "▴"
    descending_then: str = "▿"  # of the second key of an order
    ascending_then: str = "▵"
    live: str = "●"
    loading: str = "◐"
    off: str = "○"
    rule: str = "─"
    wall: str = "│"
    corner: str = "└"
    top_left: str = "┌"
    top_right: str = "┐"
    bottom_right: str = "┘"
    upright: str = "┊"
    shade: str = "░"
    stored: str = "━"
    fresh: str = "▇"
    rising: str = "▁▂▃▄▅▆▇█"  # eighths of a cell, filled from the bottom
    spark: str = "▁▂▃▄▅▆▇"  # from low to high, none so high that it touches the row above
    tick: str = "┤"
    level: str = "┈"  # of the value area, of zero, of a crosshair: dotted
    level_solid: str = "─"  # of the point of control
    level_dashed: str = "╌"  # of VWAP and of naked points of control
    body: str = "█"
    body_top: str = "▀"
    body_bottom: str = "▄"
    neck_down: str = "╽"  # a wick that ends in a body half a cell high, below it
    neck_up: str = "╿"  # above it
    wick: str = "│"
    wick_top: str = "╵"
    wick_bottom: str = "╷"
    body_down: str = "█"  # of a falling candle; where there is no colour, another symbol
    sold: str = "▒"  # of a bar: what was sold, beside ``body`` for what was bought
    track: str = "┈"  # the empty part of a bar
    eighths: str = "▏▎▍▌▋▊▉█"  # of a cell, filled from the left
    #: Of a profile's bars at the POC, in the value area and outside, where no colour distinguishes them.
    profile_fills: str = "█▓░"
    tile_fills: str = " ░▒▓"  # of late and stale tiles of the market map, where no colour shows them
    tile_rise: str = "╱"  # of tiles that rise and fall, closer the more they do, where no colour shows it
    tile_fall: str = "╲"
    tile_left: str = "▏"  # between tiles
    tile_bottom: str = "▁"
    braille: bool = True  # lines in dots of 1/2 x 1/4 cell; else one of ``dots`` a cell
    dots: str = "•∙×"  # of the fast and the slow line, and of a symbol compared with

    @property
    def behind(self) -> tuple[str, ...]:
        """What stands behind all else on a chart, and may be drawn over."""
        return " ", self.level, self.level_solid, self.level_dashed, self.shade

    def level_of(self, role: Role) -> str:
        """Chooses the sign of the line of a level.

        Args:
            role: of the level.

        Returns:
            One cell, another one for each kind of level.
        """
        return {Role.POC: self.level_solid, Role.VWAP: self.level_dashed}.get(role, self.level)


_ASCII_TEXT = str.maketrans(
    {
        "–": "-", "→": ">", "·": ".", "…": ".", "▸": ">", "▾": "v", "▴": "^", "●": "*", "◐": "o", "○": "-",
        "─": "-", "│": "|", "▲": "^", "▼": "v", "■": "=", "×": "x", "↑": "^", "↓": "v", "←": "<", "┈": ".",
        "█": "#", "✓": "+", "░": ":", "▓": "%", "━": "=",
    }
)  # fmt: skip

#: Where a text is cut, in ASCII ``..``: ``~`` there means *guessed* or *warming up*.
_CUT_AT = re.compile(r".?…", re.DOTALL)

GLYPHS: Mapping[str, Glyphs] = {
    "braille": Glyphs("braille"),
    "block": Glyphs("block", braille=False),
    "ascii": Glyphs(
        "ascii", buy="^", sell="v", neutral="=", unknown="-", pointer=">", pin="#", note='"',
        descending="v", ascending="^", descending_then=",", ascending_then="'",
        live="*", loading="o", off="-", rule="-", wall="|", corner="+", top_left="+", top_right="+",
        bottom_right="+", upright=":", shade=":", stored="=", fresh="#", rising="_#", spark="_.-~^",
        tick="+", level=".", level_solid="-", level_dashed="~",
        body="#", sold="=", body_top="#", body_bottom="#", neck_down="#", neck_up="#", body_down="=",
        wick="|", wick_top="'", wick_bottom=".",
        track=".", eighths="#", profile_fills="@#-", tile_fills=" .:#", tile_rise="/",
        tile_fall="\\", tile_left="|", tile_bottom="_",
        braille=False, dots="*ox",
    ),
}  # fmt: skip


def ascii_only(text: str) -> str:
    """Converts a text to ASCII of the same width; what has no equivalent becomes ``?``.

    Args:
        text: the text.

    Returns:
        The ASCII text.
    """
    if text.isascii():
        return text
    text = _CUT_AT.sub(lambda cut: "." * cell_len(cut[0]), text).translate(_ASCII_TEXT)
    return "".join(c if c.isascii() else "?" * cell_len(c) for c in text)


class Palette:
    """Styles and symbols together; makes every strip on the screen.

    Args:
        styles: a style for every role, colours included.
        background: the style under everything; empty for the terminal's own.
        glyphs: one of :data:`GLYPHS`.
        colors: False drops every colour and keeps the weight of :data:`_PLAIN`.
        mixes_colors: False where the terminal has sixteen colours, of which none lie between.
        zone: time zone that times are written in; None for this machine's.
    """

    def __init__(
        self,
        styles: Mapping[Role, Style],
        background: Style,
        glyphs: Glyphs,
        colors: bool,
        mixes_colors: bool = True,
        zone: tzinfo | None = UTC,
    ) -> None:
        self.zone = zone
        if not colors and glyphs.body_down == glyphs.body:
            glyphs = replace(glyphs, body_down="▒")
        self.glyphs = glyphs
        self.colored, self.mixes_colors = colors, mixes_colors
        self.background = background if colors else Style.null()
        plain = Style.null()
        self.styles: dict[Role, Style] = {
            role: (styles[role] + self.background) if colors else _PLAIN.get(role, plain) for role in Role
        }
        self.selected = (self.styles[Role.TEXT] if colors else plain) + Style(reverse=True)
        self._ascii = glyphs.name == "ascii"
        distinguished = (Role.POC, Role.VALUE_AREA, Role.VOLUME)
        plain_fills = zip(distinguished, glyphs.profile_fills, strict=True)
        #: What fills the bars of a profile in the place of blocks; empty where colours distinguish them.
        self.profile_fills = {} if colors and not self._ascii else dict(plain_fills)
        self.cell = lru_cache(maxsize=8_192)(self._cell)
        self.line = lru_cache(maxsize=4_096)(self._line)

    def strip(
        self, parts: Iterable[Part], width: int, selected: bool = False, fill: Part = (" ", Role.TEXT)
    ) -> Strip:
        """Makes a strip of an exact width.

        Args:
            parts: what it shows, from the left; an ellipsis in the last cell means that there is more.
            width: cells.
            selected: draw everything as the selection.
            fill: one cell that is repeated where the parts end early.

        Returns:
            The strip.
        """
        segments: list[Segment] = []
        left = width
        for text, role in parts:
            if left <= 0:
                break
            if self._ascii:
                text = ascii_only(text)
            size = len(text) if text.isascii() else cell_len(text)
            if size > left:
                text, size = set_cell_size(text, left - 1) + "…", left
                text = ascii_only(text) if self._ascii else text
            if size:
                segments.append(Segment(text, self.selected if selected else self.styles[role]))
                left -= size
        if left > 0:
            text = ascii_only(fill[0]) if self._ascii else fill[0]
            segments.append(Segment(text * left, self.selected if selected else self.styles[fill[1]]))
        return Strip(segments, width)

    def _line(self, parts: tuple[Part, ...], width: int) -> Strip:
        """A cached strip of a few texts."""
        return self.strip(parts, width)

    def _cell(self, text: str, role: Role, width: int, selected: bool = False) -> Strip:
        """A cached strip of one text."""
        return self.strip(((text, role),), width, selected)
