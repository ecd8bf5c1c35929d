"""Stores of earlier formats, brought to the present one when they are opened.

Format 1 to 2: blocks of days had no crc32 at first, their head was ``u8 version | u16 rows | u16 first
minute | u8 flags``; what follows is the same. Later stores of format 1 have blocks with the crc32
already. Format 2 adds the database ``files``.

Format 2 to 3: every value gets a checksum over where it is kept and what it holds
(:mod:`~tui_feeder.engine.storage.checked_records`).

A step goes through the store in many transactions and can be done again from its beginning, so that
it may be interrupted anywhere; the format is changed last.
"""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterable

import lmdb

from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.storage import codec
from tui_feeder.engine.storage.checked_records import CheckedDatabase

log = logging.getLogger(__name__)

_VALUES = 2_000  # in a transaction
_HEAD_1 = struct.Struct("<BHHB")
_HEAD_2 = struct.Struct("<BHHBI")


def upgrade(
    env: lmdb.Environment, meta: object, databases: Iterable[CheckedDatabase], found: int, wanted: int
) -> None:
    """Upgrades an open environment to another format.

    Args:
        env: the environment.
        meta: the database that holds the format.
        databases: the databases that carry checksums.
        found: its format now.
        wanted: the format to reach.

    Raises:
        lmdb.Error: it cannot be written, or its map is full: grown, it may be called again.
    """
    log.info("the store is of format %d: upgrading it to format %d", found, wanted)
    for database in databases:
        _add_checksums(env, database)
    with env.begin(write=True) as txn:
        txn.put(b"format", str(wanted).encode(), db=meta)  # type: ignore[arg-type]
    log.info("the store is of format %d now", wanted)


def _add_checksums(env: lmdb.Environment, database: CheckedDatabase) -> None:
    """Give every value its checksum, and blocks of days of the first format their own."""
    days = database.name == "days"
    after: bytes | None = b""
    seen = damaged = 0
    while after is not None:
        with env.begin(write=True) as txn:
            cursor = txn.cursor(database.database)
            at = cursor.set_range(after)
            for _ in range(_VALUES):
                if not at:
                    break
                key, value = bytes(cursor.key()), bytes(cursor.value())
                checked = database.name != "meta" or key.startswith(b"note\0")
                if checked and database.verified(key, value) is None:  # else an interrupted upgrade did it
                    seen += 1
                    if days and not _readable(key, value):
                        with_crc = _with_crc(value)
                        if _readable(key, with_crc):
                            value = with_crc
                        else:
                            damaged += 1  # stays as it is: reading it fails
                    cursor.put(key, database.with_checksum(key, value))
                at = cursor.next()
            after = bytes(cursor.key()) if at else None
    if days:
        log.info("%d days were given a checksum", seen)
    if damaged:
        log.warning("%d days are damaged and cannot be read; they are read again", damaged)


def _readable(key: bytes, block: bytes) -> bool:
    try:
        codec.decode(int.from_bytes(key[-4:], "big") * DAY_MS, block)
    except codec.BlockError:
        return False
    return True


def _with_crc(block: bytes) -> bytes:
    if len(block) < _HEAD_1.size:
        return b""
    body = block[_HEAD_1.size :]
    return _HEAD_2.pack(*_HEAD_1.unpack_from(block), zlib.crc32(body)) + body
