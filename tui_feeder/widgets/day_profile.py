"""The volume profile of today with a price axis of its own, for a place beside several charts."""

from __future__ import annotations

from textual.strip import Strip

from tui_feeder.monitor import PATIENCE_SECONDS, Monitor, ProfileView, SymbolView
from tui_feeder.widgets import cells
from tui_feeder.widgets.axes import paint_price_axis
from tui_feeder.widgets.chart import axis_width
from tui_feeder.widgets.histogram import paint_profile
from tui_feeder.widgets.palette import Palette, Part, Role
from tui_feeder.widgets.panel import JoinedStrips
from tui_feeder.widgets.scale import PriceScale, price_scale


class DayProfile:
    """Fetches the profile when a minute closes, and paints it.

    Args:
        monitor: asked for it.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._fetched: object = None
        self._painted: object = None
        self._profile: ProfileView | None = None
        self._scale: PriceScale | None = None
        self._bars: list[Strip] = []
        self._joined = JoinedStrips()

    def paint(self, view: SymbolView | None, width: int, height: int, palette: Palette) -> list[Strip]:
        """Paints a title, the bars beside the price axis, and the volume.

        Args:
            view: of the symbol; None where there is none to show.
            width: cells.
            height: lines.
            palette: styles and symbols.

        Returns:
            ``height`` strips of ``width`` cells.
        """
        rows = height - 2
        rule = (palette.glyphs.rule, Role.FAINT)
        title: list[Part] = [(palette.glyphs.rule * 2, Role.FAINT), (" profile, today UTC ", Role.STRONG)]
        head = palette.strip(title, width, fill=rule)
        blank = palette.strip([], width)
        if view is None or rows < 3:
            return [head, *[blank] * (height - 1)]
        key = (view.symbol, view.last_closed, view.missing_minutes, view.stored, view.poc)
        if key != self._fetched:
            self._profile = self._monitor.profile(view.symbol, patience=PATIENCE_SECONDS)
            self._fetched = key
        profile = self._profile
        if profile is None:
            note = palette.strip([("  no profile yet", Role.MUTED)], width)
            return [head, note, *[blank] * (height - 2)]
        if profile.bought is not None:
            title.append((f"{cells.known_text(profile.exact_share, profile.known_share)} ", Role.MUTED))
            head = palette.strip(title, width, fill=rule)
        axis = axis_width(view)
        painting = (key, width, height, id(palette))
        price = view.price
        left = self._scale is not None and price is not None and self._scale.row(price) is None
        if painting != self._painted or self._scale is None or left:
            self._painted = painting
            half = profile.increment / 2
            prices = profile.prices
            low, high = float(prices[0]) - half, float(prices[-1]) + half
            inside = [] if price is None else [price]
            self._scale = price_scale(min([low, *inside]), max([high, *inside]), rows)
            self._bars = paint_profile(profile, self._scale, view.price_decimals, width - axis, palette)
        prices_shown = paint_price_axis(self._scale, price, view.price_decimals, axis, palette)
        foot: list[Part] = [
            (" " * axis, Role.TEXT), ("vol ", Role.MUTED),
            (cells.count_text(profile.total_volume), Role.TEXT), (f"  {profile.candles:,} min", Role.MUTED),
        ]  # fmt: skip
        return [head, *self._joined.join(prices_shown, self._bars), palette.line(tuple(foot), width)]
