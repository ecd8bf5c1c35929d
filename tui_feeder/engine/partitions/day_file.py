"""A symbol's day or month as a Parquet file: a row for each minute, with its state. Needs pyarrow."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from tui_feeder.engine.core.archive_file import FileKind, file_of
from tui_feeder.engine.core.candle import MINUTE_MS, ROW
from tui_feeder.engine.storage.minute_states import minute_states
from tui_feeder.engine.storage.store_reader import StoreReader
from tui_feeder.symbol_name import market_of
from tui_feeder.time_format import format_day

#: Columns of candles; a minute that has none has nulls in them.
VALUES = tuple(name for name in ROW.names or () if name != "open_time")
#: Market of a symbol whose name states none.
DEFAULT_MARKET = "usdm"
_NO_CANDLE = "missing"


def period_name(start: int, kind: FileKind) -> str:
    """Names a day or month.

    Args:
        start: its first minute, ms.
        kind: which of both it is.

    Returns:
        ``2026-02-01`` or ``2026-02``.
    """
    return format_day(start) if kind is FileKind.DAY else format_day(start)[: len("2026-02")]


def partition_path(symbol: str, start: int, kind: FileKind = FileKind.DAY) -> Path:
    """Names the file of a symbol's day or month, in hive layout.

    Args:
        symbol: such as ``BTCUSDT`` or ``spot:BTCUSDT``.
        start: first minute of the day or month, ms.
        kind: which of both it is.

    Returns:
        Its path below the folder of partitions.
    """
    market, bare = market_of(symbol) or DEFAULT_MARKET, symbol.rpartition(":")[2]
    key = "date" if kind is FileKind.DAY else "month"
    name = f"{key}={period_name(start, kind)}.parquet"
    return Path(f"market={market}", f"symbol={bare}", "timeframe=1m", name)


def encode_partition(
    store: StoreReader, symbol: str, start: int, kind: FileKind = FileKind.DAY
) -> tuple[bytes, dict[str, int]]:
    """Encodes a symbol's day or month.

    The rows are its minutes in order, all of them but around a listing or delivery. ``state`` is
    ``present``, ``quiet`` (no trade), ``none_at_exchange``, ``unavailable``, ``damaged`` or ``missing``.

    Args:
        store: what is stored.
        symbol: the symbol.
        start: first minute of the day or month, ms.
        kind: which of both it is.

    Returns:
        The Parquet file, the same bytes for the same minutes and release of pyarrow; and minutes by state.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    end = file_of(start, kind).end
    rows = store.read(symbol, start, end)
    spans = minute_states(store, symbol, start, end, store.damaged(symbol))
    times = np.concatenate(
        [np.arange(span.start, span.end, MINUTE_MS) for span in spans] or [np.empty(0, np.int64)]
    )
    states = np.concatenate(
        [np.full((span.end - span.start) // MINUTE_MS, span.state, dtype="<U16") for span in spans]
        or [np.empty(0, "<U16")]
    )
    there = np.isin(times, rows["open_time"])
    kept = rows[np.isin(rows["open_time"], times)]
    states[~there & (states == "present")] = _NO_CANDLE
    states[np.flatnonzero(there)[kept["trades"] == 0]] = "quiet"
    columns: list[Any] = [pa.array(times).cast(pa.timestamp("ms", tz="UTC"))]
    for name in VALUES:
        values = np.zeros(len(times), dtype=ROW[name])
        values[there] = kept[name]
        columns.append(pa.array(values, mask=~there))
    names, places, counts = np.unique(states, return_inverse=True, return_counts=True)
    columns.append(pa.array(names.tolist(), type=pa.string()).take(pa.array(places)))
    target = BytesIO()
    table = pa.table(columns, schema=_schema())
    # One row group: what reads many files pays for each.
    pq.write_table(
        table, target, compression="zstd", use_dictionary=["state"], row_group_size=max(1, len(times))
    )
    return target.getvalue(), dict(zip(names.tolist(), counts.tolist(), strict=True))


@cache
def _schema() -> Any:  # noqa: ANN401 - of a package that need not be installed
    import pyarrow as pa

    fields = [pa.field("open_time", pa.timestamp("ms", tz="UTC"), nullable=False)]
    fields += [pa.field(name, pa.from_numpy_dtype(ROW[name])) for name in VALUES]
    return pa.schema([*fields, pa.field("state", pa.string(), nullable=False)])
