"""The keys that work on every screen, and those of a replay."""

from __future__ import annotations

from dataclasses import replace

from textual.binding import Binding

APP_BINDINGS: tuple[Binding, ...] = (
    Binding("1", "go('overview')", "Over", id="app.overview", tooltip="Overview"),
    Binding("2", "go('chart')", "Chart", id="app.chart", tooltip="Chart"),
    Binding("3", "go('profile')", "Prof", id="app.profile", tooltip="Volume profiles"),
    Binding("4", "go('gaps')", "Data", id="app.gaps", tooltip="Data: gaps and coverage; d: day by day"),
    Binding("5", "go('sources')", "Sinks", id="app.sources", tooltip="Sinks and sources"),
    Binding("6", "go('log')", "Log", id="app.log", tooltip="Log"),
    Binding("7", "go('cluster')", "Cluster", id="app.cluster", tooltip="Cluster"),
    Binding("8", "go('footprint')", "Foot", id="app.footprint", tooltip="Footprint"),
    Binding("0", "go('map')", "Map", id="app.map", tooltip="Market map"),
    Binding("colon", "commands", "cmds", key_display=":", id="app.commands",
            tooltip="Search all commands, symbols, themes"),
    Binding("y", "copy", "copy", show=False, id="app.copy", tooltip="Copy the selected line (OSC 52)"),
    Binding("e", "export", "export", show=False, id="app.export",
            tooltip="Export the view: SVG, CSV, JSON"),
    Binding("F", "faults", "fault", id="app.faults", tooltip="Inject a fault"),
    Binding("t", "theme", "theme", show=False, id="app.theme", tooltip="Next theme"),
    Binding("f", "freeze", "freeze", show=False, id="app.freeze",
            tooltip="Freeze the display"),
    Binding("question_mark", "help", "help", key_display="?", id="app.help", tooltip="This page"),
    Binding("w", "origins", "why", show=False, id="app.origins",
            tooltip="Where this symbol's values come from"),
    Binding("c", "configuration", "config", show=False, id="app.configuration",
            tooltip="Configuration: every value, where from"),
    Binding("a", "alerts", "alerts", show=False, id="app.alerts",
            tooltip="Alerts: list, acknowledge"),
    Binding("A", "alert_rules", "rules", show=False, id="app.alert_rules",
            tooltip="Rules of alerts: new on this symbol, change"),
    Binding("q", "leave", "quit", id="app.quit", tooltip="Stop the feeder and quit (confirm)"),
    Binding("ctrl+c", "interrupt", "interrupt", show=False, priority=True, id="app.interrupt",
            tooltip="Quit, if pressed twice"),
)  # fmt: skip


def bindings_with_quit(tooltip: str) -> tuple[Binding, ...]:
    """Makes the same bindings where q stops no feeder.

    Args:
        tooltip: what q does.

    Returns:
        The bindings.
    """
    return tuple(replace(key, tooltip=tooltip) if key.id == "app.quit" else key for key in APP_BINDINGS)


#: Where the moment can be chosen; in the group of the app's, whose keys no screen has too.
REPLAY_BINDINGS: tuple[Binding, ...] = (
    Binding("space", "play", "play", key_display="Space", id="app.play",
            tooltip="Replay: pause or resume"),
    Binding("comma", "seek(-1)", "hour", key_display=",", id="app.hour_back", tooltip="Replay: an hour back"),
    Binding("full_stop", "seek(1)", "hour", key_display=".", id="app.hour_on", tooltip="an hour on"),
    Binding("less_than_sign", "seek(-24)", "day", show=False, key_display="<", id="app.day_back",
            tooltip="Replay: a day back"),
    Binding("greater_than_sign", "seek(24)", "day", show=False, key_display=">", id="app.day_on",
            tooltip="a day on"),
    Binding("left_parenthesis", "faster(-1)", "speed", key_display="(", id="app.slower",
            tooltip="Replay: slower"),
    Binding("right_parenthesis", "faster(1)", "speed", key_display=")", id="app.faster", tooltip="faster"),
)  # fmt: skip
