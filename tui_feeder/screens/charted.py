"""What the screens with a chart have in common: keys and actions for symbol, timeframe and zoom."""

from __future__ import annotations

from textual.binding import Binding

from tui_feeder.monitor import Monitor
from tui_feeder.screens.base import FeederScreen
from tui_feeder.widgets.chart import Chart


def chart_bindings(group: str) -> tuple[Binding, ...]:
    """The keys of timeframe and zoom, their ids in ``group``."""
    return (
        Binding("left_square_bracket", "timeframe(-1)", "tf", key_display="[", id=f"{group}.shorter",
                tooltip="Shorter timeframe"),
        Binding("right_square_bracket", "timeframe(1)", "tf", key_display="]", id=f"{group}.longer",
                tooltip="Longer timeframe"),
        Binding("plus,equals_sign", "zoom(1)", "zoom", show=False, key_display="+", id=f"{group}.zoom_in",
                tooltip="Wider candles"),
        Binding("minus", "zoom(-1)", "zoom", show=False, key_display="-", id=f"{group}.zoom_out",
                tooltip="Narrower candles"),
    )  # fmt: skip


class ChartedScreen(FeederScreen, inherit_bindings=False):
    """A screen with the chart of the selected symbol."""

    def __init__(self, monitor: Monitor) -> None:
        super().__init__()
        self.chart = Chart(monitor)

    def action_move(self, rows: int) -> None:
        """Select another symbol."""
        self.feeder.grid.move(rows)
        self.draw()

    def action_timeframe(self, step: int) -> None:
        """Another timeframe for the chart and the EMA distance."""
        self.feeder.step_timeframe(step)
        self.replan()

    def action_zoom(self, step: int) -> None:
        """More or less room for a candle."""
        self.chart.zoom(step)
        self.replan()
