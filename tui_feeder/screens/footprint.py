"""Footprint: what takers bought and sold at each price of the bars of a symbol.

A wide terminal shows the day's profile beside the bars, on the same prices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tui_feeder.monitor import (
    DAY_MS,
    PATIENCE_SECONDS,
    FootprintView,
    ProfileView,
    Snapshot,
    SymbolView,
    timeframe_label,
)
from tui_feeder.screens.base import FeederScreen, detail_binding
from tui_feeder.screens.export import Table
from tui_feeder.screens.host import ScreenHost
from tui_feeder.screens.time_prompt import time_prompt
from tui_feeder.widgets import cells
from tui_feeder.widgets.chart import axis_width
from tui_feeder.widgets.footprint import BAR, FOOT, TALL_FOOT, foot_names, paint_footprint, top_row
from tui_feeder.widgets.histogram import paint_profile, paint_sides, profile_levels
from tui_feeder.widgets.lines import state_parts, unread_text
from tui_feeder.widgets.palette import Part, Role
from tui_feeder.widgets.panel import Panel
from tui_feeder.widgets.scale import PriceScale

_MOST_BARS = 24
#: Cells of the day's profile at least; bars that there must be room for before it is shown.
_PROFILE, _FIRST_BARS = 34, 9
#: The role of the text of a level, where it is not that of its line.
_NAMED = {Role.VALUE_AREA: Role.TEXT}
#: Cells from which the signs are explained.
_WITH_LEGEND = 110
#: Rows of the terminal from which all lines are shown below the prices.
_TALL = 36
#: Rows become coarser or finer by so many times.
_ZOOMS = (1, 2, 4, 8)


class FootprintScreen(FeederScreen, inherit_bindings=False):
    """Screen 8."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "pan(-1)", "bar", key_display="←", id="footprint.older", tooltip="A bar older"),
        Binding("right", "pan(1)", "bar", key_display="→", id="footprint.newer", tooltip="newer"),
        Binding("pageup", "pan(-8)", "bars", show=False, key_display="PgUp", id="footprint.older8",
                tooltip="Eight bars older"),
        Binding("pagedown", "pan(8)", "bars", show=False, key_display="PgDn", id="footprint.newer8",
                tooltip="newer"),
        Binding("end,escape", "follow", "newest", show=False, key_display="End", id="footprint.follow",
                tooltip="The newest bars"),
        Binding("left_square_bracket", "timeframe(-1)", "tf", key_display="[", id="footprint.shorter",
                tooltip="Shorter timeframe"),
        Binding("right_square_bracket", "timeframe(1)", "tf", key_display="]", id="footprint.longer",
                tooltip="Longer timeframe"),
        Binding("plus,equals_sign", "zoom(1)", "rows", key_display="+", id="footprint.finer",
                tooltip="Finer rows: more of them than fit, around the price"),
        Binding("minus", "zoom(-1)", "rows", key_display="-", id="footprint.coarser", tooltip="Coarser rows"),
        Binding("g", "go_to", "time", id="footprint.go_to", tooltip="Go to a time: its bar is at the right"),
        detail_binding("footprint"),
        Binding("up", "move(-1)", "symbol", show=False, key_display="↑", id="footprint.up",
                tooltip="Symbol above"),
        Binding("down", "move(1)", "symbol", show=False, key_display="↓", id="footprint.down",
                tooltip="Symbol below"),
    ]  # fmt: skip

    def __init__(self, host: ScreenHost) -> None:
        super().__init__(host)
        self._title = Panel(id="title")
        self._axis = Panel(id="axis")
        self._bars = [Panel(id=f"bar{i}") for i in range(_MOST_BARS)]
        self._beside = Panel(id="beside")
        self._profile: ProfileView | None = None
        self._back = 0  # bars between the newest and the last one shown
        self._zoom = 0
        self._view: FootprintView | None = None
        self._reading = False  # bars of it are still to come
        self._fetched: object = None
        self._painted: object = None

    def panels(self) -> Iterable[Panel]:
        """Title, price axis, profile, and a panel a bar: only that of a bar in progress is sent again."""
        return (self._title, self._axis, *self._bars, self._beside)

    def place(self, size: Size) -> Mapping[Widget, Region]:
        """See :meth:`tui_feeder.screens.base.FeederScreen.place`."""
        view, rows = self.host.grid.view, size.height - 3
        axis = axis_width(view) if view is not None else 10
        plan: dict[Widget, Region] = {
            self._title: Region(0, 1, size.width, 1),
            self._axis: Region(0, 2, axis, rows),
        }
        count = self._count(size.width - axis)
        for place, panel in enumerate(self._bars[:count]):
            plan[panel] = Region(axis + place * BAR, 2, BAR, rows)
        used = axis + count * BAR
        if size.width - used >= _PROFILE:
            plan[self._beside] = Region(used, 2, size.width - used, rows)
        return plan

    @staticmethod
    def _count(room: int) -> int:
        with_profile = (room - _PROFILE) // BAR
        return min(with_profile if with_profile >= _FIRST_BARS else max(room // BAR, 1), _MOST_BARS)

    def paint(self, snapshot: Snapshot) -> None:
        """See :meth:`tui_feeder.screens.base.FeederScreen.paint`."""
        palette, (width, height) = self.palette, self.app.size
        view = self.host.grid.view
        if view is None:
            self._title.show([palette.strip([("  no symbol selected", Role.MUTED)], width)])
            return
        axis = self.plan[self._axis].width
        if axis_width(view) != axis:
            self.call_later(self.replan)
        foot = TALL_FOOT if height >= _TALL else FOOT
        rows, count = height - 4 - foot, self._count(width - axis)
        timeframe = self.host.timeframe
        frame = timeframe * 1_000
        end = None
        if self._back and view.last_closed is not None:
            end = _end_of_newest(view.last_closed, frame) - self._back * frame
        levels = rows * _ZOOMS[self._zoom]
        key = (
            view.symbol,
            timeframe,
            count,
            levels,
            end,
            view.last_closed,
            view.stored,
            view.missing_minutes,
        )
        if key != self._fetched or self._view is None or not self._view.whole:
            asked = self.host.monitor.footprint(view.symbol, timeframe, count, levels, end, PATIENCE_SECONDS)
            self._view = asked if asked is None or asked.bars else None
            self._reading = asked is not None and not asked.whole
            if key != self._fetched:
                self._profile = None
            self._fetched = key
        found = self._view
        if self._beside in self.plan and found is not None and self._profile is None:
            day = found.bars[-1].time // DAY_MS * DAY_MS if self._back else None
            self._profile = self.host.monitor.profile(view.symbol, day, PATIENCE_SECONDS)
        top = 0 if found is None else top_row(found, rows, None if self._back else view.price)
        painting = (key, found, self._profile, width, height, id(palette), top)
        if painting != self._painted:
            self._painted = painting
            self._show_bars(found, view, top, rows, count, axis, foot)
            if (region := self.plan.get(self._beside)) is not None:
                self._beside.show(self._paint_beside(snapshot, found, view, top, rows, region.size))
        self._title.show([self._paint_title(view, timeframe, width)])

    def _show_bars(
        self,
        found: FootprintView | None,
        view: SymbolView,
        top: int,
        rows: int,
        count: int,
        axis: int,
        foot: int,
    ) -> None:
        palette = self.palette
        blank = palette.line((("", Role.TEXT),), BAR)
        columns: list[list[Strip]] = []
        if found is not None:
            day = self.host.timeframe >= 86_400
            for bar, lines in zip(found.bars, paint_footprint(found, top, rows, palette, foot), strict=True):
                moment = cells.moment_text(bar.time, palette.zone)
                text = moment[:5] if day else moment
                columns.append([palette.line(((text.center(BAR), Role.STRONG),), BAR), *lines])
        missing = count - len(columns)
        empty = [blank] * (rows + foot + 1)
        for place, panel in enumerate(self._bars[:count]):
            panel.show(empty if place < missing else columns[place - missing])
        wall = palette.glyphs.wall
        strips = [palette.line(((" " * (axis - 1), Role.TEXT), (wall, Role.FAINT)), axis)]
        priced = None if view.price is None or found is None else round(view.price / found.increment)
        for line in range(rows):
            text, role = "", Role.MUTED
            if found is not None and found.bars:
                text = cells.price_text(found.price(top - line), view.price_decimals)
                role = Role.STRONG if top - line == priced else Role.MUTED
            mark = palette.glyphs.tick if top - line == priced else wall
            label = cells.fit(text, axis - 1, right=True)
            strips.append(palette.line(((label, role), (mark, Role.FAINT)), axis))
        for name in foot_names(foot):
            label = cells.fit(name, axis - 1, right=True)
            strips.append(palette.line(((label, Role.MUTED), (wall, Role.FAINT)), axis))
        self._axis.show(strips)

    def _paint_beside(
        self,
        snapshot: Snapshot,
        found: FootprintView | None,
        view: SymbolView,
        top: int,
        rows: int,
        size: Size,
    ) -> list[Strip]:
        """The profile of the day of the newest bar in sight, on the prices of the rows."""
        palette, (width, height), profile = self.palette, size, self._profile
        wall = palette.line(((palette.glyphs.wall, Role.FAINT),), 1)
        if found is None or profile is None:
            head = palette.strip([("no profile yet", Role.MUTED)], width - 1)
            return [
                Strip.join([wall, line]) for line in (head, *[palette.strip([], width - 1)] * (height - 1))
            ]
        half = found.increment / 2
        scale = PriceScale(found.price(top - rows + 1) - half, found.price(top) + half, rows)
        if profile.bought is not None:
            bars = paint_sides(profile, scale, width - 1, palette)
        else:
            bars = paint_profile(profile, scale, view.price_decimals, width - 1, palette)
        today = cells.date_text(profile.day) == cells.date_text(snapshot.exchange_time)
        title: list[Part] = [
            (f" profile, {'today' if today else cells.date_text(profile.day)} UTC", Role.STRONG),
            (f"  {cells.known_text(profile.exact_share, profile.known_share)}", Role.MUTED),
        ]
        foot: list[list[Part]] = [
            [
                (f" {name:<5}", Role.MUTED),
                (cells.price_text(price, view.price_decimals), _NAMED.get(role, role)),
            ]
            for name, price, role in profile_levels(profile)
        ]
        foot.append([(" vol  ", Role.MUTED), (cells.count_text(profile.total_volume), Role.TEXT)])
        lines = [palette.strip(title, width - 1), *bars]
        lines += [palette.strip(parts, width - 1) for parts in foot]
        return [Strip.join([wall, line]) for line in lines[:height]]

    def _paint_title(self, view: SymbolView, timeframe: int, width: int) -> Strip:
        rule, found = self.palette.glyphs.rule, self._view
        parts: list[Part] = [
            (rule * 2, Role.FAINT), (f" {view.symbol} {timeframe_label(timeframe)} ", Role.STRONG),
            *state_parts(view), (" bought x sold ", Role.MUTED),
        ]  # fmt: skip
        if self._reading:
            parts.append((" loading ... ", Role.WARN))
        elif found is None:
            none = unread_text(view) or "nothing was traded here, or profiles are off"
            parts.append((f" {none} ", Role.WARN))
        if found is not None:
            parts.append((f" row {found.increment:g} ", Role.MUTED))
            if width >= _WITH_LEGEND:
                buy, sell = self.palette.glyphs.buy, self.palette.glyphs.sell
                signs = f" > < the heavier side, {buy} {sell} 3:1 against the row below or above, [ ] POC "
                parts.append((signs, Role.MUTED))
            if not any(bar.known_share for bar in found.bars):
                parts.append((" ~ guessed of candles ", Role.WARN))
        return self.palette.strip(parts, width, fill=(rule, Role.FAINT))

    def selected_text(self) -> str:
        """The newest bar in sight."""
        if self._view is None:
            return ""
        bar = self._view.bars[-1]
        bought, sold = sum(bar.bought), sum(bar.sold)
        known = cells.known_text(bar.exact_share, bar.known_share)
        return (
            f"{self._view.symbol} {cells.moment_text(bar.time)} bought {bought:.10g} sold {sold:.10g} "
            f"delta {bought - sold:.10g} POC {self._view.price(bar.poc):.10g} {known}"
        )

    def table(self) -> Table | None:
        """Every price of every bar in sight."""
        if self._view is None:
            return None
        rows = [
            (bar.time, self._view.price(bar.first + i), bought, sold, known)
            for bar in self._view.bars
            for known in (cells.known_text(bar.exact_share, bar.known_share),)
            for i, (bought, sold) in enumerate(zip(bar.bought, bar.sold, strict=True))
        ]
        return Table(f"{self._view.symbol}-footprint", ("time", "price", "bought", "sold", "known"), rows)

    # The mouse

    def press_at(self, x: int, y: int) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.press_at`; nothing can be chosen here."""

    def wheel_at(self, x: int, y: int, step: int, sideways: bool) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.wheel_at`; goes to older or newer bars."""
        self.action_pan(-step)

    # What the keys do

    def action_pan(self, bars: int) -> None:
        """Look at older or newer bars."""
        view, frame = self.host.grid.view, self.host.timeframe * 1_000
        most = 0
        if view is not None and view.first_minute is not None and view.last_closed is not None:
            most = max(0, (view.last_closed - view.first_minute) // frame)
        self._back = min(max(self._back - bars, 0), most)
        self.draw()

    def action_follow(self) -> None:
        """Look at the newest bars again."""
        self._back = 0
        self.draw()

    def action_go_to(self) -> None:
        """Asks for a time."""
        self.open_popup(time_prompt(self.host, self._go_to))

    def _go_to(self, moment: int) -> str | None:
        """Moves the bar of a moment to the right edge; what is wrong with the moment, if anything."""
        view, frame = self.host.grid.view, self.host.timeframe * 1_000
        if view is None or view.first_minute is None or view.last_closed is None:
            return "there is no bar yet"
        back = (_end_of_newest(view.last_closed, frame) - 1 - moment) // frame
        if back < 0:
            return "there is no bar of that time yet"
        if moment // frame < view.first_minute // frame:
            return "that is before the first candle"
        self._back = back
        return None

    def action_timeframe(self, step: int) -> None:
        """Another timeframe."""
        self.host.step_timeframe(step)
        self._back = 0
        self.replan()

    def action_zoom(self, step: int) -> None:
        """Finer or coarser rows."""
        self._zoom = min(max(self._zoom + step, 0), len(_ZOOMS) - 1)
        self.draw()

    def action_move(self, rows: int) -> None:
        """Another symbol."""
        self.host.grid.move(rows)
        self._back = 0
        self.replan()


def _end_of_newest(last_closed: int, frame: int) -> int:
    """Where the bar of the last closed minute ends, ms."""
    return -(-(last_closed + 60_000) // frame) * frame
