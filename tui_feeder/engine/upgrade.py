"""Stores of earlier formats, brought to the present one when they are opened.

Format 1 to 2: blocks of days had no crc32 at first, their head was ``u8 version | u16 rows | u16 first
minute | u8 flags``; what follows is the same. Later stores of format 1 have blocks with the crc32
already. Format 2 adds the database ``files``.

A step goes through the store in many transactions and can be done again from its beginning, so that
it may be interrupted anywhere; the format is changed last.
"""

from __future__ import annotations

import logging
import struct
import zlib

import lmdb

from tui_feeder.engine import codec
from tui_feeder.engine.candle import DAY_MS

log = logging.getLogger(__name__)

_BLOCKS = 2_000  # in a transaction
_HEAD_1 = struct.Struct("<BHHB")
_HEAD_2 = struct.Struct("<BHHBI")


def upgrade(env: lmdb.Environment, meta: object, days: object, found: int, wanted: int) -> None:
    """Bring an open environment from format ``found`` to ``wanted``.

    Raises:
        lmdb.Error: it cannot be written, or its map is full: grown, it may be called again.
    """
    log.info("the store is of format %d: upgrading it to format %d", found, wanted)
    if found < 2:
        _seal_blocks(env, days)
    with env.begin(write=True) as txn:
        txn.put(b"format", str(wanted).encode(), db=meta)  # type: ignore[arg-type]
    log.info("the store is of format %d now", wanted)


def _seal_blocks(env: lmdb.Environment, days: object) -> None:
    """Give every block its crc32."""
    after: bytes | None = b""
    seen = sealed = damaged = 0
    while after is not None:
        with env.begin(write=True) as txn:
            cursor = txn.cursor(days)  # type: ignore[arg-type]
            at = cursor.set_range(after)
            for _ in range(_BLOCKS):
                if not at:
                    break
                key, block = bytes(cursor.key()), bytes(cursor.value())
                seen += 1
                if not _readable(key, block):
                    with_crc = _with_crc(block)
                    if _readable(key, with_crc):
                        cursor.put(key, with_crc)
                        sealed += 1
                    else:
                        damaged += 1  # stays as it is: whoever reads it is told
                at = cursor.next()
            after = bytes(cursor.key()) if at else None
    log.info("%d of %d days were given a checksum", sealed, seen)
    if damaged:
        log.warning("%d days are damaged and cannot be read; feeder-tui verify tells which", damaged)


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
