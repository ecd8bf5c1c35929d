"""Answers that take a while: who asks goes on without, and symbols look changed when there is more."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar, cast

from tui_feeder.monitor import Snapshot

T = TypeVar("T")

_LATE_BITS = 40  # of the number of changes, below that of late answers
_NEVER = object()
#: An answer that nobody has asked for since is made no further, seconds.
_FORGOTTEN_SECONDS = 2.0


@dataclass(slots=True)
class _Answer:
    """An answer at hand."""

    value: Any
    stamp: object = _NEVER  # what it depends on, as it was when it was asked for
    asked: bool = False  # an answer is under way
    late: bool = False  # whoever asked went on without it
    wanted: float = 0.0  # when it was asked for last, time.monotonic()
    there: threading.Event = field(default_factory=threading.Event)


class Answering(Generic[T]):
    """Takes an answer that is under way; from any thread.

    Args:
        answers: that it is one of.
        answer: the one at hand.
        symbol: that it is about; None for none.
    """

    def __init__(self, answers: LateAnswers, answer: _Answer, symbol: str | None) -> None:
        self._answers = answers
        self._answer = answer
        self._symbol = symbol

    def give(self, value: T, whole: bool = True) -> None:
        """Takes what there is.

        Args:
            value: the answer.
            whole: whether nothing more comes.
        """
        self._answer.value = value
        self._end(whole)

    def keep(self) -> None:
        """There is no other answer than the one at hand."""
        self._end(True)

    def wanted(self) -> bool:
        """Finds whether anybody has asked lately; else nothing more need come, and it is asked for anew."""
        with self._answers.lock:
            if time.monotonic() - self._answer.wanted < _FORGOTTEN_SECONDS:
                return True
            self._answer.asked, self._answer.stamp = False, _NEVER
        return False

    def _end(self, whole: bool) -> None:
        answer = self._answer
        with self._answers.lock:
            if whole:
                answer.asked = False
            if answer.late and self._symbol is not None:
                self._answers.late[self._symbol] = self._answers.late.get(self._symbol, 0) + 1
            answer.late = answer.late and not whole
        answer.there.set()


class LateAnswers:
    """The answers at hand. For any thread.

    Args:
        kept: how many, those that were asked for last.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self.lock = threading.Lock()
        self.late: dict[str, int] = {}  # of each symbol the answers that came after whoever asked went on
        self._known: OrderedDict[tuple[Any, ...], _Answer] = OrderedDict()

    def ask(
        self,
        key: tuple[Any, ...],
        symbol: str | None,
        stamp: object,
        begin: Callable[[Answering[T]], None],
        none: T,
        wait: float | None,
    ) -> T:
        """Gives the answer at hand; a newer one is asked for where what it depends on has changed.

        Args:
            key: what is asked.
            symbol: that it is about; None for none.
            stamp: what the answer depends on.
            begin: begins to make an answer, and returns at once.
            none: the answer while there is none.
            wait: seconds that a newer one is waited for; None where none can come.

        Returns:
            The answer.
        """
        with self.lock:
            known = self._known.setdefault(key, _Answer(none))
            self._known.move_to_end(key)
            while len(self._known) > self._kept:
                self._known.popitem(last=False)
            known.wanted = time.monotonic()
            ask = not known.asked and known.stamp != stamp
            if ask:
                known.asked, known.stamp = True, stamp
                known.there.clear()
        if ask:
            begin(Answering(self, known, symbol))
            if wait is not None:
                known.there.wait(wait)
                with self.lock:
                    known.late = known.asked
        return cast("T", known.value)

    def under_way(self) -> bool:
        """Finds whether any answer is being made."""
        with self.lock:
            return any(known.asked for known in self._known.values())

    def forget(self) -> None:
        """Nothing is under way any more, and all answers may be old."""
        with self.lock:
            for known in self._known.values():
                known.asked, known.stamp = False, _NEVER

    def marked(self, newest: Snapshot) -> Snapshot:
        """Makes symbols of late answers look changed: screens ask again, and get them.

        Args:
            newest: a snapshot.

        Returns:
            The same, with other ``stored`` of these symbols.
        """
        if not self.late:
            return newest
        symbols = tuple(
            replace(view, stored=(view.stored[0] + (late << _LATE_BITS), view.stored[1]))
            if (late := self.late.get(view.symbol))
            else view
            for view in newest.symbols
        )
        return replace(newest, symbols=symbols)
