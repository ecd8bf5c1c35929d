"""Alerts that have just gone off, and the list of all, in which they are acknowledged."""

from __future__ import annotations

from datetime import tzinfo
from functools import partial

from rich.cells import cell_len

from tui_feeder.monitor import AlertView, Snapshot
from tui_feeder.screens.details import alert_sheet
from tui_feeder.screens.host import ScreenHost
from tui_feeder.widgets import cells
from tui_feeder.widgets.popup import Choice, Popup

_WIDEST = 110
_RULE = 18  # cells of a rule's name; the sheet has all of it


class AlertNotices:
    """Which alerts are new; those from before the screen began are not."""

    def __init__(self) -> None:
        self._known: int | None = None  # number of the newest alert seen

    def take(self, snapshot: Snapshot) -> tuple[AlertView, ...]:
        """Looks for new alerts.

        Args:
            snapshot: the newest one.

        Returns:
            Those that went off since the last look.
        """
        newest = snapshot.alerts[-1].number if snapshot.alerts else 0
        if self._known is None:
            self._known = newest
        if newest < self._known:  # the feeder began anew, and counts from one
            self._known = 0
        fresh = tuple(alert for alert in snapshot.alerts if alert.number > self._known)
        self._known = newest
        return fresh


def alert_text(alert: AlertView, zone: tzinfo | None, rule: str = "") -> str:
    """Writes an alert in one line.

    Args:
        alert: that went off.
        zone: time zone; None for this machine's.
        rule: stands between time and text.

    Returns:
        Its time, symbol and text.
    """
    symbol = f"{alert.symbol} " if alert.symbol is not None and alert.symbol not in alert.text else ""
    return f"{cells.clock_text(alert.at, zone=zone)} {rule}{symbol}{alert.text}"


def alert_list(host: ScreenHost) -> Popup:
    """The last alerts with their rules, the newest first and selected: Enter acknowledges one, ``a`` all.

    Args:
        host: whose snapshot has them.

    Returns:
        The list.
    """
    alerts = host.snapshot.alerts[::-1]
    waiting = sum(not alert.acknowledged for alert in alerts)
    width = min(_RULE, max((cell_len(alert.rule) for alert in alerts), default=0))
    choices = [
        Choice(
            "",
            f"{' ' if alert.acknowledged else '!'} "
            + alert_text(alert, host.palette.zone, cells.fit(alert.rule, width) + "  "),
            partial(_acknowledge, host, alert),
            on_tab=partial(_open_sheet, host, alert),
        )
        for alert in alerts
    ]
    if waiting:
        choices.insert(0, Choice("a", f"acknowledge all {waiting}", host.acknowledge_alerts))
    return Popup(
        f"Alerts, {waiting} not acknowledged", choices, widest=_WIDEST, empty="no alert went off",
        selected=int(waiting > 0),
        foot=" enter acknowledges and shows the symbol, tab all of it, esc ",
    )  # fmt: skip


def _open_sheet(host: ScreenHost, alert: AlertView) -> None:
    host.open_overlay(alert_sheet(host, alert))


def _acknowledge(host: ScreenHost, alert: AlertView) -> None:
    host.monitor.acknowledge(alert.number)
    if alert.symbol is not None:
        host.select(alert.symbol)
    host.show_note(f"acknowledged: {alert_text(alert, host.palette.zone)}")
