"""The lock on a storage directory: one engine at a time, and the second is told who the first is."""

from __future__ import annotations

import fcntl
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from tui_feeder.folders import FolderError, check_owner


class StoreError(Exception):
    """The store cannot be used; the message says why and what to do."""


class StorageLock:
    """Holds ``path/engine.lock`` until :meth:`release` or the end of the process, kill -9 included.

    Raises:
        StoreError: the directory cannot be made or written, or another engine holds the lock.
    """

    def __init__(self, path: Path) -> None:
        try:
            check_owner(path)
        except FolderError as error:
            raise StoreError(f"{error}, with --storage or application.storage_path") from error
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(path / "engine.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(
                f"the storage directory {path} cannot be written ({error.strerror}): "
                "name another with --storage or application.storage_path"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._file, 200).decode(errors="replace").strip() or "another process"
            os.close(self._file)
            raise StoreError(
                f"the storage directory {path} is in use by {holder}: stop it, or name another with --storage"
            ) from error
        except OSError as error:
            os.close(self._file)
            raise StoreError(
                f"the storage directory {path} cannot be locked ({error.strerror}): "
                "its file system has no locks, name a local one with --storage"
            ) from error
        started = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        os.ftruncate(self._file, 0)
        os.pwrite(
            self._file,
            f"feeder-tui pid {os.getpid()} on {socket.gethostname()} since {started}\n".encode(),
            0,
        )

    def release(self) -> None:
        """Let the next engine in."""
        os.close(self._file)
