"""A worker of a cluster: takes partitions over, hands them over, follows the group. On the engine's loop."""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import socket
import time
import zlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from tui_feeder.config import Config
from tui_feeder.engine.analytics.message import Message, encode
from tui_feeder.engine.cluster.group import Worker, digest_of
from tui_feeder.engine.cluster.handover import (
    DayChecks,
    Handover,
    inheritance_of,
    make_handover,
    read_handover,
)
from tui_feeder.engine.cluster.held import HeldPartitions
from tui_feeder.engine.cluster.membership import Assignment, Membership
from tui_feeder.engine.cluster.own_alerts import OwnAlerts, look_again, own_alerts
from tui_feeder.engine.cluster.ownership import Host, OwnershipError
from tui_feeder.engine.cluster.partition_publisher import Checkpoint, Identity
from tui_feeder.engine.cluster.partitions import partition_of
from tui_feeder.engine.cluster.publishing import Events, Publisher, Taken
from tui_feeder.engine.cluster.records import PartitionState, Position, Progress
from tui_feeder.engine.cluster.topics import topics_of
from tui_feeder.engine.core.candle import MINUTE_MS, Candle
from tui_feeder.engine.core.checksum import ChecksumError
from tui_feeder.engine.core.coverage import span
from tui_feeder.engine.core.journal import shortened
from tui_feeder.engine.core.supervisor import OUTSIDE_SECONDS, heartbeat
from tui_feeder.engine.derived.inputs import revisions_of
from tui_feeder.engine.derived.revisions import Revisions
from tui_feeder.engine.exchanges.base import RestError
from tui_feeder.engine.sinks import Sink
from tui_feeder.engine.sinks.draining import OutboxCursor, sink_name
from tui_feeder.engine.sinks.registry import kafka_topics
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import ClusterView, OwnedPartitionView, SymbolHolder, TakeoverView, WorkerView

#: A checkpoint of a symbol is published so often: a new owner counts the minutes since.
CHECKPOINT_MINUTES = 15
_LOOK_SECONDS = 1.0
#: The wanted symbols of each partition are counted so often.
_COUNT_SECONDS = 5.0
#: Where no frame has come for so long the exchange is asked something, so often; if it does not answer for
#: so long, or the disk takes nothing, this worker leaves its symbols to others. Seconds.
_SILENT_SECONDS, _PROBE_SECONDS, _CUT_OFF_SECONDS = 8.0, 2.0, 10.0
_TAKEOVERS_KEPT, _WORKERS_SHOWN = 100, 1_000


@dataclass(slots=True)
class _Owned:
    """A partition that is worked on."""

    epoch: int
    base: Position | None  # what was published there last when it was taken
    numbers: Mapping[str, int]  # by topic: what waited in the outboxes then and is not to be published
    refused: frozenset[str]  # its symbols of which it is not known what was published


class _TakenOver(NamedTuple):
    """A symbol whose first pipeline is to be compared with what was published."""

    progress: Progress
    handed: Handover | None


class ClusterWorker:
    """The share of the symbols that the group has given to this worker.

    Args:
        config: the whole configuration.
        store: of this worker, with the outboxes of what goes to Kafka.
    """

    def __init__(self, config: Config, store: Store) -> None:
        cluster, prefix = config.cluster, config.kafka.topic_prefix
        name = cluster.name or socket.gethostname()
        now = time.time_ns() // 1_000_000
        published = kafka_topics(config)
        topics = topics_of(prefix, published)
        me = Worker(
            name, secrets.token_hex(8), now, cluster.address or "", cluster.weight_pool,
            topic=topics.work, partitions=cluster.partitions, symbols=digest_of(config.application.symbols),
        )  # fmt: skip
        self.takeovers: deque[TakeoverView] = deque(maxlen=_TAKEOVERS_KEPT)
        self.differing = 0  # symbols whose numbers were others than those published
        self.workers = 0  # in the group, as of the last assignment
        self._store = store
        self._partitions = cluster.partitions
        self._held = HeldPartitions(store, f"{cluster.group} {prefix}", cluster.partitions, name)
        self.membership = Membership(
            config.kafka, cluster.group, topics, cluster.partitions, me, self._assigned, self._refused
        )
        self.publisher = Publisher(
            config.kafka,
            cluster.partitions,
            Identity(cluster.group, prefix, name, self._held.store),
            store,
            [OutboxCursor(store.outboxes[topic], sink_name("kafka", topic)) for topic in published],
            lambda: self.membership.holds,
            Events(self._taken, self._fenced, self._published),
        )
        # Closed in this order: what waits is published before the group learns of the end.
        self.sinks: Sequence[Sink] = (self.publisher, self.membership)
        self._host: Host | None = None
        self._events: asyncio.Queue[Assignment | Taken] = asyncio.Queue()
        self._joined: asyncio.Future[None] | None = None
        self._last: Assignment | None = None
        self._mine: frozenset[int] = frozenset()
        self._owned: dict[int, _Owned] = {}
        self._changed = False
        self._given_at: dict[int, float] = {}  # time.monotonic() when partitions were given to this worker
        self._doubted: dict[int, int] = {}  # partitions whose producer was refused, at that many heartbeats
        self._taken_over: dict[str, _TakenOver] = {}
        self._own_alerts: dict[str, OwnAlerts] = {}  # of symbols that it has gone on with after a restart
        self._due: dict[str, int] = {}  # by symbol: from which minute (ms) on a checkpoint is due
        self._checks = DayChecks(store)
        self._warned: set[str] = set()
        self._degraded_at: float | None = None  # time.monotonic()
        self._places: dict[str, int] = {}  # partitions of the symbols that are tracked
        self._wanted: Counter[int] = Counter()  # by partition: symbols that somebody is to work on
        self._counted_at = -math.inf  # time.monotonic()
        self._differing: tuple[str, ...] = ()  # workers that name other symbols, as was last reported

    # --- what the engine asks and reports -------------------------------------------------------

    @property
    def standby(self) -> bool:
        """Whether the partitions that the group has given to this worker, if any, have no symbols."""
        tracked = None if self._host is None else self._host.tracked
        return self._last is not None and self._mine <= self._owned.keys() and not tracked

    @property
    def degraded_seconds(self) -> float:
        """For how long the group has not answered, or given partitions are not worked on."""
        return 0.0 if self._degraded_at is None else time.monotonic() - self._degraded_at

    async def join(self, host: Host) -> None:
        """See :meth:`~tui_feeder.engine.cluster.ownership.Ownership.join`."""
        self._host = host
        self._joined = asyncio.get_running_loop().create_future()
        for sink in (self.membership, self.publisher):
            sink.start(host.journal)
        await self._joined

    def owns(self, symbol: str) -> bool:
        """See :meth:`~tui_feeder.engine.cluster.ownership.Ownership.owns`: those of its partitions."""
        owned = self._owned.get(partition_of(symbol.encode(), self._partitions))
        return owned is not None and symbol not in owned.refused

    def _partition(self, symbol: str) -> int:
        found = self._places.get(symbol)
        if found is None:
            found = self._places[symbol] = partition_of(symbol.encode(), self._partitions)
        return found

    def epoch(self, symbol: str) -> int:
        """See :meth:`~tui_feeder.engine.cluster.ownership.Ownership.epoch`.

        It is that of the producer of the symbol's partition; -1 where another worker has it.
        """
        owned = self._owned.get(self._partition(symbol))
        return -1 if owned is None else owned.epoch

    def elsewhere(self, symbol: str) -> SymbolHolder | None:
        """See :meth:`~tui_feeder.engine.cluster.ownership.Ownership.elsewhere`."""
        partition = partition_of(symbol.encode(), self._partitions)
        if partition in self._owned:
            return None
        for member in self.membership.members:
            if partition in member.partitions and member.worker.instance != self.membership.me.instance:
                return SymbolHolder(member.worker.name, member.worker.address)
        return None

    def view(self) -> ClusterView | None:
        """See :class:`~tui_feeder.engine.cluster.ownership.Ownership`."""
        tracked = () if self._host is None else tuple(self._host.tracked)
        symbols = Counter(self._partition(symbol) for symbol in tracked)
        transactions = self.publisher.transactions
        me, age = self.membership.me, self.membership.heartbeat_age
        return ClusterView(
            name=me.name,
            group=self.membership.group,
            partitions=self._partitions,
            assigned=len(self._mine),
            owned=tuple(
                OwnedPartitionView(at, owned.epoch, symbols[at], transactions.get(at, 0))
                for at, owned in sorted(self._owned.items())
            ),
            workers=tuple(
                WorkerView(
                    member.worker.name,
                    member.worker.address,
                    len(member.partitions),
                    sum(self._wanted[partition] for partition in member.partitions),
                    member.worker.instance == me.instance,
                )
                for member in self.membership.members[:_WORKERS_SHOWN]
            ),
            heartbeat_age=age if math.isfinite(age) else None,
            holds=self.membership.holds,
            takeovers=tuple(self.takeovers),
            fenced=self.publisher.fenced,
            differing=self.differing,
            inherited=sum(self._store.inherited(symbol).minutes for symbol in tracked),
            sharing=1 if self._last is None else self._last.answer.sharing,
            other_lists=self.membership.differing,
            topics_wrong=self.membership.unfit,
        )

    def opened(self, symbol: str) -> None:
        """See :meth:`~tui_feeder.engine.cluster.ownership.Ownership.opened`.

        The next minute gives a checkpoint: the last one may be of other numbers.
        """
        self._due[symbol] = 0

    def resumed(
        self, symbol: str, counted: Sequence[tuple[Candle, Message]], message: Message | None
    ) -> None:
        """See :meth:`~tui_feeder.engine.cluster.ownership.Ownership.resumed`.

        Compares the symbol's numbers with those that its former owner has published.
        """
        taken, host = self._taken_over.pop(symbol, None), self._host
        own = self._own_alerts.pop(symbol, None)
        if own is not None and host is not None:
            look_again(host.alerts, symbol, own, counted)
        if taken is None or host is None or message is None:
            return
        progress, handed = taken
        for candle, made in counted:
            host.alerts.catch_up(candle, made, progress.alerted)
        last = message.timestamp + 1 - MINUTE_MS
        revision = Revisions.decode(progress.revisions).of(last)
        check = zlib.crc32(encode(msgspec.structs.replace(message, revision=revision)))
        if handed is None or last != progress.watermark or check == progress.check:
            return
        self.differing += 1
        host.journal.count("cluster_takeovers_differing")
        text = "its numbers are others than those that were published: the last minutes are published again"
        host.journal.note("warning", f"{text} once all its candles are here", symbol)
        self._store.mark_stale_published(
            symbol, span(handed.minute + MINUTE_MS, progress.watermark + MINUTE_MS)
        )

    def committed(self, symbol: str, minute: int, payload: bytes) -> None:
        """See :meth:`~tui_feeder.engine.cluster.ownership.Ownership.committed`.

        Makes a checkpoint about every quarter of an hour, of the minute that is just stored.
        """
        host = self._host
        if host is None or minute < self._due.get(symbol, 0):
            return
        current = host.checkpoints.current(symbol)
        if current is None or current[1].last != minute:
            return
        first = not self._due.get(symbol)
        # So that not all symbols have theirs in the same minute.
        wait = 1 + zlib.crc32(symbol.encode()) % CHECKPOINT_MINUTES if first else CHECKPOINT_MINUTES
        self._due[symbol] = minute + wait * MINUTE_MS
        provenance, state = current
        revisions = revisions_of(self._store, symbol)
        since = minute if revisions is None else revisions.since
        alerts, alerted = host.alerts.saved(symbol), host.alerts.reported(symbol)
        check = zlib.crc32(payload)

        def make() -> None:
            block = make_handover(self._store, symbol, provenance, state, self._checks, alerts)
            self.publisher.checkpoint(symbol, Checkpoint(minute, check, since, block, alerted))

        def ended(future: Future[None]) -> None:
            if not future.cancelled() and (error := future.exception()) is not None:
                host.journal.fault("cluster_checkpoints_failed", repr(error), symbol)

        with contextlib.suppress(RuntimeError):  # the engine is ending
            host.workers.submit(make).add_done_callback(ended)

    def forget(self, symbol: str) -> None:
        """See :meth:`~tui_feeder.engine.cluster.ownership.Ownership.forget`."""
        for known in (self._due, self._taken_over, self._own_alerts, self._places):
            known.pop(symbol, None)
        self._checks.forget(symbol)

    # --- what the group and the broker report ---------------------------------------------------

    def _assigned(self, assignment: Assignment) -> None:
        self._events.put_nowait(assignment)
        if assignment.answer.same_name is not None:
            other = assignment.answer.same_name
            where = f" at {other.address}" if other.address else ""
            self._refused(
                f"another worker of the group {self.membership.group} is named {other.name}{where}: "
                "give each worker a cluster.name of its own"
            )
        elif (first := assignment.answer.other_cluster) is not None:
            where = f" at {first.address}" if first.address else ""
            self._refused(
                f"the group {self.membership.group} is that of another cluster, of the topic {first.topic} "
                f"(worker {first.name}{where}), and this one's is {self.membership.topics.work}: give this "
                "cluster a cluster.group of its own, or its workers the same kafka.topic_prefix"
            )
        elif self._joined is not None and not self._joined.done():
            self._joined.set_result(None)

    def _refused(self, text: str) -> None:
        """This worker may not work: the start fails, or the engine ends."""
        if self._joined is None:
            return
        if not self._joined.done():
            self._joined.set_exception(OwnershipError(text))
        elif self._host is not None:
            self._host.fail(OwnershipError(text))

    def _taken(self, taken: Taken) -> None:
        self._events.put_nowait(taken)

    def _fenced(self, partition: int) -> None:
        """Somebody else publishes there, or a transaction took too long: the group knows which."""
        self._doubted[partition] = self.membership.heartbeats

    def _published(self, partition: int) -> None:
        owned, begun = self._owned.get(partition), self._given_at.pop(partition, None)
        if owned is None or begun is None or self._host is None:
            return
        seconds = time.monotonic() - begun
        former = "" if owned.base is None else owned.base.worker
        self.takeovers.append(TakeoverView(partition, time.time_ns() // 1_000_000, seconds, former))
        self._host.journal.count("cluster_takeovers")

    async def run(self) -> None:
        """Follows the group, until cancelled."""
        for partition in self._mine.difference(self._owned):  # this part was begun again
            self.publisher.take_again(partition)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_ability())
            await self._follow_events()

    async def _watch_ability(self) -> None:
        """Leave the group while this worker cannot work on its symbols, if others may be able to."""
        host = self._host
        assert host is not None
        unable_since: float | None = None
        while True:
            await asyncio.sleep(_PROBE_SECONDS)
            why = await self._inability(host)
            if not why:
                unable_since = None
                if self.membership.out:
                    host.journal.note("info", f"cluster: no longer so: {self.membership.out}: joining")
                self.membership.out = ""
                continue
            unable_since = unable_since or time.monotonic()
            if time.monotonic() - unable_since >= _CUT_OFF_SECONDS and self.workers > 1:
                if not self.membership.out:
                    host.journal.note("error", f"cluster: {why}: others take the symbols over")
                self.membership.out = why

    async def _inability(self, host: Host) -> str:
        """Why this worker cannot work on its symbols; "" where it can, as far as is known."""
        if pausing := self._store.pausing:
            return pausing
        silent = time.monotonic() - host.last_frame_at
        if not self.membership.out and (silent < _SILENT_SECONDS or self.standby):
            return ""
        try:
            await host.exchange.sync_clock()
        except RestError as error:
            return f"the exchange is not reached ({error})"
        return ""

    async def _follow_events(self) -> None:
        while True:
            heartbeat(_LOOK_SECONDS, OUTSIDE_SECONDS, unless=self._store.paused)
            event = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    event = await self._events.get()
            if isinstance(event, Assignment):
                await self._follow(event)
            elif event is not None:
                await self._take(event)
            self._confirm_doubted()
            self._see_degraded()
            self._count_wanted()
            if self._changed and self._events.empty():
                self._notify_host()

    def _notify_host(self) -> None:
        self._changed = False
        if self._host is not None:
            self._host.ownership_changed()

    def _count_wanted(self) -> None:
        """Know how many symbols each partition has, for those who look."""
        if self._host is not None and time.monotonic() - self._counted_at > _COUNT_SECONDS:
            self._counted_at = time.monotonic()
            names = (symbol.encode() for symbol in self._host.wanted)
            self._wanted = Counter(partition_of(name, self._partitions) for name in names)
            self._compare_lists(self._host)

    def _compare_lists(self, host: Host) -> None:
        """A symbol that not all workers name is worked on only where the owner of its partition does."""
        digest = digest_of(host.named)
        if self.membership.me.symbols != digest:  # the configuration was read again
            self.membership.me = msgspec.structs.replace(self.membership.me, symbols=digest)
        if self.membership.differing != self._differing:
            self._differing = self.membership.differing
            if names := shortened(self._differing):
                text = f"other symbols than this worker's are configured in {names}"
                remedy = "give all workers the same application.symbols"
                host.journal.note("warning", f"cluster: {text}: symbols may be without a worker: {remedy}")

    def _see_degraded(self) -> None:
        well = self.membership.holds and self._mine <= self._owned.keys() and not self.membership.unfit
        if refused := [symbol for owned in self._owned.values() for symbol in owned.refused]:
            well = well and self._host is not None and set(refused).isdisjoint(self._host.wanted)
        self._degraded_at = None if well else self._degraded_at or time.monotonic()

    def _confirm_doubted(self) -> None:
        """Takes partitions whose producer was refused again, once the group confirms that they are ours."""
        for partition, heartbeats in list(self._doubted.items()):
            if self.membership.heartbeats > heartbeats:
                del self._doubted[partition]
                if partition in self._mine:
                    self.publisher.take_again(partition)

    async def _follow(self, new: Assignment) -> None:
        """The group has changed: let go what is another's now, take what is new."""
        host, last = self._host, self._last
        assert host is not None
        self._last, self.workers = new, new.answer.workers
        host.exchange.share_budget(new.answer.sharing)
        for later in new.answer.later:
            if later.instance not in self._warned:
                self._warned.add(later.instance)
                where = f" at {later.address}" if later.address else ""
                host.journal.note("error", f"another worker{where} is named {later.name} too: it was refused")
        # Also what an earlier run held and is another's now: what waits of it here will be let go.
        gone, came = (self._mine | self._held.partitions) - new.partitions, new.partitions - self._mine
        self._mine = new.partitions
        text = f"{len(new.partitions)} of {self._partitions} partitions, {new.answer.workers} workers"
        host.journal.note("info", f"cluster: {text}; {len(came)} new, {len(gone)} let go")
        for partition in gone:
            self._owned.pop(partition, None)
            self._given_at.pop(partition, None)
        if gone:
            # What is made of them from here on is nobody's: first no more is made, then that is noted.
            self._notify_host()
            await asyncio.wrap_future(self._store.flushed())
            await self._held.remove(gone)
        self.publisher.own(new.partitions)
        self._given_at |= dict.fromkeys(came, time.monotonic())
        followed = last is not None and (last.member, last.generation + 1) == (new.member, new.generation)
        if not followed:  # others may have had them in between
            for partition in new.partitions - came:
                self.publisher.take_again(partition)

    async def _take(self, taken: Taken) -> None:
        """A partition's former owner is fenced off: go on where it was."""
        partition, state, host = taken.partition, taken.state, self._host
        assert host is not None
        if partition not in self._mine:
            return
        if state.newer:
            text = f"partition {partition} is not worked on: what was published there cannot be read"
            host.journal.note("error", f"{text} ({state.newer}): update this worker")
            return
        refused = self._refused_symbols(partition, state)
        owned, position = self._owned.get(partition), state.position
        mine = position is not None and position.store == self._held.store
        if owned is not None and (position is None or mine or position == owned.base):
            owned.epoch = taken.epoch
            self._changed |= owned.refused != refused
            owned.refused = refused
            for symbol in host.tracked:  # a checkpoint may have been in the transaction that was refused
                if self._partition(symbol) == partition:
                    self._due[symbol] = 0
            self.publisher.open(partition, owned.numbers)
            return
        if owned is not None:  # another worker had it in between
            del self._owned[partition]
            self._notify_host()
            await asyncio.wrap_future(self._store.flushed())
            await self._held.remove([partition])
        if position is None or (mine and partition in self._held.partitions):
            numbers = self._held.floor(partition)
            self._own_alerts |= await asyncio.to_thread(own_alerts, self._store, state)
        else:
            numbers = await self._take_over(partition, state)
        await self._held.add(partition, numbers)
        self._owned[partition] = _Owned(taken.epoch, position, numbers, refused)
        self.publisher.open(partition, numbers)
        self._changed = True

    def _refused_symbols(self, partition: int, state: PartitionState) -> frozenset[str]:
        """Report what is wrong in the records of a partition; the symbols that are left alone for it."""
        host, topic = self._host, self.membership.topics.state
        assert host is not None
        if state.foreign:
            host.journal.count("cluster_foreign_records", state.foreign)
            text = f"{state.foreign:,} records of the topic {topic}, partition {partition}, are of no feeder"
            host.journal.note("warning", f"{text} and are ignored, such as {state.example}")
        refused = state.refused
        for symbol in sorted(refused.keys() & set(host.wanted)):
            text = f"it is not worked on: what was published of it cannot be read ({refused[symbol]})"
            record = f"key {symbol}, topic {topic}, partition {partition}"
            remedy = (
                f"delete that record ({record}) and start this worker again: it then begins as a new symbol"
            )
            host.journal.note("error", f"{text}: {remedy}", symbol)
        return frozenset(refused)

    async def _take_over(self, partition: int, state: PartitionState) -> dict[str, int]:
        """Keep what was published of a partition's symbols in place of what is known of them here.

        Returns:
            By topic, what waits in the outboxes and was made of them before: it is not published.
        """
        host = self._host
        assert host is not None
        written = []
        for symbol, progress in state.progress.items():
            if self._partition(symbol) != partition:  # copied there by other programs
                continue
            handed = None
            if (block := state.checkpoints.get(symbol)) is not None:
                try:
                    handed = read_handover(block)
                except ChecksumError as error:
                    host.journal.note("warning", f"its checkpoint cannot be used: {error}", symbol)
            written.append(self._store.inherit(symbol, inheritance_of(symbol, progress, handed)))
            host.alerts.take_over(symbol, None if handed is None else handed.alerts)
            self._taken_over[symbol] = _TakenOver(progress, handed)
            self._own_alerts.pop(symbol, None)
        for commit in written:
            await asyncio.wrap_future(commit)
        return self._store.outbox_ends()
