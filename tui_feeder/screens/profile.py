"""Profile: the volume profile of a day and of the days before it, side by side on one price axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tui_feeder.bars import delta_of
from tui_feeder.monitor import DAY_MS, PATIENCE_SECONDS, ProfileView, Snapshot, SymbolView
from tui_feeder.screens.base import FeederScreen, detail_binding
from tui_feeder.screens.export import Table
from tui_feeder.screens.host import ScreenHost
from tui_feeder.widgets import cells
from tui_feeder.widgets.axes import paint_price_axis
from tui_feeder.widgets.chart import axis_width
from tui_feeder.widgets.histogram import paint_profile, paint_sides
from tui_feeder.widgets.lines import state_parts, unread_text
from tui_feeder.widgets.palette import Part, Role
from tui_feeder.widgets.panel import Panel
from tui_feeder.widgets.scale import PriceScale, price_scale

#: Cells of a day; the first in the row gets what is over.
_DAY = 20
#: Cells of the first day, with the names of its levels.
_FIRST = 30
_MOST_DAYS = 9
#: Cells from which there is room for the title.
_WITH_TITLE = 100
#: Lines below the bars: the levels and the volume of the day.
_FOOT = 6


class ProfileScreen(FeederScreen, inherit_bindings=False):
    """Screen 3."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_curly_bracket", "days(1)", "day", key_display="{", id="profile.earlier",
                tooltip="A day earlier"),
        Binding("right_curly_bracket", "days(-1)", "day", key_display="}", id="profile.later",
                tooltip="A day later"),
        Binding("end,escape", "days(-100000)", "today", show=False, key_display="End", id="profile.today",
                tooltip="Today"),
        detail_binding("profile"),
        Binding("up", "move(-1)", "symbol", key_display="↑", id="profile.up", tooltip="Symbol above"),
        Binding("down", "move(1)", "symbol", key_display="↓", id="profile.down", tooltip="Symbol below"),
    ]  # fmt: skip

    def __init__(self, host: ScreenHost) -> None:
        super().__init__(host)
        self._title = Panel(id="title")
        self._axis = Panel(id="axis")
        self._days = [Panel(id=f"day{i}") for i in range(_MOST_DAYS)]
        self._back = 0  # days between today and the first day shown
        self._profiles: list[ProfileView | None] = []
        self._fetched: object = None
        self._painted: object = None
        self._scale: PriceScale | None = None

    def panels(self) -> Iterable[Panel]:
        """Title, price axis, and a panel a day."""
        return (self._title, self._axis, *self._days)

    def place(self, size: Size) -> Mapping[Widget, Region]:
        """See :meth:`tui_feeder.screens.base.FeederScreen.place`."""
        view = self.host.grid.view
        axis, rows = axis_width(view) if view is not None else 10, size.height - 3
        plan: dict[Widget, Region] = {
            self._title: Region(0, 1, size.width, 1),
            self._axis: Region(0, 2, axis, rows),
        }
        x = axis
        for panel, width in zip(self._days, self._widths(size.width - axis), strict=False):
            plan[panel] = Region(x, 2, width, rows)
            x += width
        return plan

    @staticmethod
    def _widths(room: int) -> list[int]:
        """Cells of the days that fit, the chosen one first."""
        earlier = min((room - _FIRST) // _DAY, _MOST_DAYS - 1)
        each = min(_DAY + 4, (room - _FIRST) // earlier)
        return [room - each * earlier, *[each] * earlier]

    def paint(self, snapshot: Snapshot) -> None:
        """See :meth:`tui_feeder.screens.base.FeederScreen.paint`."""
        palette, (width, height) = self.palette, self.app.size
        view = self.host.grid.view
        rows = height - 4 - _FOOT
        axis = self.plan[self._axis].width
        if view is None:
            self._title.show([palette.strip([("  no symbol selected", Role.MUTED)], width)])
            return
        if axis_width(view) != axis:
            self.call_later(self.replan)
        widths = self._widths(width - axis)
        today = snapshot.exchange_time // DAY_MS * DAY_MS
        days = [today - (self._back + i) * DAY_MS for i in range(len(widths))]
        key = (view.symbol, tuple(days), view.last_closed, view.missing_minutes, view.stored)
        if key != self._fetched:
            self._profiles = [self.host.monitor.profile(view.symbol, day, PATIENCE_SECONDS) for day in days]
            self._fetched = key
        known = [profile for profile in self._profiles if profile is not None]
        painting = (key, width, height, id(palette), axis, unread_text(view))
        if painting != self._painted or self._left(view.price):
            self._painted = painting
            self._scale = self._scale_of(known, view.price if self._back == 0 else None, rows)
            decimals = view.price_decimals
            none = view.state.value if unread_text(view) else "no candles"
            for panel, across, day, profile in zip(self._days, widths, days, self._profiles, strict=False):
                panel.show(self._paint_day(panel, profile, day, today, across, rows, decimals, none))
        self._title.show([self._paint_title(view, width)])
        blank = palette.strip([], axis)
        prices = [blank] * rows
        if self._scale is not None:
            prices = paint_price_axis(self._scale, view.price, view.price_decimals, axis, palette)
        self._axis.show([blank, *prices, *[blank] * _FOOT])

    def _left(self, price: float | None) -> bool:
        return (
            self._scale is not None
            and self._back == 0
            and price is not None
            and self._scale.row(price) is None
        )

    @staticmethod
    def _scale_of(known: list[ProfileView], price: float | None, rows: int) -> PriceScale | None:
        if not known:
            return None
        lows = [float(profile.prices[0]) - profile.increment / 2 for profile in known]
        highs = [float(profile.prices[-1]) + profile.increment / 2 for profile in known]
        inside = [] if price is None else [price]
        return price_scale(min(lows + inside), max(highs + inside), rows)

    def _paint_day(
        self,
        panel: Panel,
        profile: ProfileView | None,
        day: int,
        today: int,
        width: int,
        rows: int,
        decimals: int,
        none: str,
    ) -> list[Strip]:
        palette = self.palette
        # The price axis ends in a wall of its own.
        wall: Part = (palette.glyphs.wall if panel is not self._days[0] else " ", Role.FAINT)
        name = "today" if day == today else cells.date_text(day)
        title: list[Part] = [wall, (f" {name} ", Role.STRONG)]
        if profile is not None and profile.bought is not None:
            known = cells.known_text(profile.exact_share, profile.known_share)
            title.append((f"{known} ", Role.MUTED if profile.known_share else Role.WARN))
        head = palette.strip(title, width, fill=(palette.glyphs.rule, Role.FAINT))
        if profile is None or self._scale is None:
            blank = palette.strip([wall], width)
            note = palette.strip([wall, (f" {none}", Role.MUTED)], width)
            return [head, note, *[blank] * (rows + _FOOT - 1)]
        if profile.bought is None:
            bars = paint_profile(profile, self._scale, decimals, width - 2, palette)
        else:
            bars = paint_sides(profile, self._scale, width - 2, palette)
        strips = [Strip.join([palette.strip([wall], 1), bar, palette.strip([], 1)]) for bar in bars]
        vwap, volume = cells.price_text(profile.vwap, decimals), cells.count_text(profile.total_volume)
        minutes = f" {profile.candles:,} min"
        if len("vol ") + len(volume) + len(minutes) > width - 2:
            minutes = f" {profile.candles:,}m"
        foot: list[list[Part]] = [
            [("POC  ", Role.MUTED), (cells.price_text(profile.poc, decimals), Role.POC)],
            [("VAH  ", Role.MUTED), (cells.price_text(profile.vah, decimals), Role.TEXT)],
            [("VAL  ", Role.MUTED), (cells.price_text(profile.val, decimals), Role.TEXT)],
            [("VWAP ", Role.MUTED), (vwap, Role.VWAP)],
            [("vol ", Role.MUTED), (volume, Role.TEXT), (minutes, Role.MUTED)],
            [("delta ", Role.MUTED), _delta_part(profile)],
        ]  # fmt: skip
        return [head, *strips, *(palette.strip([wall, (" ", Role.TEXT), *parts], width) for parts in foot)]

    def _paint_title(self, view: SymbolView, width: int) -> Strip:
        first = self._profiles[0] if self._profiles else None
        glyphs = self.palette.glyphs
        parts: list[Part] = [(glyphs.rule * 2, Role.FAINT), (f" {view.symbol} ", Role.STRONG)]
        parts += state_parts(view)
        if unread := unread_text(view):
            parts.append((f" {unread} ", Role.WARN))
        if width >= _WITH_TITLE:
            parts.append((" volume at price, UTC days ", Role.MUTED))
        if first is not None and first.bought is not None:
            parts += [(f" {glyphs.body}", Role.UP), (" bought ", Role.MUTED)]
            parts += [(glyphs.sold, Role.DOWN), (" sold ", Role.MUTED)]
        if first is not None and view.price is not None:
            where = "above" if view.price > first.vah else "below" if view.price < first.val else "inside"
            role = {"above": Role.UP, "below": Role.DOWN}.get(where, Role.FLAT)
            parts.append((f" price {where} the value area ", role))
        if first is not None:
            parts.append((f" row {first.increment:g} ", Role.MUTED))
        if view.profile_note:
            parts.append((f" ! {view.profile_note} ", Role.WARN))
        return self.palette.strip(parts, width, fill=(self.palette.glyphs.rule, Role.FAINT))

    def selected_text(self) -> str:
        """The levels of the first day shown."""
        first = self._profiles[0] if self._profiles else None
        if first is None:
            return ""
        return (
            f"{first.symbol} {cells.date_text(first.day)} POC {first.poc:.10g} VAH {first.vah:.10g} "
            f"VAL {first.val:.10g} VWAP {cells.UNKNOWN if first.vwap is None else f'{first.vwap:.10g}'} "
            f"volume {first.total_volume:.10g}{_bought_text(first)}"
        )

    def table(self) -> Table | None:
        """Every row of every day in sight."""
        view = self.host.grid.view
        if view is None:
            return None
        rows = [
            (cells.date_text(profile.day), price, weight, bought, known)
            for profile in self._profiles
            if profile is not None
            for known in (cells.known_text(profile.exact_share, profile.known_share),)
            for price, weight, bought in zip(
                profile.prices.tolist(), profile.weights, profile.bought or [None] * len(profile.weights),
                strict=True,
            )
        ]  # fmt: skip
        return Table(f"{view.symbol}-profile", ("day", "price", "weight", "bought", "known"), rows)

    # The mouse

    def press_at(self, x: int, y: int) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.press_at`; begins with the day that is pressed."""
        for number, panel in enumerate(self._days):
            if panel in self.plan and self.plan[panel].contains(x, y):
                self.action_days(number)

    def wheel_at(self, x: int, y: int, step: int, sideways: bool) -> None:
        """See :meth:`~tui_feeder.screens.mouse.MouseScreen.wheel_at`; goes a day earlier or later."""
        self.action_days(step)

    # What the keys do

    def action_days(self, days: int) -> None:
        """Begin with an earlier or later day."""
        view = self.host.grid.view
        first = view.first_minute if view is not None else None
        most = 0
        if first is not None:
            most = (self.host.snapshot.exchange_time // DAY_MS) - first // DAY_MS
        self._back = min(max(self._back + days, 0), most)
        self.draw()

    def action_move(self, rows: int) -> None:
        """Another symbol."""
        self.host.grid.move(rows)
        self.replan()


def _delta_of_day(profile: ProfileView) -> float:
    """What takers bought less what they sold, base asset; NaN where that is not known."""
    return math.nan if profile.bought is None else delta_of(profile.total_volume, math.fsum(profile.bought))


def _delta_part(profile: ProfileView) -> Part:
    delta = _delta_of_day(profile)
    role = Role.UP if delta > 0 else Role.DOWN if delta < 0 else Role.FLAT
    return cells.signed_text(delta), role


def _bought_text(profile: ProfileView) -> str:
    if profile.bought is None:
        return ""
    known = cells.known_text(profile.exact_share, profile.known_share)
    return f" delta {_delta_of_day(profile):.10g} {known}"
