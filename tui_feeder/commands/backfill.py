"""``feeder-tui backfill``: its options and help."""

from __future__ import annotations

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import (
    ConfigOption,
    FromOption,
    LogLevelOption,
    StorageOption,
    SymbolsOption,
    ToOption,
    config_flags,
    load_config,
    parse_range,
)


def backfill(
    symbols: SymbolsOption = None,
    start: FromOption = None,
    end: ToOption = None,
    config: ConfigOption = None,
    storage: StorageOption = None,
    log_level: LogLevelOption = None,
) -> None:
    """Read history into the store, then exit.

    Reads what is not stored and certified yet: monthly and daily archives, then REST. Without --from the
    configured history, without --to up to now. Interrupted or killed, the same command
    resumes.

    For example:

      feeder-tui backfill --symbols BTCUSDT,ETHUSDT --from 2025-01-01

      feeder-tui backfill --symbols ALL --storage /data/candles

    Exit codes: 0 all minutes are stored, 3 some are not available (listed with the reason), 130 interrupted.
    """
    with reported_failures():
        low, high = parse_range(start, end)
        loaded = load_config(config, config_flags(storage, symbols, log_level))
        from tui_feeder.commands import backfill_run

        raise typer.Exit(backfill_run.run(loaded, low, high))
