"""``feeder-tui info``: what is stored, where, and how large it is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import orjson
import typer

from tui_feeder.commands.damaged_days import report_damaged_days
from tui_feeder.commands.formatting import format_bytes, format_count, format_table, plural
from tui_feeder.commands.symbols import stored_symbols
from tui_feeder.config import LoadedConfig
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Source
from tui_feeder.engine.sinks.configured import disabled_backlogs
from tui_feeder.engine.sinks.draining import span_text
from tui_feeder.engine.storage.environment import FORMAT
from tui_feeder.engine.storage.store import Store
from tui_feeder.time_format import format_minute

_SLICE_MS = 30 * DAY_MS


def run(loaded: LoadedConfig, names: list[str] | None, sources: bool, json: bool) -> int:
    """Prints what is stored.

    Args:
        loaded: the configuration with the origin of each value.
        names: symbols or patterns; None for all.
        sources: print rows by source too.
        json: print JSON.

    Returns:
        The exit code.

    Raises:
        StoreError: there is no store.
        UsageError: a symbol is not stored.
    """
    store = Store(loaded.config.application.storage_path, read_only=True)
    try:
        about = _about(loaded, store)
        chosen = stored_symbols(store, names)
        symbols = [_symbol(store, symbol, sources) for symbol in chosen]
        damaged = {symbol: days for symbol, days in store.damaged_days().items() if symbol in chosen}
    finally:
        store.close()
    if json:
        answer = about | {"symbols": symbols}
        typer.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
    else:
        typer.echo(_text(about, symbols, sources))
    return report_damaged_days(damaged)


def _about(loaded: LoadedConfig, store: Store) -> dict[str, object]:
    candles, used = store.candles(), store.file_bytes()
    file, backlogs = store.path / "data.mdb", store.backlogs()
    return {
        "store": str(store.path.resolve()),
        "config": loaded.files,
        "exchange": store.exchange,
        "format": FORMAT,
        "file_bytes": file.stat().st_size,
        "used_bytes": used,
        "candles": candles,
        "bytes_per_candle": round(used / candles, 1) if candles else None,
        "waiting": [backlog._asdict() for backlog in backlogs],
        "disabled": disabled_backlogs(loaded.config, backlogs),
    }


def _symbol(store: Store, symbol: str, sources: bool) -> dict[str, object]:
    present, certified = store.present(symbol), store.certified(symbol)
    found: dict[str, object] = {
        "symbol": symbol,
        "start": present.start,
        "end": present.end,
        "minutes": present.minutes,
        "certified_minutes": certified.minutes,
        "missing_minutes": store.settled(symbol).missing(present.start, present.end).minutes,
        "none_at_exchange_minutes": store.omitted(symbol).minutes,
        "outage_minutes": store.outages(symbol).minutes,
        "quarantined": len(store.quarantined(symbol)),
        "listed": store.listed(symbol),
    }
    if sources:
        counts: Counter[str] = Counter()
        for at in range(present.start, present.end, _SLICE_MS):
            origins = store.read_sourced(symbol, at, min(at + _SLICE_MS, present.end))[1]
            for code, count in enumerate(np.bincount(origins).tolist()):
                if count:
                    counts[Source(code).name.lower()] += count
        found["sources"] = dict(counts)
    return found


def _text(about: dict[str, object], symbols: list[dict[str, object]], sources: bool) -> str:
    configs = about["config"]
    assert isinstance(configs, list)
    file, used = _int(about, "file_bytes"), _int(about, "used_bytes")
    apiece = f", {about['bytes_per_candle']} bytes a candle" if about["candles"] else ""
    lines = [
        f"store     {about['store']}",
        f"config    {', '.join(configs) or 'no file, the defaults'}",
        f"exchange  {about['exchange'] or 'unknown'}",
        f"format    {about['format']}",
        f"size      {format_bytes(file)}, {format_bytes(used)} of it used",
        f"candles   {plural(_int(about, 'candles'), 'minute')}{apiece}",
        *_waiting(about),
        "",
    ]
    if not symbols:
        return "\n".join([*lines, "no symbols"])
    head = ["symbol", "first minute", "last minute", "minutes", "certified", "missing"]
    rows = [
        [
            str(row["symbol"]),
            format_minute(_int(row, "start")),
            format_minute(_int(row, "end") - MINUTE_MS),
            format_count(_int(row, "minutes")),
            _share(_int(row, "certified_minutes"), _int(row, "minutes")),
            format_count(_int(row, "missing_minutes")),
        ]
        for row in symbols
    ]
    lines.append(format_table(head, rows, left=3))
    if sources:
        names = [source.name.lower() for source in reversed(Source)]
        counted = [(str(row["symbol"]), row["sources"]) for row in symbols]
        body = [
            [symbol, *(format_count(counts.get(name, 0)) for name in names)]
            for symbol, counts in counted
            if isinstance(counts, dict)
        ]
        lines += ["", format_table(["symbol", *(name.replace("_", " ") for name in names)], body)]
    return "\n".join(lines)


def _waiting(about: dict[str, object]) -> list[str]:
    """What waits for the sinks, and what is kept for those that are disabled."""
    waiting, disabled = about["waiting"], about["disabled"]
    assert isinstance(waiting, list)
    assert isinstance(disabled, list)
    lines = [
        f"waiting   {backlog['sink']}: {format_count(backlog['messages'])} messages, "
        f"the oldest {span_text(backlog['age'])} old"
        for backlog in waiting
    ]
    return [*lines, *(f"note      {text}" for text in disabled)]


def _int(found: dict[str, object], name: str) -> int:
    value = found[name]
    assert isinstance(value, int)
    return value


def _share(part: int, whole: int) -> str:
    """A percentage that is 100 % only for the whole."""
    if part == whole:
        return "100 %"
    return f"{min(99.9, 100 * part / whole):.1f} %"
