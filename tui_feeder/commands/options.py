"""Options that several commands have, and the configuration and time range that they stand for.

Imports nothing heavy: the command line loads it for ``--help``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeVar

import typer

from tui_feeder.commands import failures
from tui_feeder.errors import UsageError
from tui_feeder.paths import expand_user

if TYPE_CHECKING:  # heavy, and needed for a type alone
    from tui_feeder.config import LoadedConfig


_Number = TypeVar("_Number", int, float)


class Level(StrEnum):
    """Minimum log level."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def parse_path(text: str) -> Path:
    """Parses a path of the command line; an empty one would stand for the current directory.

    Args:
        text: as given.

    Returns:
        The path, with its ``~``.

    Raises:
        typer.BadParameter: it is empty.
    """
    if not text:
        raise typer.BadParameter("the path is empty: name one, or leave the option out")
    return Path(text)


def number_parser(kind: type[_Number], low: float, high: float) -> Callable[[str], _Number]:
    """Makes the parser of an option whose value is a number; its error has the value, which typer leaves out.

    Args:
        kind: of the number.
        low: the least that is allowed.
        high: the most.

    Returns:
        A parser that raises ``typer.BadParameter`` for any other text.
    """
    form = "a whole number" if kind is int else "a number"

    def parse(text: str) -> _Number:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise typer.BadParameter(f"{text!r} is not {form} from {low:.10g} to {high:.10g}")
        return value

    return parse


#: Of options that a user may set to any port, or to any but 0, which stands for a free one.
parse_port, parse_fixed_port = number_parser(int, 0, 65_535), number_parser(int, 1, 65_535)


# typer reads these at run time: Optional, not "| None", keeps old click types simple.
ConfigOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--config",
        "-c",
        help="Configuration file (default: ./config.toml, then the user's).",
        metavar="FILE",
        parser=parse_path,
    ),
]
StorageOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--storage", help="Directory of the candle store.", metavar="DIR", parser=parse_path),
]
SymbolsOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--symbols", help="Symbols, separated by commas; ALL or patterns such as '*USDT'.", metavar="A,B"
    ),
]
StoredSymbolsOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--symbols", help="Stored symbols or patterns, by commas (default: all).", metavar="A,B"),
]
LogLevelOption = Annotated[
    Optional[Level],  # noqa: UP045
    typer.Option("--log-level", help="Minimum log level."),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug lines.")]
FromOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--from", help="First minute: 2026-02-21 or 2026-02-21T12:00:00Z; without a zone UTC.", metavar="TIME"
    ),
]
ToOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--to", help="End, exclusive; written like --from.", metavar="TIME"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout instead of the table.")]
SocketOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--socket", help="Of the feeder (default: the only one that runs).", metavar="PATH", parser=parse_path
    ),
]
RefreshRateOption = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(
        "--hz",
        help="Screen updates a second, 0.2 to 20 (default 4).",
        metavar="X",
        parser=number_parser(float, 0.2, 20),
    ),
]
SlowOption = Annotated[
    Optional[bool],  # noqa: UP045
    typer.Option("--slow", help="Low-bandwidth mode: one update a second."),
]
ThemeOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--theme", help="Colours of the screen; key t shows them all.", metavar="NAME"),
]
ColorsOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--colors", help="auto, truecolor, 256, 16 or none.", metavar="HOW"),
]
SymbolSetOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--symbols-set", help="Drawing characters: auto, braille, block or ascii.", metavar="SET"),
]
TimeZoneOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--timezone", help="Of all times on the screens: UTC, local or as Europe/Berlin.", metavar="ZONE"
    ),
]


def split_symbols(symbols: str | None) -> list[str] | None:
    """Splits ``--symbols A,B``.

    Args:
        symbols: the option; None if not given.

    Returns:
        The names, at least one; None if not given.

    Raises:
        UsageError: it has no name.
    """
    if symbols is None:
        return None
    names = [name.strip() for name in symbols.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--symbols {symbols!r} has no symbol: write BTCUSDT,ETHUSDT, or leave it out")
    return names


def load_config(
    path: Path | None, flags: Mapping[str, Any], *, search: bool = True, quiet: bool = False
) -> LoadedConfig:
    """Loads the configuration; its warnings go to stderr.

    Args:
        path: of the file; None to look for one.
        flags: values of keys from the command line; None where an option is not given.
        search: look for a file where ``path`` is None.
        quiet: leave the warnings to the caller, as while a screen is drawn.

    Returns:
        The configuration with the origin of each value.

    Raises:
        ConfigError: it cannot be used.
    """
    from tui_feeder import config

    environ = {key: value for key, value in os.environ.items() if key != failures.DEBUG_VARIABLE}
    found = expand_user(path) if path else (config.find_config(environ, Path(".")) if search else None)
    loaded = config.load(
        found, environ=environ, flags={key: value for key, value in flags.items() if value is not None}
    )
    for warning in () if quiet else loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    return loaded


def config_flags(
    storage: Path | None = None, symbols: str | None = None, level: Level | None = None
) -> dict[str, Any]:
    """Values of keys that the common options stand for; None where one is not given.

    Args:
        storage: of ``--storage``.
        symbols: of ``--symbols``.
        level: of ``--log-level``.

    Returns:
        Values by key.
    """
    return {
        "application.storage_path": str(storage) if storage is not None else None,
        "application.symbols": split_symbols(symbols),
        "service.log_level": level.value if level is not None else ("debug" if failures.debugging else None),
    }


def parse_range(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Parses ``--from`` and ``--to``.

    Args:
        start: of ``--from``.
        end: of ``--to``, exclusive.

    Returns:
        Whole minutes in ms, None where not given.

    Raises:
        UsageError: one is no time, or the range is empty.
    """
    from tui_feeder.time_format import ceil_to_minute, parse_time

    found: list[int | None] = []
    for name, text in (("--from", start), ("--to", end)):
        try:
            found.append(None if text is None else ceil_to_minute(parse_time(text)))
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from None
    low, high = found
    if low is not None and high is not None and high <= low:
        raise UsageError(f"--to {end} is not after --from {start}: --to is exclusive")
    return low, high


def parse_day(day: str) -> int:
    """Parses ``--day``.

    Args:
        day: such as ``2026-02-21``.

    Returns:
        Midnight, ms.

    Raises:
        UsageError: it is none.
    """
    from datetime import date

    from tui_feeder.time_format import parse_time

    try:
        return parse_time(date.fromisoformat(day).isoformat())
    except ValueError as error:
        raise UsageError(f"--day {day!r} is not a day: write 2026-02-21") from error
