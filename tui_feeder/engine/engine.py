"""The engine: starts, supervises and stops the parts, and brings each symbol from nothing to live."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import logging
import time
from collections.abc import Sequence
from functools import partial

from tui_feeder.config import Config
from tui_feeder.engine import telling
from tui_feeder.engine.alerts.desk import AlertDesk
from tui_feeder.engine.alerts.health import health_of
from tui_feeder.engine.alerts.outputs import configured_outputs
from tui_feeder.engine.alerts.settings import alert_rules
from tui_feeder.engine.backoff import Backoff
from tui_feeder.engine.ban import keep_ban, known_ban
from tui_feeder.engine.binance.archive import ArchiveClient
from tui_feeder.engine.binance.rest import RestClient, RestError, SymbolInfo
from tui_feeder.engine.binance.stream import Handlers, MarketStreams
from tui_feeder.engine.bringup import BringUp
from tui_feeder.engine.candle import MINUTE_MS, SECOND_MS, Candle, Source, to_rows
from tui_feeder.engine.clock import ExchangeClock
from tui_feeder.engine.coverage import span
from tui_feeder.engine.history import SURE_MS, History
from tui_feeder.engine.intake import Intake
from tui_feeder.engine.journal import Journal
from tui_feeder.engine.latency import Latency
from tui_feeder.engine.message import Message
from tui_feeder.engine.numbers_keeper import NumbersKeeper
from tui_feeder.engine.profile_keeper import ProfileKeeper
from tui_feeder.engine.recovery import Recovery
from tui_feeder.engine.roster import Tracked, choose_symbols
from tui_feeder.engine.sinks import Sink
from tui_feeder.engine.store import Store
from tui_feeder.engine.supervisor import Supervisor
from tui_feeder.engine.threads import working_thread
from tui_feeder.engine.timekeeping import Timekeeper

log = logging.getLogger(__name__)

_CLOSE_DEADLINE_MS = 3 * SECOND_MS
_BUILT_AGAIN_SECONDS = 10.0
_LISTINGS_MS = 5 * MINUTE_MS


class EngineError(Exception):
    """The engine cannot do what was asked; the message says why and what to do."""


class Engine:
    """One run of the feeder. Make it and call :meth:`run` on its own loop.

    Args:
        config: the whole configuration.
        store: the opened store; the engine closes it.
        sinks: where messages go; the engine closes them.

    Raises:
        EngineError: from :meth:`run`, where the symbols or the store make no sense.
    """

    def __init__(self, config: Config, store: Store, sinks: Sequence[Sink] = ()) -> None:
        self.config = config
        self.store = store
        self.sinks = tuple(sinks)
        exchange = config.exchange
        self.clock = ExchangeClock(exchange.clock_rate)
        self.journal = Journal(self.clock.now)
        self.supervisor = Supervisor(self.journal)
        self.rest = RestClient(
            exchange.rest_url,
            self.clock,
            timeout=exchange.request_timeout_seconds,
            banned_until=known_ban(store, self.clock),
            on_ban=partial(keep_ban, store, self.clock),
        )
        self._timekeeper = Timekeeper(self.clock, self.rest, self.journal, self._clock_was_ahead)
        self.state = "starting"
        self.tracked: dict[str, Tracked] = {}
        self.listed: dict[str, SymbolInfo] = {}  # what the exchange listed when it was asked last
        self._wanted: tuple[str, ...] = config.application.symbols
        self._dropped: set[str] = set()  # let go by the user, whatever pattern they match
        self._replaced = False  # the wanted symbols are others than those of the start
        self._listings_due = asyncio.Event()
        self.streams: MarketStreams | None = None
        self._minute_log: dict[int, int] = {}
        self._workers = working_thread()
        self._stopping = asyncio.Event()
        self.archive = ArchiveClient(
            exchange.archive_url,
            self._workers,
            concurrency=exchange.archive_concurrency,
            timeout=exchange.request_timeout_seconds,
        )
        self.history = History(
            self.rest,
            self.archive,
            store,
            self.journal,
            self.clock.now,
            monthly_threshold_months=config.application.monthly_threshold_months,
            concurrency=exchange.archive_concurrency,
        )
        self.intake = Intake(store, self.journal, self, self.history.quarantine)
        self.recovery = Recovery(
            self.history,
            store,
            self.intake,
            self.journal,
            self.clock,
            deadline_seconds=config.application.recovery_deadline_seconds,
            rebuild=self._rebuild,
        )
        self.minute_latency, self.frame_latency = Latency(), Latency()
        self.alerts = AlertDesk(
            alert_rules(config),
            configured_outputs(config, store, self.journal),
            self.journal,
            self.clock,
            bell=config.alerts.bell,
        )
        self.profiles = ProfileKeeper(config, store, self.journal, self._workers)
        self.numbers = NumbersKeeper(config, store, self.journal, self.intake, self._workers)
        self.bring_up = BringUp(
            config,
            store,
            self.history,
            self.intake,
            self.journal,
            self.clock,
            self._workers,
            self.rest,
            self.numbers,
            self._send,
        )

    # --- life ----------------------------------------------------------------------------------

    def request_stop(self) -> None:
        """Ask for a stop in order. Call it on the engine's loop."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until asked to stop, then drain, flush, commit and close."""
        for sink in self.sinks:
            sink.start(self.journal)
        try:
            started = asyncio.create_task(self._start())
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait((started, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not started.done():
                started.cancel()
            elif (error := started.exception()) is not None:
                self.state = "failed"
                raise error
            await self._stopping.wait()
            stopping.cancel()
        finally:
            await self._stop()

    async def _start(self) -> None:
        listed = self.listed = await self._connect()
        symbols = choose_symbols(self._wanted, listed)
        if not any(symbol in listed for symbol in symbols):
            near = [hint for symbol in symbols if (hint := _near(symbol, listed))]
            guess = f" (did you mean {near[0]}?)" if near else ""
            raise EngineError(
                f"the exchange at {self.rest.base_url} lists none of {', '.join(symbols)}{guess}: "
                "check application.symbols or --symbols"
            )
        self._check_store_age(symbols)
        handlers = Handlers(self._frame, lambda kind, text: self.journal.fault(f"stream: {kind}", text))
        self.streams = MarketStreams(self.config.exchange.stream_url, [], self.clock, handlers)
        self.state = "backfill"
        self.assign(symbols, listed)
        self.supervisor.start("streams", self.streams.run)
        self.supervisor.start("closer", self._close_by_deadline)
        self.supervisor.start("clock", self._timekeeper.run)
        self.supervisor.start("listings", self._follow_listings)
        app = self.config.application
        if app.gap_detection_enabled and app.periodic_gap_detection_enabled:
            self.supervisor.start("gap check", self._check_gaps)
        self.supervisor.start("progress", self._tell_progress)
        self.supervisor.start("profiles", self.profiles.run)
        self.supervisor.start("numbers", self.numbers.run)
        self.supervisor.start("alerts", partial(self.alerts.watch, partial(health_of, self)))
        for output in self.alerts.outputs:
            self.supervisor.start(f"alert {output.name}", output.run)

    def assign(self, symbols: Sequence[str], listed: dict[str, SymbolInfo]) -> None:
        """Follow exactly ``symbols``: new ones are brought up, those that stay are left alone.

        Args:
            symbols: names, each once.
            listed: what the exchange lists now.
        """
        for name in [name for name in self.tracked if name not in symbols]:
            del self.tracked[name]
            self.recovery.drop(name)
            self.intake.lanes.pop(name, None)
            self.supervisor.cancel(f"history {name}")
            self.alerts.forget(name)
            self.journal.note("info", "followed no longer", name)
        for name in symbols:
            one = self.tracked.setdefault(name, Tracked(name))
            one.info = listed.get(name, one.info)
            if name not in listed and one.phase == "waiting":
                one.phase, one.reason = "unknown", "the exchange does not list it"
                guess = f" (did you mean {hint}?)" if (hint := _near(name, listed)) else ""
                self.journal.note("error", f"the exchange does not list this symbol{guess}", name)
            elif not _trades(listed.get(name)) and one.phase in ("live", "backfill"):
                one.phase, one.reason = "delisted", "the exchange trades it no longer"
                self.recovery.drop(name)
                self.journal.note("warning", one.reason, name)
            elif one.phase == "waiting" or (
                one.phase in ("unknown", "delisted") and _trades(listed.get(name))
            ):
                one.phase, one.reason = "waiting", "its turn comes"
                if not self.supervisor.alive(f"history {name}"):
                    self.supervisor.start(f"history {name}", partial(self._bring_up, one))
        if self.streams is not None:
            self.streams.assign([one.symbol for one in self.tracked.values() if one.info is not None])

    async def _connect(self) -> dict[str, SymbolInfo]:
        """The exchange's clock and symbols; tried for ever."""
        backoff = Backoff()
        while True:
            try:
                await self.rest.sync_clock()
                listed = await self.rest.symbols()
            except RestError as error:
                wait = backoff.next()
                if error.retry_ms is not None:
                    wait = max(wait, self.clock.real_seconds(error.retry_ms - self.clock.now()))
                self.journal.note("warning", f"exchange not ready: {error}; tried again in {wait:.0f} s")
                await asyncio.sleep(wait)
                continue
            self.journal.note(
                "info", f"connected to {self.rest.base_url}: {len(listed)} symbols listed, "
                f"exchange time {telling.clock(self.clock.now())}",
            )  # fmt: skip
            return listed

    def _check_store_age(self, symbols: list[str]) -> None:
        """Refuse candles from the exchange's future: the store is of another (simulated) run."""
        ahead = [s for s in symbols if (p := self.store.present(s)) and p.end > self.clock.now() + MINUTE_MS]
        if ahead:
            end = telling.clock(self.store.present(ahead[0]).end)
            raise EngineError(
                f"the store {self.store.path} holds minutes of {ahead[0]} up to {end}, but the "
                f"exchange's clock is at {telling.clock(self.clock.now())}: name another with --storage"
            )

    async def _stop(self) -> None:
        """Stop intake, drain, flush, commit, close, within the time set."""
        self.state = "stopping" if self.state != "failed" else "failed"
        deadline = time.monotonic() + self.config.service.shutdown_timeout_seconds
        await self.supervisor.stop()
        await self.recovery.stop()
        try:
            await asyncio.wait_for(self.intake.drained(), max(0.1, deadline - time.monotonic()))
        except TimeoutError:
            self.journal.note("error", "minutes still waited for their commit when the time to stop was over")
        self.numbers.keep_all()
        loop = asyncio.get_running_loop()
        for sink in self.sinks:
            await loop.run_in_executor(None, sink.close, max(0.1, deadline - time.monotonic()))
        await self.rest.close()
        await self.archive.close()
        self._workers.shutdown(wait=True, cancel_futures=True)
        await loop.run_in_executor(None, self.store.close)
        if self.state != "failed":
            self.state = "stopped"

    async def _bring_up(self, one: Tracked) -> None:
        try:
            await self.bring_up.run(one, self.recovery)
        except Exception as error:
            self.crashed(one.symbol, error)
            return
        self.profiles.begin(one.symbol)
        if all(other.phase not in ("waiting", "backfill") for other in self.tracked.values()):
            self.state = "live"
            self.journal.note("info", f"live: {len(self.tracked)} symbols")
            symbols = [other.symbol for other in self.tracked.values() if other.phase == "live"]
            self.supervisor.start("zero minutes", partial(self._settle_zeros, symbols), restart=False)

    async def _settle_zeros(self, symbols: list[str]) -> None:
        """Minutes without a trade in most symbols are read again, and what rests on wrong ones with them."""
        for symbol, since in (await self.history.settle_shared_zeros(symbols)).items():
            await self._rebuild(symbol, since)

    async def _rebuild(self, symbol: str, since: int) -> None:
        """Minutes from ``since`` on were repaired after the indicators had passed them: count again."""
        one = self.tracked.get(symbol)
        if one is not None and one.phase == "live":
            self.journal.count("pipelines rebuilt")
            try:
                await self.bring_up.open_lane(one, since)
            except Exception as error:
                self.crashed(symbol, error)
                return
            self.profiles.repaired(symbol)

    # --- parts ---------------------------------------------------------------------------------

    def _frame(self, symbol: str, candle: Candle, closed: bool, event_ms: int) -> None:
        now = self.clock.now()
        self.frame_latency.observe((now - event_ms) / 1000)
        try:
            if closed:
                self.intake.closed(symbol, candle, Source.STREAM, now)
            else:
                self.intake.forming(symbol, candle, now)
        except Exception as error:  # the other symbols of the socket have no part in it
            self.crashed(symbol, error)

    async def _close_by_deadline(self) -> None:
        """A minute whose closing frame has not come in time is read by REST."""
        deadline = self.clock.at_least(_CLOSE_DEADLINE_MS, 0.35)
        while True:
            minute_end = (self.clock.now() - deadline) // MINUTE_MS * MINUTE_MS + MINUTE_MS
            await self.clock.sleep_until(minute_end + deadline)
            for one in self.tracked.values():
                lane = self.intake.lane(one.symbol)
                if one.phase == "live" and lane.next is not None and lane.next < minute_end:
                    self.recovery.need(one.symbol, lane.next, minute_end, "no closing frame in time")

    def _clock_was_ahead(self, since: int, until: int) -> None:
        """Minutes that were taken for over may not have been: read them again when they are."""
        low = (since - SURE_MS) // MINUTE_MS * MINUTE_MS - MINUTE_MS
        for one in self.tracked.values():
            if one.start:  # also what is on its way to the store
                self.recovery.confirm(one.symbol, span(max(low, one.start), until // MINUTE_MS * MINUTE_MS))

    def follow(self, wanted: Sequence[str]) -> None:
        """Follow exactly these names and patterns from now on. Call it on the engine's loop."""
        self._wanted, self._replaced = tuple(wanted), True
        self._dropped.clear()
        self._listings_due.set()

    def add_symbol(self, symbol: str) -> None:
        """Follow this one too. Call it on the engine's loop."""
        self._dropped.discard(symbol)
        if symbol not in self._wanted:
            self._wanted = (*self._wanted, symbol)
        self._listings_due.set()

    def drop_symbol(self, symbol: str) -> None:
        """Follow this one no longer; what is stored stays. Call it on the engine's loop."""
        self._dropped.add(symbol)
        self._wanted = tuple(name for name in self._wanted if name != symbol)
        self._listings_due.set()

    async def _follow_listings(self) -> None:
        """Symbols that come and go: patterns take in new ones, those that leave are shown as such."""
        while True:
            pause = self.clock.real_seconds(self.clock.at_least(_LISTINGS_MS, 20.0))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):  # wait_for of Python 3.11 can lose a cancellation
                    await self._listings_due.wait()
            self._listings_due.clear()
            try:
                listed = await self.rest.symbols()
            except RestError as error:
                self.journal.fault("listings not read", str(error))
                continue
            self.listed = listed
            # One that the exchange let go stays on the screen and says so; one the user let go does not.
            names = dict.fromkeys(() if self._replaced else self.tracked)
            names |= dict.fromkeys(choose_symbols(self._wanted, listed))
            self._replaced = False
            self.assign([name for name in names if name not in self._dropped], listed)

    async def _check_gaps(self) -> None:
        app = self.config.application
        while True:
            pause = app.periodic_gap_check_interval_minutes * MINUTE_MS
            await self.clock.sleep_until(self.clock.now() + self.clock.at_least(pause, 5.0))
            end = self.bring_up.closed_until() - MINUTE_MS
            for one in self.tracked.values():
                if one.phase == "live":
                    low = max(one.start, end - app.periodic_gap_check_window_minutes * MINUTE_MS)
                    for start, stop in self.store.present(one.symbol).missing(low, end):
                        self.recovery.need(one.symbol, start, stop, "found by the periodic check")

    async def _tell_progress(self) -> None:
        """A log line every few seconds while history is read."""
        shown = time.monotonic()
        while self.state == "backfill":
            await asyncio.sleep(0.25)
            if time.monotonic() - shown >= 3.0:
                shown = time.monotonic()
                log.info("%s", telling.progress(self.tracked.values()))

    # --- what the intake reports ---------------------------------------------------------------

    def committed(self, symbol: str, candle: Candle, message: Message, payload: bytes) -> None:
        """A minute is stored: show it, send it."""
        one = self.tracked.get(symbol)
        if one is None:  # followed no longer
            return
        one.before_last = one.last.close if one.last is not None else None
        one.message, one.last = message, candle
        if candle.trades:
            one.last_traded = candle.open_time
        one.day.add(candle)
        if (pipeline := self.intake.lane(symbol).pipeline) is not None:
            one.states = pipeline.timeframe_states()
        one.messages += 1
        self.profiles.committed(symbol, candle.open_time)
        self.minute_latency.observe((self.clock.now() - candle.open_time - MINUTE_MS) / 1000)
        self._send(symbol, message, payload)
        self.alerts.minute(candle, message)
        self._tell_minute(candle.open_time)

    def _send(self, symbol: str, message: Message, payload: bytes) -> None:
        for sink in self.sinks:
            try:
                sink.publish(symbol, message.timestamp, payload)
            except Exception as error:  # a sink's fault is none of the others'
                self.journal.fault(f"{sink.name} refused a message", repr(error), symbol)
        self.journal.count("messages")

    def _tell_minute(self, minute: int) -> None:
        """One log line for each minute that every live symbol has closed."""
        closed = self._minute_log[minute] = self._minute_log.get(minute, 0) + 1
        live = [one for one in self.tracked.values() if one.phase == "live"]
        if closed >= len(live):
            for old in [at for at in self._minute_log if at <= minute]:
                del self._minute_log[old]
            log.info("%s", telling.minute(minute, closed, live, self.clock.now()))

    def hole(self, symbol: str, start: int, end: int) -> None:
        """Minutes are missing before one that waits."""
        if symbol in self.tracked and self.tracked[symbol].phase == "live":
            self.recovery.need(symbol, start, end, "the stream went on without these minutes")

    def missed(self, symbol: str, candle: Candle, source: Source) -> None:
        """A minute came after its lane had gone on without it."""
        self.journal.count("late minutes")

        async def repair() -> None:
            await asyncio.wrap_future(self.store.put(symbol, to_rows([candle]), source))
            await self._rebuild(symbol, candle.open_time)

        self.supervisor.start(f"repair {symbol} {candle.open_time}", repair, restart=False)

    def crashed(self, symbol: str, error: BaseException) -> None:
        """A symbol's pipeline or commit failed: it alone stops, is rebuilt, and tried again."""
        one = self.tracked.get(symbol)
        if one is None:
            return
        log.error("pipeline of %s crashed", symbol, exc_info=error)
        self.journal.count("pipeline crashes")
        if one.phase == "failed":  # several of its commits fail at once
            return
        one.phase, one.reason = "failed", repr(error)
        self.intake.hold(symbol)
        self.intake.lane(symbol).next = None  # the watermark tells where to go on
        text = f"its pipeline crashed: {error!r}; built again in {_BUILT_AGAIN_SECONDS:g} s"
        self.journal.note("error", text, symbol)

        async def again() -> None:
            await asyncio.sleep(_BUILT_AGAIN_SECONDS)
            await self._bring_up(one)

        self.supervisor.start(f"history {symbol}", again)


def _trades(info: SymbolInfo | None) -> bool:
    return info is not None and info.status == "TRADING"


def _near(symbol: str, listed: dict[str, SymbolInfo]) -> str | None:
    """The listed symbol that was probably meant."""
    return next(iter(difflib.get_close_matches(symbol, listed, 1)), None)
