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

from tui_feeder.monitor import Event, GapView, Rows, StreamView, SymbolView, timeframe_label

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
    """``feeder-tui-overview-20260203T140322Z.csv``."""
    moment = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in table_name)
    return f"feeder-tui-{safe}-{moment}.{form}"


def write(folder: Path, name: str, text: str) -> Path:
    """Write a new file; one of the same name is kept and a number is put behind the new one's.

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
    """An instant as RFC 3339 in UTC."""
    if ms is None:
        return None
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z").replace(".000Z", "Z")


def symbols_table(views: Sequence[SymbolView], periods: tuple[int, ...]) -> Table:
    """A row a symbol, as the overview knows it."""
    frames = [state.timeframe for state in max((v.timeframes for v in views), key=len, default=())]
    columns = ["symbol", "state", "price", "change_1m", "change_24h", "volume_24h",
               "poc", "vwap", "vah", "val", "missing_minutes", "last_closed", "last_frame"]  # fmt: skip
    for frame in frames:
        label = timeframe_label(frame)
        columns += [f"trend_{label}", *(f"ema{period}_{label}" for period in periods)]
    rows: list[tuple[Value, ...]] = []
    for view in views:
        states = {state.timeframe: state for state in view.timeframes}
        row: list[Value] = [
            view.symbol, view.state.value, view.price, view.change_1m, view.change_24h, view.volume_24h,
            view.poc, view.vwap, view.vah, view.val, view.missing_minutes, time_text(view.last_closed),
            time_text(view.last_frame),
        ]  # fmt: skip
        for frame in frames:
            state = states.get(frame)
            row.append(state.trend if state else None)
            row += state.emas if state else [None] * len(periods)
        rows.append(tuple(row))
    return Table("overview", tuple(columns), rows)


def bars_table(
    symbol: str, timeframe: int, bars: Rows, lines: Sequence[tuple[str, Sequence[float]]]
) -> Table:
    """A row a bar, with the EMAs beside it."""
    fields = ("open", "high", "low", "close", "volume", "quote_volume", "trades")
    rows: list[tuple[Value, ...]] = []
    for index, bar in enumerate(bars):
        values = [bar[name].item() for name in fields]
        emas = [None if math.isnan(values[index]) else values[index] for _, values in lines]
        rows.append((time_text(int(bar["open_time"])), *values, *emas))
    columns = ("open_time", *fields, *(name for name, _ in lines))
    return Table(f"{symbol}-{timeframe_label(timeframe)}", columns, rows)


def gaps_table(gaps: Sequence[GapView]) -> Table:
    """A row a gap."""
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
    """A row an event."""
    rows = [(time_text(event.at), event.level, event.symbol, event.text) for event in events]
    return Table("log", ("at", "level", "symbol", "text"), rows)


def streams_table(streams: Sequence[StreamView]) -> Table:
    """A row a socket."""
    columns = (
        "name",
        "state",
        "symbols",
        "last_frame",
        "frames_per_second",
        "latency_ms",
        "reconnects",
        "reason",
    )
    return Table("sockets", columns, [
        (s.name, s.state, s.symbols, time_text(s.last_frame), round(s.frames_per_second, 1), s.latency_ms,
         s.reconnects, s.reason)
        for s in streams
    ])  # fmt: skip
