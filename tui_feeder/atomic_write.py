"""Writing a file for the user: whole or not at all, and never in the place of something that is no file."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

#: Names of what is open already; what lies behind them was not named by the user, and is not replaced.
_OPEN = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")


def is_regular_file(path: Path) -> bool:
    """Checks whether a path names a regular file, through symbolic links, that a new one would replace.

    Args:
        path: the path.

    Returns:
        True if it does.
    """
    return path.is_file() and not str(path.absolute()).startswith(_OPEN)


@contextlib.contextmanager
def atomic_write(path: Path, mode: int = 0o666) -> Iterator[IO[bytes]]:
    """Writes a file that appears, or replaces the one before, once it is complete and on disk.

    A symbolic link stays one: its target is written. A file keeps its mode and, where possible, its owner.
    A device, a FIFO, a terminal or what is open already is written directly.

    Args:
        path: of the file; whether one may be replaced is the caller's to ask, see :func:`is_regular_file`.
        mode: of a file that is new, less the umask.

    Yields:
        The file to write to.

    Raises:
        OSError: it cannot be written.
    """
    try:
        there = path.stat()
    except FileNotFoundError:
        there = None
    if there is not None and not is_regular_file(path):
        # Neither created nor cut off: a folder refuses, a FIFO waits for its reader.
        with open(os.open(path, os.O_WRONLY | os.O_CLOEXEC), "wb") as target:
            yield target
        return
    end = Path(os.path.realpath(path))
    scratch = end.with_name(f".{end.name}.{os.getpid()}.part")
    try:
        with open(
            os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb"
        ) as target:
            if there is not None:
                _as_before(target.fileno(), there)
            yield target
            target.flush()
            os.fsync(target.fileno())
        if there is not None and there.st_nlink > 1:
            shutil.copyfile(scratch, end)  # its other names stay names of it
            return
        try:
            scratch.replace(end)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            shutil.copyfile(scratch, end)  # mounted there by itself, as into a container
    finally:
        scratch.unlink(missing_ok=True)


def _as_before(descriptor: int, before: os.stat_result) -> None:
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))


def sync_directory(folder: Path) -> None:
    """Makes the names in a folder durable (fsync).

    Args:
        folder: the folder.

    Raises:
        OSError: they cannot be written.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
