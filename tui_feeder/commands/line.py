"""What every command shares: common options, the configuration they read, and how failures are told.

Imports nothing heavy: the command line loads it for ``--help``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from tui_feeder.paths import expand_user
from tui_feeder.standard_streams import OutputError

if TYPE_CHECKING:
    from tui_feeder.config import LoadedConfig


class Level(StrEnum):
    """Least level of the log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


# typer reads these at run time: Optional, not "| None", keeps old click types simple.
ConfigOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--config", "-c", help="Configuration file (default: ./config.toml, then the user's).", metavar="FILE"
    ),
]
StorageOption = Annotated[
    Optional[Path],  # noqa: UP045
    # That it cannot be read is told with the remedy where it is opened.
    typer.Option("--storage", help="Directory of the candle store.", metavar="DIR", readable=False),
]
SymbolsOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--symbols", help="Symbols, separated by commas; ALL or patterns such as '*USDT'.", metavar="A,B"
    ),
]
LevelOption = Annotated[
    Optional[Level],  # noqa: UP045
    typer.Option("--log-level", help="Least level of the log."),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug lines.")]
FromOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--from", help="First minute: 2026-02-21 or 2026-02-21T12:00:00Z; without a zone UTC.", metavar="TIME"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout instead of the table.")]


RateOption = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option("--hz", help="Screen updates a second (default 4)."),
]
SlowOption = Annotated[
    Optional[bool],  # noqa: UP045
    typer.Option("--slow", help="Spare the line: one update a second."),
]
ThemeOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--theme", help="Colours of the screen; key t shows them all.", metavar="NAME"),
]
ColorsOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--colors", help="auto, truecolor, 256, 16 or none.", metavar="HOW"),
]
GlyphsOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--symbols-set", help="Drawing characters: auto, braille, block or ascii.", metavar="SET"),
]


class State:
    """What the failure handler must know of the command line."""

    debug = False


class Refusal(Exception):
    """The command line asks for something that makes no sense."""


#: Errors whose text says what is wrong and what to do.
_EXPLAINED = frozenset(
    (
        "AttachError", "BackupError", "EngineError", "ExchangeError", "ExchangeStartError", "ExportError",
        "FolderError", "ListenError", "LogError", "PortInUseError", "ProxyError", "RunError", "ServiceError",
        "SocketError", "StoreError",
    )
)  # fmt: skip

#: Files, sockets and pipes that any command may have open, with some to spare.
_FILES = 64

#: What to do about what the system refuses.
_REMEDIES = {
    errno.EACCES: "check its owner and mode",
    errno.EPERM: "check its owner and mode",
    errno.EROFS: "name a place that can be written",
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the system's limit of open files",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.ENOMEM: "give it more memory (ulimit -v, or the container's limit)",
    errno.EAGAIN: "raise the limit of processes and threads (ulimit -u)",
}


def _reason(error: Exception) -> str:
    """One line of what went wrong, and what to do."""
    if type(error).__name__ in _EXPLAINED:
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        remedy = _REMEDIES.get(error.errno)
        return f"{place}{error.strerror}" + (f": {remedy}" if remedy else "")
    if isinstance(error, MemoryError) or "failed to map segment" in str(error):
        return f"out of memory: {_REMEDIES[errno.ENOMEM]}"
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return f"no more threads: {_REMEDIES[errno.EAGAIN]}, or {_REMEDIES[errno.ENOMEM]}"
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return "this user has no home directory: set HOME to a folder that can be written"
    return f"internal error: {error!r}; run again with --debug to see where"


def _enough_files() -> None:
    """Let the process open as many files as every command needs, or end: halfway nobody can tell why.

    Raises:
        typer.Exit: the limit is too low, which has been told.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _FILES:
        return
    if hard == resource.RLIM_INFINITY or hard >= _FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, hard))
        return
    typer.echo(
        f"feeder-tui: the limit of open files is {hard}, {_FILES} are needed: raise it (ulimit -n)", err=True
    )
    raise typer.Exit(1)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn what can go wrong into one clear message and an exit code; a traceback only with --debug."""
    from tui_feeder.config import ConfigError

    _enough_files()
    try:
        yield
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except (typer.Exit, typer.Abort, OutputError):
        raise
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except Refusal as error:
        typer.echo(f"feeder-tui: {error}", err=True)
        raise typer.Exit(2) from None
    except Exception as error:
        tell(error)
        raise typer.Exit(1) from None


def tell(error: Exception) -> None:
    """Tell a failure in one line on stderr, or raise it again where tracebacks are wanted."""
    if State.debug or os.environ.get("FEEDER_DEBUG"):
        raise error
    typer.echo(f"feeder-tui: {_reason(error)}", err=True)


def split(symbols: str | None) -> list[str] | None:
    """The names of ``--symbols A,B``; None when it is not given."""
    if symbols is None:
        return None
    return [name.strip() for name in symbols.split(",") if name.strip()]


def load(path: Path | None, flags: Mapping[str, Any], *, search: bool = True) -> LoadedConfig:
    """The configuration, its warnings told on stderr."""
    from tui_feeder import config

    environ = {key: value for key, value in os.environ.items() if key != "FEEDER_DEBUG"}
    found = expand_user(path) if path else (config.find_config(environ, Path(".")) if search else None)
    loaded = config.load(
        found, environ=environ, flags={key: value for key, value in flags.items() if value is not None}
    )
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    return loaded


def flags(storage: Path | None, symbols: str | None, level: Level | None) -> dict[str, Any]:
    """Settings that the common options stand for; None where one is not given."""
    return {
        "application.storage_path": str(storage) if storage is not None else None,
        "application.symbols": split(symbols),
        "service.log_level": level.value if level is not None else ("debug" if State.debug else None),
    }


def span_of(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """``--from`` and ``--to`` as whole minutes in ms, None where not given.

    Raises:
        Refusal: one is no time, or the range is empty.
    """
    from tui_feeder.time_format import ceil_to_minute, parse_time

    found: list[int | None] = []
    for name, text in (("--from", start), ("--to", end)):
        try:
            found.append(None if text is None else ceil_to_minute(parse_time(text)))
        except ValueError as error:
            raise Refusal(f"{name}: {error}") from None
    low, high = found
    if low is not None and high is not None and high <= low:
        raise Refusal(f"--to {end} is not after --from {start}: --to is exclusive")
    return low, high
