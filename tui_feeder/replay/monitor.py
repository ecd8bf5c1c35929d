"""Plays stored candles: the monitor of a replay, whose moment stands, goes on and jumps."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tui_feeder.config import Config
from tui_feeder.day_evidence import DayView, MinuteView
from tui_feeder.engine.alerts.level_history import StoredLevelHistory
from tui_feeder.engine.alerts.level_watch import LevelsBefore
from tui_feeder.engine.alerts.rule_book import RuleBook
from tui_feeder.engine.alerts.rules import Alert
from tui_feeder.engine.analytics.message import Message
from tui_feeder.engine.core.candle import MINUTE_MS, Candle, Rows
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.derived.settings import analysed
from tui_feeder.engine.derived.stored_reads import NO_LINE, NO_ROWS, StoredReads
from tui_feeder.engine.derived.symbol_numbers import symbol_numbers
from tui_feeder.engine.snapshots import indicator_views
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import FeederError
from tui_feeder.monitor import (
    AlertView,
    AnchoredLine,
    Event,
    FootprintView,
    GapView,
    LevelLines,
    MinuteState,
    NakedPoc,
    ProfileView,
    RangeView,
    RuleView,
    Snapshot,
    Spans,
    SymbolNumbers,
    SymbolState,
    SymbolView,
)
from tui_feeder.replay.clock import ReplayClock
from tui_feeder.replay.stored_coverage import stored_coverage
from tui_feeder.replay.symbol_replay import SymbolReplay
from tui_feeder.time_format import format_minute

log = logging.getLogger(__name__)
_TICK_SECONDS = 0.05
#: CPU seconds a tick may count minutes; the clock waits for them where that is not enough.
_COUNT_SECONDS = 0.2
#: Jumps ahead of at most so much are counted; others are loaded.
_COUNTED_MS = 3 * 60 * MINUTE_MS
#: Whether stored minutes were repaired is looked at so often.
_CHECK_SECONDS = 1.0
_GAPS, _ALERTS, _EVENTS = 100, 50, 200
_LOCKED = "a replay changes no rules of alerts: the feeder that writes the store does"


class ReplayMonitor:
    """The :class:`~tui_feeder.monitor.Monitor` of stored candles, on a thread of its own.

    Nothing that lies after its moment is shown. Alerts are shown, and sent nowhere.

    Args:
        store: where the candles are; it is read only, and an engine may go on writing it.
        config: whose analysis settings and alert rules count.
        symbols: stored in it, in the order of the screen.
        start: ms, a whole minute, the first moment.
        end: ms, a whole minute, the last.
        speed: exchange seconds in a real second.
        at: where it begins, of the range; None for its start.
    """

    def __init__(
        self,
        store: Store,
        config: Config,
        symbols: Sequence[str],
        start: int,
        end: int,
        speed: float,
        at: int | None = None,
    ) -> None:
        begin = start if at is None else at
        self.clock = ReplayClock(start, end, speed, time.monotonic)
        self.clock.go(begin)
        self.failure: Exception | None = None
        self._store = store
        self._config = config
        self._symbols = tuple(symbols)
        self._stored = tuple(symbol for symbol in store.symbols() if store.present(symbol))
        self._timeframes, self._indicators = analysed(config)[0], indicator_views(config)
        self._reads = StoredReads(store, config, end)
        self._replays: tuple[SymbolReplay, ...] = ()
        self._reached = begin
        self._rule_book = RuleBook(config, store, Journal(lambda: begin))
        self._rules = self._rule_book.rules
        self._level_history = StoredLevelHistory(store, config)
        self._alerts: deque[AlertView] = deque(maxlen=_ALERTS)
        self._alerted = 0
        self._events: deque[Event] = deque(maxlen=_EVENTS)
        self._target: int | None = begin
        self._checked_at = 0.0
        self._requests: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._shown: tuple[object, ...] = ()
        self._lock = threading.Lock()
        self._wake, self._over = threading.Event(), threading.Event()
        self._newest = self._first_snapshot()
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; what it was counting is waited for."""
        self._over.set()
        self._wake.set()
        self._thread.join()

    # --- what keys do ----------------------------------------------------------------------------

    def play(self, wanted: bool) -> None:
        """Starts or pauses.

        Args:
            wanted: True to play.
        """
        self.clock.play(wanted)
        self._wake.set()

    def seek(self, moment: int) -> None:
        """Jumps to a moment.

        Args:
            moment: ms; rounded down to a minute and clamped to the range.
        """
        moment = min(max(moment, self.clock.start), self.clock.end)
        with self._lock:
            self._target = moment - moment % MINUTE_MS
        self._wake.set()

    def seek_by(self, milliseconds: int) -> None:
        """Jumps relative to the current moment, or to the target of a jump under way.

        Args:
            milliseconds: how far; below 0 back.
        """
        with self._lock:
            at = self.clock.moment if self._target is None else self._target
        self.seek(at + milliseconds)

    def faster(self, steps: int) -> None:
        """Changes the speed.

        Args:
            steps: steps up in the list of speeds; below 0 down.
        """
        self.clock.faster(steps)
        self._wake.set()

    @property
    def settled(self) -> bool:
        """Whether it is where it was sent."""
        with self._lock:
            return self._target is None

    def messages(self) -> tuple[Message, ...]:
        """The newest message of each symbol that has one, in the order shown. Ask while it stands."""
        return tuple(message for replay in self._replays if (message := replay.message) is not None)

    # --- its thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                self._handle_requests()
                self._advance()
                self._reload_outdated()
                self._publish()
                self._wake.wait(_TICK_SECONDS if self.clock.playing else 1.0)
                self._wake.clear()
        except Exception as error:
            log.exception("the replay failed")
            self.failure = error
            self._note("error", f"the replay failed: {error}")
            last = self._newest
            self._newest = replace(
                last, state="failed", sequence=last.sequence + 1, events=tuple(self._events)
            )

    def _handle_requests(self) -> None:
        """Jump where it was asked to; a later wish overtakes one that is being loaded."""
        while not self._requests.empty():
            self._requests.get()()
        while (target := self._target) is not None and not self._over.is_set():
            there = tuple(replay.symbol for replay in self._replays)
            if there == self._symbols and 0 <= target - self._reached <= _COUNTED_MS:
                self._count(target, None)
            elif not self._load(target):
                continue
            with self._lock:
                if self._target == target:
                    self._target = None
                    self.clock.go(target)

    def _load(self, target: int) -> bool:
        """Load every symbol at ``target``; False where another target was set in between."""
        self._newest = replace(self._newest, state="seeking", sequence=self._newest.sequence + 1)
        kept = {replay.symbol: replay for replay in self._replays if replay.reached == target}
        made = []
        for symbol in self._symbols:
            if self._over.is_set() or self._target != target:
                return False
            made.append(kept.get(symbol) or SymbolReplay(self._store, self._config, symbol, target))
        self._replays, self._reached = tuple(made), target
        if not kept:
            self._rules = self._rule_book.configure(self._config)
            self._alerts = deque((a for a in self._alerts if a.at <= target), maxlen=_ALERTS)
            self._events = deque((e for e in self._events if e.at <= target), maxlen=_EVENTS)
            self._note("info", f"replay from {format_minute(target)}")
        return True

    def _advance(self) -> None:
        """Count what has closed since."""
        moment = self.clock.moment
        self._count(moment - moment % MINUTE_MS, _COUNT_SECONDS)
        if moment - self._reached >= MINUTE_MS:  # too much for one tick: the clock waits
            self.clock.go(self._reached)
            self._wake.set()

    def _reload_outdated(self) -> None:
        """Reload symbols whose minutes were repaired since they were counted; checked once a second."""
        now = time.monotonic()
        if now - self._checked_at < _CHECK_SECONDS:
            return
        self._checked_at = now
        if any(replay.outdated for replay in self._replays):
            self._replays = tuple(
                SymbolReplay(self._store, self._config, replay.symbol, self._reached)
                if replay.outdated
                else replay
                for replay in self._replays
            )

    def _count(self, until: int, seconds: float | None) -> None:
        began = time.thread_time()
        while self._reached < until and not self._over.is_set():
            self._reached += MINUTE_MS
            for replay in self._replays:
                replay.advance(self._reached, self._evaluate_alerts)
            if seconds is not None and time.thread_time() - began > seconds:
                break

    def _evaluate_alerts(self, candle: Candle, message: Message) -> None:
        found = self._rules.minute(candle, message)
        for symbol, before, anchors in self._rules.wanting_levels():
            try:
                levels = self._level_history.before(symbol, before, anchors)
            except FeederError as error:
                self._note("warning", f"{symbol}: levels of past days cannot be read: {error}")
                levels = LevelsBefore((), {})
            found += self._rules.begin_levels(symbol, before, levels)
        for alert in found:
            self._show(alert)

    def _show(self, alert: Alert) -> None:
        self._alerted += 1
        price = alert.value if alert.kind == "price_cross" else None
        self._alerts.append(
            AlertView(
                self._alerted, alert.at, alert.rule, alert.kind, alert.symbol, alert.text, price, rings=False
            )
        )
        self._events.append(Event(alert.at, "info", alert.symbol, f"alert {alert.rule}: {alert.text}"))

    def _note(self, level: str, text: str) -> None:
        self._events.append(Event(self._reached, level, None, text))

    def _first_snapshot(self) -> Snapshot:
        waiting = "its candles are being read"
        views = tuple(SymbolView(name, SymbolState.WAITING, waiting, 2) for name in self._symbols)
        return Snapshot(
            sequence=0,
            exchange_time=self.clock.moment,
            clock_rate=self.clock.speed,
            clock_offset_ms=0.0,
            taken_at=time.monotonic(),
            state="seeking",
            exchange=self._store.exchange or "",
            timeframes=self._timeframes,
            indicators=self._indicators,
            symbols=views,
            parts={"store": "running"},
            store_path=str(self._store.path),
            alert_rules=replace(self._rule_book.view, locked=_LOCKED),
        )

    def _publish(self) -> None:
        """Take a snapshot where anything differs from the last."""
        # The clock may have gone on while minutes were counted: none is shown as over that is not.
        moment = min(max(self.clock.moment, self._reached), self._reached + MINUTE_MS - 1)
        playing, speed = self.clock.playing, self.clock.speed
        now = (moment, playing, speed, self._replays, tuple(self._alerts), tuple(self._events))
        if (now == self._shown and self._newest.state != "seeking") or not self._replays:
            return
        self._shown = now
        views, gaps, candles = [], [], 0
        for replay in self._replays:
            present = self._store.present(replay.symbol)
            missing = present.missing(present.start, max(present.start, self._reached))
            views.append(replay.view(moment, present.start, missing.minutes))
            gaps += [(low, high, replay.symbol) for low, high in missing]
            candles += present.clip(0, self._reached).minutes
        gaps.sort(reverse=True)
        self._newest = replace(
            self._newest,
            sequence=self._newest.sequence + 1,
            exchange_time=moment,
            clock_rate=speed,
            taken_at=time.monotonic(),
            state="replay" if playing else "paused",
            symbols=tuple(views),
            gaps=tuple(_gap(symbol, low, high) for low, high, symbol in gaps[:_GAPS]),
            events=tuple(self._events),
            alerts=tuple(self._alerts),
            store_bytes=self._store.file_bytes(),
            store_candles=candles,
        )

    # --- what a screen asks ----------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The newest snapshot: ``replay``, ``paused``, or ``seeking`` with what was there before the jump."""
        return self._reads.answers.marked(self._newest)

    def _closed(self, symbol: str) -> int | None:
        view = next((view for view in self._newest.symbols if view.symbol == symbol), None)
        return None if view is None or view.last_closed is None else view.last_closed + MINUTE_MS

    def bars(self, symbol: str, timeframe: int, count: int, end: int | None = None) -> Rows:
        """See :meth:`tui_feeder.monitor.Monitor.bars`."""
        closed = self._closed(symbol)
        return NO_ROWS if closed is None else self._reads.bars(symbol, timeframe, count, end, closed)[0]

    def ema_lines(
        self, symbol: str, timeframe: int, count: int, end: int | None = None
    ) -> tuple[NDArray[np.float64], ...]:
        """See :meth:`tui_feeder.monitor.Monitor.ema_lines`."""
        closed = self._closed(symbol)
        bars = (
            self._reads.no_bars()
            if closed is None
            else self._reads.bars(symbol, timeframe, count, end, closed)
        )
        return bars[1]

    def open_bar(self, symbol: str, timeframe: int) -> Rows:
        """See :meth:`tui_feeder.monitor.Monitor.open_bar`."""
        closed = self._closed(symbol)
        return NO_ROWS if closed is None else self._reads.open_bar(symbol, timeframe, closed)

    def profile(
        self, symbol: str, day: int | None = None, patience: float | None = None
    ) -> ProfileView | None:
        """See :meth:`tui_feeder.monitor.Monitor.profile`."""
        closed = self._closed(symbol)
        return None if closed is None else self._reads.profile(symbol, day, closed, patience)

    def range_profile(self, symbol: str, spans: Spans, patience: float | None = None) -> RangeView | None:
        """See :meth:`tui_feeder.monitor.Monitor.range_profile`."""
        closed = self._closed(symbol)
        return None if closed is None else self._reads.range_profile(symbol, spans, closed, patience)

    def footprint(
        self,
        symbol: str,
        timeframe: int,
        count: int,
        levels: int,
        end: int | None = None,
        patience: float | None = None,
    ) -> FootprintView | None:
        """See :meth:`tui_feeder.monitor.Monitor.footprint`."""
        closed = self._closed(symbol)
        if closed is None:
            return None
        return self._reads.footprint(symbol, timeframe, count, levels, end, closed, patience)

    def naked_pocs(self, symbol: str, patience: float | None = None) -> tuple[NakedPoc, ...]:
        """See :meth:`tui_feeder.monitor.Monitor.naked_pocs`."""
        closed = self._closed(symbol)
        return () if closed is None else self._reads.naked_pocs(symbol, closed, patience)

    def developing(
        self, symbol: str, day: int, every: int, patience: float | None = None
    ) -> LevelLines | None:
        """See :meth:`tui_feeder.monitor.Monitor.developing`."""
        closed = self._closed(symbol)
        return None if closed is None else self._reads.developing(symbol, day, every, closed, patience)

    def anchored(self, symbol: str, anchor: int, timeframe: int, end: int | None = None) -> AnchoredLine:
        """See :meth:`tui_feeder.monitor.Monitor.anchored`."""
        closed = self._closed(symbol)
        return NO_LINE if closed is None else self._reads.anchored(symbol, anchor, timeframe, end, closed)

    def coverage(self, symbol: str, start: int, end: int, cells: int) -> tuple[MinuteState, ...]:
        """See :meth:`tui_feeder.monitor.Monitor.coverage`."""
        return stored_coverage(self._store, symbol, start, end, cells, self._newest.exchange_time)

    def sources(self, symbol: str, start: int, end: int) -> Mapping[str, int]:
        """See :meth:`tui_feeder.monitor.Monitor.sources`."""
        return self._reads.sources(symbol, start, end, self._newest.exchange_time)

    def days(self, symbol: str, start: int, end: int) -> tuple[DayView, ...]:
        """See :meth:`tui_feeder.monitor.Monitor.days`."""
        return self._reads.days(symbol, start, end, self._newest.exchange_time)

    def minute(self, symbol: str, open_time: int) -> MinuteView | None:
        """See :meth:`tui_feeder.monitor.Monitor.minute`."""
        return self._reads.minute(symbol, open_time) if open_time < self._newest.exchange_time else None

    def digests(self, symbol: str, day: int) -> Mapping[str, str]:
        """See :meth:`tui_feeder.monitor.Monitor.digests`; stored candles have none of their own."""
        return {}

    def noted_minutes(self, symbol: str, day: int) -> tuple[int, ...]:
        """See :meth:`tui_feeder.monitor.Monitor.noted_minutes`."""
        now = self._newest.exchange_time
        return tuple(at for at in self._reads.noted_minutes(symbol, day) if at < now)

    def numbers(self, symbol: str) -> SymbolNumbers | None:
        """See :meth:`tui_feeder.monitor.Monitor.numbers`."""
        message = next((replay.message for replay in self._replays if replay.symbol == symbol), None)
        return symbol_numbers(self._store, message)

    def retry_gaps(self, symbol: str | None = None) -> None:
        """Logs that a replay downloads nothing.

        Args:
            symbol: not used.
        """
        self._request(lambda: self._note("warning", "a replay fetches nothing: feeder-tui backfill does"))

    def acknowledge(self, number: int | None = None) -> None:
        """See :meth:`tui_feeder.monitor.Monitor.acknowledge`."""

        def seen() -> None:
            for at, view in enumerate(self._alerts):
                if number in (None, view.number):
                    self._alerts[at] = replace(view, acknowledged=True)

        self._request(seen)

    def save_rule(self, rule: RuleView, replaces: str = "") -> Future[str]:
        """Changes nothing: a replay evaluates the rules of the configuration.

        Args:
            rule: not used.
            replaces: not used.

        Returns:
            Why not.
        """
        return _refused()

    def delete_rule(self, rule: RuleView) -> Future[str]:
        """Changes nothing, see :meth:`save_rule`.

        Args:
            rule: not used.

        Returns:
            Why not.
        """
        return _refused()

    def listed(self) -> tuple[str, ...]:
        """The symbols that are stored."""
        return self._stored

    def add_symbol(self, symbol: str) -> None:
        """Adds a stored symbol to the replay.

        Args:
            symbol: the symbol.
        """
        if symbol in self._stored:
            self._request(
                lambda: self._set_symbols((*(name for name in self._symbols if name != symbol), symbol))
            )

    def drop_symbol(self, symbol: str) -> None:
        """Removes a symbol from the replay; the last one stays.

        Args:
            symbol: the symbol.
        """
        self._request(lambda: self._set_symbols(tuple(name for name in self._symbols if name != symbol)))

    def _set_symbols(self, symbols: tuple[str, ...]) -> None:
        self._symbols = symbols or self._symbols
        with self._lock:
            self._target = self._reached if self._target is None else self._target

    def _request(self, what: Callable[[], None]) -> None:
        self._requests.put(what)
        self._wake.set()


def _refused() -> Future[str]:
    result: Future[str] = Future()
    result.set_result(_LOCKED)
    return result


def _gap(symbol: str, start: int, end: int) -> GapView:
    minutes = (end - start) // MINUTE_MS
    return GapView(symbol, start, end, minutes, "missing", 0, "", "it is not stored", None)
