"""The engine: starts, supervises and stops the parts, and brings each symbol from nothing to live."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tui_feeder.config import Config
from tui_feeder.engine.acquisition.backfill import History
from tui_feeder.engine.acquisition.checkpoint_writer import CheckpointWriter
from tui_feeder.engine.acquisition.clock_sync import ClockSync
from tui_feeder.engine.acquisition.gap_detection import GapDetection
from tui_feeder.engine.acquisition.history_progress import HistoryProgressMeter, WholeHistory, progress_line
from tui_feeder.engine.acquisition.ingest import Ingest
from tui_feeder.engine.acquisition.listing_notes import ListingNotes
from tui_feeder.engine.acquisition.live_trades import LiveTrades
from tui_feeder.engine.acquisition.queue_opener import QueueOpener
from tui_feeder.engine.acquisition.recovery import Recovery
from tui_feeder.engine.acquisition.repairs import Repairs
from tui_feeder.engine.acquisition.stored_day_check import StoredDayCheck
from tui_feeder.engine.acquisition.subscriptions import Subscriptions
from tui_feeder.engine.acquisition.symbol_startup import SymbolStartup
from tui_feeder.engine.acquisition.tracked_symbol import TrackedSymbol
from tui_feeder.engine.acquisition.trade_days import TradeDays
from tui_feeder.engine.acquisition.trade_id_check import TradeIdCheck
from tui_feeder.engine.alerts.level_history import StoredLevelHistory
from tui_feeder.engine.alerts.manager import AlertManager
from tui_feeder.engine.alerts.outputs import configured_outputs
from tui_feeder.engine.alerts.rule_book import RuleBook
from tui_feeder.engine.alerts.rules import Health
from tui_feeder.engine.alerts.state_store import AlertStateStore
from tui_feeder.engine.analytics.message import Message
from tui_feeder.engine.cluster.ownership import Ownership, SoleOwner
from tui_feeder.engine.core.archive_file import FileKind
from tui_feeder.engine.core.candle import MINUTE_MS, Candle, Source
from tui_feeder.engine.core.coverage import span
from tui_feeder.engine.core.event_names import event_name
from tui_feeder.engine.core.journal import Journal, shortened, warnings_shown
from tui_feeder.engine.core.latency import Latency
from tui_feeder.engine.core.supervisor import Supervisor, heartbeat
from tui_feeder.engine.derived.profile_builder import ProfileBuilder
from tui_feeder.engine.derived.settings import profile_settings
from tui_feeder.engine.exchanges.base import Exchange, StreamHandlers, Streams, StreamSocket
from tui_feeder.engine.health import SymbolHealth, feeder_health
from tui_feeder.engine.minute_log import MinuteLog
from tui_feeder.engine.partitions.writer import PartitionWriter
from tui_feeder.engine.proof.sealing import Sealing
from tui_feeder.engine.sinks import DirectSink, Sink, StoreSink, sink_lags
from tui_feeder.engine.start_checks import check_store_age, check_symbols
from tui_feeder.engine.storage.store import Store
from tui_feeder.engine.stream_history import StreamHistory
from tui_feeder.live_access import GatewayFigures
from tui_feeder.time_format import format_second

log = logging.getLogger(__name__)

_BUILT_AGAIN_SECONDS = 10.0
_HOUR_MS = 60 * MINUTE_MS
#: Phases of symbols that are on their way to live: the engine is, once none is left.
_READING = {"waiting", "backfill"}


class Engine:
    """One run of the feeder. Make it and call :meth:`run` on its own loop.

    Args:
        config: the whole configuration.
        store: the opened store; the engine closes it.
        exchange: what it reads; the engine closes it.
        sinks: where messages go; the engine closes them.
        workers: the thread for computing in bulk; the engine shuts it down.
        ownership: which symbols are this feeder's; None: all. The engine closes its sinks.

    Raises:
        EngineError: from :meth:`run`, where the symbols or the store make no sense.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        exchange: Exchange,
        sinks: Sequence[Sink],
        workers: ThreadPoolExecutor,
        ownership: Ownership | None = None,
    ) -> None:
        self.config = config
        self.store = store
        self.ownership = ownership or SoleOwner()
        self.sinks = (*sinks, *self.ownership.sinks)
        self._begun_at_once = tuple(sinks)
        self.exchange = exchange
        self.clock = exchange.clock
        store.now = exchange.clock.now
        self.journal = Journal(self.clock.now)
        self.supervisor = Supervisor(self.journal)
        self.state = "starting"
        #: What a gateway reported of itself last, and when (monotonic).
        self.gateway: tuple[float, GatewayFigures] | None = None
        self.subscriptions = Subscriptions(config.application.symbols, exchange, self.journal, self)
        self.subscriptions.keep_listings = ListingNotes(store).keep
        self.subscriptions.known_end = store.delivery
        self.tracked = self.subscriptions.tracked
        self._meter = HistoryProgressMeter()
        self._minute_log = MinuteLog(self.clock)
        self.repairs = Repairs(store, self.supervisor, self._rebuild)
        self.workers = workers
        self.last_frame_at = time.monotonic()  # time.monotonic(), of any symbol
        self._stopping = asyncio.Event()
        self._failure: Exception | None = None
        self.history = History(
            exchange,
            store,
            self.journal,
            workers,
            monthly_threshold_months=config.application.monthly_threshold_months,
            concurrency=config.exchange.archive_concurrency,
        )
        self.ingest = Ingest(store, self.journal, self, self.history.quarantine.candle)
        self.recovery = Recovery(
            self.history,
            store,
            self.ingest,
            self.journal,
            exchange,
            deadline_seconds=config.application.recovery_deadline_seconds,
            rebuild=self._rebuild,
        )
        self.trade_id_check = TradeIdCheck(store, self.recovery, self.journal, exchange)
        handlers = StreamHandlers(self._frame, self._stream_fault, trade_ids=self.trade_id_check.frame)
        self.streams: Streams = exchange.streams(handlers)
        self.live_trades = LiveTrades(
            config.trades, store, exchange, self.journal, self.ingest, self.supervisor, self._closed,
            self._counts_trades, self._count_again,
        )  # fmt: skip
        app = config.application
        self.gap_detection = GapDetection(
            self.tracked,
            self.ingest,
            self.recovery,
            store,
            exchange,
            interval_minutes=app.periodic_gap_check_interval_minutes,
            window_minutes=app.periodic_gap_check_window_minutes,
        )
        self.partitions: PartitionWriter | None = None
        self._months: PartitionWriter | None = None
        partitions, inputs = config.parquet, (store, self.clock, self.journal, workers, self._live_symbols)
        if partitions.enabled:
            self.partitions = PartitionWriter(partitions.folder, *inputs)
        if partitions.months_folder is not None:
            self._months = PartitionWriter(partitions.months_folder, *inputs, FileKind.MONTH)
        self._clock_sync = ClockSync(exchange, self.journal, self.gap_detection.clock_was_ahead)
        self.minute_latency, self.frame_latency = Latency(), Latency()
        self.rule_book = RuleBook(config, store, self.journal)
        self.alerts = AlertManager(
            self.rule_book.rules,
            configured_outputs(config, store, self.journal),
            self.journal,
            self.clock,
            AlertStateStore(store, config, self.journal),
            StoredLevelHistory(store, config),
            bell=config.alerts.bell,
            publishes_past=config.cluster.enabled,
        )
        self.profiles = ProfileBuilder(config, store, self.journal, self.workers)
        self.checkpoints = CheckpointWriter(config, store, self.journal, self.ingest, self.workers)
        self.stored_day_check = StoredDayCheck(
            store,
            self.journal,
            self.workers,
            self.tracked,
            self.gap_detection.day_damaged,
            min_free_bytes=config.service.ready_free_mb << 20,
        )
        self.queue_opener = QueueOpener(
            config,
            store,
            self.ingest,
            self.journal,
            self.clock,
            self.workers,
            self.checkpoints,
            self._send,
        )
        self.startup = SymbolStartup(
            config,
            store,
            self.history,
            self.ingest,
            self.journal,
            exchange,
            self.queue_opener,
            self.phases_changed,
        )
        self.stream_history = StreamHistory(lambda: self.streams.sockets)
        self.sealing: Sealing | None = None
        self.health = SymbolHealth(self.tracked, self.ingest, self.clock, self.journal, self._socket_of)
        exchange.on_reached = self._rest_reached
        exchange.on_unusable = partial(self.journal.unusable, "unusable_rest_rows")

    # --- life ----------------------------------------------------------------------------------

    def request_stop(self) -> None:
        """Ask the engine to shut down cleanly. Call it on the engine's loop."""
        self._stopping.set()

    def fail(self, error: Exception) -> None:
        """Ends the engine, which cannot go on. Call it on the engine's loop.

        Args:
            error: raised by :meth:`run`.
        """
        self._failure = error
        self._stopping.set()

    async def run(self) -> None:
        """Run until asked to stop, then drain, flush, commit and close."""
        with warnings_shown(self.journal):
            await self._run()

    async def _run(self) -> None:
        for sink in self._begun_at_once:
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
            if self._failure is not None:
                self.state = "failed"
                raise self._failure
        finally:
            await self._stop()

    async def _start(self) -> None:
        if self.config.proof.enabled:  # a key that cannot be used shall not be found out tomorrow
            self.sealing = Sealing(
                self.config.proof,
                self.store,
                self.exchange,
                self.history,
                self.journal,
                self.workers,
                self.tracked,
                self._rebuild,
                concurrency=self.config.exchange.archive_concurrency,
                more=self._leaf_fields,
            )
        subscriptions = self.subscriptions
        await subscriptions.connect()
        symbols = subscriptions.chosen()
        wanted = self.config.application.symbols
        check_symbols(symbols, wanted, subscriptions, self.store, self.exchange.address)
        check_store_age(symbols, self.store, self.clock.now())
        subscriptions.subscribe = self._subscribe
        self.queue_opener.on_resumed = self.ownership.resumed
        await self.ownership.join(self)
        self.state = "backfill"
        subscriptions.owns = self.ownership.owns
        subscriptions.assign(symbols)
        self.supervisor.start("streams", self.streams.run)
        self.supervisor.start("closer", self.gap_detection.watch_closes)
        self.supervisor.start("trade ids", self.trade_id_check.watch)
        self.supervisor.start("clock", self._clock_sync.run)
        self.supervisor.start("listings", subscriptions.run)
        self.supervisor.start("ownership", self.ownership.run)
        app = self.config.application
        if app.gap_detection_enabled and app.periodic_gap_detection_enabled:
            self.supervisor.start("gap check", self.gap_detection.check_periodically)
        self.supervisor.start("progress", self._log_progress)
        self.supervisor.start("health", self.health.run)
        self.supervisor.start("stream history", self.stream_history.run)
        self.supervisor.start("profiles", self.profiles.run)
        self.supervisor.start("checkpoints", self.checkpoints.run)
        self.supervisor.start("stored days", self.stored_day_check.run)
        self.supervisor.start("store files", self.stored_day_check.watch_files)
        if self.sealing is not None:
            self.supervisor.start("proof", self.sealing.run)
        if self.config.trades.symbols:
            trades = TradeDays(
                self.config.trades, self.store, self.exchange, self.clock, self.journal, self.workers,
                self.tracked, self._day_of_trades_kept,
            )  # fmt: skip
            self.supervisor.start("trades", trades.run)
            self.supervisor.start("live trades", self.live_trades.run)
        if self.partitions is not None:
            self.supervisor.start("partitions", self.partitions.run)
        if self._months is not None:
            self.supervisor.start("months", self._months.run)
        self.supervisor.start("alerts", partial(self.alerts.watch, self._feeder_health))
        for output in self.alerts.outputs:
            self.supervisor.start(f"alert {output.name}", output.run)

    def start_symbol(self, tracked: TrackedSymbol) -> None:
        """See :meth:`tui_feeder.engine.acquisition.subscriptions.SubscriptionListener.start_symbol`."""
        if not self.supervisor.alive(f"history {tracked.symbol}"):
            self.supervisor.start(f"history {tracked.symbol}", partial(self._run_startup, tracked))

    def remove_symbol(self, symbol: str) -> None:
        """See :meth:`tui_feeder.engine.acquisition.subscriptions.SubscriptionListener.remove_symbol`."""
        self.recovery.forget(symbol)
        if (queue := self.ingest.queues.pop(symbol, None)) is not None:
            queue.pipeline = None  # what it still waits for is not its own any more
        for part in ("history", "inherited"):
            self.supervisor.cancel(f"{part} {symbol}")
        for keeper in (
            self.repairs, self.alerts, self.checkpoints, self.profiles, self.ownership, self.trade_id_check,
            self.live_trades,
        ):  # fmt: skip
            keeper.forget(symbol)

    @property
    def wanted(self) -> Sequence[str]:
        """The symbols that are wanted, whoever works on them."""
        return self.subscriptions.chosen()

    @property
    def named(self) -> Sequence[str]:
        """The names and patterns of symbols as they are configured."""
        return self.subscriptions.wanted

    def ownership_changed(self) -> None:
        """Start the symbols that are owned now, and drop those that are not any more."""
        self.subscriptions.assign_again()
        self.phases_changed()

    def has_recent_data(self, symbol: str, since: int) -> bool:
        """See :meth:`tui_feeder.engine.acquisition.subscriptions.SubscriptionListener.has_recent_data`."""
        tracked, queue = self.tracked.get(symbol), self.ingest.queues.get(symbol)
        frame = queue.last_frame if queue is not None else None
        traded = tracked.last_traded if tracked is not None else None
        return (frame is not None and frame > since) or (traded is not None and traded >= since)

    def halt_symbol(self, symbol: str) -> None:
        """See :meth:`tui_feeder.engine.acquisition.subscriptions.SubscriptionListener.halt_symbol`."""
        self.supervisor.cancel(f"history {symbol}")
        self.recovery.forget(symbol)
        # Its last minutes have none after them: REST confirms them some minutes later.
        self.recovery.confirm(symbol, self.store.unconfirmed(symbol))

    def phases_changed(self) -> None:
        """Go live once every symbol that can be had is."""
        phases = {tracked.symbol: tracked.phase for tracked in self.tracked.values()}
        live = sum(phase == "live" for phase in phases.values())
        none = not phases and self.ownership.standby
        if self.state != "backfill" or not (live or none) or not _READING.isdisjoint(phases.values()):
            return
        self.state = "live"
        others = [f"{symbol} ({phase})" for symbol, phase in phases.items() if phase != "live"]
        without = f" of {len(phases)} symbols; not live: {shortened(others)}" if others else " symbols"
        self.journal.note("info", f"live: {live}{without}")

    def _rest_reached(self, everything: bool) -> None:
        if everything:
            self.journal.note("info", "REST gives candles again: what waited for it is tried now")
            self.recovery.retry_refused()
            self.startup.retry_refused()
            self.subscriptions.retry_refused()
        elif not self.recovery.retry_one_refused():
            self.startup.retry_one_refused()

    async def _stop(self) -> None:
        """Stop ingest, drain, flush, commit, close, within the time set."""
        self.state = "stopping" if self.state != "failed" else "failed"
        deadline = time.monotonic() + self.config.service.shutdown_timeout_seconds
        # Whoever is called for alerts goes on: the last minutes may have some.
        await self.supervisor.stop(
            *(name for name in self.supervisor.states if not name.startswith("alert "))
        )
        self.live_trades.stop()
        await self.trade_id_check.stop()
        await self.recovery.stop()
        try:
            async with asyncio.timeout(max(0.1, deadline - time.monotonic())):
                await self.ingest.drained()
        except TimeoutError:
            self.journal.note("error", "minutes still waited for their commit when the time to stop was over")
        self.checkpoints.write_all()
        self.alerts.keep(last=True)
        receivers_seconds = (deadline - time.monotonic()) / 2
        await self.alerts.queued(receivers_seconds)
        # A receiver or a sink may hang: it holds up none of the others, nor the handover of a worker.
        others = [sink for sink in self.sinks if sink not in self.ownership.sinks]
        await asyncio.gather(
            self._close_sinks(self.ownership.sinks, deadline),
            *(self._close_sinks([sink], deadline) for sink in others),
            self.alerts.hand_over(receivers_seconds),
        )
        await self.supervisor.stop()
        if self.sealing is not None:
            self.sealing.close()
        await self.exchange.close()
        self.workers.shutdown(wait=True, cancel_futures=True)
        await asyncio.get_running_loop().run_in_executor(None, self.store.close)
        if self.state != "failed":
            self.state = "stopped"

    async def _close_sinks(self, sinks: Sequence[Sink], deadline: float) -> None:
        """Close sinks one after the other until ``deadline`` (time.monotonic())."""
        loop = asyncio.get_running_loop()
        for sink in sinks:
            await loop.run_in_executor(None, sink.close, max(0.1, deadline - time.monotonic()))

    async def _run_startup(self, tracked: TrackedSymbol) -> None:
        try:
            await self.startup.run(tracked, self.recovery)
        except Exception as error:
            self.crashed(tracked.symbol, error)
            return
        self.ownership.opened(tracked.symbol)
        self.profiles.begin(tracked.symbol)
        self.phases_changed()
        if self.store.inherited(tracked.symbol) or self.store.inherited_days(tracked.symbol):
            fill = partial(self._fill_inherited, tracked)
            self.supervisor.start(f"inherited {tracked.symbol}", fill, restart=False)
        reading = any(other.phase in _READING for other in self.tracked.values())
        if not reading and not self.supervisor.alive("zero minutes"):
            self.supervisor.start("zero minutes", self._recheck_zero_volume, restart=False)

    async def _fill_inherited(self, tracked: TrackedSymbol) -> None:
        """Read the older candles of a symbol that another feeder had before."""
        await self.startup.fill_inherited(tracked)
        self.ownership.opened(tracked.symbol)
        self.profiles.repaired(tracked.symbol)

    async def _recheck_zero_volume(self) -> None:
        """Minutes without a trade in most symbols are read again, and what rests on wrong ones with them."""
        symbols = [tracked.symbol for tracked in self.tracked.values() if tracked.phase == "live"]
        for symbol, since in (await self.history.recheck_shared_zeros(symbols)).items():
            await self._rebuild(symbol, since)

    async def _rebuild(self, symbol: str, since: int) -> None:
        """Minutes from ``since`` on were repaired after the indicators had passed them: count again."""
        await self._count_again(symbol, since)

    async def _count_again(self, symbol: str, since: int, logged: bool = True) -> int:
        """Make the messages again that rest on minutes from ``since`` on.

        Args:
            symbol: whose.
            since: ms.
            logged: whether what is published again has a line of the log of its own.

        Returns:
            How many minutes were published once more.
        """
        tracked = self.tracked.get(symbol)
        if self.store.inherited(symbol):  # what has changed is noted in the store, until all candles are here
            return 0
        if tracked is None or tracked.phase != "live":
            return 0
        self.journal.count("pipelines_rebuilt")
        before = tracked.revisions
        try:
            await self.queue_opener.open_queue(tracked, since, logged)
        except Exception as error:
            self.crashed(symbol, error)
            return 0
        self.ownership.opened(symbol)
        self.profiles.repaired(symbol)
        return tracked.revisions - before

    # --- parts ---------------------------------------------------------------------------------

    def _frame(self, symbol: str, candle: Candle, closed: bool, event_ms: int) -> None:
        now, self.last_frame_at = self.clock.now(), time.monotonic()
        self.frame_latency.observe((now - event_ms) / 1000)
        try:
            if closed:
                if (tracked := self.tracked.get(symbol)) is not None and tracked.phase == "no data":
                    tracked.wake.set()  # its candles begin
                self.live_trades.closed(symbol, candle)
            else:
                self.ingest.forming(symbol, candle, now)
        except Exception as error:  # the other symbols of the socket have no part in it
            self.crashed(symbol, error)

    def _closed(self, symbol: str, candle: Candle) -> None:
        """A closing frame whose trades are here, or not waited for any more."""
        try:
            self.ingest.closed(symbol, candle, Source.STREAM, self.clock.now())
        except Exception as error:
            self.crashed(symbol, error)

    def _counts_trades(self, symbol: str) -> bool:
        settings = profile_settings(self.config, symbol, None)
        return settings is not None and settings.source == "trades"

    def _day_of_trades_kept(self, symbol: str, changed: int | None) -> None:
        self.live_trades.day_kept(symbol, changed)
        self.profiles.repaired(symbol)

    def _subscribe(self, symbols: list[str]) -> None:
        self.streams.assign(symbols)
        self.live_trades.assign(symbols)

    def _leaf_fields(self, symbol: str, day: int) -> tuple[dict[str, object], str]:
        """What the leaf of a signed day has beside its minutes, and lacks. Runs in the worker thread."""
        fields: dict[str, object] = {**self.store.live_agreement(symbol, day).leaf_fields()}
        if self.partitions is not None:
            made, failed = self.partitions.try_to_write(symbol, day)
            if failed:
                return fields, "its partition cannot be written"
            if made is not None:
                fields["partitions"] = {made.path: made.sha256}
        return fields, ""

    def _live_symbols(self) -> list[str]:
        return [symbol for symbol, tracked in self.tracked.items() if tracked.phase == "live"]

    def _socket_of(self, symbol: str) -> StreamSocket | None:
        """The socket that a symbol's frames should come from."""
        return next((socket for socket in self.streams.sockets if socket.carries(symbol)), None)

    def _feeder_health(self) -> Health:
        live = [self.ingest.queue(name) for name, tracked in self.tracked.items() if tracked.phase == "live"]
        lags, paused = sink_lags(self.sinks), self.store.paused_seconds
        gaps, degraded = self.recovery.open_gaps(), self.ownership.degraded_seconds
        return feeder_health(self.clock.now(), live, gaps, lags, paused, degraded)

    def _stream_fault(self, kind: str, text: str) -> None:
        self.journal.fault(event_name("stream", kind), text)

    def whole_history(self) -> WholeHistory | None:
        """How much of all history is read; None where none is being read."""
        return self._meter.measure(tuple(self.tracked.values()), self.store.pausing)

    def _progress(self) -> str:
        return progress_line(self.tracked.values(), self.whole_history())

    async def _log_progress(self) -> None:
        """A log line every few seconds while history is read."""
        shown, last = time.monotonic(), ""
        while self.state == "backfill":
            heartbeat(0.25)
            await asyncio.sleep(0.25)
            if time.monotonic() - shown >= 3.0:
                shown, text = time.monotonic(), self._progress()
                if text != last:  # where no symbol can be had there is nothing new to log
                    log.info("%s", text)
                last = text

    # --- what the ingest reports ---------------------------------------------------------------

    def committed(self, symbol: str, candle: Candle, message: Message, payload: bytes) -> None:
        """See :meth:`tui_feeder.engine.acquisition.ingest.IngestListener.committed`."""
        tracked = self.tracked.get(symbol)
        if tracked is None:  # followed no longer
            return
        tracked.before_last = tracked.last.close if tracked.last is not None else None
        tracked.message, tracked.last = message, candle
        if candle.trades:
            tracked.last_traded = candle.open_time
        tracked.day.add(candle)
        if (pipeline := self.ingest.queue(symbol).pipeline) is not None:
            tracked.states, tracked.relative_volume = pipeline.timeframe_states(), pipeline.relative_volume
            tracked.day_delta = pipeline.day_delta
            if candle.open_time % _HOUR_MS == 0:  # a new day's typical range, or more of a first day
                self.queue_opener.check_profile_fit(tracked, pipeline)
        tracked.messages += 1
        self.profiles.committed(symbol, candle.open_time)
        self.minute_latency.observe((self.clock.now() - candle.open_time - MINUTE_MS) / 1000)
        self._send(symbol, message, payload)
        self.alerts.minute(candle, message)
        self.ownership.committed(symbol, candle.open_time, payload)
        self._minute_log.closed(symbol, candle.open_time, self.tracked.values())

    def _send(self, symbol: str, message: Message, payload: bytes) -> None:
        for sink in self.sinks:
            try:
                if isinstance(sink, DirectSink):
                    sink.publish(symbol, message.timestamp, payload)
                elif isinstance(sink, StoreSink):
                    sink.minute_stored()
            except Exception as error:  # a sink's fault is none of the others'
                self.journal.fault(event_name(sink.name, "refused messages"), repr(error), symbol)
        self.journal.count("messages")

    def gap_found(self, symbol: str, start: int, end: int) -> None:
        """See :meth:`tui_feeder.engine.acquisition.ingest.IngestListener.gap_found`."""
        self.gap_detection.gap_found(symbol, start, end)

    def late_minute(self, symbol: str, candle: Candle, source: Source) -> None:
        """See :meth:`tui_feeder.engine.acquisition.ingest.IngestListener.late_minute`."""
        self.journal.count("late_minutes")
        self.repairs.add(symbol, candle, source)

    def superseded(self, symbol: str, candle: Candle) -> None:
        """See :meth:`tui_feeder.engine.acquisition.ingest.IngestListener.superseded`."""
        self.journal.count("minutes_superseded")
        self.repairs.add(symbol, candle, None)

    def closes_differ(self, symbol: str, candle: Candle, other: Candle) -> None:
        """See :meth:`tui_feeder.engine.acquisition.ingest.IngestListener.closes_differ`.

        REST decides which of the two is right.
        """
        names = ("open", "high", "low", "close", "volume", "quote_volume", "trades")
        seen = [(name, getattr(other, name), getattr(candle, name)) for name in names]
        text = ", ".join(f"{name} {a:g} and {b:g}" for name, a, b in seen if a != b) or "taker volumes"
        at = candle.open_time
        self.journal.fault(
            "contradictory_closes", f"minute {format_second(at)}: {text}; REST is asked", symbol
        )
        minute = span(at, at + MINUTE_MS)
        self.store.mark_unconfirmed(symbol, minute)  # should this run end before
        self.recovery.confirm(symbol, minute)

    def crashed(self, symbol: str, error: BaseException) -> None:
        """See :meth:`tui_feeder.engine.acquisition.ingest.IngestListener.crashed`.

        The symbol alone stops, is rebuilt, and tried again.
        """
        tracked = self.tracked.get(symbol)
        if tracked is None:
            return
        log.error("pipeline of %s crashed", symbol, exc_info=error)
        self.journal.count("pipeline_crashes")
        if tracked.phase == "failed":  # several of its commits fail at once
            return
        tracked.phase, tracked.reason = "failed", repr(error)
        self.ingest.pause(symbol)
        self.ingest.queue(symbol).next = None  # the watermark shows where to go on
        text = f"its pipeline crashed: {error!r}; built again in {_BUILT_AGAIN_SECONDS:g} s"
        self.journal.note("error", text, symbol)

        async def again() -> None:
            await asyncio.sleep(_BUILT_AGAIN_SECONDS)
            await self._run_startup(tracked)

        self.supervisor.start(f"history {symbol}", again)
