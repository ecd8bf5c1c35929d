"""What all screens share: a placement of panels by plan, the status line, the clock, the line of keys."""

from __future__ import annotations

import textwrap
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import NULL_OFFSET, NULL_SPACING, Region, Size
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from tui_feeder.monitor import Snapshot
from tui_feeder.screens.export import Table
from tui_feeder.screens.filter_input import TypedFilter
from tui_feeder.screens.host import ScreenHost
from tui_feeder.screens.mouse import MouseScreen, key_text, keys_text
from tui_feeder.screens.symbol_detail import symbol_sheet
from tui_feeder.terminal import compose_panels, repaint_together
from tui_feeder.widgets import cells
from tui_feeder.widgets.lines import key_line, status_line
from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.panel import Panel
from tui_feeder.widgets.picture import svg
from tui_feeder.widgets.popup import Choice, Overlay

#: Columns and rows below which a page shows what is needed.
MINIMUM = Size(80, 24)

#: What lies over what, where it is not the ground.
_LAYERS = {"popup": 1}


def _layer(widget: Widget) -> int:
    return _LAYERS.get(widget.id or "", 0)


class _ByPlan(Layout):
    """Puts every widget at its place in the screen's plan; those without a place are not shown."""

    name = "by-plan"

    def arrange(
        self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True
    ) -> ArrangeResult:
        plan = parent.plan if isinstance(parent, FeederScreen) else {}
        return [
            WidgetPlacement(plan[child], NULL_OFFSET, NULL_SPACING, child, order=_layer(child))
            for child in children
            if child in plan
        ]


class FeederScreen(MouseScreen, inherit_bindings=False):
    """A screen that draws snapshots.

    The app calls :meth:`draw` on every tick and after every key that changes what is seen.

    Args:
        host: the app, as far as a screen may use it.
    """

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, host: ScreenHost) -> None:
        super().__init__()
        compose_panels(self)
        self.host = host
        self.plan: dict[Widget, Region] = {}
        self._by_plan = _ByPlan()
        self._status = Panel(id="status")
        self._clock = Panel(id="clock")
        self._keys = Panel(id="keys")
        self._page = Panel(id="page")
        self._front = Panel(id="popup")
        self.popup: Overlay | None = None
        self.filter: TypedFilter | None = None  # of a screen that can be filtered
        self.top_line: Sequence[Part] = ()
        self._changed_pieces: dict[Widget, list[Region]] = {}  # of panels, while a snapshot is drawn
        self._bottom: tuple[object, list[Part]] | None = None  # the last line, costly to gather
        self.listing_keys = False  # the keys in force are asked for, whatever lies over the screen

    @property
    def layout(self) -> Layout:
        """The placement by plan."""
        return self._by_plan

    @property
    def palette(self) -> Palette:
        """Styles and symbols in force."""
        return self.host.palette

    @property
    def minimum(self) -> Size:
        """Columns and rows below which the screen cannot be shown."""
        return MINIMUM

    @property
    def too_small(self) -> bool:
        """Whether the terminal lacks columns or rows."""
        return self.app.size.width < self.minimum.width or self.app.size.height < self.minimum.height

    @abstractmethod
    def panels(self) -> Iterable[Panel]:
        """The panels of the screen besides the shared ones."""

    @abstractmethod
    def place(self, size: Size) -> Mapping[Widget, Region]:
        """Computes where the panels lie; row 0 and the last row are taken.

        Args:
            size: of the terminal, cells.

        Returns:
            Region of each panel.
        """

    @abstractmethod
    def paint(self, snapshot: Snapshot) -> None:
        """Shows a snapshot in the panels.

        Args:
            snapshot: the newest one.
        """

    def shown_symbols(self, snapshot: Snapshot) -> int:
        """Counts the symbols that pass the filter.

        Args:
            snapshot: the newest one.

        Returns:
            Number of symbols.
        """
        return len(snapshot.symbols)

    def table(self) -> Table | None:
        """What is in view as a table to export; None where there is none."""
        return None

    def selected_text(self) -> str:
        """The selected line as text to copy; empty where there is none."""
        return ""

    def detail(self) -> Overlay | None:
        """Everything about what is selected, to read; None where nothing is."""
        view = self.host.grid.view
        return None if view is None else symbol_sheet(self.host, view.symbol)

    def action_detail(self) -> None:
        """Everything about what is selected."""
        sheet = self.detail()
        if sheet is None:
            self.host.show_note("nothing is selected here")
        else:
            self.open_popup(sheet)

    def bottom(self, width: int) -> list[Part]:
        """Makes the last line: the screens, the keys of this one, help and quit; or the filter that is typed.

        Args:
            width: cells.

        Returns:
            Texts with their roles.
        """
        if self._typing is not None:
            return self._typing.line()
        if self.filter is not None and self.filter.pattern:
            label = f" {self.filter.label}"
            most = width // 2
            label = (label if cell_len(label) <= most else cells.fit(label, most)) + " "
            return [(label, Role.WARN), *self._key_line(width - cell_len(label))]
        return self._key_line(width)

    def _key_line(self, width: int) -> list[Part]:
        size = self.app.size
        small = size.width < MINIMUM.width or size.height < MINIMUM.height
        edition = (width, small, self.host.keys_edition, self.palette.glyphs.name)
        if self._bottom is None or self._bottom[0] != edition:
            hidden = _NEED_ROOM | {f"app.{self.app.current_mode}"} if small else frozenset[str]()
            listed = (keys for keys in keys_of(self) if keys.show and keys.ids[0] not in hidden)
            shown = sorted(listed, key=_key_order)
            self._bottom = (edition, key_line([(keys.keys, keys.description) for keys in shown], width))
        return self._bottom[1]

    def compose(self) -> Iterable[Widget]:
        """The shared panels and the screen's own."""
        for panel in (self._status, self._clock, self._keys, self._page, *self.panels(), self._front):
            panel.changes = self._changed_pieces
            yield panel

    def on_mount(self) -> None:
        """Draws the first frame with what there is."""
        self.replan()

    def on_resize(self, event: events.Resize) -> None:
        """Places everything again."""
        self.replan()

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another screen was in front."""
        self.replan()

    def replan(self) -> None:
        """Places the panels for the present size and draws them."""
        size = self.app.size
        if self.too_small:
            plan: dict[Widget, Region] = {self._page: size.region}
        else:
            last = size.height - 1
            clock = len(self._time(self.host.snapshot)) + 1
            plan = {
                self._status: Region(0, 0, size.width - clock, 1),
                self._clock: Region(size.width - clock, 0, clock, 1),
                self._keys: Region(0, last, size.width, 1),
                **self.place(size),
            }
        if self.popup is not None:
            plan[self._front] = self.popup.region(size)
        if plan != self.plan:
            self.plan = plan
            self._status.refresh(layout=True)  # of a child: a screen forgets its arrangement only for those
        self.draw()

    def draw(self) -> None:
        """Shows the app's snapshot."""
        self._draw()
        repaint_together(self, self._changed_pieces)
        self._changed_pieces.clear()

    def _draw(self) -> None:
        snapshot = self.host.snapshot
        if self.too_small:
            self._page.show(too_small_page(self.app.size, self.minimum, self.palette))
            self._draw_popup()
            return
        if self._status not in self.plan:  # a tick came before the placement for this size
            return
        palette, width = self.palette, self.app.size.width
        clock = self.plan[self._clock].width
        status = status_line(
            snapshot,
            self.shown_symbols(snapshot),
            self.host.frozen,
            str(self.app.title),
            width - clock - 1,
            palette.glyphs,
            self.host.market,
            palette.zone,
        )
        self.top_line = status
        self._status.show([palette.strip(status, width - clock)])
        time = f"{self._time(snapshot)} "
        if len(time) != clock:  # summer time has begun or ended
            self.call_later(self.replan)
        self._clock.show([palette.cell(time, Role.TEXT, clock)])
        note = self.host.note if self._typing is None else ""
        self._keys.show([palette.strip([(f" {note}", Role.WARN)] if note else self.bottom(width), width)])
        self.paint(snapshot)
        self._draw_popup()

    def _time(self, snapshot: Snapshot) -> str:
        """The time of the exchange with its zone: as long all day, but not all year."""
        now, zone = snapshot.exchange_time, self.palette.zone
        return cells.clock_text(now, True, zone) + cells.zone_text(now, zone)

    def _draw_popup(self) -> None:
        if self.popup is not None and (region := self.plan.get(self._front)) is not None:
            self._front.show(self.popup.paint(region.width, region.height, self.palette))

    def picture(self, title: str) -> str:
        """Draws the screen.

        Args:
            title: of the picture.

        Returns:
            SVG.
        """
        return svg(self.shown_panels(), self.app.size, self.palette.background, title)

    def shown_panels(self) -> list[tuple[Region, list[Strip]]]:
        """What is on the screen, panel by panel, what lies over others last."""
        placed = sorted(self.plan.items(), key=lambda item: _layer(item[0]))
        return [(region, panel.strips) for panel, region in placed if isinstance(panel, Panel)]

    def open_popup(self, popup: Overlay) -> None:
        """Opens a list or a text over the screen; it takes every key until it is closed.

        Args:
            popup: what to open.
        """
        self.popup = popup
        self.replan()

    def close_popup(self) -> None:
        """Takes the list away."""
        self.popup = None
        self.replan()

    @property
    def popup_region(self) -> Region | None:
        """See :attr:`tui_feeder.screens.mouse.MouseScreen.popup_region`."""
        return self.plan.get(self._front) if self.popup is not None else None

    @property
    def takes_presses(self) -> bool:
        """See :attr:`tui_feeder.screens.mouse.MouseScreen.takes_presses`."""
        return not self.too_small and self._typing is None

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Checks whether a key belongs to an open list or a filter that is typed.

        Args:
            key: Textual's name of the key.
            character: what it types, if anything.

        Returns:
            True if the screen's own bindings must not see it.
        """
        return not self.listing_keys and (self.popup is not None or self._typing is not None)

    @property
    def _typing(self) -> TypedFilter | None:
        return self.filter if self.filter is not None and self.filter.typed is not None else None

    def on_key(self, event: events.Key) -> None:
        """Hand a key to the list that lies over the screen, or to the filter that is being typed."""
        if self.popup is None and self._typing is None:
            return
        event.stop()
        event.prevent_default()
        if self.popup is None:
            if self._typing is not None:
                self._typing.press(event.key, event.character)
                self.replan()
            return
        self.answer_popup(self.popup.press(event.key, event.character))

    def answer_popup(self, chosen: Choice | bool) -> None:
        """See :meth:`tui_feeder.screens.mouse.MouseScreen.answer_popup`."""
        if chosen is True:
            fits = self.popup is not None and self.popup_region == self.popup.region(self.app.size)
            (self.draw if fits else self.replan)()
            return
        self.close_popup()
        if isinstance(chosen, Choice):
            chosen.run()


def text_in_middle(text: str, width: int, height: int, palette: Palette) -> list[Strip]:
    """Writes a text in the middle of a panel that has nothing else to show.

    Args:
        text: wrapped where it is wider.
        width: cells.
        height: rows.
        palette: styles and symbols.

    Returns:
        A strip for every row.
    """
    lines = textwrap.wrap(text, max(10, width - 2))[:height]
    top = (height - len(lines)) // 2
    strips = [palette.strip([], width)] * height
    for row, line in enumerate(lines, top):
        indent = " " * max(0, (width - cell_len(line)) // 2)
        strips[row] = palette.strip([(indent + line, Role.TEXT)], width)
    return strips


def detail_binding(group: str, tooltip: str = "Everything known of the symbol") -> Binding:
    """Makes the binding of Enter.

    Args:
        group: prefix of its id.
        tooltip: what it shows.

    Returns:
        The binding.
    """
    return Binding("enter", "detail", "detail", show=False, key_display="Enter", id=f"{group}.detail",
                   tooltip=tooltip)  # fmt: skip


def split_region(left: Panel, right: Panel, region: Region, width: int) -> dict[Widget, Region]:
    """Places two panels side by side.

    Args:
        left: the left panel.
        right: the right panel.
        region: where both lie.
        width: cells of the right panel.

    Returns:
        Region of each panel.
    """
    x, y, across, rows = region
    return {left: Region(x, y, across - width, rows), right: Region(x + across - width, y, width, rows)}


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys that belong together, such as up and down: bindings of one description."""

    ids: tuple[str, ...]
    keys: str  # as people write them
    description: str  # a word
    tooltip: str  # a sentence
    show: bool  # in the last line


def keys_of(screen: Screen[Any]) -> list[Keys]:
    """Lists what the keys in force on a screen do, those of the screen first.

    Args:
        screen: the screen.

    Returns:
        One entry for each description.
    """
    found: dict[str, list[Binding]] = {}
    for binding in bindings_of(screen):
        found.setdefault(binding.description, []).append(binding)
    in_words = isinstance(screen, FeederScreen) and screen.palette.glyphs.name == "ascii"
    return [
        Keys(
            ids=tuple(binding.id or "" for binding in group),
            keys=keys_text([key_text(binding, in_words) for binding in group]),
            description=description,
            tooltip=", ".join(binding.tooltip for binding in group),
            show=any(binding.show for binding in group),
        )
        for description, group in found.items()
    ]


def bindings_of(screen: Screen[Any]) -> list[Binding]:
    """Lists the bindings in force on a screen, those of the screen first, one for each id.

    Args:
        screen: the screen.

    Returns:
        The bindings, also while a list over the screen takes all keys.
    """
    found: dict[str, Binding] = {}
    if isinstance(screen, FeederScreen):
        screen.listing_keys = True
    try:
        for active in screen.active_bindings.values():
            found.setdefault(active.binding.id or active.binding.action, active.binding)
    finally:
        if isinstance(screen, FeederScreen):
            screen.listing_keys = False
    return list(found.values())


#: Screens that a terminal below :data:`MINIMUM` cannot show.
_NEED_ROOM = frozenset(
    f"app.{name}" for name in ("chart", "profile", "gaps", "sources", "log", "cluster", "footprint")
)


def _key_order(keys: Keys) -> int:
    """The screens first, what only a demo or replay has, keys of the one in front, the rest.

    What stands last is dropped first where there is no room.
    """
    if keys.keys.isdigit() and keys.ids[0] != "app.footprint":
        return 0
    first = {"app.faults": 1, "app.play": 1, "app.hour_back": 1, "app.slower": 1}
    return (first | {"app.footprint": 3, "app.commands": 4, "app.help": 5, "app.quit": 6}).get(keys.ids[0], 2)


def too_small_page(size: Size, minimum: Size, palette: Palette) -> list[Strip]:
    """Shows what to do about a terminal that is too small.

    Args:
        size: of the terminal.
        minimum: of the screen.
        palette: styles and symbols.

    Returns:
        A strip for every row.
    """
    lines = [
        ("This terminal is too small", Role.STRONG),
        (f"needed {minimum.width} x {minimum.height}, here {size.width} x {size.height}", Role.TEXT),
        ("The feeder keeps running; q quits", Role.MUTED),
    ]
    if minimum == MINIMUM:
        lines.insert(2, ("1 shows the list of symbols", Role.TEXT))
    top = max(0, (size.height - len(lines)) // 2)
    result = []
    for y in range(size.height):
        text, role = lines[y - top] if 0 <= y - top < len(lines) else ("", Role.TEXT)
        indent = " " * max(0, (size.width - len(text)) // 2)
        result.append(palette.strip([(indent + text, role)], size.width))
    return result
