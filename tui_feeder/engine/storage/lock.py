"""The lock on a storage directory: one engine at a time; the error of the second names the first.

Two files are locked, ``engine.lock``, which names the holder, and ``data.mdb`` itself: whoever deletes the
first lets nobody in beside the engine that runs. The locks are those of flock(2): they belong to the open
file, so a process that was forked keeps them too, they hold between containers of one machine that share
the directory, and over NFS only where its server does locks, where LMDB is not to be used anyhow.
"""

from __future__ import annotations

import fcntl
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from tui_feeder.errors import StorageError
from tui_feeder.paths import FolderError, check_owner

DATA, HOLDER = "data.mdb", "engine.lock"


class StoreError(StorageError):
    """The store cannot be used; the message has the reason and the remedy."""


class StorageLock:
    """Holds a storage directory until :meth:`release` or the end of the process, kill -9 included.

    Raises:
        StoreError: the directory cannot be made or written, or another engine holds the lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[str, int] = {}
        try:
            check_owner(path)
        except FolderError as error:
            raise StoreError(f"{error}, with --storage or application.storage_path") from error
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name in (HOLDER, DATA):  # one that is refused makes no data.mdb where it was moved away
                self._files[name] = os.open(path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                self._hold(name)
        except OSError as error:
            self.release()
            raise StoreError(
                f"the storage directory {path} cannot be written ({error.strerror}): "
                "name another with --storage or application.storage_path"
            ) from error
        self._sign()

    def _hold(self, name: str) -> None:
        path = self._path
        try:
            fcntl.flock(self._files[name], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._files[HOLDER], 200, 0).decode(errors="replace").strip()
            self.release()
            raise StoreError(
                f"the storage directory {path} is in use by {holder or 'another process'}: "
                "stop it, or name another with --storage"
            ) from error
        except OSError as error:
            self.release()
            raise StoreError(
                f"the storage directory {path} cannot be locked ({error.strerror}): "
                "its file system has no locks, name a local one with --storage"
            ) from error

    def _sign(self) -> None:
        started = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        os.ftruncate(self._files[HOLDER], 0)
        os.pwrite(
            self._files[HOLDER],
            f"feeder-tui pid {os.getpid()} on {socket.gethostname()} since {started}\n".encode(),
            0,
        )

    def release(self) -> None:
        """Let the next engine in."""
        while self._files:
            os.close(self._files.popitem()[1])

    def files_problem(self) -> str | None:
        """What became of the files behind our back, in words; None while they are those that are locked.

        A deleted ``engine.lock`` is put back.
        """
        if not self._is_ours(DATA):
            return (
                f"{self._path / DATA} was deleted or replaced while the feeder writes it: what is stored "
                "from now on is lost. Stop the feeder, put the file back from a backup, start it again"
            )
        if self._is_ours(HOLDER):
            return None
        try:
            new = os.open(self._path / HOLDER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(new, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return f"{self._path / HOLDER} was deleted and cannot be put back: {error.strerror}"
        os.close(self._files[HOLDER])
        self._files[HOLDER] = new
        self._sign()
        return None

    def _is_ours(self, name: str) -> bool:
        try:
            there = os.stat(self._path / name)
        except OSError:
            return False
        ours = os.fstat(self._files[name])
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


class ReadingLock:
    """Keeps engines away from a store that is read without LMDB's own lock file.

    Raises:
        BlockingIOError: an engine has it.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path / DATA, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise

    def release(self) -> None:
        """Let engines in."""
        os.close(self._file)
