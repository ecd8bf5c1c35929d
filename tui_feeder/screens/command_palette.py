"""Lists that lie over a screen: every command to search for, the faults of a demo, formats to export."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tui_feeder.monitor import FaultOption, Faults, timeframe_label
from tui_feeder.screens.base import FeederScreen
from tui_feeder.screens.export import file_name, write
from tui_feeder.screens.mouse import key_text
from tui_feeder.widgets.popup import Choice, Popup

#: Actions that make no sense from a list.
_NOT_LISTED = ("app.commands", "app.interrupt")


def command_palette(screen: FeederScreen) -> Popup:
    """Lists every action in force, every symbol, timeframe, order and theme, and which symbols to track.

    Args:
        screen: the screen in front.

    Returns:
        The list.
    """
    app, host = screen.app, screen.host
    in_words = host.palette.glyphs.name == "ascii"
    choices = []
    seen = set()
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.id in seen or binding.id in _NOT_LISTED:
            continue
        seen.add(binding.id)
        run = partial(app.call_later, app.run_action, binding.action, active.node)
        choices.append(Choice(key_text(binding, in_words), binding.tooltip, run))
    choices += [
        Choice("", f"Timeframe {timeframe_label(frame)}", partial(host.set_timeframe, frame))
        for frame in host.snapshot.timeframes
    ]
    choices += [Choice("", f"Theme {name}", partial(host.set_theme, name)) for name in host.themes.names()]
    choices += [
        Choice("", f"Sort by {field.title}", partial(host.sort_by, field.name), also=field.name)
        for field in host.grid.fields.values()
    ]
    choices += [
        Choice("", f"Symbol {view.symbol}", partial(host.select, view.symbol))
        for view in host.snapshot.symbols
    ]
    followed = {view.symbol for view in host.snapshot.symbols}
    choices += [
        Choice("", f"Stop following {name}", partial(host.monitor.drop_symbol, name)) for name in followed
    ]
    choices += [
        Choice("", f"Follow {name}", partial(host.monitor.add_symbol, name))
        for name in host.monitor.listed()
        if name not in followed
    ]
    return Popup("Commands", choices, searched=True)


def fault_menu(screen: FeederScreen, faults: Faults) -> Popup:
    """Lists the faults of a demo that can be switched on, and their end.

    Args:
        screen: the screen in front.
        faults: switches them.

    Returns:
        The list.
    """
    symbol = screen.host.grid.selected
    choices = [
        Choice(str(number), option.text.replace("{symbol}", symbol or "the symbol"),
               partial(_switch, screen, faults, option, symbol))
        for number, option in enumerate(faults.options(), 1)
        if symbol is not None or not option.of_symbol
    ]  # fmt: skip
    heal = Choice("h", "end all faults", partial(_switch, screen, faults, None, None))
    return Popup("Faults", [*choices, heal])


def _switch(screen: FeederScreen, faults: Faults, option: FaultOption | None, symbol: str | None) -> None:
    """Switch a fault on, or all off; the exchange is asked on a thread, since it may hang."""
    ask = faults.heal
    if option is not None:
        ask = partial(faults.switch_on, option.name, symbol if option.of_symbol else None)

    def work() -> None:
        screen.app.call_from_thread(screen.host.show_note, ask(), 6.0)

    screen.host.show_note("asked for")
    screen.app.run_worker(work, thread=True, group="faults")


def export_menu(screen: FeederScreen) -> Popup:
    """Lists the formats a view can be exported in.

    Args:
        screen: the screen in front.

    Returns:
        The list.
    """
    choices = [Choice("s", "SVG, the picture", partial(_export, screen, "svg"))]
    if screen.table() is not None:
        choices += [Choice("c", "CSV, the values", partial(_export, screen, "csv")),
                    Choice("j", "JSON, the values", partial(_export, screen, "json"))]  # fmt: skip
    return Popup("Export what is in view", choices)


def _export(screen: FeederScreen, form: str) -> None:
    """Write what is in view as a new file where the program was started, and show its path."""
    table = screen.table()
    name = table.name if table is not None else str(screen.app.current_mode)
    if form == "svg":
        text = screen.picture(f"{screen.app.title} {name}")
    else:
        assert table is not None
        text = table.csv() if form == "csv" else table.json()
    try:
        path = write(Path.cwd(), file_name(name, form, screen.host.snapshot.exchange_time), text)
    except OSError as fault:
        screen.host.show_note(f"not exported: {fault}", 5.0)
    else:
        screen.host.show_note(f"written: {path}", 5.0)
