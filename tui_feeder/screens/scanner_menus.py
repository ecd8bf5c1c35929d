"""Lists that lie over the overview: what to sort by, the watchlists; the questions for names and notes."""

from __future__ import annotations

from functools import partial

from tui_feeder.scanner.fields import Field
from tui_feeder.scanner.filter_language import FilterError, parse
from tui_feeder.scanner.watchlists import MAX_NAME, MAX_NOTE, Watchlist
from tui_feeder.screens.host import ScreenHost
from tui_feeder.widgets.overview_grid import sort_keys
from tui_feeder.widgets.popup import Choice, Popup, Prompt

_WIDEST = 76


def sort_list(host: ScreenHost) -> Popup:
    """Every field to sort by, searched by typing: Enter makes it the first key, Tab the second.

    Args:
        host: whose rows are sorted.

    Returns:
        The list.
    """
    grid = host.grid
    choices = [
        Choice(_sort_mark(host, field), _field_text(field), partial(host.sort_by, field.name),
               also=" ".join((field.name, *field.aliases)), on_tab=partial(host.then_by, field.name))
        for field in grid.fields.values()
    ]  # fmt: skip
    choices.insert(0, Choice("", "Order of the configuration", partial(host.sort_by, "")))
    if grid.sort:  # those in force first
        choices.sort(key=lambda choice: choice.key.strip() == "")
    return Popup("Sort by", choices, searched=True, widest=_WIDEST,
                 foot=" enter sorts (again: turns round), tab: second key, esc ")  # fmt: skip


def _sort_mark(host: ScreenHost, field: Field) -> str:
    for number, key in enumerate(host.grid.sort, 1):
        if key.field == field.name:
            glyphs = host.palette.glyphs
            rising = field.rising is not key.reversed
            return f"{number}{glyphs.ascending if rising else glyphs.descending}"
    return "  "


def _field_text(field: Field) -> str:
    return f"{field.title}  {field.name}" + (f", {field.unit}" if field.unit else "")


def watchlist_menu(host: ScreenHost) -> Popup:
    """The saved filters: Enter puts one in force, Delete deletes it; the present one can be saved.

    Args:
        host: whose rows are filtered.

    Returns:
        The list.
    """
    grid = host.grid
    choices = []
    for name, watchlist in sorted(grid.lists.watchlists.items()):
        try:
            count = f"{grid.passing(parse(watchlist.filter, grid.fields))} of {grid.total}"
        except FilterError as fault:
            count = f"! {fault}"
        order = f"  sorted by {', '.join(watchlist.sort)}" if watchlist.sort else ""
        choices.append(Choice("", f"{name}  {watchlist.filter}{order}  ({count})",
                              partial(apply_watchlist, host, name, watchlist),
                              on_delete=partial(_delete, host, name)))  # fmt: skip
    if grid.pattern:
        choices.append(Choice("+", f"Save this filter as a watchlist: {grid.pattern}",
                              partial(host.open_overlay, _name_prompt(host))))  # fmt: skip
        choices.append(Choice("-", "Show all symbols", partial(host.set_filter, "")))
    return Popup(
        "Watchlists", choices, searched=True, widest=_WIDEST, foot=" enter shows it, del deletes it, esc ",
        empty="none is saved: / filters, then W saves the filter",
    )  # fmt: skip


def apply_watchlist(host: ScreenHost, name: str, watchlist: Watchlist) -> None:
    """Puts a saved filter and its order in force.

    Args:
        host: whose rows are filtered.
        name: of the watchlist.
        watchlist: its filter and order.
    """
    fault = host.set_filter(watchlist.filter)
    if fault is not None:
        host.show_note(f"watchlist {name}: {fault}", 8.0)
        return
    if watchlist.sort:
        host.grid.set_sort(sort_keys(watchlist.sort))
    host.show_note(f"watchlist {name}: {len(host.grid.order)} of {host.grid.total} symbols")


def note_prompt(host: ScreenHost, symbol: str) -> Prompt:
    """The question for the note on a symbol.

    Args:
        host: that keeps it.
        symbol: its name.

    Returns:
        The prompt.
    """

    def take(text: str) -> str | None:
        return host.change_lists(lambda lists: lists.with_note(symbol, text))

    note = host.grid.lists.notes.get(symbol, "")
    return Prompt(f"Note on {symbol}", note, MAX_NOTE, "one line; an empty one removes the note", take)


def _name_prompt(host: ScreenHost) -> Prompt:
    grid = host.grid
    watchlist = Watchlist(grid.pattern, tuple(key.text for key in grid.sort))

    def take(name: str) -> str | None:
        fault = host.change_lists(lambda lists: lists.with_watchlist(name.strip(), watchlist))
        if fault is None:
            host.show_note(f"saved: watchlist {name.strip()}")
        return fault

    return Prompt("Name of the watchlist", "", MAX_NAME, f"keeps {grid.pattern} and the order", take)


def _delete(host: ScreenHost, name: str) -> None:
    fault = host.change_lists(lambda lists: lists.without_watchlist(name))
    host.show_note(fault or f"deleted: watchlist {name}", 5.0 if fault else 2.0)
