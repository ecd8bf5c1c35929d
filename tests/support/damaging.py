"""DamagedDays as a disk does it: bits of one stored value turned over, behind the back of the store."""

from __future__ import annotations

from pathlib import Path

import lmdb

from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.storage.store import Store


def flipped(value: bytes, at: int = -1, bit: int = 0) -> bytes:
    hurt = bytearray(value)
    hurt[at] ^= 1 << bit
    return bytes(hurt)


def day_key(symbol: str, day: int) -> bytes:
    return symbol.encode() + b"\0" + (day // DAY_MS).to_bytes(4, "big")


def damage_day(path: Path, symbol: str, day: int, at: int = -1) -> None:
    """A closed store."""
    with lmdb.open(str(path), max_dbs=20) as env:
        days = env.open_db(b"days", create=False)
        with env.begin(write=True) as txn:
            key = day_key(symbol, day)
            txn.put(key, flipped(txn.get(key, db=days), at), db=days)


def damage_open(store: Store, symbol: str, day: int) -> None:
    """A store that this process has open for writing."""

    def hurt(write: object) -> None:
        txn, days, key = write.txn, store._environment.days.database, day_key(symbol, day)
        txn.put(key, flipped(txn.get(key, db=days)), db=days)

    store._submit(hurt).result()
