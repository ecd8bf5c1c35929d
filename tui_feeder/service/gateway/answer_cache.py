"""Answers that are polled again and again: kept until a minute closes or the one in progress changes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from tui_feeder.engine.core.candle import Candle
from tui_feeder.service.gateway.series import Chunk


class AnswerKey(NamedTuple):
    """What an answer is of."""

    symbol: str
    interval: str
    first: int  # open time of the first bar, ms
    after: int  # end of the last one, ms


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer, and what it was made of."""

    version: int  # of the store
    chunks: tuple[Chunk, ...]
    closed: bytes  # the rows of bars that are over, with what stands around them, for the row in progress
    body: bytes
    seen: Candle | None  # the minute in progress that the last row has; None where it has none

    @property
    def size(self) -> int:
        """Bytes it takes, about."""
        return len(self.closed) + len(self.body) + 500


class AnswerCache:
    """The answers asked for last.

    Args:
        most_bytes: of them; what was not asked for longest goes first.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[AnswerKey, KeptAnswer] = OrderedDict()
        self._size = 0

    def get(self, key: AnswerKey) -> KeptAnswer | None:
        """The answer of this key, new or not.

        Args:
            key: of the answer.

        Returns:
            None where none is kept.
        """
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def put(self, key: AnswerKey, answer: KeptAnswer) -> None:
        """Keep an answer in place of the one before.

        Args:
            key: of the answer.
            answer: to be kept.
        """
        old = self._kept.pop(key, None)
        self._size += answer.size - (0 if old is None else old.size)
        self._kept[key] = answer
        while self._size > self._most and len(self._kept) > 1:
            self._size -= self._kept.popitem(last=False)[1].size
