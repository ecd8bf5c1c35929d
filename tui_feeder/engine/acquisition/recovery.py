"""From holes to filled gaps: what is missing is asked for until it is there or no source has it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from operator import attrgetter

from tui_feeder.engine.acquisition.backfill import FillResult, History
from tui_feeder.engine.acquisition.fill_progress import FillProgress
from tui_feeder.engine.acquisition.ingest import Ingest
from tui_feeder.engine.core.candle import MINUTE_MS, SECOND_MS
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.exchanges.base import Exchange, Refusal
from tui_feeder.engine.storage.store import Store, Unavailable
from tui_feeder.monitor import GapView

log = logging.getLogger(__name__)

_RECENT_GAPS = 30
_FIRST_WAIT_MS = 2 * SECOND_MS
_LONGEST_WAIT_MS = 60 * MINUTE_MS
_UNAVAILABLE_AFTER = 4  # tries in which no source had anything
_FLOOR_SECONDS = 0.5
_CONFIRM_AGAIN_MS = 60 * SECOND_MS
#: Likewise of a symbol that the exchange does not know any more.
_CONFIRM_GONE_AGAIN_MS = 3_600_000
_AFTER_CRASH_MS = 10 * SECOND_MS
_start_of = attrgetter("start")


@dataclass(slots=True, eq=False)  # each is itself: two are never compared by their fields
class Gap:
    """A hole in a symbol's minutes and what was done about it. Instants are exchange ms."""

    symbol: str
    start: int
    end: int
    opened: int
    reason: str
    state: str = "queued"
    tries: int = 0
    source: str = ""
    next_try: int = 0
    missing: int = 0
    given_up: bool = False  # the queue went on without it
    refused: bool = False  # the last try ended with a source that refused, not with one that lacks it
    joining: bool = False  # between a loaded history and the live stream
    tracker: FillProgress | None = None  # of the try that is under way
    closed: int | None = None  # when it was filled

    @property
    def notable(self) -> bool:
        """Whether people should see it: not a minute or a join that the first try settles."""
        return self.given_up or self.tries > 1 or (self.end - self.start > MINUTE_MS and not self.joining)

    def view(self) -> GapView:
        """What a screen may know."""
        progress = self.tracker.view() if self.tracker is not None else None
        return GapView(
            self.symbol, self.start, self.end,
            max(0, self.missing - (progress.rows_done if progress is not None else 0)),
            self.state, self.tries, (progress.source if progress is not None else "") or self.source,
            self.reason, self.next_try if self.state in ("queued", "unavailable") else None,
            progress.eta_seconds if progress is not None else None, self.closed,
        )  # fmt: skip


class Recovery:
    """Heals the gaps of every symbol, a task a symbol while it has any.

    Args:
        deadline_seconds: exchange seconds a queue waits for the minutes before it goes on.
        rebuild: called when minutes that a symbol's indicators had passed were filled or changed.
    """

    def __init__(
        self,
        history: History,
        store: Store,
        ingest: Ingest,
        journal: Journal,
        exchange: Exchange,
        *,
        deadline_seconds: float,
        rebuild: Callable[[str, int], Awaitable[None]],
    ) -> None:
        self.closed: deque[Gap] = deque(maxlen=_RECENT_GAPS)
        self._history = history
        self._store = store
        self._ingest = ingest
        self._journal = journal
        self._exchange = exchange
        self._clock = exchange.clock
        self._deadline = self._clock.at_least(int(deadline_seconds * SECOND_MS), 2.0)
        self._rebuild = rebuild
        self._gaps: dict[str, list[Gap]] = {}  # of each symbol: sorted, disjoint
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wake: dict[str, asyncio.Event] = {}
        self._unconfirmed: dict[str, Coverage] = {}  # read so soon after their end that they may still change
        self._confirming: dict[str, asyncio.Task[None]] = {}
        #: Called with minutes that REST has confirmed.
        self.on_confirmed: Callable[[str, Coverage], None] = lambda *_: None

    def open_gaps(self) -> list[Gap]:
        """Every gap that is not filled, by symbol and time."""
        return [gap for gaps in self._gaps.values() for gap in gaps]

    def missing_minutes(self, symbol: str) -> int:
        """Counts the minutes of a symbol's open gaps.

        Args:
            symbol: the symbol.

        Returns:
            Number of minutes.
        """
        return sum(gap.missing for gap in self._gaps.get(symbol, ()))

    def request(self, symbol: str, start: int, end: int, reason: str, *, joining: bool = False) -> None:
        """Opens a gap, or extends one; repeated for the same minutes it changes nothing.

        Args:
            symbol: the symbol.
            start: first missing minute, ms.
            end: exclusive, ms.
            reason: why they are missing, for people.
            joining: they lie between a loaded history and the live stream: not shown as a gap unless the
                first try fails.
        """
        gaps = self._gaps.setdefault(symbol, [])
        for low, high in self._outside(gaps, start, end):
            before = self._gap_at(gaps, low - MINUTE_MS)
            if before is not None and before.state != "unavailable":
                before.end = high
                before.missing += (high - low) // MINUTE_MS
            else:
                self._insert(gaps, Gap(symbol, low, high, self._clock.now(), reason, joining=joining))
        self._ensure_task(symbol)
        queue = self._ingest.queue(symbol)
        if queue.next is not None and self._ingest.is_blocked(symbol):
            gap = self._gap_at(gaps, queue.next)
            if gap is not None:
                gap.next_try = min(gap.next_try, max(self._clock.now(), self._deadline_of(gap, queue.next)))

    @staticmethod
    def _gap_at(gaps: list[Gap], minute: int) -> Gap | None:
        """The gap that a minute is in."""
        at = bisect_right(gaps, minute, key=_start_of) - 1
        return gaps[at] if at >= 0 and minute < gaps[at].end else None

    @staticmethod
    def _outside(gaps: list[Gap], start: int, end: int) -> Coverage:
        """The minutes of ``[start, end)`` that are in no gap."""
        at = max(0, bisect_right(gaps, start, key=_start_of) - 1)
        near = []
        while at < len(gaps) and gaps[at].start < end:
            near.append((gaps[at].start, gaps[at].end))
            at += 1
        return span(start, end).subtract(Coverage(near))

    def _insert(self, gaps: list[Gap], gap: Gap) -> None:
        gap.missing = (gap.end - gap.start) // MINUTE_MS
        gap.next_try = gap.next_try or gap.end + self._exchange.facts(gap.symbol).settle_ms
        gaps.insert(bisect_right(gaps, gap.start, key=_start_of), gap)

    def _ensure_task(self, symbol: str) -> None:
        """Have the gaps of a symbol looked at."""
        if self._gaps[symbol] and (symbol not in self._tasks or self._tasks[symbol].done()):
            self._wake[symbol] = asyncio.Event()
            self._tasks[symbol] = asyncio.create_task(self._fill_gaps(symbol), name=f"recovery {symbol}")
        elif symbol in self._wake:  # it may be waiting for a gap that is tried much later
            self._wake[symbol].set()

    def resume(self, symbol: str) -> None:
        """Restores ranges that were found unavailable, by an earlier run or before the symbol crashed.

        Args:
            symbol: the symbol.
        """
        settled, now = self._store.settled(symbol), self._clock.now()
        gaps = self._gaps.setdefault(symbol, [])
        for known in self._store.unavailable(symbol):
            for start, end in settled.missing(known.start, known.end):
                for low, high in self._outside(gaps, start, end):  # an open gap is left as it is
                    gap = Gap(
                        symbol, low, high, now, known.reason, "unavailable", known.tries,
                        next_try=known.next_try, given_up=True,
                    )  # fmt: skip
                    self._insert(gaps, gap)
        self._ensure_task(symbol)

    def retry(self, symbol: str | None = None) -> None:
        """Retries gaps now instead of at their next scheduled try.

        Args:
            symbol: the symbol; None for all.
        """
        for name, gaps in self._gaps.items():
            if symbol in (None, name):
                for gap in gaps:
                    gap.next_try = 0
                if name in self._wake:
                    self._wake[name].set()

    def retry_refused(self) -> None:
        """A source that refused answers again: what it refused is tried now, whenever it was to be."""
        now = self._clock.now()
        for symbol, gaps in self._gaps.items():
            refused = [gap for gap in gaps if gap.refused and gap.next_try > now]
            for gap in refused:
                gap.next_try = now
            if refused:
                self._wake[symbol].set()

    def retry_one_refused(self) -> bool:
        """Try one gap of those that were refused, to see whether they still are; False: there is none."""
        now = self._clock.now()
        waiting = [
            gap for gaps in self._gaps.values() for gap in gaps
            if gap.refused and gap.state == "queued" and gap.next_try > now
        ]  # fmt: skip
        if not waiting:
            return False
        gap = min(waiting, key=lambda gap: gap.next_try)
        gap.next_try = now
        self._wake[gap.symbol].set()
        return True

    def forget(self, symbol: str) -> None:
        """Drops the gaps of a symbol that is no longer tracked.

        Args:
            symbol: the symbol.
        """
        self._gaps.pop(symbol, None)
        self._unconfirmed.pop(symbol, None)
        self._wake.pop(symbol, None)
        for tasks in (self._tasks, self._confirming):
            if (task := tasks.pop(symbol, None)) is not None:
                task.cancel()

    def confirm(self, symbol: str, minutes: Coverage) -> None:
        """Schedules minutes that REST gave right after their end to be read again when they are final.

        Args:
            symbol: the symbol.
            minutes: the minutes.
        """
        if minutes:
            self._unconfirmed[symbol] = self._unconfirmed.get(symbol, EMPTY).union(minutes)
            if symbol not in self._confirming or self._confirming[symbol].done():
                task = asyncio.create_task(self._confirm(symbol), name=f"confirm {symbol}")
                self._confirming[symbol] = task

    async def _confirm(self, symbol: str) -> None:
        facts = self._exchange.facts(symbol)
        while unconfirmed := self._unconfirmed[symbol]:
            settled = unconfirmed.start + MINUTE_MS + facts.final_ms
            proven = unconfirmed.start + 2 * MINUTE_MS + facts.settle_ms
            # What was read after it had settled waits for nothing but a later minute to prove it.
            await self._clock.sleep_until(settled if self._clock.now() < settled else proven)
            final = (self._clock.now() - facts.final_ms) // MINUTE_MS * MINUTE_MS
            ripe = self._unconfirmed[symbol].clip(0, final)
            done = await self.read_again(symbol, ripe)
            # Also what REST shows no longer, or not for now: it is stored, and nothing has confirmed it.
            left = done.failed.union(done.unconfirmed).union(done.absent)
            self._unconfirmed[symbol] = self._unconfirmed[symbol].subtract(ripe.subtract(left))
            self.on_confirmed(symbol, ripe.subtract(left))
            if left:
                gone = done.kind is Refusal.UNKNOWN_SYMBOL
                again = _CONFIRM_GONE_AGAIN_MS if gone else _CONFIRM_AGAIN_MS
                await self._clock.sleep_until(self._clock.now() + again)

    async def read_again(self, symbol: str, minutes: Coverage) -> FillResult:
        """Reads stored minutes by REST; what rests on values that were wrong is published again.

        Args:
            symbol: the symbol.
            minutes: the minutes.

        Returns:
            What REST gave, and what is left.
        """
        try:
            done = await self._history.confirm(symbol, minutes)
        except Exception as error:
            self._journal.note("error", f"a minute could not be confirmed: {error!r}", symbol)
            return FillResult(failed=minutes, reason=repr(error))
        if done.changed:
            self._journal.count("minutes_corrected_by_rest", len(done.changed))
            passed = self._ingest.queue(symbol).next
            if passed is not None and min(done.changed) < passed:
                await self._rebuild(symbol, min(done.changed))
        return done

    async def stop(self) -> None:
        """End every task."""
        tasks = [task for task in (*self._tasks.values(), *self._confirming.values()) if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fill_gaps(self, symbol: str) -> None:
        gaps, wake = self._gaps[symbol], self._wake[symbol]
        while gaps:
            now = self._clock.now()
            due = [gap for gap in gaps if gap.next_try <= now]
            if not due:
                wake.clear()
                seconds = self._clock.real_seconds(min(gap.next_try for gap in gaps) - now)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):  # wait_for of Python 3.11 can lose a cancellation
                        await wake.wait()
                continue
            passed = self._ingest.queue(symbol).next or 0
            due.sort(key=lambda gap: (gap.end <= passed, gap.start))  # what the queue waits for comes first
            late: list[int] = []
            restored = 0
            try:
                # Not bounded over symbols: requests and files are, where they are made. Whoever waits for a
                # slow file must not keep another symbol's newest minute waiting.
                for gap in due:
                    came, same = await self._attempt(gap)
                    late += came
                    restored += same
                await self._recount(symbol, late, restored)
                filled = [gap for gap in due if not gap.missing]
                for gap in filled:
                    gaps.remove(gap)
                    self._close(gap)
                # Once for all of them: what is kept is written whole.
                if any(gap.state == "unavailable" for gap in due) or self._is_recorded(symbol, filled):
                    await self._record(symbol)
            except Exception as error:
                log.exception("recovery of %s crashed", symbol)
                self._journal.note("error", f"recovery crashed: {error!r}; tried again", symbol)
                for gap in due:
                    gap.state = "queued"
                    gap.next_try = self._clock.now() + self._clock.at_least(_AFTER_CRASH_MS, 2.0)

    async def _recount(self, symbol: str, late: list[int], restored: int) -> None:
        """Minutes came that the queue had passed: all that follows is published again, once for all of them.

        Where damaged days came back with the values they had, nothing published is wrong.
        """
        unfinished = self._store.unpublished(symbol).union(self._store.stale_published(symbol))
        late = [*late, *(start for start, _ in unfinished)]
        passed = self._ingest.queue(symbol).next
        if late and passed is not None and min(late) < passed:
            await self._rebuild(symbol, min(late))
        elif restored and passed is not None:  # the pipeline may have read without them
            await self._rebuild(symbol, passed)
        self._ingest.advance(symbol)

    async def _attempt(self, gap: Gap) -> tuple[list[int], int]:
        """One try at what is still missing of a gap; sets its state and next try.

        Returns:
            Open times of minutes that came or changed although the queue had passed them, and how many
            minutes of damaged days came back with the values they had.
        """
        symbol = gap.symbol
        # Only what has settled: a gap at the end of time grows while it is being filled.
        settle_ms = self._exchange.facts(symbol).settle_ms
        settled = (self._clock.now() - settle_ms) // MINUTE_MS * MINUTE_MS
        missing = self._store.settled(symbol).missing(gap.start, min(gap.end, settled))
        gap.state, gap.source = "filling", "REST"
        filled = FillResult()
        if missing:
            gap.tries += 1
            gap.tracker = tracker = FillProgress(missing.minutes)
            try:
                filled = await self._history.fill(symbol, missing, tracker, urgent=True)
            except Exception as error:
                self._journal.note("error", f"recovery failed: {error!r}", symbol)
                filled.failed, filled.reason = missing, str(error)
            gap.tracker, gap.refused = None, bool(filled.failed)
            gap.missing = self._store.settled(symbol).missing(gap.start, gap.end).minutes
            gap.source = tracker.source or gap.source
            self._journal.count("minutes_recovered", filled.got.minutes)
            self.confirm(symbol, filled.unconfirmed)
        # What the stream brought meanwhile went the usual way.
        late = [*(start for start, _ in self._ingest.uncounted(symbol, filled.got)), *filled.changed]
        if not late:
            self._ingest.advance(symbol)
        left = self._store.settled(symbol).missing(gap.start, gap.end)
        gap.missing = left.minutes
        if left and left.start >= settled:
            gap.state, gap.next_try = "queued", left.start + MINUTE_MS + settle_ms
        elif left:
            self._postpone(gap, filled, left)
        return late, filled.restored

    def _deadline_of(self, gap: Gap, minute: int) -> int:
        """Until when (exchange ms) its queue waits for a minute of a gap."""
        return max(gap.opened, minute + MINUTE_MS) + self._deadline

    def _postpone(self, gap: Gap, filled: FillResult, left: Coverage) -> None:
        """What a gap does until its next try, and whether its queue goes on without it."""
        now = self._clock.now()
        gap.reason = filled.reason or gap.reason
        gap.state = "queued"
        wait = min(_FIRST_WAIT_MS * 2 ** min(gap.tries - 1, 20), _LONGEST_WAIT_MS)
        gap.given_up = gap.given_up or now - gap.opened >= self._deadline
        queue = self._ingest.queue(gap.symbol)
        if queue.next is not None and queue.next in left:
            # The gap may have grown since its beginning was given up: each of its minutes has the same time.
            over = (now - self._deadline) // MINUTE_MS * MINUTE_MS
            behind = left.clip(queue.next, over) if gap.given_up else EMPTY
            if behind and self._ingest.is_blocked(gap.symbol):
                start, end = next(iter(behind))
                minutes = (end - start) // MINUTE_MS
                self._journal.count("minutes_skipped", minutes)
                text = f"goes on without {minutes} minutes: {gap.reason}"
                self._journal.note("warning", text, gap.symbol)
                self._ingest.skip(gap.symbol, end)
        # What waits at the queue must not be slept over.
        if queue.next is not None and queue.next in left and self._ingest.is_blocked(gap.symbol):
            wait = min(wait, max(SECOND_MS, self._deadline_of(gap, queue.next) - now))
        if gap.given_up and not filled.failed and gap.tries >= _UNAVAILABLE_AFTER:
            gap.state = "unavailable"
        gap.next_try = now + self._clock.at_least(wait, _FLOOR_SECONDS)

    def _close(self, gap: Gap) -> None:
        gap.state, gap.closed = "filled", self._clock.now()
        if gap.notable:
            self.closed.append(gap)
            self._journal.count("gaps_filled")
            self._journal.note(
                "info", f"gap of {gap.view().minutes} minutes filled from {gap.source}", gap.symbol
            )
        else:
            self._journal.count("minutes_closed_by_rest")

    def _is_recorded(self, symbol: str, gaps: list[Gap]) -> bool:
        """Whether the store has one of ``gaps`` for unavailable."""
        known = self.unavailable(symbol)
        return any(known.clip(gap.start, gap.end) for gap in gaps)

    async def _record(self, symbol: str) -> None:
        """Keep in the store what no source has, so that a restart knows."""
        settled = self._store.settled(symbol)
        ranges = tuple(
            Unavailable(start, end, gap.reason, gap.tries, gap.next_try)
            for gap in self._gaps.get(symbol, ())
            if gap.state == "unavailable"
            for start, end in settled.missing(gap.start, gap.end)
        )
        await asyncio.wrap_future(self._store.set_unavailable(symbol, ranges))

    def unavailable(self, symbol: str) -> Coverage:
        """Gives the minutes recorded as unavailable.

        Args:
            symbol: the symbol.

        Returns:
            The minutes.
        """
        ranges = [(known.start, known.end) for known in self._store.unavailable(symbol)]
        return Coverage(ranges) if ranges else EMPTY
