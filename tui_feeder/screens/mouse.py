"""The mouse on every screen: on a list over it, in the first and the last line, and on its panels."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence

from rich.cells import cell_len
from textual import events
from textual.binding import Binding
from textual.geometry import Region
from textual.screen import Screen

from tui_feeder.screens.host import ScreenHost
from tui_feeder.widgets.form import Form
from tui_feeder.widgets.palette import Part, Role
from tui_feeder.widgets.popup import Choice, Overlay, Pressable

#: Rows that a turn of the wheel moves.
WHEEL_ROWS = 3

#: Screens that have more about a group of the first line, by its first word.
_DETAILED_ON = {"gaps": "gaps", "ws": "sources", "rest": "sources", "lmdb": "sources", "kfk": "sources",
                "pg": "sources"}  # fmt: skip
#: What the group of the breadth begins with.
_TIMEFRAME = re.compile(r"\d+[mhd]")
#: What separates keys in the line of keys: a blank, between words also a slash.
_BETWEEN_KEYS = re.compile(r"\s+|(?<=\w)/(?=\w)")
#: Signs of keys that ASCII does not have, or only as signs of other keys, and words for them.
_WORDS = str.maketrans({"↑": "up", "↓": "down", "←": "left", "→": "right", "⇧": "shift+"})


def key_text(binding: Binding, in_words: bool) -> str:
    """Writes a key as the screens show it.

    Args:
        binding: of the key.
        in_words: write arrows and Shift as words, as for a terminal of ASCII.

    Returns:
        Such as ``←`` or ``left``, ``⇧Tab`` or ``shift+Tab``.
    """
    text = binding.key_display or binding.key
    return text.translate(_WORDS) if in_words else text


def keys_text(keys: Sequence[str]) -> str:
    """Writes keys that belong together.

    Args:
        keys: as :func:`key_text` writes them.

    Returns:
        With blanks between them; between words of lower case, such as ``left/right``, a slash.
    """
    return ("/" if all(len(key) > 1 and key.islower() for key in keys) else " ").join(keys)


def key_at(parts: Sequence[Part], x: int) -> str | None:
    """Finds the key whose name or description lies at a cell of the line of keys.

    Args:
        parts: of the line.
        x: the cell, from the left.

    Returns:
        The key as it is written; of several with one description the one pointed at, else the first; None
        where there is no key.
    """
    keys, start, at = "", 0, 0
    for text, role in parts:
        end = at + cell_len(text)
        if role is Role.ACCENT:
            keys, start = text, at
        elif role is not Role.MUTED:
            keys = ""
        if at <= x < end:
            if not keys.strip():
                return None
            place, tokens = 0, _BETWEEN_KEYS.split(keys.strip())
            for token in tokens:
                place = keys.index(token, place) + len(token)
                if role is Role.ACCENT and x < start + place:
                    return token
            return tokens[0]
        at = end
    return None


def screen_about(parts: Sequence[Part], wall: str, x: int) -> str | None:
    """Finds what the first line shows at a cell.

    Args:
        parts: of the line.
        wall: that separates its groups.
        x: the cell, from the left.

    Returns:
        ``alerts``, or the name of the screen that has more about it; None where there is none.
    """
    group, at = "", 0
    for text, _ in parts:
        if text.strip() == wall:
            if at > x:
                break
            group = ""
        else:
            group += text
        at += cell_len(text)
        if at <= x:
            continue
    else:
        if at <= x:
            return None
    word = (group.split() or [""])[0]
    if word == "alerts":
        return word
    return "map" if _TIMEFRAME.fullmatch(word) else _DETAILED_ON.get(word)


class MouseScreen(Screen[None], inherit_bindings=False):
    """A screen as the mouse sees it: presses, drags and the wheel go to what lies under them."""

    ALLOW_SELECT = False
    host: ScreenHost
    popup: Overlay | None
    top_line: Sequence[Part]  # as it was written last

    @property
    @abstractmethod
    def popup_region(self) -> Region | None:
        """Where the list over the screen lies; None without one."""

    @property
    @abstractmethod
    def takes_presses(self) -> bool:
        """Whether the panels are shown and nothing is being typed."""

    @abstractmethod
    def bottom(self, width: int) -> list[Part]:
        """Makes the last line.

        Args:
            width: cells.

        Returns:
            Texts with their roles.
        """

    @abstractmethod
    def answer_popup(self, chosen: Choice | bool) -> None:
        """Does what is chosen, and takes the list away unless it stays open.

        Args:
            chosen: of :meth:`~tui_feeder.widgets.popup.Overlay.press`.
        """

    def press_at(self, x: int, y: int) -> None:
        """Handles a press of the left button on the screen's own panels.

        Args:
            x: cells from the left of the terminal.
            y: rows from its top.
        """

    def drag_to(self, x: int, y: int) -> None:
        """Handles a movement of the mouse while its left button is down.

        Args:
            x: cells from the left of the terminal.
            y: rows from its top.
        """

    def wheel_at(self, x: int, y: int, step: int, sideways: bool) -> None:
        """Handles a turn of the wheel.

        Args:
            x: cells from the left of the terminal.
            y: rows from its top.
            step: 1 down, -1 up.
            sideways: Shift or Ctrl is held.
        """

    def press_key(self, key: str) -> None:
        """Does what a key does.

        Args:
            key: as it is written in the line of keys, or Textual's name of it.
        """
        for name, active in self.active_bindings.items():
            if key in (name, key_text(active.binding, False), key_text(active.binding, True)):
                self.app.call_later(self.app.run_action, active.binding.action, active.node)
                return

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Hand a press to the list over the screen, to the first or last line, or to the panels."""
        event.stop()
        if not self.host.mouse or event.button != 1:
            return
        x, y = int(event.screen_x), int(event.screen_y)
        if self.popup is not None:
            self._press_popup(self.popup, x, y)
        elif not self.takes_presses:
            return
        elif y == self.app.size.height - 1:
            key = None if self.host.note else key_at(self.bottom(self.app.size.width), x)
            if key is not None:
                self.press_key(key)
        elif y == 0:
            about = screen_about(self.top_line, self.host.palette.glyphs.wall, x)
            if about == "alerts":
                self.press_key("a")
            elif about is not None:
                self.host.show_screen(about)
        else:
            self.press_at(x, y)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Hand a drag to the panels."""
        event.stop()
        if self.host.mouse and event.button == 1 and self.popup is None and self.takes_presses:
            self.drag_to(int(event.screen_x), int(event.screen_y))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Hand a turn of the wheel on."""
        self._wheel(event, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Hand a turn of the wheel on."""
        self._wheel(event, -1)

    def _wheel(self, event: events.MouseEvent, step: int) -> None:
        event.stop()
        if not self.host.mouse:
            return
        if self.popup is not None:
            self.answer_popup(self.popup.press("down" if step > 0 else "up", None))
        elif self.takes_presses:
            sideways = event.shift or event.ctrl
            self.wheel_at(int(event.screen_x), int(event.screen_y), step, sideways)

    def _press_popup(self, popup: Overlay, x: int, y: int) -> None:
        """A press on a line of a list chooses it; one beside a list or a sheet takes it away."""
        region = self.popup_region
        if not isinstance(popup, Pressable) or region is None:
            return
        if region.contains(x, y):
            self.answer_popup(popup.press_at(y - region.y))
        elif not isinstance(popup, Form):  # what was typed into it must not be lost
            self.answer_popup(popup.press("escape", None))
