"""What a worker publishes of a partition that it had before: everything once, whatever it was killed in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from store_child import rows_of
from stores import minute

from tui_feeder.config import Cluster, Config, Kafka
from tui_feeder.engine.cluster.group import Answer
from tui_feeder.engine.cluster.held import hold_all
from tui_feeder.engine.cluster.membership import Assignment
from tui_feeder.engine.cluster.partitions import partition_of
from tui_feeder.engine.cluster.publishing import Taken
from tui_feeder.engine.cluster.records import PartitionState, Position, Progress
from tui_feeder.engine.cluster.worker import ClusterWorker
from tui_feeder.engine.core.candle import Source
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.derived.revisions import Revisions
from tui_feeder.engine.storage.store import Store

PARTITIONS = 8
SYMBOL = "BTCUSDT"
PARTITION = partition_of(SYMBOL.encode(), PARTITIONS)
OTHER = (PARTITION + 1) % PARTITIONS
CONFIG = replace(
    Config(), kafka=replace(Kafka(), enabled=True),
    cluster=replace(Cluster(), enabled=True, partitions=PARTITIONS, name="w1"),
)  # fmt: skip


class Host:
    """An engine of no symbols: what the worker asks of it does nothing."""

    def __init__(self) -> None:
        self.journal = Journal(lambda: 0)
        self.exchange: Any = self
        self.alerts: Any = self
        self.checkpoints: Any = None
        self.workers: Any = ThreadPoolExecutor(1)
        self.heard_at = 0.0
        self.tracked: Mapping[str, object] = {}
        self.wanted: list[str] = []

    def share_budget(self, feeders: int) -> None: ...

    def take_over(self, symbol: str, block: bytes | None) -> None: ...

    def ownership_changed(self) -> None: ...

    def fail(self, error: Exception) -> None:
        raise error


def open_store(path: Path) -> Store:
    store = Store(path, exchange="a test")
    for topic in ("data", "candles"):
        store.open_outbox(["kafka"], 16, topic)
    return store


def started(store: Store) -> ClusterWorker:
    """A worker that has joined, as far as the engine's loop is concerned."""
    worker = ClusterWorker(CONFIG, store)
    worker._host = Host()
    return worker


async def assign(worker: ClusterWorker, generation: int, *partitions: int) -> None:
    await worker._follow(Assignment(generation, "a member", frozenset(partitions), Answer(workers=2)))


async def take(worker: ClusterWorker, state: PartitionState) -> Mapping[str, int] | None:
    """The former owner is fenced off: from which message on this worker publishes, by topic."""
    await worker._take(Taken(PARTITION, 5, state))
    return worker.publisher._wanted[PARTITION].numbers


def published(store_name: str, numbers: dict[str, int]) -> PartitionState:
    state = PartitionState()
    state.position = Position(store_name, store_name, 4, numbers, 1)
    state.progress = {SYMBOL: Progress(minute(0), 1, Revisions(minute(0)).encode(), (), {})}
    return state


async def make_minutes(store: Store, count: int) -> None:
    for number in range(1, count + 1):
        await asyncio.wrap_future(store.set_watermark(SYMBOL, minute(number), b"{}"))


async def test_what_waits_of_a_partition_that_is_still_its_own_is_published(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    before = started(store)
    await assign(before, 1, PARTITION)
    await take(before, PartitionState())
    await make_minutes(store, 3)  # and is killed
    after = started(store)
    await assign(after, 1, PARTITION)
    assert await take(after, published(after._held.store, {"data": 1})) == {}
    store.close()


async def test_what_another_worker_was_given_meanwhile_is_taken_over(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    before = started(store)
    await assign(before, 1, PARTITION)
    await take(before, PartitionState())
    await make_minutes(store, 3)  # and is killed
    after = started(store)
    await assign(after, 1, OTHER)  # from here on what waits of the partition is let go
    await assign(after, 2, OTHER, PARTITION)  # the one between published nothing
    numbers = await take(after, published(after._held.store, {"data": 1}))
    assert numbers == {"data": 3, "candles": 0}
    assert store.watermark(SYMBOL) == minute(0)  # the others are made again
    store.close()


async def test_what_was_made_before_a_takeover_is_not_published_after_a_kill(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    before = started(store)
    await make_minutes(store, 3)
    await assign(before, 1, PARTITION)
    # Its own position, of an earlier time: the partition is taken over, from there.
    state = published(before._held.store, {"data": 1})
    assert await take(before, state) == {"data": 3, "candles": 0}
    await make_minutes(store, 2)  # again, and is killed before they are published
    after = started(store)
    await assign(after, 1, PARTITION)
    assert await take(after, state) == {"data": 3, "candles": 0}
    store.close()


@pytest.mark.parametrize("by_itself", [False, True])
async def test_what_was_published_without_a_cluster_is_not_taken_over(
    tmp_path: Path, by_itself: bool
) -> None:
    store = open_store(tmp_path)
    before = started(store)
    await assign(before, 1, OTHER)
    await before._held.add(OTHER, {})
    await make_minutes(store, 3)
    if by_itself:
        hold_all(store)
    after = started(store)
    await assign(after, 1, OTHER, PARTITION)
    numbers = await take(after, published(after._held.store, {"data": 1}))
    assert numbers == ({} if by_itself else {"data": 3, "candles": 0})
    store.close()


async def test_what_was_published_elsewhere_is_not_published_again_where_no_checkpoint_came_with_it(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path)
    worker = started(store)
    await assign(worker, 1, PARTITION)
    state = published("another", {"data": 9})
    state.progress = {SYMBOL: Progress(minute(4), 1, Revisions(minute(2)).encode(), (), {})}
    await take(worker, state)
    rows = rows_of(minute(0), minute(7), Source.REST)  # its candles are read
    await asyncio.wrap_future(store.put(SYMBOL, rows, Source.REST))
    assert store.watermark(SYMBOL) == minute(4)
    assert not store.unpublished(SYMBOL).clip(minute(2), minute(5))
    store.close()
