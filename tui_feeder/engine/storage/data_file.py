"""Whether an LMDB data file is whole, before it is mapped: LMDB trusts every page of it.

A truncated file, or one whose pages point anywhere, ends the process with a signal as soon as it is read
through the map. So the pages are walked here by plain reads: every page that is referenced lies inside the
file, has its own page number, is of the kind that belongs there, and its entries lie inside it, in order.
What the values hold is not looked at: they have checksums of their own.

The layout is that of LMDB 0.9 (``libraries/liblmdb/mdb.c``: MDB_page, MDB_node, MDB_meta, MDB_db) on a
little-endian machine of 64 bits::

    page   u64 number | u16 - | u16 flags | u16 lower | u16 upper  (overflow: u32 pages)
    meta   in pages 0 and 1: u32 magic | u32 version | u64 - | u64 map size | db free | db main
           | u64 last page | u64 transaction
    db     u32 - (page size in the first) | u16 flags | u16 depth | 4 * u64 - | u64 root
    node   u16 low | u16 high | u16 flags | u16 key size | key | value, or u64 number of an overflow page
"""

from __future__ import annotations

import os
import struct
import sys
from itertools import pairwise
from pathlib import Path

from tui_feeder.engine.storage.lock import StoreError

_PAGE = struct.Struct("<QHHHH")
_META = struct.Struct("<II16x48s48sQQ")
_DB = struct.Struct("<IHH32xQ")
_NODE = struct.Struct("<HHHH")
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _OVERFLOW, _META_PAGE = 1, 2, 4, 8
_BIG, _SUB_DATABASE = 1, 2
_NOWHERE = (1 << 64) - 1
_DEEPEST = 64
_FREE = "the free pages"
#: A writer beside us may move on while we look: then it is looked at again, so often at most.
_TRIES = 5


class _BadError(Exception):
    """What is wrong with the file."""


def check_data_file(path: Path) -> None:
    """Checks the data file of a store without mapping it.

    Args:
        path: the file.

    Raises:
        StoreError: it is no LMDB file, of another version, truncated or its structure is damaged; the
            message has the remedy.
        OSError: it cannot be read.
    """
    if sys.byteorder != "little" or struct.calcsize("P") != 8:
        return  # another layout
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            file = _File(descriptor)
            try:
                file.open()
                file.walk()
                return
            except _BadError as error:
                if not _moved_on(descriptor, file.transaction):
                    raise StoreError(
                        f"{path} is damaged: {error}. Restore a copy made with feeder-tui backup, or move "
                        f"{path.parent} away and let feeder-tui backfill read everything again"
                    ) from None
    finally:
        os.close(descriptor)


def _moved_on(descriptor: int, transaction: int) -> bool:
    """Whether a writer has committed something since."""
    again = _File(descriptor)
    try:
        again.open()
    except _BadError:
        return False
    return again.transaction != transaction


class _File:
    def __init__(self, descriptor: int) -> None:
        self.transaction = -1
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._page = 4096
        self._last = 0
        self._roots: list[tuple[str, int, int, bool]] = []
        self._used = bytearray()  # a byte a page of the file
        self._free: list[bytes] = []

    def open(self) -> None:
        """Read the two meta pages."""
        first = self._meta(0)
        if first is None:
            raise _BadError("its head is not that of an LMDB file")
        self._page = _DB.unpack_from(first[2])[0]
        if self._page not in (1 << n for n in range(9, 17)):
            raise _BadError(f"its page size is {self._page}")
        metas = [meta for meta in (first, self._meta(self._page)) if meta is not None]
        *_, free, main, self._last, self.transaction = max(metas, key=lambda meta: meta[-1])
        self._roots = [
            (name, depth, root, ordered)
            for name, db, ordered in ((_FREE, free, False), ("the databases", main, True))
            for _, _, depth, root in [_DB.unpack(db)]
        ]

    def _meta(self, at: int) -> tuple[int, int, bytes, bytes, int, int] | None:
        raw = os.pread(self._descriptor, _PAGE.size + _META.size, at)
        if not self._size:
            raise _BadError("it is empty, 0 bytes, where a store was")
        if len(raw) < _PAGE.size + _META.size:
            raise _BadError(f"it ends after {self._size:,} bytes, inside its head")
        _, _, flags, _, _ = _PAGE.unpack_from(raw)
        found: tuple[int, int, bytes, bytes, int, int] = _META.unpack_from(raw, _PAGE.size)
        if found[0] != _MAGIC or not flags & _META_PAGE:
            return None
        if found[1] != _VERSION:
            raise _BadError(f"it is of version {found[1]} of LMDB's format, this program reads {_VERSION}")
        return found

    def walk(self) -> None:
        """Every page of every database, and that none of them counts as free."""
        self._used = bytearray(self._size // self._page + 1)
        for name, depth, root, ordered in self._roots:
            self._tree(name, depth, root, ordered)
        for value in self._free:
            count = int.from_bytes(value[:8], "little")
            if 8 * (count + 1) > len(value):
                raise _BadError(f"a list of {_FREE} makes no sense")
            for number in struct.unpack_from(f"<{count}Q", value, 8):
                if not 1 < number <= self._last or (number < len(self._used) and self._used[number]):
                    raise _BadError(f"page {number} counts as free and is not")

    def _tree(self, name: str, depth: int, root: int, ordered: bool) -> None:
        if root == _NOWHERE:
            return
        if not 0 < depth <= _DEEPEST:
            raise _BadError(f"the tree of {name} has depth {depth}")
        waiting = [(root, depth)]
        while waiting:
            number, left = waiting.pop()
            page = self._read(name, number, self._page)
            flags, lower, upper = _PAGE.unpack_from(page)[2:]
            if flags & 0xF != (_LEAF if left == 1 else _BRANCH):
                raise _BadError(f"page {number} of {name} is of another kind")
            if not (_PAGE.size <= lower <= upper <= self._page and lower % 2 == 0):
                raise _BadError(f"page {number} of {name} makes no sense")
            places = struct.unpack_from(f"<{(lower - _PAGE.size) // 2}H", page, _PAGE.size)
            keys = []
            for at in places:
                if not upper <= at <= self._page - _NODE.size:
                    raise _BadError(f"page {number} of {name} has an entry outside it")
                low, high, kind, key_size = _NODE.unpack_from(page, at)
                begin = at + _NODE.size + key_size
                keys.append(page[at + _NODE.size : begin])
                if left > 1:
                    if begin > self._page:
                        raise _BadError(f"page {number} of {name} has an entry outside it")
                    waiting.append((low | high << 16 | kind << 32, left - 1))
                    continue
                size = low | high << 16
                if begin + (8 if kind & _BIG else size) > self._page:
                    raise _BadError(f"page {number} of {name} has an entry outside it")
                if kind & _BIG:
                    number_of = int.from_bytes(page[begin : begin + 8], "little")
                    self._overflow(name, number_of, size)
                    if name == _FREE:
                        at = number_of * self._page + _PAGE.size
                        self._free.append(os.pread(self._descriptor, size, at))
                elif name == _FREE:
                    self._free.append(page[begin : begin + size])
                elif kind & _SUB_DATABASE:
                    if size != _DB.size:
                        raise _BadError(f"page {number} of {name} has an entry of another kind")
                    _, _, below, start = _DB.unpack_from(page, begin)
                    called = keys[-1].rstrip(b"\0").decode(errors="replace")
                    self._tree(f"database {called!r}", below, start, ordered=True)
            if left > 1:
                keys = keys[1:]  # the first key of a branch is not used
            if ordered and any(a >= b for a, b in pairwise(keys)):
                raise _BadError(f"page {number} of {name} is not in order")

    def _overflow(self, name: str, number: int, size: int) -> None:
        pages = -(-(size + _PAGE.size) // self._page)
        head = self._read(name, number, _PAGE.size)
        _, _, flags, low, high = _PAGE.unpack(head)
        if flags & 0xF != _OVERFLOW or (low | high << 16) < pages:
            raise _BadError(f"page {number} of {name} is of another kind")
        self._inside(name, number + pages - 1)
        if any(self._used[number + 1 : number + pages]):
            raise _BadError(f"page {number} of {name} is used twice")
        self._used[number : number + pages] = b"\1" * pages

    def _read(self, name: str, number: int, length: int) -> bytes:
        """A page that is referenced once and has its own number."""
        self._inside(name, number)
        if self._used[number]:
            raise _BadError(f"page {number} of {name} is used twice")
        self._used[number] = 1
        page = os.pread(self._descriptor, length, number * self._page)
        if len(page) < length or int.from_bytes(page[:8], "little") != number:
            raise _BadError(f"page {number} of {name} is not there")
        return page

    def _inside(self, name: str, number: int) -> None:
        if not 1 < number <= self._last:
            raise _BadError(f"{name} refers to page {number} of {self._last + 1}")
        if (number + 1) * self._page > self._size:
            whole = (self._last + 1) * self._page
            raise _BadError(f"it is cut short: {self._size:,} bytes are left of {whole:,}")
