"""Random numbers that are functions of their place: the same key and index give the same number always."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_MASK = (1 << 64) - 1


def key_of(*parts: object) -> int:
    """A 64-bit key for whatever is named by ``parts``."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def uniform(key: int, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Draws uniform random numbers (the finaliser of splitmix64).

    Args:
        key: seed.
        index: which numbers of the sequence, any shape.

    Returns:
        Numbers in [0, 1), of the shape of ``index``.
    """
    with np.errstate(over="ignore"):
        x = index.astype(np.uint64) * _GOLDEN + np.uint64(key & _MASK)
        x = (x ^ (x >> np.uint64(30))) * _MIX_1
        x = (x ^ (x >> np.uint64(27))) * _MIX_2
        x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(key: int, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Draws normally distributed random numbers (Box and Muller).

    Args:
        key: seed.
        index: which numbers of the sequence, any shape.

    Returns:
        Standard normal numbers, of the shape of ``index``.
    """
    radius = np.sqrt(-2.0 * np.log1p(-uniform(key, 2 * index)))
    turned: NDArray[np.float64] = radius * np.cos(2 * np.pi * uniform(key, 2 * index + 1))
    return turned
