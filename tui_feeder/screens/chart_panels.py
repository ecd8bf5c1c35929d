"""A chart and the panels that show it: the bar in progress moves all the time and has one of its own."""

from __future__ import annotations

from collections.abc import Mapping

from textual.geometry import Region
from textual.widget import Widget

from tui_feeder.screens.base import split_region
from tui_feeder.widgets.chart import Chart, ChartStrips
from tui_feeder.widgets.panel import Panel


class ChartPanels:
    """Title, candles, bar in progress and profile of one chart.

    Args:
        chart: that paints them.
        number: in the ids of the panels; left out where it is 0.
    """

    def __init__(self, chart: Chart, number: int = 0) -> None:
        self.chart = chart
        suffix = str(number) if number else ""
        self.title = Panel(id=f"title{suffix}")
        self.candles = Panel(id=f"chart{suffix}")
        self.edge = Panel(id=f"edge{suffix}")
        self.profile = Panel(id=f"profile{suffix}")

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All of them."""
        return self.title, self.candles, self.edge, self.profile

    def place(self, title: Region, chart: Region, profile: Region | None) -> Mapping[Widget, Region]:
        """Decides where the panels go.

        Args:
            title: line of the title.
            chart: price axis, candles and bar in progress.
            profile: beside it; None where there is none.

        Returns:
            The place of each panel.
        """
        plan: dict[Widget, Region] = {self.title: title}
        plan |= split_region(self.candles, self.edge, chart, self.chart.edge)
        return plan if profile is None else {**plan, self.profile: profile}

    def show(self, strips: ChartStrips) -> None:
        """Shows what the chart painted.

        Args:
            strips: of it.
        """
        self.title.show(strips.title)
        self.candles.show(strips.chart)
        self.edge.show(strips.edge)
        self.profile.show(strips.profile)
