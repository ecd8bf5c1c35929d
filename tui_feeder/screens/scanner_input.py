"""The scanner's filter while it is typed: applied letter by letter, completed by Tab, faults in place."""

from __future__ import annotations

from collections.abc import Callable

from rich.cells import cell_len

from tui_feeder.scanner.completion import Completion, completions, hint
from tui_feeder.scanner.filter_language import MAX_LENGTH, FilterError, parse
from tui_feeder.widgets.overview_grid import Grid
from tui_feeder.widgets.palette import Part, Role
from tui_feeder.widgets.text_line import TextLine

_EXAMPLE = "e.g. btc   24h>3 vol>100M   trend.1h=buy align>=3   near(poc)<0.2   or, not, ( )"


class ScannerInput:
    """What is typed, what can follow, and what is wrong with it.

    Args:
        grid: that is filtered.
    """

    def __init__(self, grid: Callable[[], Grid]) -> None:
        self._grid = grid
        self._line: TextLine | None = None
        self._fault: FilterError | None = None
        self._before = ""  # in force when typing began
        self._ended = False  # Enter was the last key: what is missing is a fault

    @property
    def typed(self) -> str | None:
        """The text so far; None while nothing is being typed."""
        return None if self._line is None else self._line.text

    @property
    def pattern(self) -> str:
        """The filter in force."""
        return self._grid().pattern

    @property
    def label(self) -> str:
        """The watchlist that the filter in force is of, else the filter."""
        pattern = self.pattern
        lists = self._grid().lists.watchlists
        return next((f"W {name}" for name, saved in lists.items() if saved.filter == pattern), f"/{pattern}")

    def begin(self) -> None:
        """Begin to type."""
        self._before = self.pattern
        self._line, self._fault, self._ended = TextLine(self.pattern, MAX_LENGTH), None, False

    def clear(self) -> None:
        """Shows everything."""
        self._line = None
        self._grid().set_filter("")

    def press(self, key: str, character: str | None) -> None:
        """Takes a key: Tab completes, Enter ends, Escape goes back to what was in force before.

        Args:
            key: its name, as Textual has it.
            character: that it types, if any.
        """
        assert self._line is not None
        self._ended = key == "enter"
        match key:
            case "escape":
                self._line = None
                self._grid().set_filter(self._before)
            case "enter":
                self._take(sure=True)
                if self._fault is None:
                    self._line = None
            case "tab":
                if offered := self._offered():
                    self._line.replace(offered[0].applied_to(self._line.text))
                    self._take()
            case _:
                if self._line.press(key, character):
                    self._take()

    def line(self) -> list[Part]:
        """Writes the line: what is typed with the cursor, the part that is wrong marked.

        Returns:
            Its parts.
        """
        assert self._line is not None
        text, cursor = self._line.text, self._line.cursor
        start, end = len(text), len(text)
        if self._fault is not None and not self._fault.unfinished:
            start, end = self._fault.start, self._fault.end
        roles = [Role.ERROR if start <= at < end else Role.STRONG for at in range(len(text))]
        parts: list[Part] = [(" /", Role.ACCENT)]
        for at, letter in enumerate(text):
            if at == cursor:
                parts.append(("█", Role.ACCENT))
            parts.append((letter, roles[at]))
        return parts if cursor < len(text) else [*parts, ("█", Role.ACCENT)]

    def help(self, width: int) -> list[Part]:
        """Writes what the line above shows: the fault, what can follow, or an example.

        Args:
            width: cells there are.

        Returns:
            The parts of the line.
        """
        assert self._line is not None
        text = self._line.text
        if self._fault is not None and (self._ended or not self._fault.unfinished):
            return [("! ", Role.WARN), (str(self._fault), Role.WARN)]
        expected = hint(text, self._grid().fields, width - 2)
        offered = [suggestion.text for suggestion in self._offered()]
        if not text:
            return [(f"  {_EXAMPLE}", Role.MUTED)]
        parts: list[Part] = [(f"  {expected}", Role.TEXT)] if expected else []
        room = width - sum(cell_len(part) for part, _ in parts) - 8
        shown: list[str] = []
        for suggestion in offered:
            if sum(map(len, shown)) + 2 * len(shown) + len(suggestion) > room:
                break
            shown.append(suggestion)
        if shown and not (expected and offered[0].startswith(text)):
            parts += [
                ("  tab ", Role.ACCENT),
                (shown[0], Role.STRONG),
                ("  " + "  ".join(shown[1:]), Role.MUTED),
            ]
        if not parts and self._fault is not None:
            parts = [(f"  {self._fault}", Role.MUTED)]
        return parts or [(f"  enter keeps it, esc goes back  {_EXAMPLE}", Role.MUTED)]

    def _offered(self) -> list[Completion]:
        line = self._line
        if line is None or line.cursor < len(line.text):
            return []
        return completions(line.text, self._grid().fields)

    def _take(self, sure: bool = False) -> None:
        """Applies what is typed; where its end is not understood or matches nothing, what is before it."""
        assert self._line is not None
        grid, text = self._grid(), self._line.text
        try:
            condition = parse(text, grid.fields)
        except FilterError as fault:
            self._fault = fault
            if fault.start > text.rfind(" "):
                self._apply_before_word()
            return
        self._fault = None
        if sure or grid.passing(condition) or not self._offered():
            grid.set_filter(text)
        else:
            self._apply_before_word()

    def _apply_before_word(self) -> None:
        assert self._line is not None
        text = self._line.text
        self._grid().set_filter(text[: text.rfind(" ") + 1].rstrip())
