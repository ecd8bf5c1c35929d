"""A gap, a log line, an alert or a value of the configuration in full, on a sheet."""

from __future__ import annotations

from collections.abc import Sequence

from tui_feeder.configuration.keys import Branch, kind_at
from tui_feeder.configuration.reading import variable_of
from tui_feeder.configuration.values import allowed, key_of
from tui_feeder.monitor import AlertView, ConfiguredValue, Event, GapView
from tui_feeder.screens.alert_rules import rule_text
from tui_feeder.screens.host import ScreenHost
from tui_feeder.screens.symbol_detail import Line, gap_text, row, span_text
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Role
from tui_feeder.widgets.sheet import Sheet

_INDENT = 11


def gap_sheet(host: ScreenHost, gap: GapView) -> Sheet:
    """Makes the sheet of a gap; it goes on while the gap is listed.

    Args:
        host: the app.
        gap: as it was when the sheet was opened.

    Returns:
        The sheet.
    """

    def lines() -> list[Line]:
        snapshot, zone = host.snapshot, host.palette.zone
        found = (other for other in snapshot.gaps if (other.symbol, other.start) == (gap.symbol, gap.start))
        now = next(found, None)
        shown = now or gap
        made = [
            row("symbol", (gap.symbol, Role.STRONG)),
            row("minutes", f"{span_text(shown.start, shown.end, zone)}"),
            row("state", gap_text(shown, snapshot, zone).partition(": ")[2]),
        ]
        if now is None:
            made.append(row("", ("no longer listed: it was filled some minutes ago", Role.OK)))
        named = [event for event in snapshot.events if event.symbol == gap.symbol][:-11:-1]
        return made + ([[], *(_event_line(host, event) for event in named)] if named else [])

    return Sheet(f"Gap of {gap.symbol}", lines, indent=_INDENT, copy=host.copy)


def _event_line(host: ScreenHost, event: Event) -> Line:
    when = cells.moment_text(event.at, host.palette.zone)
    role = {"warning": Role.WARN, "error": Role.ERROR}.get(event.level, Role.TEXT)
    return row(when, (f" {event.text}", role))


def event_sheet(host: ScreenHost, events: Sequence[Event], place: int) -> Sheet:
    """Makes the sheet of a log line; the arrows turn to those before and after.

    Args:
        host: the app.
        events: the lines shown, the newest last.
        place: which of them.

    Returns:
        The sheet.
    """
    at = [place]

    def turn(step: int) -> None:
        at[0] = min(max(at[0] + step, 0), len(events) - 1)

    def lines() -> list[Line]:
        event, zone = events[at[0]], host.palette.zone
        when = f"{cells.date_text(event.at, zone)} {cells.clock_text(event.at, seconds=True, zone=zone)}"
        return [
            row("time", f"{when}{cells.zone_text(event.at, zone)} of the exchange"),
            row("level", event.level),
            row("symbol", event.symbol or "of none"),
            row("text", (event.text, Role.STRONG)),
            row("line", f"{at[0] + 1} of {len(events)} shown"),
        ]

    return Sheet("Log line", lines, indent=_INDENT, copy=host.copy, turn=turn)


def alert_sheet(host: ScreenHost, alert: AlertView) -> Sheet:
    """Makes the sheet of an alert, with its rule.

    Args:
        host: the app.
        alert: that went off.

    Returns:
        The sheet.
    """
    zone = host.palette.zone
    when = f"{cells.date_text(alert.at, zone)} {cells.clock_text(alert.at, seconds=True, zone=zone)}"

    def lines() -> list[Line]:
        alerts = host.snapshot.alerts
        now = next((other for other in alerts if other.number == alert.number), alert)
        rule = next((rule for rule in host.snapshot.alert_rules.rules if rule.name == alert.rule), None)
        made = [
            row("time", when + cells.zone_text(alert.at, zone)),
            *([row("symbol", alert.symbol)] if alert.symbol else []),
            row("text", (alert.text, Role.STRONG)),
            row("state", "acknowledged" if now.acknowledged else ("not acknowledged", Role.WARN)),
            row("rule", f"{alert.rule} ({alert.kind})"),
        ]
        if rule is None:
            return [*made, row("", "it has been deleted or renamed since")]
        made.append(row("", f"{rule_text(rule)}, kept in the {rule.place}"))
        return made + [row("", f"{key} = {_stated(value)}") for key, value in rule.keys.items()]

    return Sheet("Alert", lines, indent=_INDENT, copy=host.copy)


def _stated(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def value_sheet(host: ScreenHost, value: ConfiguredValue) -> Sheet:
    """Makes the sheet of a value of the configuration: what it is for, what is allowed, where it is from.

    Args:
        host: the app.
        value: of the configuration in force.

    Returns:
        The sheet.
    """
    names = tuple(value.key.replace('"', "").split("."))
    lines = [row("key", (value.key, Role.STRONG)), row("value", value.value), row("from", value.origin)]
    kind = kind_at(names)
    if kind is not None and not isinstance(kind, Branch):
        key = key_of(kind)
        lines += [
            [],
            row("meaning", key.sentence or f"no effect: {key.ignored}"),
            row("allowed", allowed(kind) + (f" ({key.unit})" if key.unit else "")),
            row("variable", variable_of(names) + (f", flag {key.flag}" if key.flag else "")),
        ]
        if key.needs is not None:
            needed, choices = key.needs
            lines.append(row("only with", needed + (f" = {' or '.join(choices)}" if choices else "")))
        above = [kind_at(names[:end]) for end in range(1, len(names))]
        table = next((branch for branch in above if isinstance(branch, Branch) and branch.named), None)
        reload = key.reload or (table is not None and key_of(table.kind).reload)
        change = "SIGHUP applies a new value to a headless run" if reload else "a new value needs a restart"
        lines.append(row("change", change))
    return Sheet(value.key, lambda: lines, indent=_INDENT, copy=host.copy)
