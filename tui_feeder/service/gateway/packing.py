"""Answers packed with gzip; one that is sent again and again is packed once."""

from __future__ import annotations

from collections import OrderedDict

from isal import igzip

#: Shorter answers are not worth packing.
LEAST_BYTES = 1_024
#: Of the slower levels the next one saves an eighth and costs three times as much.
_LEVEL = 1
_MOST_BYTES = 8 << 20


class Packer:
    """Packs bodies, and keeps what it packed last, by the body itself."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[bytes, bytes]] = OrderedDict()  # the body keeps its id from reuse
        self._size = 0

    def packed(self, body: bytes) -> bytes:
        """The body packed.

        Args:
            body: of an answer.

        Returns:
            A gzip stream.
        """
        kept = self._kept.get(id(body))
        if kept is not None:
            return kept[1]
        packed = igzip.compress(body, _LEVEL)
        self._kept[id(body)] = body, packed
        self._size += len(body) + len(packed)
        while self._size > _MOST_BYTES and len(self._kept) > 1:
            old, its = self._kept.popitem(last=False)[1]
            self._size -= len(old) + len(its)
        return packed
