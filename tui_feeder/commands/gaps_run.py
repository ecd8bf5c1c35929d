"""``feeder-tui gaps``: which minutes are missing, and what is known of the reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import orjson
import typer

from tui_feeder.commands.formatting import format_count, format_table, plural
from tui_feeder.commands.symbols import configured_symbols, stored_symbols
from tui_feeder.config import LoadedConfig
from tui_feeder.engine.acquisition.wanted import wanted_start
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.storage.store import Store, Unavailable
from tui_feeder.errors import ExitCode
from tui_feeder.time_format import format_minute

_SHOWN = 40  # ranges a symbol, in the table for people


@dataclass(frozen=True, slots=True)
class Hole:
    """A missing range ``[start, end)``, and what the store knows of it where every source was asked."""

    start: int
    end: int
    known: Unavailable | None
    damaged: bool = False  # recorded as stored, and its day cannot be read
    unwanted: bool = False  # a running feeder does not read it: of what the configuration wants it is no part

    @property
    def minutes(self) -> int:
        """How many minutes are missing."""
        return (self.end - self.start) // MINUTE_MS


@dataclass(frozen=True, slots=True)
class SymbolGaps:
    """What a symbol lacks between ``start`` and ``end``."""

    symbol: str
    start: int
    end: int
    holes: tuple[Hole, ...]
    listed: int | None  # ms, where the listing cuts off a part of what was asked for

    @property
    def minutes(self) -> int:
        """How many minutes are missing."""
        return sum(hole.minutes for hole in self.holes)


def run(
    loaded: LoadedConfig, names: list[str] | None, start: int | None, end: int | None, json: bool, check: bool
) -> int:
    """Prints the gaps.

    Args:
        loaded: the configuration with the origin of each value.
        names: symbols or patterns; None for all.
        start: ms, inclusive; None for the beginning.
        end: ms, exclusive; None for the end.
        json: print JSON.
        check: the exit code is 3 where any are missing.

    Returns:
        The exit code.

    Raises:
        StoreError: there is no store.
        UsageError: a symbol is not stored.
    """
    store = Store(loaded.config.application.storage_path, read_only=True)
    try:
        newest = _newest(store)
        found = _found(loaded, store, names, start, end, newest) if newest is not None else []
    finally:
        store.close()
    total = sum(gaps.minutes for gaps in found)
    code = ExitCode.INCOMPLETE if check and (total or newest is None) else 0
    if json:
        typer.echo(orjson.dumps(_as_json(found), option=orjson.OPT_INDENT_2).decode())
        return code
    if newest is None:
        typer.echo(f"{store.path} holds no candles")
        return code
    if any(gaps.holes for gaps in found):
        typer.echo(_holes(found) + "\n")
    for gaps in found:
        if gaps.listed is not None:
            typer.echo(f"{gaps.symbol}: not listed before {format_minute(gaps.listed)}")
    wide = sum(gaps.end - gaps.start for gaps in found) // MINUTE_MS
    lacking = [gaps for gaps in found if gaps.holes]
    typer.echo(
        f"{plural(len(found), 'symbol')}, {format_count(wide)} minutes checked: "
        + (f"{format_count(total)} missing, in {plural(len(lacking), 'symbol')}" if total else "none missing")
    )
    typer.echo(f"newest stored minute: {format_minute(newest)}")
    return code


def _holes(found: list[SymbolGaps]) -> str:
    """The missing ranges, and what is known of the reasons."""
    rows = [
        [
            gaps.symbol, format_minute(hole.start), format_minute(hole.end), format_count(hole.minutes),
            format_minute(hole.known.next_try) if hole.known
            else "damaged" if hole.damaged else "not wanted" if hole.unwanted else "-",
        ]
        for gaps in found
        for hole in gaps.holes[:_SHOWN]
    ]  # fmt: skip
    lines = [format_table(["symbol", "from", "to", "minutes", "asked again"], rows, left=3)]
    for gaps in found:
        if (more := len(gaps.holes) - _SHOWN) > 0:
            lines.append(f"{gaps.symbol}: {plural(more, 'more gap')}; --json shows all")
        reasons = Counter(hole.known.reason for hole in gaps.holes if hole.known)
        lines.extend(f"{gaps.symbol}: {plural(count, 'gap')}: {why}" for why, count in reasons.items())
    if any(hole.damaged for gaps in found for hole in gaps.holes):
        lines.append("damaged: stored and not readable; the running engine, or backfill, reads it again")
    unread = [hole for gaps in found for hole in gaps.holes if hole.known is None and not hole.damaged]
    if any(hole.unwanted for hole in unread):
        lines.append(
            "not wanted: before what the configuration wants (application.start_date, "
            "technical_analysis.min_history_days), or of a symbol that it does not name: "
            "only feeder-tui backfill --from reads it"
        )
    if any(not hole.unwanted for hole in unread):
        lines.append("-: not read yet; feeder-tui backfill, or the running engine, reads it")
    return "\n".join(lines)


def _found(
    loaded: LoadedConfig,
    store: Store,
    names: list[str] | None,
    start: int | None,
    end: int | None,
    newest: int,
) -> list[SymbolGaps]:
    stored = stored_symbols(store, names)
    configured = configured_symbols(loaded, stored)
    symbols = stored if names is not None else list(dict.fromkeys([*stored, *configured]))
    first = wanted_start(loaded.config, newest + MINUTE_MS)
    return [
        _missing(store, symbol, start, end, newest, first if symbol in configured else None)
        for symbol in symbols
    ]


def _newest(store: Store) -> int | None:
    known = [store.present(symbol).union(store.damaged_missing(symbol)) for symbol in store.symbols()]
    ends = [minutes.end for minutes in known if minutes]
    return max(ends) - MINUTE_MS if ends else None


def _missing(
    store: Store, symbol: str, start: int | None, end: int | None, newest: int, wanted: int | None
) -> SymbolGaps:
    """What a symbol lacks.

    A symbol of the configuration is ``wanted`` from that minute (ms) to the newest of any symbol; one that
    is only stored, from its first minute to its last. Before its listing there is nothing to lack.
    """
    present, gone = store.present(symbol), store.damaged_missing(symbol)
    whole = present.union(gone)
    low, high = (whole.start, whole.end) if whole else (newest, newest + MINUTE_MS)
    if wanted is not None:
        low, high = min(low, wanted), newest + MINUTE_MS
    low, high = start if start is not None else low, end if end is not None else high
    listed = store.listed(symbol)
    if present and listed is not None:
        listed = min(listed, present.start)
    cut = listed is not None and low < listed
    if listed is not None:
        low = max(low, listed)
    if (end_of_contract := store.delivery(symbol)) is not None:
        high = min(high, end_of_contract)
    known = store.unavailable(symbol)
    holes: list[Hole] = []
    damaged = store.check(symbol, low, high).intersect(present)
    present, damaged = present.subtract(damaged), damaged.union(gone)
    left = present.union(store.omitted(symbol)).missing(low, high)
    for known_range in known:
        ranges = left.clip(known_range.start, known_range.end)
        holes.extend(Hole(a, b, known_range) for a, b in ranges)
        left = left.subtract(Coverage([(known_range.start, known_range.end)]))
    holes.extend(Hole(a, b, None, damaged=True) for a, b in left.intersect(damaged))
    left = left.subtract(damaged)
    begin = high if wanted is None else wanted
    holes.extend(Hole(a, b, None, unwanted=True) for a, b in left.clip(low, begin))
    holes.extend(Hole(a, b, None) for a, b in left.clip(begin, high))
    return SymbolGaps(
        symbol,
        low,
        max(low, high),
        tuple(sorted(holes, key=lambda hole: hole.start)),
        listed if cut else None,
    )


def _as_json(found: list[SymbolGaps]) -> dict[str, object]:
    return {
        "missing_minutes": sum(gaps.minutes for gaps in found),
        "symbols": [
            {
                "symbol": gaps.symbol,
                "start": gaps.start,
                "end": gaps.end,
                "not_listed_before": gaps.listed,
                "missing_minutes": gaps.minutes,
                "gaps": [
                    {"start": hole.start, "end": hole.end, "minutes": hole.minutes}
                    | (
                        {"state": "damaged" if hole.damaged else "missing", "wanted": not hole.unwanted}
                        if hole.known is None
                        else {
                            "state": "unavailable",
                            "reason": hole.known.reason,
                            "tries": hole.known.tries,
                            "next_try": hole.known.next_try,
                        }
                    )
                    for hole in gaps.holes
                ],
            }
            for gaps in found
        ],
    }
