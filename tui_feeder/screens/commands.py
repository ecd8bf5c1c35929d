"""Lists that lie over a screen: every command to search for, the faults of a demo, formats to export."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from tui_feeder.monitor import FaultOption, timeframe_label
from tui_feeder.widgets.popup import Choice, Popup

if TYPE_CHECKING:
    from tui_feeder.app import FeederApp

#: Actions that make no sense from a list.
_NOT_LISTED = ("app.commands", "app.interrupt")


def palette(app: FeederApp) -> Popup:
    """Every action in force, every symbol, timeframe, order and theme, and which symbols to follow."""
    choices = []
    seen = set()
    for active in app.screen.active_bindings.values():
        binding = active.binding
        if binding.id in seen or binding.id in _NOT_LISTED:
            continue
        seen.add(binding.id)
        run = partial(app.call_later, app.run_action, binding.action, active.node)
        choices.append(Choice(binding.key_display or binding.key, binding.tooltip, run))
    choices += [
        Choice("", f"Timeframe {timeframe_label(frame)}", partial(app.set_timeframe, frame))
        for frame in app.snapshot.timeframes
    ]
    choices += [Choice("", f"Theme {name}", partial(app.set_theme, name)) for name in app.themes.names()]
    choices += [
        Choice("", f"Sort by {key or 'the order of the configuration'}", partial(app.sort_by, key))
        for key in app.grid.sortable()
    ]
    choices += [
        Choice("", f"Symbol {view.symbol}", partial(app.select, view.symbol)) for view in app.snapshot.symbols
    ]
    followed = {view.symbol for view in app.snapshot.symbols}
    choices += [
        Choice("", f"Follow {name} no longer", partial(app.monitor.drop_symbol, name)) for name in followed
    ]
    choices += [
        Choice("", f"Follow {name} too", partial(app.monitor.add_symbol, name))
        for name in app.monitor.listed()
        if name not in followed
    ]
    return Popup("Commands", choices, searched=True)


def fault_menu(
    options: tuple[FaultOption, ...], symbol: str | None, run: Callable[[FaultOption | None], None]
) -> Popup:
    """The faults that can be switched on, and their healing.

    Args:
        options: of the exchange.
        symbol: the selected one.
        run: called with the fault that is chosen, None to heal.
    """
    choices = [
        Choice(str(number), option.text.replace("{symbol}", symbol or "the symbol"), partial(run, option))
        for number, option in enumerate(options, 1)
        if symbol is not None or not option.of_symbol
    ]
    return Popup("Faults of the exchange", [*choices, Choice("h", "heal everything", partial(run, None))])


def export_menu(run: Callable[[str], None], has_table: bool) -> Popup:
    """The formats a view can be exported in."""
    choices = [Choice("s", "SVG, the picture", partial(run, "svg"))]
    if has_table:
        choices += [Choice("c", "CSV, the values", partial(run, "csv")),
                    Choice("j", "JSON, the values", partial(run, "json"))]  # fmt: skip
    return Popup("Export what is in view", choices)
