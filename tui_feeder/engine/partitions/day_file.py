"""A symbol's day as a Parquet file: a row for each of its minutes, with the minute's state. Needs pyarrow."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW
from tui_feeder.engine.storage.minute_states import minute_states
from tui_feeder.engine.storage.store_reader import StoreReader
from tui_feeder.symbol_name import market_of
from tui_feeder.time_format import format_day

#: Columns of candles; a minute that has none has nulls in them.
VALUES = tuple(name for name in ROW.names or () if name != "open_time")
#: Market of a symbol whose name states none.
DEFAULT_MARKET = "usdm"
_NO_CANDLE = "missing"


def partition_path(symbol: str, day: int) -> Path:
    """Names the file of a symbol's day, in hive layout.

    Args:
        symbol: such as ``BTCUSDT`` or ``spot:BTCUSDT``.
        day: midnight, ms.

    Returns:
        Its path below the folder of partitions.
    """
    market, bare = market_of(symbol) or DEFAULT_MARKET, symbol.rpartition(":")[2]
    return Path(f"market={market}", f"symbol={bare}", "timeframe=1m", f"date={format_day(day)}.parquet")


def encode_partition(store: StoreReader, symbol: str, day: int) -> tuple[bytes, dict[str, int]]:
    """Encodes a symbol's day.

    The rows are its minutes in order, 1,440 but on the day of a listing or delivery. ``state`` is
    ``present``, ``quiet`` (no trade), ``none_at_exchange``, ``unavailable``, ``damaged`` or ``missing``.

    Args:
        store: what is stored.
        symbol: the symbol.
        day: midnight, ms.

    Returns:
        The Parquet file, the same bytes for the same minutes and release of pyarrow; and minutes by state.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = store.read(symbol, day, day + DAY_MS)
    spans = minute_states(store, symbol, day, day + DAY_MS, store.damaged(symbol))
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
    columns.append(pa.array(states.tolist(), type=pa.string()))
    target = BytesIO()
    table = pa.table(columns, schema=_schema())
    pq.write_table(
        table, target, compression="zstd", use_dictionary=["state"], row_group_size=DAY_MS // MINUTE_MS
    )
    names, counts = np.unique(states, return_counts=True)
    return target.getvalue(), dict(zip(names.tolist(), counts.tolist(), strict=True))


@cache
def _schema() -> Any:  # noqa: ANN401 - of a package that need not be installed
    import pyarrow as pa

    fields = [pa.field("open_time", pa.timestamp("ms", tz="UTC"), nullable=False)]
    fields += [pa.field(name, pa.from_numpy_dtype(ROW[name])) for name in VALUES]
    return pa.schema([*fields, pa.field("state", pa.string(), nullable=False)])
