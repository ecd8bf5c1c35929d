"""Blocks of the store with a checksum and a format: what is damaged or of another version is found."""

from __future__ import annotations

import zlib

from tui_feeder.errors import StorageError

_CHECKSUM = 4  # bytes


class ChecksumError(StorageError):
    """A block has no valid checksum of this format; the message has the reason."""


def with_checksum(form: bytes, body: bytes) -> bytes:
    """Prepends a format marker and a CRC-32 over marker and body.

    Args:
        form: marker of the format.
        body: the content.

    Returns:
        The block to store.
    """
    block = form + body
    return zlib.crc32(block).to_bytes(_CHECKSUM, "big") + block


def without_checksum(form: bytes, block: bytes) -> bytes:
    """Checks a stored block.

    Args:
        form: marker of the expected format.
        block: what :func:`with_checksum` returned.

    Returns:
        The body.

    Raises:
        ChecksumError: damaged, or of another format.
    """
    inner = block[_CHECKSUM:]
    if zlib.crc32(inner).to_bytes(_CHECKSUM, "big") != block[:_CHECKSUM]:
        raise ChecksumError("they are damaged")
    if not inner.startswith(form):
        raise ChecksumError("they are of another format")
    return inner[len(form) :]
