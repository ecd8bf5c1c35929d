"""Terminal output in few bytes: styles are sent as differences (SGR sequences). Pure."""

from __future__ import annotations

import re
from functools import lru_cache

_SGR = re.compile("\x1b\\[([0-9;]*)m")
_MOVE = re.compile("(\x1b\\[[0-9]+;[0-9]+H)")
_ENDS = {"1": "22", "2": "22", "3": "23", "4": "24", "7": "27"}  # what ends an attribute
_SHOWS_ON_BLANK = frozenset(("4", "7", "9", "21", "53"))  # underline, reverse, strike, overline, ...

#: Attributes, foreground and background of a style, as SGR parameters.
Sgr = tuple[frozenset[str], str, str]

_PLAIN: Sgr = (frozenset(), "", "")


class OutputMinimizer:
    """Rewrites terminal output so that it takes few bytes, and no colour is sent where there is none.

    Textual ends every piece of text with a reset and begins the next with its whole style. Here the style
    carries over, from frame to frame too, and only differences are sent. The pieces of a frame that have a
    place and one style each are sent style by style.
    """

    def __init__(self, colors: bool) -> None:
        self._colors = colors
        self._wanted = _PLAIN
        self._present: Sgr | None = None  # None: not known

    def rewrite(self, data: str) -> str:
        """Rewrites terminal output to fewer bytes with the same picture.

        Args:
            data: text with escape sequences.

        Returns:
            The shorter text.
        """
        if "\x1b[?1049" in data:  # another screen: leave the old one plain, know nothing of the new one
            self._present = None
            return "\x1b[0m" + data
        start, *runs = _MOVE.split(data)
        out = [self._styled(start)]
        by_style: dict[str, list[tuple[str, str]]] = {}
        for move, text in zip(runs[::2], (run.removesuffix("\n") for run in runs[1::2]), strict=True):
            if not text:  # a place with nothing to show; the cursor is hidden
                continue
            styles = _SGR.findall(text)
            simple = len(styles) == 2 and styles[1] in ("", "0") and text.startswith("\x1b[" + styles[0])
            by_style.setdefault(styles[0] if simple else "", []).append((move, text))
        for run in by_style.values():
            out += [move + self._styled(text) for move, text in run]
        return "".join(out)

    def _styled(self, text: str) -> str:
        out: list[str] = []
        for index, piece in enumerate(_SGR.split(text)):
            if index % 2:
                self._wanted = parse_sgr(piece) if self._colors else (parse_sgr(piece)[0], "", "")
            elif piece and piece[0] != "\x1b":
                sequence, self._present = transition(self._present, self._wanted, piece.isspace())
                out.append(sequence + piece)
            else:
                out.append(piece)
        return "".join(out)


@lru_cache(4_096)
def parse_sgr(parameters: str) -> Sgr:
    """Parses the style that SGR parameters set after a reset.

    Args:
        parameters: numbers separated by semicolons.

    Returns:
        The style.
    """
    attributes: set[str] = set()
    foreground = background = ""
    codes = parameters.split(";")
    at = 0
    while at < len(codes):
        number = int(codes[at] or 0)
        length = {"2": 5, "5": 3}.get(codes[at + 1], 1) if number in (38, 48) and at + 1 < len(codes) else 1
        value = ";".join(codes[at : at + length])
        if 30 <= number <= 39 or 90 <= number <= 97:
            foreground = "" if number == 39 else value
        elif 40 <= number <= 49 or 100 <= number <= 107:
            background = "" if number == 49 else value
        elif number:
            attributes.add(value)
        else:
            attributes, foreground, background = set(), "", ""
        at += length
    return frozenset(attributes), foreground, background


@lru_cache(16_384)
def transition(present: Sgr | None, wanted: Sgr, blank: bool) -> tuple[str, Sgr]:
    """Finds the shortest sequence from one style to another.

    Args:
        present: the style the terminal has, None if not known.
        wanted: the style it shall have.
        blank: the text is blanks only, on which foreground and weight do not show.

    Returns:
        The sequence, and the resulting style.
    """
    had, had_foreground, had_background = present or _PLAIN
    if present is not None and blank and not _SHOWS_ON_BLANK & (had | wanted[0]):
        wanted = (had, had_foreground, wanted[2])
    if present == wanted:
        return "", wanted
    attributes, foreground, background = wanted
    if present is None or wanted == _PLAIN:
        codes = ["0", *sorted(attributes), *filter(None, (foreground, background))]
    else:
        ended = {_ENDS.get(attribute, "0") for attribute in had - attributes}
        if "0" in ended:
            return transition(None, wanted, blank)
        kept = had - {attribute for attribute, end in _ENDS.items() if end in ended}
        codes = sorted(ended) + sorted(attributes - kept)
        if foreground != had_foreground:
            codes.append(foreground or "39")
        if background != had_background:
            codes.append(background or "49")
    return f"\x1b[{';'.join(codes)}m", wanted
