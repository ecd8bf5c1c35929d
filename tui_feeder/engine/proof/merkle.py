"""Merkle trees of RFC 6962: the root of the leaves of a head, and the path from a leaf to it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Literal, TypeAlias

#: From a leaf to the root: on which side the other node stands, and its hash.
Path: TypeAlias = list[tuple[Literal["left", "right"], bytes]]


def leaf_hash(leaf: bytes) -> bytes:
    """Hashes a leaf; a prefix keeps it apart from nodes (RFC 6962, 2.1).

    Args:
        leaf: its bytes.

    Returns:
        32 bytes.
    """
    return sha256(b"\0" + leaf).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Computes the root of a tree.

    Args:
        hashes: of its leaves, in their order.

    Returns:
        32 bytes; of no leaves the hash of nothing.
    """
    if not hashes:
        return sha256().digest()
    # Level by level is the same tree: a node without a neighbour is taken up as it is.
    level = list(hashes)
    while len(level) > 1:
        joined = [_node(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        level = joined + level[len(joined) * 2 :]
    return level[0]


def path_of(hashes: Sequence[bytes], index: int) -> Path:
    """Computes the path from a leaf to the root (RFC 6962, 2.1.1).

    Args:
        hashes: of all leaves, in their order.
        index: of the leaf.

    Returns:
        The nodes to hash with, from the leaf up; as many as the logarithm of the number of leaves.
    """
    path: Path = []
    level = list(hashes)
    while len(level) > 1:
        if index % 2:
            path.append(("left", level[index - 1]))
        elif index + 1 < len(level):
            path.append(("right", level[index + 1]))
        joined = [_node(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        level, index = joined + level[len(joined) * 2 :], index // 2
    return path
