"""``feeder-tui export``: its options and help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import (
    ConfigOption,
    FromOption,
    StorageOption,
    ToOption,
    config_flags,
    load_config,
    parse_path,
    parse_range,
)
from tui_feeder.paths import expand_user


class Format(StrEnum):
    """How candles are written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


class ProfileKind(StrEnum):
    """What of volume profiles is written."""

    ROWS = "rows"
    SESSIONS = "sessions"
    NAKED_POCS = "naked-pocs"
    DEVELOPING = "developing"
    VWAP = "vwap"


def export(
    symbol: Annotated[str, typer.Option("--symbol", "--symbols", help="The symbol.", metavar="NAME")],
    timeframe: Annotated[
        str, typer.Option("--timeframe", help="1m, 5m, 15m, 1h, 4h, 1d: what divides a day.", metavar="TF")
    ] = "1m",
    start: FromOption = None,
    end: ToOption = None,
    form: Annotated[
        Optional[Format],  # noqa: UP045
        typer.Option(
            "--format",
            help="Default: what the name of FILE ends in; csv without an ending. parquet needs: pip install "
            "'feeder-tui[parquet]'.",
        ),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--output",
            "-o",
            help="File, written whole or not at all (default: stdout).",
            metavar="FILE",
            parser=parse_path,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    include_partial: Annotated[
        bool, typer.Option("--include-partial", help="Also bars that lack minutes.")
    ] = False,
    states: Annotated[
        bool, typer.Option("--states", help="Instead of candles, which minutes are there and why others not.")
    ] = False,
    profile: Annotated[
        Optional[ProfileKind],  # noqa: UP045
        typer.Option("--profile", help="Instead of candles, volume profiles of the range."),
    ] = None,
    ladders: Annotated[
        bool,
        typer.Option("--ladders", help="Instead of candles, what was traded at each price of each minute."),
    ] = False,
    cvd: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--cvd",
            help="Add delta, and CVD since then: day, 08:00 (each day, UTC) or a moment.",
            metavar="ANCHOR",
        ),
    ] = None,
    config: ConfigOption = None,
    storage: StorageOption = None,
) -> None:
    """Write candles as CSV, JSON or Parquet.

    The stored candles of one symbol that lie wholly inside --from .. --to. Times are ms since the epoch (in
    Parquet timestamps, UTC), numbers in their shortest exact form; of COIN-M futures the number of contracts
    follows as the last column. Works while an engine runs.

    With --cvd two columns follow, in the base asset: delta, what takers bought less what they sold in the
    bar, and cvd, the sum of the deltas of the minutes since the anchor.

    With --states each row is a span of minutes (start, end exclusive, minutes) and its state: present,
    missing, unavailable (no source has it yet), damaged, none_at_exchange (there is no candle, for good).

    With --profile each row is of a volume profile: rows are prices and volumes of --from .. --to, with what
    takers bought and sold of them; sessions the levels of every session, the UTC day first; naked-pocs the
    points of control of days at which no later minute has traded; developing the levels as they were at the
    end of each bar of --timeframe; vwap the average since --from at the same times, with its standard
    deviation and bands of one and two. Minutes whose trades were read lie where they were traded.

    With --ladders each row is a price of a minute whose trades were read (trades.symbols): what takers bought
    and sold there (base asset) and how many trades that were; known, exact or partial, with the share of the
    minute's volume that is there; unproved, where ids of trades are missing. Other minutes have no row.

    For example:

      feeder-tui export --symbol BTCUSDT --from 2026-01-01 > btc.csv

      feeder-tui export --symbol BTCUSDT -o btc.parquet

      feeder-tui export --symbol BTCUSDT --profile vwap --from 2026-02-02

      feeder-tui export --symbol BTCUSDT --timeframe 15m --cvd day > flow.csv

      feeder-tui export --symbol BTCUSDT --ladders > levels.csv

    Exit codes: 0 written, 1 there is no store, or the file cannot be written, 2 the symbol is not stored, or
    the file exists already, 4 written without damaged days, which are listed on stderr.
    """
    with reported_failures():
        low, high = parse_range(start, end)
        loaded = load_config(config, config_flags(storage))
        from tui_feeder.commands import export_run
        from tui_feeder.configuration.forms import without_usual_market

        symbol = without_usual_market(symbol)
        file = expand_user(output) if output is not None else None
        written = export_run.form_of(form.value if form is not None else None, file)
        request = export_run.ExportRequest(
            symbol, timeframe, low, high, written, file, include_partial, force, states, cvd, ladders
        )
        if profile is not None:
            from tui_feeder.commands import export_profiles

            raise typer.Exit(export_profiles.run(loaded.config, request, profile.value))
        raise typer.Exit(export_run.run(loaded.config.application.storage_path, request))
