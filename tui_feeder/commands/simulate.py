"""``feeder-tui simulate``: its options and help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer

from tui_feeder.commands.failures import reported_failures
from tui_feeder.commands.options import number_parser, parse_path, parse_port, split_symbols
from tui_feeder.errors import UsageError


class RandomFaults(StrEnum):
    """How faults of the embedded exchange come about by themselves."""

    RANDOM = "random"


class SimulatedMarket(StrEnum):
    """Which market of the exchange is embedded."""

    USDM = "usdm"
    SPOT = "spot"
    COINM = "coinm"


def simulate(
    port: Annotated[
        int,
        typer.Option("--port", help="Port on 127.0.0.1; 0 for any free one.", metavar="N", parser=parse_port),
    ] = 0,
    market: Annotated[
        SimulatedMarket, typer.Option("--market", help="Which market it is; run one for each.")
    ] = SimulatedMarket.USDM,
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--data", help="Folder of monthly zips with real candles.", metavar="DIR", parser=parse_path
        ),
    ] = None,
    symbols: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--symbols",
            help="Symbols or patterns to list, without a market before them (default: ALL).",
            metavar="A,B",
        ),
    ] = None,
    speed: Annotated[
        float,
        typer.Option(
            "--speed",
            help="Exchange seconds in a real second, 0.1 to 3600.",
            metavar="X",
            parser=number_parser(float, 0.1, 3600),
        ),
    ] = 1.0,
    start: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--start", help="Exchange time at its start, RFC 3339.", metavar="TIME"),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            help="Of the synthetic market and of random faults, 0 to 4294967295.",
            metavar="N",
            parser=number_parser(int, 0, 2**32 - 1),
        ),
    ] = 1,
    fault: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--fault",
            help="Switch a fault on, for a time such as 90, 5m or 2h of exchange time; repeatable.",
            metavar="NAME[:SYMBOL][:TIME]",
        ),
    ] = None,
    faults: Annotated[
        Optional[RandomFaults],  # noqa: UP045
        typer.Option("--faults", help="Draw faults at random, by the seed."),
    ] = None,
) -> None:
    """Run the embedded exchange alone, and print the URLs to configure.

    REST, streams and archive as Binance has them, on loopback, with a synthetic market or real candles, and
    with the faults that such an exchange has.

    For example:

      feeder-tui simulate --symbols BTCUSDT,ETHUSDT --speed 60

      feeder-tui simulate --data klines --fault silence:5m

    Exit codes: 0 shut down cleanly, 1 the port cannot be used, 2 an option is wrong.
    """
    from tui_feeder.paths import expand_user
    from tui_feeder.time_format import parse_time

    with reported_failures():
        start_ms = None
        if start is not None:
            try:
                start_ms = parse_time(start)
            except ValueError as error:
                raise UsageError(f"--start: {error}") from None
        from tui_feeder.simulator import serve

        try:
            code = serve.run(
                port=port,
                data=expand_user(data) if data is not None else None,
                symbols=split_symbols(symbols),
                speed=speed,
                start_ms=start_ms,
                seed=seed,
                faults=fault or (),
                random_faults=seed if faults is not None else None,
                market=market.value,
            )
        except ValueError as error:
            raise UsageError(str(error)) from error
        raise typer.Exit(code)
