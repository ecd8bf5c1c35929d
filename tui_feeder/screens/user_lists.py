"""The user's watchlists, pins and notes while the screen runs: read again when their file changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from tui_feeder.scanner.watchlists import UserLists, WatchlistError, change_lists, read_lists
from tui_feeder.widgets.color_themes.themes import modified
from tui_feeder.widgets.overview_grid import Grid

log = logging.getLogger(__name__)


class ListsFile:
    """Keeps a grid's lists those of a file.

    Args:
        path: of the file; None to keep them for this run only.
        grid: that shows them.
    """

    def __init__(self, path: Path | None, grid: Grid) -> None:
        self._path = path
        self._grid = grid
        self._stamp: object = None

    def reload(self) -> str | None:
        """Reads the file if it has changed since the last call.

        Returns:
            What is wrong with it, in which case the lists stay what they were; else None.
        """
        if self._path is None:
            return None
        stamp = modified(self._path)
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            self._grid.set_lists(read_lists(self._path))
        except WatchlistError as fault:
            log.warning("%s", fault)
            return str(fault)
        return None

    def change(self, change: Callable[[UserLists], UserLists]) -> str | None:
        """Changes the lists, and keeps them.

        Args:
            change: of what there is now, to what there is to be.

        Returns:
            What is wrong with it, in which case nothing has changed; else None.
        """
        try:
            lists = change(self._grid.lists) if self._path is None else change_lists(self._path, change)
        except WatchlistError as fault:
            return str(fault)
        self._grid.set_lists(lists)
        return None
