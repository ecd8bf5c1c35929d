"""How many symbols go which way, and which move most. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui_feeder.monitor import Snapshot, SymbolView, timeframe_label
from tui_feeder.scanner.measures import timeframe_of
from tui_feeder.widgets import cells
from tui_feeder.widgets.palette import Glyphs, Part, Role

#: Quote assets that a short name goes without.
_QUOTES = ("USDT", "USDC", "USD", "FDUSD", "BUSD")
_MOVERS = 3
_SECONDS = 2.0  # between two counts: they need not run with the prices


@dataclass(frozen=True, slots=True)
class Breadth:
    """Symbols by the trend of one timeframe."""

    timeframe: int  # seconds
    buy: int
    neutral: int
    sell: int
    unknown: int


def breadth_of(views: Sequence[SymbolView], timeframe: int) -> Breadth:
    """Counts symbols by their trend.

    Args:
        views: of the symbols.
        timeframe: seconds.

    Returns:
        The counts.
    """
    counts = {"Buy": 0, "Neutral": 0, "Sell": 0, None: 0}
    for view in views:
        state = timeframe_of(view, timeframe)
        counts[None if state is None else state.trend] += 1
    return Breadth(timeframe, counts["Buy"], counts["Neutral"], counts["Sell"], counts[None])


def movers(views: Sequence[SymbolView]) -> tuple[str, ...]:
    """Finds the symbols that moved most in 24 h, whichever way.

    Args:
        views: of the symbols.

    Returns:
        At most three names, that of the largest change first.
    """
    known = [(view.symbol, view.change_24h) for view in views if view.change_24h is not None]
    known.sort(key=lambda pair: -abs(pair[1]))
    return tuple(name for name, _ in known[:_MOVERS])


def short_name(symbol: str) -> str:
    """Shortens a symbol for a place with little room.

    Args:
        symbol: as the exchange names it.

    Returns:
        The name without its quote asset.
    """
    for quote in _QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol.removesuffix(quote)
    return symbol


def breadth_parts(breadth: Breadth, glyphs: Glyphs) -> list[Part]:
    """Writes the breadth: ``1h ▲312 ■98 ▼190``.

    Args:
        breadth: the counts.
        glyphs: symbols.

    Returns:
        The parts of the line.
    """
    parts: list[Part] = [
        (timeframe_label(breadth.timeframe), Role.MUTED),
        (f" {glyphs.buy}{breadth.buy}", Role.UP),
        (f" {glyphs.neutral}{breadth.neutral}", Role.FLAT),
        (f" {glyphs.sell}{breadth.sell}", Role.DOWN),
    ]
    return [*parts, (f" ?{breadth.unknown}", Role.MUTED)] if breadth.unknown else parts


def mover_parts(name: str, change: float) -> list[Part]:
    """Writes a mover: ``PEPE +12.4``.

    Args:
        name: short, of the symbol.
        change: of 24 h, percent.

    Returns:
        The parts of the line.
    """
    role = Role.UP if change > 0 else Role.DOWN if change < 0 else Role.FLAT
    return [(f"{name} ", Role.TEXT), (cells.percent_text(change, 5), role)]


class MarketGroups:
    """Breadth and movers as groups of the first line.

    What is counted, and which symbols move most, is found anew every two seconds; how much they moved is
    always what the snapshot has, as in the rows of the same screen.
    """

    def __init__(self) -> None:
        self._key: object = None
        self._at = 0.0
        self._breadth: list[Part] = []
        self._movers: tuple[str, ...] = ()

    def groups(self, snapshot: Snapshot, timeframe: int, glyphs: Glyphs) -> tuple[list[Part], ...]:
        """Writes both.

        Args:
            snapshot: the newest one.
            timeframe: seconds, of the trends that are counted.
            glyphs: symbols.

        Returns:
            The breadth, then each mover, so that a line holds as many as it has room for; none while no trend
            is known.
        """
        key = (timeframe, glyphs, len(snapshot.symbols))
        if key != self._key or abs(snapshot.taken_at - self._at) >= _SECONDS:
            self._key, self._at = key, snapshot.taken_at
            views = snapshot.symbols
            known = any(view.timeframes for view in views)
            self._breadth = breadth_parts(breadth_of(views, timeframe), glyphs) if known else []
            self._movers = movers(views) if known else ()
        if not self._breadth:
            return ()
        changes = {view.symbol: view.change_24h for view in snapshot.symbols if view.symbol in self._movers}
        moved = ((name, changes.get(name)) for name in self._movers)
        return (
            self._breadth,
            *(mover_parts(short_name(name), change) for name, change in moved if change is not None),
        )
