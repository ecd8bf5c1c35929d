"""A small form that lies over a screen: lines to type in or to choose from, with what is true now beside."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.geometry import Region, Size
from textual.strip import Strip

from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.popup import Choice, framed
from tui_feeder.widgets.sheet import wrapped
from tui_feeder.widgets.text_line import TextLine

_WIDEST = 90
_LABEL = 13  # cells
_SET_IN = 4  # cells of the second row of what is true now
_MOST_FAULT_LINES = 4
_FOOT = " enter saves, esc "


@dataclass(frozen=True, slots=True)
class FormField:
    """One line of a form."""

    name: str
    label: str
    choices: tuple[tuple[str, str], ...] = ()  # values and how they are shown; without them it is typed
    most: int = 80  # characters that are taken
    beside: str = ""  # unit, present value
    hint: str = ""  # shown below while the field has the keys; left out: what is beside it where that is cut


class Form:
    """Fields with their values, and which one the keys go to.

    Args:
        title: in the frame.
        fields: that there are, given the values so far; of a choice the first is taken where none fits.
        values: to begin with, by the fields' names.
        below: lines of what is true now, made for every painting.
        take: takes the values that are to be saved; it closes the form or calls :meth:`refuse`.
    """

    def __init__(
        self,
        title: str,
        fields: Callable[[Mapping[str, str]], Sequence[FormField]],
        values: Mapping[str, str],
        below: Callable[[], Sequence[Sequence[Part]]],
        take: Callable[[Mapping[str, str]], None],
    ) -> None:
        self.title = title
        self._fields = fields
        self._chosen = dict(values)
        self._typed: dict[str, TextLine] = {}
        self._below = below
        self._take = take
        self._at = 0
        self._top = 0
        self._rows = 0  # of fields that are in sight
        self._fault = ""
        self._saving = False

    @property
    def values(self) -> dict[str, str]:
        """The values as they are, those of hidden fields among them."""
        return self._chosen | {name: line.text for name, line in self._typed.items()}

    def refuse(self, fault: str) -> None:
        """Shows what is wrong; the form stays open.

        Args:
            fault: what is wrong and what to do.
        """
        self._fault, self._saving = fault, False

    def press(self, key: str, character: str | None) -> Choice | bool:
        """See :meth:`~tui_feeder.widgets.popup.Overlay.press`."""
        if key == "escape":
            return False
        if self._saving:
            return True
        fields = self._shown()
        if key == "enter":
            self._fault, self._saving = "", True
            self._take(self.values)
            return True
        field = fields[self._at]
        match key:
            case "up" | "shift+tab":
                self._at = max(0, self._at - 1)
            case "down" | "tab":
                self._at = min(len(fields) - 1, self._at + 1)
            case "left" | "right" | "space" if field.choices:
                values = [value for value, _ in field.choices]
                step = -1 if key == "left" else 1
                place = (values.index(self._chosen[field.name]) + step) % len(values)
                self._chosen[field.name] = values[place]
                self._fault = ""
            case _ if not field.choices:
                if self._line(field).press(key, character):
                    self._fault = ""
        return True

    def press_at(self, row: int) -> Choice | bool:
        """See :meth:`~tui_feeder.widgets.popup.Pressable.press_at`; a second press takes the next choice."""
        fields, at = self._shown(), self._top + row - 1
        if not self._saving and 1 <= row <= self._rows and at < len(fields):
            if at == self._at and fields[at].choices:
                self.press("right", None)
            self._at = at
        return True

    def _shown(self) -> Sequence[FormField]:
        """The fields for the values there are, each with a value that it allows."""
        fields: Sequence[FormField] = ()
        for _ in range(3):  # a field that appears may decide on others
            before = dict(self._chosen)
            fields = self._fields(self.values)
            for field in fields:
                values = [value for value, _ in field.choices]
                if values and self._chosen.get(field.name) not in values:
                    self._chosen[field.name] = values[0]
            if before == self._chosen:
                break
        self._at = min(self._at, len(fields) - 1)
        return fields

    def _line(self, field: FormField) -> TextLine:
        if field.name not in self._typed:
            self._typed[field.name] = TextLine(self._chosen.get(field.name, ""), field.most)
        return self._typed[field.name]

    def region(self, size: Size) -> Region:
        """See :meth:`~tui_feeder.widgets.popup.Overlay.region`; in the middle."""
        width = min(_WIDEST, size.width - (4 if size.width >= 60 else 0))
        height = min(len(self._shown()) + len(self._now(width - 4)) + 4, size.height)
        top = min(2, size.height - height)
        return Region((size.width - width) // 2, top, width, height)

    def paint(self, width: int, height: int, palette: Palette) -> list[Strip]:
        """See :meth:`~tui_feeder.widgets.popup.Overlay.paint`."""
        fields, inside, room = self._shown(), width - 4, max(1, height - 2)
        end = self._end_lines(inside, room - 1)
        rows = self._rows = min(len(fields), room - len(end))
        self._top = min(max(self._top, self._at - rows + 1), self._at, len(fields) - rows)
        lines = [self._row(fields[n], n == self._at, inside, palette)
                 for n in range(self._top, self._top + rows)]  # fmt: skip
        free = room - rows - len(end)
        below = [[], *self._now(inside)][:free] if free > 1 else []
        lines += [palette.strip(parts, inside) for parts in below]
        lines += [palette.strip([], inside)] * (room - len(lines) - len(end))
        lines += [palette.strip([part], inside) for part in end]
        foot = f" {self._top + 1}-{self._top + rows} of {len(fields)}{_FOOT}" if rows < len(fields) else _FOOT
        foot = cells.fit(foot, min(cell_len(foot), width - 4))
        return framed(self.title, lines, foot, width, palette)[:height]

    def _now(self, width: int) -> list[list[Part]]:
        return [row for parts in self._below() for row in wrapped(parts, width, _SET_IN)]

    def _end_lines(self, width: int, most: int) -> list[Part]:
        """What is wrong, or what the keys do."""
        if self._fault:
            texts = textwrap.wrap(self._fault, max(10, width)) or [self._fault]
            return [(line, Role.WARN) for line in texts[: max(1, min(most, _MOST_FAULT_LINES))]]
        if self._saving:
            return [("saving", Role.ACCENT)]
        field = self._shown()[self._at]
        usual = (
            "left and right choose" if field.choices else "type a value, ctrl+u clears; empty: as configured"
        )
        is_cut = cell_len(field.beside) >= width - _LABEL - self._value_width(width)
        hint = field.hint or (field.beside if is_cut else usual)
        lines = textwrap.wrap(hint, max(10, width))[: max(1, min(most, _MOST_FAULT_LINES))]
        return [(line, Role.MUTED) for line in lines]

    @staticmethod
    def _value_width(width: int) -> int:
        return max(12, min(30, (width - _LABEL) // 2))

    def _row(self, field: FormField, selected: bool, width: int, palette: Palette) -> Strip:
        room = self._value_width(width)
        label = (palette.glyphs.pointer if selected else " ") + " " + field.label
        parts: list[Part] = [(cells.fit(label, _LABEL), Role.ACCENT if selected else Role.MUTED)]
        if field.choices:
            text = dict(field.choices)[self._chosen[field.name]]
            shown = cells.fit(f"< {text} >" if selected else text, room)
            parts.append((shown, Role.STRONG))
        elif selected:
            line = self._line(field)
            first = max(0, line.cursor - room + 2)
            before, after = line.text[first : line.cursor], line.text[line.cursor :]
            parts += [(before, Role.STRONG), ("█", Role.ACCENT),
                      (cells.fit(after, max(0, room - len(before) - 1)), Role.STRONG)]  # fmt: skip
        else:
            parts.append((cells.fit(self.values.get(field.name, ""), room), Role.STRONG))
        parts.append((f" {field.beside}", Role.TEXT))
        return palette.strip(parts, width)
