"""A screen as an SVG picture. Pure.

Blocks, lines and dots are drawn, not set in a font, so that it looks the same everywhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from rich.cells import cell_len
from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from textual.geometry import Region, Size
from textual.strip import Strip

#: Pixels of a cell, of the margin, and of the bar with the title.
_W, _H, _MARGIN, _BAR = 9, 20, 12, 30
_FONT = 15

#: For colours that a theme leaves to the terminal.
_TERMINAL = TerminalTheme(
    (12, 16, 21), (201, 209, 217),
    [(22, 27, 34), (229, 83, 75), (87, 171, 90), (198, 144, 38), (83, 155, 245), (176, 131, 240),
     (57, 197, 207), (173, 186, 199)],
    [(99, 110, 123), (255, 147, 138), (140, 209, 144), (238, 193, 100), (117, 186, 255), (211, 171, 255),
     (127, 225, 232), (240, 246, 252)],
)  # fmt: skip

#: Boxes in eighths of a cell: left, top, right, bottom.
_BOXES: dict[str, tuple[int, int, int, int]] = {
    **{glyph: (0, 7 - i, 8, 8) for i, glyph in enumerate("▁▂▃▄▅▆▇█")},
    **{glyph: (0, 0, i, 8) for i, glyph in enumerate("▏▎▍▌▋▊▉", 1)},
    "▀": (0, 0, 8, 4),
    "━": (0, 3, 8, 5),
}
_SHADES = {"░": 0.25, "▒": 0.5, "▓": 0.7}
#: Lines through a cell, as path data in pixels from its upper left corner.
_X, _Y = _W / 2, _H / 2
_LINES = {
    "─": f"m0 {_Y}h{_W}", "│": f"m{_X} 0v{_H}", "┌": f"m{_W} {_Y}h-{_X}v{_Y}", "┐": f"m0 {_Y}h{_X}v{_Y}",
    "└": f"m{_X} 0v{_Y}h{_X}", "┘": f"m{_X} 0v{_Y}h-{_X}", "┤": f"m{_X} 0v{_H}m0 -{_Y}h-{_X}",
    "╵": f"m{_X} 0v{_Y}", "╷": f"m{_X} {_Y}v{_Y}", "┊": f"m{_X} 1v4m0 3v4m0 3v4",
    "┈": f"m.5 {_Y}h1.5m1.5 0h1.5m1.5 0h1.5",
}  # fmt: skip
#: Shapes, as path data of the same kind.
_SHAPES = {
    "╽": f"m{_X - .5} 0h1v{_Y}h1.5v{_Y}h-4v-{_Y}h1.5z", "╿": f"m{_X - 2} 0h4v{_Y}h-1.5v{_Y}h-1v-{_Y}h-1.5z",
    "▲": f"m1 {_Y + 4}h{_W - 2}l-{_X - 1} -9z", "▼": f"m1 {_Y - 4}h{_W - 2}l-{_X - 1} 9z",
    "■": f"m1.5 {_Y - 3}h{_W - 3}v{_W - 3}h-{_W - 3}z", "▸": f"m2 {_Y - 4}l6 4l-6 4z",
    "●": f"m1 {_Y}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",
}  # fmt: skip
_DOTS = ((0, 0, 0x01), (0, 1, 0x02), (0, 2, 0x04), (1, 0, 0x08), (1, 1, 0x10), (1, 2, 0x20), (0, 3, 0x40),
         (1, 3, 0x80))  # fmt: skip


def svg(panels: Iterable[tuple[Region, Sequence[Strip]]], size: Size, background: Style, title: str) -> str:
    """Draws panels as a picture, later ones over earlier ones.

    Args:
        panels: places in cells, and the strips shown there.
        size: of the terminal, cells.
        background: under everything.
        title: above it.

    Returns:
        SVG.
    """
    body = drawing(panels, size, background)
    return in_window(f"<g>{body}</g>", size, background, title)


def in_window(body: str, size: Size, background: Style, title: str, style: str = "") -> str:
    """Puts a drawing into a window with a title.

    Args:
        body: the drawing, SVG elements.
        size: of the terminal, cells.
        background: style of the ground.
        title: above it.
        style: CSS.

    Returns:
        SVG.
    """
    width, height = size.width * _W + 2 * _MARGIN, size.height * _H + _MARGIN + _BAR
    ground = _hex(background.bgcolor, False)
    lamps = "".join(
        f'<circle cx="{20 + 18 * i}" cy="15" r="5.5" fill="{color}"/>'
        for i, color in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" xml:space="preserve">'
        f"<style>text{{font:{_FONT}px 'DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre}}"
        f".b{{font-weight:700}}{style}</style>"
        f'<rect width="{width}" height="{height}" rx="9" fill="{ground}" stroke="#444c56"/>{lamps}'
        f'<text x="{width / 2}" y="20" fill="#8b949e" text-anchor="middle">{escape(title)}</text>'
        f'<g transform="translate({_MARGIN} {_BAR})">{body}</g></svg>\n'
    )


def drawing(panels: Iterable[tuple[Region, Sequence[Strip]]], size: Size, background: Style) -> str:
    """Draws panels without a window.

    Args:
        panels: places in cells, and the strips shown there.
        size: of the terminal, cells.
        background: style of the ground.

    Returns:
        SVG elements.
    """
    cells: dict[tuple[int, int], tuple[str, Style]] = {}
    for region, strips in panels:
        for y, strip in enumerate(strips[: region.height], region.y):
            x = region.x
            for text, style, _ in strip:
                for character in text:
                    cells[x, y] = (character, style or Style.null())
                    for more in range(1, wide := cell_len(character)):
                        cells[x + more, y] = ("", style or Style.null())
                    x += wide
    grounds: defaultdict[tuple[str, float], list[str]] = defaultdict(list)
    filled: defaultdict[tuple[str, float], list[str]] = defaultdict(list)
    stroked: defaultdict[str, list[str]] = defaultdict(list)
    dotted: defaultdict[str, list[str]] = defaultdict(list)
    texts: list[str] = []
    under = _hex(background.bgcolor, False)
    for y in range(size.height):
        row = [cells.get((x, y), (" ", background)) for x in range(size.width)]
        _grounds(row, y, under, grounds)
        x = 0
        while x < size.width:
            x = _cell(row, x, y, filled, stroked, dotted, texts)
    return "".join(
        [*(f'<path fill="{c}"{f" opacity={q}{o}{q}" if o != 1 else ""} d="{"".join(d)}"/>'
           for shapes in (grounds, filled) for (c, o), d in shapes.items() for q in ('"',)),
         *(f'<path fill="none" stroke="{c}" d="{"".join(d)}"/>' for c, d in stroked.items()),
         *(f'<path stroke="{c}" stroke-width="2.2" stroke-linecap="round" d="{"".join(d)}"/>'
           for c, d in dotted.items()),
         *texts]
    )  # fmt: skip


def _grounds(
    row: Sequence[tuple[str, Style]], y: int, under: str, filled: Mapping[tuple[str, float], list[str]]
) -> None:
    """The backgrounds that differ from the one under everything."""
    start = 0
    grounds = [_colors(style)[1] for _, style in row]
    for x in range(1, len(row) + 1):
        if x == len(row) or grounds[x] != grounds[start]:
            if grounds[start] != under:
                filled[grounds[start], 1.0].append(
                    f"M{start * _W} {y * _H}h{(x - start) * _W}v{_H}H{start * _W}z"
                )
            start = x


def _cell(
    row: Sequence[tuple[str, Style]],
    x: int,
    y: int,
    filled: Mapping[tuple[str, float], list[str]],
    stroked: Mapping[str, list[str]],
    dotted: Mapping[str, list[str]],
    texts: list[str],
) -> int:
    """Draw the cell at ``x``, or the text that begins there; where to go on."""
    character, style = row[x]
    color, left, top = _colors(style)[0], x * _W, y * _H
    if character in _BOXES:
        a, b, c, d = _BOXES[character]
        x0, y0, x1, y1 = left + a * _W / 8, top + b * _H / 8, left + c * _W / 8, top + d * _H / 8
        filled[color, 1.0].append(f"M{x0:g} {y0:g}H{x1:g}V{y1:g}H{x0:g}z")
    elif character in _SHADES:
        filled[color, _SHADES[character]].append(f"M{left} {top}h{_W}v{_H}h-{_W}z")
    elif character in _LINES:
        stroked[color].append(f"M{left} {top}{_LINES[character]}")
    elif character in _SHAPES:
        filled[color, 1.0].append(f"M{left} {top}{_SHAPES[character]}")
    elif "\u2800" < character <= "\u28ff":
        bits = ord(character) - 0x2800
        dotted[color] += [
            f"M{left + 2.25 + 4.5 * i:g} {top + 2.5 + 5 * j:g}h0" for i, j, bit in _DOTS if bits & bit
        ]
    elif character not in ("", " "):
        end = x + (2 if _wide(row, x) else 1)
        while not _wide(row, x) and end < len(row) and row[end][1] == style and _set_in_type(row, end):
            end += 1
        text = "".join(c for c, _ in row[x:end]).rstrip()
        wide = cell_len(text) * _W
        bold = ' class="b"' if style.bold else ""
        texts.append(
            f'<text x="{left}" y="{top + 15}" textLength="{wide}" fill="{color}"{bold}>{escape(text)}</text>'
        )
        return end
    return x + 1


def _set_in_type(row: Sequence[tuple[str, Style]], x: int) -> bool:
    """Whether a cell goes on with a text: letters, or one blank between them."""
    character = row[x][0]
    if character == " ":
        return x + 1 < len(row) and row[x + 1][0] != " " and row[x + 1][1] == row[x][1]
    if character == "" or _wide(row, x):  # each stands alone: its width in a font is anybody's guess
        return False
    drawn = (*_BOXES, *_SHADES, *_LINES, *_SHAPES)
    return character not in drawn and not "\u2800" <= character <= "\u28ff"


def _wide(row: Sequence[tuple[str, Style]], x: int) -> bool:
    """Whether the character at ``x`` takes two cells."""
    return x + 1 < len(row) and row[x + 1][0] == ""


def _colors(style: Style) -> tuple[str, str]:
    """Foreground and background as they are seen."""
    front, back = _hex(style.color, True), _hex(style.bgcolor, False)
    if style.reverse:
        front, back = back, front
    if style.dim:
        front = _mixed(front, back)
    return front, back


def _hex(color: Color | None, foreground: bool) -> str:
    chosen = color if color is not None else Color.default()
    return chosen.get_truecolor(_TERMINAL, foreground).hex


def _mixed(front: str, back: str) -> str:
    pairs = ((int(front[i : i + 2], 16), int(back[i : i + 2], 16)) for i in (1, 3, 5))
    return ColorTriplet(*((3 * a + 2 * b) // 5 for a, b in pairs)).hex
