"""What is in view as a file: a table as CSV or JSON, or the picture as SVG."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tui_feeder.monitor import (
    Event,
    GapView,
    IndicatorView,
    Rows,
    StreamView,
    SymbolView,
    WorkerView,
    timeframe_label,
)
from tui_feeder.scanner.measures import alignment

#: A value of a table. Unknown is None: empty in CSV, null in JSON, never 0.
Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns and rows of values."""

    name: str  # for the file: overview, BTCUSDT-1h
    columns: tuple[str, ...]
    rows: Sequence[tuple[Value, ...]]

    def csv(self) -> str:
        """With a heading, CR LF as RFC 4180 has it."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return text.getvalue()

    def json(self) -> str:
        """A list of objects."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def file_name(table_name: str, form: str, now: int) -> str:
    """Names an exported file: ``feeder-tui-overview-20260203T140322Z.csv``.

    Args:
        table_name: of the view.
        form: extension.
        now: exchange time, ms.

    Returns:
        The name.
    """
    moment = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in table_name)
    return f"feeder-tui-{safe}-{moment}.{form}"


def write(folder: Path, name: str, text: str) -> Path:
    """Writes a new file; if the name is taken, a number is appended to it.

    Args:
        folder: the folder.
        name: of the file.
        text: its content.

    Returns:
        Path of the file.

    Raises:
        OSError: the folder cannot be written to.
    """
    for number in range(1, 1_000):
        path = folder / (name if number == 1 else f"{Path(name).stem}-{number}{Path(name).suffix}")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue
        try:
            with open(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
        except OSError:
            path.unlink()  # half a table is none
            raise
        return path
    raise OSError(f"a thousand files of the name {name}")


def time_text(ms: int | None) -> str | None:
    """Formats a moment as RFC 3339 in UTC.

    Args:
        ms: the moment; None for none.

    Returns:
        The text, or None.
    """
    if ms is None:
        return None
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z").replace(".000Z", "Z")


def symbols_table(views: Sequence[SymbolView], indicators: Sequence[IndicatorView]) -> Table:
    """Makes a table of symbols, as the overview shows them.

    Args:
        views: the symbols.
        indicators: of the snapshot.

    Returns:
        One row a symbol.
    """
    frames = [state.timeframe for state in max((v.timeframes for v in views), key=len, default=())]
    columns = [
        "symbol", "state", "price", "change_1m", "change_24h", "volume_24h", "relative_volume", "high_24h",
        "low_24h", "alignment", "alignment_since", "poc", "vwap", "vah", "val", "missing_minutes",
        "last_closed", "last_frame", "cvd_day", "day_volume",
    ]  # fmt: skip
    for frame in frames:
        label = timeframe_label(frame)
        columns += [f"trend_{label}", *(f"{indicator.name}_{label}" for indicator in indicators)]
        columns.append(f"delta_{label}")
    rows: list[tuple[Value, ...]] = []
    for view in views:
        states = {state.timeframe: state for state in view.timeframes}
        aligned = alignment(view)
        row: list[Value] = [
            view.symbol, view.state.value, view.price, view.change_1m, view.change_24h, view.volume_24h,
            view.relative_volume, view.high_24h, view.low_24h, aligned.score if aligned else None,
            time_text(aligned.since if aligned else None), view.poc, view.vwap, view.vah, view.val,
            view.missing_minutes, time_text(view.last_closed), time_text(view.last_frame), view.cvd_day,
            view.day_volume,
        ]  # fmt: skip
        for frame in frames:
            state = states.get(frame)
            row.append(state.trend if state else None)
            row += state.values if state else [None] * len(indicators)
            row.append(state.delta if state else None)
        rows.append(tuple(row))
    return Table("overview", tuple(columns), rows)


def row_text(table: Table, first: Value) -> str:
    """Writes one row of a table as text to copy.

    Args:
        table: the table.
        first: what its first column has in that row.

    Returns:
        Names and values of the row; empty where there is none.
    """
    row = next((row for row in table.rows if row[0] == first), None)
    if row is None:
        return ""
    pairs = zip(table.columns, row, strict=True)
    return "  ".join(f"{name} {_plain(value)}" for name, value in pairs if value is not None)


def _plain(value: Value) -> str:
    """A value for people: as many digits of a number as anybody reads, and never an exponent."""
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value)
    digits = 8 if value == 0 else max(0, 7 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def bars_table(
    symbol: str, timeframe: int, bars: Rows, lines: Sequence[tuple[str, Sequence[float]]]
) -> Table:
    """Makes a table of bars with their EMAs.

    Args:
        symbol: their symbol.
        timeframe: seconds.
        bars: rows of dtype ROW.
        lines: name and values of each EMA, aligned with ``bars``.

    Returns:
        One row a bar.
    """
    fields = ("open", "high", "low", "close", "volume", "quote_volume", "trades")
    rows: list[tuple[Value, ...]] = []
    for index, bar in enumerate(bars):
        values = [bar[name].item() for name in fields]
        emas = [None if math.isnan(values[index]) else values[index] for _, values in lines]
        rows.append((time_text(int(bar["open_time"])), *values, *emas))
    columns = ("open_time", *fields, *(name for name, _ in lines))
    return Table(f"{symbol}-{timeframe_label(timeframe)}", columns, rows)


def gaps_table(gaps: Sequence[GapView]) -> Table:
    """Makes a table of gaps.

    Args:
        gaps: the gaps.

    Returns:
        One row a gap.
    """
    columns = (
        "symbol",
        "start",
        "end",
        "minutes",
        "missing",
        "state",
        "tries",
        "source",
        "reason",
        "next_try",
        "eta_seconds",
    )
    return Table("gaps", columns, [
        (g.symbol, time_text(g.start), time_text(g.end), g.minutes, g.missing, g.state, g.tries, g.source,
         g.reason, time_text(g.next_try), g.eta_seconds)
        for g in gaps
    ])  # fmt: skip


def events_table(events: Sequence[Event]) -> Table:
    """Makes a table of events.

    Args:
        events: the events.

    Returns:
        One row an event.
    """
    rows = [(time_text(event.at), event.level, event.symbol, event.text) for event in events]
    return Table("log", ("at", "level", "symbol", "text"), rows)


def workers_table(workers: Sequence[WorkerView]) -> Table:
    """Makes a table of the workers of a cluster.

    Args:
        workers: as this one knows them.

    Returns:
        One row a worker.
    """
    columns = ("name", "partitions", "symbols", "address", "here")
    return Table("workers", columns, [(w.name, w.partitions, w.symbols, w.address, w.here) for w in workers])


def streams_table(streams: Sequence[StreamView]) -> Table:
    """Makes a table of sockets.

    Args:
        streams: the sockets.

    Returns:
        One row a socket.
    """
    columns = (
        "name",
        "state",
        "symbols",
        "last_frame",
        "frames_per_second",
        "latency_ms",
        "reconnects",
        "cuts",
        "reason",
    )
    return Table("sockets", columns, [
        (s.name, s.state, s.symbols, time_text(s.last_frame), round(s.frames_per_second, 1), s.latency_ms,
         s.reconnects, s.cuts, s.reason)
        for s in streams
    ])  # fmt: skip
