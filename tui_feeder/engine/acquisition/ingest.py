"""The one door for live candles: check, order, de-duplicate, store, pass on.

Each symbol has a lane. A lane takes minutes strictly in order; a later minute waits while recovery
fills the hole before it, then goes on with the hole marked. The message of a minute is made before
its candle is committed, so that both can be of one transaction, and is shown and sent only after.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from math import inf
from typing import Any, Protocol

from tui_feeder.engine.analytics.message import Message, encode
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.core.candle import MINUTE_MS, Candle, Source, fault_of, to_candles
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.derived.bar_messages import bar_messages
from tui_feeder.engine.derived.count_minute import count_minute
from tui_feeder.engine.storage.store import Store, Written

#: Minutes a lane holds back at most while a hole before them is being filled.
_HELD = 1_500
#: A closed candle may seem this early, ms: the two clocks never agree to the last millisecond.
_EARLY_MS = 5_000
#: Minutes taken from the store in one go, so that the loop is never held for long.
_SLICE = 240
#: Minutes handed to the store and not yet committed, at most; beyond it lanes wait.
_UNCOMMITTED = 5_000


class Desk(Protocol):
    """Who the intake reports to."""

    def committed(self, symbol: str, candle: Candle, message: Message, payload: bytes) -> None:
        """A minute is stored: show it, send it."""
        ...

    def hole(self, symbol: str, start: int, end: int) -> None:
        """Minutes ``[start, end)`` are missing before one that waits."""
        ...

    def missed(self, symbol: str, candle: Candle, source: Source) -> None:
        """A minute arrived that the lane had gone on without."""
        ...

    def superseded(self, symbol: str, candle: Candle) -> None:
        """A minute is stored with other values than its message has: a better source came first."""
        ...

    def disputed(self, symbol: str, candle: Candle, other: Candle) -> None:
        """A closing frame says other things of a minute than what was taken or stored."""
        ...

    def crashed(self, symbol: str, error: BaseException) -> None:
        """The symbol's pipeline or its commit failed."""
        ...


class Lane:
    """One symbol: what it expects next, what waits, and its forming candle."""

    __slots__ = (
        "forming", "held", "last_frame", "late", "next", "opened", "pipeline", "skipped", "symbol",
        "uncommitted",
    )  # fmt: skip

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.pipeline: SymbolPipeline | None = None  # None: history is not loaded, or being rebuilt
        self.next: int | None = None  # open time of the minute the lane takes next
        self.held: dict[int, tuple[Candle, Source]] = {}
        self.opened: int | None = None  # minutes before it were loaded, not taken one by one
        self.skipped = EMPTY  # minutes the lane went on without, never published
        self.late: set[int] = set()  # those of them that have come and are being repaired
        self.uncommitted: dict[int, Candle] = {}  # taken, and on the way to the store
        self.forming: Candle | None = None
        self.last_frame: int | None = None  # exchange ms of the last frame


class Intake:
    """The door, and the lanes behind it. Runs on the engine's loop."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        desk: Desk,
        quarantine: Callable[[str, Candle, Source, str], None],
    ) -> None:
        self.lanes: dict[str, Lane] = {}
        self._store = store
        self._journal = journal
        self._desk = desk
        self._quarantine = quarantine
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        # What the writer has done with and the loop has not yet heard of; the loop is woken once for all.
        self._settled: deque[tuple[Lane, Candle, Message, bytes, Future[Any]]] = deque()
        self._woken = False
        self._waiting: set[Lane] = set()  # lanes that wait for commits
        self._idle = asyncio.Event()
        self._idle.set()

    def lane(self, symbol: str) -> Lane:
        """The symbol's lane, made when new."""
        lane = self.lanes.get(symbol)
        if lane is None:
            lane = self.lanes[symbol] = Lane(symbol)
        return lane

    def forming(self, symbol: str, candle: Candle, now: int) -> None:
        """A forming candle: the latest wins, nothing else is touched. One that cannot be is not shown."""
        lane = self.lane(symbol)
        lane.last_frame = now
        # The least that a screen relies on: the minute's every invariant is checked once, when it closes.
        if 0.0 < candle.low <= candle.close <= candle.high < inf and candle.open_time <= now + _EARLY_MS:
            lane.forming = candle
        else:
            self._journal.fault("impossible frames", f"minute {candle.open_time}", symbol)

    def closed(self, symbol: str, candle: Candle, source: Source, now: int) -> None:
        """A closed minute from anywhere. Never blocks; order and duplication do not matter."""
        lane = self.lane(symbol)
        if source is Source.STREAM:
            lane.last_frame = now
        reason = fault_of(candle)
        if reason is None and candle.open_time + MINUTE_MS > now + _EARLY_MS:
            reason = "it closes in the future"
        if reason is not None:
            self._quarantine(symbol, candle, source, reason)
            return
        if source is Source.STREAM:
            # The close of a minute says nothing of the next one: keep showing the last price.
            lane.forming = candle
        if lane.next is not None and candle.open_time < lane.next:
            if candle.open_time in lane.skipped and candle.open_time not in lane.late:
                lane.late.add(candle.open_time)
                self._desk.missed(symbol, candle, source)
            else:
                self._journal.count("duplicate candles")
                self._compare(lane, candle, source)
            return
        waiting = lane.held.get(candle.open_time)
        if waiting is not None:
            self._journal.count("duplicate candles")
            if waiting[0] != candle:
                self._desk.disputed(symbol, candle, waiting[0])
            if waiting[1] >= source:
                return
        lane.held[candle.open_time] = (candle, source)
        while len(lane.held) > _HELD:  # history takes long: REST gives these again, in order
            lane.held.pop(min(lane.held))
            self._journal.count("held candles let go")
        self._drain(lane)

    def _compare(self, lane: Lane, candle: Candle, source: Source) -> None:
        """See whether a closing frame says of a minute what was taken or stored before it."""
        if source is not Source.STREAM:
            return
        taken = lane.uncommitted.get(candle.open_time)
        if taken is None:
            stored = self._store.read(lane.symbol, candle.open_time, candle.open_time + MINUTE_MS)
            taken = next(iter(to_candles(stored)), None)
        if taken is not None and taken != candle:
            self._desk.disputed(lane.symbol, candle, taken)

    def open_lane(self, symbol: str, pipeline: SymbolPipeline, next_minute: int) -> None:
        """History is loaded up to ``next_minute``: take minutes from there on."""
        lane = self.lane(symbol)
        lane.pipeline, lane.next = pipeline, next_minute
        lane.skipped = lane.skipped.clip(0, next_minute)  # skipped while it was held, taken after all
        if lane.opened is None:
            lane.opened = next_minute
        for late in [at for at in lane.held if at < next_minute]:
            self._compare(lane, *lane.held.pop(late))
        self._drain(lane)

    def hold(self, symbol: str) -> None:
        """Let the lane's minutes wait until :meth:`open_lane` is called again."""
        self.lane(symbol).pipeline = None

    def lacked(self, symbol: str, minutes: Coverage) -> Coverage:
        """Those of ``minutes`` that the symbol's numbers do not rest on although its lane has passed them."""
        lane = self.lane(symbol)
        if lane.opened is None:
            return EMPTY
        return minutes.clip(0, lane.opened).union(minutes.intersect(lane.skipped))

    def waits(self, symbol: str) -> bool:
        """Whether there is a later minute than the one the lane expects and has not got."""
        lane, present = self.lane(symbol), self._store.present(symbol)
        return lane.next is not None and (bool(lane.held) or (bool(present) and present.end > lane.next))

    def skip(self, symbol: str, to: int) -> None:
        """Go on at ``to`` without the minutes before it."""
        lane = self.lane(symbol)
        if lane.next is not None and lane.next < to:
            lane.skipped = lane.skipped.union(span(lane.next, to))
            lane.next = to
            self._drain(lane)

    def advance(self, symbol: str) -> None:
        """Recovery put minutes into the store: take those that are next."""
        self._drain(self.lane(symbol))

    def _drain(self, lane: Lane) -> None:
        """Take what is next, from the waiting minutes or from the store, until a minute is missing."""
        pipeline = lane.pipeline
        if pipeline is None or lane.next is None:
            return
        present = self._store.present(lane.symbol)
        try:
            while True:
                if self._under_way >= _UNCOMMITTED:
                    # The disk is full or slow: wait here, where the bound is, not in the writer's queue.
                    self._waiting.add(lane)
                    return
                waiting = lane.held.pop(lane.next, None)
                if lane.next in present:
                    # What is stored ranks at least as high as a copy that waits.
                    if waiting is not None:
                        self._journal.count("duplicate candles")
                        self._compare(lane, *waiting)
                    edition = self._store.edition(lane.symbol)  # before the rows are read
                    rows = self._store.read(lane.symbol, lane.next, lane.next + _SLICE * MINUTE_MS)
                    for candle in to_candles(rows):
                        if candle.open_time != lane.next:
                            break
                        message = count_minute(self._store, pipeline, candle)
                        payload = encode(message)
                        bars = bar_messages(self._store, pipeline, candle)
                        stored = self._store.set_watermark(
                            lane.symbol, candle.open_time, payload, bars, edition
                        )
                        self._commit(lane, candle, message, payload, stored)
                    # Let the loop breathe: after a long outage this goes on for thousands of minutes.
                    self._loop.call_soon(self._drain, lane)
                    return
                if waiting is None:
                    break
                candle, source = waiting
                message = count_minute(self._store, pipeline, candle)
                payload = encode(message)
                bars = bar_messages(self._store, pipeline, candle)
                added = self._store.append(lane.symbol, candle, source, payload=payload, more=bars)
                self._commit(lane, candle, message, payload, added)
        except Exception as error:  # one symbol's fault stays its own
            lane.pipeline = None
            self._desk.crashed(lane.symbol, error)
            return
        if lane.held:
            self._desk.hole(lane.symbol, lane.next, min(lane.held))
        elif present and present.end > lane.next:  # REST had later minutes, and not this one
            self._desk.hole(lane.symbol, lane.next, present.clip(lane.next, present.end).start)

    def _commit(
        self, lane: Lane, candle: Candle, message: Message, payload: bytes, stored: Future[Any]
    ) -> None:
        lane.next = candle.open_time + MINUTE_MS
        lane.uncommitted[candle.open_time] = candle
        self._under_way += 1
        self._idle.clear()

        def done(future: Future[Any]) -> None:
            self._settled.append((lane, candle, message, payload, future))
            if not self._woken:
                self._woken = True
                self._loop.call_soon_threadsafe(self._take_settled)

        stored.add_done_callback(done)

    def _take_settled(self) -> None:
        self._woken = False  # before looking: what is added from here on wakes the loop again
        try:
            for _ in range(min(len(self._settled), _SLICE)):
                self._committed(*self._settled.popleft())
        finally:
            if self._settled and not self._woken:
                self._woken = True
                self._loop.call_soon(self._take_settled)

    def _committed(
        self, lane: Lane, candle: Candle, message: Message, payload: bytes, future: Future[Any]
    ) -> None:
        self._under_way -= 1
        lane.uncommitted.pop(candle.open_time, None)
        if not self._under_way:
            self._idle.set()
        if self._waiting and self._under_way < _UNCOMMITTED // 2:
            waiting, self._waiting = self._waiting, set()
            for other in waiting:
                self._drain(other)
        if (error := future.exception()) is not None:
            self._desk.crashed(lane.symbol, error)
        else:
            self._desk.committed(lane.symbol, candle, message, payload)
            written = future.result()
            if isinstance(written, Written) and written.conflicts and not written.changed:
                self._desk.superseded(lane.symbol, candle)

    async def drained(self) -> None:
        """Wait until every accepted minute is committed and passed on."""
        await self._idle.wait()
