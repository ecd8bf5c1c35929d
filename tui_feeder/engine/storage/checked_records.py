"""A named database whose values carry a checksum: of the database, the key, and what is kept there.

LMDB keeps none of its own. A value that rotted on disk, or came to lie under another key, is
distinguished from what was written.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import lmdb

_CHECKSUM = 4  # bytes before the value
#: In place of a damaged value: a byte that is none of what is kept, so that decoding it fails.
DAMAGED = b"\xff"


class CheckedDatabase:
    """Reads and writes checked values within a transaction it is given.

    Args:
        name: of the database.
        database: the handle.
    """

    def __init__(self, name: bytes, database: lmdb._Database) -> None:
        self.name = name.decode()
        self.database = database
        self._seed = zlib.crc32(name + b"\0")

    def with_checksum(self, key: bytes, value: bytes) -> bytes:
        """Prepends the checksum under which a value is stored.

        Args:
            key: its key.
            value: the value.

        Returns:
            The stored form.
        """
        return zlib.crc32(value, zlib.crc32(key, self._seed)).to_bytes(_CHECKSUM, "big") + value

    def verified(self, key: bytes, kept: bytes) -> bytes | None:
        """Checks a stored value.

        Args:
            key: its key.
            kept: the stored form.

        Returns:
            The value; None if it is damaged.
        """
        value = kept[_CHECKSUM:]
        found = zlib.crc32(value, zlib.crc32(key, self._seed)).to_bytes(_CHECKSUM, "big")
        return value if found == kept[:_CHECKSUM] else None

    def unchecked(self, kept: bytes) -> bytes:
        """Strips the checksum without checking it.

        Args:
            kept: the stored form.

        Returns:
            The value, right or wrong.
        """
        return kept[_CHECKSUM:]

    def get(self, txn: lmdb.Transaction, key: bytes) -> bytes | None:
        """Reads a value.

        Args:
            txn: the transaction.
            key: its key.

        Returns:
            The value; :data:`DAMAGED` for a damaged one; None if there is none.
        """
        kept = txn.get(key, db=self.database)
        if kept is None:
            return None
        value = self.verified(key, bytes(kept))
        return DAMAGED if value is None else value

    def put(self, txn: lmdb.Transaction, key: bytes, value: bytes) -> None:
        """Writes a value.

        Args:
            txn: a write transaction.
            key: its key.
            value: the value.
        """
        txn.put(key, self.with_checksum(key, value), db=self.database)

    def delete(self, txn: lmdb.Transaction, key: bytes) -> None:
        """Deletes a value if it exists.

        Args:
            txn: a write transaction.
            key: its key.
        """
        txn.delete(key, db=self.database)

    def scan(self, txn: lmdb.Transaction, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes | None]]:
        """Reads a range of keys.

        Args:
            txn: the transaction.
            low: first key, inclusive.
            high: last key, inclusive.

        Yields:
            Key and value, None for a damaged one.
        """
        cursor = txn.cursor(self.database)
        if cursor.set_range(low):
            for raw_key, kept in cursor:
                if (key := bytes(raw_key)) > high:
                    return
                yield key, self.verified(key, bytes(kept))

    def with_prefix(self, txn: lmdb.Transaction, prefix: bytes) -> Iterator[tuple[bytes, bytes | None]]:
        """Reads the keys with a prefix.

        Args:
            txn: the transaction.
            prefix: the prefix.

        Yields:
            Key and value, None for a damaged one.
        """
        for key, value in self.scan(txn, prefix, prefix + b"\xff" * 16):
            if not key.startswith(prefix):
                return
            yield key, value

    def describe(self, key: bytes) -> str:
        """Describes a record for people, whatever its key is.

        Args:
            key: its key.

        Returns:
            Database and readable parts of the key.
        """
        parts = [self.name]
        for part in key.split(b"\0", 1):
            text = part.decode(errors="replace")
            parts.append(text if text.isprintable() else part.hex())
        return " ".join(filter(None, parts))
