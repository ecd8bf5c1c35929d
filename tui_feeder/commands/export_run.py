"""``feeder-tui export``: stored candles as CSV, JSON lines or Parquet, a week of them in memory at a time."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import orjson
import typer
from numpy.typing import NDArray

from tui_feeder.atomic_write import atomic_write, is_regular_file
from tui_feeder.bars import deltas_of
from tui_feeder.commands.damaged_days import report_damaged_days
from tui_feeder.commands.failures import describe_os_error
from tui_feeder.commands.formatting import plural
from tui_feeder.commands.symbols import not_stored
from tui_feeder.engine.analytics.delta import CumulativeDelta
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, SECOND_MS
from tui_feeder.errors import ExitCode, HostError, UsageError
from tui_feeder.research import CANDLE, LEVEL, Candles, CandleStore, DamagedDayWarning, open_store
from tui_feeder.symbol_name import is_pattern
from tui_feeder.time_format import Anchor, parse_anchor, parse_timeframe

Columns: TypeAlias = "np.dtype[Any]"

#: What ``--states`` writes: a span of minutes of one state, its times in ms, the end exclusive.
SPAN = np.dtype([("start", "<i8"), ("end", "<i8"), ("minutes", "<i8"), ("state", "O")])
#: A candle of a symbol whose trades are counted in contracts.
CONTRACTS = np.dtype([*((str(name), CANDLE[name]) for name in CANDLE.names or ()), ("contracts", "<i8")])
#: Columns that are instants, ms.
_INSTANTS = ("open_time", "close_time", "start", "end", "time", "day")

_NO_LADDERS = "no trades of this symbol and range are stored, or not yet: see trades.symbols and trades.days"
#: What names of files end in, and what is written under them.
_ENDINGS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}
_GROUP_ROWS = 100_000  # rows of a Parquet row group, about


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What the command line asks for."""

    symbol: str
    timeframe: str
    start: int | None  # ms, a whole minute
    end: int | None
    form: str  # csv, jsonl, parquet
    output: Path | None
    include_partial: bool
    force: bool = False  # replace a file that is there
    states: bool = False  # spans of minutes and their states instead of candles
    cvd: str | None = None  # add the deltas, and their sum since this anchor
    ladders: bool = False  # what was traded at each price of each minute instead of candles


class ExportError(HostError):
    """The candles cannot be written."""


def run(storage: Path, request: ExportRequest) -> int:
    """Writes candles to a file.

    Args:
        storage: folder of the store.
        request: what to export, and how.

    Returns:
        The exit code.

    Raises:
        StoreError: there is no store.
        UsageError: the symbol is not stored, or the request makes no sense.
        ExportError: the file cannot be written.
    """
    try:
        seconds = parse_timeframe(request.timeframe)
    except ValueError as error:
        raise UsageError(f"--timeframe: {error}") from None
    for name, wanted in (("--states", request.states), ("--ladders", request.ladders)):
        if wanted and (seconds != 60 or request.include_partial or request.cvd is not None):
            raise UsageError(f"{name} is of minutes: leave out --timeframe, --include-partial and --cvd")
    if request.states and request.ladders:
        raise UsageError("--states and --ladders are two exports: run it once for each")
    anchor = None if request.cvd is None else _anchor(request, seconds)
    check_request(request)
    write = _WRITERS[request.form]
    with open_store(storage) as store:
        if request.symbol not in (there := store.symbols()):
            raise not_stored(request.symbol, there, storage)
        columns = CANDLE
        if request.states:
            spans = _states(store, request)
            chunks, columns = iter([spans] if len(spans) else []), SPAN
        elif request.ladders:
            chunks, columns = store.ladders(request.symbol, request.start, request.end), LEVEL
        else:
            chunks = store.chunks(
                request.symbol, seconds, _start(request, anchor), request.end,
                include_partial=request.include_partial,
            )  # fmt: skip
            if (size := store.contract_size(request.symbol)) is not None:
                chunks, columns = _with_contracts(chunks, size), CONTRACTS
            if anchor is not None:
                columns = np.dtype([*_fields(columns), ("delta", "<f8"), ("cvd", "<f8")])
                chunks = _with_delta(chunks, columns, anchor, store, request.symbol)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DamagedDayWarning)  # named below, in one line
            if request.output is None:
                if not write(sys.stdout.buffer, chunks, columns, request):
                    _report_nothing(storage, request)
                return _damage(store, request)
            with _file(request.output) as target:
                count = write(target, chunks, columns, request)
        damaged = _damage(store, request)
    what = "span" if request.states else "level" if request.ladders else "candle" if seconds == 60 else "bar"
    about = f"{request.symbol} {request.timeframe}"
    typer.echo(f"wrote {plural(count, what)} of {about} to {request.output}", err=True)
    if not count:
        _report_nothing(storage, request)
    return damaged


def _report_nothing(storage: Path, request: ExportRequest) -> None:
    """Report why nothing was written but a head."""
    typer.echo(_NO_LADDERS if request.ladders else stored_range(storage, request), err=True)


def form_of(stated: str | None, output: Path | None) -> str:
    """Decides what is written: what was asked for, else what the name of the file ends in, else CSV.

    Args:
        stated: by ``--format``; None where it is not given.
        output: the file; None for standard output.

    Returns:
        The form.

    Raises:
        UsageError: the name of the file is that of another form, or of none and none is stated.
    """
    ending = "" if output is None else output.suffix.lower()
    named = _ENDINGS.get(ending)
    if stated is None:
        if named is None and ending:
            known = "name the file .csv, .jsonl (one object a line) or .parquet, or state --format"
            raise UsageError(f"{output}: nothing is known to be written to a file {ending}: {known}")
        return named or "csv"
    if named not in (None, stated):
        raise UsageError(f"{output} is not the name of a file of --format {stated}: name it .{stated}")
    return stated


def check_request(request: ExportRequest) -> None:
    """Checks what can be known before anything is read.

    Args:
        request: what to export, and how.

    Raises:
        UsageError: the symbol is none, the form cannot be written there, or the file is there already.
    """
    if "," in request.symbol or is_pattern(request.symbol):
        raise UsageError(
            f"export writes one symbol, not {request.symbol}: run it once for each, into its own file"
        )
    if request.form == "parquet":
        _pyarrow()
        if request.output is None and sys.stdout.isatty():
            raise UsageError("parquet is not for terminals: name a file with --output, or redirect stdout")
    if request.output is not None and not request.force and is_regular_file(request.output):
        raise UsageError(
            f"{request.output} is there already: add --force to replace it, or name another file"
        )


def write_rows(rows: Candles, request: ExportRequest) -> None:
    """Writes rows of any columns.

    Args:
        rows: a structured array.
        request: how, and where.

    Raises:
        ExportError: the file cannot be written.
    """
    write, chunks = _WRITERS[request.form], iter([rows] if len(rows) else [])
    if request.output is None:
        write(sys.stdout.buffer, chunks, rows.dtype, request)
        return
    with _file(request.output) as target:
        write(target, chunks, rows.dtype, request)


def _states(store: CandleStore, request: ExportRequest) -> Candles:
    """The states of the minutes as rows of dtype :data:`SPAN`."""
    found = store.states(request.symbol, request.start, request.end)
    return np.array([(s.start, s.end, (s.end - s.start) // MINUTE_MS, s.state) for s in found], dtype=SPAN)


def _damage(store: CandleStore, request: ExportRequest) -> int:
    low, high = request.start or 0, request.end if request.end is not None else 1 << 62
    found = store.damaged(request.symbol).clip(low, high)
    days = [day for start, end in found for day in range(start // DAY_MS * DAY_MS, end, DAY_MS)]
    return report_damaged_days({request.symbol: days} if days else {})


def stored_range(storage: Path, request: ExportRequest) -> str:
    """Names what is stored of a symbol, where nothing was found.

    Args:
        storage: folder of the store.
        request: of a stored symbol.

    Returns:
        A line for people.
    """
    from tui_feeder.time_format import format_minute

    with open_store(storage) as store:
        found = store.range(request.symbol)
    assert found is not None
    return f"stored are {format_minute(found[0])} .. {format_minute(found[1])}, exclusive"


@contextlib.contextmanager
def _file(path: Path) -> Iterator[IO[bytes]]:
    try:
        with atomic_write(path) as target:
            yield target
    except BrokenPipeError:  # what is no file, such as /dev/stdout or a FIFO, and whose reader has left
        raise typer.Exit(ExitCode.BROKEN_PIPE) from None
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {describe_os_error(error)}") from error


def _with_contracts(chunks: Iterator[Candles], size: float) -> Iterator[Candles]:
    """Candles with the number of contracts traded, each worth ``size`` of the quote asset."""
    for chunk in chunks:
        rows = np.empty(len(chunk), dtype=CONTRACTS)
        for name in CANDLE.names or ():
            rows[name] = chunk[name]
        rows["contracts"] = np.rint(chunk["quote_volume"] / size)
        yield rows


def _anchor(request: ExportRequest, seconds: int) -> Anchor:
    """Where the cumulative delta begins.

    Raises:
        UsageError: it is no anchor, inside a bar, or after the first bar.
    """
    assert request.cvd is not None
    try:
        anchor = parse_anchor(request.cvd)
    except ValueError as error:
        raise UsageError(f"--cvd: {error}") from None
    if anchor.at % (seconds * SECOND_MS):
        raise UsageError(f"--cvd {request.cvd} is inside a bar of {request.timeframe}: take shorter bars")
    if request.start is not None and anchor.before(request.start) > request.start:
        raise UsageError(f"--cvd {request.cvd} is after --from: leave out --from, or let it begin there")
    return anchor


def _start(request: ExportRequest, anchor: Anchor | None) -> int | None:
    """The first moment of the candles; an anchor that is once is the first where none is asked for."""
    if request.start is not None or anchor is None or anchor.every:
        return request.start
    return anchor.at


def _fields(columns: Columns) -> list[tuple[str, Columns]]:
    return [(name, columns[name]) for name in columns.names or ()]


def _with_delta(
    chunks: Iterator[Candles], columns: Columns, anchor: Anchor, store: CandleStore, symbol: str
) -> Iterator[Candles]:
    """Candles with their deltas and the CVD at their ends, counted of all minutes since the anchor."""
    counted, read = CumulativeDelta(anchor), None
    for chunk in chunks:
        first, end = int(chunk["open_time"][0]), int(chunk["close_time"][-1]) + 1
        ends: list[NDArray[np.int64]] = []
        values: list[NDArray[np.float64]] = []
        for minutes in store.chunks(symbol, "1m", anchor.before(first) if read is None else read, end):
            cvd = counted.add(minutes)
            ends.append(minutes["close_time"])
            values.append(cvd)
        read = end
        rows = np.empty(len(chunk), dtype=columns)
        for name in chunk.dtype.names or ():
            rows[name] = chunk[name]
        rows["delta"] = deltas_of(chunk["volume"], chunk["taker_buy_volume"])
        at = np.searchsorted(np.concatenate(ends), chunk["close_time"], side="right") - 1
        rows["cvd"] = np.concatenate(values)[at]
        yield rows


def _csv(target: IO[bytes], chunks: Iterator[Candles], columns: Columns, request: ExportRequest) -> int:
    target.write(",".join(columns.names or ()).encode() + b"\n")
    count = 0
    for chunk in chunks:
        # orjson writes the shortest digits that read back to the same number; no text has quotes or brackets.
        rows = orjson.dumps(chunk.tolist())[2:-2].replace(b"],[", b"\n").replace(b'"', b"")
        target.write(rows + b"\n" if rows else b"")
        count += len(chunk)
    return count


def _jsonl(target: IO[bytes], chunks: Iterator[Candles], columns: Columns, request: ExportRequest) -> int:
    names = columns.names or ()
    count = 0
    for chunk in chunks:
        lines = [orjson.dumps(dict(zip(names, row, strict=True))) for row in chunk.tolist()]
        target.write(b"\n".join(lines) + b"\n")
        count += len(chunk)
    return count


def _parquet(target: IO[bytes], chunks: Iterator[Candles], columns: Columns, request: ExportRequest) -> int:
    pa = _pyarrow()
    import pyarrow.parquet as pq

    about = {"symbol": request.symbol, "timeframe": request.timeframe, "times": "timestamps in ms, UTC"}
    instant = pa.timestamp("ms", tz="UTC")
    types = {
        name: instant if name in _INSTANTS else _arrow_type(columns[name]) for name in columns.names or ()
    }
    fields = [pa.field(name, kind, False) for name, kind in types.items()]
    schema = pa.schema(fields, metadata=about)
    count = 0
    waiting: list[Candles] = []
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:

        def flush() -> None:
            rows = np.concatenate(waiting)
            waiting.clear()
            made = [pa.array(np.ascontiguousarray(rows[field.name])).cast(field.type) for field in schema]
            writer.write_table(pa.table(made, schema=schema))

        for chunk in chunks:
            waiting.append(chunk)
            count += len(chunk)
            if sum(map(len, waiting)) >= _GROUP_ROWS:
                flush()
        if waiting:
            flush()
    return count


def _arrow_type(column: Columns) -> Any:  # noqa: ANN401 - of a module that need not be installed
    pa = _pyarrow()
    return pa.string() if column.hasobject else pa.from_numpy_dtype(column)


def _pyarrow() -> Any:  # noqa: ANN401 - a module that need not be installed
    try:
        import pyarrow
    except ImportError:
        raise UsageError(
            "parquet needs pyarrow: pip install 'feeder-tui[parquet]', or use csv or jsonl"
        ) from None
    return pyarrow


_WRITERS: dict[str, Callable[[IO[bytes], Iterator[Candles], Columns, ExportRequest], int]] = {
    "csv": _csv,
    "jsonl": _jsonl,
    "parquet": _parquet,
}
