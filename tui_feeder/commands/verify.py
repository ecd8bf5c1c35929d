"""``feeder-tui verify``: its options and help."""

from __future__ import annotations

from typing import Annotated

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import (
    ConfigOption,
    FromOption,
    JsonOption,
    StorageOption,
    StoredSymbolsOption,
    ToOption,
    config_flags,
    load_config,
    parse_range,
    split_symbols,
)


def verify(
    symbols: StoredSymbolsOption = None,
    start: FromOption = None,
    end: ToOption = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Check only what is stored; no requests.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Replace rows a better source contradicts; no engine may run.")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Check what is stored, and compare it with the exchange.

    Every block decodes and every row is a valid candle; the stored rows are compared with the
    archives, whose checksums are verified again, and with REST.

    For example:

      feeder-tui verify --offline

      feeder-tui verify --symbols BTCUSDT --from 2026-01-01 --repair

    Exit codes: 0 nothing is wrong, or all of it was repaired; 4 something is wrong or differs; 3 nothing
    is wrong, but a source did not answer.
    """
    with reported_failures():
        low, high = parse_range(start, end)
        loaded = load_config(config, config_flags(storage))
        from tui_feeder.commands import verify_run

        request = verify_run.VerifyRequest(
            split_symbols(symbols), low, high, offline=offline, repair=repair, json=json
        )
        raise typer.Exit(verify_run.run(loaded, request))
