"""Saved filters, pinned symbols and notes of the user, kept in ``watchlists.toml`` beside the screen's state.

::

    pins = ["BTCUSDT"]

    [watchlists.breakouts]
    filter = "24h>3 vol>100M"
    sort = ["relvol", "-name"]

    [notes]
    BTCUSDT = "range 58k to 62k since Monday"

The file may be edited by hand while the screen runs: comments are kept, and it is read again when it changes.
Every change reads it anew first, so that two screens of one user do not undo each other's.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tui_feeder.atomic_write import atomic_write
from tui_feeder.errors import InputError

FILE_NAME = "watchlists.toml"
#: Bounds of what a file can hold; more is refused when it is read or saved.
MAX_FILE_BYTES = 1_000_000
MAX_WATCHLISTS, MAX_PINS, MAX_NOTES = 200, 1_000, 2_000
MAX_NAME, MAX_FILTER, MAX_NOTE = 40, 400, 200
MAX_SORT_KEYS = 2
_MAX_SYMBOL = 40


class WatchlistError(InputError, ValueError):
    """Something that cannot be read or saved; the text has what, where, and the remedy."""


@dataclass(frozen=True, slots=True)
class Watchlist:
    """A saved filter with the order of its rows."""

    filter: str
    sort: tuple[str, ...] = ()  # names of fields, "-" before one for the opposite order


@dataclass(frozen=True, slots=True)
class UserLists:
    """Everything that the file holds."""

    watchlists: Mapping[str, Watchlist] = field(default_factory=dict)
    pins: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    def with_watchlist(self, name: str, watchlist: Watchlist) -> UserLists:
        """Adds a watchlist, or replaces the one of that name.

        Args:
            name: of the watchlist.
            watchlist: what it holds.

        Returns:
            The changed lists.

        Raises:
            WatchlistError: the name is empty or too long, or there are too many.
        """
        _check_name(name, "the watchlist")
        _check_text(watchlist.filter, MAX_FILTER, f"the filter of {name}")
        changed = {**self.watchlists, name: watchlist}
        if len(changed) > MAX_WATCHLISTS:
            raise WatchlistError(f"there are {MAX_WATCHLISTS} watchlists already: delete one first")
        return replace(self, watchlists=changed)

    def without_watchlist(self, name: str) -> UserLists:
        """Removes a watchlist.

        Args:
            name: of the watchlist; one that is not there changes nothing.

        Returns:
            The changed lists.
        """
        return replace(self, watchlists={k: v for k, v in self.watchlists.items() if k != name})

    def toggled_pin(self, symbol: str) -> UserLists:
        """Pins a symbol, or unpins it if it was.

        Args:
            symbol: its name.

        Returns:
            The changed lists.

        Raises:
            WatchlistError: there are too many pins.
        """
        if symbol in self.pins:
            return replace(self, pins=tuple(pin for pin in self.pins if pin != symbol))
        if len(self.pins) >= MAX_PINS:
            raise WatchlistError(f"{MAX_PINS} symbols are pinned already: unpin one first")
        return replace(self, pins=(*self.pins, symbol))

    def with_note(self, symbol: str, text: str) -> UserLists:
        """Puts a note on a symbol; an empty one removes it.

        Args:
            symbol: its name.
            text: one line.

        Returns:
            The changed lists.

        Raises:
            WatchlistError: the text is too long, or there are too many notes.
        """
        text = " ".join(text.split())
        _check_text(text, MAX_NOTE, f"the note on {symbol}")
        notes = {name: note for name, note in self.notes.items() if name != symbol}
        if text:
            notes[symbol] = text
        if len(notes) > MAX_NOTES:
            raise WatchlistError(f"there are {MAX_NOTES} notes already: remove one first")
        return replace(self, notes=notes)


def read_lists(path: Path) -> UserLists:
    """Reads a file of watchlists, pins and notes.

    Args:
        path: of the file; one that is not there holds nothing.

    Returns:
        What it holds; nothing where it is not there.

    Raises:
        WatchlistError: it cannot be read; the text names the file and the line or key.
    """
    return _checked(_tables(path), path.name)


def change_lists(path: Path, change: Callable[[UserLists], UserLists]) -> UserLists:
    """Changes what a file holds, whole or not at all; comments in it stay.

    Args:
        path: of the file, made if it is not there.
        change: of what it holds now, to what it is to hold.

    Returns:
        What it holds then.

    Raises:
        WatchlistError: it cannot be read or written, or the change is refused.
    """
    import tomlkit  # loaded when something is saved: it would cost every start its time

    before = read_lists(path)
    after = change(before)
    if after == before:
        return before
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
        if not path.exists():
            document.add(tomlkit.comment("Watchlists, pins and notes of the screen (keys W, p, n)."))
        _put(document, "pins", list(after.pins))
        lists = {
            name: {"filter": watchlist.filter} | ({"sort": list(watchlist.sort)} if watchlist.sort else {})
            for name, watchlist in after.watchlists.items()
        }
        _put_table(document, "watchlists", lists)
        _put_table(document, "notes", dict(after.notes))
        text = tomlkit.dumps(document)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic_write(path, 0o600) as file:
            file.write(text.encode())
    except OSError as fault:
        raise WatchlistError(f"{path} cannot be written: {fault.strerror or fault}") from fault
    return after


def _put(document: Any, key: str, value: Any) -> None:  # noqa: ANN401
    if document.get(key) != value and (value or key in document):
        document[key] = value


def _put_table(document: Any, key: str, wanted: Mapping[str, Any]) -> None:  # noqa: ANN401
    """Bring a table to what is wanted, entry by entry, so that the comments of the others stay."""
    if key not in document:
        if wanted:
            document[key] = dict(wanted)
        return
    table = document[key]
    for name in [name for name in table if name not in wanted]:
        del table[name]
    for name, value in wanted.items():
        if table.get(name) != value:
            table[name] = value


def _tables(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as fault:
        raise WatchlistError(f"{path} cannot be read: {fault.strerror or fault}") from fault
    if len(data) > MAX_FILE_BYTES:
        raise WatchlistError(f"{path.name}: more than {MAX_FILE_BYTES} bytes; shorten it")
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as fault:  # of TOML with its line, or of UTF-8
        raise WatchlistError(f"{path.name}: {fault}; correct it or delete the file") from fault


def _checked(found: Mapping[str, Any], name: str) -> UserLists:
    """The tables of a file, every entry with the right type and size.

    Raises:
        WatchlistError: one is not; it names the key.
    """
    for key in found:
        if key not in ("pins", "watchlists", "notes"):
            raise WatchlistError(f"{name}: unknown key {key}; there are pins, watchlists, notes")
    pins = _texts(found.get("pins", []), f"{name}: pins", MAX_PINS, _MAX_SYMBOL)
    notes = found.get("notes", {})
    if not isinstance(notes, dict) or len(notes) > MAX_NOTES:
        raise WatchlistError(f"{name}: notes must be a table of at most {MAX_NOTES} texts")
    for symbol, note in notes.items():
        _check_text(note, MAX_NOTE, f"{name}: notes.{symbol}")
    tables = found.get("watchlists", {})
    if not isinstance(tables, dict) or len(tables) > MAX_WATCHLISTS:
        raise WatchlistError(f"{name}: watchlists must be at most {MAX_WATCHLISTS} tables")
    watchlists: dict[str, Watchlist] = {}
    for title, table in tables.items():
        where = f"{name}: watchlists.{title}"
        _check_name(title, where)
        if not isinstance(table, dict) or set(table) - {"filter", "sort"}:
            raise WatchlistError(f"{where} must be a table with filter and sort")
        condition = table.get("filter", "")
        _check_text(condition, MAX_FILTER, f"{where}.filter")
        sort = _texts(table.get("sort", []), f"{where}.sort", MAX_SORT_KEYS, _MAX_SYMBOL)
        watchlists[title] = Watchlist(condition, sort)
    return UserLists(watchlists, tuple(dict.fromkeys(pins)), notes)


def _texts(value: Any, where: str, most: int, longest: int) -> tuple[str, ...]:  # noqa: ANN401
    if not isinstance(value, list) or len(value) > most:
        raise WatchlistError(f"{where} must be a list of at most {most} texts")
    for text in value:
        _check_text(text, longest, where)
    return tuple(value)


def _check_text(value: Any, longest: int, where: str) -> None:  # noqa: ANN401
    if not isinstance(value, str):
        raise WatchlistError(f'{where} must be a text in quotes, such as "vol>100M", not {value!r:.40}')
    if len(value) > longest:
        raise WatchlistError(f"{where} has {len(value)} characters; at most {longest} are allowed")
    if not value.isprintable():
        raise WatchlistError(f"{where} must be one line without control characters")


def _check_name(name: str, where: str) -> None:
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise WatchlistError(f"{where}: a name has 1 to {MAX_NAME} characters on one line, not {name!r:.60}")
