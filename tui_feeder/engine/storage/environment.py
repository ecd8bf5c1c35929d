"""One LMDB environment: opened by one writer, read from any thread, its map growing as it fills.

LMDB moves its map when the map grows or is closed, under the feet of whoever reads it. So every
reader goes through a gate: a move waits until they are out, and new ones wait until it is done.
"""

from __future__ import annotations

import logging
import os
import pwd
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from tui_feeder.engine.storage.checked_records import CheckedDatabase
from tui_feeder.engine.storage.data_file import check_data_file
from tui_feeder.engine.storage.lock import DATA, HOLDER, ReadingLock, StorageLock, StoreError
from tui_feeder.engine.storage.upgrade import upgrade
from tui_feeder.safe_text import printable

log = logging.getLogger(__name__)

FORMAT = 3
_NAMES = (b"meta", b"days", b"tail", b"state", b"quarantine", b"files", b"profiles")
_MAX_READERS = 512


class Environment:
    """The LMDB files of a store, its lock, and its named databases.

    Args:
        path: directory; made when absent, unless read-only.
        exchange: which exchange's candles it holds; "" takes what is there.
        read_only: open beside a running engine, for reading alone.
        map_size: bytes of address space to begin with.

    Raises:
        StoreError: locked by another engine, of another exchange or format, or not usable.
    """

    def __init__(self, path: Path, *, exchange: str, read_only: bool, map_size: int) -> None:
        self.path = path
        self.read_only = read_only
        self._gate = threading.Condition()
        self._inside = 0
        self._moving = False
        self._closed = False
        if read_only:
            self._check_owner(path / DATA)
        new = _never_written(path)
        self._lock: StorageLock | ReadingLock | None = None if read_only else StorageLock(path)
        try:
            if not new or (path / DATA).stat().st_size:
                check_data_file(path / DATA)
            self._env = self._open(map_size)
        except BaseException:
            self._release()
            raise
        try:
            self.meta = self._env.open_db(b"meta", create=not read_only)
            found, self.exchange = self._agree(exchange)
            self._databases = {name: self._env.open_db(name, create=not read_only) for name in _NAMES}
            self.checked = {name: CheckedDatabase(name, made) for name, made in self._databases.items()}
            self.notes, self.days, self.tail, self.state, self.quarantine, self.files, self.profiles = (
                self.checked.values()
            )
            if not read_only:
                self._upgrade_format(found)
        except BaseException as error:
            self._env.close()
            self._release()
            if isinstance(error, lmdb.NotFoundError):
                raise StoreError(f"{path} holds no store yet: it was never written") from error
            if isinstance(error, lmdb.Error):
                raise StoreError(f"{path} cannot be opened as a store: {error}") from error
            raise

    def _check_owner(self, file: Path) -> None:
        """Whether there is a store to read, and we may."""
        try:
            with file.open("rb") as found:
                if not found.read(1) and _never_written(self.path):
                    raise StoreError(f"{self.path} holds no store yet: it was never written")
        except (FileNotFoundError, NotADirectoryError):
            text = f"{self.path} holds no store: run feeder-tui or feeder-tui backfill first"
            raise StoreError(text) from None
        except OSError as error:
            raise StoreError(
                f"{file} cannot be read ({error.strerror}){_owned(self.path)}: let its owner run "
                f"chmod g+rx {self.path} && chmod g+r {file} for a group that you are in, or read a copy "
                "made with feeder-tui backup"
            ) from None

    def _open(self, map_size: int) -> lmdb.Environment:
        shared = not self.read_only or self._shares_readers()
        try:
            env = lmdb.open(
                str(self.path),
                max_dbs=len(_NAMES) + 4,  # outboxes, where there are some
                map_size=map_size,
                readonly=self.read_only,
                max_readers=_MAX_READERS,
                subdir=True,
                lock=shared,
            )
        except (lmdb.Error, OSError) as error:
            raise StoreError(f"{self.path} cannot be opened as a store: {error}") from error
        if not self.read_only:
            env.reader_check()  # a reader that was killed would keep its pages from being used again
        return env

    def _shares_readers(self) -> bool:
        """Whether we may write LMDB's list of readers; else no engine may write while we read.

        Without an entry in it an engine would use pages again that we are reading.
        """
        readers = self.path / "lock.mdb"
        # Not opened here: to close it would give up the locks of this process that LMDB has on it.
        asked, mode = (readers, os.R_OK | os.W_OK) if readers.exists() else (self.path, os.W_OK)
        if os.access(asked, mode, effective_ids=True):
            return True
        try:
            self._lock = ReadingLock(self.path)
        except OSError as error:
            raise StoreError(
                f"a feeder is writing {self.path}, and {readers} cannot be written"
                f"{_owned(self.path)}: to read beside it let its owner run chmod g+rw {readers} for a group "
                "that you are in, or read a copy made with feeder-tui backup"
            ) from error
        return False

    def files_problem(self) -> str | None:
        """What became of the files of a store that is written, behind its back; None while they are there."""
        return self._lock.files_problem() if isinstance(self._lock, StorageLock) else None

    def _agree(self, exchange: str) -> tuple[int, str]:
        """Check format and exchange; the format found, 0 in a new store, and the exchange it holds."""
        with self._env.begin() as txn:
            found = bytes(txn.get(b"format", db=self.meta) or b"").decode(errors="replace")
            holds = bytes(txn.get(b"exchange", db=self.meta) or b"").decode(errors="replace")
        if found and (not found.isdecimal() or int(found) > FORMAT):
            raise StoreError(
                f"{self.path} is a store of format {printable(found)}, this program reads format {FORMAT}: "
                "use the program version that wrote it, or a backup if that record is damaged, "
                "or another --storage"
            )
        if self.read_only and found and int(found) < FORMAT:
            raise StoreError(
                f"{self.path} is a store of format {found}, this program reads format {FORMAT}: "
                "run feeder-tui or feeder-tui backfill on it once, which upgrades it"
            )
        if exchange and holds and holds != exchange:
            raise StoreError(
                f"{self.path} holds candles of {printable(holds)}, not of {exchange}: "
                "name another directory with --storage"
            )
        return int(found or 0), holds or exchange

    def _upgrade_format(self, found: int) -> None:
        """Write format and exchange into a new store, upgrade an old one."""
        while 0 < found < FORMAT:
            try:
                upgrade(self._env, self.meta, self.checked.values(), found, FORMAT)
                break
            except lmdb.MapFullError:
                self.grow()
        with self._env.begin(write=True) as txn:
            if not found:
                txn.put(b"format", str(FORMAT).encode(), db=self.meta)
            if self.exchange and not txn.get(b"exchange", db=self.meta):
                txn.put(b"exchange", self.exchange.encode(), db=self.meta)

    def named(self, name: bytes, txn: lmdb.Transaction) -> lmdb._Database:
        """Opens a database besides those of every store, created if needed; usable once ``txn`` is committed.

        Args:
            name: of the database.
            txn: the writer's. One of its own would wait for LMDB's lock, which the writer holds while it
                waits for everybody else.

        Returns:
            The database.
        """
        return self._env.open_db(name, txn=txn)

    def existing(self, txn: lmdb.Transaction, name: bytes) -> lmdb._Database | None:
        """Opens a database besides those every store has, for as long as a transaction lasts.

        Args:
            txn: the transaction.
            name: of the database.

        Returns:
            The database; None if it was never created.
        """
        try:
            return self._env.open_db(name, txn=txn, create=False)
        except lmdb.NotFoundError:
            return None

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def close(self) -> None:
        """Wait for the readers to leave, close, release the lock. A second call does nothing."""
        with self._exclusive():
            if not self._closed:
                self._closed = True
                self._env.close()
                self._release()

    @contextmanager
    def _entered(self) -> Iterator[None]:
        """Inside the gate: the map stays where it is."""
        with self._gate:
            self._gate.wait_for(lambda: not self._moving)
            if self._closed:
                raise StoreError(f"the store {self.path} is closed")
            self._inside += 1
        try:
            yield
        finally:
            with self._gate:
                self._inside -= 1
                if not self._inside:
                    self._gate.notify_all()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Nobody inside the gate: the map may be moved."""
        with self._gate:
            self._gate.wait_for(lambda: not self._moving)
            self._moving = True
            try:
                self._gate.wait_for(lambda: not self._inside)
                yield
            finally:
                self._moving = False
                self._gate.notify_all()

    @contextmanager
    def reading(self) -> Iterator[lmdb.Transaction]:
        """A read transaction: one consistent state, whatever is written meanwhile. Must not be nested.

        Raises:
            StoreError: the store is closed.
        """
        while True:
            with self._entered():
                try:
                    txn = self._env.begin()
                except lmdb.MapResizedError:  # the engine, another process, has grown the map
                    txn = None
                if txn is not None:
                    with txn:
                        yield txn
                    return
            with self._exclusive():
                self._env.set_mapsize(0)

    @contextmanager
    def writing(self) -> Iterator[lmdb.Transaction]:
        """A write transaction: left normally it commits, left by an exception it aborts."""
        txn = self._env.begin(write=True)
        try:
            yield txn
        except BaseException:
            # lmdb 3.0 lets an abort wait until no thread is inside any of its calls: readers that
            # take turns would keep it waiting for ever.
            with self._exclusive():
                txn.abort()
            raise
        txn.commit()

    def copy_to(self, descriptor: int) -> None:
        """Writes one consistent state, without unused pages, to an open file. Blocks, with the GIL released.

        What is written meanwhile is not in it, and frees no pages until it is done: the store may grow.

        Args:
            descriptor: of the file.

        Raises:
            StoreError: the store is closed.
            lmdb.Error: the file cannot be written; the disk may be full.
        """
        while True:
            with self._entered():
                try:
                    self._env.copyfd(descriptor, compact=True)
                    return
                except lmdb.MapResizedError:  # the engine, another process, has grown the map
                    pass
            with self._exclusive():
                self._env.set_mapsize(0)

    def grow(self) -> None:
        """Double the map. Not from inside a transaction of the same thread.

        Raises:
            lmdb.Error: the system has no room for so many addresses.
        """
        with self._exclusive():
            self._env.reader_check()
            size = int(self._env.info()["map_size"]) * 2
            self._env.set_mapsize(size)
        log.info("store map grown to %d MiB", size >> 20)

    def last_transaction(self) -> int:
        """Number of the last committed transaction.

        Raises:
            StoreError: the store is closed.
        """
        with self._entered():
            return int(self._env.info()["last_txnid"])

    def file_bytes(self) -> int:
        """Bytes in use in the file; 0 once closed."""
        try:
            with self._entered():
                return (int(self._env.info()["last_pgno"]) + 1) * int(self._env.stat()["psize"])
        except StoreError:
            return 0


def _never_written(path: Path) -> bool:
    """Whether a folder holds no store, or what a start leaves that was killed before LMDB made one.

    Such a start makes engine.lock, then an empty data.mdb. LMDB makes lock.mdb before it writes: beside that
    an empty file is what is left of a store.
    """
    try:
        size = (path / DATA).stat().st_size
    except OSError:
        return True
    return not size and (path / HOLDER).exists() and not (path / "lock.mdb").exists()


def _owned(path: Path) -> str:
    """Whose a folder is, if it is another user's."""
    try:
        owner = path.stat().st_uid
    except OSError:
        return ""
    if owner == os.geteuid():
        return ""
    try:
        return f"; the store is of user {pwd.getpwuid(owner).pw_name}"
    except KeyError:
        return f"; the store is of user {owner}"
