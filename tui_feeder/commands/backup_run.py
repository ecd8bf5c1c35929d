"""``feeder-tui backup``: a consistent copy of a store that may be in use, read back before it counts."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson
import typer

from tui_feeder.atomic_write import sync_directory
from tui_feeder.commands.failures import describe_os_error
from tui_feeder.commands.formatting import format_bytes, format_count, format_duration, plural
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import StorageError, UsageError
from tui_feeder.time_format import format_day

_FILE, _LOCK = "data.mdb", "lock.mdb"
_LINE_SECONDS = 3.0
_POLL_SECONDS = 0.1
_SLICE_MS = 30 * DAY_MS


class BackupError(StorageError):
    """The copy cannot be made."""


@dataclass(frozen=True, slots=True)
class _CopyContents:
    """What the copy holds, every block of it decoded."""

    symbols: int
    candles: int
    damaged: tuple[str, ...]  # symbols with a reason


def run(storage: Path, target: Path, json: bool) -> int:
    """Copies a store to a new folder.

    Args:
        storage: folder of the store.
        target: the new folder.
        json: print one JSON object.

    Returns:
        The exit code.

    Raises:
        StoreError: there is no store.
        UsageError: ``target`` is there already, or cannot be made.
        BackupError: the copy cannot be written, or is not what was written.
    """
    began = time.monotonic()
    store = Store(storage, read_only=True)
    try:
        part = _create_target(store, target)
        try:
            _copy(store, part / _FILE)
            found = _read_back(part)
            if found.damaged:
                raise BackupError(
                    f"{storage} is damaged, and no copy of it was left: {'; '.join(found.damaged)}. "
                    "Mend it first: feeder-tui verify --repair, or run the feeder or feeder-tui backfill"
                )
            (part / _LOCK).unlink(missing_ok=True)  # the copy makes its own
            sync_directory(part)
            os.rename(part, target)
            sync_directory(target.parent)
        except BaseException as error:
            _remove_copy(part)
            if isinstance(error, OSError):
                raise BackupError(f"{target} cannot be written: {describe_os_error(error)}") from error
            raise
        used = store.file_bytes()
    finally:
        store.close()
    _print_summary(storage, target, used, found, time.monotonic() - began, json)
    return 0


def _create_target(store: Store, target: Path) -> Path:
    """The folder that is written and takes the name of ``target`` once it is whole."""
    if os.path.lexists(target):
        raise UsageError(f"{target} is there already, and a backup replaces nothing: name another folder")
    if target.resolve().is_relative_to(store.path.resolve()):
        raise UsageError(f"{target} lies inside the store {store.path}: a backup belongs elsewhere")
    part = target.with_name(target.name + ".part")
    try:
        part.mkdir(mode=0o700)
    except FileExistsError:
        raise UsageError(
            f"{part} is there: another backup is under way, or one was broken off; then remove it"
        ) from None
    except OSError as error:
        text = f"{target} cannot be made ({error.strerror}): name a folder inside one that is there"
        raise UsageError(text) from None
    return part


def _copy(store: Store, file: Path) -> None:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        failures: list[Exception] = []

        def work() -> None:
            try:
                store.copy_to(descriptor)
                os.fsync(descriptor)
            except Exception as error:
                failures.append(error)

        most = store.file_bytes()
        _run_with_progress(
            work,
            lambda: f"{format_bytes(os.fstat(descriptor).st_size)} of at most {format_bytes(most)} copied",
        )
        if failures:
            reason = str(failures[0]).rpartition(": ")[2]
            raise BackupError(f"{file.parent} cannot be written: {reason}") from failures[0]
    finally:
        os.close(descriptor)


def _run_with_progress(work: Callable[[], None], so_far: Callable[[], str]) -> None:
    """Run ``work`` on a thread, with a line on stderr every few seconds; ctrl+c does not wait for it."""
    thread = threading.Thread(target=work, name="backup", daemon=True)
    thread.start()
    printed_at = time.monotonic()
    while thread.is_alive():
        thread.join(_POLL_SECONDS)
        if time.monotonic() - printed_at >= _LINE_SECONDS:
            printed_at = time.monotonic()
            sys.stderr.write(f"backup: {so_far()}\n")
            sys.stderr.flush()


def _read_back(folder: Path) -> _CopyContents:
    """Open the copy as any store and decode every block of it."""
    copy = Store(folder, read_only=True)
    candles = 0
    damaged: list[str] = []
    symbols = copy.symbols()

    def work() -> None:
        nonlocal candles
        for symbol in symbols:
            present, counted = copy.present(symbol), 0
            for at in range(present.start, present.end, _SLICE_MS) if present else ():
                rows = len(copy.read(symbol, at, min(at + _SLICE_MS, present.end)))
                counted += rows
                candles += rows
            if days := copy.damaged_days().get(symbol):
                damaged.append(f"{symbol}: damaged days: {', '.join(map(format_day, days))}")
            elif counted != present.minutes:
                damaged.append(f"{symbol}: {counted:,} candles are there of {present.minutes:,}")

    try:
        _run_with_progress(work, lambda: f"{format_count(candles)} candles read back")
    finally:
        copy.close()
    return _CopyContents(len(symbols), candles, tuple(damaged))


def _remove_copy(part: Path) -> None:
    with contextlib.suppress(OSError):
        for name in (_FILE, _LOCK):
            (part / name).unlink(missing_ok=True)
        part.rmdir()


def _print_summary(
    storage: Path, target: Path, used: int, found: _CopyContents, seconds: float, json: bool
) -> None:
    copied = (target / _FILE).stat().st_size
    if json:
        answer = {
            "store": str(storage.resolve()),
            "backup": str(target.resolve()),
            "bytes": copied,
            "symbols": found.symbols,
            "candles": found.candles,
            "seconds": round(seconds, 1),
        }
        typer.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
        return
    typer.echo(
        f"backup    {target.resolve()}\n"
        f"candles   {plural(found.candles, 'minute')} of {plural(found.symbols, 'symbol')} read back\n"
        f"size      {format_bytes(copied)}, of a store that uses {format_bytes(used)}\n"
        f"took      {format_duration(seconds)}\n"
        f"restore   stop the feeder, move {storage} away, and: cp -a {target.resolve()} {storage}"
    )
