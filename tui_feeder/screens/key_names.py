"""Every binding of every screen by its name, as ``keys.toml`` may change it."""

from __future__ import annotations

from textual.binding import Binding

from tui_feeder.screens.app_keys import APP_BINDINGS, REPLAY_BINDINGS
from tui_feeder.screens.base import FeederScreen
from tui_feeder.screens.chart import ChartScreen
from tui_feeder.screens.cluster import ClusterScreen
from tui_feeder.screens.data import DataScreen
from tui_feeder.screens.footprint import FootprintScreen
from tui_feeder.screens.gaps import GapsScreen
from tui_feeder.screens.help import HelpScreen
from tui_feeder.screens.log import LogScreen
from tui_feeder.screens.market_map import MapScreen
from tui_feeder.screens.overview import OverviewScreen
from tui_feeder.screens.profile import ProfileScreen
from tui_feeder.screens.sources import SourcesScreen

_SCREENS: tuple[type[FeederScreen], ...] = (
    OverviewScreen, ChartScreen, ProfileScreen, GapsScreen, DataScreen, SourcesScreen, LogScreen,
    ClusterScreen, FootprintScreen, MapScreen, HelpScreen,
)  # fmt: skip


def named_bindings() -> dict[str, Binding]:
    """Collects the bindings that have a name, those of every screen first."""
    groups = (APP_BINDINGS, REPLAY_BINDINGS, *(screen.BINDINGS for screen in _SCREENS))
    found = (binding for group in groups for binding in group)
    return {binding.id: binding for binding in found if isinstance(binding, Binding) and binding.id}
