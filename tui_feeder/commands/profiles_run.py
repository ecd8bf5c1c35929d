"""``feeder-tui profiles rebuild``: the stored volume profiles, built again from the stored candles."""

from __future__ import annotations

import orjson
import typer

from tui_feeder.commands.damaged_days import report_damaged_days
from tui_feeder.commands.formatting import format_count, format_table, plural
from tui_feeder.commands.symbols import stored_symbols
from tui_feeder.config import Config
from tui_feeder.engine.derived.inputs import inputs_of
from tui_feeder.engine.derived.settings import profile_settings
from tui_feeder.engine.derived.stored_profiles import MISSING, Built, build_days, days_wanted, newest_day
from tui_feeder.engine.storage.store import Store


def rebuild(config: Config, names: list[str] | None, mode: str | None, json: bool) -> int:
    """Builds the profiles of days and prints what was done.

    Args:
        config: whose settings shape the profiles.
        names: symbols or patterns; None for all that are stored.
        mode: as ``volume_profile.reprocessing.mode``; None for the configured one.
        json: one JSON object instead of the table.

    Returns:
        The exit code.

    Raises:
        StoreError: there is no store, or an engine holds it.
        UsageError: a symbol is not stored.
    """
    mode = mode or config.volume_profile.reprocessing.mode
    # Opened for reading first: opening for writing would make a store where there is none.
    Store(config.application.storage_path, read_only=True).close()
    store = Store(config.application.storage_path)
    done: dict[str, Built | None] = {}
    try:
        for symbol in stored_symbols(store, names):
            settings = profile_settings(config, symbol, inputs_of(store, symbol).tick_size)
            newest = newest_day(store, symbol)
            if settings is None or newest is None:
                done[symbol] = None
                continue
            days = days_wanted(mode, newest, config.volume_profile.for_symbol(symbol).historical_days)
            done[symbol] = build_days(store, symbol, settings, days, again=mode != MISSING)
        damaged = {symbol: days for symbol, days in store.damaged_days().items() if symbol in done}
    finally:
        store.close()
    typer.echo(_json(mode, done) if json else _text(mode, done))
    return report_damaged_days(damaged)


def _json(mode: str, done: dict[str, Built | None]) -> str:
    symbols = [
        {"symbol": symbol, "enabled": built is not None}
        | (
            {}
            if built is None
            else {"built": built.built, "kept": built.kept, "without_candles": built.empty}
        )
        for symbol, built in done.items()
    ]
    return orjson.dumps({"mode": mode, "symbols": symbols}, option=orjson.OPT_INDENT_2).decode()


def _text(mode: str, done: dict[str, Built | None]) -> str:
    if not done:
        return "no symbols"
    rows = [
        [symbol, "off", "", ""]
        if built is None
        else [symbol, format_count(built.built), format_count(built.kept), format_count(built.empty)]
        for symbol, built in done.items()
    ]
    total = sum(built.built for built in done.values() if built is not None)
    head = ["symbol", "days built", "days kept", "without candles"]
    return f"{format_table(head, rows)}\n\n{mode}: {plural(total, 'day')} built"
